--- Instances that go: one too many, or given up by a human. Never the primary.
local instances = require("controllers.cluster.instances")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local pvc = require("desired.pvc")

local scale = {}

--- Deletes an instance with everything it has.
function scale.remove(p, instance)
  for _, volume in ipairs(pvc.volumes(p.spec, instance.name)) do
    local claim = instance.volumes[volume.name]
    if claim and not claim.deleting then
      p:delete("PersistentVolumeClaim", claim)
    end
  end
  if instance.pod and not instance.pod.deleting then
    p:delete("Pod", instance.pod)
  end
  if instance.job and not instance.job.deleting then
    p:delete("Job", instance.job, "Background")
  end
end

--- The primary, and who is to be it.
function scale.is_protected(p, instance)
  return instance.name == p.primary or instance.name == p.status.currentPrimary
    or instance.name == p.status.targetPrimary or (p.lease or {}).holder == instance.name
end

--- Instances that a human has given up: never the primary.
local function abandon(p)
  for _, instance in ipairs(p.instances) do
    local asked = instance.pod and instance.pod.annotations[names.UNRECOVERABLE] == "true"
    if asked and p:is_calm() and not scale.is_protected(p, instance) and not instance.deleting then
      p:event("Normal", "DeleteUnrecoverableInstance", ("Deleting instance %s to clone it anew")
        :format(instance.name))
      scale.remove(p, instance)
      p:say(pass.CREATING, "Replacing unrecoverable instance " .. instance.name, 5)
    end
  end
end

--- The instance that goes: the last that does not run, else the ready one with the highest serial.
local function victim(p)
  local idle, last
  for _, instance in ipairs(p.instances) do
    if instance.data and not instance.deleting and not scale.is_protected(p, instance) then
      if not instance.is_ready then
        idle = instance
      else
        last = instance
      end
    end
  end
  return idle or last
end

local function scale_down(p)
  if instances.standing(p) <= p.spec.instances or not p:is_calm() or p.restrained then
    return
  end
  local one = victim(p)
  if one then
    p:event("Normal", "ScaleDown", "Scaling down: removing instance " .. one.name)
    scale.remove(p, one)
    p:say(pass.WAITING, "Removing instance " .. one.name, 1)
  end
end

--- A pass that was cut short has begun to remove a replica: its volume waits for the pod.
local function finish(p)
  for _, instance in ipairs(p.instances) do
    local pod, data = instance.pod, instance.data
    if data and data.deleting and pod and not pod.deleting and p:is_calm()
      and not scale.is_protected(p, instance) then
      p:delete("Pod", pod)
      p:say(pass.WAITING, ("Removing instance %s, whose volume is going"):format(instance.name), 1)
    end
  end
end

--- Plans what goes, at most one instance for being too many.
function scale.plan(p)
  finish(p)
  abandon(p)
  scale_down(p)
end

return scale
