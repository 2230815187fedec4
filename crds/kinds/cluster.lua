--- kind Cluster.
local s = require("parts.schema")
local bootstrap = require("parts.bootstrap")
local objectstore = require("parts.objectstore")
local postgresql = require("parts.postgresql")
local status = require("parts.status")
local storage = require("parts.storage")
local workload = require("parts.workload")

local cluster = {}

local HAS_SYNC = "has(self.postgresql) && has(self.postgresql.synchronous)"
local PRE = "has(self.postgresql.synchronous.standbyNamesPre)"
  .. " ? self.postgresql.synchronous.standbyNamesPre.size() : 0"
local POST = "has(self.postgresql.synchronous.standbyNamesPost)"
  .. " ? self.postgresql.synchronous.standbyNamesPost.size() : 0"

local SPEC_RULES = {
  s.rule("!has(self.imageCatalogRef) || !has(self.imageName)",
    "imageCatalogRef and imageName exclude each other"),
  s.rule(("self.instances < 1 || !(%s) || self.postgresql.synchronous.number < self.instances + (%s) + (%s)")
    :format(HAS_SYNC, PRE, POST),
    "there are not so many standbys: number must be less than instances plus the names before and after",
    { path = ".postgresql.synchronous.number" }),
  s.rule("!(" .. HAS_SYNC .. ") || (self.minSyncReplicas == 0 && self.maxSyncReplicas == 0)",
    "minSyncReplicas and maxSyncReplicas cannot be used with postgresql.synchronous"),
  s.rule("self.minSyncReplicas <= self.maxSyncReplicas", "minSyncReplicas must not exceed maxSyncReplicas",
    { path = ".minSyncReplicas" }),
  s.rule("self.maxSyncReplicas <= 0 || self.maxSyncReplicas < self.instances",
    "maxSyncReplicas must be less than instances", { path = ".maxSyncReplicas" }),
  s.rule("self.instances != 1 || self.primaryUpdateStrategy != 'supervised'",
    "supervised needs more than one instance", { path = ".primaryUpdateStrategy" }),
  s.rule("!has(self.serviceAccountName) || !has(self.serviceAccountTemplate)",
    "serviceAccountName and serviceAccountTemplate exclude each other"),
  s.rule("!has(self.ephemeralVolumeSource) || !has(self.ephemeralVolumesSizeLimit)"
    .. " || !has(self.ephemeralVolumesSizeLimit.temporaryData)",
    "ephemeralVolumeSource and ephemeralVolumesSizeLimit.temporaryData exclude each other"),
  s.rule("!has(oldSelf.walStorage) || has(self.walStorage)", "the WAL volume cannot be removed",
    { path = ".walStorage" }),
  s.rule("!has(oldSelf.tablespaces) || oldSelf.tablespaces.size() == 0 || has(self.tablespaces)",
    "tablespaces cannot be removed", { path = ".tablespaces" }),
  s.rule("!has(self.backup) || !has(self.backup.barmanObjectStore) || !has(self.plugins)"
    .. " || !self.plugins.exists(p, p.enabled && p.isWALArchiver)",
    "a plugin archives WAL already: remove backup.barmanObjectStore or isWALArchiver"),
}

local function frozen_id(default)
  return s.int64 { default = default, rules = { s.rule("self == oldSelf",
    "the id cannot change after creation") } }
end

local function image_fields(group)
  local api_group = ("self.apiGroup == '%s'"):format(group)
  if group ~= "postgresql.cnpg.io" then
    api_group = "(" .. api_group .. " || self.apiGroup == 'postgresql.cnpg.io')"
  end
  return {
    imageName = s.str { doc = "Image with PostgreSQL; its tag begins with the version." },
    imageCatalogRef = s.atomic({
      apiGroup = s.str(), ["kind!"] = s.str(), ["name!"] = s.str(), ["major!"] = s.int(),
    }, { doc = "Entry of an image catalog, instead of imageName.", rules = {
      s.rule("self.kind == 'ImageCatalog' || self.kind == 'ClusterImageCatalog'",
        "kind must be ImageCatalog or ClusterImageCatalog", { path = ".kind" }),
      s.rule("has(self.apiGroup) && " .. api_group, "apiGroup must be " .. group, { path = ".apiGroup" }),
    } }),
    imagePullPolicy = s.str(),
    imagePullSecrets = s.list(s.name_ref()),
  }
end

local function size_fields()
  return {
    ["instances!"] = s.int { doc = "How many instances there are: one primary, the others standbys.",
      default = 1,
      minimum = 1 },
    minSyncReplicas = s.int { default = 0, minimum = 0 },
    maxSyncReplicas = s.int { default = 0, minimum = 0 },
    postgresUID = frozen_id(26),
    postgresGID = frozen_id(26),
    storage = storage.configuration("Volume with the data.", true),
    walStorage = storage.configuration("Volume for WAL alone; cannot be removed again.", true),
    tablespaces = storage.tablespaces(),
  }
end

