-- luacheck: globals array null
local world = require("tests.lua.controllers.world")

local NOTE = "moonherd.io/sync-policy"

describe("the synchronous set", function()
  local function synchronous(answer, rule)
    local w = world.healthy(function(spec)
      spec.postgresql = { synchronous = rule or { method = "any", number = 1 } }
    end)
    local status = w.reports["website-1"].status
    status.currentLsn = "0/3000100"
    status.replicationInfo = array {
      { applicationName = "website-2", state = "streaming", syncPriority = "1", flushLsn = "0/3000000" },
      { applicationName = "website-3", state = "catchup", syncPriority = "0", flushLsn = "0/2000000" },
    }
    w.sync = function(input)
      w.input = input
      return type(answer) == "function" and answer(input)
        or answer and { by = "shop/where/sync.lua@abc", answer = { names = array(answer) } } or { by = "built-in" }
    end
    return w
  end

  it("is nobody's question without a policy", function()
    local w = synchronous(nil)
    w:settle()
    assert.is_nil(w.obj.metadata.annotations[NOTE])
  end)

  it("is told with who streams, who is a member and where they are", function()
    local w = synchronous { "website-2" }
    w:pass()
    local a, b = w.input.candidates[1], w.input.candidates[2]
    assert.same({ "website-2", "zone2", true, true, 256 }, { a.name, a.zone, a.streaming, a.member, a.flush_lag })
    assert.same({ "website-3", "zone3", false, false }, { b.name, b.zone, b.streaming, b.member })
    assert.equal("website-1", w.input.primary.name)
    assert.equal("zone1", w.input.primary.zone)
    assert.same({ 1, "any", "required" }, { w.input.required, w.input.method, w.input.durability })
  end)

  it("is written down for the primary's manager, once", function()
    local w = synchronous { "website-2" }
    local plan = w:pass()
    assert.same({ "label Cluster website" }, world.lines(plan.actions))
    assert.same({ "SyncDecision" }, world.reasons(plan.actions))
    assert.equal('{"names":["website-2"],"primary":"website-1"}', w.obj.metadata.annotations[NOTE])
    assert.same({}, w:pass().actions)
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("stays while the policy fails or is being checked, for the same primary", function()
    local said
    local w = synchronous(function()
      return said
    end)
    said = { by = "x", answer = { names = array { "website-3" } } }
    w:pass()
    said = { by = "built-in", error = "boom", answer = { names = array { "website-2" } } }
    assert.same({ "PolicyFailed" }, world.reasons(w:pass().actions))
    said = { by = "built-in", pending = true, answer = { names = array { "website-2" } } }
    w:pass()
    assert.equal('{"names":["website-3"],"primary":"website-1"}', w.obj.metadata.annotations[NOTE])
  end)

  it("is everybody again when the policy or the rule goes", function()
    local w = synchronous { "website-2" }
    w:pass()
    w.sync = nil
    w:pass()
    assert.is_nil(w.obj.metadata.annotations[NOTE])
    w = synchronous { "website-2" }
    w:pass()
    w.obj.spec.postgresql.synchronous = nil
    w:pass()
    assert.is_nil(w.obj.metadata.annotations[NOTE])
  end)

  it("is not asked about while the role moves, and the annotation stays", function()
    local w = synchronous { "website-2" }
    w:pass()
    w.input = nil
    w.ha = function()
      return { state = "fencing", reason = "website-1 does not answer", steps = array {}, candidates = array {} }
    end
    w:pass()
    assert.is_nil(w.input)
    assert.truthy(w.obj.metadata.annotations[NOTE])
  end)
end)
