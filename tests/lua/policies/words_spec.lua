-- luacheck: read globals array null
--- The words of policies under plain Lua: rank, units, results; and the built-in policies with them.
local plain = dofile("tests/lua/plain.lua")

--- Loads the words with a host of the test; the words become fields of the result.
local function words()
  local env = setmetatable({}, { __index = _G })
  local host = { declared = function() end, set = function(name, value) env[name] = value end }
  env.array, env.null = _G.array, _G.null
  assert(loadfile("scripts/policies/lib/words.lua", "t", env))(host)
  env.host = host
  return env
end

local function builtin(name)
  local env = words()
  return assert(loadfile(("scripts/policies/%s.lua"):format(name), "t", env))()
end

describe("policy words", function()
  local saved = {}
  setup(function()
    saved = { array = rawget(_G, "array"), null = rawget(_G, "null") }
    rawset(_G, "array", plain.array)
    rawset(_G, "null", plain.null)
  end)
  teardown(function()
    rawset(_G, "array", saved.array)
    rawset(_G, "null", saved.null)
  end)

  it("rank sorts by the elements of the keys, then by name", function()
    local order = words().rank {
      { name = "c", key = { true, 5 } }, { name = "b", key = { false, 1 } }, { name = "a", key = { true, 5 } },
      { name = "d", key = { true, 4 } },
    }
    assert.same({ "d", "a", "c", "b" }, { table.unpack(order) })
  end)

  it("rank names the element that cannot be compared", function()
    assert.error_matches(function()
      words().rank { { name = "a", key = { 1 } }, { name = "b", key = { "x" } } }
    end, "element 1 of the keys")
  end)

  it("sizes and times are integers", function()
    local unit = words().host.unit
    assert.equal(16 * 1024 * 1024, unit("bytes", "16MiB"))
    assert.equal(600, unit("duration", "10m"))
    assert.equal(7, unit("duration", 7))
    assert.is_nil(unit("bytes", "soon"))
    assert.is_nil(unit("bytes", -1))
  end)

  it("results are plain data", function()
    local w = words()
    assert.same({ action = "hold", reason = "R", message = "2 of 3", until_s = 30 }, w.hold("R", "%d of %d", 2, 3))
    assert.same({ action = "hold", reason = "R", until_s = 5 }, w.hold { reason = "R", until_s = 5 })
    assert.same({ action = "reject", reason = "R", message = "m" }, w.reject("R", "m"))
    assert.error_matches(function() w.promote "pg-2" end, "want a list of names")
  end)

  it("the built-in failover policy prefers no loss, then priority, then the least lag", function()
    local answer = builtin("failover").decide { candidates = {
      { name = "pg-2", sync = false, ready = true, replay_lag = 0 },
      { name = "pg-3", sync = true, ready = true, replay_lag = 9 },
      { name = "pg-4", sync = true, ready = true, replay_lag = 1 },
      { name = "pg-5", sync = true, ready = true, replay_lag = 99, priority = 1 },
    } }
    assert.same({ "pg-5", "pg-4", "pg-3", "pg-2" }, { table.unpack(answer.order) })
    assert.equal("pg-5", answer.target)
    assert.equal("hold", builtin("failover").decide({ candidates = {} }).action)
  end)

  it("the built-in placement policy spreads where there are several zones", function()
    assert.equal(1, #builtin("placement").decide({ zones = { "a", "b" } }).spread)
    assert.equal(0, #builtin("placement").decide({ zones = { "a" } }).spread)
  end)
end)
