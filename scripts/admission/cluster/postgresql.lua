--- Checks of PostgreSQL parameters, LDAP and pg_hba.
local access = require("admission.access")
local parameters = require("desired.parameters")
local quantity = require("admission.quantity")
local storage = require("admission.cluster.storage")

local postgresql = {}

local PATH = "spec.postgresql.parameters."

-- 28. Names, and what nobody may set.
local function names(c)
  for _, name in ipairs(access.keys(c.parameters)) do
    local value = c.parameters[name]
    if not parameters.is_valid_name(name) then
      c:add(PATH .. name, "not the name of a parameter")
    elseif parameters.is_reserved(name) then
      local expected = c.major and parameters.expected(name, c.spec, c.major, c.facts)
      if value ~= expected then
        c:add(PATH .. name, "this parameter is kept by the operator: remove it")
      end
    end
  end
end

-- 28. Supported versions.
local function supported(c)
  if c.major and c.major < parameters.FIRST then
    local path = access.has(c.spec, "imageCatalogRef") and "spec.imageCatalogRef.major" or "spec.imageName"
    c:add(path, "PostgreSQL %d is not supported: use %d or later", c.major, parameters.FIRST)
  end
end

local LEVELS = { logical = true, replica = true, minimal = true }

local function minimal(c)
  if c.instances > 1 then
    return "a cluster with standbys"
  end
  if parameters.archive_mode(c.spec, c.facts) ~= "off" then
    return "archiving (set the annotation cnpg.io/skipWalArchiving: enabled)"
  end
  if parameters.is_replica(c.spec, c.name) then
    return "a replica cluster"
  end
  if c:parameter("max_wal_senders") ~= "0" then
    return "max_wal_senders other than 0"
  end
  return nil
end

-- 28. wal_level.
local function wal_level(c)
  local level = c:parameter("wal_level")
  if level == nil then
    return
  end
  if not LEVELS[level] then
    c:add(PATH .. "wal_level", "'%s' is unknown: use logical, replica or minimal", level)
  elseif level == "minimal" then
    local why = minimal(c)
    if why then
      c:add(PATH .. "wal_level", "minimal does not go with %s", why)
    end
  end
end

-- 28. Booleans.
local function booleans(c)
  for _, name in ipairs { "hot_standby_feedback", "sync_replication_slots", "wal_log_hints" } do
    if c:parameter(name) ~= nil and c:parameter_is_on(name) == nil then
      c:add(PATH .. name, "'%s' is not a boolean: use on or off", tostring(c:parameter(name)))
    end
  end
  if c.instances > 1 and c:parameter_is_on("wal_log_hints") == false then
    c:add(PATH .. "wal_log_hints", "standbys could not be rewound without it: set it to on")
  end
end

-- 28. shared_buffers.
local function shared_buffers(c)
  local value = c:parameter("shared_buffers")
  if value ~= nil and not quantity.memory(value) then
    c:add(PATH .. "shared_buffers", "'%s' is not a size such as 256MB", tostring(value))
  end
end

local function wal_size(c, name, default)
  local text = c:parameter(name)
  local value = quantity.memory(text or default)
  if not value then
    c:add(PATH .. name, "'%s' is not a size such as %s", tostring(text), default)
  end
  return value, text ~= nil
end

-- 28. Sizes of WAL.
local function wal_sizes(c)
  local least, least_given = wal_size(c, "min_wal_size", "80MB")
  local most, most_given = wal_size(c, "max_wal_size", "1GB")
  if not least or not most then
    return
  end
  if (least_given or most_given) and quantity.compare(least, most) >= 0 then
    c:add(PATH .. (least_given and "min_wal_size" or "max_wal_size"),
      "min_wal_size (80MB when not set) must be less than max_wal_size (1GB when not set)")
  end
  local volume = storage.size(access.get(c.spec, "walStorage"))
  for _, one in ipairs { { "min_wal_size", least, least_given }, { "max_wal_size", most, most_given } } do
    if volume and one[3] and quantity.compare(one[2], volume) >= 0 then
      c:add(PATH .. one[1], "%s does not fit on the WAL volume (spec.walStorage)", c:parameter(one[1]))
    end
  end
end

-- 32. LDAP.
local function ldap(c)
  local section = access.get(c.spec, "postgresql", "ldap")
  if type(section) ~= "table" then
    return
  end
  if not access.text(section, "server") then
    c:add("spec.postgresql.ldap.server", "the name of the server is needed")
  end
  if access.has(section, "bindAsAuth") and access.has(section, "bindSearchAuth") then
    c:add("spec.postgresql.ldap", "bindAsAuth and bindSearchAuth exclude each other: remove one")
  end
end

local OPERATORS = { In = true, NotIn = true, Exists = false, DoesNotExist = false }

local function selector_fault(selector)
  for i, one in ipairs(access.list(selector, "matchExpressions")) do
    local values = OPERATORS[access.get(one, "operator")]
    if not access.text(one, "key") then
      return (".matchExpressions[%d].key"):format(i - 1), "the key must not be empty"
    elseif values == nil then
      return (".matchExpressions[%d].operator"):format(i - 1), "use In, NotIn, Exists or DoesNotExist"
    elseif values ~= (#access.list(one, "values") > 0) then
      return (".matchExpressions[%d].values"):format(i - 1),
        values and "this operator needs values" or "this operator takes no values"
    end
  end
  return nil
end

-- 45. Selectors of pods.
local function selectors(c)
  local known = {}
  for i, ref in ipairs(access.list(c.spec, "podSelectorRefs")) do
    local path, name = ("spec.podSelectorRefs[%d]"):format(i - 1), access.text(ref, "name") or ""
    if known[name] then
      c:add(path .. ".name", "the name '%s' is used twice", name)
    end
    known[name] = true
    local at, fault = selector_fault(access.get(ref, "selector"))
    if fault then
      c:add(path .. ".selector" .. at, "%s", fault)
    end
  end
  return known
end

-- 45. Lines of pg_hba.
local function host_lines(c)
  local known = selectors(c)
  for i, line in ipairs(access.list(c.spec, "postgresql", "pg_hba")) do
    local path, count = ("spec.postgresql.pg_hba[%d]"):format(i - 1), 0
    for kind, name in tostring(line):gmatch("%${([^:}]*):?([^}]*)}") do
      count = count + 1
      if kind ~= "podselector" then
        c:add(path, "'${%s:%s}' is unknown: only ${podselector:NAME} is replaced", kind, name)
      elseif not known[name] then
        c:add(path, "'%s' is not among spec.podSelectorRefs", name)
      end
    end
    if count > 1 then
      c:add(path, "a line may hold only one ${podselector:NAME}: write two lines")
    end
  end
end

postgresql.checks = { supported, names, wal_level, booleans, shared_buffers, wal_sizes, ldap, host_lines }

return postgresql
