--- inputs.lua COUNT SEED > FILE: decisions for replay.c, one a line: {"point", "script" (a path; absent: the
--- built-in one), "input"}. Made from the descriptions of the decision points; the same bytes for the same numbers.
local count, state = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 1
local MASK = 0x7fffffff

local function random(n) -- 1..n; the generator is our own, so that no library changes what is asked
  state = (state * 1103515245 + 12345) & MASK
  return (state >> 8) % n + 1
end

local function pick(list)
  return list[random(#list)]
end

local function quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"'
end

-- Lists are kept apart from objects by a field that no description has.
local function encode(v)
  if type(v) == "string" then
    return quote(v)
  elseif math.type(v) == "float" then
    return ("%.17g"):format(v)
  elseif type(v) ~= "table" then
    return tostring(v)
  end
  local out = {}
  if v.is_list then
    for i, item in ipairs(v) do
      out[i] = encode(item)
    end
    return "[" .. table.concat(out, ",") .. "]"
  end
  local keys = {}
  for k in pairs(v) do
    keys[#keys + 1] = k
  end
  table.sort(keys)
  for i, k in ipairs(keys) do
    out[i] = quote(k) .. ":" .. encode(v[k])
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local NOW = 1767225600
local WORDS = { "a", "Zürich", "日本", "x-y", "with space", "10", "9", "true", "null", "ÄÖÜ", "q\"q", "pg-1" }
local ZONES = { "zone1", "zone2", "zone3", "zone10" }

local NAMED = { name = true, id = true, primary = true, instance = true, target = true }

--- A text that fits the name of its field; n is the place in a list.
local function text_for(name, n, default)
  if NAMED[name] then
    return ("pg-%d"):format(n)
  elseif name == "zone" or name == "node" then
    return (name == "node" and "node-" or "") .. pick(ZONES)
  elseif name:find("lsn") then
    return ("%X/%X"):format(random(3), random(0xffff) * 0x100)
  end
  return random(3) == 1 and default or pick(WORDS)
end

local value_of

local function record(fields, records, n)
  local out = {}
  for _, row in ipairs(fields) do
    if not (row.optional and random(3) == 1) then
      out[row[1]] = value_of(row, records, n)
    end
  end
  return out
end

local function many(row, records, kind)
  local most = math.min(row.max or 1000, random(10) == 1 and 60 or 7)
  local n = random(most + 1) - 1
  local out = kind == "list" and { is_list = true } or {}
  for i = 1, n do
    local of = { row[1], row.of, default = type(row.default) == "string" and row.default or nil }
    local item
    if records[row.of] then
      item = record(records[row.of], records, i)
    else
      item = value_of(of, records, i)
    end
    if kind == "list" then
      out[i] = item
    else
      out[("key%d"):format(i * 7 % 101)] = item
    end
  end
  return out
end

local MAKE = {
  flag = function() return random(2) == 1 end,
  choice = function(row) return pick(row.of) end,
  time = function() return NOW - random(40000000) + 20000000 end,
  int = function(row)
    local min = row.min or -1000
    return math.max(min, math.min(row.max or MASK, min + random(pick { 3, 100, 1 << 30 }) - 1))
  end,
  number = function() return (random(1 << 20) - 1) / pick { 1.0, 3.0, 7.0, 1e5 } end,
  quantity = function() return pick { "1Gi", "500m", "2", "1.5" } end,
  label = function() return pick { "a", "b.c", "" } end,
  scalar = function() return pick { "text", 1, 2.5, true } end,
  reason = function() return pick { "Failed", "Upgrade", "Spec" } end,
  list = function(row, records) return many(row, records, "list") end,
  map = function(row, records) return many(row, records, "map") end,
  record = function(row, records, n) return record(records[row.of], records, n) end,
}

function value_of(row, records, n)
  local make = MAKE[row[2]]
  return make and make(row, records, n) or not make and text_for(row[1], n, row.default or "x") or false
end

local function files(pattern)
  local out = {}
  local pipe = io.popen("ls " .. pattern .. " 2>/dev/null")
  for line in pipe:lines() do
    out[#out + 1] = line
  end
  pipe:close()
  table.sort(out)
  return out
end

local shared = dofile("scripts/policies/points/common.lua")
local asked = {}
for _, name in ipairs(dofile("scripts/policies/points/all.lua")) do
  local point = dofile("scripts/policies/points/" .. name .. ".lua")
  local records = setmetatable(point.records, { __index = shared.records })
  local scripts = files("docs/policies/" .. name .. "/*.lua tests/replay/policies/" .. name .. "*.lua")
  scripts[#scripts + 1] = false -- the built-in one
  for _, script in ipairs(scripts) do
    asked[#asked + 1] = { point = point, records = records, script = script }
  end
end
for i = 1, count do
  local one = asked[(i - 1) % #asked + 1]
  local input = record(one.point.input, one.records, 1)
  input.now = NOW + random(3) * 86400 * random(400)
  print(encode { point = one.point.point, script = one.script or nil, input = input })
end
