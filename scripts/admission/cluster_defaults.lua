--- What a Cluster gets when its author left it out. The mutating webhook and every pass run the same code.
-- luacheck: read globals array null
local access = require("admission.access")
local json = require("admission.json")
local parameters = require("desired.parameters")
local version = require("admission.version")

local cluster_defaults = {}

local QUERIES_NAME, QUERIES_KEY = "cnpg-default-monitoring", "queries"
local APPLICATION = "app"
local PROBE_TIMEOUT_MS = 1000

--- Changes a map, and notes the change unless the map itself is new: then it goes along with that.
local function set(c, path, object, key, value)
  if access.is_array(object) then
    return -- a list where a map belongs: the checks say so
  end
  object[key] = value
  if not c.made[object] then
    c.changes:add { path = path, value = value }
  end
  if type(value) == "table" then
    c.made[value] = true
  end
end

--- The object below `key`, made when it is absent; nil when something else is there.
local function ensure(c, path, object, key)
  if object[key] == nil or object[key] == null then
    set(c, path, object, key, {})
  end
  return type(object[key]) == "table" and object[key] or nil
end

local function is_blank(value)
  return value == nil or value == null or value == ""
end

local function set_blank(c, path, object, key, value)
  if is_blank(object[key]) then
    set(c, path .. "." .. key, object, key, value)
  end
end

-- 1. The image.
local function image(c)
  if c.env.default_image and is_blank(c.spec.imageName) and not access.has(c.spec, "imageCatalogRef") then
    set(c, "spec.imageName", c.spec, "imageName", c.env.default_image)
  end
end

local function application(c, path, section)
  set_blank(c, path, section, "database", APPLICATION)
  set_blank(c, path, section, "owner", section.database)
end

local function initdb(c, section)
  local path = "spec.bootstrap.initdb"
  if access.get(section, "import", "type") ~= "monolith" then
    set_blank(c, path, section, "database", APPLICATION)
  end
  if not is_blank(section.database) then
    set_blank(c, path, section, "owner", section.database)
  end
  set_blank(c, path, section, "encoding", "UTF8")
  set_blank(c, path, section, "localeCollate", "C")
  set_blank(c, path, section, "localeCType", "C")
end

-- 2. Bootstrap.
local function bootstrap(c)
  local section = ensure(c, "spec.bootstrap", c.spec, "bootstrap")
  if not section then
    return
  end
  if access.has(section, "recovery") then
    application(c, "spec.bootstrap.recovery", section.recovery)
  elseif access.has(section, "pg_basebackup") then
    application(c, "spec.bootstrap.pg_basebackup", section.pg_basebackup)
  else
    local own = ensure(c, "spec.bootstrap.initdb", section, "initdb")
    if own then
      initdb(c, own)
    end
  end
end

-- 3. Anti-affinity.
local function affinity(c)
  if access.get(c.spec, "affinity", "enablePodAntiAffinity") == false then
    return
  end
  local section = ensure(c, "spec.affinity", c.spec, "affinity")
  if section then
    set_blank(c, "spec.affinity", section, "podAntiAffinityType", "preferred")
  end
end

-- 4. Where backups are taken.
local function backup(c)
  if access.has(c.spec, "backup") then
    set_blank(c, "spec.backup", c.spec.backup, "target", "prefer-standby")
  end
end

-- Values of archive_mode that an earlier pass may have put there.
local ARCHIVE_MODES = { on = true, off = true, always = true }

-- 5. PostgreSQL parameters.
local function postgresql_parameters(c)
  local major = version.major_of(c.spec, c.env)
  local section = major and ensure(c, "spec.postgresql", c.spec, "postgresql")
  local values = section and ensure(c, "spec.postgresql.parameters", section, "parameters")
  if not values then
    return
  end
  local wanted = parameters.defaults(major)
  wanted.archive_mode = parameters.archive_mode(c.spec, c.facts)
  for _, name in ipairs(access.keys(wanted)) do
    local given = values[name]
    local stale = name == "archive_mode" and ARCHIVE_MODES[given] and given ~= wanted[name]
    if given == nil or given == null or stale then
      set(c, "spec.postgresql.parameters." .. name, values, name, wanted[name])
    end
  end
end

-- 6. Log level.
local function log_level(c)
  set_blank(c, "spec", c.spec, "logLevel", "info")
end

local function add_queries(c, section, key)
  local given = is_blank(section[key]) and array {} or section[key]
  if type(given) ~= "table" then
    return
  end
  for _, ref in ipairs(given) do
    if access.get(ref, "name") == QUERIES_NAME and access.get(ref, "key") == QUERIES_KEY then
      return
    end
  end
  local queries = array { { name = QUERIES_NAME, key = QUERIES_KEY } }
  for _, ref in ipairs(given) do
    queries:add(ref)
  end
  set(c, "spec.monitoring." .. key, section, key, queries)
end

-- 7. Default monitoring queries.
local function monitoring(c)
  local with_configmap = not is_blank(c.env.monitoring_queries_configmap)
  local with_secret = not is_blank(c.env.monitoring_queries_secret)
  if access.is_true(c.spec, "monitoring", "disableDefaultQueries") or not (with_configmap or with_secret) then
    return
  end
  local section = ensure(c, "spec.monitoring", c.spec, "monitoring")
  if section and with_configmap then
    add_queries(c, section, "customQueriesConfigMap")
  end
  if section and with_secret then
    add_queries(c, section, "customQueriesSecret")
  end
