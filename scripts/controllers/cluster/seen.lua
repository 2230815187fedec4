--- What a pass over a Cluster looks at, cut down to what `plan` needs. All of it is recorded.
-- luacheck: read globals array
local access = require("admission.access")
local hash = require("desired.hash")
local names = require("desired.names")
local sorted = require("desired.sorted")
local time = require("desired.time")

local seen = {}

local ZONE = "topology.kubernetes.io/zone"

local function controller_of(object)
  for _, owner in ipairs(access.list(object, "metadata", "ownerReferences")) do
    if owner.controller then
      return owner
    end
  end
  return nil
end

local function condition(object, kind)
  for _, entry in ipairs(access.list(object, "status", "conditions")) do
    if entry.type == kind then
      return entry
    end
  end
  return nil
end

seen.condition = condition

local function is_true(object, kind)
  local found = condition(object, kind)
  return found ~= nil and found.status == "True"
end

--- Name, labels, annotations and owner of any object.
local function head(object)
  local meta, owner = object.metadata, controller_of(object)
  return {
    name = meta.name, uid = meta.uid, labels = access.copy(meta.labels) or {},
    annotations = access.copy(meta.annotations) or {},
    deleting = meta.deletionTimestamp ~= nil,
    owner = owner and { kind = owner.kind, name = owner.name, uid = owner.uid } or nil,
  }
end

--- Which manager ended: it leaves its session as the termination message.
local function session_of(ended)
  return (access.text(ended, "message") or ""):match("^%x+%-%x+%-%x+%-%x+%-%x+")
end

local function container_state(pod)
  for _, status in ipairs(access.list(pod, "status", "containerStatuses")) do
    if status.name == "postgres" then
      local state = status.state or {}
      local last = access.get(status, "lastState", "terminated")
      local ended = state.terminated or (not state.running and last) or nil
      return {
        running = state.running ~= nil, restarts = status.restartCount or 0,
        exit_code = ended and ended.exitCode or nil, ended_at = ended and time.parse(ended.finishedAt) or nil,
        ended_session = session_of(ended),
      }
    end
  end
  return nil
end

local function image_of(pod)
  for _, container in ipairs(access.list(pod, "spec", "containers")) do
    if container.name == "postgres" then
      return container.image
    end
  end
  return nil
end

function seen.pod(object)
  local out = head(object)
  local spec = out.annotations[names.POD_SPEC]
  out.annotations[names.POD_SPEC] = nil
  out.spec_hash = spec and hash.of(spec) or nil
  out.phase = access.get(object, "status", "phase")
  out.ip = access.text(object, "status", "podIP")
  out.node = access.text(object, "spec", "nodeName")
  out.ready = is_true(object, "Ready")
  out.ready_changed = time.parse(access.get(condition(object, "Ready"), "lastTransitionTime"))
  out.image = image_of(object)
  out.container = container_state(object)
  return out
end

function seen.volume(object)
  local out = head(object)
  out.phase = access.get(object, "status", "phase")
  out.size = access.get(object, "spec", "resources", "requests", "storage")
  out.resizing = is_true(object, "Resizing") or is_true(object, "FileSystemResizePending")
  return out
end

function seen.job(object)
  local out = head(object)
  out.done = is_true(object, "Complete") or is_true(object, "SuccessCriteriaMet")
    or (access.int(object, "status", "succeeded") or 0) > 0
  out.failed = is_true(object, "Failed")
  return out
end

function seen.secret(object)
  local out = head(object)
  out.version = object.metadata.resourceVersion
  out.keys = array {}
  for _, key in ipairs(sorted.keys(object.data)) do
    out.keys[#out.keys + 1] = key
  end
  out.certificates = access.copy(object.certificates)
  return out
end

--- An object of which the whole content is compared.
function seen.whole(object)
  local out = head(object)
  for _, key in ipairs { "spec", "rules", "roleRef", "subjects", "imagePullSecrets",
    "automountServiceAccountToken" } do
    out[key] = access.copy(object[key])
  end
  return out
end

function seen.node(object, drain_taints)
  local out = {
    zone = access.get(object, "metadata", "labels", ZONE), ready = is_true(object, "Ready"),
    drained = access.is_true(object, "spec", "unschedulable"),
  }
  for _, taint in ipairs(access.list(object, "spec", "taints")) do
    out.drained = out.drained or drain_taints[taint.key] or false
  end
  return out
end

function seen.lease(object)
  local out = head(object)
  out.holder = access.text(object, "spec", "holderIdentity")
  out.term = access.int(object, "spec", "leaseTransitions") or 0
  out.phase = out.annotations[names.LEASE_PHASE] or "stable"
  out.ranking = out.annotations[names.RANKING]
  out.annotations = nil
  return out
end

local STATUS_KEYS = { "isPrimary", "timeLineID", "systemID", "pendingRestart", "pendingRestartForDecrease",
  "isWalReceiverActive", "mightBeUnavailable", "receivedLsn", "currentLsn", "replayLsn" }
local OWN_KEYS = { "podUID", "role", "phase", "pgUp", "gate", "term", "receiverActive", "receiverQuietMs",
  "failure", "diskFull", "configRead", "startedAt", "crashes" }

local function pick(from, keys)
  local out = {}
  for _, key in ipairs(keys) do
    out[key] = access.get(from, key)
  end
  return out
end

--- The last report of an instance's manager; without one that belongs to this pod there is none.
function seen.report(entry, pod_uid)
  local status = access.get(entry, "status")
  if not status then
    return nil
  end
  local own = access.get(status, "moonherd")
  if own and own.podUID and own.podUID ~= pod_uid then
    return nil
  end
  local out = pick(status, STATUS_KEYS)
  out.connected = entry.connected == true
  out.moonherd = own and pick(own, OWN_KEYS) or {}
  return out
end

--- The Cluster without what nobody here reads.
function seen.cluster(object)
  local out = access.copy(object)
  out.metadata.managedFields = nil
  if out.metadata.annotations then
    out.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"] = nil
  end
  out.status = out.status or {}
  return out
end

return seen
