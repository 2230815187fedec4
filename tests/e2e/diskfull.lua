--- The primary's volume is full: exit code 4, no failover into the same condition, and a larger volume heals it.
local cluster = require("cluster")
local kube = require("kube")
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

operator.install()
local ns = kube.namespace("full")
local c = cluster.new(ns, "f")

tap.must("two instances are ready", function()
  c:create("sync", { INSTANCES = 2 })
  tap.note("ready after %.1f s", c:wait_healthy(2, 120))
  c:sql("rw", "CREATE TABLE t (i int)")
end)

local primary = c:primary()

local function exec(script)
  return sh.try({ sh.lab, "kubectl", "-n", ns, "exec", primary, "-c", "postgres", "--", "sh", "-c", script }, nil, 20)
end

local function exit_code()
  local pod = c:pod(primary)
  local state = pod and pod.status.containerStatuses[1]
  for _, s in ipairs(state and { state.state, state.lastState } or {}) do
    if s.terminated then
      return s.terminated.exitCode
    end
  end
end

tap.must("a full volume ends the manager with exit code 4", function()
  exec("dd if=/dev/zero of=/var/lib/postgresql/data/filler bs=1M")
  kube.wait("exit code 4", 90, function()
    exec("PGOPTIONS='-c statement_timeout=2s' psql -U postgres -d app -qAt -c 'INSERT INTO t SELECT 1' "
      .. "-c 'SELECT pg_switch_wal()'")
    return exit_code() == 4, "exit code " .. tostring(exit_code())
  end)
end)

tap.test("the phase says so, and nobody is promoted into the same condition", function()
  kube.wait("the phase", 60, function()
    local s = c:status()
    return s.phase == "Not enough disk space", tostring(s.phase)
  end)
  for _ = 1, 10 do
    sh.sleep(1)
    local s = c:status()
    assert(s.currentPrimary == primary and s.targetPrimary == primary, "now " .. tostring(s.targetPrimary))
  end
  tap.note("%s", c:status().phaseReason)
end)

tap.test("a larger volume in the Cluster heals it", function()
  kube.kubectl("-n", ns, "patch", "clusters.postgresql.cnpg.io", "f", "--type=merge", "-p",
    '{"spec":{"storage":{"size":"1Gi"}}}')
  tap.note("after %.1f s", c:wait_healthy(2, 150))
  c:sql("rw", "INSERT INTO t VALUES (2)")
end)

tap.finish()
