--- Instances come, are filled, started and replaced. What has to be made is told first as intents, so that
--- the placement policy is asked about each; making them is the second half.
-- luacheck: read globals array
local access = require("admission.access")
local affinity = require("desired.affinity")
local job = require("desired.job")
local model = require("controllers.cluster.model")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local pod = require("desired.pod")
local pvc = require("desired.pvc")
local shapes = require("controllers.cluster.shapes")

local instances = {}

---@class cluster.Intent
---@field kind string first; new: one more; job: its volume has to be filled; pod: it has to run
---@field name string
---@field serial integer

--- True while a Cluster is asleep, or falls asleep.
local function is_hibernating(p)
  return access.get(p.cluster, "metadata", "annotations", names.HIBERNATION) == "on"
end

--- Another instance whose data is whole, so that this one must be cloned and never be made anew.
local function has_data(p)
  for _, instance in ipairs(p.instances) do
    if instance.is_filled then
      return true
    end
  end
  return p:is_initialized()
end

--- The instance that replicas can be cloned from, or nil. One that was elected has all that was ever
--- acknowledged, whether clients are let in or not.
local function parent(p)
  local elected = p.lease and p.lease.phase == "promoting" and p.lease.holder
  local holder = p.primary or elected
  for _, instance in ipairs(p.instances) do
    if (not holder or holder == instance.name) and model.accepts_replicas(instance) then
      return instance
    end
  end
  return nil
end

local function intent_of(p, instance)
  if instance.deleting or not instance.data then
    return nil
  end
  if instance.pod then
    return nil
  end
  if instance.is_filled or instance.job_state == "done" then
    return "pod"
  end
  if not instance.job and (not has_data(p) or parent(p)) then
    return "job"
  end
  return nil
end

