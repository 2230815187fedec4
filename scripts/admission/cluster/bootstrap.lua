--- Checks of spec.bootstrap. Numbers are those of the rules in the contract.
local access = require("admission.access")

local bootstrap = {}

local METHODS = { "initdb", "recovery", "pg_basebackup" }

-- 1. A database has an owner.
local function paired(c)
  for _, method in ipairs(METHODS) do
    local section = access.map(c.spec, "bootstrap", method)
    local database, owner = access.text(section, "database"), access.text(section, "owner")
    if (database == nil) ~= (owner == nil) then
      c:add("spec.bootstrap." .. method .. (database and ".owner" or ".database"),
        "database and owner belong together: give both or neither")
    end
  end
end

local function is_power_of_two(n)
  return n > 0 and n & (n - 1) == 0
end

-- 2. The size of a WAL file.
local function wal_segment_size(c)
  local size = access.int(c.spec, "bootstrap", "initdb", "walSegmentSize")
  if size and not is_power_of_two(size) then
    c:add("spec.bootstrap.initdb.walSegmentSize", "%d is not a power of two: use 16, 32, 64 and so on", size)
  end
end

-- 3. References to SQL files.
local function sql_refs(c)
  for _, field in ipairs { "postInitSQLRefs", "postInitApplicationSQLRefs", "postInitTemplateSQLRefs" } do
    for _, kind in ipairs { "secretRefs", "configMapRefs" } do
      for i, ref in ipairs(access.list(c.spec, "bootstrap", "initdb", field, kind)) do
        local path = ("spec.bootstrap.initdb.%s.%s[%d]"):format(field, kind, i - 1)
        for _, key in ipairs { "name", "key" } do
          if not access.text(ref, key) then
            c:add(path .. "." .. key, "%s must not be empty", key)
          end
        end
      end
    end
  end
end

local function has_star(list)
  for _, name in ipairs(list) do
    if name == "*" then
      return true
    end
  end
  return false
end

local function microservice(c, import, path)
  local databases = access.list(import, "databases")
  if #databases ~= 1 then
    c:add(path .. ".databases", "a microservice import takes exactly one database, %d are given", #databases)
  elseif type(databases[1]) == "string" and databases[1]:find("*", 1, true) then
    c:add(path .. ".databases", "a microservice import needs the name of its database, not *")
  end
  if #access.list(import, "roles") > 0 then
    c:add(path .. ".roles", "a microservice import takes no roles: remove them, or use type monolith")
  end
end

local function monolith(c, import, path)
  local databases, roles = access.list(import, "databases"), access.list(import, "roles")
  if #databases == 0 then
    c:add(path .. ".databases", "a monolith import needs at least one database; * means all")
  end
  if #databases > 1 and has_star(databases) then
    c:add(path .. ".databases", "* means all databases and must stand alone")
  end
  if #roles > 1 and has_star(roles) then
    c:add(path .. ".roles", "* means all roles and must stand alone")
  end
  if #access.list(import, "postImportApplicationSQL") > 0 then
    c:add(path .. ".postImportApplicationSQL", "a monolith import has no application database to run SQL in")
  end
end

-- 4, 5, 6. Import.
local function import(c)
  local section = access.get(c.spec, "bootstrap", "initdb", "import")
  if type(section) ~= "table" then
    return
  end
  local path, kind = "spec.bootstrap.initdb.import", access.get(section, "type")
  if kind == "microservice" then
    microservice(c, section, path)
  elseif kind == "monolith" then
    monolith(c, section, path)
  else
    c:add(path .. ".type", "unknown type of import: use microservice or monolith")
  end
end

-- 10. One method.
local function one_method(c)
  local given = {}
  for _, method in ipairs(METHODS) do
    if access.has(c.spec, "bootstrap", method) then
      given[#given + 1] = method
    end
  end
  if #given > 1 then
    c:add("spec.bootstrap", "only one bootstrap method is allowed: keep one of %s", table.concat(given, ", "))
  end
end

bootstrap.checks = { paired, wal_segment_size, sql_refs, import, one_method }

return bootstrap
