--- Installing: the operator is ready in under ten seconds; both API groups; what users see first.
local cluster = require("cluster")
local kube = require("kube")
local operator = require("operator")
local sh = require("sh")
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

tap.test("another lab cannot start beside this one, and says who has it", function()
  local beside = { "env", "LAB_WAIT=0", "LAB_DIR=" .. sh.lab_dir .. "-beside", sh.lab, "up", "1" }
  local out, ok, code = sh.try(beside, nil, 30)
  return not ok and code == 3 and out:find("another lab runs on this machine", 1, true) ~= nil, out
end)

--- What curl gets beside the API server; and whether it got anything.
local function curl(...)
  return sh.try({ sh.lab, "exec", "curl", "-sS", "-m", "5", ... }, nil, 10)
end

tap.test("the operator answers on 9443, with TLS 1.3 only, and has metrics on 8080", function()
  local ip = operator.pods()[1].status.podIP
  local health = curl("-k", "https://" .. ip .. ":9443/readyz")
  local old, ok = curl("-k", "--tls-max", "1.2", "https://" .. ip .. ":9443/readyz")
  assert(health == "ok", health)
  assert(not ok, "TLS 1.2 was accepted: " .. old)
  kube.wait("the metrics of one that leads", 20, function()
    local metrics = curl("http://" .. ip .. ":8080/metrics")
    return metrics:find("\nleader_election_master_status{[^}]*} 1\n"), metrics:sub(1, 300)
  end)
end)

tap.test("the webhooks trust the certificate that the operator made and keeps in its secret", function()
  kube.wait("caBundle", 10, function()
    local secret = assert(kube.get("/api/v1/namespaces/" .. operator.namespace .. "/secrets/cnpg-webhook-cert"))
    local seen = 0
    for _, kind in ipairs({ "mutating", "validating" }) do
      local list = kube.list("/apis/admissionregistration.k8s.io/v1/" .. kind .. "webhookconfigurations")
      for _, configuration in ipairs(list) do
        for _, hook in ipairs(configuration.webhooks) do
          assert(hook.clientConfig.caBundle == secret.data["tls.crt"], hook.name)
          seen = seen + 1
        end
      end
    end
    return seen >= 3, seen .. " webhooks"
  end)
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

tap.test("instances answer on 8000, with TLS 1.3 only, and have metrics on 9187", function()
  for _, pod in ipairs(c:pods()) do
    local ip = pod.status.podIP
    assert(curl("-k", "https://" .. ip .. ":8000/failsafe"):find("^OK"), "failsafe of " .. pod.metadata.name)
    local out, ok = curl("-k", "--tls-max", "1.2", "https://" .. ip .. ":8000/healthz")
    assert(not ok, "TLS 1.2 was accepted: " .. out)
    local metrics = curl("http://" .. ip .. ":9187/metrics")
    assert(metrics:find('\ncnpg_collector_up{cluster="first"} 1\n', 1, true), metrics:sub(1, 300))
  end
end)

tap.test("/pg/status through the API server is what kubectl plugins read", function()
  local status = kube.get(c:core("pods/https:first-1:8000/proxy/pg/status"))
  local standbys = {}
  for _, r in ipairs(status.replicationInfo) do
    assert(r.state == "streaming" and type(r.syncPriority) == "string" and r.replayLag, "replicationInfo")
    standbys[#standbys + 1] = r.applicationName
  end
  assert(status.isPrimary and status.pod.metadata.name == "first-1" and #status.currentWAL == 24, "primary")
  assert(#status.replicationSlotsInfo == 2 and status.readyWalFiles >= 0, "slots")
  return table.concat(standbys, " ") == "first-2 first-3", table.concat(standbys, " ")
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
