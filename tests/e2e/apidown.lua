--- The API server is away for a minute; then the webhook and the operator are: a running cluster notices nothing.
local cluster = require("cluster")
local kube = require("kube")
local load_ = require("load")
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

local AWAY_S = tonumber(os.getenv("E2E_AWAY_S") or 60)
local PAUSE_LIMIT_S = 2

operator.install()
local ns = kube.namespace("apidown")
local c = cluster.new(ns, "a")

tap.must("three instances with synchronous replication are ready", function()
  c:create("sync")
  c:wait_healthy(3, 120)
end)

--- What must not change: primary, pods, restarts of every container.
local function picture()
  local out = { "primary " .. tostring(c:primary()) }
  for _, p in ipairs(c:pods()) do
    for _, s in ipairs(p.status.containerStatuses or {}) do
      out[#out + 1] = ("%s %s %s %d"):format(p.metadata.name, p.metadata.uid, s.name, s.restartCount)
    end
  end
  table.sort(out)
  return table.concat(out, "\n")
end

--- A change of the specification that must reach PostgreSQL: passes go on.
local function passes_go_on(value)
  local body = { spec = { postgresql = { parameters = { work_mem = value } } } }
  local _, code = kube.request("PATCH", c:path(), body, "application/merge-patch+json")
  assert(code == 200, "patch: " .. code)
  return select(2, kube.wait("work_mem = " .. value, 45, function()
    return c:admin("SHOW work_mem") == value
  end))
end

local function undisturbed(claim, load, t0, before)
  load:stop()
  local gap = load:gap(t0) / 1000
  tap.check(gap < PAUSE_LIMIT_S, claim .. ": writes go on", "away for %.2f s", gap)
  local missing = load:missing()
  tap.check(#missing == 0, claim .. ": no acknowledged row is missing", "%d missing", #missing)
  tap.equal(picture(), before, claim .. ": no restart, no failover")
end

local before = picture()
local load = load_.start(c, "api")
local t0 = sh.now()
sh.run({ sh.lab, "api", "stop" })
sh.sleep(AWAY_S)
tap.must("the API server starts again", function()
  sh.run({ sh.lab, "api", "start" }, nil, 90)
end)
tap.test("passes resume after the API server is back", function()
  kube.wait("operator ready", 60, operator.ready)
  tap.note("a change arrived after %.1f s", passes_go_on("5MB"))
end)
sh.sleep(5)
undisturbed("API server away for " .. AWAY_S .. " s", load, t0, before)
-- The node controller may have called nodes and their pods not ready meanwhile; a kubelet looks at each pod again
-- within a minute and a half.
tap.test("the cluster is healthy after that", function()
  c:wait_healthy(3, 120)
end)

before = picture()
load = load_.start(c, "nooperator")
t0 = sh.now()
tap.test("webhook deleted and operator scaled to zero: a Cluster is accepted all the same", function()
  operator.scale(0)
  local kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
  for name in kube.kubectl("get", kinds, "-o", "name"):gmatch("[^\n]+") do
    kube.kubectl("delete", name)
  end
  cluster.new(ns, "later"):create("plain", { INSTANCES = 1 })
  sh.sleep(15)
  return kube.get(cluster.new(ns, "later"):path()) ~= nil
end)
undisturbed("without operator and webhook", load, t0, before)

tap.test("the operator comes back, with its webhooks, and builds what was asked for meanwhile", function()
  operator.apply()
  operator.scale(1)
  cluster.new(ns, "later"):wait_healthy(1, 90)
  local out = kube.kubectl("get", "validatingwebhookconfigurations", "-o", "name")
  assert(out:find("%S"), "no webhook configuration")
  passes_go_on("6MB")
  c:wait_healthy(3, 60)
end)
tap.equal(picture(), before, "back again: no restart, no failover")

tap.finish()
