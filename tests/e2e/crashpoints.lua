--- The operator dies at ten named points of cluster creation, failover and switchover; each time the cluster ends in
--- the same state as without the crash, compared as normalised dumps of all objects and rows.
local cjson = require("cjson")
local cluster = require("cluster")
local dump = require("dump")
local fault = require("faults")
local kube = require("kube")
local operator = require("operator")
local tap = require("tap")

local ROWS = "SELECT * FROM t ORDER BY i"

-- MOONHERD_CRASH_AT: op:kind:n[:before|after]
local points = {
  create = os.getenv("E2E_CRASH_CREATE") or "apply:Service:1:before create:Secret:2:after "
    .. "create:PersistentVolumeClaim:1:after create:Job:1:after create:Pod:1:after",
  failover = os.getenv("E2E_CRASH_FAILOVER") or "lease:*:1:after lease:*:2:before lease:*:2:after",
  switchover = os.getenv("E2E_CRASH_SWITCHOVER") or "lease:*:1:after lease:*:2:after",
}

operator.install()
local ns = kube.namespace("crash")

tap.at_end(function()
  operator.env("MOONHERD_CRASH_AT", nil)
  kube.wait("operator ready", 60, operator.ready)
end)

local function new_cluster(name)
  return cluster.new(ns, name):create("sync", { INSTANCES = 2 })
end
local function settled(c)
  c:wait_healthy(2, 120)
  kube.wait("a standby", 60, function()
    return c:streaming() == 1
  end)
end
local function rows(c)
  c:sql("rw", "CREATE TABLE t AS SELECT generate_series(1, 100) AS i")
end

local acts = {
  failover = function(c)
    fault.delete_pod(c:pod(c:primary()))
  end,
  switchover = function(c)
    c:switchover(c:pods_by_role("replica")[1].metadata.name)
  end,
}

--- After a failover or a switchover: the other one is primary, and both are there.
local function moved(c, old)
  kube.wait("another primary", 90, function()
    local ok, why = c:healthy(2)
    return ok and c:primary() ~= old, why
  end)
  settled(c)
end

local function home(c)
  local first = c.name .. "-1"
  if c:primary() ~= first then
    local old = c:primary()
    c:switchover(first)
    moved(c, old)
  end
end

--- The webhook adds defaults again: a Cluster made without them would be another one.
local function defaults_answer()
  local manifest = kube.manifest("sync", { NAMESPACE = ns, NAME = "probe", IMAGE = "localhost/postgres:15",
    INSTANCES = 2 })
  local out = kube.apply_try(manifest, "--dry-run=server", "-o", "yaml")
  return tostring(out):find("wal_level", 1, true) ~= nil
end

--- The operator with a crash point, until it has died there; then without.
local function with_crash(point, act)
  operator.env("MOONHERD_CRASH_AT", point)
  kube.wait("operator ready", 60, operator.ready)
  kube.wait("defaults", 30, defaults_answer)
  act()
  local ok, why = pcall(kube.wait, "the operator dead at " .. point, 60, function()
    for _, p in ipairs(operator.pods()) do
      for _, s in ipairs(p.status.containerStatuses or {}) do
        if s.restartCount > 0 and not p.metadata.deletionTimestamp then
          return true
        end
      end
    end
    return false, "it still runs"
  end, 0.1)
  operator.env("MOONHERD_CRASH_AT", nil)
  kube.wait("operator ready", 60, operator.ready)
  assert(ok, why)
end

local function same(want, c)
  local diff
  local ok = pcall(kube.wait, "the same state", 30, function()
    diff = dump.compare(want, dump.take(c, ROWS))
    return #diff == 0
  end, 1)
  if not ok then
    tap.note("%s", table.concat(diff, "\n", 1, math.min(#diff, 30)))
  end
  return ok, #diff .. " differences"
end

local baseline = {}
local base = cluster.new(ns, "base")
tap.must("the state without a crash is known", function()
  kube.wait("defaults", 30, defaults_answer)
  new_cluster("base")
  settled(base)
  rows(base)
  baseline.create = dump.take(base, ROWS)
  for _, name in ipairs({ "failover", "switchover" }) do
    home(base)
    local old = base:primary()
    acts[name](base)
    moved(base, old)
    baseline[name] = dump.take(base, ROWS)
  end
  home(base)
end)

tap.test("the comparison catches a planted double creation", function()
  local claim = assert(kube.get(base:core("persistentvolumeclaims/base-1")))
  local copy = { apiVersion = "v1", kind = "PersistentVolumeClaim", spec = claim.spec,
    metadata = { name = "base-9", namespace = ns, labels = claim.metadata.labels } }
  copy.spec.volumeName = nil
  local _, code = kube.request("POST", base:core("persistentvolumeclaims"), cjson.encode(copy))
  assert(code == 201, "planting: " .. code)
  local diff = dump.compare(baseline.create, dump.take(base, ROWS))
  kube.request("DELETE", base:core("persistentvolumeclaims/base-9"))
  for _, l in ipairs(diff) do
    if l == "+ PersistentVolumeClaim/NAME-9" then
      return true
    end
  end
  return false, "not seen"
end)

local n = 0
for point in points.create:gmatch("%S+") do
  n = n + 1
  local c = cluster.new(ns, "c" .. n)
  tap.test("creation, operator killed at " .. point .. ": same end state", function()
    with_crash(point, function()
      new_cluster(c.name)
    end)
    settled(c)
    rows(c)
    return same(baseline.create, c)
  end)
  kube.kubectl_try("-n", ns, "delete", "clusters.postgresql.cnpg.io", c.name, "--timeout=60s")
end

for _, name in ipairs({ "failover", "switchover" }) do
  for point in points[name]:gmatch("%S+") do
    tap.test(name .. ", operator killed at " .. point .. ": same end state", function()
      home(base)
      local old = base:primary()
      with_crash(point, function()
        acts[name](base)
      end)
      moved(base, old)
      return same(baseline[name], base)
    end)
  end
end

tap.finish()
