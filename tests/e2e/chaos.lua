--- Scenarios of scripts/chaos, as they are: those that pass on the sandbox pass in a cluster too. Two of them, others
--- each day; E2E_CHAOS="name name" runs those, MH_TEST_FULL=1 all, with a line for each in docs/evidence/chaos.jsonl.
local cjson = require("cjson")
local cluster = require("cluster")
local kube = require("kube")
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

local LIMIT_S = 170

-- What needs no slow network, and what the lab's program can break.
local names = { "postmaster-kill", "cut-primary", "manager-kill", "double-fault", "freeze-primary", "pod-delete",
  "cut-standbys", "node-off", "api-down", "operator-down", "cut-primary-from-api", "switchover-storm",
  "operator-away" }

local full = os.getenv("MH_TEST_FULL")

local function chosen()
  local out, wanted = {}, os.getenv("E2E_CHAOS")
  if full and not wanted then
    return names
  end
  if wanted then
    for name in wanted:gmatch("%S+") do
      out[#out + 1] = name
    end
    return out
  end
  -- The scenario apidown takes the API server away in each run, and getting well again takes a minute.
  local daily = {}
  for _, name in ipairs(names) do
    if name ~= "api-down" then
      daily[#daily + 1] = name
    end
  end
  local day = os.time() // 86400
  return { daily[day * 2 % #daily + 1], daily[(day * 2 + 1) % #daily + 1] }
end

operator.install()
local ns = kube.namespace("chaos")
local c = cluster.new(ns, "first")
-- The release if it is there: it is what the operator under test was made from.
local moonherd = os.getenv("MOONHERD") or sh.root .. "/build/moonherd"
if not sh.read(moonherd) then
  moonherd = sh.root .. "/build/host/core/main/moonherd"
end
local base = { sh.lab, "exec", moonherd, "chaos", "run" }
local more = { "--world", "cluster", "-n", ns, "--limit", tostring(LIMIT_S), "--faults",
  sh.root .. "/tests/lab/faults", "-o", "json" }

local function run(name)
  local words = { table.unpack(base) }
  words[#words + 1] = name
  table.move(more, 1, #more, #words + 1, words)
  local out, ok, code = sh.try(words, nil, LIMIT_S + 70)
  sh.write(sh.logs .. "/chaos-" .. name .. ".txt", out)
  return out, ok, code
end

local function note_evidence(name, ok, report)
  local faults = {}
  for _, f in ipairs(report and report.faults or {}) do
    faults[#faults + 1] = ("%s %s: %s"):format(f.verb, f.target, tostring(f.evidence or "no evidence"))
  end
  local commit = sh.try({ "git", "-C", sh.root, "rev-parse", "--short", "HEAD" }) or "unknown"
  local file <close> = assert(io.open(sh.root .. "/docs/evidence/chaos.jsonl", "a"))
  file:write(cjson.encode({ commit = commit:match("%S+"), world = "cluster", scenario = name,
    result = ok and "ok" or "failed", seed = report and report.seed, faults = faults,
    seconds = report and report.seconds and math.floor(report.seconds * 10) / 10 }), "\n")
end

tap.must("three instances with synchronous replication are ready", function()
  c:create("sync")
  c:wait_healthy(3, 120)
end)

tap.test("a namespace without the label is left alone", function()
  local out, _, code = run("postmaster-kill")
  return code == 2 and out:find("moonherd.io/chaos=allowed", 1, true) ~= nil, out
end)
kube.kubectl("label", "namespace", ns, "moonherd.io/chaos=allowed")

--- Nodes that were not heard of are not ready for a while: the next one starts when that is over.
local function settle(report)
  for _, f in ipairs(report and report.faults or {}) do
    if f.verb:match("^api") then
      local t0 = sh.now()
      operator.settled()
      tap.note("nodes and controllers are well after %.0f s", (sh.now() - t0) / 1000)
      return
    end
  end
end

local began = sh.now()
for i, name in ipairs(chosen()) do
  if i > 1 and not full and not os.getenv("E2E_CHAOS") and sh.now() - began > 90000 then
    tap.note("%s: not today, the time is used up", name)
  else
    tap.test(name .. " passes, unchanged", function()
      local out, ok = run(name)
      local line = out:match("\n({\"about.*)$") or out:match("^({\"about.*)$")
      local report = line and cjson.decode(line)
      for _, f in ipairs(report and report.faults or {}) do
        tap.note("%s %s: %s", f.verb, f.target, tostring(f.evidence))
      end
      for _, r in ipairs(report and report.records or {}) do
        tap.note("%s = %s", r.name, tostring(r.value))
      end
      settle(report)
      if full then
        note_evidence(name, ok, report)
      end
      return ok, out:sub(-3000)
    end)
  end
end

tap.finish()
