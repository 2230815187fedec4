-- luacheck: read globals array null
--- The examples of the words are true; dates and cron lines as calendars say.
local plain = dofile("tests/lua/plain.lua")

--- The words as a policy sees them.
local function words()
  local env = setmetatable({}, { __index = _G })
  local host = { declared = function() end, set = function(name, value) env[name] = value end }
  env.array, env.null = plain.array, plain.null
  for _, name in ipairs { "words", "results", "time" } do
    assert(loadfile("scripts/policies/lib/" .. name .. ".lua", "t", env))(host)
  end
  return env
end

local function value(text, env)
  return assert(load("return (" .. text .. ")", text, "t", env))()
end

--- The same without metatables, which `same` would compare.
local function bare(v)
  if type(v) ~= "table" then
    return v
  end
  local out = {}
  for key, inner in pairs(v) do
    out[key] = bare(inner)
  end
  return out
end

describe("words of policies", function()
  local env = words()
  for _, word in ipairs(dofile("scripts/meta/words.lua")) do
    for _, example in ipairs(word.examples or {}) do
      it("example: " .. example[1], function()
        assert.same(bare(value(example[2], env)), bare(value(example[1], env)))
      end)
    end
  end

  it("each word of the description is there, and no other", function()
    local described = {}
    for _, word in ipairs(dofile("scripts/meta/words.lua")) do
      local name = word.name and word.name:match("^%w+")
      if name then
        described[name] = true
        assert.is_not_nil(rawget(env, name), name)
      end
    end
    for name in pairs(env) do
      assert.is_true(described[name], name .. " is not described")
    end
  end)
end)

describe("times of policies", function()
  local time = words().time

  it("agree with the calendar of this machine", function()
    for at = 0, 4102444800, 86400 * 13 + 3607 do
      assert.equal(os.date("!%Y-%m-%d %H:%M:%S %j %u %G-W%V", at), time.format(at, "%Y-%m-%d %H:%M:%S %j %u %G-W%V"))
    end
  end)

  it("cron lines come at their minutes", function()
    local monday = 1767571200 -- 2026-01-05
    assert.equal(monday + 60, time.next(monday, "* * * * *"))
    assert.equal(monday + 900, time.next(monday, "*/15 * * * *"))
    assert.equal(monday + 2 * 3600 + 1800, time.next(monday, "30 2 * * *"))
    assert.equal(monday + 6 * 86400, time.next(monday, "0 0 * * 0"))
    assert.equal(monday + 6 * 86400, time.next(monday, "0 0 * * 7"))
    assert.equal(1835395200, time.next(monday, "0 0 29 2 *")) -- 2028-02-29
    assert.equal(monday + 8 * 86400, time.next(monday, "0 0 13 * 3,2") + 7 * 86400) -- either day will do
    assert.equal(monday - 3600 + 7200, time.next(monday, "0 2 * * *", "+01:00"))
  end)

  it("what is no cron line is an error", function()
    for _, line in ipairs { "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "x * * * *", "5-1 * * * *",
      "*/0 * * * *" } do
      assert.error(function() time.next(0, line) end)
    end
    assert.error_matches(function() time.date(0, "Europe/Berlin") end, "want a zone")
    assert.error_matches(function() time.date(1.5) end, "whole seconds")
  end)

  it("windows are open for as long as they say, also over midnight", function()
    local late = 1767222000 -- 2025-12-31 23:00
    assert.is_true(time.in_window(late, "0 22 * * *", 7 * 3600))
    assert.is_true(time.in_window(late + 5 * 3600 - 1, "0 22 * * *", 7 * 3600))
    assert.is_false(time.in_window(late + 6 * 3600, "0 22 * * *", 7 * 3600))
    assert.equal(late - 3600 + 7 * 3600, select(2, time.in_window(late, "0 22 * * *", 7 * 3600)))
  end)
end)
