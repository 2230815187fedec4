--- The containers that pods and jobs of an instance share: the one that brings the manager, and PostgreSQL's.
-- luacheck: read globals array
local access = require("admission.access")
local meta = require("desired.meta")
local mounts = require("desired.mounts")
local security = require("desired.security")

local container = {}

container.MANAGER = "/controller/manager"

local function log_level(spec)
  return "--log-level=" .. (access.text(spec, "logLevel") or "info")
end

container.log_level = log_level

--- The environment, in the order that the user's own variables may build on.
---@param c desired.Context
---@param pod string value of POD_NAME
function container.env(c, pod)
  local out = array {
    { name = "PGDATA", value = "/var/lib/postgresql/data/pgdata" },
    { name = "POD_NAME", value = pod },
    { name = "NAMESPACE", value = c.namespace },
    { name = "CLUSTER_NAME", value = c.name },
    { name = "PSQL_HISTORY", value = "/controller/tmp/.psql_history" },
    { name = "PGPORT", value = "5432" },
    { name = "PGHOST", value = "/controller/run" },
    { name = "TMPDIR", value = "/controller/tmp" },
  }
  for _, variable in ipairs(c.spec.env or {}) do
    out[#out + 1] = access.copy(variable)
  end
  if c.operator.standby_tcp_user_timeout then
    out[#out + 1] = { name = "CNPG_STANDBY_TCP_USER_TIMEOUT",
      value = tostring(c.operator.standby_tcp_user_timeout) }
  end
  local group = meta.group(c.cluster.apiVersion)
  if group ~= meta.PEER_GROUP then -- where the manager finds its Cluster
    out[#out + 1] = { name = "MOONHERD_API_GROUP", value = group }
  end
  return out
end

local function image_pull_policy(spec)
  return access.text(spec, "imagePullPolicy")
end

--- Copies the operator's binary to where PostgreSQL, probes and exec call it.
---@param c desired.Context
---@param instance string whose volumes are mounted
function container.bootstrap(c, instance)
  return {
    name = "bootstrap-controller", image = c.operator.image, imagePullPolicy = image_pull_policy(c.spec),
    command = array { "/manager", "bootstrap", container.MANAGER, log_level(c.spec) },
    resources = access.copy(c.spec.resources) or {},
    securityContext = security.of_container(c.spec),
    volumeMounts = mounts.of_bootstrap(c, instance),
  }
end

--- A container from the PostgreSQL image with everything but ports and probes.
---@param c desired.Context
---@param instance string whose volumes are mounted
---@param name string of the container
---@param pod string value of POD_NAME
---@param command string[]
function container.main(c, instance, name, pod, command)
  local out = {
    name = name, image = c.image, imagePullPolicy = image_pull_policy(c.spec),
    command = array(command),
    env = container.env(c, pod),
    resources = access.copy(c.spec.resources) or {},
    securityContext = security.of_container(c.spec),
    volumeMounts = mounts.of_main(c, instance),
  }
  if #access.list(c.spec, "envFrom") > 0 then
    out.envFrom = access.copy(c.spec.envFrom)
  end
  return out
end

return container
