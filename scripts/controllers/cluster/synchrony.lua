--- Who is in the synchronous set, by sync/v1. The answer is kept in an annotation of the Cluster; the manager
--- of the primary narrows and orders its set by it, within its own rule, and changes it by the protocol. Only
--- a policy that is there is asked: the built-in one wants everybody, which needs no annotation.
-- luacheck: read globals array null
local access = require("admission.access")
local decode = require("admission.json").decode
local json = require("desired.json")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")

local synchrony = {}

local MOST = { any = "any", first = "first" }

local function rule_of(spec)
  local rule = access.get(spec, "postgresql", "synchronous")
  return type(rule) == "table" and rule or nil
end

local function bytes(lsn)
  local high, low = tostring(lsn):match("^(%x+)/(%x+)$")
  return high and tonumber(high, 16) << 32 | tonumber(low, 16) or 0
end

--- Rows of pg_stat_replication by the name of the standby.
local function rows_of(status)
  local out = {}
  for _, row in ipairs(access.list(status, "replicationInfo")) do
    local name = access.text(row, "applicationName")
    if name then
      out[name] = row
    end
  end
  return out
end

local function place_of(p, instance)
  local node = instance.pod and instance.pod.node
  return { name = instance.name, node = node, zone = node and access.get(p.seen.nodes, node, "zone") }
end

local function candidates_of(p, status)
  local out, rows, head = array {}, rows_of(status), bytes(access.get(status, "currentLsn"))
  for _, instance in ipairs(p.instances) do
    if instance.name ~= p.primary and instance.data and not instance.deleting then
      local one, row = place_of(p, instance), rows[instance.name] or {}
      one.streaming = row.state == "streaming"
      one.member = (tonumber(row.syncPriority) or 0) > 0
      one.flush_lag = one.streaming and math.max(0, head - bytes(row.flushLsn)) or head
      out[#out + 1] = one
    end
  end
  return out
end

--- Asks while the role rests and the primary's manager says who streams.
---@param ctx table
---@param out table what is seen, with the verdict and nodes
---@param cluster table with its defaults
---@param raw table<string, table> reports as they came
function synchrony.observe(ctx, out, cluster, raw)
  local rule = rule_of(cluster.spec)
  local p = pass.new(out, cluster)
  local primary = p.by_name[p.primary]
  if not rule or p.verdict.state ~= "healthy" or not primary or not primary.is_connected then
    return
  end
  local candidates = candidates_of(p, access.get(raw, p.primary, "status"))
  if #candidates == 0 then
    return
  end
  local said = ctx.policy("sync/v1", {
    cluster = { name = p.name, namespace = p.namespace, instances = p.spec.instances,
      labels = p.cluster.metadata.labels or {} },
    primary = place_of(p, primary), candidates = candidates, required = access.int(rule, "number") or 1,
    method = MOST[rule.method] or "any",
    durability = rule.dataDurability == "preferred" and "preferred" or "required", now = p.now,
  }, "claimed")
  out.sync = { by = said.by, error = said.error, pending = said.pending, primary = p.primary,
    names = access.copy(access.get(said, "answer", "names")) }
end

local function kept(p)
  local found = decode(access.text(p.cluster, "metadata", "annotations", names.SYNC_POLICY))
  return type(found) == "table" and found or nil
end

--- What the annotation is to say; nil for none.
local function wanted(p, said)
  local old = kept(p)
  if said.error or said.pending then -- what holds goes on, for the same primary
    return old and old.primary == said.primary and old or nil
  end
  return said.by ~= "built-in" and said.names and { primary = said.primary, names = said.names } or nil
end

local function announce(p, said, answer)
  if said.error then
    p:event("Warning", "PolicyFailed", ("sync/v1 by %s: %s; the synchronous set stays as it is")
      :format(said.by or "?", pass.text_of(said.error)))
  elseif answer then
    p:event("Normal", "SyncDecision", ("sync/v1 by %s: %s"):format(said.by, table.concat(answer.names, ", ")))
  end
end

--- Writes the annotation when it says something else. While the role moves it stays: it names the primary
--- that it is for, and no other heeds it.
function synchrony.plan(p)
  local said = p.seen.sync
  if rule_of(p.spec) and not said then
    return
  end
  local answer = said and wanted(p, said) or nil
  local text = answer and json.encode(answer) or nil
  local old = access.text(p.cluster, "metadata", "annotations", names.SYNC_POLICY)
  if text ~= old then
    p:annotate { [names.SYNC_POLICY] = text or null }
    announce(p, said or {}, answer)
  elseif said and said.error then
    announce(p, said)
  end
end

return synchrony
