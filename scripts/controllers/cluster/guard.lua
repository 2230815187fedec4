--- What keeps a pass from doing anything: a Cluster that is going, paused, in somebody's way, or wrong.
-- luacheck: read globals array null
local access = require("admission.access")
local cluster_checks = require("admission.cluster_checks")
local cluster_defaults = require("admission.cluster_defaults")
local image = require("desired.image")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local pod = require("desired.pod")

local guard = {}

local function env(seen)
  local operator = seen.operator
  return {
    default_image = operator.default_image, include_plugins = operator.include_plugins,
    api_groups = operator.api_groups,
    monitoring_queries_configmap = operator.monitoring_queries_configmap,
    monitoring_queries_secret = operator.monitoring_queries_secret,
  }
end

--- The Cluster with everything that its author left out.
---@param seen table
---@return table
function guard.defaulted(seen)
  return (cluster_defaults.defaults(seen.cluster, env(seen)))
end

--- Why nothing at all is to be done, or nil.
---@param seen table
---@return string?
function guard.rest(seen)
  local meta = seen.cluster.metadata
  if meta.deletionTimestamp then
    return "the cluster is being deleted: what it owns goes with it"
  end
  if not access.has(seen.cluster, "spec") then
    return "the cluster has no spec"
  end
  if access.get(meta, "annotations", names.RECONCILE_LOOP) == "disabled" then
    return "the annotation " .. names.RECONCILE_LOOP .. " says: disabled"
  end
  return nil
end

--- Which of two Clusters was there first.
local function is_older(rival, meta)
  local mine = meta.creationTimestamp or ""
  local his = rival.created or ""
  if his ~= mine then
    return his < mine
  end
  return rival.uid < meta.uid
end

--- True when an older Cluster of this name exists in another API group: this one must not touch anything.
function guard.clash(p)
  for _, rival in ipairs(p.seen.rivals) do
    if is_older(rival, p.cluster.metadata) then
      local text = ("the name is taken by the older Cluster %s/%s of %s: waiting until that is deleted")
        :format(p.namespace, p.name, rival.group)
      p:warn(pass.UNABLE, text, "NameClash", 60)
      p:condition("moonherd.io/NameClash", true, "NameClash", text)
      return true
    end
  end
  for _, condition in ipairs(p.status.conditions or {}) do
    if condition.type == "moonherd.io/NameClash" then
      p.conditions[#p.conditions + 1] = { type = condition.type, status = null }
    end
  end
  return false
end

local UNSUPPORTED = {
  { "bootstrap", "recovery" }, { "bootstrap", "pg_basebackup" }, { "bootstrap", "initdb", "import" },
  { "bootstrap", "initdb", "postInitSQLRefs" }, { "bootstrap", "initdb", "postInitApplicationSQLRefs" },
  { "bootstrap", "initdb", "postInitTemplateSQLRefs" },
}

--- Says so when the manifest asks for a way to begin that does not exist yet.
function guard.is_unsupported(p)
  for _, path in ipairs(UNSUPPORTED) do
    if not p:is_initialized() and access.has(p.spec, table.unpack(path)) then
      p:warn(pass.UNABLE, ("spec.%s is not supported by this version"):format(table.concat(path, ".")),
        "Error", 600)
      return true
    end
  end
  return false
end

--- True when the manifest is wrong: then nothing but changes of role goes on.
function guard.is_invalid(p)
  local with_pod = env(p.seen)
  with_pod.generated_pod = function()
    return pod.build(p.c, names.instance(p.name, 1), 1)
  end
  local faults = cluster_checks.validate(p.cluster, nil, with_pod, p.seen.found)
  if #faults == 0 then
    return false
  end
  p:warn(pass.INVALID, cluster_checks.sentence(faults), "Error", 600)
  return true
end

--- Finds the image. False when there is none, or when it would be another major version.
function guard.resolve_image(p)
  local info, reason = image.resolve(p.spec, p.seen.catalog)
  if not info then
    p:warn(pass.CATALOG, reason, "DiscoverImage", 60)
    return false
  end
  local current = p.status.pgDataImageInfo
  if current and current.majorVersion ~= info.majorVersion then
    p:warn(pass.USER, ("PostgreSQL %d cannot become %d: a major upgrade is not supported by this version")
      :format(current.majorVersion, info.majorVersion), "DiscoverImage", 600)
    return false
  end
  p.info, p.c.image, p.c.major = info, info.image, info.majorVersion
  p.fields.image = info.image
  p.fields.pgDataImageInfo = {
    image = info.image, majorVersion = info.majorVersion, extensions = info.extensions,
  }
  return true
end

return guard
