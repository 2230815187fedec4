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

  it("becomes a list of paths", function()
    assert.equal("a, c", cluster_checks.paths { { path = "c" }, { path = "a" }, { path = "c" } })
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
    local function reference(kind, group)
      return function(spec)
        spec.imageName, spec.imageCatalogRef = nil, { apiGroup = group, kind = kind, name = "c", major = 17 }
      end
    end
    refuses("spec.imageCatalogRef.kind", "'Pod'", reference("Pod", "postgresql.cnpg.io"))
    refuses("spec.imageCatalogRef.apiGroup", "must be postgresql.cnpg.io", reference("ImageCatalog", "x"))
    accepts(reference("ImageCatalog", "x"), nil, { api_groups = { "postgresql.cnpg.io", "x" } })
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
