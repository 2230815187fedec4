--- Tells whether a regular expression is well formed: brackets closed, nothing to repeat missing.
local regex = {}

local function class_end(pattern, at)
  at = at + 1
  if pattern:sub(at, at) == "^" then
    at = at + 1
  end
  if pattern:sub(at, at) == "]" then
    at = at + 1
  end
  while at <= #pattern do
    local mark = pattern:sub(at, at)
    local named = mark == "[" and pattern:match("^%[:%a+:%]()", at)
    if mark == "]" then
      return at + 1
    end
    at = named or at + (mark == "\\" and 2 or 1)
  end
  return nil
end

local function repetition_end(pattern, at)
  local low, comma, high, stop = pattern:match("^{(%d+)(,?)(%d*)}()", at)
  if not low then
    return nil
  end
  if comma == "" and high ~= "" or (high ~= "" and tonumber(high) < tonumber(low)) then
    return nil, "the bounds of a repetition are reversed"
  end
  return stop
end

local STEP = {}

STEP["\\"] = function(s)
  if s.at == #s.text then
    return "a backslash at the end"
  end
  s.at, s.atom = s.at + 2, true
end

STEP["["] = function(s)
  local stop = class_end(s.text, s.at)
  if not stop then
    return "'[' is never closed"
  end
  s.at, s.atom = stop, true
end

STEP["("] = function(s)
  s.open = s.open + 1
  local group = s.text:match("^%(%?[:=!]()", s.at) or s.text:match("^%(%?P?<[%a_][%w_]*>()", s.at)
    or s.text:match("^%(%?[imsU-]+:?()", s.at)
  s.at, s.atom = group or s.at + 1, false
end

STEP[")"] = function(s)
  s.open = s.open - 1
  if s.open < 0 then
    return "')' closes nothing"
  end
  s.at, s.atom = s.at + 1, true
end

STEP["|"] = function(s)
  s.at, s.atom = s.at + 1, false
end

local function repeated(s)
  if not s.atom then
    return ("nothing to repeat before '%s'"):format(s.text:sub(s.at, s.at))
  end
  s.at = s.at + 1
  if s.text:sub(s.at, s.at) == "?" then
    s.at = s.at + 1
  end
  s.atom = false
end

STEP["*"], STEP["+"], STEP["?"] = repeated, repeated, repeated

STEP["{"] = function(s)
  local stop, reason = repetition_end(s.text, s.at)
  if reason then
    return reason
  end
  if not stop then -- a plain brace
    s.at, s.atom = s.at + 1, true
    return nil
  end
  if not s.atom then
    return "nothing to repeat before '{'"
  end
  s.at, s.atom = s.text:match("^%??()", stop), false
end

--- Checks the form of a pattern.
---@param pattern any
---@return true? ok
---@return string? reason
function regex.check(pattern)
  if type(pattern) ~= "string" then
    return nil, "not a string"
  end
  local state = { text = pattern, at = 1, open = 0, atom = false }
  while state.at <= #pattern do
    local step = STEP[pattern:sub(state.at, state.at)]
    if step then
      local reason = step(state)
      if reason then
        return nil, reason
      end
    else
      state.at, state.atom = state.at + 1, true
    end
  end
  if state.open > 0 then
    return nil, "'(' is never closed"
  end
  return true
end

return regex
