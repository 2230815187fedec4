--- 1 -> 3 -> 2 instances, a switchover, and deletion that leaves nothing behind.
local cluster = require("cluster")
local kube = require("kube")
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

operator.install()
local ns = kube.namespace("scale")
local c = cluster.new(ns, "s")

tap.must("one instance is ready", function()
  c:create("plain", { INSTANCES = 1 })
  tap.note("ready after %.1f s", c:wait_healthy(1, 90))
  c:sql("rw", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
end)

local function scale(n)
  kube.kubectl("-n", ns, "scale", "clusters.postgresql.cnpg.io/s", "--replicas=" .. n)
  return c:wait_healthy(n, 120)
end

tap.must("one becomes three", function()
  tap.note("after %.1f s", scale(3))
  local n = c:streaming()
  return n == 2, n .. " standbys stream"
end)

tap.test("three become two, and the primary is not the one that goes", function()
  local before = c:primary()
  tap.note("after %.1f s", scale(2))
  kube.wait("two volumes", 60, function()
    local claims = kube.list(c:core("persistentvolumeclaims"))
    return #claims == 2 and c:healthy(2), #claims .. " volumes"
  end)
  return c:primary() == before
end)

tap.test("switchover: the other instance becomes primary, the old one streams from it", function()
  local old = c:primary()
  local target = c:pods_by_role("replica")[1].metadata.name
  c:switchover(target)
  kube.wait("the switchover", 60, function()
    local ok, why = c:healthy(2)
    return ok and c:primary() == target, why
  end)
  kube.wait("the old primary streaming", 60, function()
    local n, has = c:streaming(old)
    return n == 1 and has
  end)
  return c:sql("rw", "SELECT count(*) FROM t") == "1000"
end)

local kinds = {
  "/api/v1/namespaces/scale/pods", "/api/v1/namespaces/scale/persistentvolumeclaims",
  "/api/v1/namespaces/scale/services", "/api/v1/namespaces/scale/secrets", "/api/v1/namespaces/scale/serviceaccounts",
  "/api/v1/namespaces/scale/endpoints", "/apis/batch/v1/namespaces/scale/jobs",
  "/apis/policy/v1/namespaces/scale/poddisruptionbudgets", "/apis/coordination.k8s.io/v1/namespaces/scale/leases",
  "/apis/rbac.authorization.k8s.io/v1/namespaces/scale/roles",
  "/apis/rbac.authorization.k8s.io/v1/namespaces/scale/rolebindings",
  "/apis/discovery.k8s.io/v1/namespaces/scale/endpointslices",
}

local function left()
  local out = {}
  for _, path in ipairs(kinds) do
    for _, o in ipairs(kube.list(path)) do
      if o.metadata.name == "s" or o.metadata.name:find("^s%-") then
        out[#out + 1] = path:match("[^/]+$") .. "/" .. o.metadata.name
      end
    end
  end
  return out
end

tap.test("deletion leaves no object behind", function()
  kube.kubectl("-n", ns, "delete", "clusters.postgresql.cnpg.io", "s", "--timeout=60s")
  kube.wait("nothing left", 90, function()
    local names = left()
    return #names == 0, table.concat(names, " ")
  end)
end)

tap.test("deletion gives the volumes back", function()
  kube.wait("no volume of the namespace", 30, function()
    for _, pv in ipairs(kube.list("/api/v1/persistentvolumes")) do
      if pv.spec.claimRef and pv.spec.claimRef.namespace == ns then
        return false, pv.metadata.name
      end
    end
    return true
  end)
end)

tap.test("the same name can be used again", function()
  sh.sleep(1)
  c.app = nil
  c:create("plain", { INSTANCES = 1 })
  c:wait_healthy(1, 90)
end)

tap.finish()
