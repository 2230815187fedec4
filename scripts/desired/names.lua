--- The names of everything that belongs to a cluster. Tools look for exactly these.
local names = {}

names.CLUSTER = "cnpg.io/cluster"
names.INSTANCE = "cnpg.io/instanceName"
names.INSTANCE_ROLE = "cnpg.io/instanceRole"
names.ROLE = "role"
names.POD_ROLE = "cnpg.io/podRole"
names.JOB_ROLE = "cnpg.io/jobRole"
names.PVC_ROLE = "cnpg.io/pvcRole"
names.TABLESPACE = "cnpg.io/tablespaceName"
names.RELOAD = "cnpg.io/reload"
names.USER_TYPE = "cnpg.io/userType"
names.MANAGED_SERVICE = "cnpg.io/isManaged"

names.SERIAL = "cnpg.io/nodeSerial"
names.PVC_STATUS = "cnpg.io/pvcStatus"
names.POD_SPEC = "cnpg.io/podSpec"
names.POD_ENV_HASH = "cnpg.io/podEnvHash"
names.OPERATOR_VERSION = "cnpg.io/operatorVersion"
names.UPDATE_STRATEGY = "cnpg.io/updateStrategy"
names.MANAGED_SECRETS = "cnpg.io/managedSecrets"
names.FENCED = "cnpg.io/fencedInstances"
names.HIBERNATION = "cnpg.io/hibernation"
names.RECONCILE_LOOP = "cnpg.io/reconciliationLoop"
names.RECONCILE_POD_SPEC = "cnpg.io/reconcilePodSpec"
names.POD_PATCH = "cnpg.io/podPatch"
names.SKIP_ARCHIVING = "cnpg.io/skipWalArchiving"
names.RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
names.UNRECOVERABLE = "alpha.cnpg.io/unrecoverable"
names.PPROF = "alpha.cnpg.io/enableInstancePprof"
names.APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
names.PLACEMENT = "moonherd.io/placement"
names.LEASE_PHASE = "moonherd.io/phase"
names.LEASE_CONFIGS = "moonherd.io/configs"
names.RANKING = "moonherd.io/ranking"
names.ROLLOUT_SINCE = "moonherd.io/rollout-since"
names.HEAL = "moonherd.io/heal"
names.SYNC_POLICY = "moonherd.io/sync-policy"
names.URGENT = "moonherd.io/urgent-update"
names.INSTANCE_POLICY = "moonherd.io/instance-policy"

--- The release whose objects ours are like; tools that know the peer read it.
names.COMPATIBLE = "1.30.0"

function names.instance(cluster, serial)
  return ("%s-%d"):format(cluster, serial)
end

--- The serial in the name of an instance of the cluster, or nil.
---@param cluster string
---@param instance any
---@return integer?
function names.serial(cluster, instance)
  if type(instance) ~= "string" or instance:sub(1, #cluster + 1) ~= cluster .. "-" then
    return nil
  end
  local digits = instance:sub(#cluster + 2)
  return digits:match("^[1-9]%d*$") and #digits <= 9 and math.tointeger(tonumber(digits)) or nil
end

--- A tablespace's name as part of a Kubernetes name.
---@param tablespace string
---@return string
function names.sanitised(tablespace)
  return (tablespace:gsub("^_", "1"):gsub("%$", "-"):gsub("_", "-"):lower())
end

--- The copy of the operator's secret for pulling images.
function names.pull_secret(cluster)
  return cluster .. "-pull"
end

function names.wal_volume(instance)
  return instance .. "-wal"
end

function names.tablespace_volume(instance, tablespace)
  return instance .. "-tbs-" .. names.sanitised(tablespace)
end

--- The secrets of a cluster: the user's where he names his own, else ours.
---@param name string of the cluster
---@param spec table
---@return table names server_ca, client_ca, server, replication; `own`: which of them are ours to make
function names.certificates(name, spec)
  local given = spec.certificates or {}
  local out = {
    server_ca = given.serverCASecret or name .. "-ca",
    client_ca = given.clientCASecret or name .. "-ca",
    server = given.serverTLSSecret or name .. "-server",
    replication = given.replicationTLSSecret or name .. "-replication",
  }
  out.own = {
    server_ca = not given.serverCASecret, client_ca = not given.clientCASecret,
    server = not given.serverTLSSecret, replication = not given.replicationTLSSecret,
  }
  return out
end

return names
