--- PostgreSQL parameters: the one place that says which have a default, which the operator sets, and which
--- nobody may set. The tables are plain data, so that the instance manager can be built from them.
---
--- Classes: "default" (a user's value wins; the webhook writes it into the object), "implied" (the same, but
--- it is not written into the object), "mandatory" (always this value), "fixed" (the operator computes
--- the value; a user's value is refused), "blocked" (a user's value is refused). A name may have a default
--- and be blocked: then its value is always the default.
local duration = require("admission.duration")
local sorted = require("desired.sorted")

local parameters = {}

parameters.FIRST = 13
parameters.LAST = 99 -- no upper bound

local function row(class, name, value, from, to)
  from, to = from or parameters.FIRST, to or parameters.LAST
  return { name = name, value = value, class = class, from = from, to = to }
end

---@class desired.Parameter
---@field name string
---@field value? string
---@field from integer first major version
---@field to integer last major version
---@field class "default"|"implied"|"mandatory"|"fixed"|"blocked"

--- Every rule, by class and then by name.
---@type desired.Parameter[]
parameters.table = {
  row("default", "archive_mode", "on"), -- "always" in a replica cluster, "off" when archiving is skipped
  row("default", "archive_timeout", "5min"), row("default", "dynamic_shared_memory_type", "posix"),
  row("default", "full_page_writes", "on"), row("default", "log_destination", "csvlog"),
  row("default", "log_directory", "/controller/log"), row("default", "log_filename", "postgres"),
  row("default", "log_rotation_age", "0"), row("default", "log_rotation_size", "0"),
  row("default", "log_truncate_on_rotation", "false"), row("default", "logging_collector", "on"),
  row("default", "max_parallel_workers", "32"), row("default", "max_replication_slots", "32"),
  row("default", "max_worker_processes", "32"), row("default", "shared_memory_type", "mmap"),
  row("default", "shared_preload_libraries", ""), row("default", "ssl_max_protocol_version", "TLSv1.3"),
  row("default", "ssl_min_protocol_version", "TLSv1.3"), row("default", "wal_keep_size", "512MB"),
  row("default", "wal_level", "logical"), row("default", "wal_log_hints", "on"),
  row("default", "wal_receiver_timeout", "5s"), row("default", "wal_sender_timeout", "5s"),

  row("implied", "wal_retrieve_retry_interval", "200ms"), -- PostgreSQL's 5 s would hold up every gate

  row("mandatory", "allow_alter_system", "off", 17), -- "on" with enableAlterSystem
  row("mandatory", "archive_command",
    "/controller/manager wal-archive --log-destination /controller/log/postgres.json %p"),
  row("mandatory", "cluster_name"), -- the cluster's name
  row("mandatory", "hot_standby", "true"), row("mandatory", "listen_addresses", "*"),
  row("mandatory", "port", "5432"), row("mandatory", "restart_after_crash", "false"), row("mandatory", "ssl",
    "on"),
  row("mandatory", "ssl_ca_file", "/controller/certificates/client-ca.crt"),
  row("mandatory", "ssl_cert_file", "/controller/certificates/server.crt"),
  row("mandatory", "ssl_key_file", "/controller/certificates/server.key"),
  row("mandatory", "unix_socket_directories", "/controller/run"),
}

local FIXED = {
  "archive_command", "archive_mode", "cluster_name", "pg_failover_slots.primary_dsn",
  "pg_failover_slots.standby_slot_names", "port", "primary_conninfo", "primary_slot_name", "recovery_target",
  "recovery_target_action", "recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name",
  "recovery_target_time", "recovery_target_timeline", "recovery_target_xid", "restore_command",
  "shared_preload_libraries", "ssl", "ssl_ca_file", "ssl_cert_file", "ssl_crl_file", "ssl_dh_params_file",
  "ssl_key_file", "ssl_passphrase_command", "ssl_passphrase_command_supports_reload",
  "ssl_prefer_server_ciphers", "synchronized_standby_slots", "synchronous_standby_names", "temp_tablespaces",
}

