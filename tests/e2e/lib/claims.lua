--- Claims of a shell script, as those of tests/lab/needs: its TAP lines are passed on.
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

local M = {}

--- tests/lab/NAME on the lab's operator, with these settings in its environment.
---@param name string
---@param settings table<string, string>
function M.run(name, settings)
  local words = { "env" }
  for key, value in pairs(settings) do
    words[#words + 1] = key .. "=" .. value
  end
  operator.install()
  for _, word in ipairs({ ("%s/tests/lab/%s"):format(sh.root, name), sh.lab, "kubectl" }) do
    words[#words + 1] = word
  end
  local p <close> = assert(io.popen(sh.line(words) .. " 2>&1"))
  local claims = 0
  for line in p:lines() do
    claims = claims + (line:find("^ok ") and 1 or 0)
    print(line:find("^n?o?t? ?ok ") and line or "#   " .. line)
    io.stdout:flush()
  end
  tap.check(p:close() and claims > 0, "every claim of tests/lab/" .. name .. " came true")
  tap.finish()
end

return M
