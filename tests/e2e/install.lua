--- Installing: the operator is ready in under ten seconds; both API groups; what users see first.
local cluster = require("cluster")
local kube = require("kube")
local operator = require("operator")
local tap = require("tap")

local READY_LIMIT = 10

-- A fresh start, also where the scenario runs again on a kept lab.
if kube.get("/api/v1/namespaces/" .. operator.namespace) then
  kube.kubectl("delete", "namespace", operator.namespace, "--timeout=120s")
end

tap.must("the operator is ready in under 10 s after its manifest was applied", function()
  local took = operator.install(60)
  tap.note("ready after %.1f s", took)
  return took < READY_LIMIT, ("%.1f s"):format(took)
end)

local ns = kube.namespace("install")
local c = cluster.new(ns, "first")

tap.must("a Cluster becomes 3 of 3 ready", function()
  c:create("plain")
  tap.note("3 ready after %.1f s", c:wait_healthy(3, 120))
end)

tap.test("kubectl get cluster shows the columns", function()
  local out = kube.kubectl("-n", ns, "get", "cluster", "first")
  local head, row = out:match("^([^\n]*)\n([^\n]*)")
  tap.note("%s", out)
  return head:match("^NAME%s+AGE%s+INSTANCES%s+READY%s+STATUS%s+PRIMARY%s*$") ~= nil
    and row:match("^first%s+%S+%s+3%s+3%s+Cluster in healthy state%s+first%-1%s*$") ~= nil, out
end)

tap.test("psql with the -app secret writes through -rw", function()
  c:sql("rw", "CREATE TABLE greeting (t text); INSERT INTO greeting VALUES ('hello')")
  return c:sql("rw", "SELECT t FROM greeting") == "hello"
end)

tap.test("writes are refused through -ro, reads are not", function()
  kube.wait("the row on a standby", 10, function()
    return c:sql("ro", "SELECT t FROM greeting") == "hello"
  end)
  local out, ok = c:sql_try("ro", "INSERT INTO greeting VALUES ('no')")
  return not ok and out:find("read-only transaction", 1, true) ~= nil, out
end)

tap.test("clients and replication use TLS 1.3", function()
  local client = c:sql("rw", "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
  local standbys = c:admin("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid) "
    .. "WHERE version = 'TLSv1.3'")
  return client == "TLSv1.3" and standbys == "2", client .. ", " .. standbys
end)

tap.test("replication uses the client certificate of streaming_replica", function()
  local out = c:admin("SELECT DISTINCT usename || ' ' || client_dn FROM pg_stat_ssl "
    .. "JOIN pg_stat_replication USING (pid)")
  return out == "streaming_replica /CN=streaming_replica", out
end)

tap.must("the operator that serves both groups comes up", function()
  operator.apply("install-enterprisedb")
  kube.wait("operator ready", 60, operator.ready)
end)

kube.namespace("website")
tap.test("the manifest of the second group becomes 3 of 3 ready as it stands", function()
  kube.apply(kube.manifest("website", {}))
  local w = cluster.new("website", "website", "postgresql.k8s.enterprisedb.io")
  tap.note("3 ready after %.1f s", w:wait_healthy(3, 120))
  local version = w:admin("SHOW server_version")
  return version:find("^13") ~= nil, version
end)

tap.test("where both groups hold a Cluster of one name, the younger one says which other", function()
  local young = cluster.new("website", "website")
  young:create("plain", { INSTANCES = 1 })
  kube.wait("a condition that names the other group", 20, function()
    for _, cond in ipairs(young:status().conditions or {}) do
      if (cond.message or ""):find("postgresql.k8s.enterprisedb.io", 1, true) then
        return true
      end
    end
    return false, "phase " .. tostring(young:status().phase)
  end)
  kube.kubectl("-n", "website", "delete", "clusters.postgresql.cnpg.io", "website", "--timeout=30s")
  local ok, why = cluster.new("website", "website", "postgresql.k8s.enterprisedb.io"):healthy(3)
  return ok, why
end)

tap.finish()
