--- Who is primary. What the protocol wants comes first; the rest here mirrors the Lease and repairs labels.
-- luacheck: read globals array null
local access = require("admission.access")
local decode = require("admission.json").decode
local diff = require("desired.diff")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local time = require("desired.time")

local roles = {}

--- How long a primary may be away that was stopped to be restarted.
roles.RESTART_GRACE_S = 30

local DISK_FULL = 4
local PHASE = { fencing = pass.FAILING_OVER, deciding = pass.FAILING_OVER, promoting = pass.FAILING_OVER,
  switching = pass.SWITCHING, suspect = pass.WAITING, suspected = pass.WAITING, blocked = pass.WAITING }
local NO_WISH = { [""] = true, pending = true }
local MOVING = { fencing = true, deciding = true, promoting = true }

local SETTLED = { stable = true, suspect = true }

local function holds(lease)
  return lease and SETTLED[lease.phase] and lease.holder or nil
end

local function is_there(pods, name)
  for _, pod in ipairs(pods) do
    if pod.name == name and not pod.deleting then
      return true
    end
  end
  return false
end

--- Who shall be primary. A wish for an instance that is not there, and one from before the last failover, is
--- none.
---@param status table of the Cluster
---@param lease table?
---@param pods table[]
---@return string?
function roles.target(status, lease, pods)
  local wish, holder = status.targetPrimary, holds(lease)
  if NO_WISH[wish] then
    wish = nil
  end
  if lease and lease.phase == "promoting" then
    return lease.holder
  end
  if not holder or wish == holder then
    return wish or status.currentPrimary or holder
  end
  local is_stale = wish == status.currentPrimary or not wish
  return (is_stale or not is_there(pods, wish)) and holder or wish
end

--- Names in the annotation fencedInstances.
---@return table<string, boolean>
function roles.fenced(p)
  local list = decode(access.get(p.cluster, "metadata", "annotations", names.FENCED) or "[]")
  local out = {}
  for _, name in ipairs(access.is_array(list) and list or {}) do
    out[name] = true
  end
  return out
end

--- The instance that ended because its disk is full and does not run again: by the last words of its manager,
--- or by its exit code, which the kubelet tells later.
local function disk_full(p)
  for _, instance in ipairs(p.instances) do
    local container = instance.pod and instance.pod.container
    local words = instance.report and instance.report.moonherd
    local ended = container and not container.running and container.exit_code == DISK_FULL
    if ended or words and words.diskFull then
      return instance.name
    end
  end
  return nil
end

--- Why the protocol must not begin anything now, or nil. What it has begun it always ends.
local function restraint(p)
  local primary = p.primary
  if not primary then
    return nil
  end
  local fenced = roles.fenced(p)
  if fenced[primary] or fenced["*"] then
    return pass.WAITING, primary .. " is the primary and is fenced: no failover"
  end
  if access.get(p.cluster, "metadata", "annotations", names.HIBERNATION) == "on" then
    return pass.WAITING, "the cluster hibernates: no failover"
  end
  local full = disk_full(p)
  if full == primary then
    return pass.DISK, "the disk of " .. full .. " is full: no failover into the same condition"
  end
  return nil
end

