--- Policies: who is promoted first is a ConfigMap; a bad one never stops a failover.
local cluster = require("cluster")
local fault = require("faults")
local kube = require("kube")
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

local FAILOVER_LIMIT_S = 15

operator.install()
local ns = kube.namespace("policy")
local c = cluster.new(ns, "p")

local function config_map(name, key, script)
  local text = script:gsub("\n", "\n    ")
  return ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: %s\n"
    .. "  labels: {moonherd.io/policy: \"\"}\ndata:\n  %s: |\n    %s\n"):format(name, ns, key, text)
end

local function failover(body)
  return "return policy \"failover/v1\" {\n  decide = function(ctx)\n" .. body .. "\n  end,\n}"
end

local prefer_zone = [[
    local ranked = {}
    for _, c in ipairs(ctx.candidates) do
      ranked[#ranked + 1] = { name = c.name, key = { c.zone == "%s" and 0 or 1, c.name } }
    end
    return promote(rank(ranked))]]

-- These behave on every input but the clusters of this test, so that no check at the door can see what they are.
local bad = {
  { name = "loops", claim = "a policy that loops for ever", body = [[
    if ctx.cluster.name == "p" then while true do end end
    return promote({})]] },
  { name = "eats", claim = "a policy that eats memory", body = [[
    local t = {}
    while ctx.cluster.name == "p" do t[#t + 1] = ("x"):rep(100000) .. #t end
    return promote({})]] },
  { name = "unsafe", claim = "a policy that names an unsafe candidate", body = [[
    return promote({ "p-99" })]] },
}

local function zone_of(pod)
  return "zone" .. fault.node_number(pod.spec.nodeName)
end

local function pod_in(zone)
  for _, p in ipairs(c:pods()) do
    if zone_of(p) == zone then
      return p
    end
  end
  error("no pod in " .. zone)
end

--- State of a policy as its ConfigMap says.
local function policy_status(name)
  local cm = kube.get(c:core("configmaps/") .. name)
  return cm and (cm.metadata.annotations or {})["moonherd.io/policy-status"] or ""
end

local function put(name, key, script)
  kube.apply(config_map(name, key, script))
  kube.wait("policy " .. name .. " seen", 15, function()
    local s = policy_status(name)
    return s:find(key, 1, true) ~= nil, s
  end)
  tap.note("%s: %s", name, policy_status(name))
end

--- The policy was in charge and failed, or was not put in charge: an event says it.
local function failure_event(name)
  for _, text in ipairs(c:events(name)) do
    if text:find("PolicyFailed", 1, true) and text:find("built-in order decides", 1, true)
      or text:find("PolicyRejected", 1, true) or text:find("PolicyRolledBack", 1, true) then
      return text
    end
  end
end

--- The primary's pod goes away by force; returns the new primary and the seconds until it was there.
local function fail_over()
  local old = c:primary()
  local t0 = sh.now()
  fault.delete_pod(c:pod(old))
  local new = kube.wait("another primary", 60, function()
    local s = c:status()
    return s.currentPrimary ~= old and s.currentPrimary == s.targetPrimary and s.currentPrimary
  end, 0.1)
  return new, (sh.now() - t0) / 1000
end

local function primary_in(zone)
  local pod = pod_in(zone)
  if c:primary() ~= pod.metadata.name then
    c:switchover(pod.metadata.name)
    kube.wait("primary in " .. zone, 60, function()
      local ok, why = c:healthy(3)
      return ok and c:primary() == pod.metadata.name, why
    end)
  end
end

tap.must("three instances, one in each zone, are ready", function()
  c:create("sync")
  c:wait_healthy(3, 120)
  for i = 1, 3 do
    pod_in("zone" .. i)
  end
end)

-- Twice, with the two orders that no built-in order gives both of.
for _, zone in ipairs({ "zone3", "zone2" }) do
  tap.test("a policy that prefers " .. zone .. ", put there with kubectl apply, decides the next failover", function()
    primary_in("zone1")
    put("who-first", "failover.lua", failover(prefer_zone:format(zone)))
    sh.sleep(1.5)
    local new, took = fail_over()
    tap.note("%s after %.1f s", new, took)
    c:wait_healthy(3, 120)
    return zone_of(c:pod(new)) == zone, new .. " in " .. zone_of(c:pod(new))
  end)
end
kube.kubectl_try("-n", ns, "delete", "configmap", "who-first")

tap.test("a broken policy is refused at kubectl apply --dry-run=server with file and line", function()
  local text = config_map("broken", "failover.lua", failover("    return promote(rank(ranked)\n"))
  local out, ok = kube.apply_try(text, "--dry-run=server")
  tap.note("%s", out)
  return not ok and out:find("failover%.lua:%d+") ~= nil, out
end)

tap.test("a policy that names an unknown global is refused with file and line", function()
  local text = config_map("broken", "failover.lua", failover("    return promote(os.time())"))
  local out, ok = kube.apply_try(text, "--dry-run=server")
  tap.note("%s", out)
  return not ok and out:find("failover%.lua:%d+") ~= nil, out
end)

for _, b in ipairs(bad) do
  tap.test(b.claim .. " leaves the built-in order in charge, with an event", function()
    -- Where the door already refuses it, that is as good; the ConfigMap then never exists.
    local out, ok = kube.apply_try(config_map(b.name, "failover.lua", failover(b.body)))
    if not ok then
      tap.note("refused at apply: %s", out)
    end
    sh.sleep(2)
    local new, took = fail_over()
    tap.note("%s after %.1f s", new, took)
    assert(took < FAILOVER_LIMIT_S, ("%.1f s"):format(took))
    if ok then
      kube.wait("an event that says who decided instead", 15, function()
        return failure_event(b.name)
      end)
      tap.note("%s", failure_event(b.name))
    end
    kube.kubectl_try("-n", ns, "delete", "configmap", b.name)
    c:wait_healthy(3, 120)
  end)
end

-- Twice, so that it is not by chance.
for _, zone in ipairs({ "zone2", "zone1" }) do
  tap.test("a placement policy moves the next new instance to the zone that it names, " .. zone, function()
    local d = cluster.new(ns, "q-" .. zone)
    put("where", "placement.lua", ([[
return policy "placement/v1" {
  decide = function(ctx)
    return { required = array { { node = { key = "topology.kubernetes.io/zone", op = "In",
               values = array { "%s" } } } },
             preferred = array {}, spread = array {} }
  end,
}]]):format(zone))
    sh.sleep(1.5)
    d:create("plain", { INSTANCES = 1 })
    d:wait_healthy(1, 90)
    return zone_of(d:pods()[1]) == zone, zone_of(d:pods()[1])
  end)
end
kube.kubectl_try("-n", ns, "delete", "configmap", "where")

tap.finish()
