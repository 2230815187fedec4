-- luacheck: read globals array
--- Parameters of a policy: the declared types against what NAME.params.yaml says.
local host = ...
local ipairs, pairs, type, tostring, rawget, rawlen = ipairs, pairs, type, tostring, rawget, rawlen
local math_type, format, match, find = math.type, string.format, string.match, string.find
local array, tointeger, next, concat = array, math.tointeger, next, table.concat

local fail = host.fail
local read

local function wrong(path, want, value)
  fail("%s: want %s, got %s", path, want, type(value) == "string" and format("%q", value) or tostring(value))
end

local function of_type(want, test)
  return function(_, value, path)
    if not test(value) then
      wrong(path, want, value)
    end
    return value
  end
end

local function unit(kind, want)
  return function(_, value, path)
    return host.unit(kind, value) or wrong(path, want, value)
  end
end

local READ = {
  str = of_type("a text", function(v) return type(v) == "string" end),
  flag = of_type("true or false", function(v) return type(v) == "boolean" end),
  num = of_type("a number", function(v) return type(v) == "number" end),
  int = function(_, value, path)
    return type(value) == "number" and tointeger(value) or wrong(path, "an integer", value)
  end,
  bytes = unit("bytes", 'a size as in "16MiB"'),
  duration = unit("duration", 'a time as in "10m"'),
  cron = of_type('five fields as in "0 2 * * 6"', function(v)
    return type(v) == "string" and find(v, "^%S+%s+%S+%s+%S+%s+%S+%s+%S+$") ~= nil
  end),
}

function READ.choice(t, value, path)
  if not t.options:has(value) then
    wrong(path, "one of " .. concat(t.options, ", "), value)
  end
  return value
end

function READ.optional(t, value, path)
  return read(t.of, value, path)
end

function READ.list(t, value, path)
  if type(value) ~= "table" or (rawlen(value) == 0 and next(value) ~= nil) then
    wrong(path, "a list", value)
  end
  local out = array {}
  for i, item in ipairs(value) do
    out[i] = read(t.of, item, format("%s[%d]", path, i))
  end
  return out
end

function read(t, value, path)
  return READ[t.type](t, value, path)
end

--- A name that a parameter may have.
local function check_name(name)
  if type(name) ~= "string" or not match(name, "^[%a_][%w_]*$") or #name > 40 then
    fail("params: '%s' is no name for a parameter", tostring(name))
  end
end

--- Checks the declaration itself, defaults included.
function host.check_params(declared)
  if declared ~= nil and type(declared) ~= "table" then
    fail("params: want a table of types")
  end
  for name, t in pairs(declared or {}) do
    check_name(name)
    if not host.is_type(t) or not READ[rawget(t, "type")] then
      fail("params.%s: want a type (str int num flag bytes duration choice list optional cron)", name)
    end
    if t.default ~= nil then
      read(t, t.default, "default of params." .. name)
    end
  end
end

--- Values of all parameters: those of `layers` (later ones win) over the defaults.
function host.read_params(declared, ...)
  local raw, out = {}, {}
  for _, layer in ipairs { ... } do
    for name, value in pairs(layer) do
      if not (declared and declared[name]) then
        fail("params.%s is not declared by the policy", tostring(name))
      end
      raw[name] = value
    end
  end
  for name, t in pairs(declared or {}) do
    local value = raw[name]
    if value == nil then
      value = t.default
    end
    if value ~= nil then
      out[name] = read(t, value, "params." .. name)
    elseif not t.given then
      fail("params.%s has no value: give it a default or set it in %s", name, host.params_file)
    end
  end
  return out
end

host.tointeger, host.math_type = tointeger, math_type
