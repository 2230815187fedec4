--- Checks of recovery, external clusters and replica clusters.
local access = require("admission.access")
local parameters = require("desired.parameters")

local recovery = {}

local TARGETS = { "targetImmediate", "targetLSN", "targetName", "targetXID", "targetTime" }

local function is_lsn(text)
  local high, low = text:match("^(%x+)/(%x+)$")
  return high ~= nil and #high <= 8 and #low <= 8
end

local DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(year, month, day)
  month, day = tonumber(month), tonumber(day)
  return tonumber(year) > 0 and DAYS[month] ~= nil and day >= 1 and day <= DAYS[month]
end

local function is_time(text)
  local year, month, day, rest = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$")
  if not year or not is_date(year, month, day) then
    return false
  end
  local hour, minute, second, zone = rest:match("^[T ](%d%d):(%d%d):(%d%d)(.*)$")
  if not hour or tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) > 60 then
    return false
  end
  zone = zone:gsub("^%.%d+", "")
  return zone == "" or zone == "Z" or zone:match("^[+-]%d%d$") ~= nil or zone:match("^[+-]%d%d:?%d%d$") ~= nil
end

local FORMS = {
  targetTime = function(value)
    return not is_time(value) and "not a time such as 2026-01-31T12:00:00Z"
  end,
  targetLSN = function(value)
    return not is_lsn(value) and "not an LSN such as 0/3000060"
  end,
  targetXID = function(value)
    local xid = value:match("^%d+$") and #value <= 10 and math.tointeger(tonumber(value))
    return not (xid and xid <= 0xFFFFFFFF) and "not a transaction id: a number of 32 bits without sign"
  end,
  targetName = function(value)
    if #value >= 64 then
      return "the name of a restore point has less than 64 bytes"
    end
    return value:find("[%z\1-\31\127]") and "the name of a restore point holds no control characters"
  end,
  targetTLI = function(value)
    local timeline = value:match("^%d+$") and math.tointeger(tonumber(value))
    return value ~= "latest" and not (timeline and timeline >= 1) and "use 'latest' or a timeline from 1 on"
  end,
}

