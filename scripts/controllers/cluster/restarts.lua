--- Which instances have to be restarted, in the order of the core, and what a policy of rollout/v1 is told
--- about them.
-- luacheck: read globals array
local access = require("admission.access")
local guard = require("controllers.cluster.guard")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local roles = require("controllers.cluster.roles")
local stale = require("controllers.cluster.stale")
local time = require("desired.time")

local restarts = {}

---@class cluster.Due
---@field instance cluster.Instance
---@field kind string pod or restart
---@field why string
---@field in_place boolean? the role must not move

local function is_synchronous(p)
  return access.get(p.spec, "postgresql", "synchronous") ~= nil or (p.spec.maxSyncReplicas or 0) > 0
end

--- True when an instance is not as it should be, so that no other one may go.
function restarts.is_away(p, instance)
  if not instance.is_ready or instance.job or instance.deleting then
    return true
  end
  local report = instance.is_connected and instance.report
  if not report then
    return false
  end
  local own = report.moonherd
  local is_cut_off = own.receiverActive == false and instance.name ~= p.primary
  return report.mightBeUnavailable or own.pgUp == false or is_cut_off and is_synchronous(p)
end

--- True when one more instance may be down.
function restarts.is_steady(p)
  if p.verdict.state ~= "healthy" or p.restrained or p.phase then
    return false
  end
  if not p.primary or roles.target(p.status, p.lease, p.seen.pods) ~= p.primary then
    return false
  end
  for _, instance in ipairs(p.instances) do
    if restarts.is_away(p, instance) then
      return false
    end
  end
  return #p.instances == p.spec.instances
end

--- What observe has found out already is not computed again.
local function need(p, instance)
  local known = p.seen.needs
  if known then
    local found = known[instance.name]
    return found and found.kind, found and found.why
  end
  return stale.need(p, instance)
end

local function due_of(p, instance)
  local kind, why = need(p, instance)
  return kind and { instance = instance, kind = kind, why = why } or nil
end

--- Lower limits must reach the primary first: a replica may not have less than it. A switchover would only
--- hand the same wish to the next one.
local function is_lowered(primary)
  return primary ~= nil and primary.is_connected and primary.report.pendingRestartForDecrease == true
end

