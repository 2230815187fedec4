--- Reads values out of objects that may hold anything: a field of the wrong type reads as absent. The API
--- server has not checked types yet when the mutating webhook is called.
-- luacheck: read globals array null
local type, null, tointeger = type, null, math.tointeger

local access = {}

local EMPTY = {}

--- The value below `object` along at most six keys, or nil. Most of a review's time is spent here, hence
--- the form.
---@param object any
---@param a? string|integer
---@return any
local function get(object, a, b, c, d, e, f)
  if a ~= nil then
    if type(object) ~= "table" or object == null then
      return nil
    end
    object = object[a]
    if b ~= nil then
      if type(object) ~= "table" or object == null then
        return nil
      end
      object = object[b]
      if c ~= nil then
        return get(object, c, d, e, f)
      end
    end
  end
  if object == null then
    return nil
  end
  return object
end
access.get = get

--- A table to read from, empty when there is none. Not to be written to.
---@return table
function access.map(object, a, b, c, d, e, f)
  local value = get(object, a, b, c, d, e, f)
  return type(value) == "table" and value or EMPTY
end

--- The same for lists.
access.list = access.map

--- A string that is not empty, or nil.
---@return string?
function access.text(object, a, b, c, d, e, f)
  local value = get(object, a, b, c, d, e, f)
  return type(value) == "string" and value ~= "" and value or nil
end

--- An integer, or nil.
---@return integer?
function access.int(object, a, b, c, d, e, f)
  return tointeger(get(object, a, b, c, d, e, f))
end

--- True only for `true`.
---@return boolean
function access.is_true(object, a, b, c, d, e, f)
  return get(object, a, b, c, d, e, f) == true
end

--- True for a table.
---@return boolean
function access.has(object, a, b, c, d, e, f)
  return type(get(object, a, b, c, d, e, f)) == "table"
end

--- True when the table is a list: it carries the mark of `array`, or has elements.
---@param value any
function access.is_array(value)
  return type(value) == "table" and (value[1] ~= nil or type(value.add) == "function")
end

--- The string keys of a map, sorted.
---@param map table
---@return string[]
function access.keys(map)
  local keys, last, is_sorted = {}, "", true
  for key in pairs(map) do
    if type(key) == "string" then
      keys[#keys + 1] = key
      is_sorted, last = is_sorted and last <= key, key
    end
  end
  if not is_sorted then -- it is where pairs goes in order
    table.sort(keys)
  end
  return keys
end

--- A deep copy. Lists stay lists, also when they are empty.
---@param value any
---@return any
function access.copy(value)
  if type(value) ~= "table" or value == null then
    return value
  end
  local out = access.is_array(value) and array {} or {}
  for key, inner in pairs(value) do
    out[key] = access.copy(inner)
  end
  return out
end

--- True when both hold the same JSON.
---@param a any
---@param b any
function access.equal(a, b)
  if a == b then
    return true
  end
  if type(a) ~= "table" or type(b) ~= "table" or a == null or b == null then
    return false
  end
  if access.is_array(a) ~= access.is_array(b) then
    return false
  end
  for key, value in pairs(a) do
    if not access.equal(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local BOOLEANS = { ["1"] = true, ["0"] = false, t = true, f = false, T = true, F = false, ["true"] = true,
  ["false"] = false, TRUE = true, FALSE = false, True = true, False = false }

--- The boolean that the text of an annotation stands for, or nil.
---@param word any
---@return boolean?
function access.boolean(word)
  return BOOLEANS[word]
end

return access
