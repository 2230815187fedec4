--- Rolling update: replicas one at a time, the primary last, and only while everything else is well.
-- luacheck: read globals array
local access = require("admission.access")
local decode = require("admission.json").decode
local hash = require("desired.hash")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local pod = require("desired.pod")
local roles = require("controllers.cluster.roles")
local shapes = require("controllers.cluster.shapes")

local rollout = {}

local function newest_restart(p)
  return access.text(p.cluster, "metadata", "annotations", names.RESTARTED_AT)
end

--- Why a pod has to be made anew, or nil.
local function stale_pod(p, instance)
  local actual = instance.pod
  if actual.image ~= p.info.image then
    return ("the image is %s and shall be %s"):format(tostring(actual.image), p.info.image)
  end
  local asked = newest_restart(p)
  if asked and asked > (actual.annotations[names.RESTARTED_AT] or "") then
    return "a restart was asked for at " .. asked
  end
  if access.get(p.cluster, "metadata", "annotations", names.RECONCILE_POD_SPEC) == "disabled" then
    return nil
  end
  local placement = decode(actual.annotations[names.PLACEMENT])
  local wanted = pod.build(shapes.context(p, instance.name), instance.name, instance.serial, placement)
  if actual.spec_hash and hash.of(wanted.metadata.annotations[names.POD_SPEC]) ~= actual.spec_hash then
    return "the specification of the pod changed"
  end
  return nil
end

--- What an instance needs: "pod" or "restart", and why; nil when it is up to date.
local function need(p, instance)
  local why = stale_pod(p, instance)
  if why then
    return "pod", why
  end
  if instance.is_connected and instance.report.pendingRestart then
    return "restart", "parameters changed that need a restart"
  end
  return nil
end

--- True when one more instance may be down.
local function is_steady(p)
  if p.verdict.state ~= "healthy" or p.restrained or p.phase then
    return false
  end
  if not p.primary or roles.target(p.status, p.lease, p.seen.pods) ~= p.primary then
    return false
  end
  for _, instance in ipairs(p.instances) do
    local away = not instance.is_ready or instance.job or instance.deleting
      or (instance.is_connected and instance.report.mightBeUnavailable)
    if away then
      return false
    end
  end
  return #p.instances == p.spec.instances
end

local function restart(p, instance, why)
  p:act { op = "instance", pod = instance.name, command = "restart", reason = why }
end

local function update_replica(p, instance, kind, why)
  local note = ("Restarting instance %s, because: %s"):format(instance.name, why)
  p:event("Normal", "UpgradingInstance", note)
  if kind == "pod" then
    p:delete("Pod", instance.pod)
  else
    restart(p, instance, why)
  end
  p:say(pass.UPGRADING, note, 1)
end

local function best_replica(p)
  for _, instance in ipairs(p.instances) do
    if roles.can_take_over(p, instance) then
      return instance
    end
  end
  return nil
end

local function switch_away(p, why)
  local heir = best_replica(p)
  if not heir then
    p:say(pass.UPGRADING, "no replica can take over from " .. p.primary .. " yet", 5)
    return
  end
  roles.switch(p, heir.name, "Switchover", ("switching over from %s to %s, because: %s")
    :format(p.primary, heir.name, why))
end

--- `in_place`: the role must not move.
local function update_primary(p, instance, kind, why, in_place)
  local note = ("Restarting instance %s, because: %s"):format(instance.name, why)
  if p.spec.primaryUpdateStrategy == "supervised" then
    p:say(pass.USER, ("%s needs a switchover or a restart, because: %s"):format(instance.name, why), 60)
  elseif p.spec.primaryUpdateMethod == "switchover" and #p.instances > 1 and not in_place then
    switch_away(p, why)
  elseif kind == "restart" then
    restart(p, instance, why)
    p:say(pass.UPGRADING, note, 1)
  else
    p:event("Normal", "UpgradingInstance", note)
    p:delete("Pod", instance.pod)
    p:say(pass.NO_SWITCHOVER, note, 1)
  end
end

--- The plugin asks for a restart in place by writing the phase.
local function asked_in_place(p)
  local primary = p.primary and p.by_name[p.primary]
  if p.status.phase ~= pass.IN_PLACE or not primary or not primary.is_connected or not p:is_calm() then
    return false
  end
  restart(p, primary, p.status.phaseReason or "Requested by the user")
  p:say(pass.WAITING, ("Restarting PostgreSQL of %s in place"):format(primary.name), 1)
  return true
end

--- Lower limits must reach the primary first: a replica may not have less than it. A switchover would only
--- hand the same wish to the next one.
local function primary_first(p)
  local primary = p.by_name[p.primary]
  return primary and primary.is_connected and primary.report.pendingRestartForDecrease == true
end

--- Plans the next step of a rolling update, if one is due.
function rollout.plan(p)
  if asked_in_place(p) or not is_steady(p) then
    return
  end
  local primary = p.by_name[p.primary]
  if primary and primary_first(p) then
    update_primary(p, primary, "restart", "parameters changed that need a restart", true)
    return
  end
  local fenced = roles.fenced(p)
  for at = #p.instances, 1, -1 do
    local instance = p.instances[at]
    if instance.name ~= p.primary and not fenced[instance.name] then
      local kind, why = need(p, instance)
      if kind then
        update_replica(p, instance, kind, why)
        return
      end
    end
  end
  local kind, why
  if primary then
    kind, why = need(p, primary)
  end
  if kind then
    update_primary(p, primary, kind, why)
  end
end

return rollout
