--- No path of one machine in the tree: home directories, and the directory this tree happens to lie in.
local common = require("common")

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read("l")
  pipe:close()
  return text or ""
end

local top = output(("cd '%s' && pwd -P"):format(common.root))
local needles = { "/ro" .. "ot/", "/ho" .. "me/%a" }
for _, own in ipairs { top, top:match("^(.+)/[^/]+$") or "", os.getenv("HOME") or "" } do
  -- "/tmp" and the like are no secret of this machine.
  if #own > 1 and own ~= "/tmp" and own ~= "/var/tmp" then
    needles[#needles + 1] = own:gsub("%p", "%%%0") .. "/"
  end
end

local function check(path)
  local f = io.open(common.root .. "/" .. path, "rb")
  local text = f and f:read("a") or ""
  if f then
    f:close()
  end
  if text:sub(1, 4096):find("\0", 1, true) then
    return
  end
  for n, line in ipairs(common.lines(text)) do
    for _, needle in ipairs(needles) do
      if line:find(needle) then
        common.finding(path, n, "a path of one machine")
        break
      end
    end
  end
end

local find = "cd '%s' && { git ls-files -co --exclude-standard 2> /dev/null || find . -type f; }"
local list = io.popen(find:format(common.root))
for path in list:lines() do
  check(path)
end
list:close()
common.done("take it from an argument, the environment or the place of the file itself")
