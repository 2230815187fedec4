--- Times of policies: dates, texts, cron. There is no clock: the time is always data. Loaded only for
--- scripts that speak of `time`.
local host = ...
local error, format, gmatch, match = error, string.format, string.gmatch, string.match
local tonumber, type = tonumber, type
local gsub, math_type = string.gsub, math.type

local DAY = 86400
local NEVER = 5 * 366 -- days after which a cron line that has not come never does

--- Days since 1970 to year, month, day; and back.
local function civil(days)
  local z = days + 719468
  local era = z // 146097
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - (153 * mp + 2) // 5 + 1
end

local function days_of(year, month, day)
  local y = month <= 2 and year - 1 or year
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (month > 2 and month - 3 or month + 9) + 2) // 5 + day - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

--- "UTC", "+02:00" or "-03:30" in seconds.
local function offset(zone)
  if zone == nil or zone == "UTC" or zone == "Z" then
    return 0
  end
  local sign, hours, minutes = match(type(zone) == "string" and zone or "", "^([+-])(%d%d):(%d%d)$")
  if not sign or tonumber(hours) > 14 or tonumber(minutes) > 59 then
    error('want a zone as in "UTC" or "+02:00"', 3)
  end
  return (sign == "+" and 1 or -1) * (tonumber(hours) * 3600 + tonumber(minutes) * 60)
end

local function whole(seconds)
  if math_type(seconds) ~= "integer" then
    error("want a time in whole seconds", 3)
  end
  return seconds
end

--- Fields of a time: year, month, day, hour, min, sec, weekday (1 is Monday, 7 Sunday), yearday, and the week
--- of ISO 8601 with its year.
local function fields(seconds, zone)
  local at = whole(seconds) + offset(zone)
  local days, rest = at // DAY, at % DAY
  local year, month, day = civil(days)
  local weekday = (days + 3) % 7 + 1
  local thursday = days + 4 - weekday
  local week_year = civil(thursday)
  return {
    year = year, month = month, day = day, hour = rest // 3600, min = rest // 60 % 60, sec = rest % 60,
    weekday = weekday, yearday = days - days_of(year, 1, 1) + 1,
    week_year = week_year, week = (thursday - days_of(week_year, 1, 1)) // 7 + 1,
  }
end

-- One time is often asked for several texts in a row.
local newest, newest_at, newest_zone

local function kept(seconds, zone)
  if seconds ~= newest_at or zone ~= newest_zone then
    newest, newest_at, newest_zone = fields(seconds, zone), seconds, zone
  end
  return newest
end

local FORMATS = {
  Y = function(d) return format("%04d", d.year) end,
  m = function(d) return format("%02d", d.month) end,
  d = function(d) return format("%02d", d.day) end,
  H = function(d) return format("%02d", d.hour) end,
  M = function(d) return format("%02d", d.min) end,
  S = function(d) return format("%02d", d.sec) end,
  j = function(d) return format("%03d", d.yearday) end,
  u = function(d) return format("%d", d.weekday) end,
  G = function(d) return format("%04d", d.week_year) end,
  V = function(d) return format("%02d", d.week) end,
  ["%"] = function() return "%" end,
}

local function text(seconds, pattern, zone)
  local d = kept(seconds, zone)
  return (gsub(pattern, "%%(.)", function(letter)
    if not FORMATS[letter] then
      error(format("%%%s is not known: want %%Y %%m %%d %%H %%M %%S %%j %%u %%G %%V", letter), 0)
    end
    return FORMATS[letter](d)
  end))
end

local RANGES = { { 0, 59 }, { 0, 23 }, { 1, 31 }, { 1, 12 }, { 0, 7 } }

--- First and last of "*", "5", "1-5"; a single number with a step goes to the end.
local function span_of(span, has_step, range)
  if span == "*" then
    return range[1], range[2]
  end
  local first, last = match(span, "^(%d+)%-(%d+)$")
  if first then
    return tonumber(first), tonumber(last)
  end
  first = tonumber(match(span, "^%d+$") or "-1")
  return first, has_step and range[2] or first
end

local function add_part(set, part, range)
  local span, step = match(part, "^([^/]+)/?(%d*)$")
  if not span then
    return false
  end
  local first, last = span_of(span, step ~= "", range)
  step = tonumber(step) or 1
  if first < range[1] or last > range[2] or first > last or step < 1 then
    return false
  end
  for n = first, last, step do
    set[n] = true
  end
  return true
end

--- Five sets of numbers, and which of the two day fields are given.
local function parse_cron(cron)
  local sets, at = {}, 0
  for field in gmatch(type(cron) == "string" and cron or "", "%S+") do
    at = at + 1
    local set = { any = field == "*" }
    for part in gmatch(field, "[^,]+") do
      if not RANGES[at] or not add_part(set, part, RANGES[at]) then
        error(format("cron %q: field %d is wrong", cron, at), 3)
      end
    end
    sets[at] = set
  end
  if at ~= 5 then
    error('want five fields as in "0 2 * * 6"', 3)
  end
  sets[5][7] = sets[5][7] or sets[5][0] -- Sunday is 0 and 7
  return sets
end

--- As cron does: with both day fields given, either will do.
local function fits_day(sets, month, day, weekday)
  if not sets[4][month] then
    return false
  end
  local by_month, by_week = sets[3][day], sets[5][weekday]
  if sets[3].any or sets[5].any then
    return by_month and by_week
  end
  return by_month or by_week
end

local function first_minute(sets, from)
  for hour = from // 60, 23 do
    if sets[2][hour] then
      for min = hour == from // 60 and from % 60 or 0, 59 do
        if sets[1][min] then
          return hour * 60 + min
        end
      end
    end
  end
  return nil
end

--- The first time after `after` that the cron line names, or nil if there is none within five years.
local function next_of(after, cron, zone)
  local sets, shift = parse_cron(cron), offset(zone)
  local from = (whole(after) + shift) // 60 + 1
  local first = from // 1440
  for days = first, first + NEVER do
    local _, month, day = civil(days)
    local minute = fits_day(sets, month, day, (days + 3) % 7 + 1)
      and first_minute(sets, days == first and from % 1440 or 0)
    if minute then
      return (days * 1440 + minute) * 60 - shift
    end
  end
  return nil
end

--- Whether `now` is within `seconds` after a time that the cron line names; then also when that ends.
local function in_window(now, cron, seconds, zone)
  local start = next_of(whole(now) - seconds, cron, zone)
  if start and start <= now then
    return true, start + seconds
  end
  return false
end

host.set("time", { date = fields, format = text, next = next_of, in_window = in_window })
