--- Labels, annotations and owners that all objects of a cluster have in common.
-- luacheck: read globals array
local names = require("desired.names")
local sorted = require("desired.sorted")

local meta = {}

meta.PEER_GROUP = "postgresql.cnpg.io"

---@class desired.Context what every builder gets
---@field cluster table the Cluster with its defaults
---@field spec table its spec
---@field name string
---@field namespace string
---@field operator table namespace, image, cluster_domain, ...
---@field image string of PostgreSQL
---@field major integer version of PostgreSQL

---@param cluster table with its defaults
---@param operator table
---@param image string?
---@param major integer?
---@return desired.Context
function meta.context(cluster, operator, image, major)
  return {
    cluster = cluster, spec = cluster.spec, operator = operator, image = image, major = major,
    name = cluster.metadata.name, namespace = cluster.metadata.namespace,
  }
end

--- Later maps win.
local function merged(...)
  local out = {}
  for i = 1, select("#", ...) do
    for key, value in sorted.pairs((select(i, ...))) do
      out[key] = value
    end
  end
  return next(out) ~= nil and out or nil
end

meta.merged = merged

---@param c desired.Context
function meta.owner(c)
  return {
    apiVersion = c.cluster.apiVersion, kind = "Cluster", name = c.name, uid = c.cluster.metadata.uid,
    controller = true,
  }
end

--- app.kubernetes.io labels; without a known version there is no label for it.
---@param c desired.Context
function meta.standard(c)
  return {
    ["app.kubernetes.io/name"] = "postgresql",
    ["app.kubernetes.io/instance"] = c.name,
    ["app.kubernetes.io/version"] = c.major and tostring(c.major) or nil,
    ["app.kubernetes.io/component"] = "database",
    ["app.kubernetes.io/managed-by"] = "cloudnative-pg",
  }
end

--- A glob as a pattern: only * is special.
local function pattern(glob)
  return "^" .. glob:gsub("[^%w*]", "%%%0"):gsub("%*", ".*") .. "$"
end

--- The entries of a map that one of the globs fits.
local function matching(map, globs)
  local out = {}
  for key, value in sorted.pairs(map) do
    for _, glob in ipairs(globs or {}) do
      if key:find(pattern(glob)) then
        out[key] = value
      end
    end
  end
  return out
end

--- Labels of a child: inherited ones, the cluster's name, and what is given.
function meta.labels(c, ...)
  return merged(matching(c.cluster.metadata.labels, c.operator.inherited_labels),
    (c.spec.inheritedMetadata or {}).labels, { [names.CLUSTER] = c.name }, ...)
end

function meta.annotations(c, ...)
  return merged(matching(c.cluster.metadata.annotations, c.operator.inherited_annotations),
    (c.spec.inheritedMetadata or {}).annotations, { [names.OPERATOR_VERSION] = names.COMPATIBLE }, ...)
end

--- An object that the cluster owns.
---@param c desired.Context
---@param kind string
---@param name string
---@param labels table?
---@param annotations table?
function meta.object(c, kind, name, labels, annotations)
  return {
    apiVersion = meta.VERSIONS[kind], kind = kind,
    metadata = {
      name = name, namespace = c.namespace,
      labels = meta.labels(c, labels), annotations = meta.annotations(c, annotations),
      ownerReferences = array { meta.owner(c) },
    },
  }
end

meta.VERSIONS = {
  Pod = "v1", PersistentVolumeClaim = "v1", Service = "v1", Secret = "v1", ServiceAccount = "v1",
  Job = "batch/v1", Role = "rbac.authorization.k8s.io/v1", RoleBinding = "rbac.authorization.k8s.io/v1",
  PodDisruptionBudget = "policy/v1", Lease = "coordination.k8s.io/v1",
}

--- The API group of an apiVersion.
---@param api_version string
---@return string
function meta.group(api_version)
  return api_version:match("^(.*)/[^/]*$") or ""
end

return meta
