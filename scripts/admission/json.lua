--- Reads JSON out of annotations and tokens. Integers stay exact; depth and size are limited.
-- luacheck: read globals array null
local json = {}

local DEEPEST = 32
local LONGEST = 65536
local SIMPLE = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function fail(at, what)
  error({ json = ("%s at byte %d"):format(what, at) }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function unicode(text, at)
  local code = tonumber(text:match("^%x%x%x%x", at + 2) or fail(at, "bad escape"), 16)
  if code >= 0xD800 and code <= 0xDBFF then
    local low = tonumber(text:match("^\\u(%x%x%x%x)", at + 6) or "0", 16)
    if low >= 0xDC00 and low <= 0xDFFF then
      return utf8.char(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), at + 12
    end
    fail(at, "half a surrogate pair")
  end
  return utf8.char(code), at + 6
end

local function read_string(text, at)
  local out = {}
  at = at + 1
  while true do
    local stop = text:find('[\0-\31"\\]', at) or fail(at, "unfinished string")
    out[#out + 1] = text:sub(at, stop - 1)
    local mark = text:sub(stop, stop)
    if mark == '"' then
      return table.concat(out), stop + 1
    elseif mark ~= "\\" then
      fail(stop, "control character in a string")
    end
    local escape = text:sub(stop + 1, stop + 1)
    if escape == "u" then
      out[#out + 1], at = unicode(text, stop)
    else
      out[#out + 1], at = SIMPLE[escape] or fail(stop, "bad escape"), stop + 2
    end
  end
end

local function read_number(text, at)
  local word = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at) or fail(at, "unexpected character")
  local bare = word:gsub("^-", "")
  if bare:match("^0%d") or word:match("%.$") or word:match("%.[eE]") or not tonumber(word) then
    fail(at, "bad number")
  end
  return tonumber(word), at + #word
end

local read

local function read_list(text, at, depth)
  local out = array {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then
    return out, at + 1
  end
  while true do
    out[#out + 1], at = read(text, at, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then
      return out, at + 1
    elseif mark ~= "," then
      fail(at, "expected , or ]")
    end
    at = at + 1
  end
end

local function read_map(text, at, depth)
  local out = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then
    return out, at + 1
  end
  while true do
    at = skip(text, at)
    if text:sub(at, at) ~= '"' then
      fail(at, "expected a key")
    end
    local key
    key, at = read_string(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then
      fail(at, "expected :")
    end
    out[key], at = read(text, at + 1, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then
      return out, at + 1
    elseif mark ~= "," then
      fail(at, "expected , or }")
    end
    at = at + 1
  end
end

local function read_word(text, at)
  if text:sub(at, at + 3) == "true" then
    return true, at + 4
  elseif text:sub(at, at + 4) == "false" then
    return false, at + 5
  elseif text:sub(at, at + 3) == "null" then
    return null, at + 4
  end
  return read_number(text, at)
end

function read(text, at, depth)
  if depth > DEEPEST then
    fail(at, "nested too deeply")
  end
  at = skip(text, at)
  local mark = text:sub(at, at)
  if mark == "{" then
    return read_map(text, at, depth + 1)
  elseif mark == "[" then
    return read_list(text, at, depth + 1)
  elseif mark == '"' then
    return read_string(text, at)
  end
  return read_word(text, at)
end

--- Decodes one JSON value.
---@param text any
---@return any value nil when it is not JSON
---@return string? reason
function json.decode(text)
  if type(text) ~= "string" or #text > LONGEST then
    return nil, "not JSON text of at most 64 KiB"
  end
  local ok, value, at = pcall(read, text, 1, 0)
  if not ok then
    return nil, type(value) == "table" and value.json or "not JSON"
  end
  if skip(text, at) <= #text then
    return nil, ("unexpected text at byte %d"):format(skip(text, at))
  end
  return value
end

return json
