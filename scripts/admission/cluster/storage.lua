--- Checks of volumes and tablespaces.
local access = require("admission.access")
local quantity = require("admission.quantity")

local storage = {}

--- What a volume is asked to hold: the size, or the request of its template.
---@param section any
---@return admission.Quantity?
function storage.size(section)
  local size = access.get(section, "size")
  if size == nil or size == "" then
    size = access.get(section, "pvcTemplate", "resources", "requests", "storage")
  end
  return size ~= nil and quantity.parse(size) or nil
end

local function check_size(c, path, section)
  local size = access.get(section, "size")
  local at = path .. ".size"
  if size == nil or size == "" then
    size = access.get(section, "pvcTemplate", "resources", "requests", "storage")
    if size == nil then
      c:add(at, "a size is needed, such as 10Gi, or a storage request in pvcTemplate")
      return
    end
    at = path .. ".pvcTemplate.resources.requests.storage"
  end
  local value, reason = quantity.parse(size)
  if not value then
    c:add(at, "'%s' is %s", tostring(size), reason)
  elseif quantity.sign(value) <= 0 then
    c:add(at, "'%s' is not greater than zero: give a size such as 10Gi", tostring(size))
  end
end

-- 16. Sizes.
local function sizes(c)
  check_size(c, "spec.storage", access.map(c.spec, "storage"))
  if access.has(c.spec, "walStorage") then
    check_size(c, "spec.walStorage", c.spec.walStorage)
  end
  for i, tablespace in ipairs(access.list(c.spec, "tablespaces")) do
    check_size(c, ("spec.tablespaces[%d].storage"):format(i - 1), access.map(tablespace, "storage"))
  end
end

-- 17. Temporary volumes.
local function ephemeral(c)
  if access.has(c.spec, "ephemeralVolumeSource")
    and access.get(c.spec, "ephemeralVolumesSizeLimit", "temporaryData") ~= nil then
    c:add("spec.ephemeralVolumeSource",
      "a volume of its own and ephemeralVolumesSizeLimit.temporaryData exclude each other: remove one")
  end
end

--- The name of a tablespace as names of Kubernetes objects carry it.
---@param name string
---@return string
function storage.sanitise(name)
  return (name:lower():gsub("[_$]", "-"):gsub("^-+", ""):gsub("-+$", ""))
end

local function name_fault(name)
  if not name:match("^[a-zA-Z_][a-zA-Z0-9_$]*$") then
    return "begins with a letter or _ and holds only letters, digits, _ and $"
  end
  if #name > 63 then
    return "has at most 63 characters"
  end
  if name:lower():sub(1, 3) == "pg_" then
    return "must not begin with pg_, which belongs to PostgreSQL"
  end
  return nil
end

-- 19. Names of tablespaces.
local function tablespaces(c)
  local seen, objects = {}, {}
  for i, tablespace in ipairs(access.list(c.spec, "tablespaces")) do
    local path = ("spec.tablespaces[%d].name"):format(i - 1)
    local name = access.text(tablespace, "name") or ""
    local fault, lower, object = name_fault(name), name:lower(), storage.sanitise(name)
    if fault then
      c:add(path, "'%s': the name of a tablespace %s", name, fault)
    elseif seen[lower] then
      c:add(path, "'%s' is given twice (case does not matter)", name)
    elseif objects[object] then
      c:add(path, "'%s' and '%s' would share a volume: choose another name", name, objects[object])
    end
    seen[lower], objects[object] = true, name
  end
end

-- 21. Snapshot classes of tablespaces.
local function snapshot_classes(c)
  local declared = {}
  for _, tablespace in ipairs(access.list(c.spec, "tablespaces")) do
    declared[access.text(tablespace, "name") or ""] = true
  end
  for _, name in ipairs(access.keys(access.map(c.spec, "backup", "volumeSnapshot", "tablespaceClassName"))) do
    if not declared[name] then
      c:add(("spec.backup.volumeSnapshot.tablespaceClassName[%s]"):format(name),
        "there is no tablespace '%s' in spec.tablespaces", name)
    end
  end
end

storage.checks = { sizes, ephemeral, tablespaces, snapshot_classes }

return storage
