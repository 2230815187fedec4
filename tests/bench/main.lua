--- main.lua FILE.jsonl: measures, prints, and adds a line to the file. See run.
local cjson = require("cjson")
local cluster = require("cluster")
local host = require("host")
local kube = require("kube")
local operator = require("operator")
local push = require("push")
local sh = require("sh")
local tap = require("tap")
local webhook = require("webhook")

local runs = tonumber(os.getenv("BENCH_RUNS") or 3)
local kills = tonumber(os.getenv("BENCH_KILLS") or 5)
local idle_s = tonumber(os.getenv("BENCH_IDLE_S") or 60)
local NS = "bench"
local figures = {}

local function round(x, digits)
  return tonumber(("%." .. (digits or 2) .. "f"):format(x))
end

local function numbers(unit, values)
  local words = {}
  for _, key in ipairs { "value", "min", "median", "max", "p50", "p99", "with", "without" } do
    if values[key] then
      words[#words + 1] = (key == "value" and "" or key .. " ") .. ("%g %s"):format(values[key], unit)
    end
  end
  return table.concat(words, ", ")
end

--- Prints a figure and keeps it. `values` are its numbers by name; `judged` is the one that the goal is for.
local function figure(name, unit, values, judged, goal, peer, how)
  local verdict, met = "", nil
  if goal then
    met = values[judged] <= goal
    verdict = ("; goal %g %s: %s"):format(goal, unit, met and "met" or "MISSED")
  end
  print(name .. ": " .. numbers(unit, values) .. verdict .. (peer and "; the peer: " .. peer or ""))
  print("    how: " .. how)
  io.stdout:flush()
  values.unit, values.goal, values.peer, values.met, values.how = unit, goal, peer, met, how
  figures[name:gsub("%W+", "_")] = values
end

local function spread(list, digits)
  local s = host.sorted(list)
  return { min = round(s[1], digits), median = round(host.quantile(s, 0.5), digits), max = round(s[#s], digits),
    samples = #s }
end

-- --- manifest to three ready ----------------------------------------------------------------------------------

local function remove(c)
  kube.kubectl("-n", NS, "delete", "cluster.postgresql.cnpg.io", c.name, "--wait=true", "--timeout=60s")
  kube.kubectl("-n", NS, "delete", "pvc", "--all", "--wait=true", "--timeout=60s")
  kube.wait("nothing of " .. c.name .. " is left", 60, function()
    return #kube.list(c:core("pods")) == 0
  end)
end

local function bring_up(c)
  local t0 = sh.now()
  c:create("plain", { INSTANCES = 3 })
  -- One watch; asking again and again would take time from what is measured.
  kube.kubectl("-n", NS, "wait", "cluster.postgresql.cnpg.io/" .. c.name, "--timeout=120s",
    "--for=jsonpath={.status.phase}=" .. cluster.HEALTHY)
  local seconds = (sh.now() - t0) / 1000
  local ok, why = c:healthy(3)
  assert(ok, why)
  return seconds
end

local function measure_ready(c)
  local list = {}
  for n = 1, runs do
    if n > 1 then
      remove(c)
    end
    list[n] = bring_up(c)
    io.stderr:write(("run %d of %d: %.1f s\n"):format(n, runs, list[n]))
  end
  local values = spread(list)
  values.runs = list
  figure("manifest to 3 ready", "s", values, "median", 15, "61 s",
    "from the start of kubectl apply of tests/e2e/manifests/plain.yaml (new volumes, images on the nodes) until "
    .. "a watch (kubectl wait) shows the healthy phase; then all three pods are Ready and one is labelled primary; "
    .. "clock: /proc/uptime, 10 ms")
end

-- --- status push ----------------------------------------------------------------------------------------------

local function running_operator()
  for _, p in ipairs(operator.pods()) do
    if p.status.phase == "Running" and not p.metadata.deletionTimestamp then
      return p
    end
  end
  error("no operator runs")
end

local function measure_push(c)
  figure("status push delay", "ms", spread(push.measure(c, kills)), "max", 50, nil,
    "PostgreSQL of a standby is killed; from the time of the manager's log line 'PostgreSQL ended by itself' to the "
    .. "arrival of the line with pgUp false at a client of the stream beside the API server (the operator's own "
    .. "is another of the same kind); both times in microseconds of one machine's clock; what only "
    .. "a question to PostgreSQL shows comes up to 200 ms later, the manager asks that often")
end

-- --- webhooks -------------------------------------------------------------------------------------------------

local function measure_webhooks()
  local r = webhook.measure(running_operator(), tonumber(os.getenv("BENCH_REQUESTS") or 1000))
  local how = ("%d server-side dry-run creates of a Cluster in a namespace that the webhooks serve, %d in one that "
    .. "they do not (namespaceSelector, for the time of the measurement), alternating over one kept-open HTTPS "
    .. "connection; difference of the two quantiles; each create passes two webhooks, the mutating and then the "
    .. "validating one; the operator's counter says that all reviews came"):format(r.requests, r.requests)
  for _, q in ipairs { "p50", "p99" } do
    figure("webhooks over the API server's own, " .. q, "ms",
      { value = round(r.with[q] - r.without[q]), with = round(r.with[q]), without = round(r.without[q]) }, "value",
      q == "p50" and 1 or 5, q == "p50" and "5 ms" or "100 ms", how)
  end
  figure("webhook, in the operator", "ms", { value = round(r.inside_ms, 3) }, "value", nil, nil,
    ("mean of the %d reviews of the same requests by the operator's own histogram moonherd_webhook_seconds")
    :format(r.reviews))
end

-- --- memory ---------------------------------------------------------------------------------------------------

local function mb(bytes)
  return round(bytes / 1e6, 2)
end

local function measure_memory(c, clusters)
  sh.sleep(idle_s)
  local how = ("/proc/PID/smaps_rollup of the machine (Rss, Anonymous), %d s after the last of the above; 1 MB is "
    .. "1000000 bytes"):format(idle_s)
  local op = running_operator()
  local workers = { count = 0, resident = 0, anonymous = 0 }
  local more = ("; %d cluster(s) on the lab; process 1 of its pod"):format(clusters)
  local first = host.first(op)
  local m = host.memory(first.pid)
  figure("operator, resident memory", "MB", { value = mb(m.resident), proportional = mb(m.proportional) }, "value", 10,
    "70 MB", how .. more)
  figure("operator, anonymous memory", "MB", { value = mb(m.anonymous) }, "value", nil, nil, how .. more)
  for _, p in ipairs(host.processes(op)) do
    if p.parent == first.pid then
      m = host.memory(p.pid)
      workers.count = workers.count + 1
      workers.resident, workers.anonymous = workers.resident + m.resident, workers.anonymous + m.anonymous
    end
  end
  figure("policy workers, resident memory", "MB",
    { value = mb(workers.resident), anonymous = mb(workers.anonymous), count = workers.count }, "value", nil, nil,
    ("%d children of the operator, their sum; %s"):format(workers.count, how))
  local resident, anonymous = {}, {}
  for _, pod in ipairs(c:pods()) do
    m = host.memory(host.first(pod).pid)
    resident[#resident + 1], anonymous[#anonymous + 1] = m.resident / 1e6, m.anonymous / 1e6
  end
  how = how .. "; process 1 of each pod"
  figure("instance manager, resident memory", "MB", spread(resident), "max", 6, "62 MB", how)
  figure("instance manager, anonymous memory", "MB", spread(anonymous), "max", nil, nil, how)
end

-- --- the whole ------------------------------------------------------------------------------------------------

local function output(command)
  local p = assert(io.popen(command .. " 2>/dev/null"))
  local text = p:read("a"):gsub("%s+$", "")
  p:close()
  return text
end

local function machine()
  local memory = sh.read("/proc/meminfo"):match("MemTotal:%s+(%d+)")
  return { cpus = tonumber(output("nproc")), memory_mb = tonumber(memory) // 1000, kernel = output("uname -r"),
    load = tonumber(sh.read("/proc/loadavg"):match("^%S+")) }
end

local function measure_all()
  local t0 = sh.now()
  local git = "git -C " .. sh.quote(sh.root) .. " "
  local line = { at = os.date("!%Y-%m-%dT%H:%M:%SZ"), commit = output(git .. "rev-parse --short HEAD"),
    dirty = output(git .. "status --porcelain --untracked-files=no") ~= "", machine = machine() }
  operator.install(60)
  kube.namespace(NS)
  line.clusters = #kube.list("/apis/postgresql.cnpg.io/v1/clusters") + 1
  line.image = running_operator().status.containerStatuses[1].imageID:match("sha256:(%x+)"):sub(1, 12)
  local c = cluster.new(NS, "bench")
  measure_ready(c)
  measure_push(c)
  measure_webhooks()
  measure_memory(c, line.clusters)
  line.figures, line.minutes = figures, round((sh.now() - t0) / 60000, 1)
  return line
end

local ok, result = xpcall(measure_all, debug.traceback)
if ok then
  local file <close> = assert(io.open(arg[1], "a"))
  file:write(cjson.encode(result), "\n")
  local missed = {}
  for name, f in pairs(figures) do
    if f.met == false then
      missed[#missed + 1] = (name:gsub("_", " "))
    end
  end
  table.sort(missed)
  print(("measured in %.1f minutes on %d processors, load %.1f when it began; %s"):format(result.minutes,
    result.machine.cpus, result.machine.load,
    #missed == 0 and "every goal is met" or "goals missed: " .. table.concat(missed, "; ")))
else
  io.stderr:write("bench: ", tostring(result), "\n")
  tap.failed = 1
end
tap.finish()
