-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local stale = require("controllers.cluster.stale")

--- An edit of parameters, and who has read it and waits for a restart.
local function edited(change)
  local w = world.healthy(change)
  for _, report in pairs(w.reports) do
    report.status.moonherd.configRead = "1"
  end
  w.obj.metadata.generation = 2
  return w
end

local function read(w, name, needs_restart)
  local status = w.reports[name].status
  status.moonherd.configRead, status.pendingRestart = "2", needs_restart
end

describe("a restart for parameters", function()
  it("waits until every manager has read them, so that the primary is not the first", function()
    local w = edited()
    read(w, "website-1", true)
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("Upgrading cluster", w.obj.status.phase)
    assert.equal("website-2 and website-3 have not read the new configuration yet", w.obj.status.phaseReason)
    read(w, "website-3", true)
    assert.same({}, world.lines(w:pass().actions))
    read(w, "website-2", true)
    assert.same({ "instance restart website-3" }, world.lines(w:pass().actions))
    read(w, "website-3", false)
    assert.same({ "instance restart website-2" }, world.lines(w:pass().actions))
    read(w, "website-2", false)
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
    read(w, "website-1", false)
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("does not switch over either before all have read them", function()
    local w = edited(function(spec)
      spec.primaryUpdateMethod = "switchover"
    end)
    read(w, "website-1", true)
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("website-1", w.obj.status.targetPrimary)
  end)

  it("waits for all even where a lower limit goes to the primary first", function()
    local w = edited()
    read(w, "website-1", true)
    w.reports["website-1"].status.pendingRestartForDecrease = true
    assert.same({}, world.lines(w:pass().actions))
    read(w, "website-2", false)
    read(w, "website-3", false)
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
  end)

  it("does not wait for a manager that says nothing of what it read", function()
    local w = edited()
    for _, report in pairs(w.reports) do
      report.status.moonherd.configRead = nil
    end
    w.reports["website-2"].status.pendingRestart = true
    assert.same({ "instance restart website-2" }, world.lines(w:pass().actions))
  end)

  it("says nothing while nobody needs one", function()
    local w = edited()
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("does not hold up pods that have to be made anew", function()
    local w = edited()
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:15.5"
    assert.same({ "delete Pod website-3" }, world.lines(w:pass().actions))
  end)

  it("waits while PostgreSQL of another instance is not up, whatever the kubelet says", function()
    local w = edited()
    for i = 1, 3 do
      read(w, "website-" .. i, true)
    end
    w.obj.status.phase = "Upgrading cluster"
    w.reports["website-2"].status.moonherd.pgUp = false
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("instance website-2 is being restarted", w.obj.status.phaseReason)
    w.reports["website-2"].status.moonherd.pgUp = true
    assert.same({ "instance restart website-3" }, world.lines(w:pass().actions))
  end)

  it("waits with synchronous replication until the one before streams again", function()
    local w = edited(function(spec)
      spec.postgresql = { synchronous = { method = "any", number = 1 } }
    end)
    for i = 1, 3 do
      read(w, "website-" .. i, i < 3)
    end
    w.reports["website-3"].status.moonherd.receiverActive = false
    assert.same({}, world.lines(w:pass().actions))
    w.reports["website-3"].status.moonherd.receiverActive = true
    assert.same({ "instance restart website-2" }, world.lines(w:pass().actions))
  end)
end)

describe("what a manager is to have read", function()
  it("is the generation, and what the annotations add to it", function()
    local cluster = { metadata = { generation = 7, annotations = {} } }
    assert.equal("7", stale.config_of(cluster))
    cluster.metadata.annotations["moonherd.io/instance-policy"] = '{"pg-2":{"parameters":{"work_mem":"77MB"}}}'
    -- The same text stands in tests/unit/instance/test_conf.c.
    assert.equal("7-d115df99854aee6e", stale.config_of(cluster))
  end)
end)

describe("a policy of rollout/v1", function()
  --- A new image, and a policy that answers what it is given.
  local function asked(answer, change)
    local w = world.healthy(change)
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:15.5"
    w.rollout = function(input)
      local said = type(answer) == "function" and answer(input) or answer
      return { by = "shop/window/rollout.lua@abc", answer = said }
    end
    return w
  end

  local function update(target, method)
    return { action = "update", target = target, method = method or "restart" }
  end

  it("is told who waits, in the order of the core, and who does not", function()
    local w = asked(update("website-2"))
    w.obj.metadata.annotations["moonherd.io/urgent-update"] = "true"
    w.nodes = nil
    assert.same({ "label Cluster website", "delete Pod website-2" }, world.lines(w:pass().actions))
    local input = w.rollouts[1]
    local order = {}
    for i, one in ipairs(input.pending) do
      order[i] = one.name .. " " .. one.role .. " " .. one.zone .. " " .. tostring(one.safe)
    end
    assert.same({ "website-3 replica zone3 true", "website-2 replica zone2 true",
      "website-1 primary zone1 true" }, order)
    assert.is_true(input.urgent)
    assert.equal(0, #input.updated)
    assert.equal(w.now, input.started_at)
    assert.equal(0, input.last_change)
    assert.equal("restart", input.primary_method)
    assert.truthy(input.reason:find("15.5", 1, true))
  end)

  it("is told when the change began and when the last one was restarted, also by a new operator", function()
    local w = asked(update("website-3"))
    w:pass()
    w:pass()
    w:run("website-3", "standby", { replayLsn = "0/3000000", moonherd = { startedAt = w.now + 20, crashes = 2 } })
    w.reports["website-1"].status.currentLsn = "0/3000100"
    w.now = w.now + 60
    w:pass()
    local input = w.rollouts[#w.rollouts]
    assert.equal(w.now - 60, input.started_at)
    assert.equal(w.now - 40, input.last_change)
    assert.equal("website-3", input.updated[1].name)
    assert.equal(256, input.updated[1].replay_lag)
    assert.equal(2, input.updated[1].crashes)
  end)

  it("that waits holds the restart, says until when, and leaves the cluster ready", function()
    local at = world.NOW + 3600
    local w = asked({ action = "wait", reason = "OutsideWindow", message = "the next window opens at 11:00", at = at })
    local plan = w:pass()
    assert.same({ "label Cluster website" }, world.lines(plan.actions))
    assert.equal("Cluster upgrade delayed", w.obj.status.phase)
    assert.truthy(w.obj.status.phaseReason:find("website-3 has to be restarted", 1, true))
    assert.truthy(w.obj.status.phaseReason:find("opens at 11:00 (until 2026-08-01T11:00:00Z)", 1, true))
    assert.equal("True", world.condition(w.obj.status, "Ready").status)
    assert.equal(300, plan.requeue_s)
    w:settle()
    w.rollout = nil
    assert.same({ "delete Pod website-3" }, world.lines(w:pass().actions))
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:15.4"
    w:pass()
    w:run("website-3", "standby")
    w:settle()
    assert.is_nil(w.obj.metadata.annotations["moonherd.io/rollout-since"])
  end)

  it("that waits for some seconds does not write the status at every look", function()
    local w = asked(function(input)
      return { action = "wait", reason = "ZoneBusy", at = input.now + 15 }
    end)
    w:pass()
    w.now = w.now + 5
    local plan, is_changed = w:pass()
    assert.is_false(is_changed)
    assert.equal(15, plan.requeue_s)
  end)

  it("is told of restarts in other clusters", function()
    local w = asked({ action = "wait", reason = "ZoneBusy", at = world.NOW + 15 })
    w.fleet = array { { namespace = "web", cluster = "pg", name = "pg-2", zone = "zone3" } }
    w:pass()
    assert.equal("pg-2", w.rollouts[1].fleet[1].name)
  end)

  it("is told nothing of a restart that stays the user's", function()
    local w = asked(update("website-1"), function(spec)
      spec.instances, spec.primaryUpdateStrategy = 3, "supervised"
    end)
    w:get("Pod", "website-2").spec.containers[1].image = "quay.io/enterprisedb/postgresql:15.5"
    w:get("Pod", "website-3").spec.containers[1].image = "quay.io/enterprisedb/postgresql:15.5"
    w.obj.metadata.annotations["cnpg.io/reconcilePodSpec"] = "disabled"
    assert.same({}, world.lines(w:pass().actions))
    assert.equal(0, #w.rollouts)
    assert.equal("Waiting for user action", w.obj.status.phase)
  end)

  it("may say how the primary goes", function()
    local w = asked(update("website-1", "switchover"))
    w:get("Pod", "website-2").spec.containers[1].image = "quay.io/enterprisedb/postgresql:15.5"
    w:get("Pod", "website-3").spec.containers[1].image = "quay.io/enterprisedb/postgresql:15.5"
    w.obj.metadata.annotations["cnpg.io/reconcilePodSpec"] = "disabled"
    w:pass()
    assert.equal("website-2", w.obj.status.targetPrimary)
  end)

  it("never moves the role for a lower limit", function()
    local w = world.healthy()
    w.reports["website-1"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestartForDecrease = true
    w.rollout = function()
      return { by = "built-in", answer = update("website-1", "switchover") }
    end
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
    assert.equal(1, #w.rollouts[1].pending)
  end)

  it("that is still being checked decides nothing yet", function()
    local w = asked(nil)
    w.rollout = function()
      return { by = "built-in", pending = true, answer = update("website-3") }
    end
    assert.same({}, world.lines(w:pass().actions))
    w.rollout = nil
    assert.same({ "delete Pod website-3" }, world.lines(w:pass().actions))
  end)

  it("that fails is told, and the built-in order decides", function()
    local w = asked(nil)
    w.rollout = function()
      return { by = "built-in", error = { file = "rollout.lua", line = 3, message = "no idea" },
        answer = update("website-3") }
    end
    assert.same({ "delete Pod website-3" }, world.lines(w:pass().actions))
    assert.equal("PolicyFailed", w.events[1].reason)
  end)

  it("is not asked while an instance is away, nor when nothing is due", function()
    local w = asked(update("website-3"))
    w:get("Pod", "website-2").status.conditions = array {}
    w:pass()
    assert.equal(0, #w.rollouts)
    w = world.healthy()
    assert.equal(0, #w.rollouts)
  end)

  it("does not stop a failover", function()
    local w = asked({ action = "wait", reason = "Never", at = world.NOW + 86400 })
    w:pass()
    local count = #w.rollouts
    w.ha = function()
      return { state = "fencing", reason = "website-1 does not answer", steps = array {}, candidates = array {} }
    end
    w:pass()
    assert.equal(count, #w.rollouts)
    assert.equal("Failing over", w.obj.status.phase)
  end)
end)
