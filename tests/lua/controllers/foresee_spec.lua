-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local access = require("admission.access")
local foresee = require("controllers.cluster.foresee")
local json = require("desired.json")

--- All steps of an edit, as "verb Kind name".
local function predict(seen, old)
  local state = { seen = access.copy(seen), old = old }
  for _ = 1, 80 do
    state = foresee.step(json.decode and json.decode(json.encode(state)) or access.copy(state))
    if state.rest then
      return state
    end
  end
  error("the prediction does not end")
end

local function lines(steps)
  local out = {}
  for i, step in ipairs(steps) do
    out[i] = ("%s %s %s"):format(step.verb, step.kind, step.name)
  end
  return out
end

local VERBS = { create = "create", apply = "update", delete = "delete", renew = "renew", patch = "resize" }

--- Verb, kind and name of an action; nothing for what is not shown.
local function words(action)
  local object = action.object
  if action.op == "instance" then
    return action.command == "restart" and "restart" or nil, "PostgreSQL", action.pod
  elseif action.op == "switch" then
    return "switch over", "Instance", action.to
  end
  return action.is_new and "create" or VERBS[action.op], object and object.kind or action.kind,
    object and object.metadata.name or action.name
end

local function position(list, line)
  for i, one in ipairs(list) do
    if one == line then
      return i
    end
  end
  return nil
end