--- The lowest serials that nothing has, and nothing had a moment ago.
local function unused(p, count)
  local out, serial = {}, 1
  while #out < count do
    local name = names.instance(p.name, serial)
    local is_taken = p.by_name[name] or p.seen.foreign["PersistentVolumeClaim/" .. name]
      or p.seen.foreign["Pod/" .. name]
    if not is_taken then
      out[#out + 1] = { name = name, serial = serial }
    end
    serial = serial + 1
  end
  return out
end

--- Instances that count: those that are not going away.
function instances.standing(p)
  local count = 0
  for _, instance in ipairs(p.instances) do
    if instance.data and not instance.deleting then
      count = count + 1
    end
  end
  return count
end

local function missing(p)
  local wanted = p.spec.instances - instances.standing(p)
  if #p.instances == 0 then
    return (not p:is_initialized() and next(p.seen.foreign) == nil) and "first" or nil, 1
  end
  local is_time = p:is_calm() or p.verdict.state == "promoting" -- its gate may need one more
  if wanted > 0 and is_time and parent(p) then
    return "new", wanted
  end
  return nil, 0
end

--- What has to be made now, by serial.
---@return cluster.Intent[]
function instances.intents(p)
  local out = {}
  if is_hibernating(p) then
    return out
  end
  for _, instance in ipairs(p.instances) do
    local kind = intent_of(p, instance)
    if kind then
      out[#out + 1] = { kind = kind, name = instance.name, serial = instance.serial }
    end
  end
  local kind, count = missing(p)
  for _, free in ipairs(kind and unused(p, count) or {}) do
    out[#out + 1] = { kind = kind, name = free.name, serial = free.serial }
  end
  return out
end

local function refuse(p, intent, answer)
  local why = answer.message or answer.reason or "no reason given"
  local text = ("%s is not created: %s"):format(intent.name, why)
  p.refused = p.refused or text
  p:warn(pass.WAITING, text, "PlacementRejected", 30)
  return false
end

local function announce(p, intent, said)
  if said.error then
    p:event("Warning", "PolicyFailed", ("placement/v1 by %s: %s; %s is placed by the built-in rule")
      :format(said.by or "?", pass.text_of(said.error), intent.name))
  elseif said.by and said.by ~= "built-in" then
    p:event("Normal", "PlacementDecision", ("placement/v1 by %s: %s"):format(said.by, intent.name))
  end
end

--- The policy's word for an instance; false when it refuses.
local function placement(p, intent)
  local said = (p.seen.placement or {})[intent.name] or {}
  local answer = said.answer or {}
  if answer.action == "reject" then
    return refuse(p, intent, answer)
  end
  announce(p, intent, said)
  local is_bound = access.get(p.by_name, intent.name, "data", "phase") == "Bound"
  return intent.kind == "pod" and is_bound and affinity.softened(answer) or answer
end

local function create_volumes(p, intent)
  local instance = p.by_name[intent.name]
  for _, volume in ipairs(pvc.volumes(p.spec, intent.name)) do
    if not (instance and instance.volumes[volume.name]) then
      p:act(create(pvc.build(p.c, intent.name, intent.serial, volume,
        volume.role == "PG_DATA" and "initializing" or "ready")))
    end
  end
end

local function create_job(p, intent, where)
  create_volumes(p, intent)
  if has_data(p) then
    local from = parent(p)
    p:act(create(job.join(p.c, intent.name, intent.serial, where, from and from.pod.ip)))
    p:say(pass.CREATING, "Creating replica " .. intent.name, 5)
  else
    p:act(create(job.initdb(p.c, intent.name, intent.serial, where)))
    p:say(pass.SETTING_UP, "Creating primary instance " .. intent.name, 5)
  end
end

local function fulfil(p, intent)
  local where = placement(p, intent)
  if where == false then
    return
  end
  if intent.kind == "pod" then
    create_volumes(p, intent)
    p:act(create(pod.build(shapes.context(p, intent.name), intent.name, intent.serial, where)))
    p:say(p:is_initialized() and pass.WAITING or pass.SETTING_UP, "Starting instance " .. intent.name, 5)
    return
  end
  if intent.kind == "new" then
    p:event("Normal", "CreatingInstance", "Creating instance " .. intent.name)
  end
  if intent.kind == "first" then
    p.fields.targetPrimary = intent.name
  end
  create_job(p, intent, where)
end

local function mark_filled(p, instance)
  local is_running = instance.pod and instance.is_ready and instance.is_connected
  if instance.data and not instance.is_filled and not instance.deleting
    and (instance.job_state == "done" or is_running) then
    p:act(label { kind = "PersistentVolumeClaim", namespace = p.namespace, name = instance.name,
      uid = instance.data.uid, annotations = { [names.PVC_STATUS] = "ready" } })
  end
end

local function retry_job(p, instance)
  if has_data(p) then
    p:delete("Job", instance.job, "Background")
    p:say(pass.CREATING, ("job %s failed: it is tried again"):format(instance.job.name), 5)
  else
    p:warn(pass.UNRECOVERABLE, ("job %s failed: see the log of its pods. HINT: delete the job to try again")
      :format(instance.job.name), "Error", 5)
  end
end

local function retire_job(p, instance)
  if instance.job.deleting then
    return
  end
  if instance.job_state == "failed" then
    retry_job(p, instance)
  elseif instance.job_state == "done" and instance.is_filled and instance.pod then
    p:delete("Job", instance.job, "Foreground")
  elseif not instance.data and not instance.pod then
    p:delete("Job", instance.job, "Background")
  elseif instance.job_state == "running" then
    p:say(has_data(p) and pass.CREATING or pass.SETTING_UP,
      ("waiting for job %s"):format(instance.job.name), 5)
  end
end

--- A pod that ended will not start again by itself. The primary's says to the protocol that it stopped, and
--- stays until that has drawn its conclusion, unless there is nobody else.
local function retire_pod(p, instance)
  local ended = instance.pod
  if ended.deleting or (ended.phase ~= "Succeeded" and ended.phase ~= "Failed") then
    return
  end
  local is_evidence = (p.lease or {}).holder == instance.name and #p.instances > 1
    and not p:is_calm() and p.verdict.state ~= "blocked"
  if not is_evidence then
    p:event("Normal", "DeletePod", ("pod %s has ended (%s): replacing it"):format(ended.name, ended.phase))
    p:delete("Pod", ended)
    p:say(pass.WAITING, ("pod %s has ended and is replaced"):format(ended.name), 1)
  end
end

--- A volume that the manifest got later.
local function complete(p, instance)
  if instance.data and instance.pod and not instance.deleting and not instance.is_complete then
    create_volumes(p, instance)
  end
end

local function check_lost(p)
  if #p.instances == 0 and p:is_initialized() then
    p:warn(pass.UNRECOVERABLE, "all volumes of the cluster are gone", "Error", 10)
  elseif #p.instances == 0 and next(p.seen.foreign) ~= nil then
    local left = access.keys(p.seen.foreign)
    p:warn(pass.UNABLE, ("%s belongs to somebody else: waiting until it is gone"):format(left[1]),
      "InvalidOwnership", 5)
  end
end

--- Plans the instances.
function instances.plan(p)
  check_lost(p)
  for _, instance in ipairs(p.instances) do
    mark_filled(p, instance)
    if instance.job then
      retire_job(p, instance)
    end
    if instance.pod and not is_hibernating(p) then
      retire_pod(p, instance)
    end
    complete(p, instance)
  end
  for _, intent in ipairs(p.intents) do
    fulfil(p, intent)
  end
end

return instances
