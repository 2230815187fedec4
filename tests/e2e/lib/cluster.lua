--- A Cluster as a user sees it: status, pods, SQL through its services and inside its pods.
local kube = require("kube")
local sh = require("sh")
local M = {}
M.__index = M

M.HEALTHY = "Cluster in healthy state"

--- new("ns", "name"[, "postgresql.cnpg.io"])
function M.new(namespace, name, group)
  return setmetatable({ namespace = namespace, name = name, group = group or "postgresql.cnpg.io" }, M)
end

function M:path(rest)
  return ("/apis/%s/v1/namespaces/%s/clusters/%s%s"):format(self.group, self.namespace, self.name, rest or "")
end

function M:core(kind)
  return ("/api/v1/namespaces/%s/%s"):format(self.namespace, kind)
end

--- Applies manifests/MANIFEST.yaml for this cluster.
function M:create(manifest, values)
  local v = { NAMESPACE = self.namespace, NAME = self.name, IMAGE = "localhost/postgres:15", INSTANCES = 3 }
  for k, x in pairs(values or {}) do
    v[k] = x
  end
  kube.apply(kube.manifest(manifest, v))
  return self
end

function M:get()
  return kube.get(self:path())
end

function M:status()
  local c = self:get()
  return c and c.status or {}
end

function M:pods()
  local selector = "?labelSelector=cnpg.io/cluster%3D" .. self.name .. ",cnpg.io/podRole%3Dinstance"
  return kube.list(self:core("pods") .. selector)
end

function M:pod(name)
  return kube.get(self:core("pods/") .. name)
end

local function is_ready(pod)
  for _, c in ipairs(pod.status.conditions or {}) do
    if c.type == "Ready" then
      return c.status == "True" and not pod.metadata.deletionTimestamp
    end
  end
  return false
end
M.is_ready = is_ready

function M:primary()
  return self:status().currentPrimary
end

function M:pods_by_role(role)
  local out = {}
  for _, p in ipairs(self:pods()) do
    if p.metadata.labels["cnpg.io/instanceRole"] == role then
      out[#out + 1] = p
    end
  end
  return out
end

--- Healthy with n instances: phase, ready count, ready pods, one primary by label that is the current one.
function M:healthy(n)
  local s = self:status()
  local ready, primaries = 0, {}
  for _, p in ipairs(self:pods()) do
    ready = ready + (is_ready(p) and 1 or 0)
    if p.metadata.labels["cnpg.io/instanceRole"] == "primary" then
      primaries[#primaries + 1] = p.metadata.name
    end
  end
  local ok = s.phase == M.HEALTHY and s.readyInstances == n and ready == n and s.currentPrimary == s.targetPrimary
    and #primaries == 1 and primaries[1] == s.currentPrimary
  return ok, ("phase '%s' (%s), %s ready by status, %d pods ready, current %s, target %s, primary by label %s"):format(
    tostring(s.phase), tostring(s.phaseReason), tostring(s.readyInstances), ready, tostring(s.currentPrimary),
    tostring(s.targetPrimary), table.concat(primaries, "+"))
end

function M:wait_healthy(n, timeout)
  return select(2, kube.wait(("%s healthy with %d instances"):format(self.name, n), timeout or 120, function()
    return self:healthy(n)
  end))
end

function M:secret(suffix)
  local s = assert(kube.get(self:core("secrets/") .. self.name .. "-" .. suffix), "no secret " .. suffix)
  local out = {}
  for k, v in pairs(s.data or {}) do
    out[k] = sh.run({ "base64", "-d" }, v)
  end
  return out
end

--- Connection text of the application user, to a service ("rw", "ro", "r") or a pod's address.
function M:conninfo(where)
  self.app = self.app or self:secret("app")
  local host = where
  if #where <= 2 then
    local svc = assert(kube.get(self:core("services/") .. self.name .. "-" .. where), "no service " .. where)
    host = svc.spec.clusterIP
  end
  return ("host=%s port=5432 user=%s password=%s dbname=%s sslmode=require connect_timeout=3 application_name=e2e")
    :format(host, self.app.username, self.app.password, self.app.dbname)
end

--- SQL as the application user from beside the API server. Returns the output, and whether it worked.
function M:sql_try(where, sql)
  local psql = { sh.lab, "exec", "psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", "-d", self:conninfo(where), "-c", sql }
  return sh.try(psql, nil, 30)
end

--- The same; an error where it fails. kube-proxy may need seconds to learn a Service, so a connection that fails is
--- tried again for a while; a statement never is.
function M:sql(where, sql)
  local t0 = sh.now()
  local out, ok
  repeat
    out, ok = self:sql_try(where, sql)
  until ok or not out:find("connection to server at", 1, true) or sh.now() - t0 > 15000
  assert(ok, sql .. ": " .. out)
  return (out:gsub("%s+$", ""))
end

--- SQL as superuser inside a pod (default: the primary).
function M:admin(sql, pod, db)
  local out = kube.kubectl("-n", self.namespace, "exec", pod or self:primary(), "-c", "postgres", "--", "psql", "-X",
    "-qAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", db or "postgres", "-c", sql)
  return (out:gsub("%s+$", ""))
end

--- How many standbys stream from the primary, and whether `pod` is one of them.
function M:streaming(pod)
  local out = self:admin("SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'")
  local n, has = 0, false
  for name in out:gmatch("[^\n]+") do
    n = n + 1
    has = has or name == pod
  end
  return n, has
end

function M:switchover(to)
  local now = os.date("!%Y-%m-%dT%H:%M:%S.000000Z")
  local body = { status = { targetPrimary = to, targetPrimaryTimestamp = now, phase = "Switchover in progress",
    phaseReason = "asked for by a test" } }
  local answer, code = kube.request("PATCH", self:path("/status"), body, "application/merge-patch+json")
  assert(code == 200, "switchover: " .. code .. " " .. tostring(answer and answer.message))
end

--- Events of the namespace whose reason or message matches a pattern (case does not count).
function M:events(pattern)
  local out = {}
  for _, e in ipairs(kube.list(self:core("events"))) do
    local text = ("%s %s: %s"):format(e.involvedObject.name or "", e.reason or "", e.message or "")
    if text:lower():find(pattern) then
      out[#out + 1] = text
    end
  end
  return out
end

return M
