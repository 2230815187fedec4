---@meta
--- Texts of times. There is no clock: the time is always data, as in `ctx.now`.
time = {}

---     time.rfc3339(0)   --> 1970-01-01T00:00:00Z
---@param seconds integer since 1970, UTC
---@return string
function time.rfc3339(seconds) end

---@param text string RFC 3339, with optional fraction and offset
---@return integer? seconds nil if it is no such text
function time.parse(text) end
