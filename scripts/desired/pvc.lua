--- The volumes of an instance.
-- luacheck: read globals array
local access = require("admission.access")
local meta = require("desired.meta")
local names = require("desired.names")

local pvc = {}

local APP = {
  ["app.kubernetes.io/name"] = "postgresql", ["app.kubernetes.io/component"] = "database",
  ["app.kubernetes.io/managed-by"] = "cloudnative-pg",
}

---@class desired.Volume
---@field name string of the PersistentVolumeClaim
---@field role string PG_DATA, PG_WAL or PG_TABLESPACE
---@field storage table StorageConfiguration
---@field tablespace string?

--- The volumes that an instance has to have, data first.
---@param spec table
---@param instance string
---@return desired.Volume[]
function pvc.volumes(spec, instance)
  local out = { { name = instance, role = "PG_DATA", storage = spec.storage or {} } }
  if spec.walStorage then
    out[#out + 1] = { name = names.wal_volume(instance), role = "PG_WAL", storage = spec.walStorage }
  end
  for _, entry in ipairs(spec.tablespaces or {}) do
    out[#out + 1] = { name = names.tablespace_volume(instance, entry.name), role = "PG_TABLESPACE",
      storage = entry.storage or {}, tablespace = entry.name }
  end
  return out
end

--- The size that is asked for, nil when only the template may say.
---@param storage table
---@return string?
function pvc.size(storage)
  return access.text(storage, "size")
    or access.get(storage, "pvcTemplate", "resources", "requests", "storage")
end

local function volume_spec(storage)
  local spec = access.copy(storage.pvcTemplate or {})
  if not access.has(spec, "accessModes") or #spec.accessModes == 0 then
    spec.accessModes = array { "ReadWriteOnce" }
  end
  if access.get(storage, "storageClass") then
    spec.storageClassName = storage.storageClass
  end
  if access.text(storage, "size") then
    spec.resources = spec.resources or {}
    spec.resources.requests = spec.resources.requests or {}
    spec.resources.requests.storage = storage.size
  end
  return spec
end

---@param c desired.Context
---@param instance string
---@param serial integer
---@param volume desired.Volume
---@param status string initializing or ready
function pvc.build(c, instance, serial, volume, status)
  local object = meta.object(c, "PersistentVolumeClaim", volume.name, pvc.labels(instance, volume),
    { [names.SERIAL] = tostring(serial), [names.PVC_STATUS] = status })
  object.spec = volume_spec(volume.storage)
  return object
end

---@param instance string
---@param volume desired.Volume
function pvc.labels(instance, volume)
  return meta.merged(APP, {
    [names.INSTANCE] = instance, [names.PVC_ROLE] = volume.role, [names.TABLESPACE] = volume.tablespace,
  })
end

return pvc