--- Those that may be restarted now, the best first: replicas from the last serial down, then the primary. As
--- long as not all managers have read the configuration, only replicas whose pod has to be made anew: whether
--- the others need a restart is not known.
---@param p table
---@return cluster.Due[] due
---@return string[]? unread whose word is missing, where somebody waits for it
function restarts.due(p)
  local out, fenced, primary = {}, roles.fenced(p), p.by_name[p.primary]
  local unread, is_held = stale.unread(p), false
  local function take(one)
    local may = one and (#unread == 0 or one.kind == "pod" and one.instance ~= primary)
    is_held = is_held or one ~= nil and not may
    out[#out + 1] = may and one or nil
  end
  if is_lowered(primary) then
    take { instance = primary, kind = "restart", why = stale.PARAMETERS, in_place = true }
    return out, is_held and unread or nil
  end
  for at = #p.instances, 1, -1 do
    local instance = p.instances[at]
    if instance ~= primary and not fenced[instance.name] then
      take(due_of(p, instance))
    end
  end
  if primary then
    take(due_of(p, primary))
  end
  return out, is_held and unread or nil
end

--- A replica that may become primary, or nil.
function restarts.heir(p)
  for _, instance in ipairs(p.instances) do
    if roles.can_take_over(p, instance) then
      return instance
    end
  end
  return nil
end

--- How the primary is to be restarted.
function restarts.method(p, one)
  local moves = p.spec.primaryUpdateMethod == "switchover" and #p.instances > 1 and not one.in_place
  return moves and "switchover" or "restart"
end

-- --- what the policy is told ------------------------------------------------------------------------------

local function bytes(lsn)
  local high, low = tostring(lsn):match("^(%x+)/(%x+)$")
  return high and tonumber(high, 16) << 32 | tonumber(low, 16) or nil
end

local function place_of(p, instance)
  local node = instance.pod.node
  return node, node and access.get(p.seen.nodes, node, "zone")
end

local function role_of(p, instance)
  return instance.name == p.primary and "primary" or "replica"
end

local function pending_of(p, one)
  local instance = one.instance
  local node, zone = place_of(p, instance)
  local is_safe = role_of(p, instance) == "replica" or restarts.method(p, one) == "restart"
    or restarts.heir(p) ~= nil
  return { name = instance.name, role = role_of(p, instance), node = node, zone = zone, safe = is_safe }
end

local function updated_of(p, instance)
  local node, zone = place_of(p, instance)
  local report = instance.report or {}
  local own, container = report.moonherd or {}, instance.pod.container or {}
  local head = access.get(p.by_name, p.primary, "report", "currentLsn")
  local there, here = bytes(head), bytes(report.replayLsn)
  local is_behind = instance.name ~= p.primary and there and here and there > here
  return { name = instance.name, role = role_of(p, instance), node = node, zone = zone,
    ready = instance.is_ready, updated_at = own.startedAt or 0,
    crashes = (own.crashes or 0) + (container.restarts or 0), replay_lag = is_behind and there - here or 0 }
end

--- When the change was first seen.
local function since(p)
  return time.parse(access.text(p.cluster, "metadata", "annotations", names.ROLLOUT_SINCE)) or p.now
end

local function is_urgent(p)
  local text = access.text(p.cluster, "metadata", "annotations", names.URGENT)
  return text ~= nil and text ~= "false"
end

local function input(p, due, fleet)
  local pending, updated, waits = array {}, array {}, {}
  local started, last = since(p), 0
  for _, one in ipairs(due) do
    waits[one.instance.name] = true
    pending[#pending + 1] = pending_of(p, one)
  end
  for _, instance in ipairs(p.instances) do
    if not waits[instance.name] and instance.pod then
      local one = updated_of(p, instance)
      updated[#updated + 1] = one
      last = one.updated_at >= started and math.max(last, one.updated_at) or last
    end
  end
  return {
    cluster = { name = p.name, namespace = p.namespace, instances = p.spec.instances,
      labels = p.cluster.metadata.labels or {} },
    reason = due[1].why:sub(1, 1000), urgent = is_urgent(p), pending = pending, updated = updated,
    baseline = {}, fleet = fleet, started_at = started, last_change = last, can_roll_back = false,
    primary_method = restarts.method(p, due[#due]), now = p.now,
  }
end

--- Only the primary is left, and its user restarts it himself: nobody is asked.
function restarts.is_users(p, due)
  return due[1].instance.name == p.primary and p.spec.primaryUpdateStrategy == "supervised"
end

local function find_needs(p)
  if not guard.resolve_image(p) then
    return nil
  end
  local out = {}
  for _, instance in ipairs(p.instances) do
    local kind, why = stale.need(p, instance)
    out[instance.name] = kind and { kind = kind, why = why } or nil
  end
  return out
end

--- Asks rollout/v1 where something is to be restarted and nothing stands against it. A manifest that is wrong
--- is found out later; until then it is nobody's question.
---@param ctx table
---@param out table what is seen, with the verdict, nodes and shapes
---@param cluster table with its defaults
function restarts.observe(ctx, out, cluster)
  local p = pass.new(out, cluster)
  if not restarts.is_steady(p) then
    return
  end
  local fleet = ctx.fleet()
  local ok, needs = pcall(find_needs, p)
  out.needs = ok and needs or nil
  local due = out.needs and restarts.due(p) or {}
  if #due == 0 or restarts.is_users(p, due) then
    return
  end
  local said = ctx.policy("rollout/v1", input(p, due, access.copy(fleet) or array {}))
  out.rollout = { by = said.by, error = said.error, pending = said.pending, answer = said.answer }
end

return restarts
