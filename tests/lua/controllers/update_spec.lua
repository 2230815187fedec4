-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local access = require("admission.access")
local json = require("desired.json")

local assert_has, assert_none = world.assert_has, world.assert_none

describe("a rolling update", function()
  local function image(w)
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:15.5"
  end

  local function again(w, name, role)
    assert_has(world.lines(w:pass().actions), "create Pod " .. name)
    w:run(name, role)
    w:pass()
  end

  it("takes replicas one at a time and the primary last", function()
    local w = world.healthy()
    image(w)
    local plan = w:pass()
    assert.same({ "delete Pod website-3" }, world.lines(plan.actions))
    assert.same({ "UpgradingInstance" }, world.reasons(plan.actions))
    assert.equal("Upgrading cluster", w.obj.status.phase)
    again(w, "website-3", "standby")
    assert.is_nil(w:get("Pod", "website-2"))
    again(w, "website-2", "standby")
    -- Its manager and the protocol are told first.
    assert.truthy(w:get("Pod", "website-1"))
    assert.equal("Primary instance is being restarted without a switchover", w.obj.status.phase)
    assert.same({ "delete Pod website-1" }, world.lines(w:pass().actions))
    again(w, "website-1", "primary")
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
    assert.equal("quay.io/enterprisedb/postgresql:15.5", w.obj.status.image)
  end)

  it("hands the role over with method switchover", function()
    local w = world.healthy(function(spec)
      spec.primaryUpdateMethod = "switchover"
    end)
    image(w)
    w:pass()
    again(w, "website-3", "standby")
    again(w, "website-2", "standby")
    assert.equal("website-2", w.obj.status.targetPrimary)
    assert.equal("Switchover in progress", w.obj.status.phase)
    assert.truthy(w:get("Pod", "website-1"))
  end)

  it("waits for the user with strategy supervised", function()
    local w = world.healthy(function(spec)
      spec.primaryUpdateStrategy = "supervised"
    end)
    image(w)
    w:pass()
    again(w, "website-3", "standby")
    again(w, "website-2", "standby")
    assert.equal("Waiting for user action", w.obj.status.phase)
    assert.truthy(w:get("Pod", "website-1"))
  end)

  it("waits while an instance is not ready", function()
    local w = world.healthy()
    w:get("Pod", "website-2").status.conditions = array {}
    image(w)
    assert.equal(0, #w:pass().actions)
  end)

  it("follows a change of the pod's specification, unless that is switched off", function()
    local w = world.healthy()
    w.obj.spec.resources = { limits = { cpu = "1" } }
    assert.same({ "delete Pod website-3" }, world.lines(w:pass().actions))
    w = world.healthy()
    w.obj.metadata.annotations["cnpg.io/reconcilePodSpec"] = "disabled"
    w.obj.spec.resources = { limits = { cpu = "1" } }
    assert.equal(0, #w:pass().actions)
  end)

  it("follows restartedAt, once", function()
    local w = world.healthy()
    w.obj.metadata.annotations["kubectl.kubernetes.io/restartedAt"] = "2026-08-01T11:00:00Z"
    w:pass()
    again(w, "website-3", "standby")
    again(w, "website-2", "standby")
    w:pass()
    again(w, "website-1", "primary")
    w:settle()
  end)

  it("restarts in place when only parameters wait for it", function()
    local w = world.healthy()
    w.reports["website-2"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestart = true
    assert.same({ "instance restart website-2" }, world.lines(w:pass().actions))
    w.reports["website-2"].status.pendingRestart = nil
    w:pass()
    assert.equal("website-1", w.commands[#w.commands].pod)
  end)

  it("lowers limits on the primary first", function()
    local w = world.healthy()
    w.reports["website-2"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestartForDecrease = true
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
  end)

  it("lowers limits in place even where updates switch over, and asks the user where he supervises", function()
    local function lowered(strategy)
      local w = world.healthy(function(spec)
        spec.primaryUpdateMethod, spec.primaryUpdateStrategy = "switchover", strategy
      end)
      w.reports["website-1"].status.pendingRestart = true
      w.reports["website-1"].status.pendingRestartForDecrease = true
      return world.lines(w:pass().actions), w
    end
    assert.same({ "instance restart website-1" }, (lowered("unsupervised")))
    local lines, w = lowered("supervised")
    assert.same({}, lines)
    assert.equal("Waiting for user action", w.obj.status.phase)
    assert.equal("website-1", w.obj.status.targetPrimary)
  end)

  it("restarts the primary in place when the plugin wrote the phase", function()
    local w = world.healthy()
    w.obj.status.phase = "Primary instance is being restarted in-place"
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
    w:settle()
    assert.equal(1, #w.commands)
  end)

  it("does not become another major version", function()
    local w = world.healthy()
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:17.2"
    assert.same({}, world.lines(w:pass().actions))
    assert.truthy(w.obj.status.phaseReason:find("PostgreSQL 15 cannot become 17", 1, true))
    assert.equal("quay.io/enterprisedb/postgresql:15.4", w.obj.status.image)
  end)
end)

describe("a placement policy", function()
  it("moves a new instance where it says, with its job", function()
    local w = world.healthy()
    w.policy = function(_, input)
      return { by = "shop/where", answer = { required = array {
        { node = { key = "topology.kubernetes.io/zone", op = "In", values = array { input.zones[3] } } } } } }
    end
    w.obj.spec.instances = 4
    w:pass()
    local node = w:get("Job", "website-4-join").spec.template.spec.affinity.nodeAffinity
    assert.equal("zone3", node.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1]
      .matchExpressions[1].values[1])
    assert.equal(4, w.asked[1].input.instance.ordinal)
    assert.same({ "zone1", "zone2", "zone3" }, { table.unpack(w.asked[1].input.zones) })
    w:finish_job("website-4-join")
    w:pass()
    w:run("website-4", "standby")
    w:get("Pod", "website-4").spec.nodeName = "node3"
    w.policy = nil -- a later policy restarts nobody
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("that refuses one instance stops only that one", function()
    local w = world.healthy()
    w.policy = function(_, input)
      return { by = "x", answer = input.instance.ordinal == 4
        and { action = "reject", reason = "TooFewZones", message = "no room" } or {} }
    end
    w.obj.spec.instances = 5
    local plan = w:pass()
    assert_none(world.lines(plan.actions), "website%-4")
    assert_has(world.lines(plan.actions), "create Job website-5-join")
    assert_has(world.reasons(plan.actions), "PlacementRejected")
    assert.equal("website-4 is not created: no room",
      world.condition(w.obj.status, "moonherd.io/PlacementRejected").message)
    assert.same({}, world.reasons(w:pass().actions))
    w.policy = nil
    w:pass()
    assert.is_nil(world.condition(w.obj.status, "moonherd.io/PlacementRejected"))
  end)

  it("that fails is told and does not matter", function()
    local w = world.healthy()
    w.policy = function()
      return { by = "shop/where", error = { file = "where.lua", line = 3, message = "boom" }, answer = {} }
    end
    w.obj.spec.instances = 4
    local plan = w:pass()
    assert_has(world.lines(plan.actions), "create Job website-4-join")
    assert.equal("placement/v1 by shop/where: where.lua:3: boom; website-4 is placed by the built-in rule",
      w.events[#w.events - 1].note)
  end)
end)

describe("every plan", function()
  it("is plain data that survives JSON", function()
    local decode = require("admission.json").decode
    local w = world.healthy()
    w.obj.spec.instances = 4
    local seen = world.controller.observe(w:ctx(), access.copy(w.obj))
    local text = json.encode(world.controller.plan(seen))
    assert.equal(text, json.encode(world.controller.plan(decode(json.encode(seen)))))
  end)

  it("has one sentence, and asks to be looked at again", function()
    local w = world.healthy()
    local plan = w:pass()
    assert.equal("website-1 is primary and 3 of 3 instances are ready", plan.reason)
    assert.is_true(plan.requeue_s >= 1)
  end)
end)
