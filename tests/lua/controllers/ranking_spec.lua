-- luacheck: globals array null
local cjson = require("admission.json")
local world = require("tests.lua.controllers.world")

local NOTE = "moonherd.io/ranking"

describe("the ranking for managers without an operator", function()
  local function ranked(answer)
    local w = world.healthy()
    w.inputs = {}
    for i, lsn in ipairs { "0/3000100", "0/3000100", "0/3000000" } do
      local own = w.reports["website-" .. i].status.moonherd
      own.role, own.flushLsn, own.timeline = i == 1 and "primary" or "standby", lsn, 1
    end
    w.ranking = function(input)
      w.inputs[#w.inputs + 1] = input
      return type(answer) == "function" and answer(input) or answer
    end
    return w
  end

  local function note(w)
    local text = w:get("Lease", "website").metadata.annotations[NOTE]
    return text and cjson.decode(text)
  end

  local THIRD = { by = "shop/who@abc", answer = { action = "promote", order = array { "website-3", "website-2" } } }

  it("is nobody's question without a policy", function()
    local w = ranked { by = "built-in" }
    w:pass()
    assert.is_nil(note(w))
    assert.same({}, w:pass().actions)
  end)

  it("is asked with the standbys as the protocol describes them", function()
    local w = ranked(THIRD)
    w:pass()
    local a, b = w.inputs[1].candidates[1], w.inputs[1].candidates[2]
    assert.same({ "website-2", "zone2", "node2", 0, true, 0, 1 },
      { a.name, a.zone, a.node, a.replay_lag, a.ready, a.priority, a.timeline })
    assert.same({ "website-3", 256 }, { b.name, b.replay_lag })
    assert.equal(2, #w.inputs[1].candidates)
  end)

  it("is written into the Lease with its time and its policy, and anew before it is old", function()
    local w = ranked(THIRD)
    w:pass()
    local said = note(w)
    assert.same({ "website-3", "website-2" }, { said.order[1], said.order[2] })
    assert.same({ 0, "shop/who@abc" }, { said.hold_s, said.by })
    assert.same({}, w:pass().actions)
    assert.equal(1, #w.inputs)
    assert.is_true(w:pass().requeue_s <= 30)
    w.now = w.now + 30
    w:pass()
    assert.equal(2, #w.inputs)
    assert.not_equal(said.at, note(w).at)
  end)

  it("may hold, for thirty seconds at most", function()
    local w = ranked { by = "x", answer = { action = "hold", until_s = 3600 } }
    w:pass()
    assert.same({ 30, 0 }, { note(w).hold_s, #note(w).order })
  end)

  it("of a policy that fails goes, once: the built-in order holds", function()
    local said, asked = THIRD, 0
    local w = ranked(function()
      asked = asked + 1
      return said
    end)
    w:pass()
    assert.truthy(note(w))
    said = { by = "built-in", error = "boom", answer = THIRD.answer }
    local writes = 0
    for _ = 1, 4 do
      w.now = w.now + 26
      local plan = w:pass()
      for _, action in ipairs(plan.actions) do
        writes = writes + (action.op == "label" and action.kind == "Lease" and 1 or 0)
      end
      assert.is_nil(note(w))
      assert.is_true(plan.requeue_s <= 26) -- it is asked again
    end
    assert.same({ 1, 5 }, { writes, asked })
    said = THIRD
    w:pass()
    assert.truthy(note(w))
  end)

  it("goes with the policy, and stays while one is being checked", function()
    local said = THIRD
    local w = ranked(function() return said end)
    w:pass()
    w.now = w.now + 40
    said = { by = "built-in", pending = true, answer = {} }
    w:pass()
    assert.truthy(note(w))
    said = { by = "built-in" }
    w:pass()
    assert.is_nil(note(w))
  end)

  it("is left alone while the role moves", function()
    local w = ranked(THIRD)
    w.ha = function()
      return { state = "fencing", reason = "r", steps = array {}, candidates = array {} }
    end
    w:pass()
    assert.is_nil(note(w))
    assert.equal(0, #w.inputs)
  end)
end)
