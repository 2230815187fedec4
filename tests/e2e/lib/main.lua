--- main.lua SCENARIO-FILE: runs it; whatever happens, what it has to clean up is cleaned up.
local tap = require("tap")

local ok, why = xpcall(dofile, debug.traceback, arg[1])
if not ok then
  tap.check(false, "runs to its end", "%s", why)
end
tap.finish()
