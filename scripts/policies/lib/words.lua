-- luacheck: read globals array null
--- The words that a policy is written in: types of parameters, results, rank. Loaded by the core before
--- the script of a user; the script sees the words as globals and nothing else of this file.
local host = ...
local ipairs, setmetatable, tostring, type = ipairs, setmetatable, tostring, type
local error, select = error, select
local math_type, sort, format, match = math.type, table.sort, string.format, string.match
local sub, tonumber, rawget, rawlen, floor = string.sub, tonumber, rawget, rawlen, math.floor
local array, null = array, null

local UNITS = {
  bytes = { B = 1, KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, TiB = 1 << 40,
    k = 1000, M = 1000000, G = 1000000000 },
  duration = { s = 1, m = 60, h = 3600, d = 86400 },
}

--- "16MiB" or "10m" as an integer; integers stay. Nothing when it is neither.
function host.unit(kind, value)
  if math_type(value) == "integer" then
    return value >= 0 and value or nil
  end
  local number, unit = match(type(value) == "string" and value or "", "^(%d+)(%a+)$")
  local factor = unit and UNITS[kind][unit]
  return factor and #number < 15 and tonumber(number) * factor or nil
end

-- A type is a table with the field `type`; calling it gives one with a default.
local Type = {}
local function new_type(fields)
  return setmetatable(fields, Type)
end
function Type.__call(self, default)
  return new_type { type = self.type, default = default, of = self.of, given = true }
end
host.is_type = function(value)
  return type(value) == "table" and type(rawget(value, "type")) == "string"
end

for _, name in ipairs { "str", "int", "num", "flag", "bytes", "duration", "cron" } do
  host.set(name, new_type { type = name })
end
host.set("choice", function(...)
  local options = array { ... }
  if select("#", ...) == 0 or #options ~= select("#", ...) then
    error("choice: want one text or more", 2)
  end
  return new_type { type = "choice", options = options, default = options[1], given = true }
end)
host.set("list", function(of)
  if not host.is_type(of) then
    error("list: want a type, as in list(str)", 2)
  end
  return new_type { type = "list", of = of, default = array {}, given = true }
end)
host.set("optional", function(of)
  if not host.is_type(of) then
    error("optional: want a type, as in optional(str)", 2)
  end
  return new_type { type = "optional", of = of, given = true }
end)

local function text_of(message, ...)
  if message == nil then
    return nil
  end
  return sub(select("#", ...) > 0 and format(message, ...) or tostring(message), 1, 256)
end

--- promote(order): the first that is safe becomes primary. An empty list is no preference.
host.set("promote", function(order)
  if type(order) ~= "table" then
    error("promote: want a list of names, best first", 2)
  end
  if rawlen(order) == 0 then
    order = array {}
  end
  return { action = "promote", target = order[1], order = order }
end)

--- hold(reason, message, ...) or hold { reason =, message =, until_s = }
host.set("hold", function(reason, message, ...)
  if type(reason) == "table" then
    return {
      action = "hold", reason = reason.reason, message = reason.message, until_s = reason.until_s or 30,
    }
  end
  return { action = "hold", reason = reason, message = text_of(message, ...), until_s = 30 }
end)

host.set("reject", function(reason, message, ...)
  return { action = "reject", reason = reason, message = text_of(message, ...) }
end)

local RANK = { boolean = 1, number = 2, string = 3 }
local function less(a, b, at)
  local x, y = a.key[at], b.key[at]
  local kind = type(x)
  if RANK[kind] == nil or kind ~= type(y) then
    error(format("rank: element %d of the keys of %s and %s: want two numbers, texts or flags", at, a.name,
      b.name), 0)
  elseif kind == "boolean" then
    return x -- true comes first
  end
  return x < y
end

local function before(a, b)
  local mine, other = a.key, b.key
  for at = 1, rawlen(mine) do
    local x = mine[at]
    if x == nil or x ~= other[at] then
      return less(a, b, at)
    end
  end
  return a.name < b.name
end

--- rank(list): list of { name =, key = { ... } }; names, smallest key first, equal keys by name.
host.set("rank", function(list)
  if type(list) ~= "table" then
    error("rank: want a list of { name = ..., key = { ... } }", 2)
  end
  local copy, out = {}, array {}
  for i, item in ipairs(list) do
    if type(item) ~= "table" or type(item.name) ~= "string" or type(item.key) ~= "table" then
      error(format("rank: element %d: want { name = text, key = { ... } }", i), 2)
    end
    copy[i] = { name = item.name, key = item.key }
  end
  local names = host.order and host.order(copy) -- the same in C, where each column is of one type
  if names then
    return names
  end
  sort(copy, before)
  for i, item in ipairs(copy) do
    out[i] = item.name
  end
  return out
end)

--- policy "failover/v1" { params = , decide = , cases = }
host.set("policy", function(point)
  if type(point) ~= "string" then
    error('policy: want a decision point, as in policy "failover/v1" { ... }', 2)
  end
  host.declared() -- notes the line of the script
  return function(definition)
    if type(definition) ~= "table" then
      error("policy: want a table with params, decide, cases", 2)
    end
    host.point, host.definition = point, definition
    return definition
  end
end)

host.null, host.floor = null, floor
