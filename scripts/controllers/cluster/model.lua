--- The instances of a cluster, put together from volumes, pods, jobs and reports.
-- luacheck: read globals array
local names = require("desired.names")
local pvc = require("desired.pvc")
local sorted = require("desired.sorted")

local model = {}

---@class cluster.Instance
---@field name string
---@field serial integer
---@field volumes table<string, table> its PersistentVolumeClaims by name
---@field data table? the claim with the data
---@field is_filled boolean the data volume holds a whole data directory
---@field is_complete boolean all volumes are there
---@field deleting boolean a volume is going away
---@field pod table?
---@field job table? the job that fills the volume
---@field job_state string? running, done or failed
---@field report table? last word of the manager in this pod
---@field is_connected boolean
---@field is_ready boolean by the word of the kubelet

local function instance_of(found, cluster, name)
  local serial = names.serial(cluster, name)
  if not serial then
    return nil
  end
  found[name] = found[name] or { name = name, serial = serial, volumes = {}, deleting = false }
  return found[name]
end

local function add_volumes(found, seen, cluster)
  for _, claim in ipairs(seen.volumes) do
    local instance = instance_of(found, cluster, claim.labels[names.INSTANCE])
    if instance then
      instance.volumes[claim.name] = claim
      instance.deleting = instance.deleting or claim.deleting
      if claim.name == instance.name then
        instance.data = claim
      end
    end
  end
end

--- The job controller writes the end of a job late: the pod says it first.
local function pod_succeeded(seen, job)
  for _, pod in ipairs(seen.pods) do
    if pod.owner and pod.owner.uid == job.uid and pod.phase == "Succeeded" then
      return true
    end
  end
  return false
end

local function add_jobs(found, seen, cluster)
  for _, job in ipairs(seen.jobs) do
    local instance = instance_of(found, cluster, job.labels[names.INSTANCE])
    if instance then
      instance.job = job
      if job.done or pod_succeeded(seen, job) then
        instance.job_state = "done"
      else
        instance.job_state = job.failed and "failed" or "running"
      end
    end
  end
end

local function add_pods(found, seen, cluster)
  for _, pod in ipairs(seen.pods) do
    local instance = pod.labels[names.POD_ROLE] == "instance" and instance_of(found, cluster, pod.name)
    if instance then
      instance.pod = pod
      instance.report = seen.reports[pod.name]
    end
  end
end

local function finish(instance, spec)
  instance.is_filled = instance.data ~= nil and instance.data.annotations[names.PVC_STATUS] == "ready"
  instance.is_complete = true
  for _, volume in ipairs(pvc.volumes(spec, instance.name)) do
    instance.is_complete = instance.is_complete and instance.volumes[volume.name] ~= nil
  end
  local pod = instance.pod
  instance.is_ready = pod ~= nil and pod.ready and not pod.deleting
  instance.is_connected = instance.report ~= nil and instance.report.connected and not pod.deleting
end

--- Puts the instances together, by serial.
---@param seen table
---@param spec table of the Cluster, with its defaults
---@return cluster.Instance[] instances
---@return table<string, cluster.Instance> by_name
function model.build(seen, spec)
  local found, cluster = {}, seen.cluster.metadata.name
  add_volumes(found, seen, cluster)
  add_jobs(found, seen, cluster)
  add_pods(found, seen, cluster)
  local list = {}
  for _, instance in sorted.pairs(found) do
    finish(instance, spec)
    list[#list + 1] = instance
  end
  table.sort(list, function(a, b)
    return a.serial < b.serial
  end)
  return list, found
end

--- True when PostgreSQL in there runs as the primary, so that a replica can be cloned from it.
---@param instance cluster.Instance?
function model.accepts_replicas(instance)
  local report = instance and instance.is_connected and instance.report
  if not report then
    return false
  end
  local own = report.moonherd
  if own.role then
    return own.role == "primary" and own.pgUp ~= false and (own.phase or "running") == "running"
  end
  return report.isPrimary == true and report.mightBeUnavailable ~= true
end

return model
