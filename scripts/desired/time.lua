--- Texts of points in time. The time is always an argument: unix seconds, UTC.
local time = {}

local DAY = 86400

--- Year, month and day of a number of days since 1970 (proleptic Gregorian calendar).
local function civil(days)
  local shifted = days + 719468 -- since 0000-03-01
  local era = shifted // 146097
  local doe = shifted - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - (153 * mp + 2) // 5 + 1
end

local function parts(seconds)
  local whole = math.tointeger(seconds // 1)
  local year, month, day = civil(whole // DAY)
  local rest = whole % DAY
  return year, month, day, rest // 3600, rest // 60 % 60, rest % 60
end

--- 2026-08-01T10:00:00Z
---@param seconds number
---@return string
function time.rfc3339(seconds)
  return ("%04d-%02d-%02dT%02d:%02d:%02dZ"):format(parts(seconds))
end

--- 2026-08-01T10:00:00.000000Z
---@param seconds number
---@return string
function time.micro(seconds)
  return ("%04d-%02d-%02dT%02d:%02d:%02d.000000Z"):format(parts(seconds))
end

--- 2026-08-01 10:00:00 +0000 UTC
---@param seconds number
---@return string
function time.go(seconds)
  return ("%04d-%02d-%02d %02d:%02d:%02d +0000 UTC"):format(parts(seconds))
end

--- Days since 1970 of a date.
local function days(year, month, day)
  local y = month <= 2 and year - 1 or year
  local era = y // 400
  local yoe = y - era * 400
  local mp = (month + 9) % 12
  local doy = (153 * mp + 2) // 5 + day - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

--- Unix seconds of an RFC 3339 text, fractions dropped; nil when it is none.
---@param text any
---@return integer?
function time.parse(text)
  if type(text) ~= "string" then
    return nil
  end
  local y, mo, d, h, mi, s, zone = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)%.?%d*(.+)$")
  if not y then
    return nil
  end
  local clock = tonumber(h) * 3600 + tonumber(mi) * 60 + tonumber(s)
  local seconds = days(tonumber(y), tonumber(mo), tonumber(d)) * DAY + clock
  if zone ~= "Z" then
    local sign, zh, zm = zone:match("^([+-])(%d%d):(%d%d)$")
    if not sign then
      return nil
    end
    seconds = seconds - (sign == "-" and -1 or 1) * (tonumber(zh) * 3600 + tonumber(zm) * 60)
  end
  return math.tointeger(seconds)
end

return time