local function given_targets(target)
  local given = {}
  for _, field in ipairs(TARGETS) do
    if access.text(target, field) or access.is_true(target, field) then
      given[#given + 1] = field
    end
  end
  return given
end

-- 13. The recovery target.
local function target(c)
  local section = access.get(c.spec, "bootstrap", "recovery", "recoveryTarget")
  if type(section) ~= "table" then
    return
  end
  local path, given = "spec.bootstrap.recovery.recoveryTarget", given_targets(section)
  if #given > 1 then
    c:add(path, "at most one target is allowed: keep one of %s", table.concat(given, ", "))
  end
  for _, field in ipairs(access.keys(FORMS)) do
    local value = access.text(section, field)
    local fault = value and FORMS[field](value)
    if fault then
      c:add(path .. "." .. field, "'%s': %s", value, fault)
    end
  end
  if access.text(section, "backupID") or access.has(c.spec, "bootstrap", "recovery", "volumeSnapshots") then
    return
  end
  if access.text(section, "targetName") or access.text(section, "targetXID")
    or access.is_true(section, "targetImmediate") then
    c:add(path .. ".backupID", "this target does not tell which backup to start from: name it here")
  end
end

local function external(c, name)
  for _, entry in ipairs(access.list(c.spec, "externalClusters")) do
    if access.text(entry, "name") == name then
      return entry
    end
  end
  return nil
end

local function must_exist(c, path, name)
  local entry = name and external(c, name)
  if name and not entry then
    c:add(path, "'%s' is not among spec.externalClusters", name)
  end
  return entry
end

local function is_reachable(entry)
  return next(access.map(entry, "connectionParameters")) ~= nil or access.has(entry, "barmanObjectStore")
    or access.has(entry, "plugin")
end

-- 20. Sources of bootstrap.
local function sources(c)
  must_exist(c, "spec.bootstrap.pg_basebackup.source", access.text(c.spec, "bootstrap", "pg_basebackup",
    "source"))
  local path = "spec.bootstrap.recovery.source"
  local entry = must_exist(c, path, access.text(c.spec, "bootstrap", "recovery", "source"))
  if entry and not is_reachable(entry) then
    c:add(path,
      "'%s' names no place to recover from: it needs connectionParameters, barmanObjectStore or plugin",
      entry.name)
  end
end

local function check_volume_source(c, path, source)
  local kind, group = access.get(source, "kind"), access.text(source, "apiGroup") or ""
  local is_snapshot = kind == "VolumeSnapshot" and group == "snapshot.storage.k8s.io"
  local is_claim = kind == "PersistentVolumeClaim" and group == ""
  if not is_snapshot and not is_claim then
    c:add(path, "must be a VolumeSnapshot of snapshot.storage.k8s.io or a PersistentVolumeClaim")
  end
  if not access.text(source, "name") then
    c:add(path .. ".name", "the name must not be empty")
  end
end

-- 22. Recovery out of snapshots.
local function snapshots(c)
  local section = access.get(c.spec, "bootstrap", "recovery")
  local volumes = access.get(section, "volumeSnapshots")
  if type(volumes) ~= "table" then
    return
  end
  local path = "spec.bootstrap.recovery.volumeSnapshots"
  if access.has(section, "backup") then
    c:add(path, "snapshots and recovery.backup exclude each other: remove one")
  end
  if access.text(section, "recoveryTarget", "backupID") then
    c:add("spec.bootstrap.recovery.recoveryTarget.backupID", "snapshots have no backup id: remove it")
  end
  check_volume_source(c, path .. ".storage", access.map(volumes, "storage"))
  if access.has(volumes, "walStorage") then
    check_volume_source(c, path .. ".walStorage", volumes.walStorage)
    if not access.has(c.spec, "walStorage") then
      c:add(path .. ".walStorage", "a snapshot of the WAL volume needs spec.walStorage")
    end
  end
  local tablespaces = access.map(volumes, "tablespaceStorage")
  for _, name in ipairs(access.keys(tablespaces)) do
    check_volume_source(c, ("%s.tablespaceStorage[%s]"):format(path, name), tablespaces[name])
  end
end

local function is_file_name(text)
  return text ~= "." and text ~= ".." and not text:find("[/\\]")
end

local function file_names(c, path, entry)
  for _, field in ipairs { "password", "sslCert", "sslKey", "sslRootCert" } do
    for _, key in ipairs { "name", "key" } do
      local value = access.text(entry, field, key)
      if value and not is_file_name(value) then
        c:add(("%s.%s.%s"):format(path, field, key), "'%s' cannot be part of a file name", value)
      end
    end
  end
end

-- 23. External clusters.
local function external_clusters(c)
  local seen = {}
  for i, entry in ipairs(access.list(c.spec, "externalClusters")) do
    local path, name = ("spec.externalClusters[%d]"):format(i - 1), access.text(entry, "name") or ""
    if seen[name] then
      c:add(path .. ".name", "the name '%s' is used twice", name)
    end
    seen[name] = true
    if not is_file_name(name) then
      c:add(path .. ".name", "'%s' cannot be part of a file name", name)
    end
    if not is_reachable(entry) then
      c:add(path, "one of connectionParameters, plugin and barmanObjectStore is needed")
    end
    file_names(c, path, entry)
  end
end

local function replica_bootstrap(c)
  local section = access.map(c.spec, "bootstrap")
  if next(section) == nil then
    c:add("spec.bootstrap", "a replica cluster needs pg_basebackup or recovery here")
  elseif c.is_new and not access.has(section, "pg_basebackup") and not access.has(section, "recovery") then
    c:add("spec.bootstrap", "a replica cluster begins with pg_basebackup or recovery, not with initdb")
  end
end

-- 26. Replica clusters.
local function replica(c)
  local section = access.get(c.spec, "replica")
  if type(section) ~= "table" then
    return
  end
  if access.text(section, "primary") and access.get(section, "enabled") ~= nil then
    c:add("spec.replica.enabled", "enabled and primary exclude each other: remove one")
  end
  if parameters.is_replica(c.spec, c.name) then
    replica_bootstrap(c)
  end
  must_exist(c, "spec.replica.source", access.text(section, "source"))
  for _, field in ipairs { "self", "primary" } do
    must_exist(c, "spec.replica." .. field, access.text(section, field))
  end
end

recovery.checks = { target, sources, snapshots, external_clusters, replica }

return recovery
