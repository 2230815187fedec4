--- Which room of core/ may include which: the layers of docs/architecture. A cycle or an upward include is a finding.
local common = require("common")

local USES = {
  base = "",
  io = "base",
  net = "io base",
  kube = "net io base",
  lua = "io base",
  bind = "lua kube net io base",
  ha = "base",
  backup = "net io base",
  instance = "backup ha kube net io base",
  operator = "base io net kube lua bind ha backup",
  sandbox = "base io net kube lua bind ha backup instance operator sim",
  sim = "base io net kube lua bind ha backup instance operator sandbox",
  main = "base io net kube lua bind ha backup instance operator sandbox sim",
}

-- What the failover protocol may not call: it has no clock, socket, file, process, database or randomness.
local OUTSIDE = {}
for word in ([[time clock_gettime gettimeofday nanosleep usleep sleep socket connect send recv open openat fopen
    read write pread pwrite fsync rename unlink fork vfork execve waitpid kill getrandom random rand srand
    getenv]]):gmatch("%S+") do
  OUTSIDE[word] = true
end

local function may_use(room)
  local allowed = { [room] = true, moonherd = true }
  for name in (USES[room] or ""):gmatch("%S+") do
    allowed[name] = true
  end
  return allowed
end

local function check_includes(path, room, allowed)
  for n, line in ipairs(common.lines(common.read(path))) do
    local include = line:match('^%s*#%s*include%s+"([^"]+)"')
    local target = include and (include:match("^([%w_]+)/") or "")
    if target == "" then
      common.finding(path, n, ('"%s" does not name its room'):format(include))
    elseif target and not allowed[target] then
      common.finding(path, n, ("%s may not include %s/"):format(room, target))
    end
    if room == "ha" and line:find("#%s*include%s+[<\"]l?i?b?pq") then
      common.finding(path, n, "ha may not talk to PostgreSQL itself")
    end
  end
end

local function check_calls(path)
  for n, line in ipairs(common.lines(common.clean_c(common.read(path)))) do
    for before, word in line:gmatch("([%w_.>]?)%f[%w_]([%a_][%w_]*)%s*%(") do
      if before ~= "." and before ~= ">" and (OUTSIDE[word] or word:find("^PQ%u") or word:find("^pq%u")) then
        common.finding(path, n, ("%s() in ha: what is outside comes through base/world.h"):format(word))
      end
    end
  end
end

for _, path in ipairs(common.files({ "core" }, { "c", "h" })) do
  local room = path:match("^core/([%w_]+)/")
  if not room then
    common.finding(path, 1, "a source file outside of any room")
  elseif not USES[room] then
    common.finding(path, 1, ("the room %s is not in the list of layers"):format(room))
  else
    check_includes(path, room, may_use(room))
    if room == "ha" then
      check_calls(path)
    end
  end
end
common.done("move the code to the room that may use both, or pass what it needs in")
