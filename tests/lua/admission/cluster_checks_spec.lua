-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local cluster_checks = require("admission.cluster_checks")
local refuses, accepts = support.refuses, support.accepts

describe("the check of a cluster", function()
  it("accepts the plainest cluster, on every path", function()
    accepts()
    accepts(nil, function() end)
    accepts(function(spec) spec.imageName, spec.instances = "quay.io/enterprisedb/postgresql:13.1", 3 end)
  end)

  it("survives what has no form", function()
    for _, cluster in ipairs { {}, { spec = "x", metadata = "y" }, { spec = null }, { spec = { instances = "three",
      bootstrap = array { 1 }, postgresql = { parameters = array { "x" }, pg_hba = { 4 } }, storage = 5,
        tablespaces = { "x" },
      externalClusters = { 3 }, env = { 1 }, managed = { roles = { 1 }, services = { additional = { "x" } } },
      affinity = { tolerations = { 1 } }, plugins = { 1 }, podSelectorRefs = { 1 },
        resources = { requests = 1 } } } } do
      assert.has_no.errors(function() cluster_checks.validate(cluster, cluster, support.env) end)
      assert.is_true(#cluster_checks.validate(cluster, nil, {}) > 0)
    end
  end)

  it("can be switched off by annotation", function()
    local function broken(value)
      return support.cluster(function(spec, cluster)
        cluster.metadata.annotations["cnpg.io/validation"] = value
        spec.instances = 0
      end)
    end
    local faults, warnings = support.validate(broken("disabled"))
    assert.equal(0, #faults)
    assert.matches("switched off", warnings[1])
    faults, warnings = support.validate(broken("off"))
    assert.equal(1, #faults)
    assert.matches("unknown and ignored", warnings[1])
    assert.equal(1, #support.validate(broken("enabled")))
  end)

  it("becomes one sentence", function()
    assert.equal("a: b; c: d", cluster_checks.sentence {
      { path = "a", message = "b" }, { path = "c", message = "d" } })
  end)

  it("knows how many instances there are", function()
    refuses("spec.instances", "at least one instance", function(spec) spec.instances = 0 end)
    refuses("spec.instances", "-1", function(spec) spec.instances = -1 end)
    accepts(function(spec) spec.instances = 1 end)
  end)
end)

describe("the check of bootstrap", function()
  local function initdb(value)
    return function(spec) spec.bootstrap = { initdb = value } end
  end

  it("pairs database and owner", function() -- 1
    accepts(initdb { database = "a", owner = "b" })
    refuses("spec.bootstrap.initdb.database", "belong together", initdb {
      owner = "b", import = { type = "monolith", databases = { "*" }, source = { externalCluster = "x" } } })
  end)

  it("wants a power of two", function() -- 2
    accepts(initdb { walSegmentSize = 64 })
    refuses("spec.bootstrap.initdb.walSegmentSize", "power of two", initdb { walSegmentSize = 48 })
  end)

  it("wants complete references", function() -- 3
    accepts(initdb { postInitApplicationSQLRefs = { secretRefs = { { name = "a", key = "b" } } } })
    refuses("spec.bootstrap.initdb.postInitApplicationSQLRefs.configMapRefs[0].key", "must not be empty",
      initdb { postInitApplicationSQLRefs = { configMapRefs = { { name = "a", key = "" } } } })
  end)

  it("knows both kinds of import", function() -- 4, 5, 6
    local path = "spec.bootstrap.initdb.import"
    local function import(value)
      value.source = { externalCluster = "x" }
      return initdb { import = value }
    end
    accepts(import { type = "microservice", databases = { "a" } })
    refuses(path .. ".databases", "exactly one", import { type = "microservice", databases = { "a", "b" } })
    refuses(path .. ".databases", "not *", import { type = "microservice", databases = { "*" } })
    refuses(path .. ".roles", "takes no roles", import { type = "microservice", databases = { "a" }, roles = { "r" } })
    accepts(import { type = "monolith", databases = { "a", "b" }, roles = { "*" } })
    refuses(path .. ".databases", "at least one", import { type = "monolith", databases = {} })
    refuses(path .. ".databases", "stand alone", import { type = "monolith", databases = { "*", "b" } })
    refuses(path .. ".roles", "stand alone", import { type = "monolith", databases = { "*" }, roles = { "*", "b" } })
    refuses(path .. ".postImportApplicationSQL", "no application database",
      import { type = "monolith", databases = { "*" }, postImportApplicationSQL = { "select 1" } })
    refuses(path .. ".type", "unknown", import { type = "other", databases = { "a" } })
  end)

  it("allows one method", function() -- 10
    refuses("spec.bootstrap", "only one bootstrap method is allowed: keep one of initdb, recovery", function(spec)
      spec.bootstrap = { initdb = { database = "a", owner = "a" }, recovery = { backup = { name = "b" } } }
    end)
    accepts(function(spec) spec.bootstrap = { recovery = { backup = { name = "b" } } } end)
  end)
end)

describe("the check of identity", function()
  local function annotated(name, value, also)
    return function(spec, cluster)
      cluster.metadata.annotations[name] = value
      if also then also(spec) end
    end
  end

  it("wants the superuser's secret named", function() -- 7
    accepts(function(spec) spec.superuserSecret = { name = "s" } end)
    refuses("spec.superuserSecret.name", "must not be empty", function(spec) spec.superuserSecret = { name = "" } end)
  end)

  it("wants CAs beside certificates", function() -- 8, 9
    local function certificates(value) return function(spec) spec.certificates = value end end
    accepts(certificates { serverTLSSecret = "a", serverCASecret = "b", replicationTLSSecret = "c",
      clientCASecret = "d" })
    accepts(certificates { serverAltDNSNames = { "x" } })
    refuses("spec.certificates.serverAltDNSNames", "cannot be added",
      certificates { serverTLSSecret = "a", serverCASecret = "b", serverAltDNSNames = { "x" } })
    refuses("spec.certificates.serverCASecret", "needs", certificates { serverTLSSecret = "a" })
    refuses("spec.certificates.clientCASecret", "needs", certificates { replicationTLSSecret = "a" })
  end)

  it("wants a version in the tag", function() -- 11
    local function image(name) return function(spec) spec.imageName = name end end
    accepts(image "pg:16.2@sha256:00")
    refuses("spec.imageName", "latest", image "pg:latest")
    refuses("spec.imageName", "latest", image "pg")
    refuses("spec.imageName", "digest alone", image "pg@sha256:00")
    refuses("spec.imageName", "does not begin", image "pg:foo")
    local catalog = { apiGroup = "postgresql.cnpg.io", kind = "ImageCatalog", name = "c", major = 17 }
    accepts(function(spec) spec.imageName, spec.imageCatalogRef = nil, catalog end)
    refuses("spec", "exclude each other", function(spec) spec.imageCatalogRef = catalog end)
  end)

  it("knows pull policies", function() -- 12
    accepts(function(spec) spec.imagePullPolicy = "Always" end)
    refuses("spec.imagePullPolicy", "Sometimes", function(spec) spec.imagePullPolicy = "Sometimes" end)
  end)

  it("limits the name", function() -- 18
    local function named(name) return function(_, cluster) cluster.metadata.name = name end end
    accepts(named(("a"):rep(50)))
    refuses("metadata.name", "this one has 51", named(("a"):rep(51)))
    refuses("metadata.name", "begins with a letter", named "1a")
    refuses("metadata.name", "begins with a letter", named "a.b")
    refuses("metadata.name", "begins with a letter", named "a-")
    accepts(function(_, cluster) cluster.metadata.name, cluster.metadata.generateName = nil, "web-" end)
  end)

  it("knows hibernation", function() -- 40
    accepts(annotated("cnpg.io/hibernation", "on"))
    refuses("metadata.annotations[cnpg.io/hibernation]", "'yes'", annotated("cnpg.io/hibernation", "yes"))
  end)

  it("tries the patch for pods", function() -- 41
    local path = "metadata.annotations[cnpg.io/podPatch]"
    local env = { generated_pod = function() return { spec = { containers = array {} } } end }
    local good = '[{"op":"add","path":"/spec/hostNetwork","value":true}]'
    local unfit = '[{"op":"remove","path":"/spec/none"}]'
    accepts(annotated("cnpg.io/podPatch", good), nil, env)
    accepts(annotated("cnpg.io/podPatch", unfit))
    refuses(path, "does not fit", annotated("cnpg.io/podPatch", unfit), nil, env)
    refuses(path, "not a JSON patch", annotated("cnpg.io/podPatch", "["))
    refuses(path, "op must be", annotated("cnpg.io/podPatch", '[{"op":"x","path":"/a"}]'))
  end)

  it("reads promotion tokens", function() -- 42
    local token = "eyJsYXRlc3RDaGVja3BvaW50VGltZWxpbmVJRCI6IjEiLCJyZWRvV2FsRmlsZSI6ImYiLCJkYXRhYmFzZVN5c3RlbU"
      .. "lkZW50aWZpZXIiOiIxIiwibGF0ZXN0Q2hlY2twb2ludFJFRE9Mb2NhdGlvbiI6IjAvMSIsInRpbWVPZkxhdGVzdENo"
      .. "ZWNrcG9pbnQiOiJ0Iiwib3BlcmF0b3JWZXJzaW9uIjoiMSJ9"
    local function replica(value)
      return function(spec)
        value.source = "b"
        spec.replica = value
        spec.externalClusters = { { name = "b", connectionParameters = { host = "b" } } }
        spec.bootstrap = { pg_basebackup = { source = "b" } }
      end
    end
    local path = "spec.replica.promotionToken"
    accepts(replica { enabled = false, promotionToken = token })
    refuses(path, "stops being a replica", replica { enabled = true, promotionToken = token })
    refuses(path, "minApplyDelay", replica { enabled = false, promotionToken = token, minApplyDelay = "1h" })
    refuses(path, "not base64 of a JSON object", replica { enabled = false, promotionToken = "nonsense!" })
    refuses(path, "latestCheckpointTimelineID is missing", replica { enabled = false, promotionToken = "e30=" })
  end)

  it("reads the liveness annotation", function() -- 44
    local path, name = "metadata.annotations[alpha.cnpg.io/livenessPinger]", "alpha.cnpg.io/livenessPinger"
    accepts(annotated(name, '{"enabled":true}'))
    refuses(path, "not JSON", annotated(name, "{"))
    refuses(path, "boolean 'enabled'", annotated(name, "{}"))
  end)

  it("takes one way to a service account", function() -- 47
    accepts(function(spec) spec.serviceAccountName = "x" end)
    accepts(function(spec) spec.serviceAccountTemplate = { metadata = {} } end)
    refuses("spec.serviceAccountTemplate", "takes no template", function(spec)
      spec.serviceAccountName, spec.serviceAccountTemplate = "x", { metadata = {} }
    end)
  end)

  it("orders the lease's times", function() -- 48
    local function lease(value) return function(spec) spec.primaryLease = value end end
    accepts(lease {})
    refuses("spec.primaryLease.leaseDurationSeconds", "exceed", lease { leaseDurationSeconds = 10 })
    refuses("spec.primaryLease.renewDeadlineSeconds", "1.2 times", lease { retryPeriodSeconds = 9 })
    accepts(lease { retryPeriodSeconds = 8 })
  end)
end)

describe("the check of volumes", function()
  it("wants sizes", function() -- 16
    local function size(value) return function(spec) spec.storage = value end end
    accepts(size { pvcTemplate = { resources = { requests = { storage = "1Gi" } } } })
    refuses("spec.storage.size", "a size is needed", size {})
    refuses("spec.storage.size", "'ten' is not a quantity", size { size = "ten" })
    refuses("spec.storage.size", "unknown unit 'gb'", size { size = "1gb" })
    refuses("spec.storage.size", "not greater than zero", size { size = "-1Gi" })
    refuses("spec.storage.pvcTemplate.resources.requests.storage", "not greater than zero",
      size { pvcTemplate = { resources = { requests = { storage = "0" } } } })
    refuses("spec.walStorage.size", "a size is needed", function(spec) spec.walStorage = {} end)
    refuses("spec.tablespaces[0].storage.size", "'x'", function(spec)
      spec.tablespaces = { { name = "a", storage = { size = "x" } } }
    end)
  end)

  it("takes one kind of temporary volume", function() -- 17
    accepts(function(spec) spec.ephemeralVolumeSource, spec.ephemeralVolumesSizeLimit = {}, { shm = "1Gi" } end)
    refuses("spec.ephemeralVolumeSource", "exclude each other", function(spec)
      spec.ephemeralVolumeSource, spec.ephemeralVolumesSizeLimit = {}, { temporaryData = "1Gi" }
    end)
  end)

  it("knows names of tablespaces", function() -- 19
    local function named(...)
      local names = { ... }
      return function(spec)
        spec.tablespaces = array {}
        for _, name in ipairs(names) do
          spec.tablespaces:add { name = name, storage = { size = "1Gi" } }
        end
      end
    end
    accepts(named("a", "b_c", "_d$"))
    refuses("spec.tablespaces[1].name", "given twice", named("a", "A"))
    refuses("spec.tablespaces[0].name", "pg_", named("PG_x"))
    refuses("spec.tablespaces[0].name", "holds only", named("a-b"))
    refuses("spec.tablespaces[0].name", "63", named(("a"):rep(64)))
    refuses("spec.tablespaces[1].name", "share a volume", named("a_b", "a$b"))
  end)

  it("knows tablespaces of snapshots", function() -- 21
    local function classes(spec) spec.backup = { volumeSnapshot = { tablespaceClassName = { a = "c" } } } end
    refuses("spec.backup.volumeSnapshot.tablespaceClassName[a]", "no tablespace", classes)
    accepts(function(spec)
      classes(spec)
      spec.tablespaces = { { name = "a", storage = { size = "1Gi" } } }
    end)
  end)
end)

describe("the check of replication", function()
  local function synchronous(value, instances)
    return function(spec)
      spec.postgresql, spec.instances = { synchronous = value }, instances or 3
    end
  end

  it("knows update strategies", function() -- 14
    accepts(function(spec) spec.primaryUpdateStrategy = "supervised" end)
    refuses("spec.primaryUpdateStrategy", "unknown", function(spec) spec.primaryUpdateStrategy = "x" end)
    refuses("spec.primaryUpdateStrategy", "one instance", function(spec)
      spec.instances, spec.primaryUpdateStrategy = 1, "supervised"
    end)
  end)

  it("bounds the old synchronous replicas", function() -- 15, 28
    local function legacy(least, most) return function(spec) spec.minSyncReplicas, spec.maxSyncReplicas = least,
      most end end
    accepts(legacy(1, 2))
    refuses("spec.minSyncReplicas", "negative", legacy(-1, 0))
    refuses("spec.minSyncReplicas", "exceeds", legacy(2, 1))
    refuses("spec.maxSyncReplicas", "less than instances", legacy(0, 3))
    refuses("spec.postgresql.synchronous", "old way", function(spec)
      legacy(0, 1)(spec)
      spec.postgresql = { synchronous = { method = "any", number = 1 } }
    end)
  end)

  it("wants labels for the election constraint", function() -- 29
    local function constraint(value)
      return function(spec) spec.postgresql = { syncReplicaElectionConstraint = value } end
    end
    accepts(constraint { enabled = true, nodeLabelsAntiAffinity = { "zone" } })
    accepts(constraint { enabled = false })
    refuses("spec.postgresql.syncReplicaElectionConstraint.nodeLabelsAntiAffinity", "labels",
      constraint { enabled = true })
  end)

  it("counts synchronous standbys", function() -- 30
    accepts(synchronous { method = "any", number = 2 })
    refuses("spec.postgresql.synchronous.number", "3 standbys are asked for, there are only 2",
      synchronous { method = "any", number = 3 })
    accepts(synchronous { method = "any", number = 3, standbyNamesPre = { "x" } })
    refuses("spec.postgresql.synchronous.number", "only 0", synchronous({ method = "any", number = 1 }, 1))
    refuses("spec.postgresql.synchronous.number", "greater than zero", synchronous { method = "any", number = 0 })
  end)

  it("wants a quorum of the cluster's own", function() -- 31
    local name = "alpha.cnpg.io/failoverQuorum"
    local function annotated(value, section)
      return function(spec, cluster)
        spec.postgresql = { synchronous = section }
        cluster.metadata.annotations[name] = value
      end
    end
    accepts(synchronous { method = "any", number = 2, failoverQuorum = true, standbyNamesPre = { "x" } })
    refuses("spec.postgresql.synchronous.failoverQuorum", "must exceed",
      synchronous { method = "any", number = 1, failoverQuorum = true, standbyNamesPost = { "x" } })
    accepts(annotated("true", { method = "any", number = 1 }))
    accepts(annotated("false"))
    refuses("metadata.annotations[" .. name .. "]", "needs", annotated("true"))
    refuses("metadata.annotations[" .. name .. "]", "not a boolean", annotated("maybe"))
  end)

  it("reads patterns", function() -- 33
    local function patterns(list)
      return function(spec) spec.replicationSlots = { synchronizeReplicas = { enabled = true,
        excludePatterns = list } } end
    end
    accepts(patterns { "^a+$" })
    refuses("spec.replicationSlots.synchronizeReplicas.excludePatterns[1]", "never closed", patterns { "a", "(" })
  end)

  it("knows what logical slots need", function() -- 34, 35
    local function logical(image, values)
      return function(spec)
        spec.imageName = image
        spec.replicationSlots = { highAvailability = { enabled = true, synchronizeLogicalDecoding = true } }
        spec.postgresql = { parameters = values }
      end
    end
    accepts(logical("pg:17", { hot_standby_feedback = "on", sync_replication_slots = "true" }))
    refuses("spec.postgresql.parameters.sync_replication_slots", "to be on", logical("pg:17",
      { hot_standby_feedback = "on" }))
    refuses("spec.replicationSlots.highAvailability.synchronizeLogicalDecoding", "before PostgreSQL 17",
      logical("pg:16", {}))
    local failover = { ["pg_failover_slots.version_check"] = "on", hot_standby_feedback = "on" }
    accepts(logical("pg:16", failover))
    refuses("spec.postgresql.parameters.hot_standby_feedback", "pg_failover_slots",
      logical("pg:16", { ["pg_failover_slots.version_check"] = "on" }))
    refuses("spec.replicationSlots.highAvailability.enabled", "pg_failover_slots", function(spec)
      spec.replicationSlots = { highAvailability = { enabled = false } }
      spec.postgresql = { parameters = failover }
    end)
  end)
end)

describe("the check of recovery", function()
  local BOTH = { { name = "b", connectionParameters = { host = "b" } } }
  local function recovery(value, external)
    return function(spec)
      spec.bootstrap, spec.externalClusters = { recovery = value }, external or BOTH
    end
  end
  local function target(value, snapshots)
    return recovery { source = "b", recoveryTarget = value, volumeSnapshots = snapshots }
  end
  local SNAPSHOT = { apiGroup = "snapshot.storage.k8s.io", kind = "VolumeSnapshot", name = "s" }

  it("takes one target of the right form", function() -- 13
    local path = "spec.bootstrap.recovery.recoveryTarget"
    accepts(target { targetTime = "2026-01-31 12:00:00.5+01" })
    accepts(target { targetTime = "2026-01-31T12:00:00Z" })
    accepts(target { targetTime = "2026-01-31" == "" and "" or "2026-01-31T12:00:00+02:00", targetTLI = "latest" })
    refuses(path .. ".targetTime", "not a time", target { targetTime = "2026-13-31T12:00:00Z" })
    refuses(path .. ".targetTime", "not a time", target { targetTime = "yesterday" })
    accepts(target { targetLSN = "1F/30000A0" })
    refuses(path .. ".targetLSN", "not an LSN", target { targetLSN = "123456789/0" })
    accepts(target { targetXID = "4294967295", backupID = "b" })
    refuses(path .. ".targetXID", "32 bits", target { targetXID = "4294967296", backupID = "b" })
    refuses(path .. ".targetXID", "32 bits", target { targetXID = "-1", backupID = "b" })
    accepts(target { targetName = "before", backupID = "b" })
    refuses(path .. ".targetName", "64 bytes", target { targetName = ("a"):rep(64), backupID = "b" })
    refuses(path .. ".targetName", "control", target { targetName = "a\tb", backupID = "b" })
    refuses(path .. ".backupID", "which backup", target { targetName = "before" })
    refuses(path .. ".backupID", "which backup", target { targetImmediate = true })
    accepts(target({ targetImmediate = true }, { storage = SNAPSHOT }))
    accepts(target { targetTLI = "3" })
    refuses(path .. ".targetTLI", "latest", target { targetTLI = "0" })
    refuses(path, "at most one target", target { targetLSN = "0/1", targetTime = "2026-01-31 12:00:00",
      backupID = "b" })
  end)

  it("finds its source", function() -- 20
    accepts(recovery { source = "b" })
    refuses("spec.bootstrap.recovery.source", "not among", recovery { source = "c" })
    refuses("spec.bootstrap.pg_basebackup.source", "not among", function(spec)
      spec.bootstrap = { pg_basebackup = { source = "c" } }
    end)
    accepts(recovery({ source = "b" }, { { name = "b", plugin = { name = "p" } } }))
  end)

  it("knows snapshots", function() -- 22
    local path = "spec.bootstrap.recovery.volumeSnapshots"
    local CLAIM = { kind = "PersistentVolumeClaim", name = "c", apiGroup = "" }
    accepts(recovery { volumeSnapshots = { storage = SNAPSHOT } })
    accepts(recovery { volumeSnapshots = { storage = CLAIM } })
    refuses(path .. ".storage", "VolumeSnapshot", recovery { volumeSnapshots = { storage = { kind = "Pod",
      name = "x" } } })
    refuses(path, "exclude each other", recovery { volumeSnapshots = { storage = CLAIM }, backup = { name = "b" } })
    refuses("spec.bootstrap.recovery.recoveryTarget.backupID", "no backup id",
      target({ backupID = "b" }, { storage = SNAPSHOT }))
    refuses(path .. ".walStorage", "needs spec.walStorage",
      recovery { volumeSnapshots = { storage = CLAIM, walStorage = CLAIM } })
    accepts(function(spec)
      recovery { volumeSnapshots = { storage = CLAIM, walStorage = CLAIM } }(spec)
      spec.walStorage = { size = "1Gi" }
    end)
    refuses(path .. ".tablespaceStorage[t]", "VolumeSnapshot",
      recovery { volumeSnapshots = { storage = CLAIM, tablespaceStorage = { t = { kind = "X", name = "y" } } } })
  end)

  it("knows external clusters", function() -- 23
    local function external(list) return function(spec) spec.externalClusters = list end end
    accepts(external(BOTH))
    refuses("spec.externalClusters[1].name", "twice", external { BOTH[1], BOTH[1] })
    refuses("spec.externalClusters[0]", "is needed", external { { name = "a" } })
    refuses("spec.externalClusters[0].name", "file name", external { { name = "..",
      connectionParameters = { a = "b" } } })
    refuses("spec.externalClusters[0].sslKey.name", "file name",
      external { { name = "a", connectionParameters = { a = "b" }, sslKey = { name = "a/b", key = "k" } } })
    refuses("spec.externalClusters[0].password.key", "file name",
      external { { name = "a", connectionParameters = { a = "b" }, password = { name = "a", key = "..\\k" } } })
  end)

  it("knows replica clusters", function() -- 26
    local function replica(value, bootstrap, version)
      return function(spec, cluster)
        spec.replica, spec.externalClusters, spec.bootstrap = value, BOTH, bootstrap
        cluster.metadata.resourceVersion = version
      end
    end
    local COPY = { pg_basebackup = { source = "b" } }
    accepts(replica({ source = "b", enabled = true }, COPY))
    refuses("spec.bootstrap", "begins with pg_basebackup or recovery", replica({ source = "b", enabled = true }))
    accepts(replica({ source = "b", enabled = true }, nil, "5"))
    accepts(replica({ source = "b", enabled = false }))
    refuses("spec.replica.source", "not among", replica({ source = "c", enabled = true }, COPY))
    refuses("spec.replica.primary", "not among", replica({ source = "b", primary = "c" }, COPY))
    refuses("spec.replica.self", "not among", replica({ source = "b", self = "c", primary = "b" }, COPY))
    refuses("spec.replica.enabled", "exclude", replica({ source = "b", primary = "b", enabled = true }, COPY))
  end)
end)

describe("the check of scheduling", function()
  it("knows tolerations", function() -- 24
    local path = "spec.affinity.tolerations[0]"
    local function toleration(value) return function(spec) spec.affinity = { tolerations = { value } } end end
    accepts(toleration { key = "node.kubernetes.io/x", operator = "Exists", effect = "NoExecute",
      tolerationSeconds = 5 })
    accepts(toleration { operator = "Exists" })
    accepts(toleration { key = "a", value = "b", effect = "NoSchedule" })
    refuses(path .. ".key", "label name", toleration { key = "a b", operator = "Exists" })
    refuses(path .. ".key", "DNS", toleration { key = "A_/b", operator = "Exists" })
    refuses(path .. ".operator", "must be Exists", toleration { value = "x" })
    refuses(path .. ".operator", "Equal", toleration { key = "a", operator = "Like" })
    refuses(path .. ".operator", "no value", toleration { key = "a", operator = "Exists", value = "b" })
    refuses(path .. ".value", "a value holds", toleration { key = "a", value = "b c" })
    refuses(path .. ".effect", "unknown", toleration { key = "a", effect = "Never" })
    refuses(path .. ".effect", "NoExecute", toleration { key = "a", tolerationSeconds = 5 })
  end)

  it("knows anti-affinity", function() -- 25
    accepts(function(spec) spec.affinity = { podAntiAffinityType = "required" } end)
    refuses("spec.affinity.podAntiAffinityType", "'x'",
      function(spec) spec.affinity = { podAntiAffinityType = "x" } end)
  end)

  it("keeps its environment", function() -- 36
    local function variable(name) return function(spec) spec.env = { { name = name, value = "x" } } end end
    accepts(variable "TZ")
    for _, name in ipairs { "PGDATA", "pghost", "CNPG_X", "POD_NAME", "NAMESPACE", "CLUSTER_NAME" } do
      refuses("spec.env[0].name", "set by the operator", variable(name))
    end
  end)

  it("compares resources", function() -- 39
    local path = "spec.resources.requests"
    local function resources(requests, limits, buffers)
      return function(spec)
        spec.resources = { requests = requests, limits = limits }
        spec.postgresql = { parameters = { shared_buffers = buffers } }
      end
    end
    accepts(resources({ cpu = "500m", memory = "1Gi" }, { cpu = 1, memory = "1Gi" }, "256MB"))
    refuses(path .. ".cpu", "exceeds the limit", resources({ cpu = "2" }, { cpu = "1500m" }))
    refuses(path .. ".memory", "exceeds the limit", resources({ memory = "2Gi" }, { memory = "1Gi" }))
    refuses(path .. ".ephemeral-storage", "exceeds",
      resources({ ["ephemeral-storage"] = "2Gi" }, { ["ephemeral-storage"] = "1Gi" }))
    refuses(path .. ".memory", "not a quantity", resources({ memory = "much" }))
    refuses(path .. ".memory", "less than shared_buffers (1GB)", resources({ memory = "512Mi" }, nil, "1GB"))
    local pages = { ["hugepages-2Mi"] = "1Gi", memory = "512Mi" }
    accepts(resources(pages, pages, "1GB"))
    refuses(path .. ".hugepages-2Mi", "equals", resources(pages, nil, "1GB"))
    refuses("spec.resources", "cpu or memory", resources({ ["hugepages-2Mi"] = "1Gi" }, { ["hugepages-2Mi"] = "1Gi" }))
  end)
end)

describe("the check of backups and plugins", function()
  local function store(value, more)
    return function(spec)
      value.destinationPath = "s3://x"
      spec.backup = more or {}
      spec.backup.barmanObjectStore = value
    end
  end
  local path = "spec.backup.barmanObjectStore"
  local REF = { name = "a", key = "b" }

  it("wants one provider, complete", function() -- 27
    accepts(store { s3Credentials = { accessKeyId = REF, secretAccessKey = REF } })
    accepts(store { s3Credentials = { inheritFromIAMRole = true } })
    refuses(path, "credentials are missing", store {})
    refuses(path .. ".s3Credentials", "both needed", store { s3Credentials = { accessKeyId = REF } })
    refuses(path .. ".s3Credentials", "takes no keys", store { s3Credentials = { inheritFromIAMRole = true,
      sessionToken = REF } })
    refuses(path, "only one provider", store {
      s3Credentials = { inheritFromIAMRole = true }, googleCredentials = { gkeEnvironment = true } })
    accepts(store { azureCredentials = { storageAccount = REF, storageSasToken = REF } })
    accepts(store { azureCredentials = { connectionString = REF } })
    accepts(store { azureCredentials = { useDefaultAzureCredentials = true } })
    refuses(path .. ".azureCredentials", "either", store { azureCredentials = { storageAccount = REF } })
    refuses(path .. ".azureCredentials", "keep one", store {
      azureCredentials = { connectionString = REF, inheritFromAzureAD = true } })
    accepts(store { googleCredentials = { applicationCredentials = REF } })
    refuses(path .. ".googleCredentials", "is needed", store { googleCredentials = {} })
    refuses(path .. ".googleCredentials", "remove one", store {
      googleCredentials = { applicationCredentials = REF, gkeEnvironment = true } })
    refuses("spec.externalClusters[0].barmanObjectStore", "missing", function(spec)
      spec.externalClusters = { { name = "x", barmanObjectStore = { destinationPath = "s3://x" } } }
    end)
    accepts(function(spec) spec.backup = { retentionPolicy = "30d" } end)
    refuses("spec.backup.retentionPolicy", "30d", function(spec) spec.backup = { retentionPolicy = "0d" } end)
  end)

  it("wants one archiver", function() -- 43
    local function plugins(list) return function(spec) spec.plugins = list end end
    accepts(plugins { { name = "a", isWALArchiver = true }, { name = "b", isWALArchiver = true, enabled = false } })
    refuses("spec.plugins[1].isWALArchiver", "'a' archives WAL already",
      plugins { { name = "a", isWALArchiver = true }, { name = "b", isWALArchiver = true } })
    refuses(path, "archives WAL already", function(spec)
      store { s3Credentials = { inheritFromIAMRole = true } }(spec)
      spec.plugins = { { name = "a", isWALArchiver = true } }
    end)
  end)
end)

describe("the check of PostgreSQL's configuration", function()
  local PATH = "spec.postgresql.parameters."
  local function with(values, also)
    return function(spec, cluster)
      spec.postgresql = { parameters = values }
      if also then also(spec, cluster) end
    end
  end

  it("knows names, and what it keeps for itself", function() -- 28
    accepts(with { work_mem = "8MB", ["pgaudit.log"] = "all", log_destination = "csvlog", archive_mode = "on",
      port = "5432" })
    refuses(PATH .. "a b", "not the name", with { ["a b"] = "1" })
    for _, name in ipairs { "port", "data_directory", "recovery_target_time", "log_destination", "syslog_ident",
      "unix_socket_group", "primary_conninfo", "shared_preload_libraries", "archive_mode",
        "synchronous_standby_names" } do
      refuses(PATH .. name, "kept by the operator", with { [name] = "x" })
    end
  end)

  it("supports PostgreSQL from 13 on", function() -- 28
    refuses("spec.imageName", "PostgreSQL 12 is not supported", function(spec) spec.imageName = "pg:12.3" end)
    refuses("spec.imageCatalogRef.major", "12", function(spec)
      spec.imageName, spec.imageCatalogRef = nil, { kind = "ImageCatalog", name = "c", major = 12 }
    end)
  end)

  it("knows levels of WAL", function() -- 28
    local function lonely(spec, cluster)
      spec.instances = 1
      cluster.metadata.annotations["cnpg.io/skipWalArchiving"] = "enabled"
    end
    accepts(with { wal_level = "replica" })
    refuses(PATH .. "wal_level", "unknown", with { wal_level = "hot_standby" })
    refuses(PATH .. "wal_level", "standbys", with { wal_level = "minimal" })
    refuses(PATH .. "wal_level", "archiving", with({ wal_level = "minimal", max_wal_senders = "0" },
      function(spec) spec.instances = 1 end))
    refuses(PATH .. "wal_level", "max_wal_senders", with({ wal_level = "minimal" }, lonely))
    accepts(with({ wal_level = "minimal", max_wal_senders = "0" }, lonely))
    refuses(PATH .. "wal_level", "a replica cluster", with({ wal_level = "minimal", max_wal_senders = "0" },
      function(spec, cluster)
      lonely(spec, cluster)
      spec.replica, spec.bootstrap = { enabled = true, source = "b" }, { pg_basebackup = { source = "b" } }
      spec.externalClusters = { { name = "b", connectionParameters = { host = "b" } } }
    end))
  end)

  it("reads booleans and sizes", function() -- 28
    accepts(with { hot_standby_feedback = "t", sync_replication_slots = "off", wal_log_hints = "yes" })
    for _, name in ipairs { "hot_standby_feedback", "sync_replication_slots", "wal_log_hints" } do
      refuses(PATH .. name, "not a boolean", with { [name] = "perhaps" })
    end
    refuses(PATH .. "wal_log_hints", "rewound", with { wal_log_hints = "off" })
    accepts(with({ wal_log_hints = "off" }, function(spec) spec.instances = 1 end))
    accepts(with { shared_buffers = "256MB" })
    refuses(PATH .. "shared_buffers", "not a size", with { shared_buffers = "256Mi" })
    accepts(with { min_wal_size = "512MB", max_wal_size = "2GB" })
    refuses(PATH .. "min_wal_size", "must be less", with { min_wal_size = "2GB" })
    refuses(PATH .. "max_wal_size", "must be less", with { max_wal_size = "80MB" })
    refuses(PATH .. "max_wal_size", "not a size", with { max_wal_size = "big" })
    local function wal(spec) spec.walStorage = { size = "1Gi" } end
    accepts(with({}, wal))
    accepts(with({ max_wal_size = "900MB" }, wal))
    refuses(PATH .. "max_wal_size", "does not fit", with({ max_wal_size = "1GB" }, wal))
  end)

  it("knows LDAP", function() -- 32
    local function ldap(value) return function(spec) spec.postgresql = { ldap = value } end end
    accepts(ldap { server = "x", bindAsAuth = {} })
    refuses("spec.postgresql.ldap.server", "needed", ldap {})
    refuses("spec.postgresql.ldap", "exclude", ldap { server = "x", bindAsAuth = {}, bindSearchAuth = {} })
  end)

  it("replaces selectors in host lines", function() -- 45
    local function lines(list, refs)
      return function(spec)
        spec.postgresql = { pg_hba = list }
        spec.podSelectorRefs = refs or { { name = "web", selector = { matchLabels = { app = "web" } } } }
      end
    end
    accepts(lines { "host all all ${podselector:web} md5", "host all all 10.0.0.0/8 md5" })
    refuses("spec.postgresql.pg_hba[0]", "not among", lines { "host all all ${podselector:other} md5" })
    refuses("spec.postgresql.pg_hba[0]", "only one", lines { "host ${podselector:web} all ${podselector:web} md5" })
    refuses("spec.postgresql.pg_hba[1]", "unknown", lines { "x", "host all all ${service:web} md5" })
    refuses("spec.podSelectorRefs[1].name", "twice", lines({}, { { name = "a", selector = {} }, { name = "a",
      selector = {} } }))
    local function expression(value) return lines({}, { { name = "a",
      selector = { matchExpressions = { value } } } }) end
    local path = "spec.podSelectorRefs[0].selector.matchExpressions[0]"
    accepts(expression { key = "a", operator = "In", values = { "b" } })
    accepts(expression { key = "a", operator = "Exists" })
    refuses(path .. ".operator", "use In", expression { key = "a", operator = "Like" })
    refuses(path .. ".values", "needs values", expression { key = "a", operator = "NotIn" })
    refuses(path .. ".values", "takes no values", expression { key = "a", operator = "Exists", values = { "b" } })
    refuses(path .. ".key", "empty", expression { key = "", operator = "Exists" })
  end)
end)

describe("the check of what is managed", function()
  it("keeps its services", function() -- 37
    local path = "spec.managed.services"
    local function services(value) return function(spec) spec.managed = { services = value } end end
    local function named(name, spec) return { selectorType = "rw", serviceTemplate = { metadata = { name = name },
      spec = spec } } end
    accepts(services { disabledDefaultServices = { "ro", "r" }, additional = { named("lb",
      { type = "LoadBalancer" }) } })
    refuses(path .. ".disabledDefaultServices[0]", "cannot be disabled",
      services { disabledDefaultServices = { "rw" } })
    refuses(path .. ".additional[0].serviceTemplate.metadata.name", "needs a name",
      services { additional = { named(nil) } })
    refuses(path .. ".additional[1].serviceTemplate.metadata.name", "twice",
      services { additional = { named("a"), named("a") } })
    for _, suffix in ipairs { "rw", "ro", "r", "any" } do
      refuses(path .. ".additional[0].serviceTemplate.metadata.name", "belongs to the operator",
        services { additional = { named("website-" .. suffix) } })
    end
    refuses(path .. ".additional[0].serviceTemplate.spec.selector", "remove it",
      services { additional = { named("a", { selector = { x = "y" } }) } })
  end)

  it("keeps its roles", function() -- 38
    local function roles(...)
      local list = { ... }
      return function(spec) spec.managed = { roles = list } end
    end
    accepts(roles({ name = "a", connectionLimit = 5 }, { name = "b", passwordSecret = { name = "s" } }))
    refuses("spec.managed.roles[1].name", "twice", roles({ name = "a" }, { name = "a" }))
    refuses("spec.managed.roles[0].connectionLimit", "-2", roles { name = "a", connectionLimit = -2 })
    for _, name in ipairs { "postgres", "streaming_replica", "pg_x", "cnpg_x" } do
      refuses("spec.managed.roles[0].name", "belongs to", roles { name = name })
    end
    refuses("spec.managed.roles[0].disablePassword", "exclude",
      roles { name = "a", disablePassword = true, passwordSecret = { name = "s" } })
  end)

  it("knows extensions by image", function() -- 46
    local path = "spec.postgresql.extensions[0]"
    local function extensions(...)
      local list = { ... }
      for _, one in ipairs(list) do
        one.image = one.image or { reference = "x:1" }
      end
      return function(spec) spec.postgresql = { extensions = list } end
    end
    accepts(extensions({ name = "a", bin_path = { "bin", "./x" }, env = { { name = "X",
      value = "${image_root}/a $${b}" } } }, { name = "b" }))
    refuses("spec.postgresql.extensions[1].name", "twice", extensions({ name = "a" }, { name = "a" }))
    refuses("spec.postgresql.extensions[1].name", "share", extensions({ name = "a_b" }, { name = "a-b" }))
    refuses(path .. ".image.reference", "needed", extensions { name = "a", image = {} })
    for _, field in ipairs { "extension_control_path", "dynamic_library_path", "ld_library_path", "bin_path" } do
      refuses(path .. "." .. field .. "[0]", "must not be empty", extensions { name = "a", [field] = { "" } })
      refuses(path .. "." .. field .. "[0]", "leads out", extensions { name = "a", [field] = { "/x" } })
      refuses(path .. "." .. field .. "[0]", "leads out", extensions { name = "a", [field] = { "x/../../y" } })
      refuses(path .. "." .. field .. "[1]", "twice", extensions { name = "a", [field] = { "x", "x" } })
    end
    for _, name in ipairs { "PATH", "LD_LIBRARY_PATH", "PGDATA", "POD_NAME" } do
      refuses(path .. ".env[0].name", "set by the operator", extensions { name = "a", env = { { name = name,
        value = "x" } } })
    end
    refuses(path .. ".env[1].name", "twice", extensions { name = "a", env = { { name = "A", value = "x" },
      { name = "A", value = "x" } } })
    refuses(path .. ".env[0].value", "'${home}' is unknown", extensions { name = "a", env = { { name = "A",
      value = "${home}" } } })
  end)
end)