local function pod_fields()
  return {
    affinity = workload.affinity(),
    topologySpreadConstraints = s.list(s.any()),
    schedulerName = s.str(),
    priorityClassName = s.str(),
    resources = s.any { doc = "Requests and limits of the postgres container." },
    env = s.list(s.any()),
    envFrom = s.list(s.any()),
    projectedVolumeTemplate = s.any { doc = "Volume mounted on /projected." },
    ephemeralVolumeSource = s.any(),
    ephemeralVolumesSizeLimit = s.obj { shm = s.quantity(), temporaryData = s.quantity() },
    seccompProfile = s.any(),
    podSecurityContext = s.any(),
    securityContext = s.any(),
    serviceAccountName = workload.service_account_name(),
    serviceAccountTemplate = workload.service_account_template(),
    inheritedMetadata = s.obj({ labels = s.map(), annotations = s.map() }, {
      doc = "Labels and annotations that every object of the cluster gets." }),
    probes = workload.probes(),
  }
end

local function timing_fields()
  return {
    startDelay = s.int32 { doc = "Seconds that PostgreSQL may take to start.", default = 3600 },
    stopDelay = s.int32 { doc = "Seconds that PostgreSQL may take to stop.", default = 1800 },
    smartShutdownTimeout = s.int32 { doc = "Seconds of it in which clients may finish.", default = 180 },
    switchoverDelay = s.int32 { doc = "Seconds that the old primary may take in a switchover.",
      default = 3600 },
    failoverDelay = s.int32 { doc = "Seconds to wait before a failover.", default = 0 },
    livenessProbeTimeout = s.int32(),
    primaryLease = workload.primary_lease(),
    primaryUpdateStrategy = s.enum({ "unsupervised", "supervised" }, {
      doc = "Whether the primary is updated by itself or waits for you.", default = "unsupervised" }),
    primaryUpdateMethod = s.enum({ "switchover", "restart" }, { default = "restart" }),
    enablePDB = s.bool { doc = "Protect instances from being evicted together.", default = true },
    nodeMaintenanceWindow = s.obj {
      inProgress = s.bool { default = false }, reusePVC = s.bool { default = true },
    },
  }
end

local function service_fields()
  return {
    description = s.str { doc = "What this cluster is for." },
    logLevel = s.enum({ "error", "warning", "info", "debug", "trace" }, { default = "info" }),
    enableSuperuserAccess = s.bool { doc = "Give the superuser a password.", default = false },
    superuserSecret = s.name_ref(),
    certificates = workload.certificates(),
    postgresql = postgresql.section(),
    podSelectorRefs = postgresql.pod_selectors(),
    replicationSlots = postgresql.replication_slots(),
    bootstrap = bootstrap.section(),
    replica = s.obj({
      ["source!"] = s.str { minLength = 1 },
      enabled = s.bool(), self = s.str(), primary = s.str(), promotionToken = s.str(),
      minApplyDelay = s.str { doc = "How far behind to stay, such as 1h." },
    }, { doc = "Follow another cluster.", rules = {
      s.rule("!has(self.primary) || self.primary == '' || !has(self.enabled)",
        "primary and enabled exclude each other", { path = ".enabled" }),
    } }),
    externalClusters = s.list(objectstore.external_cluster(), { doc = "Other clusters, by name." }),
    plugins = s.list(objectstore.plugin(), { maxItems = 64, rules = {
      s.rule("self.filter(p, p.enabled && p.isWALArchiver).size() <= 1", "only one plugin may archive WAL"),
    } }),
    backup = objectstore.backup(),
    managed = workload.managed(),
    monitoring = workload.monitoring(),
  }
end

local function merge(...)
  local out = {}
  for _, fields in ipairs { ... } do
    for key, value in pairs(fields) do
      out[key] = value
    end
  end
  return out
end

local function root(group)
  local spec = merge(image_fields(group), size_fields(), pod_fields(), timing_fields(), service_fields())
  return s.obj({
    apiVersion = s.str(),
    kind = s.str(),
    ["metadata!"] = s.obj { name = s.str { maxLength = 253 } },
    ["spec!"] = s.obj(spec, { doc = "What is wanted.", rules = SPEC_RULES }),
    status = status.cluster(),
  }, { doc = "A PostgreSQL cluster: one primary and its standbys.", rules = {
    s.rule("self.metadata.name.size() <= 50",
      "the name of a cluster may have at most 50 characters", { path = ".metadata.name" }),
    s.rule("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
      "the name of a cluster begins with a letter and holds only lower-case letters, digits and hyphens",
      { path = ".metadata.name" }),
  } })
end

local CONDITION = '.status.conditions[?(@.type=="SyncReplicationTopologySatisfied")].reason'

local COLUMNS = {
  { name = "Age", type = "date", jsonPath = ".metadata.creationTimestamp" },
  { name = "Instances", type = "integer", jsonPath = ".status.instances",
    description = "Instances that exist" },
  { name = "Ready", type = "integer", jsonPath = ".status.readyInstances",
    description = "Instances that are ready" },
  { name = "Status", type = "string", jsonPath = ".status.phase", description = "What is going on" },
  { name = "Primary", type = "string", jsonPath = ".status.currentPrimary",
    description = "The primary instance" },
  { name = "SyncTopology", type = "string", jsonPath = CONDITION, priority = 1,
    description = "Whether synchronous standbys are spread as asked" },
}

function cluster.crd(group)
  return {
    group = group, version = "v1", kind = "Cluster", plural = "clusters", singular = "cluster",
    columns = COLUMNS, schema = root(group),
    subresources = { status = {}, scale = {
      specReplicasPath = ".spec.instances",
      statusReplicasPath = ".status.instances",
      labelSelectorPath = ".status.selector",
    } },
  }
end

return cluster