--- What the policy was asked about, in short; all of it is in the log.
local function candidates_text(list)
  local out = {}
  for i, c in ipairs(list or {}) do
    local facts = { c.zone }
    facts[#facts + 1] = c.sync and "sync" or nil
    facts[#facts + 1] = c.replay_lag and ("%s bytes behind"):format(c.replay_lag)
    out[i] = #facts > 0 and ("%s (%s)"):format(c.name, table.concat(facts, ", ")) or c.name
  end
  return out[1] and "; of " .. table.concat(out, ", ") or ""
end

local function announce_policy(p)
  local policy = p.seen.failover_policy
  if policy and policy.error then
    p:event("Warning", "PolicyFailed", ("failover/v1 by %s: %s; the built-in order decides%s")
      :format(policy.by or "?", pass.text_of(policy.error), candidates_text(policy.candidates)))
  elseif policy then
    p:event("Normal", "FailoverDecision", ("failover/v1 by %s: %s%s"):format(policy.by or "built-in",
      policy.order and table.concat(policy.order, ", ") or policy.reason or "no order",
      candidates_text(policy.candidates)))
  end
end

local function announce(p, phase)
  local state, lease = p.verdict.state, p.lease or {}
  if MOVING[state] and p.status.phase ~= phase then
    p:event("Normal", "FailingOver", p.verdict.reason)
  end
  if state == "promoting" and lease.holder and p.status.targetPrimary ~= lease.holder then
    p:event("Normal", "FailoverTarget", "Failing over to " .. lease.holder)
  end
  announce_policy(p)
end

--- Passes on what the protocol wants. First of all, and whatever else is wrong.
function roles.steps(p)
  local phase, why = restraint(p)
  if phase then
    p.restrained = true
    p:say(phase, why, 10)
    return
  end
  for _, step in ipairs(p.verdict.steps or {}) do
    p:act(step)
  end
  if p:is_calm() then
    local full = disk_full(p)
    if full then
      p:say(pass.DISK, "the disk of " .. full .. " is full", 10)
    end
    return
  end
  phase = PHASE[p.verdict.state] or pass.WAITING
  if phase == pass.WAITING and p.status.phase == pass.NO_SWITCHOVER then
    phase = pass.NO_SWITCHOVER
  end
  announce(p, phase)
  p:say(phase, p.verdict.reason, 1)
end

local function set_role(p, kind, object, role)
  local missing = diff.missing({ [names.ROLE] = role, [names.INSTANCE_ROLE] = role }, object.labels)
  if missing then
    p:act(label { kind = kind, namespace = p.namespace, name = object.name, uid = object.uid,
      labels = missing })
  end
end

--- True when the holder has opened its gate, as far as is known.
local function is_open(instance)
  if not instance.is_connected then
    return true
  end
  local own = instance.report.moonherd
  return own.gate ~= "closed" and (own.role == nil or own.role == "primary")
end

local function role_of(p, instance)
  if instance.name ~= p.primary then
    return "replica"
  end
  local labels = instance.pod.labels
  local is_labelled = labels[names.INSTANCE_ROLE] == "primary"
  return (is_labelled or is_open(instance)) and "primary" or nil
end

local function label_volumes(p, instance, role)
  for _, volume in pairs(instance.volumes) do
    if volume.deleting then
      return
    end
  end
  local list = {}
  for name in pairs(instance.volumes) do
    list[#list + 1] = name
  end
  table.sort(list)
  for _, name in ipairs(list) do
    set_role(p, "PersistentVolumeClaim", instance.volumes[name], role)
  end
end

--- While the role moves nobody who is not known to have it may be found under -rw.
local function withdraw(p)
  local phase = p.lease and p.lease.phase
  if phase ~= "fencing" and phase ~= "promoting" then
    return
  end
  for _, instance in ipairs(p.instances) do
    local pod = instance.pod
    local stays = phase == "promoting" and p.lease.holder == instance.name
    if pod and not pod.deleting and pod.labels[names.INSTANCE_ROLE] == "primary" and not stays then
      set_role(p, "Pod", pod, "unhealthy")
    end
  end
end

--- Repairs the labels that route clients. The managers set them; here is only what they could not.
function roles.labels(p)
  if not p.primary then
    withdraw(p)
    return
  end
  for _, instance in ipairs(p.instances) do
    local pod = instance.pod
    local role = pod and not pod.deleting and role_of(p, instance)
    if role then
      set_role(p, "Pod", pod, role)
      label_volumes(p, instance, role)
    end
  end
end

--- True when an instance may become primary by a planned change.
function roles.can_take_over(p, instance)
  local report = instance.is_ready and instance.is_connected and instance.report
  if not report or instance.name == p.primary or roles.fenced(p)[instance.name] then
    return false
  end
  local node = p.seen.nodes[instance.pod.node or ""]
  local receives = report.moonherd.receiverActive
  if receives == nil then
    receives = report.isWalReceiverActive
  end
  return receives ~= false and not (node and node.drained)
end

--- Asks for a planned change of role: the next pass finds the wish in the status.
function roles.switch(p, to, event, note)
  p.fields.targetPrimary, p.fields.targetPrimaryTimestamp = to, time.micro(p.now)
  p:event("Normal", event, note)
  p:say(pass.SWITCHING, "Switching over to " .. to, 1)
end

--- The node that the primary runs on, when it is being drained and not merely maintained.
local function drained_node(p)
  local node = access.get(p.by_name, p.primary or "", "pod", "node")
  local window = p.spec.nodeMaintenanceWindow or {}
  local is_kept = window.inProgress and window.reusePVC ~= false
  return not is_kept and access.is_true(p.seen.nodes, node or "", "drained") and node or nil
end

--- Moves the role away from a node that is being drained.
function roles.drain(p)
  local node = drained_node(p)
  if not node or p.verdict.state ~= "healthy" or p.restrained
    or roles.target(p.status, p.lease, p.seen.pods) ~= p.primary then
    return
  end
  for _, other in ipairs(p.instances) do
    if roles.can_take_over(p, other) then
      roles.switch(p, other.name, "SwitchingOver", ("node %s is drained: switching over from %s to %s")
        :format(node, p.primary, other.name))
      return
    end
  end
end

--- The fields of the status that mirror the Lease.
function roles.mirror(p)
  local status, fields = p.status, p.fields
  if p.primary and p.primary ~= status.currentPrimary and p.lease.phase == "stable" then
    fields.currentPrimary, fields.currentPrimaryTimestamp = p.primary, time.micro(p.now)
  end
  local target = fields.targetPrimary or roles.target(status, p.lease, p.seen.pods)
  if target and target ~= status.targetPrimary then
    fields.targetPrimary = target
    fields.targetPrimaryTimestamp = time.micro(p.now)
  end
  if not p:is_calm() and p.verdict.state ~= "switching" then
    fields.currentPrimaryFailingSinceTimestamp = status.currentPrimaryFailingSinceTimestamp
      or time.micro(p.now)
  elseif status.currentPrimaryFailingSinceTimestamp and p:is_calm() then
    fields.currentPrimaryFailingSinceTimestamp = null
  end
end

return roles
