--- Volumes of pods and jobs, and where they are mounted.
-- luacheck: read globals array
local access = require("admission.access")
local names = require("desired.names")
local pvc = require("desired.pvc")

local mounts = {}

local TOKEN_SECONDS = 3607
local TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"

local function scratch(spec)
  if spec.ephemeralVolumeSource then
    return { name = "scratch-data", ephemeral = access.copy(spec.ephemeralVolumeSource) }
  end
  return { name = "scratch-data",
    emptyDir = { sizeLimit = access.text(spec, "ephemeralVolumesSizeLimit", "temporaryData") } }
end

local function shared_memory(spec)
  return { name = "shm",
    emptyDir = { medium = "Memory", sizeLimit = access.text(spec, "ephemeralVolumesSizeLimit", "shm") } }
end

local function api_access()
  return { name = "kube-api-access", projected = { sources = array {
    { serviceAccountToken = { path = "token", expirationSeconds = TOKEN_SECONDS } },
    { configMap = { name = "kube-root-ca.crt", items = array { { key = "ca.crt", path = "ca.crt" } } } },
    { downwardAPI = { items = array {
      { path = "namespace", fieldRef = { apiVersion = "v1", fieldPath = "metadata.namespace" } },
    } } },
  } } }
end

local VOLUME_NAME = { PG_DATA = "pgdata", PG_WAL = "pg-wal" }
local VOLUME_PATH = { PG_DATA = "/var/lib/postgresql/data", PG_WAL = "/var/lib/postgresql/wal" }

local function volume_name(volume)
  return VOLUME_NAME[volume.role] or "tbs-" .. names.sanitised(volume.tablespace)
end

local function extension_name(extension)
  return "ext-" .. extension.name:gsub("_", "-")
end

local function extensions(c)
  local out = {}
  for _, extension in ipairs(access.list(c.spec, "postgresql", "extensions")) do
    if access.text(extension, "image", "reference") then
      out[#out + 1] = extension
    end
  end
  return out
end

--- Volumes of a pod that works on an instance's data.
---@param c desired.Context
---@param instance string
---@return table[]
function mounts.volumes(c, instance)
  local out = array {}
  for _, volume in ipairs(pvc.volumes(c.spec, instance)) do
    out[#out + 1] = { name = volume_name(volume), persistentVolumeClaim = { claimName = volume.name } }
  end
  out[#out + 1] = scratch(c.spec)
  out[#out + 1] = shared_memory(c.spec)
  out[#out + 1] = api_access()
  if c.spec.projectedVolumeTemplate then
    out[#out + 1] = { name = "projected", projected = access.copy(c.spec.projectedVolumeTemplate) }
  end
  for _, extension in ipairs(extensions(c)) do
    out[#out + 1] = { name = extension_name(extension), image = {
      reference = extension.image.reference, pullPolicy = extension.image.pullPolicy } }
  end
  return out
end

local function common(c, instance)
  local out = array {}
  for _, volume in ipairs(pvc.volumes(c.spec, instance)) do
    out[#out + 1] = { name = volume_name(volume), mountPath = VOLUME_PATH[volume.role]
      or "/var/lib/postgresql/tablespaces/" .. volume.tablespace }
  end
  out[#out + 1] = { name = "scratch-data", mountPath = "/run" }
  out[#out + 1] = { name = "scratch-data", mountPath = "/controller" }
  out[#out + 1] = { name = "shm", mountPath = "/dev/shm" }
  if c.spec.projectedVolumeTemplate then
    out[#out + 1] = { name = "projected", mountPath = "/projected" }
  end
  for _, extension in ipairs(extensions(c)) do
    out[#out + 1] = { name = extension_name(extension), mountPath = "/extensions/" .. extension.name }
  end
  return out
end

--- Mounts of the init container: all but the token of the account.
function mounts.of_bootstrap(c, instance)
  return common(c, instance)
end

--- Mounts of the container that runs PostgreSQL.
function mounts.of_main(c, instance)
  local out = common(c, instance)
  out[#out + 1] = { name = "kube-api-access", mountPath = TOKEN_PATH, readOnly = true }
  return out
end

return mounts
