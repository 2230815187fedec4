--- A cluster in memory: objects, instances, and the executor of actions, so that whole lives can be played.
-- luacheck: globals array null controller
require("tests.lua.admission.support")
local access = require("admission.access")
local json = require("desired.json")

controller = controller or function(kind)
  return function(definition)
    definition.kind = kind
    return definition
  end
end

for _, name in ipairs { "plugins.lib.words", "controllers.lib.words" } do
  for word, value in pairs(require(name)) do
    _G[word] = value
  end
end

local world = {}
world.__index = world

world.controller = require("controllers.cluster")
world.NOW = 1785578400 -- 2026-08-01T10:00:00Z

--- decide of a built-in policy.
local function built_in(name)
  local env = setmetatable({ array = array, policy = function()
    return function(declared) return declared end
  end }, { __index = _G })
  function env.update(target, method)
    return { action = "update", target = target, method = method or "restart" }
  end
  function env.wait(reason, at, message, ...)
    return { action = "wait", reason = reason, at = at, message = message and message:format(...) }
  end
  function env.finish(reason)
    return { action = "finish", reason = reason }
  end
  return assert(loadfile("scripts/policies/" .. name .. ".lua", "t", env))().decide
end

world.built_in_rollout = built_in("rollout")

local OPERATOR = {
  namespace = "moonherd-system", image = "localhost/moonherd:dev", fingerprint = "f1",
  default_image = "ghcr.io/cloudnative-pg/postgresql:18.6-system-trixie",
  api_groups = array { "postgresql.cnpg.io" }, cluster_domain = "cluster.local",
}

function world.cluster(change)
  local cluster = {
    apiVersion = "postgresql.cnpg.io/v1", kind = "Cluster",
    metadata = { name = "website", namespace = "shop", uid = "uid-website", resourceVersion = "1", generation = 1,
      creationTimestamp = "2026-08-01T09:59:59Z", annotations = {}, labels = {} },
    spec = { instances = 3, imageName = "quay.io/enterprisedb/postgresql:15.4", storage = { size = "10Gi" },
      enablePDB = true, startDelay = 3600, stopDelay = 1800, primaryUpdateMethod = "restart",
      primaryUpdateStrategy = "unsupervised", postgresUID = 26, postgresGID = 26, failoverDelay = 0,
      minSyncReplicas = 0, maxSyncReplicas = 0 },
  }
  if change then
    change(cluster.spec, cluster)
  end
  return cluster
end

function world.new(change)
  local self = setmetatable({ objects = {}, reports = {}, now = world.NOW, serial = 0, nodes = {},
    commands = {}, events = {}, log = {}, operator = access.copy(OPERATOR), asked = {},
    rollouts = {} }, world)
  self.obj = world.cluster(change)
  for i = 1, 3 do
    self:put { apiVersion = "v1", kind = "Node", metadata = { name = "node" .. i, labels = {
      ["topology.kubernetes.io/zone"] = "zone" .. i } },
      status = { conditions = array { { type = "Ready", status = "True" } } } }
  end
  return self
end

function world:put(object)
  local kind = self.objects[object.kind] or {}
  self.objects[object.kind] = kind
  self.serial = self.serial + 1
  object.metadata.uid = object.metadata.uid or ("uid-%d"):format(self.serial)
  object.metadata.resourceVersion = tostring(self.serial)
  kind[object.metadata.name] = object
  return object
end

function world:get(kind, name)
  return (self.objects[kind] or {})[name]
end

