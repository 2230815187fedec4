-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local access = require("admission.access")
local cluster_defaults = require("admission.cluster_defaults")
local jsonpatch = require("admission.jsonpatch")

local function spec_of(change, env)
  return cluster_defaults.defaults(support.cluster(change), env or support.env).spec
end

describe("the defaults of a cluster", function()
  it("leave the argument alone and are stable", function()
    local cluster = support.cluster()
    local before = access.copy(cluster)
    local once, changes = cluster_defaults.defaults(cluster, support.env)
    assert.is_true(access.equal(before, cluster))
    assert.is_true(#changes > 0)
    local twice, more = cluster_defaults.defaults(once, support.env)
    assert.equal(0, #more)
    assert.is_true(access.equal(once, twice))
  end)

  it("survive anything", function()
    for _, spec in ipairs { "x", 5, null, array {}, {} } do
      assert.has_no.errors(function() cluster_defaults.defaults({ spec = spec }, support.env) end)
    end
    assert.has_no.errors(function() cluster_defaults.defaults({}, {}) end)
    assert.has_no.errors(function() cluster_defaults.defaults({ spec = {
      affinity = "x", bootstrap = 5, postgresql = "x", monitoring = array {}, replicationSlots = true,
        tablespaces = "x",
      plugins = 3, probes = "x", backup = "x", imageName = 7, metadata = 1,
    }, metadata = "x" }, { default_image = "pg:18", monitoring_queries_configmap = "m",
      include_plugins = { "p" } }) end)
    assert.has_no.errors(function() cluster_defaults.defaults({ spec = {
      postgresql = { parameters = "x", synchronous = 4 }, bootstrap = { initdb = "x" }, tablespaces = array { "x",
        { owner = "y" } },
      monitoring = { customQueriesConfigMap = "x" }, plugins = array { "x" }, probes = { liveness = "x" },
    } }, { default_image = "pg:18", monitoring_queries_configmap = "m", include_plugins = { "p" } }) end)
  end)

  it("name the image unless there is one or a catalog", function() -- 1
    local function without(spec) spec.imageName = nil end
    assert.equal(support.env.default_image, spec_of(without).imageName)
    assert.equal("quay.io/enterprisedb/postgresql:17.2", spec_of().imageName)
    assert.is_nil(spec_of(function(spec)
      spec.imageName, spec.imageCatalogRef = nil, { kind = "ImageCatalog", name = "c", major = 17 }
    end).imageName)
  end)

  it("fill in bootstrap", function() -- 2
    assert.same({ database = "app", owner = "app", encoding = "UTF8", localeCollate = "C", localeCType = "C" },
      spec_of().bootstrap.initdb)
    local own = spec_of(function(spec) spec.bootstrap = { initdb = { database = "shop", encoding = "LATIN1" } } end)
    assert.equal("shop", own.bootstrap.initdb.owner)
    assert.equal("LATIN1", own.bootstrap.initdb.encoding)
    local monolith = spec_of(function(spec) spec.bootstrap = { initdb = { import = { type = "monolith" } } } end)
    assert.is_nil(monolith.bootstrap.initdb.database)
    assert.is_nil(monolith.bootstrap.initdb.owner)
    for _, method in ipairs { "recovery", "pg_basebackup" } do
      local copy = spec_of(function(spec) spec.bootstrap = { [method] = { source = "x" } } end)
      assert.same({ source = "x", database = "app", owner = "app" }, copy.bootstrap[method])
      assert.is_nil(copy.bootstrap.initdb)
    end
  end)

  it("prefer to keep instances apart", function() -- 3
    assert.equal("preferred", spec_of().affinity.podAntiAffinityType)
    assert.equal("required", spec_of(function(spec)
      spec.affinity = { podAntiAffinityType = "required" }
    end).affinity.podAntiAffinityType)
    assert.is_nil(spec_of(function(spec)
      spec.affinity = { enablePodAntiAffinity = false }
    end).affinity.podAntiAffinityType)
  end)

  it("take backups from standbys", function() -- 4
    assert.is_nil(spec_of().backup)
    assert.equal("prefer-standby", spec_of(function(spec) spec.backup = {} end).backup.target)
  end)

  it("add parameters and keep the user's", function() -- 5
    local values = spec_of(function(spec)
      spec.postgresql = { parameters = { wal_level = "replica", work_mem = "8MB", port = "1" } }
    end).postgresql.parameters
    assert.equal("replica", values.wal_level)
    assert.equal("8MB", values.work_mem)
    assert.equal("1", values.port)
    assert.equal("on", values.archive_mode)
    assert.equal("", values.shared_preload_libraries)
    assert.equal("csvlog", values.log_destination)
    assert.is_nil(spec_of(function(spec) spec.imageName = "pg:latest" end).postgresql)
  end)

  it("let archive_mode follow the kind of cluster", function() -- 5
    local function replica(spec)
      spec.replica = { enabled = true, source = "x" }
      spec.postgresql = { parameters = { archive_mode = "on" } }
    end
    assert.equal("always", spec_of(replica).postgresql.parameters.archive_mode)
    assert.equal("off", spec_of(function(_, cluster)
      cluster.metadata.annotations["cnpg.io/skipWalArchiving"] = "enabled"
    end).postgresql.parameters.archive_mode)
    assert.equal("odd", spec_of(function(spec)
      spec.postgresql = { parameters = { archive_mode = "odd" } }
    end).postgresql.parameters.archive_mode)
  end)

  it("log at info", function() -- 6
    assert.equal("info", spec_of().logLevel)
    assert.equal("debug", spec_of(function(spec) spec.logLevel = "debug" end).logLevel)
  end)

  it("put the default queries first, once", function() -- 7
    local env = { default_image = "pg:18", monitoring_queries_configmap = "a", monitoring_queries_secret = "b" }
    local own = { name = "own", key = "q" }
    local spec = spec_of(function(s) s.monitoring = { customQueriesConfigMap = array { own } } end, env)
    assert.same({ { name = "cnpg-default-monitoring", key = "queries" }, own },
      { table.unpack(spec.monitoring.customQueriesConfigMap) })
    assert.equal(1, #spec.monitoring.customQueriesSecret)
    assert.is_nil(spec_of().monitoring)
    assert.is_nil(spec_of(function(s) s.monitoring = { disableDefaultQueries = true } end, env)
      .monitoring.customQueriesConfigMap)
  end)

  it("switch replication slots on", function() -- 8
    assert.same({ highAvailability = { enabled = true, slotPrefix = "_cnpg_" },
      synchronizeReplicas = { enabled = true } },
      spec_of().replicationSlots)
    local off = spec_of(function(spec) spec.replicationSlots = { highAvailability = { enabled = false } } end)
    assert.same({ enabled = false }, off.replicationSlots.highAvailability)
  end)

  it("give tablespaces to the application's owner", function() -- 9
    local function tablespaces(spec) spec.tablespaces = array { { name = "a" }, { name = "b",
      owner = { name = "x" } } } end
    local spec = spec_of(tablespaces)
    assert.equal("app", spec.tablespaces[1].owner.name)
    assert.equal("x", spec.tablespaces[2].owner.name)
    assert.equal("postgres", spec_of(function(s)
      tablespaces(s)
      s.bootstrap = { initdb = { import = { type = "monolith" } } }
    end).tablespaces[1].owner.name)
  end)

  it("make synchronous replication durable", function() -- 10
    assert.equal("required", spec_of(function(spec)
      spec.postgresql = { synchronous = { method = "any", number = 1 } }
    end).postgresql.synchronous.dataDurability)
  end)

  it("append the plugins that every cluster has", function() -- 11
    local env = { default_image = "pg:18", include_plugins = { "one", "two" } }
    local plugins = spec_of(function(spec) spec.plugins = array { { name = "two", enabled = false } } end, env).plugins
    assert.same({ { name = "two", enabled = false }, { name = "one", enabled = true } }, { table.unpack(plugins) })
    assert.is_nil(spec_of().plugins)
  end)

  it("check isolation, also as annotations of old asked", function() -- 12
    assert.same({ enabled = true, requestTimeout = 1000, connectionTimeout = 1000 },
      spec_of().probes.liveness.isolationCheck)
    local function annotated(name, value)
      return function(spec, cluster)
        cluster.metadata.annotations[name] = value
        spec.postgresql = { synchronous = { method = "any", number = 1 } }
      end
    end
    assert.same({ enabled = false, requestTimeout = 5, connectionTimeout = 1000 },
      spec_of(annotated("alpha.cnpg.io/livenessPinger", '{"enabled":false,"requestTimeout":5}'))
        .probes.liveness.isolationCheck)
    assert.is_true(spec_of(annotated("alpha.cnpg.io/livenessPinger", "{")).probes.liveness.isolationCheck.enabled)
    assert.is_true(spec_of(annotated("alpha.cnpg.io/failoverQuorum", "true")).postgresql.synchronous.failoverQuorum)
    assert.is_false(spec_of(annotated("alpha.cnpg.io/failoverQuorum", "f")).postgresql.synchronous.failoverQuorum)
    assert.is_nil(spec_of(annotated("alpha.cnpg.io/failoverQuorum", "maybe")).postgresql.synchronous.failoverQuorum)
  end)

  it("tell each change with its path, and make a patch that applies", function()
    local old = support.cluster()
    local new, changes = cluster_defaults.defaults(old, support.env)
    assert.equal("spec.bootstrap", changes[1].path)
    local ops = jsonpatch.diff(old, new)
    assert.is_true(access.equal(jsonpatch.apply(old, ops), new))
    for i = 2, #ops do
      assert.is_true(ops[i - 1].path < ops[i].path)
    end
  end)
end)
