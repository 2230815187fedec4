--- A world that does at once what a plan asks for: what was seen of a cluster is changed as the API server,
--- the kubelet and the instance managers would change it, when all goes well. Pure.
-- luacheck: read globals array null
local access = require("admission.access")
local names = require("desired.names")
local seen_of = require("controllers.cluster.seen")
local stale = require("controllers.cluster.stale")

local imagined = {}

local BY_NAME = { Service = "services", PodDisruptionBudget = "budgets" }
local SINGLE = { ServiceAccount = "account", Role = "role", RoleBinding = "binding" }
local DAY_S = 86400

local function uid_of(seen)
  seen.imagined = (seen.imagined or 0) + 1
  return ("imagined-%d"):format(seen.imagined)
end

local function remove(list, name)
  for i, entry in ipairs(list) do
    if entry.name == name then
      table.remove(list, i)
      return entry
    end
  end
  return nil
end

local function find(list, name)
  for _, entry in ipairs(list) do
    if entry.name == name then
      return entry
    end
  end
  return nil
end

local function any_node(seen)
  for _, pod in ipairs(seen.pods) do
    if pod.node then
      return pod.node
    end
  end
  return nil
end

local function report_of(seen, pod)
  local is_primary = access.get(seen, "lease", "holder") == pod.name
  local status = seen.cluster.status
  return {
    connected = true, isPrimary = is_primary, isWalReceiverActive = not is_primary, pendingRestart = false,
    timeLineID = status.timelineID or 1, systemID = status.systemID,
    moonherd = { podUID = pod.uid, role = is_primary and "primary" or "standby", phase = "running",
      pgUp = true, gate = "open", receiverActive = not is_primary or nil },
  }
end

