--- Rolling update: replicas one at a time, the primary last, and only while everything else is well. Whether
--- now is the time, and who is next, is what rollout/v1 says.
local access = require("admission.access")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local restarts = require("controllers.cluster.restarts")
local roles = require("controllers.cluster.roles")
local time = require("desired.time")

-- luacheck: read globals null
local rollout = {}

local LOOK_S = 300

local function restart(p, instance, why)
  p:act(order { pod = instance.name, command = "restart", reason = why })
end

local function update_replica(p, one, why)
  local instance = one.instance
  local note = ("Restarting instance %s, because: %s"):format(instance.name, why)
  p:event("Normal", "UpgradingInstance", note)
  if one.kind == "pod" then
    p:delete("Pod", instance.pod)
  else
    restart(p, instance, why)
  end
  p:say(pass.UPGRADING, note, 1)
end

local function switch_away(p, why)
  local heir = restarts.heir(p)
  if not heir then
    p:say(pass.UPGRADING, "no replica can take over from " .. p.primary .. " yet", 5)
    return
  end
  roles.switch(p, heir.name, "Switchover", ("switching over from %s to %s, because: %s")
    :format(p.primary, heir.name, why))
end

local function update_primary(p, one, method, why)
  local instance = one.instance
  local note = ("Restarting instance %s, because: %s"):format(instance.name, why)
  if p.spec.primaryUpdateStrategy == "supervised" then
    p:say(pass.USER, ("%s needs a switchover or a restart, because: %s"):format(instance.name, why), 60)
  elseif method == "switchover" and #p.instances > 1 and not one.in_place then
    switch_away(p, why)
  elseif one.kind == "restart" then
    restart(p, instance, why)
    p:say(pass.UPGRADING, note, 1)
  else
    -- Its manager and the protocol have to know before it stops that nobody shall take over.
    if p.status.phase == pass.NO_SWITCHOVER then
      p:event("Normal", "UpgradingInstance", note)
      p:delete("Pod", instance.pod)
    end
    p:say(pass.NO_SWITCHOVER, note, 0.5)
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

--- "a", "a and b", "a, b and c"
local function list(words)
  local head = table.concat(words, ", ", 1, #words - 1)
  return #words > 1 and head .. " and " .. words[#words] or words[1]
end

--- The beginning of a rollout that a policy may draw out is kept, so that a new operator knows it too.
local function keep_since(p, is_wanted)
  local there = access.text(p.cluster, "metadata", "annotations", names.ROLLOUT_SINCE)
  if is_wanted and not there then
    p:annotate { [names.ROLLOUT_SINCE] = time.rfc3339(p.now) }
  elseif not is_wanted and there then
    p:annotate { [names.ROLLOUT_SINCE] = null }
  end
end

local function announce(p, said)
  if said.error then
    p:event("Warning", "PolicyFailed", ("rollout/v1 by %s: %s; the built-in order decides")
      :format(said.by or "?", pass.text_of(said.error)))
  end
end

--- A time that is near is another one at every look: it is not told.
local function delay(p, said, due)
  local answer = said.answer
  local at, left = answer.at or p.now, (answer.at or p.now) - p.now
  local text = ("%s: %s has to be restarted, because: %s; %s"):format(said.by or "rollout/v1",
    due[1].instance.name, due[1].why, answer.message or answer.reason or "not now")
  if left >= 60 then
    text = ("%s (until %s)"):format(text, time.rfc3339(at))
  end
  p:say(pass.DELAYED, text, math.max(1, math.min(left, LOOK_S)))
end

--- Who is next, and how; nil when it is not the time.
---@return cluster.Due?
---@return string? method
local function choose(p, due)
  local said = p.seen.rollout
  if not said then
    return due[1], restarts.method(p, due[1])
  end
  if said.by ~= "built-in" then
    keep_since(p, true)
  end
  announce(p, said)
  local answer = said.answer or {}
  if said.pending then
    p:say(pass.DELAYED, "rollout/v1 is asked again in a moment", 1)
  elseif answer.action == "wait" then
    delay(p, said, due)
  elseif answer.action == "update" then
    for _, one in ipairs(due) do
      if one.instance.name == answer.target then
        return one, answer.method
      end
    end
  else
    return due[1], restarts.method(p, due[1])
  end
  return nil
end

--- Plans the next step of a rolling update, if one is due.
function rollout.plan(p)
  if asked_in_place(p) or not restarts.is_steady(p) then
    return
  end
  local due, unread = restarts.due(p)
  if #due == 0 then
    if unread then
      p:say(pass.UPGRADING, ("%s %s not read the new configuration yet"):format(list(unread),
        #unread > 1 and "have" or "has"), 1)
    else
      keep_since(p, false)
    end
    return
  end
  local one, method = due[1], restarts.method(p, due[1])
  if not restarts.is_users(p, due) then
    one, method = choose(p, due)
  end
  if one and one.instance.name == p.primary then
    update_primary(p, one, method, one.why)
  elseif one then
    update_replica(p, one, one.why)
  end
end

return rollout
