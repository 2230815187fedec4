--- The pod of an instance.
-- luacheck: read globals array
local access = require("admission.access")
local affinity = require("desired.affinity")
local container = require("desired.container")
local decode = require("admission.json").decode
local hash = require("desired.hash")
local json = require("desired.json")
local jsonpatch = require("admission.jsonpatch")
local meta = require("desired.meta")
local mounts = require("desired.mounts")
local names = require("desired.names")
local probes = require("desired.probes")
local rbac = require("desired.rbac")
local security = require("desired.security")

local pod = {}

--- Scheduling, account and volumes: what pods and jobs have in common.
---@param c desired.Context
---@param instance string
---@param hostname string
---@param placement table?
---@param of_job boolean
function pod.frame(c, instance, hostname, placement, of_job)
  local spec = c.spec
  return {
    hostname = hostname,
    serviceAccountName = rbac.account_name(c), automountServiceAccountToken = false,
    securityContext = security.of_pod(spec),
    affinity = affinity.build(c, placement, of_job),
    nodeSelector = affinity.node_selector(c, placement),
    topologySpreadConstraints = affinity.spread(c, placement),
    tolerations = access.copy(access.get(spec, "affinity", "tolerations")),
    schedulerName = access.text(spec, "schedulerName"),
    priorityClassName = access.text(spec, "priorityClassName"),
    imagePullSecrets = access.copy(spec.imagePullSecrets),
    volumes = mounts.volumes(c, instance),
    initContainers = array { container.bootstrap(c, instance) },
  }
end

local function has_pprof(c)
  return access.get(c.cluster, "metadata", "annotations", names.PPROF) == "true"
end

local function command(c)
  local out = array { container.MANAGER, "instance", "run" }
  if has_pprof(c) then
    out[#out + 1] = "--pprof-server"
  end
  out[#out + 1] = "--status-port-tls"
  if access.is_true(c.spec, "monitoring", "tls", "enabled") then
    out[#out + 1] = "--metrics-port-tls"
  end
  out[#out + 1] = container.log_level(c.spec)
  return out
end

local function ports(c)
  local out = array {
    { name = "postgresql", containerPort = 5432, protocol = "TCP" },
    { name = "metrics", containerPort = 9187, protocol = "TCP" },
    { name = "status", containerPort = 8000, protocol = "TCP" },
  }
  if has_pprof(c) then
    out[#out + 1] = { name = "pprof", containerPort = 6060, protocol = "TCP" }
  end
  return out
end

--- The specification of an instance's pod.
---@param c desired.Context
---@param instance string
---@param placement table?
function pod.spec(c, instance, placement)
  local out = pod.frame(c, instance, instance, placement, false)
  local main = container.main(c, instance, "postgres", instance, command(c))
  local asked = probes.build(c.spec)
  main.ports = ports(c)
  main.startupProbe, main.readinessProbe, main.livenessProbe = asked.startup, asked.readiness, asked.liveness
  out.containers = array { main }
  out.terminationGracePeriodSeconds = c.spec.stopDelay or 1800
  if c.operator.create_any_service then
    out.subdomain = c.name .. "-any"
  end
  return out
end

local function app_armor(c)
  local out = {}
  for key, value in pairs(access.map(c.cluster, "metadata", "annotations")) do
    local name = key:sub(1, #names.APPARMOR) == names.APPARMOR and key:sub(#names.APPARMOR + 1)
    if name == "postgres" or name == "bootstrap-controller" then
      out[key] = value
    end
  end
  return out
end

--- Applies the user's patch. One that does not fit changes nothing: the validation has said so.
local function patched(c, object)
  local ops = decode(access.text(c.cluster, "metadata", "annotations", names.POD_PATCH))
  return ops and jsonpatch.apply(object, ops) or object
end

--- The pod of an instance, with its specification in an annotation so that a later pass sees what changed.
---@param c desired.Context
---@param instance string
---@param serial integer
---@param placement table?
function pod.build(c, instance, serial, placement)
  local spec = pod.spec(c, instance, placement)
  local main = spec.containers[1]
  local object = meta.object(c, "Pod", instance,
    meta.merged(meta.standard(c), { [names.INSTANCE] = instance, [names.POD_ROLE] = "instance" }),
    meta.merged(app_armor(c), {
      [names.SERIAL] = tostring(serial),
      [names.POD_ENV_HASH] = hash.of(json.encode { main.env, main.envFrom or array {} }):sub(1, 8),
      [names.RESTARTED_AT] = access.text(c.cluster, "metadata", "annotations", names.RESTARTED_AT),
      [names.PLACEMENT] = not affinity.is_empty(placement) and json.encode(placement) or nil,
    }))
  object.spec = spec
  object = patched(c, object)
  object.metadata.annotations[names.POD_SPEC] = json.encode(object.spec)
  return object
end

return pod
