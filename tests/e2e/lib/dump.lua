--- A cluster as text that two clusters which went the same way have in common: objects and rows without names, times,
--- addresses and numbers that chance gives.
local kube = require("kube")
local M = {}

local kinds = {
  { "Pod", "/api/v1", "pods" }, { "PersistentVolumeClaim", "/api/v1", "persistentvolumeclaims" },
  { "Service", "/api/v1", "services" }, { "Secret", "/api/v1", "secrets" },
  { "ConfigMap", "/api/v1", "configmaps" }, { "ServiceAccount", "/api/v1", "serviceaccounts" },
  { "Job", "/apis/batch/v1", "jobs" }, { "PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets" },
  { "Lease", "/apis/coordination.k8s.io/v1", "leases" }, { "Role", "/apis/rbac.authorization.k8s.io/v1", "roles" },
  { "RoleBinding", "/apis/rbac.authorization.k8s.io/v1", "rolebindings" },
}

-- Given by the API server, the scheduler or the moment.
local chance = {}
local words = [[uid resourceVersion creationTimestamp managedFields generation clusterIP clusterIPs volumeName nodeName
  deletionTimestamp selfLink generateName controller blockOwnerDeletion apiVersion terminationGracePeriodSeconds
  volume.kubernetes.io/selected-node]]
for word in words:gmatch("%S+") do
  chance[word] = true
end

local function text_of(s, name)
  s = s:gsub("%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x", "UUID")
  s = s:gsub("%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[%.%d]*Z?", "TIME")
  s = s:gsub("%d+%.%d+%.%d+%.%d+", "ADDRESS")
  s = s:gsub("%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x+", "HASH")
  return (s:gsub("%f[%w]" .. name:gsub("%p", "%%%0") .. "%f[^%w]", "NAME"))
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do
    keys[#keys + 1] = k
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function flatten(out, prefix, value, name)
  if type(value) ~= "table" then
    out[#out + 1] = prefix .. " = " .. text_of(tostring(value), name)
    return
  end
  for _, k in ipairs(sorted_keys(value)) do
    local key = tostring(k)
    local random = chance[key] or key:lower():find("hash") or key:find("Time") or key:find("kube%-api%-access")
    if not random then
      flatten(out, prefix .. "." .. text_of(key, name), value[k], name)
    end
  end
end

--- The part of an object that must be the same.
local function essence(kind, o)
  local meta = { labels = o.metadata.labels, annotations = o.metadata.annotations, owners = o.metadata.ownerReferences }
  if kind == "Secret" then
    local keys = {}
    for k in pairs(o.data or {}) do
      keys[k] = "set"
    end
    return { metadata = meta, type = o.type, keys = keys }
  elseif kind == "Lease" then
    return { owners = o.metadata.ownerReferences, holder = o.spec and o.spec.holderIdentity }
  end
  return { metadata = meta, spec = o.spec, data = o.data, rules = o.rules, subjects = o.subjects, roleRef = o.roleRef }
end

local function status_essence(s)
  local conditions = {}
  for _, c in ipairs(s.conditions or {}) do
    conditions[c.type] = c.status
  end
  return { phase = s.phase, currentPrimary = s.currentPrimary, targetPrimary = s.targetPrimary, instances = s.instances,
    readyInstances = s.readyInstances, healthyPVC = s.healthyPVC, danglingPVC = s.danglingPVC, conditions = conditions }
end

--- List of lines, sorted. `sql` (nil or a query) adds rows as the primary has them.
function M.take(cluster, sql)
  local out = {}
  for _, k in ipairs(kinds) do
    for _, o in ipairs(kube.list(("%s/namespaces/%s/%s"):format(k[2], cluster.namespace, k[3]))) do
      local n = o.metadata.name
      local ours = (o.metadata.labels or {})["cnpg.io/cluster"] == cluster.name or n == cluster.name
        or n:find(cluster.name .. "-", 1, true) == 1
      if ours then
        flatten(out, k[1] .. "/" .. text_of(n, cluster.name), essence(k[1], o), cluster.name)
        out[#out + 1] = k[1] .. "/" .. text_of(n, cluster.name)
      end
    end
  end
  local c = cluster:get()
  flatten(out, "Cluster", { spec = c.spec, status = status_essence(c.status) }, cluster.name)
  if sql then
    for row in cluster:admin(sql, nil, "app"):gmatch("[^\n]+") do
      out[#out + 1] = "row " .. row
    end
  end
  table.sort(out)
  return out
end

--- What one has and the other has not: list of "- line" and "+ line"; empty when they are the same.
function M.compare(a, b)
  local count, out = {}, {}
  for _, l in ipairs(a) do
    count[l] = (count[l] or 0) - 1
  end
  for _, l in ipairs(b) do
    count[l] = (count[l] or 0) + 1
  end
  for _, l in ipairs(sorted_keys(count)) do
    if count[l] ~= 0 then
      out[#out + 1] = (count[l] < 0 and "- " or "+ ") .. l
    end
  end
  return out
end

return M
