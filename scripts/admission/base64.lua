--- Base64 with padding.
local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local VALUE = {}
for i = 1, #ALPHABET do
  VALUE[ALPHABET:sub(i, i)] = i - 1
end

--- Decodes; nil when the text is not base64.
---@param text any
---@return string?
function base64.decode(text)
  if type(text) ~= "string" or #text % 4 ~= 0 or not text:match("^[%w+/]*=?=?$") then
    return nil
  end
  local out = {}
  for a, b, c, d in text:gmatch("(.)(.)(.)(.)") do
    local bits = (VALUE[a] << 18) | ((VALUE[b] or 0) << 12) | ((VALUE[c] or 0) << 6) | (VALUE[d] or 0)
    local bytes = string.char(bits >> 16, (bits >> 8) & 255, bits & 255)
    out[#out + 1] = c == "=" and bytes:sub(1, 1) or d == "=" and bytes:sub(1, 2) or bytes
  end
  return table.concat(out)
end

return base64