local BLOCKED = {
  "allow_system_table_mods", "archive_cleanup_command", "bonjour", "bonjour_name", "config_file",
  "data_directory", "data_sync_retry", "event_source", "external_pid_file", "hba_file", "hot_standby",
  "ident_file", "jit_provider", "listen_addresses", "log_destination", "log_directory", "log_file_mode",
  "log_filename", "log_rotation_age", "log_rotation_size", "log_truncate_on_rotation", "logging_collector",
  "promote_trigger_file", "recovery_end_command", "recovery_min_apply_delay", "restart_after_crash",
  "stats_temp_directory", "syslog_facility", "syslog_ident", "syslog_sequence_numbers",
  "syslog_split_messages", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
}

--- Names that the operator computes, and names that nobody may set, as sets.
---@type table<string, true>
parameters.fixed, parameters.blocked = {}, {}

for _, name in ipairs(FIXED) do
  parameters.fixed[name] = true
  table.insert(parameters.table, row("fixed", name))
end
for _, name in ipairs(BLOCKED) do
  parameters.blocked[name] = true
  table.insert(parameters.table, row("blocked", name))
end

--- Extensions that a parameter with their prefix brings in. The library has the same
--- name; `create` says that CREATE EXTENSION is needed too.
parameters.managed_extensions = {
  { name = "pgaudit", prefix = "pgaudit.", create = true },
  { name = "pg_stat_statements", prefix = "pg_stat_statements.", create = true },
  { name = "auto_explain", prefix = "auto_explain.", create = false },
  { name = "pg_failover_slots", prefix = "pg_failover_slots.", create = false },
}

local NEWEST_KEPT = 40 -- a number that nobody uses yet is not kept
local kept = { default = {}, implied = {}, mandatory = {} }

local function select_rules(class, major)
  local out = {}
  for _, rule in ipairs(parameters.table) do
    if rule.class == class and rule.from <= major and major <= rule.to then
      out[rule.name] = rule.value
    end
  end
  return out
end

--- The values of a class, made once for each major version. Only to be read.
local function shared(class, major)
  local found = kept[class][major]
  if not found then
    found = select_rules(class, major)
    if parameters.FIRST <= major and major <= NEWEST_KEPT then
      kept[class][major] = found
    end
  end
  return found
end

local function of_class(class, major)
  local out = {}
  for name, value in pairs(shared(class, major)) do
    out[name] = value
  end
  return out
end

--- The built-in defaults of one major version.
---@param major integer
---@return table<string, string>
function parameters.defaults(major)
  return of_class("default", major)
end

--- Defaults that are not written into the object.
---@param major integer
---@return table<string, string>
function parameters.implied(major)
  return of_class("implied", major)
end

--- The values that every instance of one major version has, whatever the user says.
---@param major integer
---@return table<string, string>
function parameters.mandatory(major)
  return of_class("mandatory", major)
end

-- No parameters but directives of the file format: each of them brings in what nobody has checked.
local reserved = { include = true, include_dir = true, include_if_exists = true }

for _, rule in ipairs(parameters.table) do
  if rule.class ~= "default" and rule.class ~= "implied" then
    reserved[rule.name] = true
  end
end

--- True when users may not choose the value. PostgreSQL does not tell upper from lower case.
---@param name string
function parameters.is_reserved(name)
  local low = name:lower()
  return reserved[low] == true or low:sub(1, 5) == "cnpg."
end

local WORD = "^[A-Za-z_][A-Za-z0-9_$]*$"
local TWO_WORDS = "^[A-Za-z_][A-Za-z0-9_$]*%.[A-Za-z_][A-Za-z0-9_$]*$"

--- True for `name` and `extension.name`, as PostgreSQL spells them.
---@param name any
function parameters.is_valid_name(name)
  return type(name) == "string" and (name:match(WORD) ~= nil or name:match(TWO_WORDS) ~= nil)
end

local function dig(value, ...)
  for _, key in ipairs { ... } do
    if type(value) ~= "table" then
      return nil
    end
    value = value[key]
  end
  return value
end

local function user_parameters(spec)
  local out, given = {}, dig(spec, "postgresql", "parameters")
  for name, value in pairs(type(given) == "table" and given or {}) do
    if type(name) == "string" and type(value) == "string" then
      out[name] = value
    end
  end
  return out
end

