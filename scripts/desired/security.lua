--- Security contexts: what a namespace that enforces "restricted" lets in.
-- luacheck: read globals array
local access = require("admission.access")

local security = {}

local function seccomp(spec)
  return access.copy(spec.seccompProfile) or { type = "RuntimeDefault" }
end

--- The pod's context. A user's own is taken as it is, with user, group and seccomp filled in.
---@param spec table of the Cluster
function security.of_pod(spec)
  local user, group = spec.postgresUID or 26, spec.postgresGID or 26
  local given = access.copy(spec.podSecurityContext)
  if not given then
    return { runAsUser = user, runAsGroup = group, fsGroup = group, runAsNonRoot = true,
      seccompProfile = seccomp(spec) }
  end
  given.runAsUser = given.runAsUser or user
  given.runAsGroup = given.runAsGroup or group
  given.seccompProfile = given.seccompProfile or seccomp(spec)
  return given
end

--- The context of a container; the user's fields win one by one.
---@param spec table of the Cluster
function security.of_container(spec)
  local out = {
    capabilities = { drop = array { "ALL" } }, privileged = false, runAsNonRoot = true,
    readOnlyRootFilesystem = true, allowPrivilegeEscalation = false, seccompProfile = seccomp(spec),
  }
  for _, key in ipairs(access.keys(access.map(spec, "securityContext"))) do
    out[key] = access.copy(spec.securityContext[key])
  end
  return out
end

return security
