-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local refuses, accepts = support.refuses, support.accepts

local function nothing() end

local function set(field, value)
  return function(spec) spec[field] = value end
end

describe("the check of a change", function()
  it("lets the same object through", function()
    accepts(nothing, nothing)
  end)

  it("separates image and parameters when the primary switches over", function()
    local function change(image, work_mem, method)
      return function(spec)
        spec.imageName, spec.primaryUpdateMethod = image, method
        spec.postgresql = { parameters = { work_mem = work_mem } }
      end
    end
    local old = change("pg:17.1", "4MB", "switchover")
    refuses("spec.imageName", "one after the other", change("pg:17.2", "8MB", "switchover"), old)
    accepts(change("pg:17.2", "4MB", "switchover"), old)
    accepts(change("pg:17.1", "8MB", "switchover"), old)
    accepts(change("pg:17.2", "8MB", "restart"), old)
  end)

  it("knows the way of major versions", function()
    local function image(name) return set("imageName", name) end
    accepts(image "pg:18", image "pg:17")
    accepts(image "pg:16", image "pg:13")
    refuses("spec.imageName", "cannot go back to 16", image "pg:16", image "pg:17")
    refuses("spec.imageName", "go to 16 or later", image "pg:15", image "pg:13")
    refuses("spec.imageCatalogRef.major", "cannot go back", function(spec)
      spec.imageName, spec.imageCatalogRef = nil, { apiGroup = "postgresql.cnpg.io", kind = "ImageCatalog",
        name = "c", major = 15 }
    end, image "pg:17")
  end)

  it("lets volumes grow only", function()
    accepts(set("storage", { size = "11Gi" }), nothing)
    accepts(set("storage", { size = "10240Mi" }), nothing)
    refuses("spec.storage.size", "cannot shrink: asked for 9Gi, it has 10Gi", set("storage", { size = "9Gi" }), nothing)
    refuses("spec.storage.size", "cannot shrink",
      set("storage", { pvcTemplate = { resources = { requests = { storage = "1Gi" } } } }), nothing)
    local wal = set("walStorage", { size = "2Gi" })
    refuses("spec.walStorage.size", "cannot shrink", set("walStorage", { size = "1Gi" }), wal)
    refuses("spec.walStorage", "cannot be removed", nothing, wal)
    accepts(wal, nothing)
  end)

  it("keeps tablespaces", function()
    local function tablespaces(size, ...)
      local names = { ... }
      return function(spec)
        spec.tablespaces = array {}
        for _, name in ipairs(names) do
          spec.tablespaces:add { name = name, storage = { size = size } }
        end
      end
    end
    accepts(tablespaces("2Gi", "b", "a"), tablespaces("2Gi", "a"))
    refuses("spec.tablespaces", "cannot be removed", nothing, tablespaces("2Gi", "a"))
    refuses("spec.tablespaces", "'a' cannot be removed", tablespaces("2Gi", "b"), tablespaces("2Gi", "a"))
    refuses("spec.tablespaces[0].storage.size", "cannot shrink", tablespaces("1Gi", "a"), tablespaces("2Gi", "a"))
  end)

  it("keeps ids", function()
    accepts(set("postgresUID", 26), nothing)
    refuses("spec.postgresUID", "it is 26", set("postgresUID", 27), nothing)
    refuses("spec.postgresGID", "it is 5", nothing, set("postgresGID", 5))
  end)

  it("keeps the slots' section while it is enabled", function()
    local function slots(value) return set("replicationSlots", value) end
    local on = slots { highAvailability = { enabled = true, slotPrefix = "_a_" } }
    refuses("spec.replicationSlots.highAvailability.slotPrefix", "it is '_a_'",
      slots { highAvailability = { enabled = true, slotPrefix = "_b_" } }, on)
    accepts(slots { highAvailability = { enabled = false, slotPrefix = "_b_" } }, on)
    local checks = require("admission.cluster_checks")
    local defaults = require("admission.cluster_defaults")
    local new = defaults.defaults(support.cluster(), support.env)
    new.spec.replicationSlots = {}
    local faults = checks.validate(new, support.cluster(), support.env)
    assert.same({ "spec.replicationSlots.highAvailability", "spec.replicationSlots.synchronizeReplicas" },
      { faults[1].path, faults[2].path })
  end)

  it("does not reduce WAL", function()
    local function minimal(spec, cluster)
      spec.instances = 1
      spec.postgresql = { parameters = { wal_level = "minimal", max_wal_senders = "0" } }
      cluster.metadata.annotations["cnpg.io/skipWalArchiving"] = "enabled"
    end
    refuses("spec.postgresql.parameters.wal_level", "cannot become minimal", minimal, set("instances", 1))
    accepts(minimal, minimal)
  end)

  it("waits for a switch to end", function()
    local function kind(enabled, busy)
      return function(spec, cluster)
        spec.replica = { source = "b", enabled = enabled }
        spec.bootstrap = { pg_basebackup = { source = "b" } }
        spec.externalClusters = { { name = "b", connectionParameters = { host = "b" } } }
        cluster.status = { switchReplicaClusterStatus = { inProgress = busy } }
      end
    end
    refuses("spec.replica", "still going on", kind(true), kind(false, true))
    accepts(kind(true), kind(false, false))
    accepts(kind(false), kind(false, true))
  end)
end)

describe("the warnings", function()
  it("name what is deprecated or doubtful", function()
    support.warns("nodeMaintenanceWindow", set("nodeMaintenanceWindow", { inProgress = true }))
    local store = { destinationPath = "s3://x", s3Credentials = { inheritFromIAMRole = true } }
    support.warns("barmanObjectStore: deprecated", set("backup", { barmanObjectStore = store }))
    support.warns("barmanObjectStore: deprecated", set("externalClusters", { { name = "x",
      barmanObjectStore = store } }))
    support.warns("retentionPolicy: has no effect", set("backup", { retentionPolicy = "30d" }))
    support.warns("spec.storage: storageClass is given twice",
      set("storage", { size = "1Gi", storageClass = "a", pvcTemplate = { storageClassName = "b" } }))
    support.warns("spec.storage: the size is given twice",
      set("storage", { size = "1Gi", pvcTemplate = { resources = { requests = { storage = "2Gi" } } } }))
    support.warns("shared_buffers: PostgreSQL counts", set("postgresql", { parameters = { shared_buffers = "256" } }))
    support.warns("metricsQueriesTTL", set("monitoring", { metricsQueriesTTL = "0s" }))
    support.warns("enablePodMonitor: deprecated", set("monitoring", { enablePodMonitor = true }))
    support.warns("podMonitorRelabelings: deprecated", set("monitoring", { podMonitorRelabelings = { {} } }))
    support.warns("podMonitorMetricRelabelings: deprecated", set("monitoring",
      { podMonitorMetricRelabelings = { {} } }))
    support.warns("may lose the last transactions", nothing)
    support.warns("not spread over the failure domains", function(_, cluster)
      cluster.status = { conditions = { { type = "SyncReplicationTopologySatisfied", status = "False",
        reason = "X" } } }
    end)
  end)

  it("are absent otherwise", function()
    local calm = set("postgresql", { synchronous = { method = "any", number = 1 },
      parameters = { shared_buffers = "1GB" } })
    local _, warnings = support.validate(support.cluster(calm))
    assert.same({}, { table.unpack(warnings) })
    support.is_silent("transactions", set("instances", 1))
    support.is_silent("transactions", set("maxSyncReplicas", 1))
    support.is_silent("metricsQueriesTTL", set("monitoring", { metricsQueriesTTL = "30s" }))
  end)
end)
