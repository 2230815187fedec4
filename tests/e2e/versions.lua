--- PostgreSQL 13, 15, 17 and 18.
local cluster = require("cluster")
local kube = require("kube")
local operator = require("operator")
local tap = require("tap")

operator.install()
local ns = kube.namespace("versions")

local cases = {
  { major = "13", instances = 3, manifest = "wal" },
  { major = "15", instances = 3, manifest = "wal" },
  { major = "17", instances = 1, manifest = "plain" },
  { major = "18", instances = 1, manifest = "plain" },
}

for _, v in ipairs(cases) do
  local c = cluster.new(ns, "pg" .. v.major)
  local wal = v.manifest == "wal"
  local claim = ("PostgreSQL %s comes up with %d instance%s%s"):format(v.major, v.instances,
    v.instances > 1 and "s" or "", wal and " and a WAL volume" or "")
  tap.test(claim, function()
    c:create(v.manifest, { INSTANCES = v.instances, IMAGE = "localhost/postgres:" .. v.major })
    tap.note("ready after %.1f s", c:wait_healthy(v.instances, 150))
    local version = c:admin("SHOW server_version")
    assert(version:match("^%d+") == v.major, version)
    if v.instances > 1 then
      local n = c:streaming()
      assert(n == v.instances - 1, n .. " standbys stream")
    end
    c:sql("rw", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
  end)
  if wal then
    tap.test(("PostgreSQL %s keeps its WAL on the WAL volume"):format(v.major), function()
      for _, p in ipairs(c:pods()) do
        local out = kube.kubectl("-n", ns, "exec", p.metadata.name, "-c", "postgres", "--", "readlink", "-f",
          "/var/lib/postgresql/data/pgdata/pg_wal")
        assert(out:match("^%S+") == "/var/lib/postgresql/wal/pg_wal", p.metadata.name .. ": " .. out)
      end
    end)
  end
  kube.kubectl_try("-n", ns, "delete", "cluster", c.name, "--timeout=60s")
end

tap.finish()
