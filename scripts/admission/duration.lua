--- Durations as Kubernetes writes them: "1h30m", "500ms".
local duration = {}

local NANOSECONDS = { ns = 1, us = 1000, ["µs"] = 1000, ms = 1000000, s = 1000000000, m = 60000000000,
  h = 3600000000000 }

--- Reads a duration.
---@param text any
---@return integer? nanoseconds
function duration.parse(text)
  if type(text) ~= "string" or #text > 64 then
    return nil
  end
  if text == "0" then
    return 0
  end
  local sign, rest = text:match("^([+-]?)(.+)$")
  local total, at = 0.0, 1
  while rest and at <= #rest do
    local number, unit, stop = rest:match("^([%d.]+)([^%d.]+)()", at)
    local value = tonumber(number)
    if not value or not NANOSECONDS[unit] then
      return nil
    end
    total, at = total + value * NANOSECONDS[unit], stop
  end
  local whole = rest and math.tointeger(math.floor(total + 0.5))
  return whole and (sign == "-" and -whole or whole)
end

--- The same in milliseconds, rounded down.
---@param text any
---@return integer? milliseconds
function duration.milliseconds(text)
  local value = duration.parse(text)
  return value and value // 1000000
end

return duration
