--- Volumes grow with the manifest. They never shrink.
local names = require("desired.names")
local pvc = require("desired.pvc")
local quantity = require("admission.quantity")

local volumes = {}

local function grows(wanted, actual)
  local a, b = quantity.parse(wanted), quantity.parse(actual)
  return a ~= nil and b ~= nil and quantity.compare(a, b) > 0
end

local function expand(p, volume, claim)
  local size = pvc.size(volume.storage)
  if volume.storage.resizeInUseVolumes ~= false and grows(size, claim.size) then
    p:act(patch { kind = "PersistentVolumeClaim", namespace = p.namespace, name = claim.name,
      body = { spec = { resources = { requests = { storage = size } } } } })
  end
end

--- Plans what volumes that exist need.
function volumes.plan(p)
  for _, instance in ipairs(p.instances) do
    for _, volume in ipairs(pvc.volumes(p.spec, instance.name)) do
      local claim = instance.volumes[volume.name]
      if claim and not claim.deleting then
        expand(p, volume, claim)
        if not claim.annotations[names.SERIAL] then
          p:act(label { kind = "PersistentVolumeClaim", namespace = p.namespace, name = claim.name,
            annotations = { [names.SERIAL] = tostring(instance.serial) } })
        end
      end
    end
  end
end

return volumes