--- True when a parameter of the user's begins with the extension's prefix.
---@param spec table
---@param extension string
function parameters.uses_extension(spec, extension)
  for _, managed in ipairs(parameters.managed_extensions) do
    if managed.name == extension then
      for name in pairs(user_parameters(spec)) do
        if name:sub(1, #managed.prefix):lower() == managed.prefix then
          return true
        end
      end
    end
  end
  return false
end

--- The libraries to preload: those that parameters imply, then the user's, each once.
---@param spec table
---@return string[]
function parameters.preload_libraries(spec)
  local out, seen = {}, {}
  local function add(library)
    if type(library) == "string" and library ~= "" and not seen[library] then
      seen[library] = true
      out[#out + 1] = library
    end
  end
  for _, managed in ipairs(parameters.managed_extensions) do
    if parameters.uses_extension(spec, managed.name) then
      add(managed.name)
    end
  end
  local given = dig(spec, "postgresql", "shared_preload_libraries")
  for _, library in ipairs(type(given) == "table" and given or {}) do
    add(library)
  end
  return out
end

--- True when the cluster follows another one.
---@param spec table
---@param cluster_name? string
function parameters.is_replica(spec, cluster_name)
  local replica = dig(spec, "replica")
  if type(replica) ~= "table" then
    return false
  end
  if type(replica.enabled) == "boolean" then
    return replica.enabled
  end
  local primary = replica.primary
  if type(primary) ~= "string" or primary == "" then
    return false
  end
  local own = type(replica.self) == "string" and replica.self ~= "" and replica.self or cluster_name
  return own ~= primary
end

--- archive_mode as the operator wants it.
---@param spec table
---@param facts? {cluster_name?: string, archiving_skipped?: boolean}
function parameters.archive_mode(spec, facts)
  facts = facts or {}
  if facts.archiving_skipped then
    return "off"
  end
  return parameters.is_replica(spec, facts.cluster_name) and "always" or "on"
end

local function computed(spec, major, facts)
  local out = parameters.mandatory(major)
  out.cluster_name = facts.cluster_name
  out.archive_mode = parameters.archive_mode(spec, facts)
  out.shared_preload_libraries = table.concat(parameters.preload_libraries(spec), ",")
  if out.allow_alter_system then
    out.allow_alter_system = dig(spec, "postgresql", "enableAlterSystem") == true and "on" or "off"
  end
  local delay = duration.milliseconds(dig(spec, "replica", "minApplyDelay"))
  if delay and delay > 0 and parameters.is_replica(spec, facts.cluster_name) then
    out.recovery_min_apply_delay = delay .. "ms"
  end
  return out
end

--- What a user's value of a reserved parameter must equal to be let through, or nil when none may be.
---@param name string
---@param spec table
---@param major integer
---@param facts? table as for `effective`
---@return string?
function parameters.expected(name, spec, major, facts)
  name = name:lower()
  if name == "allow_alter_system" then
    return major >= 17 and (dig(spec, "postgresql", "enableAlterSystem") == true and "on" or "off") or nil
  end
  if name == "archive_mode" then
    return parameters.archive_mode(spec, facts)
  end
  if name == "cluster_name" then
    return facts and facts.cluster_name
  end
  return shared("default", major)[name] or shared("mandatory", major)[name]
end

--- The parameters of an instance that follow from the spec alone, sorted by name.
---
--- Users' values of reserved names are dropped. What depends on more than the spec (synchronous standbys,
--- slots, paths of extensions, temp_tablespaces) is given in `facts.extra` and overrides.
---@param spec table spec of a Cluster
---@param major integer
---@param facts? {cluster_name?: string, archiving_skipped?: boolean, extra?: table<string, string>}
---@return {name: string, value: string}[]
function parameters.effective(spec, major, facts)
  facts = facts or {}
  local values, spelled = {}, {}
  local users = user_parameters(spec)
  for name in pairs(users) do
    users[name] = not parameters.is_reserved(name) and users[name] or nil
  end
  for _, layer in ipairs { parameters.defaults(major), parameters.implied(major), users,
    computed(spec, major, facts), facts.extra or {} } do
    for name, value in sorted.pairs(layer) do -- two spellings are one parameter: the last one counts
      local low = name:lower()
      values[spelled[low] or name] = nil
      values[name], spelled[low] = value, name
    end
  end
  local out = {}
  for name, value in pairs(values) do
    out[#out + 1] = { name = name, value = value }
  end
  table.sort(out, function(a, b)
    return a.name < b.name
  end)
  return out
end

return parameters
