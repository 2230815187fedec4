--- What is allowed but deserves a word. Numbers do not apply: these never refuse anything.
local access = require("admission.access")
local duration = require("admission.duration")
local parameters = require("desired.parameters")
local quantity = require("admission.quantity")

local warnings = {}

local function maintenance(c)
  if access.has(c.spec, "nodeMaintenanceWindow") then
    c:warn("spec.nodeMaintenanceWindow: disruption budgets protect a cluster while nodes are drained;"
      .. " enablePDB is the better switch")
  end
end

local function uses_store(c)
  if access.has(c.spec, "backup", "barmanObjectStore") then
    return true
  end
  for _, entry in ipairs(access.list(c.spec, "externalClusters")) do
    if access.has(entry, "barmanObjectStore") then
      return true
    end
  end
  return false
end

local function stores(c)
  if uses_store(c) then
    c:warn("barmanObjectStore: deprecated in the API, its removal is planned for 1.31; use a plugin")
  end
  if access.text(c.spec, "backup", "retentionPolicy") and not access.has(c.spec, "backup",
    "barmanObjectStore") then
    c:warn("spec.backup.retentionPolicy: has no effect without barmanObjectStore")
  end
end

local function template_twice(c, path, section)
  local template = access.map(section, "pvcTemplate")
  if access.text(section, "storageClass") and access.text(template, "storageClassName") then
    c:warn(path .. ": storageClass is given twice; the one outside of pvcTemplate is used")
  end
  if access.text(section, "size") and access.get(template, "resources", "requests", "storage") ~= nil then
    c:warn(path .. ": the size is given twice; the one outside of pvcTemplate is used")
  end
end

local function volumes(c)
  template_twice(c, "spec.storage", access.map(c.spec, "storage"))
  template_twice(c, "spec.walStorage", access.map(c.spec, "walStorage"))
  for i, tablespace in ipairs(access.list(c.spec, "tablespaces")) do
    template_twice(c, ("spec.tablespaces[%d].storage"):format(i - 1), access.map(tablespace, "storage"))
  end
end

local function shared_buffers(c)
  local value, has_unit = quantity.memory(c:parameter("shared_buffers"))
  if value and not has_unit then
    c:warn("spec.postgresql.parameters.shared_buffers: PostgreSQL counts a number without unit in pages;"
      .. " add a unit such as MB")
  end
end

local function monitoring(c)
  local section = access.map(c.spec, "monitoring")
  if duration.parse(access.get(section, "metricsQueriesTTL")) == 0 then
    c:warn("spec.monitoring.metricsQueriesTTL: 0 runs every query at every scrape")
  end
  if access.is_true(section, "enablePodMonitor") then
    c:warn("spec.monitoring.enablePodMonitor: deprecated; make the PodMonitor yourself")
  end
  for _, field in ipairs { "podMonitorMetricRelabelings", "podMonitorRelabelings" } do
    if #access.list(section, field) > 0 then
      c:warn(("spec.monitoring.%s: deprecated; make the PodMonitor yourself"):format(field))
    end
  end
end

local function synchronous(c)
  local legacy = (access.int(c.spec, "maxSyncReplicas") or 0) > 0
  if c.instances >= 2 and not legacy and not access.has(c.spec, "postgresql", "synchronous")
    and not parameters.is_replica(c.spec, c.name) then
    c:warn("spec.postgresql.synchronous: without it a failover may lose the last transactions")
  end
end

local function topology(c)
  for _, condition in ipairs(access.list(c.cluster, "status", "conditions")) do
    if access.get(condition, "type") == "SyncReplicationTopologySatisfied"
      and access.get(condition, "status") == "False" then
      c:warn("spec.postgresql.synchronous: standbys are not spread over the failure domains as asked: "
        .. (access.text(condition, "message") or access.text(condition, "reason") or "see status.conditions"))
    end
  end
end

warnings.checks = { maintenance, stores, volumes, shared_buffers, monitoring, synchronous, topology }

return warnings
