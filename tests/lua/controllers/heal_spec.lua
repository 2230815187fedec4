-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local json = require("desired.json")

local NOTE = "moonherd.io/heal"

describe("a replica that stays broken", function()
  local function rfc(seconds)
    return require("desired.time").rfc3339(seconds)
  end

  --- website-3 is not ready for so many seconds; the policy answers this.
  local function broken(seconds, answer)
    local w = world.healthy()
    local function break_it()
      w:get("Pod", "website-3").status.conditions = array { { type = "Ready", status = "False",
        lastTransitionTime = rfc(w.now - seconds) } }
      w.reports["website-3"].status.moonherd.pgUp = false
    end
    break_it()
    w.questions = {}
    w.heal = answer and function(input)
      w.questions[#w.questions + 1] = input
      return { by = "shop/heal/heal.lua@abc", answer = type(answer) == "function" and answer(input) or answer }
    end
    return w, break_it
  end

  local function step(name)
    return { action = "heal", step = name }
  end

  it("stays so without a policy", function()
    assert.same({}, world.lines((broken(3600)):pass().actions))
  end)

  it("is nobody's question for as long as a restart takes", function()
    local w = broken(20, step("reclone"))
    assert.same({}, world.lines(w:pass().actions))
    assert.equal(0, #w.questions)
  end)

  it("is told with what is wrong, what was tried, and what is safe", function()
    local w = broken(60, step("restart"))
    w:pass()
    local input = w.questions[1]
    assert.same({ "website-3", "zone3", "not_starting", 2, w.now - 60, 0 }, { input.instance.name,
      input.instance.zone, input.problem, input.healthy, input.since, #input.attempts })
    assert.equal('["restart","reclone"]', json.encode(input.steps))
  end)

  it("gets a new pod, and the attempt is remembered", function()
    local w, break_it = broken(60, step("restart"))
    local plan = w:pass()
    assert.same({ "label Cluster website", "delete Pod website-3" }, world.lines(plan.actions))
    assert.same({ "HealInstance" }, world.reasons(plan.actions))
    w:pass()
    w:run("website-3", "standby")
    w.now = w.now + 120
    break_it()
    w.heal = nil
    local seen
    w.heal = function(input)
      seen = input
      return { by = "x", answer = { action = "wait", reason = "LastStepUnderWay", at = input.now + 600 } }
    end
    plan = w:pass()
    assert.same({ { step = "restart", at = w.now - 120 } }, { table.unpack(seen.attempts) })
    assert.equal(w.now - 180, seen.since)
    assert.truthy(w.obj.status.phaseReason:find("is broken (not_starting); x: LastStepUnderWay (until", 1, true))
    assert.equal(300, plan.requeue_s)
  end)

  it("gets a new volume", function()
    local w = broken(60, step("reclone"))
    assert.same({ "label Cluster website", "delete PersistentVolumeClaim website-3", "delete Pod website-3" },
      world.lines(w:pass().actions))
  end)

  it("that was being removed when the pass was cut short is removed", function()
    local w = broken(60)
    w:get("PersistentVolumeClaim", "website-3").metadata.deletionTimestamp = "2026-08-01T10:00:00Z"
    assert.truthy(table.concat(world.lines(w:pass().actions), "\n"):find("delete Pod website-3", 1, true))
    w = world.healthy()
    w:get("PersistentVolumeClaim", "website-1").metadata.deletionTimestamp = "2026-08-01T10:00:00Z"
    w:pass()
    assert.truthy(w:get("Pod", "website-1"))
  end)

  it("keeps its data while another one is not well, and as long as it is the primary or fenced", function()
    local w = broken(60, step("restart"))
    w.reports["website-2"].status.moonherd.pgUp = false
    w:pass()
    assert.equal('["restart"]', json.encode(w.questions[1].steps))
    w = broken(60, step("reclone"))
    w.obj.metadata.annotations["cnpg.io/fencedInstances"] = '["website-3"]'
    w:pass()
    assert.equal(0, #w.questions)
    w = broken(60, step("reclone"))
    w.obj.status.targetPrimary = "website-3"
    w:pass()
    assert.equal(0, #w.questions)
  end)

  it("is left alone while the role moves, or when the policy fails", function()
    local w = broken(60, step("reclone"))
    w.ha = function()
      return { state = "fencing", reason = "website-1 does not answer", steps = array {}, candidates = array {} }
    end
    w:pass()
    assert.equal(0, #w.questions)
    w = broken(60)
    w.heal = function()
      return { by = "built-in", error = "no idea", answer = step("reclone") }
    end
    local plan = w:pass()
    assert.same({}, world.lines(plan.actions))
    assert.same({ "PolicyFailed" }, world.reasons(plan.actions))
  end)

  it("is forgotten once it is well for some minutes", function()
    local w = broken(60, step("restart"))
    w:pass()
    w:pass()
    w:run("website-3", "standby")
    w:get("Pod", "website-3").status.conditions[1].lastTransitionTime = rfc(w.now)
    w:pass()
    assert.truthy(w.obj.metadata.annotations[NOTE])
    w.now = w.now + 400
    w:pass()
    assert.is_nil(w.obj.metadata.annotations[NOTE])
  end)
end)
