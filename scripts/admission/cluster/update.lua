--- Checks of a change: what may not become something else.
local access = require("admission.access")
local parameters = require("desired.parameters")
local quantity = require("admission.quantity")
local storage = require("admission.cluster.storage")
local version = require("admission.version")

local update = {}

local OLDEST_UPGRADE = 16

local function image_of(spec)
  return access.text(spec, "imageName") or access.map(spec, "imageCatalogRef")
end

--- The parameters that the two specs give to PostgreSQL differ.
local function parameters_differ(c)
  return not access.equal(access.map(c.old.spec, "postgresql", "parameters"), c.parameters)
end

local function image_and_parameters(c)
  if access.get(c.spec, "primaryUpdateMethod") == "switchover"
    and not access.equal(image_of(c.old.spec), image_of(c.spec)) and parameters_differ(c) then
    c:add("spec.imageName",
      "with primaryUpdateMethod: switchover, change the image and the parameters one after"
      .. " the other")
  end
end

local function major_version(c)
  local before = version.major_of(c.old.spec, c.env)
  if not before or not c.major or before == c.major then
    return
  end
  local path = access.has(c.spec, "imageCatalogRef") and "spec.imageCatalogRef.major" or "spec.imageName"
  if c.major < before then
    c:add(path, "the data is of PostgreSQL %d and cannot go back to %d", before, c.major)
  elseif c.major < OLDEST_UPGRADE then
    c:add(path, "an upgrade from %d to %d is not supported: go to %d or later", before, c.major,
      OLDEST_UPGRADE)
  end
end

local function cannot_shrink(c, path, before, after)
  local old, new = storage.size(before), storage.size(after)
  if old and new and quantity.compare(new, old) < 0 then
    c:add(path .. ".size", "a volume cannot shrink: asked for %s, it has %s",
      tostring(after.size or "less"), tostring(before.size or "more"))
  end
end

local function volumes(c)
  local before = c.old.spec
  cannot_shrink(c, "spec.storage", access.map(before, "storage"), access.map(c.spec, "storage"))
  if access.has(before, "walStorage") then
    if access.has(c.spec, "walStorage") then
      cannot_shrink(c, "spec.walStorage", before.walStorage, c.spec.walStorage)
    else
      c:add("spec.walStorage", "the WAL volume cannot be removed")
    end
  end
end

local function tablespaces(c)
  local before, after = access.list(c.old.spec, "tablespaces"), {}
  if #before > 0 and #access.list(c.spec, "tablespaces") == 0 then
    c:add("spec.tablespaces", "tablespaces cannot be removed")
    return
  end
  for i, tablespace in ipairs(access.list(c.spec, "tablespaces")) do
    after[access.text(tablespace, "name") or ""] = { index = i - 1, value = tablespace }
  end
  for _, tablespace in ipairs(before) do
    local name = access.text(tablespace, "name") or ""
    local kept = after[name]
    if kept then
      cannot_shrink(c, ("spec.tablespaces[%d].storage"):format(kept.index), access.map(tablespace, "storage"),
        access.map(kept.value, "storage"))
    else
      c:add("spec.tablespaces", "the tablespace '%s' cannot be removed", name)
    end
  end
end

local function identifiers(c)
  for _, field in ipairs { "postgresUID", "postgresGID" } do
    local before = access.int(c.old.spec, field) or 26
    local after = access.int(c.spec, field) or 26
    if before ~= after then
      c:add("spec." .. field, "cannot change after creation: it is %d", before)
    end
  end
end

local function slots(c)
  local before, after = access.map(c.old.spec, "replicationSlots"), access.map(c.spec, "replicationSlots")
  local path = "spec.replicationSlots"
  if access.is_true(before, "highAvailability", "enabled") then
    if not access.has(after, "highAvailability") then
      c:add(path .. ".highAvailability", "cannot be removed while it is enabled: set enabled to false first")
    elseif access.get(after, "highAvailability", "enabled") ~= false then
      local old = access.get(before, "highAvailability", "slotPrefix") or "_cnpg_"
      local new = access.get(after, "highAvailability", "slotPrefix") or "_cnpg_"
      if old ~= new then
        c:add(path .. ".highAvailability.slotPrefix",
          "cannot change while highAvailability is enabled: it is '%s'",
          tostring(old))
      end
    end
  end
  if access.is_true(before, "synchronizeReplicas", "enabled") and not access.has(after,
    "synchronizeReplicas") then
    c:add(path .. ".synchronizeReplicas", "cannot be removed while it is enabled: set enabled to false first")
  end
end

local function wal_level(c)
  local before = access.get(c.old.spec, "postgresql", "parameters", "wal_level")
  if c:parameter("wal_level") == "minimal" and before ~= "minimal" then
    c:add("spec.postgresql.parameters.wal_level", "cannot become minimal in a cluster that exists")
  end
end

local function replica_switch(c)
  if not access.is_true(c.old.status, "switchReplicaClusterStatus", "inProgress") then
    return
  end
  if parameters.is_replica(c.old.spec, c.name) ~= parameters.is_replica(c.spec, c.name) then
    c:add("spec.replica",
      "the last switch between primary and replica cluster is still going on: wait for its end")
  end
end

update.checks = { image_and_parameters, major_version, volumes, tablespaces, identifiers, slots, wal_level,
  replica_switch }

return update
