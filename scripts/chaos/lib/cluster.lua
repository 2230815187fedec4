--- One Cluster, as a scenario sees it from outside: through the API and as a client of its database.
local faults = require "chaos.lib.faults"
local kube = require "chaos.lib.kube"
local ledger = require "chaos.lib.ledger"
local state = require "chaos.lib.state"

local cluster = {}
cluster.__index = cluster

function cluster.new(name) return setmetatable({ name = name, texts = {} }, cluster) end

--- The object, nil if the API does not give it.
function cluster:object() return kube.get("clusters", self.name) end

--- The name of the primary; nil while it changes or nobody knows.
function cluster:primary()
  local o = self:object()
  local s = o and o.status or {}
  return s.currentPrimary and s.currentPrimary == s.targetPrimary and s.currentPrimary or nil
end

--- The pods of its instances, by name.
function cluster:pods()
  return kube.list("pods", "cnpg.io/cluster=" .. self.name .. ",cnpg.io/podRole=instance") or {}
end

function cluster.pod(_, name) return kube.get("pods", name) end

--- Names of all instances but the primary.
function cluster:standbys()
  local primary, out = self:primary(), array {}
  for _, pod in ipairs(self:pods()) do
    if pod.metadata.name ~= primary then out:add(pod.metadata.name) end
  end
  return out
end

--- The node that a pod is on.
function cluster:node(name)
  local pod = self:pod(name)
  return pod and pod.spec.nodeName
end

--- The address of a pod; what it was, when it has none now.
function cluster:address(name)
  local pod = self:pod(name)
  local ip = pod and pod.status and pod.status.podIP
  self.texts[name] = ip or self.texts[name]
  return self.texts[name]
end

local function quote(value) return "'" .. value:gsub("\\", "\\\\"):gsub("'", "\\'") .. "'" end

local function credentials(self)
  if not self.user then
    local secret, why = kube.get("secrets", self.name .. "-app")
    if not secret then error(("secret %s-app: %s"):format(self.name, why), 0) end
    self.user = kube.decode(secret.data.username or secret.data.user)
    self.password, self.database = kube.decode(secret.data.password), kube.decode(secret.data.dbname)
  end
end

--- conninfo of the application's user at an address.
function cluster:conn(host, who)
  credentials(self)
  return ("host=%s port=5432 user=%s password=%s dbname=%s sslmode=require connect_timeout=2 application_name=%s")
    :format(host, quote(self.user), quote(self.password), quote(self.database), who or "chaos")
end

--- The address of the service for writers.
function cluster:rw()
  local service, why = kube.get("services", self.name .. "-rw")
  if not service then error(("service %s-rw: %s"):format(self.name, why), 0) end
  return service.spec.clusterIP
end

--- One statement at a pod, over a connection of its own. rows, or nil and the answer.
function cluster:ask(name, sql, timeout, who)
  local ip = self:address(name)
  if not ip then return nil, { code = "NOTFOUND", error = name .. " has no address" } end
  local conninfo = self:conn(ip, who or "chaos-ask")
  local answer = state.ctx.sql { conninfo = conninfo, sql = sql, timeout = timeout or 2 }
  if answer.error then state.ctx.disconnect(conninfo) end
  return answer.rows, answer
end

--- One statement through -rw, tried for a while: for making tables and reading at the end.
function cluster:through_rw(sql, params, timeout)
  local till = state.clock() + (timeout or 30)
  local answer
  repeat
    local conninfo = self:conn(self:rw(), "chaos-rw")
    answer = state.ctx.sql { conninfo = conninfo, sql = sql, params = params, timeout = 5 }
    if not answer.error then return answer.rows end
    state.ctx.disconnect(conninfo)
    state.sleep(0.2)
  until state.clock() > till
  error(("%s: %s"):format(sql:sub(1, 40), answer.error), 0)
end

function cluster:make_table(name)
  self:through_rw(("CREATE TABLE IF NOT EXISTS public.%s (n bigint PRIMARY KEY)"):format(name))
  self:through_rw(("TRUNCATE public.%s"):format(name))
end

--- Does this instance acknowledge a write now?
function cluster:writable(name)
  local rows = self:ask(name, "UPDATE public.chaos_probe SET n = n + 1 RETURNING n", 1.5, "chaos-probe")
  return rows ~= nil and rows[1] ~= nil
end

local function writable_of(self, names)
  local yes = state.each(names, function(name) return self:writable(name) end)
  local out = array {}
  for i, name in ipairs(names) do
    if yes[i] then out:add(name) end
  end
  return out
end

--- Names of all instances that acknowledge writes at the same time. Two in one look can be one after
--- the other: then both are looked at again.
function cluster:writable_instances()
  local names = array {}
  for _, pod in ipairs(self:pods()) do names:add(pod.metadata.name) end
  for name in pairs(self.texts) do
    if not names:has(name) then names:add(name) end
  end
  local found = writable_of(self, names)
  if #found > 1 then found = writable_of(self, found) end
  return found
end

function cluster:healthy()
  local o = self:object()
  return o ~= nil and o.status ~= nil and o.status.phase == "Cluster in healthy state"
    and o.status.readyInstances == o.spec.instances and self:primary() ~= nil
