--- A cluster asleep: no pods, all volumes.
-- luacheck: read globals array null
local access = require("admission.access")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")

local hibernation = {}

local function previous(p)
  for _, condition in ipairs(p.status.conditions or {}) do
    if condition.type == names.HIBERNATION then
      return condition
    end
  end
  return nil
end

--- The primary goes first, so that nothing is written that the replicas do not have.
local function next_pod(p)
  local last, is_going
  for _, instance in ipairs(p.instances) do
    local pod = instance.pod
    if pod and pod.deleting then
      is_going = true
    elseif pod and ((p.lease or {}).holder == instance.name or not last) then
      last = instance
    end
  end
  return last, is_going
end

local function put_to_sleep(p)
  local instance, is_going = next_pod(p)
  if is_going then
    p:condition(names.HIBERNATION, false, "WaitingPodsDeletion", "Waiting until the pod is gone")
  elseif instance then
    p:delete("Pod", instance.pod)
    p:condition(names.HIBERNATION, false, "DeletingPods", "Deleting pod " .. instance.name)
  else
    p:condition(names.HIBERNATION, true, "Hibernated", "The cluster hibernates")
  end
  p:say(pass.WAITING, instance and "the cluster falls asleep" or "the cluster hibernates", 5)
end

--- Plans falling asleep and waking. A cluster that is not well is not put to sleep.
function hibernation.plan(p)
  local before = previous(p)
  if access.get(p.cluster, "metadata", "annotations", names.HIBERNATION) ~= "on" then
    if before then
      p.conditions[#p.conditions + 1] = { type = names.HIBERNATION, status = null }
    end
    return
  end
  local is_begun = before and before.reason ~= "WaitingForHealthy"
  local ready = 0
  for _, instance in ipairs(p.instances) do
    ready = ready + (instance.is_ready and 1 or 0)
  end
  if is_begun or (#p.instances == p.spec.instances and ready == #p.instances and p:is_calm()) then
    put_to_sleep(p)
  else
    p:condition(names.HIBERNATION, false, "WaitingForHealthy", "Waiting until all instances are ready")
  end
end

return hibernation
