--- Whom failover/v1 would promote, asked ahead of time: for the managers, which run a failover while the
--- operator is away and hold no policies. Written into an annotation of the Lease. Only a policy that is
--- there is asked, and not in each pass: the managers take an answer of the last minute.
-- luacheck: read globals array label null
local access = require("admission.access")
local decode = require("admission.json").decode
local json = require("desired.json")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local time = require("desired.time")

local ranking = {}

local FRESH_S, HOLD_S = 25, 30

local function bytes(lsn)
  local high, low = tostring(lsn):match("^(%x+)/(%x+)$")
  return high and tonumber(high, 16) << 32 | tonumber(low, 16) or 0
end

--- Names in any set that may have acknowledged.
local function synchronous(lease)
  local out = {}
  local sets = decode(access.text(lease, "metadata", "annotations", names.LEASE_CONFIGS) or "[]")
  for _, set in ipairs(sets or {}) do
    for _, name in ipairs(access.list(set, "names")) do
      out[name] = true
    end
  end
  return out
end

--- As the protocol describes candidates, from what the instances say now.
local function candidates_of(p, lease, raw)
  local out, in_set, best = array {}, synchronous(lease), 0
  for _, instance in ipairs(p.instances) do
    local own = access.get(raw, instance.name, "status", "moonherd")
    if instance.name ~= p.primary and instance.is_connected and own and own.role == "standby" then
      local node = instance.pod and instance.pod.node
      out[#out + 1] = {
        name = instance.name, node = node, zone = node and access.get(p.seen.nodes, node, "zone"),
        sync = in_set[instance.name] == true, timeline = own.timeline, flush_lsn = own.flushLsn,
        ready = instance.is_ready == true, priority = 0,
      }
      best = math.max(best, bytes(own.flushLsn))
    end
  end
  for _, one in ipairs(out) do
    one.replay_lag = best - bytes(one.flush_lsn)
  end
  return out
end

local function is_fresh(out)
  local old = decode(out.lease.ranking or "null")
  local at = type(old) == "table" and time.parse(access.text(old, "at"))
  return at and at <= out.now and out.now - at < FRESH_S
end

--- Asks while the role rests.
---@param ctx table
---@param out table what is seen, with the verdict and nodes
---@param cluster table with its defaults
---@param lease table? as it came
---@param raw table<string, table> reports as they came
function ranking.observe(ctx, out, cluster, lease, raw)
  if not lease or out.verdict.state ~= "healthy" then
    return
  end
  if is_fresh(out) then
    out.ranking = { kept = true }
    return
  end
  local p = pass.new(out, cluster)
  local candidates = p.primary and candidates_of(p, lease, raw) or {}
  if #candidates == 0 then
    return
  end
  local said = ctx.policy("failover/v1", {
    cluster = { name = p.name, namespace = p.namespace, instances = p.spec.instances,
      labels = cluster.metadata.labels },
    candidates = candidates, now = out.now, reason = "asked ahead of time: " .. p.primary .. " serves",
  }, "claimed")
  local answer = said.answer or {}
  out.ranking = { by = said.by, failed = said.error ~= nil, pending = said.pending,
    order = access.copy(answer.order),
    hold_s = answer.action == "hold" and math.min(answer.until_s or 1, HOLD_S) or 0 }
end

--- What the annotation is to say; nil: nothing, and the built-in order holds. So it is where the policy
--- fails, which is written once: what is not there has no time that would have to be renewed.
local function wanted(p, said)
  if said.by == "built-in" or said.failed then
    return nil
  end
  local order = array {}
  for _, name in ipairs(said.order or {}) do
    order[#order + 1] = name
  end
  return json.encode { at = time.micro(p.now), by = said.by, hold_s = said.hold_s, order = order }
end

function ranking.plan(p)
  local said = p.seen.ranking
  if not said or said.pending then
    return
  end
  local text = not said.kept and wanted(p, said) or nil
  if said.kept or text or said.failed then
    p.again_s = FRESH_S + 1
  end
  if not said.kept and text ~= p.lease.ranking then
    p:act(label { kind = "Lease", namespace = p.namespace, name = p.lease.name, uid = p.lease.uid,
      annotations = { [names.RANKING] = text or null } })
  end
end

return ranking
