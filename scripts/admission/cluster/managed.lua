--- Checks of managed roles and services.
local access = require("admission.access")

local managed = {}

-- 37. Services.
local function services(c)
  for i, name in ipairs(access.list(c.spec, "managed", "services", "disabledDefaultServices")) do
    if name == "rw" then
      c:add(("spec.managed.services.disabledDefaultServices[%d]"):format(i - 1),
        "the rw service cannot be disabled")
    end
  end
  local taken = {}
  for _, suffix in ipairs { "rw", "ro", "r", "any" } do
    taken[c.name .. "-" .. suffix] = "belongs to the operator: choose another"
  end
  for i, service in ipairs(access.list(c.spec, "managed", "services", "additional")) do
    local path = ("spec.managed.services.additional[%d].serviceTemplate"):format(i - 1)
    local name = access.text(service, "serviceTemplate", "metadata", "name")
    if not name then
      c:add(path .. ".metadata.name", "the service needs a name")
    elseif taken[name] then
      c:add(path .. ".metadata.name", "the name '%s' %s", name, taken[name])
    else
      taken[name] = "is used twice"
    end
    if next(access.map(service, "serviceTemplate", "spec", "selector")) ~= nil then
      c:add(path .. ".spec.selector", "the selector follows from selectorType: remove it")
    end
  end
end

local RESERVED = { postgres = true, streaming_replica = true }

--- True for roles that belong to PostgreSQL or the operator.
---@param name string
function managed.is_reserved_role(name)
  return RESERVED[name] or name:sub(1, 3) == "pg_" or name:sub(1, 5) == "cnpg_"
end

-- 38. Roles.
local function roles(c)
  local seen = {}
  for i, role in ipairs(access.list(c.spec, "managed", "roles")) do
    local path, name = ("spec.managed.roles[%d]"):format(i - 1), access.text(role, "name") or ""
    if seen[name] then
      c:add(path .. ".name", "the role '%s' is given twice", name)
    end
    seen[name] = true
    if managed.is_reserved_role(name) then
      c:add(path .. ".name", "the role '%s' belongs to PostgreSQL or the operator", name)
    end
    if (access.int(role, "connectionLimit") or -1) < -1 then
      c:add(path .. ".connectionLimit", "%d is not a limit: use -1 for none", role.connectionLimit)
    end
    if access.has(role, "passwordSecret") and access.is_true(role, "disablePassword") then
      c:add(path .. ".disablePassword", "passwordSecret and disablePassword exclude each other: remove one")
    end
  end
end

managed.checks = { services, roles }

return managed
