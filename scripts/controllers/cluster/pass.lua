--- One pass while it is planned: what was seen, what is to be done, what is to be said.
-- luacheck: read globals array
local access = require("admission.access")
local json = require("desired.json")
local meta = require("desired.meta")
local model = require("controllers.cluster.model")

local pass = {}
pass.__index = pass

pass.HEALTHY = "Cluster in healthy state"
pass.SETTING_UP = "Setting up primary"
pass.CREATING = "Creating a new replica"
pass.FAILING_OVER = "Failing over"
pass.SWITCHING = "Switchover in progress"
pass.UPGRADING = "Upgrading cluster"
pass.DELAYED = "Cluster upgrade delayed"
pass.USER = "Waiting for user action"
pass.IN_PLACE = "Primary instance is being restarted in-place"
pass.NO_SWITCHOVER = "Primary instance is being restarted without a switchover"
pass.WAITING = "Waiting for the instances to become active"
pass.UNABLE = "Unable to create required cluster objects"
pass.INVALID = "Invalid cluster definition"
pass.CATALOG = "Cluster has incomplete or invalid image catalog"
pass.UNRECOVERABLE = "Cluster is unrecoverable and needs manual intervention"
pass.DISK = "Not enough disk space"

local NO_VERDICT = { state = "healthy", reason = "" }

--- An error of a policy in words: a text, or {file, line, message}.
---@param err any
---@return string
function pass.text_of(err)
  local message = access.text(err, "message")
  if not message then
    return type(err) == "table" and json.encode(err) or tostring(err)
  end
  local file, line = access.text(err, "file"), access.int(err, "line")
  if file and line and not message:find(file, 1, true) then
    return ("%s:%d: %s"):format(file, line, message)
  end
  return message
end

--- Starts a pass.
---@param seen table
---@param cluster table the Cluster with its defaults
---@param info {image: string, majorVersion: integer}?
function pass.new(seen, cluster, info)
  local self = setmetatable({
    seen = seen, now = seen.now, cluster = cluster, spec = cluster.spec, status = seen.cluster.status,
    name = cluster.metadata.name, namespace = cluster.metadata.namespace, info = info,
    verdict = seen.verdict or NO_VERDICT, lease = seen.lease, again_s = 60,
    actions = array {}, conditions = array {}, fields = {},
  }, pass)
  self.c = meta.context(cluster, seen.operator, info and info.image, info and info.majorVersion)
  self.instances, self.by_name = model.build(seen, cluster.spec)
  self.primary = self:holder()
  return self
end

--- The name of the instance that serves as primary, by the Lease; nil while the role moves.
function pass:holder()
  local lease = self.lease
  if lease and lease.holder and (lease.phase == "stable" or lease.phase == "suspect") then
    return lease.holder
  end
  return nil
end

--- True while no change of role is under way: only then may anything be stopped.
function pass:is_calm()
  local state = self.verdict.state
  return state == "healthy" or state == "bootstrapping"
end

--- True once the cluster has had a primary: from then on its data must never be made anew.
function pass:is_initialized()
  for _, condition in ipairs(self.status.conditions or {}) do
    if condition.type == "Initialized" and condition.status == "True" then
      return true
    end
  end
  return self.lease ~= nil and self.lease.holder ~= nil and self.lease.term > 0
end

function pass:act(action)
  self.actions[#self.actions + 1] = action
end

--- Changes annotations of the Cluster itself.
---@param annotations table<string, any> null takes one away
function pass:annotate(annotations)
  local group = meta.group(self.cluster.apiVersion)
  self:act(label { kind = group == meta.PEER_GROUP and "Cluster" or "Cluster." .. group,
    namespace = self.namespace, name = self.name, uid = self.cluster.metadata.uid,
    annotations = annotations })
end

function pass:event(kind, reason, note)
  self:act(event(reason, note, kind))
end

--- Says what is going on. Who speaks first is heard: the important comes first.
---@param phase string
---@param reason string one sentence
---@param requeue_s integer
function pass:say(phase, reason, requeue_s)
  if not self.phase then
    self.phase, self.reason, self.requeue_s = phase, reason, requeue_s
    return true
  end
  return false
end

--- Like say, with a warning event unless the status says the same already.
function pass:warn(phase, reason, event, requeue_s)
  if self:say(phase, reason, requeue_s)
    and not (self.status.phase == phase and self.status.phaseReason == reason) then
    self:event("Warning", event, reason)
  end
end

function pass:condition(kind, is_true, reason, message)
  self.conditions[#self.conditions + 1] = {
    type = kind, status = is_true and "True" or "False", reason = reason, message = message,
  }
end

--- Deletes an object that was seen, and no other of the same name.
function pass:delete(kind, object, propagation)
  self:act(delete { kind = kind, namespace = self.namespace, name = object.name, uid = object.uid,
    propagation = propagation })
end

--- True when the object belongs to this Cluster and to no other of its name.
function pass:owns(object)
  return object.owner ~= nil and object.owner.uid == self.cluster.metadata.uid
end

return pass
