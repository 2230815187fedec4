--- The status of a Cluster, from what was seen and what is planned.
-- luacheck: read globals array null
local names = require("desired.names")
local pass = require("controllers.cluster.pass")
local restarts = require("controllers.cluster.restarts")
local roles = require("controllers.cluster.roles")
local secret = require("desired.secret")
local sorted = require("desired.sorted")
local time = require("desired.time")

local status = {}

local SILENT_MS = 30000

--- A list, or null where there is nothing to list.
local function list_or_null(list)
  return #list > 0 and list or null
end

local function state_of(instance)
  if instance.is_ready then
    return "healthy"
  end
  return instance.pod.phase == "Running" and not instance.pod.deleting and "replicating" or "failed"
end

local function instance_fields(p)
  local known, states, ready, complete = array {}, {}, 0, 0
  for _, instance in ipairs(p.instances) do
    if instance.data and not instance.deleting then
      complete = complete + (instance.is_complete and 1 or 0)
      known[#known + 1] = instance.name
    end
    if instance.pod then
      local state = state_of(instance)
      states[state] = states[state] or array {}
      table.insert(states[state], instance.name)
      ready = ready + (state == "healthy" and 1 or 0)
    end
  end
  local fields = p.fields
  fields.instances, fields.readyInstances = complete, ready
  fields.instanceNames, fields.instancesStatus = known, states
end

--- What each instance reported last. An operator that has just started keeps what it finds.
local function reported_state(p)
  local out, before = {}, p.status.instancesReportedState or {}
  for _, instance in ipairs(p.instances) do
    local report, pod = instance.report, instance.pod
    if report and report.isPrimary ~= nil then
      out[instance.name] = { isPrimary = report.isPrimary, timeLineID = report.timeLineID, ip = pod.ip }
    elseif pod and before[instance.name] then
      out[instance.name] = before[instance.name]
    end
  end
  p.fields.instancesReportedState = out
end

local function systems(p)
  local ids, primary = {}, nil
  for _, instance in ipairs(p.instances) do
    local id = instance.report and instance.report.systemID
    if id and id ~= "" then
      ids[id] = true
      primary = instance.name == p.primary and instance.report or primary
    end
  end
  if primary then
    p.fields.systemID, p.fields.timelineID = primary.systemID, primary.timeLineID
  end
  local all = sorted.keys(ids)
  if #all == 1 then
    p:condition("ConsistentSystemID", true, "Unique", "All instances report the same system identifier")
  elseif #all > 1 then
    p:condition("ConsistentSystemID", false, "Mismatch",
      "System identifiers differ: " .. table.concat(all, ", "))
  elseif not p.status.systemID then
    p:condition("ConsistentSystemID", false, "NotFound", "No instance has reported a system identifier yet")
  end
end

local function class_of(instance, claim)
  if claim.deleting then
    return nil
  elseif claim.resizing then
    return "resizingPVC"
  elseif instance.pod then
    return "healthyPVC"
  elseif instance.job then
    return "initializingPVC"
  end
  return instance.is_complete and "danglingPVC" or "unusablePVC"
end

local function volume_fields(p)
  local classes = {
    resizingPVC = array {}, healthyPVC = array {}, initializingPVC = array {}, danglingPVC = array {},
    unusablePVC = array {},
  }
  local count = 0
  for _, instance in ipairs(p.instances) do
    for name, claim in sorted.pairs(instance.volumes) do
      local class = class_of(instance, claim)
      count = count + (claim.deleting and 0 or 1)
      table.insert(classes[class] or {}, class and name or nil)
    end
  end
  for class, list in pairs(classes) do
    p.fields[class] = list_or_null(list)
  end
  p.fields.pvcCount, p.fields.jobCount = count, #p.seen.jobs
end

local function topology(p)
  local pods, used, count = {}, {}, 0
  local is_whole = true
  for _, instance in ipairs(p.instances) do
    local pod = instance.pod
    if pod and not pod.node then
      is_whole = false
    elseif pod then
      pods[instance.name] = {}
      count = count + (used[pod.node] and 0 or 1)
      used[pod.node] = true
    end
  end
  p.fields.topology = { instances = pods, nodesUsed = count, successfullyExtracted = is_whole }
end

local function certificates(p)
  local use = names.certificates(p.name, p.spec)
  local expirations = {}
  for _, name in ipairs { use.server_ca, use.client_ca, use.server, use.replication } do
    local found = (p.seen.secrets[name] or {}).certificates or {}
    local one = found["tls.crt"] or found["ca.crt"]
    if one and one.not_after then
      expirations[name] = time.go(one.not_after)
    end
  end
  p.fields.certificates = {
    serverCASecret = use.server_ca, clientCASecret = use.client_ca, serverTLSSecret = use.server,
    replicationTLSSecret = use.replication, expirations = expirations,
    serverAltDNSNames = (p.spec.certificates or {}).serverAltDNSNames,
  }
end

local function versions(p)
  local use, users = names.certificates(p.name, p.spec), secret.user_names(p.name, p.spec)
  local function version(name)
    return name and (p.seen.secrets[name] or {}).version or nil
  end
  p.fields.secretsResourceVersion = {
    superuserSecretVersion = version(users.superuser), applicationSecretVersion = version(users.app),
    replicationSecretVersion = version(use.replication), clientCaSecretVersion = version(use.client_ca),
    serverCaSecretVersion = version(use.server_ca), serverSecretVersion = version(use.server),
  }
end

--- Why a replica is not well although the kubelet calls it ready, or nil. An update that is under way goes on
--- until the one that was restarted is there again.
local function ailment(p, instance)
  if not instance.is_ready then
    return ("instance %s is not ready"):format(instance.name)
  end
  local own = instance.is_connected and instance.name ~= p.primary and instance.report.moonherd or {}
  if own.receiverActive == false and (own.receiverQuietMs or 0) > SILENT_MS then
    return ("instance %s has not streamed for %d s"):format(instance.name, own.receiverQuietMs // 1000)
  end
  return p.status.phase == pass.UPGRADING and restarts.is_away(p, instance)
    and ("instance %s is being restarted"):format(instance.name) or nil
end

--- What is missing for all to be well. A rolling update that waits for a pod stays one.
local function verdict_of_instances(p)
  local before = p.status.phase
  local phase = (before == pass.UPGRADING or before == pass.NO_SWITCHOVER) and before or pass.WAITING
  if not p.primary then
    p:say(p:is_initialized() and pass.WAITING or pass.SETTING_UP, "no instance is primary yet", 2)
    return
  end
  for _, instance in ipairs(p.instances) do
    local text = not instance.deleting and ailment(p, instance)
    if text then
      p:say(phase, text, 5)
    end
  end
  if p.fields.readyInstances < p.spec.instances then
    p:say(phase, ("%d of %d instances are ready"):format(p.fields.readyInstances, p.spec.instances), 5)
  end
  local wish = roles.target(p.status, p.lease, p.seen.pods)
  if wish ~= p.primary then
    p:say(pass.SWITCHING, p.verdict.reason, 1)
  end
end

--- The fields that describe instances, volumes, secrets.
function status.describe(p)
  local fields = p.fields
  fields.selector = ("%s=%s,%s=instance"):format(names.CLUSTER, p.name, names.POD_ROLE)
  fields.writeService, fields.readService = p.name .. "-rw", p.name .. "-r"
  fields.operatorCertificateFingerprint = p.seen.operator.fingerprint
  instance_fields(p)
  reported_state(p)
  systems(p)
  volume_fields(p)
  topology(p)
  certificates(p)
  versions(p)
  if p:is_initialized() then
    p:condition("Initialized", true, "BootstrapCompleted", "The cluster has had its first primary")
  else
    p:condition("Initialized", false, "BootstrapPending", "The cluster has no primary yet")
  end
  verdict_of_instances(p)
end

local function placement_condition(p)
  if p.refused then
    p:condition("moonherd.io/PlacementRejected", true, "PlacementRejected", p.refused)
    return
  end
  for _, condition in ipairs(p.status.conditions or {}) do
    if condition.type == "moonherd.io/PlacementRejected" then
      p.conditions[#p.conditions + 1] = { type = condition.type, status = null }
    end
  end
end

--- Ready pods are not enough: a primary behind its gate refuses clients. What is not known is no news.
local function behind_its_gate(p)
  local primary = p.by_name[p.primary]
  if not primary then
    return false
  end
  if not primary.is_connected then
    return p.status.phase ~= pass.HEALTHY
  end
  local own = primary.report.moonherd
  return own ~= nil and own.gate == "closed"
end

local function tell_gate(p)
  if p.primary and behind_its_gate(p) then
    p:say(pass.WAITING, ("primary %s does not let clients in yet"):format(p.primary), 1)
  end
end

--- Ends the pass: phase, conditions and the one sentence.
---@return table plan
function status.finish(p)
  tell_gate(p)
  p:say(pass.HEALTHY, ("%s is primary and %d of %d instances are ready"):format(p.primary or "nobody",
    p.fields.readyInstances or 0, p.spec.instances), p.again_s)
  local is_healthy = p.phase == pass.HEALTHY
  p.fields.phase = p.phase
  p.fields.phaseReason = is_healthy and null or p.reason
  placement_condition(p)
  local is_ready = is_healthy or p.phase == pass.DELAYED -- an update that waits takes nothing away
  p:condition("Ready", is_ready, is_ready and "ClusterIsReady" or "ClusterIsNotReady",
    is_ready and "Cluster is Ready" or p.phase)
  p.fields.conditions = p.conditions
  local again = p.verdict.look_again_s
  if again and again > 0 then
    p.requeue_s = math.min(p.requeue_s, again)
  end
  return outcome { actions = p.actions, status = p.fields, reason = p.reason, requeue_s = p.requeue_s }
end

return status
