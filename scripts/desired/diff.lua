--- Whether an object on the server is already as we want it. Only the fields that we set count, so that what
--- the server or others add never makes a write.
-- luacheck: read globals null
local access = require("admission.access")

local diff = {}

local function is_empty(value)
  return value == nil or value == null
end

--- True when everything in `wanted` is in `actual`. Lists must have the same length and order.
---@param wanted any
---@param actual any
---@return boolean
function diff.covers(wanted, actual)
  if is_empty(wanted) then
    return is_empty(actual)
  end
  if type(wanted) ~= "table" then
    return wanted == actual
  end
  if type(actual) ~= "table" then
    return is_empty(actual) and next(wanted) == nil
  end
  if access.is_array(wanted) and #wanted ~= #actual then
    return false
  end
  for key, value in pairs(wanted) do
    if not diff.covers(value, actual[key]) then
      return false
    end
  end
  return true
end

--- The entries of `wanted` that `actual` lacks or has otherwise; nil when there are none.
---@param wanted table<string, string>
---@param actual table<string, string>?
---@return table<string, string>?
function diff.missing(wanted, actual)
  local out
  for key, value in pairs(wanted) do
    if (actual or {})[key] ~= value then
      out = out or {}
      out[key] = value
    end
  end
  return out
end

return diff
