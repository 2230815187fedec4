--- What the benches read of the machine: processes of pods, their memory, logs with their times.
local sh = require("sh")
local M = {}

--- Processes of a pod: {pid, inside (pid in the container), parent (as pid of the machine), command}.
function M.processes(pod)
  local out = {}
  for line in sh.run({ sh.lab, "procs", pod.metadata.uid }):gmatch("[^\n]+") do
    local pid, inside, parent, command = line:match("^(%d+) (%d+) (%d+) (.*)")
    if pid then
      out[#out + 1] = { pid = tonumber(pid), inside = tonumber(inside), parent = tonumber(parent), command = command }
    end
  end
  return out
end

--- The one process that `test` accepts.
function M.process(pod, what, test)
  for _, p in ipairs(M.processes(pod)) do
    if test(p) then
      return p
    end
  end
  error(("%s has no process that is %s"):format(pod.metadata.name, what))
end

function M.first(pod)
  return M.process(pod, "its first", function(p)
    return p.inside == 1 and not p.command:find("pause", 1, true)
  end)
end

--- Resident, proportional and anonymous memory in bytes.
function M.memory(pid)
  local text = assert(sh.read(("/proc/%d/smaps_rollup"):format(pid)), "no smaps_rollup")
  local function field(name)
    return tonumber(text:match("\n" .. name .. ":%s+(%d+) kB")) * 1024
  end
  return { resident = field("Rss"), proportional = field("Pss"), anonymous = field("Anonymous") }
end

--- "2026-11-21T02:41:31.033973Z" as seconds; only differences mean something.
function M.seconds(text)
  local y, mo, d, h, mi, s = text:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):([%d.]+)Z$")
  local whole, part = math.modf(tonumber(s))
  return os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = whole } + part
end

--- The JSON lines that a pod has logged, as text, oldest first: the files that the kubelet writes on this machine.
function M.log_lines(pod)
  local m = pod.metadata
  local out, pattern = {}, ("%s/node*/podlogs/%s_%s_%s/*/*.log"):format(sh.lab_dir, m.namespace, m.name, m.uid)
  local pipe = assert(io.popen("cat " .. pattern .. " 2>/dev/null"))
  for line in pipe:lines() do
    out[#out + 1] = line:match("^%S+ std%w+ F ({.*})$")
  end
  pipe:close()
  return out
end

--- Samples: their extremes and the p-th quantile (nearest rank).
function M.quantile(sorted, p)
  return sorted[math.max(1, math.ceil(p * #sorted))]
end
function M.sorted(list)
  local out = table.move(list, 1, #list, 1, {})
  table.sort(out)
  return out
end

return M
