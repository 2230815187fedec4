--- Budgets that keep an eviction from taking the primary, or too many replicas.
local meta = require("desired.meta")
local names = require("desired.names")

local pdb = {}

local function budget(c, name, role, available)
  local object = meta.object(c, "PodDisruptionBudget", name)
  object.spec = {
    minAvailable = available,
    selector = { matchLabels = { [names.CLUSTER] = c.name, [names.INSTANCE_ROLE] = role } },
  }
  return object
end

--- Budgets by name. While nodes are being maintained with their volumes kept, replicas may go, and a lone
--- primary.
---@param c desired.Context
---@return table<string, table>
function pdb.build(c)
  local spec, out = c.spec, {}
  if spec.enablePDB == false then
    return out
  end
  local window = spec.nodeMaintenanceWindow or {}
  local maintained = window.inProgress and window.reusePVC ~= false
  if not (maintained and spec.instances == 1) then
    out[c.name .. "-primary"] = budget(c, c.name .. "-primary", "primary", 1)
  end
  if spec.instances >= 3 and not maintained then
    out[c.name] = budget(c, c.name, "replica", spec.instances - 2)
  end
  return out
end

return pdb
