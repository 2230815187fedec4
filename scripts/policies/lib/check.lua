--- What a text must pass before it may decide: its declaration, its own cases, the fixtures of the core.
local host = ...
local ipairs, pairs, type, tostring, format = ipairs, pairs, type, tostring, string.format
local rawlen, rawget, rawequal = rawlen, rawget, rawequal
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
  elseif not host.points[host.point] then
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

local function check_given(point, given)
  for key in pairs(given) do
    if not point.fields[key] then
      fail("given: '%s' is no field of %s", tostring(key), host.point)
    end
  end
  for i, item in ipairs(given[point.list] or {}) do
    for key in pairs(type(item) == "table" and item or {}) do
      if not point.item[key] then
        fail("given.%s[%d]: '%s' is no field of %s", point.list, i, tostring(key), host.point)
      end
    end
  end
end

local function run_case(definition, point, raw, case)
  host.kind("contract")
  check_keys("case", case, CASE)
  check_given(point, case.given or {})
  local input = point.defaults(case.given or {})
  local params = host.read_params(definition.params, raw, case.params or {})
  local answer = host.ask(definition, input, params)
  host.kind("contract")
  if case.expect then
    compare(case.expect, answer, "decision")
  end
end

local function run_cases(definition, point, raw)
  local cases = definition.cases or {}
  if rawlen(cases) > CASES_MAX then
    fail("more than %d cases", CASES_MAX)
  end
  for i, case in ipairs(cases) do
    if type(case) ~= "table" then
      fail("cases[%d]: want a table", i)
    end
    host.step(format("case '%s'", type(case.name) == "string" and case.name or tostring(i)))
    run_case(definition, point, raw, case)
  end
end

local function run_fixtures(definition, point, raw)
  for _, fixture in ipairs(point.fixtures) do
    host.step(format("fixture '%s'", fixture[1]))
    host.kind("contract")
    local input = point.defaults(fixture[2])
    if fixture[2].bare then
      input.bare = nil
      for _, item in ipairs(input[point.list]) do
        item.priority = nil
      end
    end
    host.ask(definition, input, host.read_params(definition.params, raw))
  end
end

--- Everything. `raw` are the parameters as they were written.
function host.check(definition, returned, raw)
  host.kind("contract")
  host.check_definition(definition, returned)
  local point = host.points[host.point]
  run_cases(definition, point, raw)
  host.step("")
  host.kind("contract")
  host.read_params(definition.params, raw)
  run_fixtures(definition, point, raw)
  host.step("")
end
