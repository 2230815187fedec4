--- Runs the plan of controllers under plain Lua, on recorded observations, and compares byte for byte.
---
---     lua tests/lua/plain.lua [--scripts DIR] [--script FILE] [--print] RECORD.json...
---
--- A record is what the operator writes: {"kind", "namespace", "name", "seen", "plan"}. With --print the plans are
--- printed, one line each; else each record gives a line "ok" or "not ok". What the operator's VM has beside plain
--- Lua is made here from nothing but Lua: array, null, JSON, sorted pairs, stable sort.
local plain = {}
local raw_next, raw_sort = next, table.sort -- those of this interpreter

-- --- values -------------------------------------------------------------------------------------------------

local Array = {}
Array.__index = Array
function Array:add(value) -- luacheck: no self
  self[#self + 1] = value
  return self
end
function Array:has(value)
  for _, item in ipairs(self) do
    if rawequal(item, value) then return true end
  end
  return false
end

local null = setmetatable({}, {
  __tostring = function() return "null" end,
  __index = function() error("null has no fields") end,
})

local function array(list)
  return setmetatable(list or {}, Array)
end

-- --- iteration ------------------------------------------------------------------------------------------------

local RANK = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local x, y = RANK[type(a)], RANK[type(b)]
  if x ~= y then return x < y end
  if x == 3 then return not a and b end
  return a < b
end

local function sorted_keys(t)
  local keys = {}
  for key in raw_next, t do
    if not RANK[type(key)] then error("keys of type " .. type(key) .. " have no order") end
    keys[#keys + 1] = key
  end
  raw_sort(keys, before)
  return keys
end

local function sorted_pairs(t)
  local keys, at = sorted_keys(t), 0
  return function()
    repeat at = at + 1 until keys[at] == nil or t[keys[at]] ~= nil
    local key = keys[at]
    if key ~= nil then return key, t[key] end
  end
end

local function sorted_next(t, key)
  for _, other in ipairs(sorted_keys(t)) do
    if key == nil or before(key, other) then return other, t[other] end
  end
end

local function merge_sort(list, less, from, to)
  if to <= from then return end
  local mid = (from + to) // 2
  merge_sort(list, less, from, mid)
  merge_sort(list, less, mid + 1, to)
  local left = table.move(list, from, mid, 1, {})
  local i, j = 1, mid + 1
  for at = from, to do
    if i <= #left and (j > to or not less(list[j], left[i])) then
      list[at], i = left[i], i + 1
    elseif i <= #left then
      list[at], j = list[j], j + 1
    end
  end
end

local function stable_sort(list, less)
  merge_sort(list, less or function(a, b) return a < b end, 1, #list)
end

-- --- JSON -----------------------------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quote(text)
  return '"' .. text:gsub('[\0-\31\127"\\]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function float_text(value)
  if value ~= value or value - value ~= 0 then error("no number that JSON has") end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then
      return text:find("[.e]") and text or text .. ".0"
    end
  end
end

local encode
local function encode_table(value)
  local out = {}
  if getmetatable(value) == Array or #value > 0 then
    for i = 1, #value do out[i] = encode(value[i]) end
    return "[" .. table.concat(out, ",") .. "]"
  end
  for key, item in sorted_pairs(value) do out[#out + 1] = quote(key) .. ":" .. encode(item) end
  return "{" .. table.concat(out, ",") .. "}"
end

function encode(value)
  if value == nil or rawequal(value, null) then return "null" end
  if type(value) == "table" then return encode_table(value) end
  if type(value) == "string" then return quote(value) end
  if math.type(value) == "float" then return float_text(value) end
  if type(value) == "function" then error("a function has no JSON") end
  return tostring(value)
end

local UNESCAPE = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local function unescape(text)
  text = text:gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", function(high, low)
    return utf8.char(0x10000 + ((tonumber(high, 16) & 0x3ff) << 10) + (tonumber(low, 16) & 0x3ff))
  end)
  return (text:gsub("\\(u?)(%x?%x?%x?%x?)(.?)", function(u, hex, rest)
    if u == "u" then return utf8.char(tonumber(hex, 16)) .. rest end
    local letter = (hex .. rest):sub(1, 1)
    return (UNESCAPE[letter] or letter) .. (hex .. rest):sub(2)
  end))
end

-- The text of a string that begins after its quote, and the position behind it.
local function read_string(text, at)
  local from = at
  while true do
    local stop = text:find('["\\]', at)
    if text:sub(stop, stop) == '"' then
      local raw = text:sub(from, stop - 1)
      return raw:find("\\", 1, true) and plain.unescape(raw) or raw, stop + 1
    end
    at = stop + 2
  end
end

-- One escape after the other, so that "\\u0041" stays a backslash and letters.
function plain.unescape(raw)
  local out, at = {}, 1
  while true do
    local stop = raw:find("\\", at, true)
    out[#out + 1] = raw:sub(at, (stop or 0) - 1)
    if not stop then return table.concat(out) end
    local length = raw:sub(stop + 1, stop + 1) ~= "u" and 2
      or raw:find("^\\u[dD][89abAB]%x%x\\u[dD][c-fC-F]%x%x", stop) and 12 or 6
    out[#out + 1] = unescape(raw:sub(stop, stop + length - 1))
    at = stop + length
  end
end

local WORDS = { t = { true, 4 }, f = { false, 5 }, n = { null, 4 } }
local read

local function read_list(text, at, keep_null)
  local out = array {}
  at = text:find("%S", at)
  while text:sub(at, at) ~= "]" do
    out[#out + 1], at = read(text, at, keep_null)
    at = text:find("[^%s,]", at)
  end
  return out, at + 1
end

local function read_map(text, at, keep_null)
  local out = {}
  at = text:find("%S", at)
  while text:sub(at, at) ~= "}" do
    local key, value
    key, at = read_string(text, at + 1)
    value, at = read(text, text:find(":", at, true) + 1, keep_null)
    if keep_null or not rawequal(value, null) then out[key] = value end
    at = text:find("[^%s,]", at)
  end
  return out, at + 1
end

function read(text, at, keep_null)
  at = text:find("%S", at)
  local c = text:sub(at, at)
  if c == "{" then return read_map(text, at + 1, keep_null) end
  if c == "[" then return read_list(text, at + 1, keep_null) end
  if c == '"' then return read_string(text, at + 1) end
  if WORDS[c] then return WORDS[c][1], at + WORDS[c][2] end
  local number = text:match("^-?%d[%d.eE+-]*", at)
  return tonumber(number), at + #number
end

--- Decodes as the operator does: null fields are absent, unless they are kept.
function plain.decode(text, keep_null)
  return (read(text, 1, keep_null))
end
plain.encode = encode
plain.array, plain.null = array, null

-- --- the world of a script -----------------------------------------------------------------------------------

--- Makes this interpreter's globals those of the operator's VM.
function plain.install(scripts)
  package.path = scripts .. "/?.lua"
  _G.array, _G.null = array, null
  _G.json = { encode = encode, decode = plain.decode }
  _G.log = { info = function() end, warn = function() end, debug = function() end }
  _G.controller = function(kind)
    return function(declaration)
      declaration.kind = kind
      return declaration
    end
  end
  for _, name in ipairs { "plugins/lib/words", "controllers/lib/words" } do
    for word, value in raw_next, assert(loadfile(("%s/%s.lua"):format(scripts, name), "t"))() do
      _G[word] = value
    end
  end
  _G.pairs, _G.next = sorted_pairs, sorted_next
  table.sort = stable_sort -- luacheck: ignore
end

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function options(args)
  local out = { scripts = "scripts", records = {} }
  local i = 1
  while i <= #args do
    if args[i] == "--scripts" or args[i] == "--script" then
      out[args[i]:sub(3)] = args[i + 1]
      i = i + 1
    elseif args[i] == "--print" then
      out.print = true
    else
      out.records[#out.records + 1] = args[i]
    end
    i = i + 1
  end
  return out
end

--- Controllers by kind, loaded once.
local function loader(opt)
  local loaded = {}
  return function(kind)
    if not loaded[kind] then
      local path = opt.script or ("%s/controllers/%s.lua"):format(opt.scripts, kind:match("^[^.]+"):lower())
      loaded[kind] = assert(loadfile(path, "t"))(path)
    end
    return loaded[kind]
  end
end

local function main(args)
  local opt, bad = options(args), 0
  plain.install(opt.scripts)
  local controller_of = loader(opt)
  for _, path in ipairs(opt.records) do
    local text = read_file(path)
    local record = plain.decode(text)
    local plan = encode(controller_of(record.kind).plan(record.seen))
    local same = text:find('"plan":' .. plan, 1, true) ~= nil
    bad = bad + (same and 0 or 1)
    print(opt.print and plan or ((same and "ok - " or "not ok - ") .. path))
  end
  return bad == 0
end

if arg and arg[0] and arg[0]:find("plain%.lua$") then
  os.exit(main(arg))
end
return plain