--- An instance whose manager runs. The first pod of a new cluster becomes its primary.
local function add_pod(seen, object)
  local pod = seen_of.pod(object)
  pod.phase, pod.ready, pod.ip, pod.node = "Running", true, "0.0.0.0", any_node(seen)
  pod.container = { running = true, restarts = 0 }
  seen.pods[#seen.pods + 1] = pod
  if pod.labels[names.POD_ROLE] ~= "instance" then
    return
  end
  local lease = seen.lease
  if lease and not lease.holder then
    lease.holder, lease.term, lease.phase = pod.name, 1, "stable"
  end
  seen.reports[pod.name] = report_of(seen, pod)
end

local function add_secret(seen, object, fill)
  local secret = seen_of.secret(object)
  if fill and fill.type ~= "password" then
    secret.certificates = { [fill.type == "ca" and "ca.crt" or "tls.crt"] = {
      not_after = seen.now + 90 * DAY_S, dns_names = access.copy(fill.dns_names),
    } }
  end
  seen.secrets[secret.name] = secret
end

local ADD = { Pod = add_pod, Secret = add_secret }

function ADD.PersistentVolumeClaim(seen, object)
  local claim = seen_of.volume(object)
  claim.phase = "Bound"
  seen.volumes[#seen.volumes + 1] = claim
end

function ADD.Job(seen, object)
  local job = seen_of.job(object)
  job.done = true
  seen.jobs[#seen.jobs + 1] = job
end

function ADD.Lease(seen, object)
  seen.lease = seen_of.lease(object)
end

local function add(seen, given, fill)
  local object = access.copy(given)
  local kind = object.kind
  object.metadata.uid = uid_of(seen)
  if BY_NAME[kind] then
    seen[BY_NAME[kind]][object.metadata.name] = seen_of.whole(object)
  elseif SINGLE[kind] then
    seen[SINGLE[kind]] = seen_of.whole(object)
  elseif ADD[kind] then
    ADD[kind](seen, object, fill)
  end
end

--- What is there of this name.
function imagined.get(seen, kind, name)
  local list = ({ Pod = seen.pods, PersistentVolumeClaim = seen.volumes, Job = seen.jobs })[kind]
  if list then
    return find(list, name)
  elseif kind == "Secret" then
    return seen.secrets[name]
  elseif kind == "Lease" then
    return seen.lease
  elseif BY_NAME[kind] then
    return seen[BY_NAME[kind]][name]
  end
  return SINGLE[kind] and seen[SINGLE[kind]] or nil
end

local DO = {}

function DO.create(seen, action)
  if not imagined.get(seen, action.object.kind, action.object.metadata.name) then
    add(seen, action.object, action.fill)
  end
end

function DO.apply(seen, action)
  add(seen, action.object)
end

function DO.renew(seen, action)
  local secret = seen.secrets[action.name]
  for _, certificate in pairs(secret and secret.certificates or {}) do
    certificate.not_after = seen.now + 90 * DAY_S
    certificate.dns_names = access.copy(action.fill.dns_names)
  end
  if seen.pull and action.fill.type == "copy" then
    seen.pull.same_data = true
  end
end

function DO.patch(seen, action)
  local claim = imagined.get(seen, action.kind, action.name)
  local size = access.get(action, "body", "spec", "resources", "requests", "storage")
  if claim and size then
    claim.size = size
  end
end

local function merge(to, from)
  for key, value in pairs(from or {}) do
    to[key] = value ~= null and value or nil
  end
end

--- All managers have read the configuration, and say so.
function imagined.read_config(seen)
  local config = stale.config_of(seen.cluster)
  for _, report in pairs(seen.reports or {}) do
    if report.moonherd then
      report.moonherd.configRead = config
    end
  end
end

function DO.label(seen, action)
  if action.kind:match("^[^.]+") == seen.cluster.kind then
    local meta = seen.cluster.metadata
    meta.annotations = meta.annotations or {}
    merge(meta.annotations, action.annotations)
    imagined.read_config(seen)
    return
  end
  local entry = imagined.get(seen, action.kind, action.name)
  if entry then
    merge(entry.labels, action.labels)
    merge(entry.annotations, action.annotations)
  end
end

local function forget_instance(seen, name)
  seen.reports[name] = nil
end

function DO.delete(seen, action)
  local kind, name = action.kind, action.name
  if kind == "Pod" then
    remove(seen.pods, name)
    forget_instance(seen, name)
  elseif kind == "PersistentVolumeClaim" then
    remove(seen.volumes, name)
  elseif kind == "Job" then
    local job = remove(seen.jobs, name)
    for i = #seen.pods, 1, -1 do
      local owner = seen.pods[i].owner
      if job and owner and owner.uid == job.uid then
        table.remove(seen.pods, i)
      end
    end
  elseif BY_NAME[kind] then
    seen[BY_NAME[kind]][name] = nil
  elseif kind == "Secret" then
    seen.secrets[name] = nil
  end
end

function DO.instance(seen, action)
  local report = seen.reports[action.pod]
  if report and action.command == "restart" then
    report.pendingRestart, report.pendingRestartForDecrease = false, false
  end
end

--- Carries one action out.
function imagined.act(seen, action)
  local fn = DO[action.op]
  if fn then
    fn(seen, action)
  end
end

--- Those that are there, and those that come; one without a status goes.
local function merge_conditions(old, new)
  local out, at = array {}, {}
  for _, list in ipairs { old or {}, new } do
    for _, condition in ipairs(list) do
      at[condition.type] = at[condition.type] or #out + 1
      out[at[condition.type]] = access.copy(condition)
    end
  end
  for i = #out, 1, -1 do
    if out[i].status == null or out[i].status == nil then
      table.remove(out, i)
    end
  end
  return out
end

--- The status as the plan wants it.
function imagined.status(seen, fields)
  local status = seen.cluster.status
  for key, value in pairs(fields or {}) do
    if key == "conditions" then
      status.conditions = merge_conditions(status.conditions, value)
    else
      status[key] = value ~= null and access.copy(value) or nil
    end
  end
end

--- A planned change of role, as the protocol and the managers carry it out.
function imagined.switch(seen, to)
  local lease, status = seen.lease, seen.cluster.status
  lease.holder, lease.term, lease.phase = to, (lease.term or 0) + 1, "stable"
  status.currentPrimary, status.targetPrimary = to, to
  for _, pod in ipairs(seen.pods) do
    local is_primary = pod.name == to
    if seen.reports[pod.name] then
      local report = report_of(seen, pod)
      report.pendingRestart = seen.reports[pod.name].pendingRestart
      -- a primary that steps down starts again as a standby
      if not is_primary and seen.reports[pod.name].isPrimary then
        report.pendingRestart = false
      end
      seen.reports[pod.name] = report
      local role = is_primary and "primary" or "replica"
      pod.labels[names.ROLE], pod.labels[names.INSTANCE_ROLE] = role, role
    end
  end
end

return imagined
