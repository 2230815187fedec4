-- luacheck: globals array null
--- What the controller really asks is what the decision points describe.
local world = require("tests.lua.controllers.world")
local access = require("admission.access")

local host = { array = array }
assert(loadfile("scripts/policies/lib/contract.lua"))(host)
local shared = dofile("scripts/policies/points/common.lua")

local KINDS = { text = "string", label = "string", reason = "string", choice = "string", int = "number",
  time = "number", number = "number", flag = "boolean", list = "table", map = "table", record = "table" }

local check

local function check_inner(shape, value, path)
  if shape.kind == "record" then
    check(shape.fields, value, path)
    return
  end
  for key, item in pairs(value) do
    local inner = path .. "." .. tostring(key)
    local want = KINDS[shape.of.kind]
    assert(not want or type(item) == want, inner .. " is a " .. type(item))
    if type(item) == "table" then
      check_inner(shape.of, item, inner)
    end
  end
end

function check(fields, value, path)
  local known = {}
  for _, field in ipairs(fields) do
    known[field.name] = true
    local got = value[field.name]
    assert(got ~= nil or field.optional, path .. "." .. field.name .. " is missing")
    if got ~= nil then
      local want = KINDS[field.shape.kind]
      assert(not want or type(got) == want, path .. "." .. field.name .. " is a " .. type(got))
      if type(got) == "table" then
        check_inner(field.shape, got, path .. "." .. field.name)
      end
    end
  end
  for key in pairs(value) do
    assert(known[key], path .. ": unknown key " .. tostring(key))
  end
end

local function check_input(name, input)
  local point = host.contract(dofile("scripts/policies/points/" .. name .. ".lua"), shared)
  check(point.input, input, name)
end

describe("what the controller asks is what is described", function()
  it("placement/v1", function()
    local w = world.healthy(function(spec) spec.instances = 3 end)
    w.obj.spec.instances = 4
    w:pass()
    assert.equal("placement/v1", w.asked[1].point)
    check_input("placement", w.asked[1].input)
  end)

  it("instance/v1", function()
    local w, count = world.healthy(), 0
    w.obj.spec.resources = { requests = { cpu = "1" } }
    w.shape = function(input)
      count = count + 1
      check_input("instance", input)
      return { answer = {}, by = "built-in" }
    end
    w:pass()
    assert.is_true(count >= 3)
  end)

  it("failover/v1", function()
    local w = world.healthy()
    w.ha = function(facts)
      local verdict = world.default_verdict(w, facts)
      verdict.state, verdict.reason = "fencing", "the primary failed"
      verdict.candidates = array { { name = "website-2", zone = "zone2", node = "node2", sync = true, timeline = 1,
        flush_lsn = "0/3000000", replay_lag = 0, ready = true, priority = 0 } }
      return verdict
    end
    w:pass()
    local asked = access.copy(w.asked)
    assert.equal("failover/v1", asked[1].point)
    check_input("failover", asked[1].input)
  end)
end)
