-- luacheck: read globals array
--- From the types of a plugin's spec to the schema of its CustomResourceDefinition. Trusted, over hostile
--- data.
local sorted = require("desired.sorted")

local schema = {}

local DEPTH = 8
local FIELDS = 100

local fail = function(path, message)
  error({ path = path, message = message }, 0)
end
schema.fail = fail

local SIMPLE = {
  str = { type = "string" },
  int = { type = "integer", format = "int64" },
  num = { type = "number" },
  flag = { type = "boolean" },
  any = { type = "object", ["x-kubernetes-preserve-unknown-fields"] = true },
}

local FITS = {
  str = function(v) return type(v) == "string" end,
  int = function(v) return math.type(v) == "integer" end,
  num = function(v) return type(v) == "number" end,
  flag = function(v) return type(v) == "boolean" end,
}

local of_type

local function secret_key()
  return {
    type = "object", required = array { "name" },
    properties = {
      name = { type = "string", minLength = 1, maxLength = 253 },
      key = { type = "string", minLength = 1, maxLength = 253, default = "password" },
    },
  }
end

local function choice(t, path)
  local enum = array {}
  for i, option in ipairs(type(t.options) == "table" and t.options or {}) do
    if type(option) ~= "string" then
      fail(path, "the options of a choice are texts")
    end
    enum[i] = option
  end
  if #enum == 0 or #enum > FIELDS then
    fail(path, "a choice has 1 to 100 options")
  end
  return { type = "string", enum = enum }
end

local function with_default(out, t, path)
  if t.default == nil or t.type == "optional" or t.type == "record" or t.type == "secret_key" then
    return out
  end
  if FITS[t.type] and not FITS[t.type](t.default) then
    fail(path, "its default is no " .. t.type)
  elseif t.type == "list" then
    out.default = array {}
  elseif t.type ~= "any" then
    out.default = t.default
  end
  return out
end

local function check_name(name, count, at)
  if not name:find("^[A-Za-z_][A-Za-z0-9_]*$") or #name > 63 or count > FIELDS then
    fail(at, "a field is a name of letters, digits and _; at most 100 of them")
  end
end

--- The schema of a record of types.
---@param fields table
---@param path string
---@param depth integer?
---@return table
function schema.record(fields, path, depth)
  depth = depth or 0
  local out, required, count = {}, array {}, 0
  if type(fields) ~= "table" or depth > DEPTH then
    fail(path, "want a table of types, at most 8 deep")
  end
  for _, name in ipairs(sorted.keys(fields)) do
    local at = ("%s.%s"):format(path, name)
    count = count + 1
    check_name(name, count, at)
    local t = fields[name]
    out[name] = of_type(t, at, depth + 1)
    if t.type ~= "optional" and t.default == nil and not t.given then
      required[#required + 1] = name
    end
  end
  return { type = "object", properties = out, required = #required > 0 and required or nil }
end

function of_type(t, path, depth)
  if type(t) ~= "table" or type(t.type) ~= "string" then
    fail(path, "want a type: str, int, num, flag, any, choice, list, optional, record or secret_key")
  elseif depth > DEPTH then
    fail(path, "types are nested too deep")
  elseif SIMPLE[t.type] then
    local copy = {}
    for key, value in pairs(SIMPLE[t.type]) do
      copy[key] = value
    end
    return with_default(copy, t, path)
  elseif t.type == "choice" then
    return with_default(choice(t, path), t, path)
  elseif t.type == "optional" then
    return of_type(t.of, path, depth + 1)
  elseif t.type == "list" then
    return with_default({ type = "array", items = of_type(t.of, path, depth + 1), maxItems = 1000 }, t, path)
  elseif t.type == "record" then
    return schema.record(t.of, path, depth)
  elseif t.type == "secret_key" then
    return secret_key()
  end
  return fail(path, ("there is no type '%s'"):format(t.type))
end

--- Puts defaults where nothing is, as the API server does; for trying a plugin without one.
---@param fields table
---@param value table
function schema.fill(fields, value)
  for _, name in ipairs(sorted.keys(fields)) do
    local t = fields[name]
    if value[name] == nil and t.type ~= "optional" then
      value[name] = t.default
    end
    if t.type == "record" and type(value[name]) == "table" then
      schema.fill(t.of, value[name])
    elseif t.type == "secret_key" and type(value[name]) == "table" and value[name].key == nil then
      value[name].key = "password"
    end
  end
end

return schema
