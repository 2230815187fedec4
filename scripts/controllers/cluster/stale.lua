--- What an instance needs to be as the Cluster asks for: a new pod, or a restart of PostgreSQL inside it.
local access = require("admission.access")
local decode = require("admission.json").decode
local hash = require("desired.hash")
local names = require("desired.names")
local pod = require("desired.pod")
local shapes = require("controllers.cluster.shapes")

local stale = {}

stale.PARAMETERS = "parameters changed that need a restart"

local function newest_restart(p)
  return access.text(p.cluster, "metadata", "annotations", names.RESTARTED_AT)
end

--- Why a pod has to be made anew, or nil.
local function of_pod(p, instance)
  local actual = instance.pod
  if actual.image ~= p.info.image then
    return ("the image is %s and shall be %s"):format(tostring(actual.image), p.info.image)
  end
  local asked = newest_restart(p)
  if asked and asked > (actual.annotations[names.RESTARTED_AT] or "") then
    return "a restart was asked for at " .. asked
  end
  if access.get(p.cluster, "metadata", "annotations", names.RECONCILE_POD_SPEC) == "disabled" then
    return nil
  end
  local placement = decode(actual.annotations[names.PLACEMENT])
  local wanted = pod.build(shapes.context(p, instance.name), instance.name, instance.serial, placement)
  if actual.spec_hash and hash.of(wanted.metadata.annotations[names.POD_SPEC]) ~= actual.spec_hash then
    return "the specification of the pod changed"
  end
  return nil
end

--- "pod" or "restart", and why; nil when it is up to date.
---@param p table
---@param instance cluster.Instance
---@return string? kind
---@return string? why
function stale.need(p, instance)
  local why = of_pod(p, instance)
  if why then
    return "pod", why
  end
  if instance.is_connected and instance.report.pendingRestart then
    return "restart", stale.PARAMETERS
  end
  return nil
end

--- Which configuration a Cluster asks for. Managers compute the same (core/instance/config_of.c) and report
--- which one their PostgreSQL has read.
---@param cluster table
---@return string
function stale.config_of(cluster)
  local generation = tostring(access.int(cluster, "metadata", "generation") or 0)
  local archiving = access.text(cluster, "metadata", "annotations", names.SKIP_ARCHIVING)
  local policy = access.text(cluster, "metadata", "annotations", names.INSTANCE_POLICY)
  if not archiving and not policy then
    return generation
  end
  return generation .. "-" .. hash.of((archiving or "") .. "\n" .. (policy or ""))
end

--- Names of instances whose PostgreSQL has not read the configuration: whether they need a restart is not
--- known yet. A manager from before this was reported says nothing, and is not waited for.
---@param p table
---@return string[]
function stale.unread(p)
  local out, wanted = {}, stale.config_of(p.cluster)
  for _, instance in ipairs(p.instances) do
    local own = instance.report and instance.report.moonherd
    if instance.pod and (not instance.is_connected or own.configRead and own.configRead ~= wanted) then
      out[#out + 1] = instance.name
    end
  end
  return out
end

return stale
