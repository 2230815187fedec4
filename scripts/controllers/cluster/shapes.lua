--- What one instance has that the others have not: the answers of instance/v1. They are kept in an annotation
--- of the Cluster, where the instance manager reads its parameters, and where a later pass finds what holds
--- while a policy fails, is not checked yet, or the role moves.
-- luacheck: read globals null
local access = require("admission.access")
local decode = require("admission.json").decode
local json = require("desired.json")
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local sorted = require("desired.sorted")

local shapes = {}

local HOUR = 3600

local function role_of(p, instance)
  if not instance or not instance.pod then
    return "none"
  end
  return instance.name == p.primary and "primary" or "replica"
end

local function resources_of(spec)
  return {
    requests = access.copy(access.get(spec, "resources", "requests")) or {},
    limits = access.copy(access.get(spec, "resources", "limits")) or {},
  }
end

local function input(p, name, serial, nodes)
  local instance, cluster = p.by_name[name], p.cluster
  local node = instance and instance.pod and instance.pod.node
  return {
    cluster = { name = p.name, namespace = p.namespace, instances = p.spec.instances,
      labels = cluster.metadata.labels or {} },
    instance = { name = name, ordinal = serial, role = role_of(p, instance), node = node,
      zone = node and nodes[node] and nodes[node].zone },
    parameters = access.copy(access.get(p.spec, "postgresql", "parameters")) or {},
    resources = resources_of(p.spec), now = p.seen.now - p.seen.now % HOUR,
  }
end

--- What the annotation says, by instance.
local function kept(cluster)
  local found = decode(access.text(cluster, "metadata", "annotations", names.INSTANCE_POLICY))
  return type(found) == "table" and found or {}
end

--- Asks for every instance that is there or about to be.
---@param ctx table
---@param out table what is seen, with the verdict
---@param cluster table with its defaults
---@param intents cluster.Intent[]
---@param nodes table<string, table>
function shapes.observe(ctx, out, cluster, intents, nodes)
  local p = pass.new(out, cluster)
  local old, wanted = kept(cluster), {}
  for _, list in ipairs { p.instances, intents } do
    for _, instance in ipairs(list) do
      wanted[instance.name] = instance.serial
    end
  end
  local is_still = p:is_calm() and (p.primary ~= nil or not p:is_initialized())
  out.shapes = {}
  for name, serial in sorted.pairs(wanted) do
    local said = is_still and ctx.policy("instance/v1", input(p, name, serial, nodes)) or { pending = true }
    local holds = said.pending or said.error
    local answer = holds and (old[name] or {}) or said.answer
    out.shapes[name] = { answer = answer, by = said.by, error = said.error }
  end
end

--- The context of one instance: with its own resources in place of the Cluster's.
---@param p table
---@param name string
---@return desired.Context
function shapes.context(p, name)
  local answer = access.get(p.seen, "shapes", name, "answer")
  local resources = answer and answer.resources
  if not resources then
    return p.c
  end
  local c, spec = {}, {}
  for key, value in sorted.pairs(p.c) do
    c[key] = value
  end
  for key, value in sorted.pairs(p.spec) do
    spec[key] = value
  end
  spec.resources = {
    requests = access.copy(resources.requests), limits = access.copy(resources.limits),
    claims = access.copy(access.get(p.spec, "resources", "claims")),
  }
  c.spec = spec
  return c
end

local function announce(p, name, said)
  if said.error then
    p:event("Warning", "PolicyFailed", ("instance/v1 by %s: %s; %s stays as it is"):format(said.by or "?",
      pass.text_of(said.error), name))
  end
end

--- Writes the annotation when it says something else.
function shapes.plan(p)
  if not p.seen.shapes then
    return
  end
  local wanted = {}
  for name, said in sorted.pairs(p.seen.shapes) do
    announce(p, name, said)
    if next(said.answer or {}) ~= nil then
      wanted[name] = said.answer
    end
  end
  local text = next(wanted) ~= nil and json.encode(wanted) or nil
  if text ~= access.text(p.cluster, "metadata", "annotations", names.INSTANCE_POLICY) then
    p:annotate { [names.INSTANCE_POLICY] = text or null }
  end
end

return shapes
