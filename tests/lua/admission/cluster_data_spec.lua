-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local refuses, accepts = support.refuses, support.accepts

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