end

--- Is replication as synchronous as the Cluster wants it?
local function as_wanted(self, primary)
  local o = self:object()
  local postgresql = o and o.spec.postgresql or {}
  local rows = self:ask(primary, "SHOW synchronous_standby_names")
  return rows ~= nil and rows[1] ~= nil and (rows[1][1] ~= "") == (postgresql.synchronous ~= nil)
end

--- Does the probe's row come to this standby in time?
local function arrives(self, name, want, till)
  while true do
    local got = self:ask(name, "SELECT n FROM public.chaos_probe", 1)
    if got and got[1] and tonumber(got[1][1]) >= want then return true end
    if state.clock() > till then return false end
    state.sleep(0.1)
  end
end

--- Is there a pod of each instance? The status says what was, while nobody operates.
local function all_there(self)
  local o, n = self:object(), 0
  for _, pod in ipairs(self:pods()) do
    if not pod.metadata.deletionTimestamp then n = n + 1 end
  end
  return o ~= nil and n == o.spec.instances
end

--- Is the cluster healthy, and does a row that is written now arrive at every standby?
function cluster:all_streaming()
  if not self:healthy() or not all_there(self) then return false end
  local primary = self:primary()
  local rows = primary and self:ask(primary, "UPDATE public.chaos_probe SET n = n + 1 RETURNING n", 2)
  if not rows or not rows[1] or not as_wanted(self, primary) then return false end
  local want, till = tonumber(rows[1][1]), state.clock() + 3
  for _, name in ipairs(self:standbys()) do
    if not arrives(self, name, want, till) then return false end
  end
  return true
end

--- For what is asked during a scenario there must be a row to change.
function cluster:make_probe()
  self:make_table "chaos_probe"
  self:through_rw "INSERT INTO public.chaos_probe VALUES (1)"
  for _, pod in ipairs(self:pods()) do self:address(pod.metadata.name) end
end

--- options: rate = 50, table_ = "chaos_ledger".
function cluster:writer(options) return ledger.start(self, options or {}) end

--- Numbers that were acknowledged and are not there (the first 1000 of each 20000).
function cluster:missing_rows(name, of)
  local out, at = array {}, 1
  while at <= #of.acked do
    local till = math.min(at + 19999, #of.acked)
    local rows = self:through_rw(
      ("SELECT a.n FROM unnest($1::bigint[]) AS a(n) WHERE NOT EXISTS (SELECT 1 FROM public.%s b WHERE b.n = a.n)"
       .. " ORDER BY 1 LIMIT 1000"):format(name),
      array { "{" .. table.concat(of.acked, ",", at, till) .. "}" }, 60)
    for _, row in ipairs(rows) do out:add(tonumber(row[1])) end
    at = till + 1
  end
  return out
end

-- --- what a scenario switches off, and makes ---------------------------------------------------

--- Of the values that this change overwrites; null where there was none.
local function former(now, change)
  local out = {}
  for key, value in pairs(change) do
    local old = type(now) == "table" and now[key] or nil
    if type(value) == "table" and type(old) == "table" then
      out[key] = former(old, value)
    else
      out[key] = old == nil and null or old
    end
  end
  return out
end

--- Changes the spec (a merge patch) until the scenario ends.
function cluster:change(spec)
  local o, why = self:object()
  if not o then error(("cluster %s: %s"):format(self.name, why), 0) end
  local before = former(o.spec, spec)
  faults.on_end("the spec of " .. self.name, function()
    local _, bad = kube.patch("clusters", self.name, { spec = before })
    if bad then error(bad, 0) end
  end)
  local _, bad = kube.patch("clusters", self.name, { spec = spec })
  if bad then error(("cluster %s: %s"):format(self.name, bad), 0) end
end

--- Without synchronous replication until the scenario ends; returns once that is in force.
function cluster:asynchronous()
  self:change { postgresql = { synchronous = null } }
  local till = state.clock() + 30
  while not self:all_streaming() do
    if state.clock() > till then error("replication stays synchronous", 0) end
    state.sleep(0.2)
  end
  state.say("  replication is asynchronous now")
end

--- Makes a cluster of one's own that goes at the end; spec as in its manifest.
function cluster.make(name, spec)
  faults.on_end("cluster " .. name, function() kube.delete("clusters", name, {}) end)
  local _, why = kube.create("clusters", {
    apiVersion = "postgresql.cnpg.io/v1", kind = "Cluster", metadata = { name = name }, spec = spec,
  })
  if why then error(("cluster %s: %s"):format(name, why), 0) end
  local self = cluster.new(name)
  local till = state.clock() + 120
  while not self:healthy() do
    if state.clock() > till then error(("cluster %s does not become healthy"):format(name), 0) end
    state.sleep(0.3)
  end
  self:make_probe()
  return self
end

--- Asks for another primary, as `kubectl cnpg promote` does.
function cluster:promote(name)
  return kube.call("PATCH", kube.path("clusters", self.name) .. "/status",
    { status = { targetPrimary = name, phase = "Switchover in progress",
                 phaseReason = "Switching over to " .. name } }, "application/merge-patch+json")
end

return cluster
