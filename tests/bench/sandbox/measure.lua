--- measure.lua WORK SANDBOX_PID CLUSTERS THREES TIMEOUT IDLE JSON ROOT: see run.
local cjson = require("cjson")

local work, sandbox = arg[1], tonumber(arg[2])
local clusters, threes = tonumber(arg[3]), tonumber(arg[4])
local timeout, idle, json, root = tonumber(arg[5]), tonumber(arg[6]), arg[7], arg[8]
local HEALTHY = "Cluster in healthy state"
local figures = {}

local function read(path)
  local file = io.open(path)
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

local function output(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local text = pipe:read("a")
  pipe:close()
  return text
end

--- Seconds since the machine's start, 10 ms fine.
local function now()
  return tonumber(read("/proc/uptime"):match("^%S+"))
end

-- --- the API --------------------------------------------------------------------------------------------------

local kubeconfig = assert(read(work .. "/kubeconfig"))
local server = assert(kubeconfig:match("server:%s*(%S+)"))
local token = assert(kubeconfig:match("token:%s*(%S+)"))
os.execute(("sed -n 's/.*certificate-authority-data: *//p' %s/kubeconfig | base64 -d > %s/ca.pem"):format(work, work))

--- A curl configuration of one request.
local function request(path, more)
  return ('url = "%s%s"\nheader = "Authorization: Bearer %s"\ncacert = "%s/ca.pem"\nsilent\n%s')
    :format(server, path, token, work, more or "")
end

local function get(path, accept)
  write(work .. "/get.cfg", request(path, ('header = "Accept: %s"\n'):format(accept or "application/json")))
  local text = output(("curl -K %s/get.cfg"):format(work))
  local ok, value = pcall(cjson.decode, text)
  return ok and value or nil
end

local function manifest(i)
  local every = threes > 0 and math.max(1, clusters // threes) or clusters + 1
  local name = ("bench-%d"):format(i)
  return ('{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","metadata":{"name":"%s"},"spec":{"instances":%d,'
    .. '"inheritedMetadata":{"annotations":{"moonherd.io/modelled":"true"}},"storage":{"size":"1Gi"}}}')
    :format(name, i % every == 0 and 3 or 1)
end

local function create_all()
  local parts = {}
  for i = 1, clusters do
    parts[i] = request("/apis/postgresql.cnpg.io/v1/namespaces/default/clusters",
      ('header = "Content-Type: application/json"\noutput = "/dev/null"\nwrite-out = "%%{http_code}\\n"\ndata = %q\n')
      :format(manifest(i)))
  end
  write(work .. "/create.cfg", table.concat(parts, "next\n"))
  local codes = output(("curl --parallel --parallel-max 8 --no-progress-meter -K %s/create.cfg"):format(work))
  local _, created = codes:gsub("201", "")
  assert(created == clusters, ("%d of %d clusters were created"):format(created, clusters))
end

--- How many are healthy: by the printed table, which is short.
local function healthy()
  local t = get("/apis/postgresql.cnpg.io/v1/clusters?includeObject=None",
    "application/json;as=Table;v=v1;g=meta.k8s.io")
  if not t or not t.rows then
    return 0
  end
  local column, n = nil, 0
  for i, c in ipairs(t.columnDefinitions) do
    column = c.name == "Status" and i or column
  end
  for _, row in ipairs(t.rows) do
    n = n + (row.cells[column] == HEALTHY and 1 or 0)
  end
  return n
end

-- --- the operator ---------------------------------------------------------------------------------------------

local function memory(pid)
  local text = read(("/proc/%d/smaps_rollup"):format(pid)) or ""
  local function mb(field)
    return (tonumber(text:match("\n" .. field .. ":%s+(%d+) kB")) or 0) * 1024 / 1e6
  end
  return { resident = mb("Rss"), anonymous = mb("Anonymous") }
end

--- Processor seconds of a process and its waited-for children.
local function processor(pid)
  local stat = read(("/proc/%d/stat"):format(pid)) or ""
  local fields, n = {}, 0
  for word in stat:gsub("^.*%) ", ""):gmatch("%S+") do
    n = n + 1
    fields[n] = word
  end
  return (tonumber(fields[12] or 0) + tonumber(fields[13] or 0)) / 100
end

local function descendants(pid, out)
  for child in (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
    out[#out + 1] = tonumber(child)
    descendants(child, out)
  end
  return out
end

local function operator_pid()
  for _, pid in ipairs(descendants(sandbox, {})) do
    local command = (read(("/proc/%d/cmdline"):format(pid)) or ""):gsub("\0", " ")
    if command:match("^%S*manager operator") then
      return pid
    end
  end
  error("the operator does not run")
end

local function operator_address()
  local pods = get("/api/v1/namespaces/moonherd-system/pods")
  for _, pod in ipairs(pods and pods.items or {}) do
    if pod.status.podIP then
      return pod.status.podIP
    end
  end
  error("the operator has no address")
end

local function metrics(address)
  local text = output(("curl -s http://%s:8080/metrics"):format(address))
  local passes, out = 0, {}
  for name, labels, value in text:gmatch("\n([%w_]+)({?[^\n ]*) ([%d.e+-]+)") do
    if name == "controller_runtime_reconcile_total" then
      passes = passes + tonumber(value)
    elseif labels == "" then
      out[name] = tonumber(value)
    end
  end
  out.passes = passes
  return out
end

-- --- the figures ----------------------------------------------------------------------------------------------

local function figure(name, unit, value, goal, how)
  value = tonumber(("%.2f"):format(value))
  local met = nil
  if goal then
    met = value <= goal
  end
  print(("%-44s %10.2f %s%s"):format(name, value, unit,
    goal and ("  (goal %g: %s)"):format(goal, met and "met" or "MISSED") or ""))
  io.stdout:flush()
  figures[name:gsub("%W+", "_")] = { value = value, unit = unit, goal = goal, met = met, how = how }
end

local function converge()
  local t0, n, shown = now(), 0, 0
  create_all()
  local created = now() - t0
  while n < clusters do
    if now() - t0 > timeout then
      io.stderr:write(("bench: only %d of %d clusters are healthy after %d s\n"):format(n, clusters, timeout))
      os.exit(1)
    end
    os.execute("sleep 0.5")
    n = healthy()
    if now() - shown > 10 then
      shown = now()
      io.stderr:write(("%4.0f s: %d of %d healthy\n"):format(now() - t0, n, clusters))
    end
  end
  return now() - t0, created
end

local pid, address = operator_pid(), operator_address()
local before, cpu0, sandbox0 = metrics(address), processor(pid), processor(sandbox)
local seconds, created = converge()
local after = metrics(address)
local words = ("%d Clusters, %d of them with three instances, modelled; operator and sandbox share this machine")
  :format(clusters, threes)
figure("time to create", "s", created, nil, "curl, 8 at a time")
figure("time to converge", "s", seconds, nil,
  words .. "; from the first create until a list shows all healthy, asked each 0.5 s")
figure("passes until then", "", after.passes - before.passes, nil, "controller_runtime_reconcile_total")
figure("passes per second", "1/s", (after.passes - before.passes) / seconds, nil, "until converged")
figure("operator, processor time per cluster", "ms", (processor(pid) - cpu0) * 1000 / clusters, nil, "until converged")
figure("sandbox, processor time per cluster", "ms", (processor(sandbox) - sandbox0) * 1000 / clusters, nil,
  "API server, controllers and models")
os.execute(("sleep %d"):format(idle))
local rest, cpu1 = metrics(address), processor(pid)
local m = memory(pid)
figure("operator, resident memory", "MB", m.resident, 60,
  ("%d s later, smaps_rollup, 1 MB is 1000000 bytes"):format(idle))
figure("operator, anonymous memory", "MB", m.anonymous, nil, "the same")
figure("operator, instances connected", "", rest.moonherd_instances_connected or 0, nil, "moonherd_instances_connected")
figure("operator, objects in its cache", "", rest.moonherd_cache_objects or 0, nil, "moonherd_cache_objects")
figure("operator, its cache", "MB", (rest.moonherd_cache_bytes or 0) / 1e6, nil, "moonherd_cache_bytes")
figure("sandbox, resident memory", "MB", memory(sandbox).resident, nil, "API server, controllers and models in one")
os.execute("sleep 10")
local last = metrics(address)
figure("passes per second, idle", "1/s", (last.passes - rest.passes) / 10, nil, "over 10 s, nothing happens")
figure("operator, processor while idle", "%", (processor(pid) - cpu1) * 10, nil, "over 10 s")

if json ~= "" then
  local git = "git -C '" .. root .. "' "
  local file <close> = assert(io.open(json, "a"))
  file:write(cjson.encode {
    at = os.date("!%Y-%m-%dT%H:%M:%SZ"), commit = output(git .. "rev-parse --short HEAD"):gsub("%s", ""),
    machine = { cpus = tonumber(output("nproc")), load = tonumber(read("/proc/loadavg"):match("^%S+")) },
    clusters = clusters, figures = figures,
  }, "\n")
end
