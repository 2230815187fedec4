--- A replica that stays broken: heal/v1 says what is tried. Managers mend by themselves what they can (they
--- start PostgreSQL again, rewind, copy anew); here is what only the operator can do: a new pod, or a new
--- volume. Without a policy nothing is tried, and without all others being well no data is given up.
-- luacheck: read globals array null
local access = require("admission.access")
local decode = require("admission.json").decode
local json = require("desired.json")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local roles = require("controllers.cluster.roles")
local scale = require("controllers.cluster.scale")
local time = require("desired.time")

local heal = {}

local PATIENCE_S = 30
local WELL_S = 300
local LOOK_S = 300
local DISK_FULL = 4

--- {instance, since, attempts} of what was tried last, or nil.
local function kept(p)
  local found = decode(access.text(p.cluster, "metadata", "annotations", names.HEAL))
  return type(found) == "table" and type(found.instance) == "string" and found or nil
end

--- Since when the kubelet calls the pod ready, or not ready.
local function changed_at(instance)
  return instance.pod and instance.pod.ready_changed
end

local function is_broken(p, instance, fenced)
  local pod, since = instance.pod, changed_at(instance)
  return pod and since and not instance.is_ready and not pod.deleting and not instance.job
    and instance.is_filled and not instance.deleting and not fenced[instance.name] and not fenced["*"]
    and not scale.is_protected(p, instance) and p.now - since >= PATIENCE_S
end

local function first_broken(p)
  local fenced = roles.fenced(p)
  for _, instance in ipairs(p.instances) do
    if is_broken(p, instance, fenced) then
      return instance
    end
  end
  return nil
end

local function is_crashing(own, container)
  return (own.crashes or 0) > 1 or (container.restarts or 0) > 1
end

local function problem_of(p, instance)
  local own = instance.report and instance.report.moonherd or {}
  local container = instance.pod.container or {}
  if access.get(p.seen.nodes, instance.pod.node or "", "ready") == false then
    return "node_lost"
  elseif own.diskFull or container.exit_code == DISK_FULL then
    return "disk_full"
  elseif own.phase == "rewinding" then
    return "diverged"
  elseif is_crashing(own, container) then
    return "crashing"
  end
  return own.pgUp == false and "not_starting" or "unknown"
end

--- Others that are well.
local function healthy(p, instance)
  local count = 0
  for _, other in ipairs(p.instances) do
    local is_well = other ~= instance and other.is_ready and other.is_connected
    local own = is_well and other.report.moonherd or {}
    local follows = other.name == p.primary or own.receiverActive ~= false
    count = count + (is_well and own.pgUp ~= false and follows and 1 or 0)
  end
  return count
end

--- What is safe now, the mildest first.
local function steps_of(p, problem, count)
  local out = array {}
  if problem ~= "node_lost" then
    out:add("restart")
  end
  if count >= math.max(1, p.spec.instances - 1) then
    out:add("reclone")
  end
  return out
end

local function attempts_of(p, instance)
  local found = kept(p)
  local is_same = found and found.instance == instance.name
  local out = array {}
  for _, one in ipairs(is_same and access.list(found, "attempts") or {}) do
    out[#out + 1] = { step = one.step, at = one.at }
  end
  return out, is_same and access.int(found, "since") or changed_at(instance)
end

--- Asks about the first one that stays broken, while the role rests.
---@param ctx table
---@param out table what is seen, with the verdict and nodes
---@param cluster table with its defaults
function heal.observe(ctx, out, cluster)
  local p = pass.new(out, cluster)
  local is_asleep = access.get(cluster, "metadata", "annotations", names.HIBERNATION) == "on"
  local primary = p.by_name[p.primary]
  if p.verdict.state ~= "healthy" or is_asleep or not primary or not primary.is_ready then
    return
  end
  local instance = first_broken(p)
  if not instance then
    return
  end
  local problem, count = problem_of(p, instance), healthy(p, instance)
  local attempts, since = attempts_of(p, instance)
  local node = instance.pod.node
  local said = ctx.policy("heal/v1", {
    cluster = { name = p.name, namespace = p.namespace, instances = p.spec.instances,
      labels = p.cluster.metadata.labels or {} },
    instance = { name = instance.name, node = node, zone = access.get(p.seen.nodes, node or "", "zone") },
    problem = problem, since = since, attempts = attempts, healthy = count,
    steps = steps_of(p, problem, count), now = p.now,
  }, "claimed")
  out.heal = { instance = instance.name, since = since, problem = problem, attempts = attempts, by = said.by,
    error = said.error, pending = said.pending, answer = said.answer }
end

--- What was tried is forgotten when its instance is gone, or well for some minutes.
local function forget(p)
  local found = kept(p)
  if not found then
    return
  end
  local instance = p.by_name[found.instance]
  local since = instance and changed_at(instance)
  if not instance or instance.is_ready and since and p.now - since >= WELL_S then
    p:annotate { [names.HEAL] = null }
  end
end

local function try(p, said, instance, step)
  local note = ("%s is tried with instance %s (%s), as %s says"):format(step, instance.name, said.problem,
    said.by)
  said.attempts[#said.attempts + 1] = { step = step, at = p.now }
  p:annotate { [names.HEAL] = json.encode { instance = instance.name, since = said.since,
    attempts = said.attempts } }
  p:event("Warning", "HealInstance", note)
  if step == "restart" then
    p:delete("Pod", instance.pod)
  else
    scale.remove(p, instance)
  end
  p:say(pass.WAITING, note, 1)
end

local function delay(p, said, answer)
  local at = answer.at or p.now
  local text = ("%s is broken (%s); %s: %s"):format(said.instance, said.problem, said.by,
    answer.message or answer.reason or "not now")
  if at - p.now >= 60 then
    text = ("%s (until %s)"):format(text, time.rfc3339(at))
  end
  p:say(pass.WAITING, text, math.max(1, math.min(at - p.now, LOOK_S)))
end

local function refuse(p, said)
  p:event("Warning", "PolicyFailed", ("heal/v1 by %s: %s; nothing is tried with %s"):format(said.by or "?",
    pass.text_of(said.error), said.instance))
end

local function carry_out(p, said, instance)
  local answer = said.answer or {}
  if answer.action == "wait" then
    delay(p, said, answer)
  elseif answer.step == "restart" or answer.step == "reclone" then
    try(p, said, instance, answer.step)
  end
end

--- Does what the policy says, one step with one instance.
function heal.plan(p)
  local said = access.copy(p.seen.heal)
  local instance = said and p.by_name[said.instance]
  if not instance or said.pending then
    forget(p)
  elseif said.error then
    refuse(p, said)
  elseif said.by == "built-in" then
    forget(p)
  elseif not p.phase and p:is_calm() and not p.restrained then
    carry_out(p, said, instance)
  end
end

return heal
