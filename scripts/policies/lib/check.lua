-- luacheck: read globals array
--- What a text must pass before it may decide: its declaration, its own cases, those of files beside it, the
--- fixtures of the core.
local host = ...
local ipairs, pairs, type, tostring, format = ipairs, pairs, type, tostring, string.format
local rawlen, rawget, rawequal, match, pcall = rawlen, rawget, rawequal, string.match, pcall
local fail = host.fail

local KEYS = { params = "table", decide = "function", cases = "table", description = "string" }
local CASE = { name = "string", given = "table", params = "table", expect = "table" }
local CASES_MAX = 100

local function check_keys(what, value, allowed)
  for key, inner in pairs(value) do
    local want = allowed[key]
    if not want then
      fail("%s: unknown key '%s'", what, tostring(key))
    elseif type(inner) ~= want then
      fail("%s.%s: want a %s, got a %s", what, tostring(key), want, type(inner))
    end
  end
end

--- The declaration itself.
function host.check_definition(definition, returned)
  if definition == nil then
    fail('the script declares nothing: want return policy "failover/v1" { ... }')
  elseif not rawequal(definition, returned) then
    fail("the script must return its policy")
  elseif not host.is_point(host.point) then
    fail("there is no decision point '%s'", host.point)
  end
  check_keys("policy", definition, KEYS)
  if definition.decide == nil then
    fail("policy: decide is missing")
  end
  host.check_params(definition.params)
end

local function show(value)
  if type(value) == "string" then
    return format("%q", value)
  end
  return type(value) == "table" and "a table" or tostring(value)
end

local function compare(want, got, path)
  if type(want) ~= "table" then
    if want ~= got then
      fail("%s: want %s, got %s", path, show(want), show(got))
    end
    return
  end
  if type(got) ~= "table" then
    fail("%s: want a table, got %s", path, show(got))
  end
  local is_list = rawlen(want) > 0 or host.is_array(want)
  if is_list and rawlen(want) ~= rawlen(got) then
    fail("%s: want %d elements, got %d", path, rawlen(want), rawlen(got))
  end
  for key, inner in pairs(want) do
    compare(inner, rawget(got, key), is_list and format("%s[%d]", path, key) or path .. "." .. tostring(key))
  end
end

local function input_of(point, given, bare)
  local input = host.fill(point.input, given, bare)
  host.check_input(host.point, input)
  host.begin()
  return input
end

local function run_case(definition, point, raw, case)
  host.kind("contract")
  check_keys("case", case, CASE)
  local input = input_of(point, case.given or {})
  local params = host.read_params(definition.params, raw, case.params or {})
  local answer = host.ask(definition, input, params)
  host.kind("contract")
  if case.expect then
    compare(case.expect, answer, "decision")
  end
end

--- Runs one step; in a test all of them are told, in a check the first mistake ends it.
local function step(title, run, ...)
  host.step(title)
  if not host.is_test then
    run(...)
    return
  end
  local ok, why = pcall(run, ...)
  host.told(ok, not ok and tostring(why) or nil)
end

local function run_cases(definition, point, raw, cases)
  if rawlen(cases) > CASES_MAX then
    fail("more than %d cases", CASES_MAX)
  end
  for i, case in ipairs(cases) do
    if type(case) ~= "table" then
      fail("cases[%d]: want a table", i)
    end
    step(format("case '%s'", type(case.name) == "string" and case.name or tostring(i)), run_case, definition,
      point, raw, case)
  end
end

local function run_fixture(definition, point, raw, fixture)
  host.kind("contract")
  local input = input_of(point, fixture[2], fixture.bare)
  host.ask(definition, input, host.read_params(definition.params, raw))
end

--- Many of something, for fixtures.
function host.many(count, make)
  local out = array {}
  for i = 1, count do
    out[i] = make(i)
  end
  return out
end

--- Everything. `raw` are the parameters as they were written, `beside` the cases of a file.
function host.check(definition, returned, raw, beside)
  host.kind("contract")
  host.check_definition(definition, returned)
  local name = match(host.point, "^(%l+)/")
  local point = host.contract(host.load("points/" .. name), host.load("points/common"))
  run_cases(definition, point, raw, definition.cases or {})
  run_cases(definition, point, raw, beside or {})
  host.step("")
  host.kind("contract")
  host.read_params(definition.params, raw)
  for _, fixture in ipairs(host.load("fixtures/" .. name)) do
    step(format("fixture '%s'", fixture[1]), run_fixture, definition, point, raw, fixture)
  end
  host.step("")
end

host.array = array
