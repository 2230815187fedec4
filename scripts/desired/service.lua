--- The services of a cluster: -rw, -ro, -r, -any where the operator is told to, and those that the user adds.
-- luacheck: read globals array
local access = require("admission.access")
local meta = require("desired.meta")
local names = require("desired.names")

local service = {}

local function selector(c, kind)
  if kind == "r" or kind == "any" then
    return { [names.CLUSTER] = c.name, [names.POD_ROLE] = "instance" }
  end
  return { [names.CLUSTER] = c.name, [names.INSTANCE_ROLE] = kind == "rw" and "primary" or "replica" }
end

local function ports()
  return array { { name = "postgres", port = 5432, targetPort = 5432, protocol = "TCP" } }
end

local function default(c, kind)
  local object = meta.object(c, "Service", c.name .. "-" .. kind, meta.standard(c))
  object.spec = { type = "ClusterIP", ports = ports(), selector = selector(c, kind) }
  if kind == "any" then
    object.spec.publishNotReadyAddresses = true
  end
  return object
end

local function additional(c, entry)
  local template = entry.serviceTemplate
  local given = template.metadata or {}
  local object = meta.object(c, "Service", given.name,
    meta.merged(given.labels, meta.standard(c), { [names.MANAGED_SERVICE] = "true" }),
    meta.merged(given.annotations, { [names.UPDATE_STRATEGY] = entry.updateStrategy or "patch" }))
  object.spec = access.copy(template.spec or {})
  object.spec.selector = selector(c, entry.selectorType)
  if not access.has(object.spec, "ports") or #object.spec.ports == 0 then
    object.spec.ports = ports()
  end
  return object
end

--- All services by name.
---@param c desired.Context
---@return table<string, table>
function service.build(c)
  local managed = (c.spec.managed or {}).services or {}
  local off, out = {}, {}
  for _, kind in ipairs(managed.disabledDefaultServices or {}) do
    off[kind] = kind ~= "rw"
  end
  for _, kind in ipairs { "rw", "ro", "r" } do
    if not off[kind] then
      out[c.name .. "-" .. kind] = default(c, kind)
    end
  end
  if c.operator.create_any_service then
    out[c.name .. "-any"] = default(c, "any")
  end
  for _, entry in ipairs(managed.additional or {}) do
    local object = additional(c, entry)
    out[object.metadata.name] = object
  end
  return out
end

return service
