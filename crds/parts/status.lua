--- status of a Cluster.
local s = require("parts.schema")
local postgresql = require("parts.postgresql")
local workload = require("parts.workload")

local status = {}

function status.conditions()
  local name = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
  return s.list(s.obj {
    ["type!"] = s.str { maxLength = 316,
      pattern = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(" .. name .. ")$" },
    ["status!"] = s.enum { "True", "False", "Unknown" },
    ["reason!"] = s.str { minLength = 1, maxLength = 1024,
      pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" },
    ["message!"] = s.str { maxLength = 32768 },
    ["lastTransitionTime!"] = s.time(),
    observedGeneration = s.int64 { minimum = 0 },
  })
end

local function instances()
  return {
    instances = s.int(), readyInstances = s.int(),
    selector = s.str(),
    instancesStatus = s.map(s.list(), { doc = "Pods that are healthy, replicating or failed." }),
    instancesReportedState = s.map(s.obj { ["isPrimary!"] = s.bool(), timeLineID = s.int(), ip = s.str() }),
    instanceNames = s.list(),
    currentPrimary = s.str(), currentPrimaryTimestamp = s.str(),
      currentPrimaryFailingSinceTimestamp = s.str(),
    targetPrimary = s.str { doc = "Who shall be primary; a change asks for a switchover." },
    targetPrimaryTimestamp = s.str(),
    phase = s.str(), phaseReason = s.str(),
    timelineID = s.int(), systemID = s.str(),
    topology = s.obj {
      instances = s.map(s.map()), nodesUsed = s.int32(), successfullyExtracted = s.bool(),
    },
    latestGeneratedNode = s.int(),
    pvcCount = s.int32(), jobCount = s.int32(),
    danglingPVC = s.list(), resizingPVC = s.list(), initializingPVC = s.list(), healthyPVC = s.list(),
    unusablePVC = s.list(),
    writeService = s.str(), readService = s.str(),
  }
end

local function versions()
  local certificates = workload.certificates_fields()
  certificates.expirations = s.map()
  return {
    secretsResourceVersion = s.obj {
      superuserSecretVersion = s.str(), replicationSecretVersion = s.str(),
        applicationSecretVersion = s.str(),
      caSecretVersion = s.str(), clientCaSecretVersion = s.str(), serverCaSecretVersion = s.str(),
      serverSecretVersion = s.str(), barmanEndpointCA = s.str(), managedRoleSecretVersion = s.map(),
      externalClusterSecretVersion = s.map(), metrics = s.map(),
    },
    configMapResourceVersion = s.obj { metrics = s.map() },
    certificates = s.obj(certificates),
    cloudNativePGCommitHash = s.str(), cloudNativePGOperatorHash = s.str(),
    operatorCertificateFingerprint = s.str(),
    availableArchitectures = s.list(s.obj { ["goArch!"] = s.str(), ["hash!"] = s.str() }),
    onlineUpdateEnabled = s.bool(),
    image = s.str(),
  }
end

local function backups()
  return {
    firstRecoverabilityPoint = s.str(), firstRecoverabilityPointByMethod = s.map(s.time()),
    lastSuccessfulBackup = s.str(), lastSuccessfulBackupByMethod = s.map(s.time()),
    lastFailedBackup = s.str(),
  }
end

local function image_info()
  return s.obj {
    ["image!"] = s.str(), ["majorVersion!"] = s.int(), extensions = postgresql.extensions(),
  }
end

local function plugin()
  return s.obj {
    ["name!"] = s.str(), ["version!"] = s.str(), capabilities = s.list(), operatorCapabilities = s.list(),
    walCapabilities = s.list(), backupCapabilities = s.list(), restoreJobHookCapabilities = s.list(),
    status = s.str(),
  }
end

local function managed()
  return {
    pgDataImageInfo = image_info(), targetPgDataImageInfo = image_info(),
    pluginStatus = s.list(plugin()),
    switchReplicaClusterStatus = s.obj { inProgress = s.bool() },
    demotionToken = s.str(), lastPromotionToken = s.str(),
    poolerIntegrations = s.obj { pgBouncerIntegration = s.obj { secrets = s.list() } },
    managedRolesStatus = s.obj {
      byStatus = s.map(s.list()), cannotReconcile = s.map(s.list()),
      passwordStatus = s.map(s.obj { transactionID = s.int64(), resourceVersion = s.str() }),
    },
    tablespacesStatus = s.list(s.obj {
      ["name!"] = s.str(), ["state!"] = s.str(), owner = s.str(), error = s.str(),
    }),
    podSelectorRefs = s.keyed("name", s.obj { ["name!"] = s.str(), ips = s.list() }),
    conditions = status.conditions(),
  }
end

function status.cluster()
  local out = {}
  for _, fields in ipairs { instances(), versions(), backups(), managed() } do
    for key, value in pairs(fields) do
      out[key] = value
    end
  end
  return s.obj(out, { doc = "What is." })
end

return status
