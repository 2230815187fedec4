-- luacheck: read globals array null
--- A plugin's own cases: what `plan` is given and what is expected of it. Trusted, over hostile data: a case
--- is part of a declaration, a plan came out of the plugin's child.
local schema = require("plugins.lib.schema")
local plans = require("plugins.lib.plans")
local sorted = require("desired.sorted")
local access = require("admission.access")

local cases = {}

local fail = schema.fail
local MOST, DIFFERENCES, SHOWN = 100, 3, 60

local CASE = { name = "string", given = "table", expect = "table", finalize = "boolean" }

local function is_map(value)
  return type(value) == "table" and value ~= null and not (access.is_array(value) and #value > 0)
end

local function check_case(case, at)
  if not is_map(case) then
    fail(at, "want a table, as in { name =, given =, expect = }")
  end
  for _, key in ipairs(sorted.keys(case)) do
    if not CASE[key] then
      fail(("%s.%s"):format(at, key), "there is no such field of a case")
    elseif type(case[key]) ~= CASE[key] or case[key] == null then
      fail(("%s.%s"):format(at, key), "want a " .. CASE[key])
    end
  end
  for _, key in ipairs(sorted.keys(case.expect or {})) do
    if not plans.KEYS[key] then
      fail(("%s.expect.%s"):format(at, key), "there is no such field of a plan")
    end
  end
end

--- The shape of all cases; what a plan may hold is what may be expected of it.
---@param list any
function cases.check(list)
  if list == nil then
    return
  elseif type(list) ~= "table" or (next(list) ~= nil and not access.is_array(list)) then
    fail("cases", "want a list of cases")
  elseif #list > MOST then
    fail("cases", ("more than %d"):format(MOST))
  end
  for i, case in ipairs(list) do
    check_case(case, ("cases[%d]"):format(i))
  end
end

--- What stands for the object where a case gives none, or only a part of one.
local function object_of(given)
  local object = is_map(given.seen.object) and given.seen.object or {}
  local meta = is_map(object.metadata) and object.metadata or {}
  meta.name, meta.namespace = meta.name or "example", meta.namespace or "default"
  meta.uid, meta.generation = meta.uid or "0", meta.generation or 1
  object.apiVersion, object.kind, object.metadata = given.api, given.kind, meta
  object.spec = is_map(object.spec) and object.spec or {}
  schema.fill(given.spec or {}, object.spec)
  return object
end

--- {case, api, kind, spec} to {seen, fn}: what which function is given. An object in it is as an API server
--- would keep it.
---@param given table
---@return table
function cases.prepare(given)
  local case = given.case
  local seen = case.given or {}
  if is_map(seen.object) then
    given.seen = seen
    seen.object = object_of(given)
  end
  return { seen = seen, fn = case.finalize and "finalize" or "plan" }
end

local function show(value)
  local text
  if value == nil or value == null then
    return "nothing"
  elseif type(value) == "string" then
    text = ("%q"):format(value):gsub("\\\n", "\\n")
  elseif type(value) == "table" then
    return access.is_array(value) and ("a list of %d"):format(#value) or "a table"
  else
    text = tostring(value)
  end
  if #text > SHOWN then
    text = text:sub(1, utf8.offset(text, 0, SHOWN + 1) - 1) .. "..."
  end
  return text
end

local function differ(out, path, want, got)
  if want == null then
    want = nil
  end
  if type(want) ~= "table" then
    if got == null then
      got = nil
    end
    if want ~= got then
      out[#out + 1] = ("%s: want %s, got %s"):format(path, show(want), show(got))
    end
  elseif type(got) ~= "table" or got == null then
    out[#out + 1] = ("%s: want %s, got %s"):format(path, show(want), show(got))
  elseif access.is_array(want) then
    if #want ~= #got then
      out[#out + 1] = ("%s: want %d elements, got %d"):format(path, #want, #got)
    end
    for i = 1, math.min(#want, #got) do
      differ(out, ("%s[%d]"):format(path, i), want[i], got[i])
    end
  else
    for _, key in ipairs(sorted.keys(want)) do
      differ(out, ("%s.%s"):format(path, key), want[key], got[key])
    end
  end
end

--- {case, plan, api, kind, spec}: fails where the plan is none, or is another one than is expected; of a plan
--- only what is expected is compared.
---@param given table
---@return table
function cases.judge(given)
  local case, out = given.case, {}
  given.seen = case.given or {}
  if is_map(given.plan) then
    differ(out, "plan", case.expect or {}, given.plan)
  end
  if #out > DIFFERENCES then
    out[DIFFERENCES + 1] = ("and %d more"):format(#out - DIFFERENCES)
  end
  if #out > 0 then
    fail(nil, table.concat(out, "; ", 1, math.min(#out, DIFFERENCES + 1)))
  end
  plans.finish { plan = given.plan, object = object_of(given), kind_key = given.kind, name = "example" }
  return {}
end

return cases
