---@meta
--- JSON texts: canonical (keys sorted by bytes, no spaces), integers exact to 64 bits.
json = {}

--- The text of a value. Raises where JSON has none: cycles, holes, NaN, functions, more than 64 levels.
---
---     json.encode { b = 1, a = array {} }   --> {"a":[],"b":1}
---@param value any
---@return string
function json.encode(value) end

--- The value of a text. Fields that are null are absent, elements that are null are `null`.
---@param text string at most 1 MiB
---@return any value nil if the text is no JSON
---@return string? why
function json.decode(text) end