end

-- 8. Replication slots.
local function replication_slots(c)
  local section = ensure(c, "spec.replicationSlots", c.spec, "replicationSlots")
  if not section then
    return
  end
  if is_blank(section.highAvailability) then
    set(c, "spec.replicationSlots.highAvailability", section, "highAvailability",
      { enabled = true, slotPrefix = "_cnpg_" })
  end
  if is_blank(section.synchronizeReplicas) then
    set(c, "spec.replicationSlots.synchronizeReplicas", section, "synchronizeReplicas", { enabled = true })
  end
end

--- The role that owns the application's database, or nil.
function cluster_defaults.application_owner(spec)
  for _, method in ipairs { "initdb", "recovery", "pg_basebackup" } do
    local owner = access.text(spec, "bootstrap", method, "owner")
    if owner then
      return owner
    end
  end
  return nil
end

-- 9. Owners of tablespaces.
local function tablespaces(c)
  local owner = cluster_defaults.application_owner(c.spec) or "postgres"
  for i, tablespace in ipairs(access.list(c.spec, "tablespaces")) do
    local path = ("spec.tablespaces[%d].owner"):format(i - 1)
    local section = type(tablespace) == "table" and ensure(c, path, tablespace, "owner")
    if section then
      set_blank(c, path, section, "name", owner)
    end
  end
end

-- 10. Durability of synchronous replication.
local function synchronous(c)
  local section = access.get(c.spec, "postgresql", "synchronous")
  if type(section) == "table" then
    set_blank(c, "spec.postgresql.synchronous", section, "dataDurability", "required")
  end
end

-- 11. Plugins that every cluster has.
local function plugins(c)
  local wanted = access.list(c.env, "include_plugins")
  if #wanted == 0 then
    return
  end
  local list, known = array {}, {}
  for _, plugin in ipairs(access.list(c.spec, "plugins")) do
    known[access.text(plugin, "name") or ""] = true
    list:add(plugin)
  end
  local before = #list
  for _, name in ipairs(wanted) do
    if not known[name] then
      known[name] = true
      list:add { name = name, enabled = true }
    end
  end
  if #list > before then
    set(c, "spec.plugins", c.spec, "plugins", list)
  end
end

--- The isolation check that an annotation of old asks for, or nil.
local function pinger(c)
  local text = access.text(c.annotations, "alpha.cnpg.io/livenessPinger")
  local value = text and json.decode(text)
  if type(access.get(value, "enabled")) ~= "boolean" then
    return nil
  end
  return {
    enabled = value.enabled,
    requestTimeout = access.int(value, "requestTimeout") or PROBE_TIMEOUT_MS,
    connectionTimeout = access.int(value, "connectionTimeout") or PROBE_TIMEOUT_MS,
  }
end

-- 12. The liveness probe's isolation check, and the annotations that came before the fields.
local function isolation_check(c)
  local probes = ensure(c, "spec.probes", c.spec, "probes")
  local liveness = probes and ensure(c, "spec.probes.liveness", probes, "liveness")
  if liveness and is_blank(liveness.isolationCheck) then
    local check = pinger(c)
      or { enabled = true, requestTimeout = PROBE_TIMEOUT_MS, connectionTimeout = PROBE_TIMEOUT_MS }
    set(c, "spec.probes.liveness.isolationCheck", liveness, "isolationCheck", check)
  end
  local quorum = access.boolean(access.get(c.annotations, "alpha.cnpg.io/failoverQuorum"))
  local section = access.get(c.spec, "postgresql", "synchronous")
  if quorum ~= nil and type(section) == "table" and is_blank(section.failoverQuorum) then
    set(c, "spec.postgresql.synchronous.failoverQuorum", section, "failoverQuorum", quorum)
  end
end

local STEPS = {
  image, bootstrap, affinity, backup, postgresql_parameters, log_level, monitoring, replication_slots,
    tablespaces,
  synchronous, plugins, isolation_check,
}

---@class admission.Change
---@field path string such as spec.imageName
---@field value any part of the object, no copy

--- Fills in what is missing, in the object itself.
---@param cluster table a Cluster, of which nothing is known to be well-formed
---@param env? admission.Env
---@return admission.Change[] changes in the order in which they were made; one within another is left out
function cluster_defaults.fill(cluster, env)
  local changes = array {}
  if type(access.get(cluster, "spec")) ~= "table" then
    return changes
  end
  local annotations = access.map(cluster, "metadata", "annotations")
  local c = {
    spec = cluster.spec,
    env = env or {},
    annotations = annotations,
    changes = changes,
    made = {},
    facts = {
      cluster_name = access.text(cluster, "metadata", "name"),
      archiving_skipped = annotations["cnpg.io/skipWalArchiving"] == "enabled",
    },
  }
  for _, step in ipairs(STEPS) do
    step(c)
  end
  return changes
end

--- The same, in a copy.
---@return table cluster
---@return admission.Change[] changes
function cluster_defaults.defaults(cluster, env)
  local copy = access.copy(cluster)
  return copy, cluster_defaults.fill(copy, env)
end

return cluster_defaults
