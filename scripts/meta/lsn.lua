---@meta
--- Positions in the write-ahead log.
lsn = {}

--- A position as an integer, so that positions can be compared and subtracted.
---
---     lsn.parse "0/3000060" - lsn.parse "0/3000000"   --> 96
---@param text string
---@return integer? nil if the text is no position
function lsn.parse(text) end

---@param position integer
---@return string
function lsn.text(position) end
