---@meta
--- Lines of the operator's log; at most 50 between two waits. Policies have no log: what they answer is kept.
log = {}

---@param text string
---@param fields table? further data, as JSON
function log.info(text, fields) end

---@param text string
---@param fields table?
function log.warn(text, fields) end

---@param text string
---@param fields table?
function log.debug(text, fields) end
