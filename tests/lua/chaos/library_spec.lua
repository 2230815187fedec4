-- luacheck: read globals array null
--- The library of scenarios under plain Lua: what each says of itself, and what is counted as acknowledged.
local plain = dofile("tests/lua/plain.lua")

local DIR = "scripts/chaos"

--- A module of the library, fresh.
local function fresh(name)
  for loaded in pairs(package.loaded) do
    if loaded:find("^chaos%.lib") then package.loaded[loaded] = nil end
  end
  return require(name)
end

local function read(path)
  local f <close> = assert(io.open(path))
  return f:read("a")
end

local function scenarios()
  local out, p = {}, assert(io.popen("ls " .. DIR .. "/*.lua"))
  for path in p:lines() do out[#out + 1] = path end
  p:close()
  return out
end

--- What a scenario's file returns, and its text.
local function load_one(path)
  local env = setmetatable({}, { __index = _G })
  env.scenario, env.str, env.int, env.num, env.flag, env.duration = fresh("chaos.lib.words").all()
  local text = read(path)
  return assert(load(text, "@" .. path, "t", env))(), text
end

describe("scenarios", function()
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

  it("are twelve or more", function() assert.is_true(#scenarios() >= 12) end)

  for _, path in ipairs(scenarios()) do
    local name = path:match("([%w-]+)%.lua$")
    it(name .. " says what it is, what it covers, and what makes it fail", function()
      local def, text = load_one(path)
      assert.equal(name, def.kind)
      assert.is_string(def.about)
      assert.is_function(def.run)
      assert.is_true(#def.covers > 0)
      for _, id in ipairs(def.covers) do assert.is_truthy(id:find("^[A-I]%d+$"), id) end
      assert.is_truthy(next(def.defence or {}), "no defence")
      for defence in pairs(def.defence) do
        assert.is_truthy(text:find(('t.without "%s"'):format(defence), 1, true), defence .. " is not switched off")
      end
      assert.is_truthy(read("docs/chaos.md"):find("\n| " .. name .. " |", 1, true), "not in docs/chaos.md")
    end)
  end

  it("have dice that only the seed decides", function()
    local function draws(seed)
      local state, out = fresh("chaos.lib.state"), {}
      state.input = { seed = seed }
      for i = 1, 50 do
        out[i] = state.draw(6)
        assert.is_true(out[i] >= 1 and out[i] <= 6)
      end
      return table.concat(out)
    end
    assert.equal(draws(1), draws(1))
    assert.is_not.equal(draws(1), draws(2))
  end)

  it("take a cluster as settled only when there is a pod of each instance", function()
    local kube, state = fresh("chaos.lib.kube"), require "chaos.lib.state"
    local cluster = require "chaos.lib.cluster"
    local pods
    local object = { spec = { instances = 2 }, status = { phase = "Cluster in healthy state", readyInstances = 2,
      currentPrimary = "c-1", targetPrimary = "c-1" } }
    kube.get = function(kind, name)
      return kind == "clusters" and object or { metadata = { name = name }, status = { podIP = "127.0.0.9" } }
    end
    kube.list = function() return pods end
    state.clock, state.sleep = function() return 0 end, function() end
    local c = cluster.new("c")
    c.conn = function() return "" end
    c.ask = function(_, _, sql) return { { sql:find("^SHOW") and "" or "7" } } end
    pods = { { metadata = { name = "c-1" } }, { metadata = { name = "c-2" } } }
    assert.is_true(c:all_streaming())
    pods = { { metadata = { name = "c-1" } } } -- nobody operates: the status is of before
    assert.is_false(c:all_streaming())
    pods = { { metadata = { name = "c-1" } }, { metadata = { name = "c-2", deletionTimestamp = "now" } } }
    assert.is_false(c:all_streaming())
  end)

  it("read durations", function()
    local state = fresh("chaos.lib.state")
    assert.equal(1.5, state.seconds "1500ms")
    assert.equal(5430, state.seconds "1h30m30s")
    assert.equal(7, state.seconds(7))
    for _, bad in ipairs { "soon", "5", "5x", "-3s" } do assert.has_error(function() state.seconds(bad) end) end
  end)

  it("read the values of Secrets", function()
    local kube = fresh("chaos.lib.kube")
    assert.equal("app", kube.decode "YXBw")
    assert.equal("a", kube.decode "YQ==")
    assert.equal("p\0\255", kube.decode "cAD/")
    assert.equal("", kube.decode "")
  end)
end)

describe("a writer", function()
  local state, ledger, sent, clock

  --- Runs a writer whose statements are answered so, one after the other; then it is stopped.
  local function run(answers)
    sent, clock = {}, 0
    local self
    state.input, state.fibers, state.fiber_count = { seed = 1, namespace = "n" }, {}, 0
    state.ctx = {
      clock = function() return clock end, sleep = function(s) clock = clock + s end, say = function() end,
      disconnect = function() end, spawn = function() end,
      sql = function(call)
        sent[#sent + 1] = call.params[1]
        clock = clock + 0.01
        if #sent >= #answers then self.stopping = true end
        return answers[#sent]
      end,
    }
    local cluster = { rw = function() return "h" end, make_table = function() end, conn = function() return "c" end }
    self = ledger.start(cluster, { sessions = 1 })
    state.fibers[1]()
    return self
  end

  before_each(function()
    rawset(_G, "array", plain.array)
    rawset(_G, "null", plain.null)
    state = fresh("chaos.lib.state")
    ledger = require("chaos.lib.ledger")
  end)
  after_each(function()
    rawset(_G, "array", nil)
    rawset(_G, "null", nil)
  end)

  it("remembers only what was acknowledged, and tries no number twice", function()
    local w = run { { rows = {} }, { error = "no answer", code = "TIMEOUT" }, { error = "read-only", code = "PG" },
      { rows = {} } }
    assert.same({ "1", "2", "3", "4" }, sent)
    assert.same({ 1, 4 }, { table.unpack(w.acked) })
    assert.equal(1, w.unknown)
    assert.equal(1, w.refused)
  end)

  it("knows how long nothing was acknowledged", function()
    local answers = { { rows = {} } }
    for i = 2, 40 do answers[i] = { error = "no answer", code = "TIMEOUT" } end
    answers[41] = { rows = {} }
    local w = run(answers)
    assert.is_true(w:pause_since(0) > 2)
    assert.is_true(w:acked_since(2))
    assert.is_false(w:acked_since(clock + 1))
  end)
end)
