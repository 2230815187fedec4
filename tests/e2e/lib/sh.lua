--- Commands, time and files, for the scenarios.
local M = {}

M.root = os.getenv("E2E_ROOT") or "."
M.lab = M.root .. "/tests/lab/lab"
M.lab_dir = os.getenv("LAB_DIR") or "/var/lib/lab"
M.logs = os.getenv("E2E_LOGS") or (M.root .. "/build/lab-logs")
M.writer = os.getenv("E2E_WRITER") or (M.root .. "/build/lab-logs/writer")

function M.quote(s)
  return "'" .. tostring(s):gsub("'", "'\\''") .. "'"
end

--- Words to one command line; each is quoted.
function M.line(words)
  local out = {}
  for i, w in ipairs(words) do
    out[i] = M.quote(w)
  end
  return table.concat(out, " ")
end

function M.read(path)
  local f <close> = io.open(path, "rb")
  return f and f:read("a") or nil
end

function M.write(path, text)
  local f <close> = assert(io.open(path, "wb"))
  f:write(text)
end

--- Milliseconds since boot (to 10 ms): the clock that the writer uses too.
function M.now()
  return math.floor(tonumber(M.read("/proc/uptime"):match("^%S+")) * 1000 + 0.5)
end

function M.sleep(seconds)
  os.execute(("sleep %.3f"):format(seconds))
end

--- Runs a command (list of words), stdin from `input` where given. Returns its output (with stderr), and whether it
--- ended well. It is killed after `timeout` seconds (60).
function M.try(words, input, timeout)
  local file
  local line = ("timeout -k 2 %d %s 2>&1"):format(timeout or 60, M.line(words))
  if input then
    file = os.tmpname()
    M.write(file, input)
    line = line .. " <" .. M.quote(file)
  else
    line = line .. " </dev/null"
  end
  local p = assert(io.popen(line, "r"))
  local out = p:read("a")
  local ok, _, code = p:close()
  if file then
    os.remove(file)
  end
  return out, ok == true, code
end

--- Like try, but a failure is an error.
function M.run(words, input, timeout)
  local out, ok, code = M.try(words, input, timeout)
  if not ok then
    error(("%s: exit code %s: %s"):format(table.concat(words, " "), tostring(code), out:sub(1, 600)), 2)
  end
  return out
end

--- Starts a command in the background, its output in `out_file`; returns its process id.
function M.start(words, out_file)
  local p = assert(io.popen(("setsid %s >%s 2>&1 </dev/null & echo $!"):format(M.line(words), M.quote(out_file)), "r"))
  local pid = math.tointeger(tonumber(p:read("l")))
  p:close()
  return pid
end

--- Alive and no zombie.
function M.alive(pid)
  local stat = M.read(("/proc/%d/stat"):format(pid))
  return stat ~= nil and stat:match("^.*%) (%S)") ~= "Z"
end

function M.kill(pid, signal)
  return os.execute(("kill -%s %d 2>/dev/null"):format(signal or "TERM", pid)) == true
end

return M
