--- The Lease in which the holder of the primary role is written. It starts empty: who may take it is no
--- routine work.
local meta = require("desired.meta")

local lease = {}

---@param c desired.Context
function lease.build(c)
  local object = meta.object(c, "Lease", c.name)
  object.spec = {}
  return object
end

return lease
