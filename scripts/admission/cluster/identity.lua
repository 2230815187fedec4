--- Checks of names, secrets, images, service accounts and annotations.
local access = require("admission.access")
local base64 = require("admission.base64")
local json = require("admission.json")
local jsonpatch = require("admission.jsonpatch")
local parameters = require("desired.parameters")
local version = require("admission.version")

local identity = {}

-- 7. The superuser's secret.
local function superuser_secret(c)
  if access.has(c.spec, "superuserSecret") and not access.text(c.spec, "superuserSecret", "name") then
    c:add("spec.superuserSecret.name", "the name of the secret must not be empty")
  end
end

-- 8, 9. Certificates.
local function certificates(c)
  local section = access.map(c.spec, "certificates")
  if access.text(section, "serverTLSSecret") then
    if #access.list(section, "serverAltDNSNames") > 0 then
      c:add("spec.certificates.serverAltDNSNames",
        "names cannot be added to a certificate of your own: remove them or serverTLSSecret")
    end
    if not access.text(section, "serverCASecret") then
      c:add("spec.certificates.serverCASecret", "serverTLSSecret needs the CA's secret here")
    end
  end
  if access.text(section, "replicationTLSSecret") and not access.text(section, "clientCASecret") then
    c:add("spec.certificates.clientCASecret", "replicationTLSSecret needs the CA's secret here")
  end
end

local CATALOGS = { ImageCatalog = true, ClusterImageCatalog = true }

-- The catalog, as the CRD says it too.
local function catalog(c, ref)
  if not CATALOGS[ref.kind] then
    c:add("spec.imageCatalogRef.kind", "'%s' is unknown: use ImageCatalog or ClusterImageCatalog",
      tostring(ref.kind))
  end
  local groups = c.env.api_groups or { "postgresql.cnpg.io" }
  for _, group in ipairs(groups) do
    if ref.apiGroup == group then
      return
    end
  end
  c:add("spec.imageCatalogRef.apiGroup", "must be %s", table.concat(groups, " or "))
end

-- 11. The image and its version.
local function image(c)
  if access.has(c.spec, "imageCatalogRef") then
    catalog(c, c.spec.imageCatalogRef)
    if access.text(c.spec, "imageName") then
      c:add("spec", "imageName and imageCatalogRef exclude each other: remove one")
    end
    return
  end
  local name = access.text(c.spec, "imageName")
  if name then
    local _, reason = version.parse(name)
    if reason then
      c:add("spec.imageName", "%s", reason)
    end
  end
end

local POLICIES = { Always = true, Never = true, IfNotPresent = true, [""] = true }

-- 12. The pull policy.
local function pull_policy(c)
  local policy = access.get(c.spec, "imagePullPolicy")
  if policy ~= nil and not POLICIES[policy] then
    c:add("spec.imagePullPolicy", "'%s' is unknown: use Always, IfNotPresent or Never", tostring(policy))
  end
end

-- 18. The cluster's name.
local function name(c)
  if c.name == "" and access.text(c.cluster, "metadata", "generateName") then
    return -- the API server makes the name later, and the CRD checks it
  end
  if #c.name > 50 then
    c:add("metadata.name", "the name of a cluster may have at most 50 characters, this one has %d", #c.name)
  end
  if not c.name:match("^[a-z][-a-z0-9]*$") or c.name:match("-$") then
    c:add("metadata.name",
      "the name of a cluster begins with a letter and holds only lower-case letters, digits and hyphens")
  end
end

-- 40. Hibernation.
local function hibernation(c)
  local value = c.annotations["cnpg.io/hibernation"]
  if value ~= nil and value ~= "on" and value ~= "off" then
    c:add("metadata.annotations[cnpg.io/hibernation]", "'%s' is unknown: use on or off", tostring(value))
  end
end

-- 41. The patch for pods.
local function pod_patch(c)
  local text = c.annotations["cnpg.io/podPatch"]
  if text == nil then
    return
  end
  local path = "metadata.annotations[cnpg.io/podPatch]"
  local ops, reason = json.decode(text)
  reason = reason or jsonpatch.check(ops)
  if reason then
    c:add(path, "not a JSON patch: %s", reason)
    return
  end
  local pod = c.env.generated_pod and c.env.generated_pod(c.cluster)
  if pod then
    local _, failure = jsonpatch.apply(pod, ops)
    if failure then
      c:add(path, "the patch does not fit a pod of this cluster: %s", failure)
    end
  end
end

local TOKEN_FIELDS = { "latestCheckpointTimelineID", "redoWalFile", "databaseSystemIdentifier",
  "latestCheckpointREDOLocation", "timeOfLatestCheckpoint", "operatorVersion" }

local function token_fault(token)
  local value = json.decode(base64.decode(token))
  if type(value) ~= "table" then
    return "it is not base64 of a JSON object"
  end
  for _, field in ipairs(TOKEN_FIELDS) do
    if not access.text(value, field) and not access.int(value, field) then
      return field .. " is missing in it"
    end
  end
  return nil
end

-- 42. The promotion token.
local function promotion_token(c)
  local token = access.text(c.spec, "replica", "promotionToken")
  if not token then
    return
  end
  local path = "spec.replica.promotionToken"
  if parameters.is_replica(c.spec, c.name) then
    c:add(path, "a promotion token is for a cluster that stops being a replica: remove it")
  end
  if access.text(c.spec, "replica", "minApplyDelay") then
    c:add(path, "a promotion token cannot be used with minApplyDelay: remove one")
  end
  local fault = token_fault(token)
  if fault then
    c:add(path, "the token cannot be read: %s; copy status.demotionToken of the other cluster", fault)
  end
end

-- 44. The annotation that came before probes.liveness.isolationCheck.
local function liveness_pinger(c)
  local text = c.annotations["alpha.cnpg.io/livenessPinger"]
  if text == nil then
    return
  end
  local path = "metadata.annotations[alpha.cnpg.io/livenessPinger]"
  local value, reason = json.decode(text)
  if reason then
    c:add(path, "not JSON: %s", reason)
  elseif type(access.get(value, "enabled")) ~= "boolean" then
    c:add(path, "needs a boolean 'enabled'; better use spec.probes.liveness.isolationCheck")
  end
end

-- 47. Service account.
local function service_account(c)
  if access.text(c.spec, "serviceAccountName") and access.has(c.spec, "serviceAccountTemplate") then
    c:add("spec.serviceAccountTemplate", "an existing service account (serviceAccountName) takes no template")
  end
end

-- 48. Timing of the primary's lease.
local function primary_lease(c)
  local lease = access.get(c.spec, "primaryLease")
  if type(lease) ~= "table" then
    return
  end
  local duration = access.int(lease, "leaseDurationSeconds") or 15
  local renew = access.int(lease, "renewDeadlineSeconds") or 10
  local retry = access.int(lease, "retryPeriodSeconds") or 2
  if duration <= renew then
    c:add("spec.primaryLease.leaseDurationSeconds", "%d must exceed renewDeadlineSeconds (%d)", duration,
      renew)
  end
  if 5 * renew <= 6 * retry then
    c:add("spec.primaryLease.renewDeadlineSeconds", "%d must exceed 1.2 times retryPeriodSeconds (%d)",
      renew, retry)
  end
end

identity.checks = { superuser_secret, certificates, image, pull_policy, name, hibernation, pod_patch,
  promotion_token, liveness_pinger, service_account, primary_lease }

return identity
