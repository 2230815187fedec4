--- Maps in the order of their keys: what a plan returns must not depend on how a table is laid out in memory.
local sorted = {}

--- The string keys of a map, sorted. nil is an empty map.
---@param map table?
---@return string[]
function sorted.keys(map)
  local keys = {}
  for key in pairs(map or {}) do
    if type(key) == "string" then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  return keys
end

--- Like pairs, in the order of the keys. nil is an empty map.
---@param map table?
function sorted.pairs(map)
  local keys, at = sorted.keys(map), 0
  return function()
    at = at + 1
    local key = keys[at]
    if key ~= nil then
      return key, map[key]
    end
  end
end

return sorted
