--- Canonical JSON: sorted keys, no spaces. Equal values give equal text on every machine.
-- luacheck: read globals null
local access = require("admission.access")
local sorted = require("desired.sorted")

local json = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(text)
  if not text:find('[%c"\\]') then
    return '"' .. text .. '"'
  end
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local encode

local function list(value)
  local out = {}
  for i, item in ipairs(value) do
    out[i] = encode(item)
  end
  return "[" .. table.concat(out, ",") .. "]"
end

local function map(value)
  local out = {}
  for i, key in ipairs(sorted.keys(value)) do
    out[i] = quote(key) .. ":" .. encode(value[key])
  end
  return "{" .. table.concat(out, ",") .. "}"
end

function encode(value)
  if type(value) == "string" then
    return quote(value)
  elseif value == nil or value == null then
    return "null"
  elseif type(value) == "table" then
    return access.is_array(value) and list(value) or map(value)
  elseif math.type(value) == "float" then
    return ("%.17g"):format(value)
  end
  return tostring(value)
end

--- The text of a value. A table with elements or made by `array` is a list, any other an object.
---@param value any
---@return string
function json.encode(value)
  return encode(value)
end

return json