--- What really happened, in the same words.
local function told(w)
  local out = {}
  for _, action in ipairs(w.log) do
    local verb, kind, name = words(action)
    local gone = verb == "create" and kind == "Pod" and position(out, "delete Pod " .. name)
    if gone then
      out[gone] = "restart Pod " .. name
    elseif verb then
      out[#out + 1] = ("%s %s %s"):format(verb, kind, name)
    end
  end
  return out
end

local function holder(w)
  local lease = w:get("Lease", "website")
  return lease and lease.spec.holderIdentity
end

--- The kubelet and the job controller do what they do.
local function start(w)
  for name, job in pairs(w.objects.Job or {}) do
    if not job.status then
      w:finish_job(name)
    end
  end
  for name, pod in pairs(w.objects.Pod or {}) do
    if not pod.status then
      if not holder(w) then
        w:hold(name)
      end
      w:run(name, name == holder(w) and "primary" or "standby")
    end
  end
end

--- The managers too.
local function switch(w)
  local target = w.obj.status.targetPrimary
  if holder(w) and target and target ~= holder(w) and w:get("Pod", target) then
    table.insert(w.log, { op = "switch", to = target })
    w:hold(target, 2)
    for name, pod in pairs(w.objects.Pod) do
      w:run(name, name == target and "primary" or "standby")
      local role = name == target and "primary" or "replica"
      pod.metadata.labels.role, pod.metadata.labels["cnpg.io/instanceRole"] = role, role
    end
  end
end

local function restart(w)
  for _, command in ipairs(w.commands) do
    if command.command == "restart" then
      local status = w.reports[command.pod].status
      status.pendingRestart, status.pendingRestartForDecrease = false, false
    end
  end
  w.commands = {}
end

local function live(w)
  for _ = 1, 60 do
    local before = {}
    for kind, list in pairs(w.objects) do
      for name in pairs(list) do
        before[kind .. name] = true
      end
    end
    local count = #w.log
    local _, changed = w:pass()
    for i = count + 1, #w.log do
      local action = w.log[i]
      if action.op == "apply" then
        action.is_new = not before[action.object.kind .. action.object.metadata.name]
      end
    end
    start(w)
    switch(w)
    restart(w)
    if #w.log == count and not changed then
      return
    end
  end
  error("it does not come to rest")
end

local EDITS = {
  { "one instance more", change = function(c) c.spec.instances = 4 end },
  { "one instance less", change = function(c) c.spec.instances = 2 end },
  { "another image", change = function(c) c.spec.imageName = "quay.io/enterprisedb/postgresql:15.5" end },
  { "another image, with a switchover", start = function(spec) spec.primaryUpdateMethod = "switchover" end,
    change = function(c) c.spec.imageName = "quay.io/enterprisedb/postgresql:15.5" end },
  { "another image, supervised", start = function(spec) spec.primaryUpdateStrategy = "supervised" end,
    change = function(c) c.spec.imageName = "quay.io/enterprisedb/postgresql:15.5" end },
  { "larger volumes", change = function(c) c.spec.storage.size = "20Gi" end },
  { "a volume for WAL", change = function(c) c.spec.walStorage = { size = "1Gi" } end },
  { "more memory", change = function(c) c.spec.resources = { requests = { memory = "512Mi" } } end },
  { "a restart", change = function(c)
    c.metadata.annotations["kubectl.kubernetes.io/restartedAt"] = "2026-08-01T10:05:00Z"
  end },
  { "hibernation", change = function(c) c.metadata.annotations["cnpg.io/hibernation"] = "on" end },
  { "no budget for disruptions", change = function(c) c.spec.enablePDB = false end },
  { "a superuser's secret", change = function(c) c.spec.enableSuperuserAccess = true end },
  { "labels for all objects", change = function(c)
    c.spec.inheritedMetadata = { labels = { team = "shop" } }
  end },
  { "another name for the certificate", change = function(c)
    c.spec.certificates = { serverAltDNSNames = array { "db.example.org" } }
  end },
  { "a parameter that is reloaded", reports = {}, change = function(c)
    c.spec.postgresql = { parameters = { work_mem = "8MB" } }
  end },
  { "a parameter that needs a restart", reports = { pendingRestart = true }, change = function(c)
    c.spec.postgresql = { parameters = { shared_buffers = "256MB" } }
  end },
  { "fewer connections", reports = { pendingRestart = true, pendingRestartForDecrease = true },
    start = function(spec) spec.postgresql = { parameters = { max_connections = "200" } } end,
    change = function(c) c.spec.postgresql.parameters.max_connections = "100" end },
  { "tolerations", change = function(c)
    c.spec.affinity = { tolerations = array { { key = "database", operator = "Exists" } } }
  end },
  { "nodes with a label", change = function(c) c.spec.affinity = { nodeSelector = { disk = "nvme" } } end },
  { "a class of priority", change = function(c) c.spec.priorityClassName = "important" end },
  { "variables of the environment", change = function(c)
    c.spec.env = array { { name = "TZ", value = "UTC" } }
  end },
  { "a service more", change = function(c)
    c.spec.managed = { services = { additional = array { { selectorType = "rw",
      serviceTemplate = { metadata = { name = "website-lb" }, spec = { type = "LoadBalancer" } } } } } }
  end },
  { "no service for reads", change = function(c)
    c.spec.managed = { services = { disabledDefaultServices = array { "r" } } }
  end },
  { "two that acknowledge", reports = {}, change = function(c)
    c.spec.postgresql = { synchronous = { method = "any", number = 2 } }
  end },
  { "maintenance of nodes", change = function(c)
    c.spec.nodeMaintenanceWindow = { inProgress = true, reusePVC = true }
  end },
  { "another delay before a stop", change = function(c) c.spec.stopDelay = 600 end },
  { "the end of hibernation", start = function(_, c) c.metadata.annotations["cnpg.io/hibernation"] = "off" end,
    change = function(c) c.metadata.annotations["cnpg.io/hibernation"] = nil end },
  { "nothing", change = function() end },
}

describe("the prediction of an edit", function()
  for _, edit in ipairs(EDITS) do
    it("is what then happens: " .. edit[1], function()
      local w = world.healthy(edit.start)
      local old = access.copy(w.obj)
      edit.change(w.obj)
      local seen = world.controller.observe(w:ctx(), access.copy(w.obj))
      local state = predict(seen, old)
      for _, report in pairs(w.reports) do
        for key, value in pairs(edit.reports or {}) do
          report.status[key] = value
        end
      end
      live(w)
      local predicted = lines(state.steps)
      if edit.reports then
        assert.equal("reload Cluster website", table.remove(predicted, 1))
      end
      assert.same(told(w), predicted)
      assert.equal(w.obj.status.phase, state.rest.phase)
    end)
  end

  it("is what then happens: a new cluster", function()
    local w = world.new()
    w.obj.metadata.uid = nil
    local state = predict(world.controller.observe(w:ctx(), access.copy(w.obj)))
    w.obj.metadata.uid = "uid-website"
    live(w)
    assert.same(told(w), lines(state.steps))
    assert.equal("Cluster in healthy state", state.rest.phase)
  end)

  it("waits for a cluster that is not at rest", function()
    local w = world.healthy()
    w.ha = function()
      return { state = "promoting", reason = "website-2 takes over", steps = array {}, candidates = array {} }
    end
    local state = predict(world.controller.observe(w:ctx(), access.copy(w.obj)), w.obj)
    assert.same({}, lines(state.steps))
    assert.equal("website-2 takes over", state.rest.reason)
  end)
end)