local function sorted_values(map)
  local out = array {}
  for _, key in ipairs(access.keys(map or {})) do
    out[#out + 1] = map[key]
  end
  return out
end

--- What observe is given. `ha`, `policy`, `ranking` (failover/v1 ahead of time), `shape` (instance/v1), `rollout`
--- may be replaced.
function world:ctx()
  local ctx = { now = self.now, operator = self.operator }
  function ctx.list(kind, how)
    local out, label, value = array {}, (how and how.labels or ""):match("^(.-)=(.*)$")
    for _, object in ipairs(sorted_values(self.objects[kind])) do
      if not label or access.get(object, "metadata", "labels", label) == value then
        out[#out + 1] = access.copy(object)
      end
    end
    return out
  end
  function ctx.get(kind, name)
    return access.copy(self:get(kind, name))
  end
  function ctx.instances() return access.copy(self.reports) end
  function ctx.check() return access.copy(self.found) end
  function ctx.fleet() return access.copy(self.fleet or array {}) end
  function ctx.ha(facts)
    self.facts = access.copy(facts)
    return self.ha and self.ha(facts) or self:default_verdict(facts)
  end
  --- Points that tests answer by a function of their own, and what the built-in policies say.
  local own = {
    ["failover/v1claimed"] = function(input) return self.ranking and self.ranking(input) or { by = "built-in" } end,
    ["heal/v1"] = function(input) return self.heal and self.heal(input) or { by = "built-in" } end,
    ["sync/v1"] = function(input) return self.sync and self.sync(input) or { by = "built-in" } end,
    ["instance/v1"] = function(input) return self.shape and self.shape(input) or { answer = {}, by = "built-in" } end,
    ["rollout/v1"] = function(input)
      self.rollouts[#self.rollouts + 1] = access.copy(input)
      return self.rollout and self.rollout(input) or { answer = world.built_in_rollout(input), by = "built-in" }
    end,
  }
  function ctx.policy(point, input, only)
    local said = own[point .. (only or "")] or own[point]
    if said then
      return said(input)
    end
    self.asked[#self.asked + 1] = { point = point, input = access.copy(input) }
    return self.policy and self.policy(point, input) or { answer = {}, by = "built-in" }
  end
  return ctx
end

function world.default_verdict(_, facts)
  local holder = access.get(facts.lease, "spec", "holderIdentity")
  if not holder then
    return { state = "bootstrapping", reason = "no instance was primary yet", steps = array {}, candidates = array {} }
  end
  return { state = "healthy", reason = holder .. " is primary", steps = array {}, candidates = array {},
    primary = holder }
end

local function merge_map(to, from)
  for key, value in pairs(from or {}) do
    if value == null then
      to[key] = nil
    elseif type(value) == "table" and type(to[key]) == "table" and not access.is_array(value) then
      merge_map(to[key], value)
    else
      to[key] = value
    end
  end
end

local ACTS = {}

function ACTS.create(self, action)
  if not self:get(action.object.kind, action.object.metadata.name) then
    local object = self:put(access.copy(action.object))
    if action.fill then
      object.data = { username = "abc", ["tls.crt"] = "def" }
      local certificate = { not_after = self.now + 90 * 86400, dns_names = access.copy(action.fill.dns_names) }
      object.certificates = action.fill.type ~= "password"
        and { [action.fill.type == "ca" and "ca.crt" or "tls.crt"] = certificate } or nil
    end
  end
end

function ACTS.apply(self, action)
  local old = self:get(action.object.kind, action.object.metadata.name)
  local object = access.copy(action.object)
  object.metadata.uid = old and old.metadata.uid
  self:put(object)
end

function ACTS.label(self, action)
  local object = action.kind == "Cluster" and self.obj
    or assert(self:get(action.kind, action.name), "label of what is not there: " .. action.name)
  object.metadata.labels, object.metadata.annotations = object.metadata.labels or {}, object.metadata.annotations or {}
  merge_map(object.metadata.labels, action.labels)
  merge_map(object.metadata.annotations, action.annotations)
end

function ACTS.patch(self, action)
  merge_map(assert(self:get(action.kind, action.name)), action.body)
end

function ACTS.delete(self, action)
  local object = assert(self:get(action.kind, action.name), "delete of what is not there: " .. action.name)
  assert(object.metadata.uid == action.uid, "delete with another uid")
  self.objects[action.kind][action.name] = nil
  self.reports[action.kind == "Pod" and action.name or ""] = nil
end

function ACTS.renew(self, action)
  local object = assert(self:get("Secret", action.name))
  for _, certificate in pairs(object.certificates) do
    certificate.not_after = self.now + 90 * 86400
    certificate.dns_names = access.copy(action.fill.dns_names)
  end
end

function ACTS.event(self, action)
  table.insert(self.events, action)
end

function ACTS.instance(self, action)
  table.insert(self.commands, action)
end

function ACTS.lease(self, action)
  local lease = assert(self:get("Lease", action.name))
  merge_map(lease.spec, { holderIdentity = action.to.holderIdentity, leaseTransitions = action.to.leaseTransitions })
  merge_map(lease.metadata.annotations, action.to.annotations)
end

local function merge_conditions(status, wanted)
  local out = array {}
  for _, condition in ipairs(status.conditions or {}) do
    out[#out + 1] = condition
  end
  for _, condition in ipairs(wanted) do
    local at = #out + 1
    for i, one in ipairs(out) do
      at = one.type == condition.type and i or at
    end
    if condition.status == null then
      table.remove(out, at)
    else
      out[at] = access.copy(condition)
    end
  end
  return out
end

--- Merges a status as the operator does. Says whether anything changed.
function world:merge_status(wanted)
  local status = self.obj.status or {}
  local before = json.encode(status)
  for key, value in pairs(wanted or {}) do
    if key == "conditions" then
      status.conditions = merge_conditions(status, value)
    elseif value == null then
      status[key] = nil
    else
      status[key] = access.copy(value)
    end
  end
  self.obj.status = status
  return json.encode(status) ~= before
end

--- One pass. Returns the plan, and whether the status changed.
function world:pass()
  local seen = world.controller.observe(self:ctx(), access.copy(self.obj))
  self.seen = seen
  local before = json.encode(seen)
  local plan = world.controller.plan(seen)
  assert(json.encode(seen) == before, "plan changed what it was given")
  assert(json.encode(plan) == json.encode(world.controller.plan(access.copy(seen))), "plan is not a function")
  for _, action in ipairs(plan.actions) do
    table.insert(self.log, action)
    ACTS[action.op](self, action)
  end
  return plan, self:merge_status(plan.status)
end

--- The node does what it does: jobs end, pods come up.
function world:finish_job(name)
  local job = assert(self:get("Job", name), "no job " .. name)
  job.status = { succeeded = 1, conditions = array { { type = "Complete", status = "True" } } }
end

--- Makes a pod run, with its manager connected. `role` is primary or standby.
function world:run(name, role, more)
  local pod = assert(self:get("Pod", name), "no pod " .. name)
  local at = tonumber(name:match("%d+$"))
  pod.spec.nodeName = pod.spec.nodeName or "node" .. at
  pod.status = { phase = "Running", podIP = "10.0.0." .. at,
    conditions = array { { type = "Ready", status = "True" } },
    containerStatuses = array { { name = "postgres", state = { running = {} }, restartCount = 0 } } }
  self.reports[name] = { connected = true, status = {
    isPrimary = role == "primary", timeLineID = 1, systemID = "7000", isWalReceiverActive = role ~= "primary",
    moonherd = { podUID = pod.metadata.uid, role = role, phase = "running", pgUp = true, gate = "open",
      receiverActive = role ~= "primary", receiverQuietMs = role ~= "primary" and 10 or -1 },
  } }
  merge_map(self.reports[name].status, more)
end

function world:hold(name, term, phase)
  local lease = assert(self:get("Lease", self.obj.metadata.name), "no Lease")
  lease.spec = { holderIdentity = name, leaseTransitions = term or 1 }
  lease.metadata.annotations["moonherd.io/phase"] = phase or "stable"
end

--- Passes until nothing happens any more; fails after `limit`.
function world:settle(limit)
  for i = 1, limit or 10 do
    local plan, changed = self:pass()
    if #plan.actions == 0 and not changed then
      return plan, i
    end
  end
  error("not settled: " .. json.encode(self:pass().actions))
end

--- A cluster with all its instances, well and settled.
function world.healthy(change)
  local w = world.new(change)
  w:pass()
  w:finish_job("website-1-initdb")
  w:pass()
  w:run("website-1", "primary")
  w:hold("website-1")
  w:pass()
  for i = 2, w.obj.spec.instances do
    w:finish_job(("website-%d-join"):format(i))
  end
  w:pass()
  for i = 2, w.obj.spec.instances do
    w:run("website-" .. i, "standby")
  end
  w:settle()
  w.log, w.events, w.asked = {}, {}, {}
  return w
end

--- "op Kind name" of each action, events left out.
function world.lines(actions)
  local out = {}
  for _, action in ipairs(actions) do
    if action.op ~= "event" then
      local object = action.object
      out[#out + 1] = table.concat({ action.op, action.command or (object and object.kind) or action.kind or "Lease",
        object and object.metadata.name or action.name or action.pod }, " ")
    end
  end
  return out
end

function world.reasons(actions)
  local out = {}
  for _, action in ipairs(actions) do
    if action.op == "event" then
      out[#out + 1] = action.reason
    end
  end
  return out
end

function world.condition(status, kind)
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == kind then
      return condition
    end
  end
  return nil
end

local function has(list, text)
  for _, item in ipairs(list) do
    if item == text then
      return true
    end
  end
  return false
end

--- Fails unless all texts are in the list.
function world.assert_has(list, ...)
  for i = 1, select("#", ...) do
    local text = (select(i, ...))
    assert(has(list, text), ("'%s' is not among:\n%s"):format(text, table.concat(list, "\n")))
  end
end

--- Fails when one matches.
function world.assert_none(list, pattern)
  for _, item in ipairs(list) do
    assert(not item:match(pattern), ("'%s' is among them"):format(item))
  end
end

return world
