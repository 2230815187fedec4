--- Gathers what a pass over a Cluster needs. May wait; changes nothing.
-- luacheck: read globals array
local access = require("admission.access")
local guard = require("controllers.cluster.guard")
local heal = require("controllers.cluster.heal")
local instances = require("controllers.cluster.instances")
local meta = require("desired.meta")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local placing = require("controllers.cluster.placing")
local ranking = require("controllers.cluster.ranking")
local restarts = require("controllers.cluster.restarts")
local roles = require("controllers.cluster.roles")
local seen = require("controllers.cluster.seen")
local shapes = require("controllers.cluster.shapes")
local secret = require("desired.secret")
local synchrony = require("controllers.cluster.synchrony")
local time = require("desired.time")

local observe = {}

local HOLD_S = 30
local DRAIN_TAINTS = { "node.kubernetes.io/unschedulable", "ToBeDeletedByClusterAutoscaler",
  "karpenter.sh/disrupted", "karpenter.sh/disruption" }

local function children(ctx, obj, kind)
  local list = ctx.list(kind, { labels = names.CLUSTER .. "=" .. obj.metadata.name })
  table.sort(list, function(a, b)
    return a.metadata.name < b.metadata.name
  end)
  return list
end

--- The children that are this Cluster's own; names of the others go to `out.foreign`.
local function own_list(ctx, obj, out, kind, trim)
  local list = array {}
  for _, object in ipairs(children(ctx, obj, kind)) do
    local entry = trim(object)
    local owner = entry.owner
    if owner and (owner.uid == obj.metadata.uid or owner.kind == "Job") then
      list[#list + 1] = entry
    else
      out.foreign[kind .. "/" .. entry.name] = true
    end
  end
  return list
end

--- By name. What another Cluster of this name has left is noted as being in the way.
local function by_name(ctx, obj, out, kind, trim)
  local map = {}
  for _, object in ipairs(children(ctx, obj, kind)) do
    local entry = trim(object)
    map[entry.name] = entry
    if entry.owner and entry.owner.kind == "Cluster" and entry.owner.uid ~= obj.metadata.uid then
      out.foreign[kind .. "/" .. entry.name] = true
    end
  end
  return map
end

local function single(ctx, kind, name, trim)
  local object = ctx.get(kind, name)
  return object and trim(object) or nil
end

--- Clusters of the same name in the other API groups.
local function rivals(ctx, obj)
  local out = array {}
  local own = obj.apiVersion:match("^(.*)/")
  for _, group in ipairs(ctx.operator.api_groups or {}) do
    local kind = group == meta.PEER_GROUP and "Cluster" or "Cluster." .. group
    local other = group ~= own and ctx.get(kind, obj.metadata.name)
    if other then
      out[#out + 1] = { group = group, uid = other.metadata.uid, created = other.metadata.creationTimestamp }
    end
  end
  return out
end

--- Secrets that users bring may carry no label, so that the cache does not have them.
local function secrets(ctx, obj, out, cluster)
  local map = by_name(ctx, obj, out, "Secret", seen.secret)
  local name, spec = cluster.metadata.name, cluster.spec
  local use, users = names.certificates(name, spec), secret.user_names(name, spec)
  local all = { use.server_ca, use.client_ca, use.server, use.replication, users.app or use.server,
    users.superuser or use.server }
  for _, wanted in ipairs(all) do
    if not map[wanted] then
      local object = ctx.get("Secret", wanted) or ctx.get("Secret", wanted, { fresh = true })
      map[wanted] = object and seen.secret(object) or nil
    end
  end
  return map
end

--- The operator's secret for pulling images, and whether the cluster's copy is like it; nil without one.
local function pull_secret(ctx, obj)
  local operator = ctx.operator
  local source = operator.pull_secret
    and ctx.get("Secret", operator.pull_secret, { namespace = operator.namespace })
  if not source then
    return nil
  end
  local copy = ctx.get("Secret", names.pull_secret(obj.metadata.name))
  return {
    namespace = operator.namespace, name = operator.pull_secret, type = source.type,
    same_type = copy ~= nil and copy.type == source.type,
    same_data = copy ~= nil and access.equal(copy.data, source.data),
  }
end

--- The catalog that the image comes from. One that cannot be read is as good as none.
local function catalog(ctx, cluster)
  local reference = cluster.spec.imageCatalogRef
  if not reference then
    return nil
  end
  local group = reference.apiGroup or meta.PEER_GROUP
  local kind = group == meta.PEER_GROUP and reference.kind or reference.kind .. "." .. group
  local ok, object = pcall(ctx.get, kind, reference.name)
  return ok and object and { spec = { images = access.copy(access.get(object, "spec", "images")) } } or nil
end

local function nodes_of(ctx, out)
  local all, taints, objects = {}, {}, ctx.list("Node")
  for _, taint in ipairs(ctx.operator.drain_taints or DRAIN_TAINTS) do
    taints[taint] = true
  end
  for _, object in ipairs(objects) do
    all[object.metadata.name] = seen.node(object, taints)
  end
  out.nodes = {}
  for _, pod in ipairs(out.pods) do
    if pod.node then
      out.nodes[pod.node] = all[pod.node]
    end
  end
  return all, objects
end

local function reports(ctx, obj, out)
  local raw = ctx.instances(obj) or {}
  out.reports = {}
  for _, pod in ipairs(out.pods) do
    out.reports[pod.name] = raw[pod.name] and seen.report(raw[pod.name], pod.uid) or nil
  end
  return raw
end

local function pod_facts(out)
  local list = array {}
  for _, pod in ipairs(out.pods) do
    if pod.labels[names.POD_ROLE] == "instance" then
      local node, container = out.nodes[pod.node or ""], pod.container or {}
      list[#list + 1] = {
        name = pod.name, uid = pod.uid, ip = pod.ip, node = pod.node, zone = node and node.zone,
        ready = pod.ready, deleted = pod.deleting, node_ready = node ~= nil and node.ready,
        terminated = container.exit_code ~= nil, terminated_at = container.ended_at,
        ended_session = container.ended_session, exit_code = container.exit_code,
      }
    end
  end
  return list
end

--- Facts for the failover protocol.
local function facts(out, cluster, lease, raw)
  local spec, status = cluster.spec, cluster.status or {}
  local restart_hold
  if status.phase == pass.NO_SWITCHOVER then
    local since = time.parse(status.currentPrimaryFailingSinceTimestamp) or out.now
    restart_hold = math.max(math.ceil(since + roles.RESTART_GRACE_S - out.now), 0)
  end
  return {
    cluster = {
      name = cluster.metadata.name, namespace = cluster.metadata.namespace, uid = cluster.metadata.uid,
      instances = spec.instances, synchronous = access.get(spec, "postgresql", "synchronous"),
      failover_delay = spec.failoverDelay or 0, switchover_delay = spec.switchoverDelay or 3600,
      restart_hold = restart_hold,
      primary_lease = spec.primaryLease,
    },
    lease = lease, instances = raw, pods = pod_facts(out), now = out.now,
    target = roles.target(status, out.lease, out.pods), current = status.currentPrimary,
  }
end

--- A policy may ask to wait, but not for ever: then the built-in order decides.
local function hold(out, cluster, known, answer)
  local since = time.parse(access.get(cluster, "status", "currentPrimaryFailingSinceTimestamp")) or out.now
  local latest = since + (cluster.spec.failoverDelay or 0) + HOLD_S
  if out.now < latest then
    known.hold, known.hold_until = true, math.min(answer.at or out.now + (answer.until_s or 1), latest)
  else
    out.failover_policy.error = ("it still asks to wait after %d s"):format(out.now - since)
  end
end

--- Asks the policy for an order and the protocol once more with it.
local function with_policy(ctx, out, cluster, known, verdict)
  if #(verdict.candidates or {}) == 0 or verdict.wants_order == false then
    return verdict
  end
  local result = ctx.policy("failover/v1", {
    cluster = { name = cluster.metadata.name, namespace = cluster.metadata.namespace,
      instances = cluster.spec.instances, labels = cluster.metadata.labels },
    candidates = verdict.candidates, now = out.now, reason = verdict.reason,
  })
  local answer = result.answer or {}
  out.failover_policy = { by = result.by, error = result.error, action = answer.action, order = answer.order,
    reason = answer.reason, candidates = access.copy(verdict.candidates) }
  known.order = answer.order
  if answer.action == "hold" then
    hold(out, cluster, known, answer)
  end
  return ctx.ha(known)
end

--- Where the policy wants each pod that is about to be created, and what the others say.
local function policies(ctx, out, cluster, all, node_objects)
  out.placement = {}
  local p = pass.new(out, cluster)
  local intents = instances.intents(p)
  local known = #intents > 0 and placing.facts(all, node_objects)
  for _, intent in ipairs(intents) do
    local result = ctx.policy("placement/v1", placing.input(cluster, intent, known, out.now))
    out.placement[intent.name] = { answer = result.answer, by = result.by, error = result.error }
  end
  shapes.observe(ctx, out, cluster, intents, all)
end

local function objects(ctx, obj, out)
  local name = obj.metadata.name
  out.pods = own_list(ctx, obj, out, "Pod", seen.pod)
  out.volumes = own_list(ctx, obj, out, "PersistentVolumeClaim", seen.volume)
  out.jobs = own_list(ctx, obj, out, "Job", seen.job)
  out.services = by_name(ctx, obj, out, "Service", seen.whole)
  out.budgets = by_name(ctx, obj, out, "PodDisruptionBudget", seen.whole)
  out.account = single(ctx, "ServiceAccount", name, seen.whole)
  out.role = single(ctx, "Role", name, seen.whole)
  out.binding = single(ctx, "RoleBinding", name, seen.whole)
end

--- Gathers everything.
---@async
---@param ctx table
---@param obj table the Cluster as it is stored
---@return table seen
function observe.run(ctx, obj)
  local out = {
    now = ctx.now, operator = access.copy(ctx.operator), cluster = seen.cluster(obj),
    rivals = rivals(ctx, obj), foreign = {},
  }
  if obj.metadata.deletionTimestamp or not access.has(obj, "spec") then
    return out
  end
  out.found = ctx.check()
  local cluster = guard.defaulted(out)
  objects(ctx, obj, out)
  local lease = ctx.get("Lease", obj.metadata.name) or ctx.get("Lease", obj.metadata.name, { fresh = true })
  out.lease = lease and seen.lease(lease) or nil
  out.secrets = secrets(ctx, obj, out, cluster)
  out.pull = pull_secret(ctx, obj)
  out.catalog = catalog(ctx, cluster)
  local all, node_objects = nodes_of(ctx, out)
  local raw = reports(ctx, obj, out)
  local known = facts(out, cluster, lease, raw)
  out.verdict = with_policy(ctx, out, cluster, known, ctx.ha(known))
  policies(ctx, out, cluster, all, node_objects)
  synchrony.observe(ctx, out, cluster, raw)
  restarts.observe(ctx, out, cluster)
  heal.observe(ctx, out, cluster)
  ranking.observe(ctx, out, cluster, lease, raw)
  return out
end

return observe
