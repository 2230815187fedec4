--- Kubernetes quantities ("10Gi", "500m", "1.5e3"), exact at any size, and PostgreSQL's memory units.
local quantity = {}

---@class admission.Quantity
---@field negative boolean
---@field whole string digits before the point, without leading zeros
---@field part string digits after the point, without trailing zeros

local BINARY = { Ki = 1, Mi = 2, Gi = 3, Ti = 4, Pi = 5, Ei = 6 }
local DECIMAL = { n = -9, u = -6, m = -3, [""] = 0, k = 3, M = 6, G = 9, T = 12, P = 15, E = 18 }
local MEMORY = { B = 0, kB = 1, MB = 2, GB = 3, TB = 4, PB = 5 }
local LONGEST = 64
local LARGEST_EXPONENT = 100

--- Multiplies a string of decimal digits by a small integer.
local function times(digits, factor)
  local out, carry = {}, 0
  for i = #digits, 1, -1 do
    local product = (digits:byte(i) - 48) * factor + carry
    out[#out + 1] = string.char(48 + product % 10)
    carry = product // 10
  end
  return (carry > 0 and tostring(carry) or "") .. table.concat(out):reverse()
end

local function canonical(negative, digits, scale)
  if scale >= 0 then
    digits = digits .. ("0"):rep(scale)
    scale = 0
  end
  if #digits < -scale then
    digits = ("0"):rep(-scale - #digits) .. digits
  end
  local whole, part = digits:sub(1, #digits + scale), digits:sub(#digits + scale + 1)
  whole, part = whole:gsub("^0+", ""), part:gsub("0+$", "")
  return { negative = negative and (whole .. part) ~= "", whole = whole, part = part }
end

--- The factors of a suffix: a power of 1024 and a power of ten.
local function factors(suffix)
  if BINARY[suffix] then
    return BINARY[suffix], 0
  end
  if DECIMAL[suffix] then
    return 0, DECIMAL[suffix]
  end
  local exponent = math.tointeger(tonumber(suffix:match("^[eE]([+-]?%d+)$")))
  if exponent and math.abs(exponent) <= LARGEST_EXPONENT then
    return 0, exponent
  end
  return nil
end

local SMALL = 6 -- digits that stay exact in an integer, times 1024^4

local function build(sign, before, after, kilos, tens)
  local digits = before .. after
  if kilos > 0 and kilos <= 4 and #digits <= SMALL then
    digits, kilos = ("%d"):format(math.tointeger(tonumber(digits)) << (10 * kilos)), 0
  end
  for _ = 1, kilos do
    digits = times(digits, 1024)
  end
  return canonical(sign == "-", digits, tens - #after)
end

--- Splits "+1.50Gi" into sign, digits before and after the point, and suffix.
local function split(text)
  local sign, number, suffix = text:match("^([+-]?)([%d.]+)(.*)$")
  if not number then
    return nil
  end
  local before, after = number:match("^(%d*)%.?(%d*)$")
  if not before or before .. after == "" then
    return nil
  end
  return sign, before, after, suffix
end

--- Reads a quantity. Numbers are taken as they are.
---@param value any string or number
---@return admission.Quantity? quantity
---@return string? reason
function quantity.parse(value)
  local text = value
  if math.type(value) == "integer" then
    text = ("%d"):format(value)
  elseif type(value) == "number" then
    text = ("%.9f"):format(value)
  end
  if type(text) ~= "string" or #text > LONGEST then
    return nil, "not a quantity such as 10Gi"
  end
  local sign, before, after, suffix = split(text)
  if not sign then
    return nil, "not a quantity such as 10Gi"
  end
  local kilos, tens = factors(suffix)
  if not kilos then
    return nil, ("unknown unit '%s': use Ki, Mi, Gi, Ti, k, M, G or T"):format(suffix)
  end
  return build(sign, before, after, kilos, tens)
end

--- Reads a memory size as PostgreSQL writes it. A number without unit is taken as megabytes.
---@param text any
---@return admission.Quantity? quantity
---@return boolean? has_unit
function quantity.memory(text)
  if type(text) ~= "string" or #text > LONGEST then
    return nil
  end
  local sign, before, after, unit = split((text:match("^%s*(.-)%s*$")))
  if not sign then
    return nil
  end
  unit = unit:match("^%s*(.*)$")
  local kilos = unit == "" and MEMORY.MB or MEMORY[unit]
  if not kilos then
    return nil
  end
  return build(sign, before, after, kilos, 0), unit ~= ""
end

---@param q admission.Quantity
---@return integer sign -1, 0 or 1
function quantity.sign(q)
  if q.whole == "" and q.part == "" then
    return 0
  end
  return q.negative and -1 or 1
end

local function compare_size(a, b)
  if #a.whole ~= #b.whole then
    return #a.whole < #b.whole and -1 or 1
  end
  if a.whole ~= b.whole then
    return a.whole < b.whole and -1 or 1
  end
  if a.part ~= b.part then
    return a.part < b.part and -1 or 1
  end
  return 0
end

---@param a admission.Quantity
---@param b admission.Quantity
---@return integer -1 when a is less, 0 when equal, 1 when more
function quantity.compare(a, b)
  if a.negative ~= b.negative then
    return a.negative and -1 or 1
  end
  local size = compare_size(a, b)
  return a.negative and -size or size
end

--- The value rounded up to an integer, or nil when it does not fit in 64 bits.
---@param q admission.Quantity
---@return integer?
function quantity.to_integer(q)
  local value = math.tointeger(tonumber(q.whole == "" and "0" or q.whole))
  if not value or ("%d"):format(value) ~= (q.whole == "" and "0" or q.whole) then
    return nil
  end
  if q.negative then
    return -value
  end
  if q.part ~= "" then
    return value < math.maxinteger and value + 1 or nil
  end
  return value
end

return quantity
