-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local affinity = require("desired.affinity")
local defaults = require("admission.cluster_defaults").defaults
local diff = require("desired.diff")
local hash = require("desired.hash")
local image = require("desired.image")
local job = require("desired.job")
local json = require("desired.json")
local lease = require("desired.lease")
local meta = require("desired.meta")
local names = require("desired.names")
local pdb = require("desired.pdb")
local pvc = require("desired.pvc")
local rbac = require("desired.rbac")
local secret = require("desired.secret")
local service = require("desired.service")
local shell = require("desired.shell")
local sorted = require("desired.sorted")
local time = require("desired.time")

local function context(change)
  local cluster = defaults(world.cluster(change), {})
  return meta.context(cluster, { image = "localhost/moonherd:dev", cluster_domain = "cluster.local" },
    "quay.io/enterprisedb/postgresql:15.4", 15)
end

local function plain(list)
  return { table.unpack(list) }
end

describe("jobs", function()
  local function command(object)
    return table.concat(object.spec.template.spec.containers[1].command, " ")
  end

  it("make the first instance with initdb", function()
    local object = job.initdb(context(), "website-1", 1)
    assert.equal("website-1-initdb", object.metadata.name)
    assert.equal("initdb", object.metadata.labels["cnpg.io/jobRole"])
    local template = object.spec.template
    assert.equal("website-1", template.metadata.labels["cnpg.io/instanceName"])
    assert.is_nil(template.metadata.labels["cnpg.io/podRole"])
    assert.equal("Never", template.spec.restartPolicy)
    assert.equal("website-1-initdb", template.spec.hostname)
    assert.equal("initdb", template.spec.containers[1].name)
    assert.equal("bootstrap-controller", template.spec.initContainers[1].name)
    assert.equal("/controller/manager instance init --initdb-flags --encoding=UTF8 --lc-collate=C --lc-ctype=C"
      .. " --app-db-name app --app-user app --log-level=info", command(object))
    local env = template.spec.containers[1].env
    assert.equal("website-1-initdb", env[2].value)
    assert.same({ name = "website-app", key = "username" }, env[#env].valueFrom.secretKeyRef)
  end)

  it("pass statements and flags as one argument each", function()
    local object = job.initdb(context(function(spec)
      spec.walStorage = { size = "1Gi" }
      spec.bootstrap = { initdb = { database = "shop", owner = "it's", dataChecksums = true, walSegmentSize = 32,
        postInitSQL = array { "SELECT 'a b'", "SELECT 2" } } }
    end), "website-1", 1)
    local words = object.spec.template.spec.containers[1].command
    assert.same({ "/controller/manager", "instance", "init", "--initdb-flags",
      "-k --encoding=UTF8 --lc-collate=C --lc-ctype=C --wal-segsize=32",
      "--post-init-sql", [['SELECT '\''a b'\''' 'SELECT 2']], "--app-db-name", "shop", "--app-user", "it's",
      "--pg-wal", "/var/lib/postgresql/wal/pg_wal", "--log-level=info" }, plain(words))
  end)

  it("pass every setting of initdb on", function()
    local function flags(initdb, level)
      return plain(job.initdb_flags { logLevel = level, bootstrap = { initdb = initdb } })
    end
    local all = { dataChecksums = true, encoding = "UTF8", localeCollate = "de_DE", localeCType = "de_DE", locale = "C",
      localeProvider = "icu", icuLocale = "und", icuRules = "&a < b", builtinLocale = "C.UTF-8", walSegmentSize = 64 }
    assert.same({ "-k", "--encoding=UTF8", "--lc-collate=de_DE", "--lc-ctype=de_DE", "--locale=C",
      "--locale-provider=icu", "--icu-locale=und", "--icu-rules=&a < b", "--builtin-locale=C.UTF-8",
      "--wal-segsize=64" }, flags(all))
    assert.same({ "-d" }, flags({}, "debug"))
    assert.same({ "--no-locale" }, flags({ options = array { "--no-locale" }, encoding = "UTF8" }, "debug"))
  end)

  it("tell the manager the API group when it is not the first one", function()
    local function last(change)
      local env = job.join(context(change), "website-3", 3).spec.template.spec.containers[1].env
      return env[#env].name
    end
    assert.equal("TMPDIR", last())
    assert.equal("MOONHERD_API_GROUP", last(function(_, cluster)
      cluster.apiVersion = "postgresql.k8s.enterprisedb.io/v1"
    end))
  end)

  it("clone with join, apart from each other", function()
    local object = job.join(context(), "website-3", 3)
    assert.equal("/controller/manager instance join --parent-node website-rw --log-level=info", command(object))
    local terms = object.spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution
    assert.equal(2, #terms)
    assert.equal("/controller/manager instance join --parent-node 10.0.0.1,website-rw --log-level=info",
      command(job.join(context(), "website-3", 3, nil, "10.0.0.1")))
    assert.equal("cnpg.io/jobRole", terms[2].podAffinityTerm.labelSelector.matchExpressions[2].key)
  end)
end)

describe("volumes", function()
  it("are claims for data, WAL and tablespaces", function()
    local c = context(function(spec)
      spec.walStorage = { size = "1Gi", storageClass = "fast" }
      spec.tablespaces = array { { name = "a_b", storage = { size = "2Gi" } } }
    end)
    local volumes = pvc.volumes(c.spec, "website-1")
    assert.same({ "website-1", "website-1-wal", "website-1-tbs-a-b" },
      { volumes[1].name, volumes[2].name, volumes[3].name })
    local object = pvc.build(c, "website-1", 1, volumes[2], "ready")
    assert.equal("PG_WAL", object.metadata.labels["cnpg.io/pvcRole"])
    assert.equal("1", object.metadata.annotations["cnpg.io/nodeSerial"])
    assert.equal("ready", object.metadata.annotations["cnpg.io/pvcStatus"])
    assert.equal("fast", object.spec.storageClassName)
    assert.equal("1Gi", object.spec.resources.requests.storage)
    assert.equal("ReadWriteOnce", object.spec.accessModes[1])
    assert.equal("a_b", pvc.build(c, "website-1", 1, volumes[3], "ready").metadata.labels["cnpg.io/tablespaceName"])
  end)

  it("begin with the template", function()
    local c = context(function(spec)
      spec.storage = { size = "5Gi", pvcTemplate = { accessModes = array { "ReadWriteOncePod" },
        resources = { requests = { storage = "1Gi" } } } }
    end)
    local spec = pvc.build(c, "website-1", 1, pvc.volumes(c.spec, "website-1")[1], "initializing").spec
    assert.equal("ReadWriteOncePod", spec.accessModes[1])
    assert.equal("5Gi", spec.resources.requests.storage)
    assert.equal("1Gi", c.spec.storage.pvcTemplate.resources.requests.storage)
  end)
end)

describe("the service for all instances", function()
  it("is there only where the operator is told so, and names those that are not ready", function()
    local c = context()
    assert.is_nil(service.build(c)[c.name .. "-any"])
    c.operator = { create_any_service = true }
    local any = service.build(c)[c.name .. "-any"].spec
    assert.is_true(any.publishNotReadyAddresses)
    assert.same({ ["cnpg.io/cluster"] = c.name, ["cnpg.io/podRole"] = "instance" }, any.selector)
  end)
end)

describe("services", function()
  it("select the primary, replicas, and all instances", function()
    local all = service.build(context())
    assert.same({ "website-r", "website-ro", "website-rw" }, sorted.keys(all))
    assert.same({ ["cnpg.io/cluster"] = "website", ["cnpg.io/instanceRole"] = "primary" },
      all["website-rw"].spec.selector)
    assert.same({ ["cnpg.io/cluster"] = "website", ["cnpg.io/instanceRole"] = "replica" },
      all["website-ro"].spec.selector)
    assert.same({ ["cnpg.io/cluster"] = "website", ["cnpg.io/podRole"] = "instance" },
      all["website-r"].spec.selector)
    assert.same({ name = "postgres", port = 5432, targetPort = 5432, protocol = "TCP" },
      all["website-rw"].spec.ports[1])
  end)

  it("can be switched off and added to", function()
    local all = service.build(context(function(spec)
      spec.managed = { services = { disabledDefaultServices = array { "ro", "rw" }, additional = array { {
        selectorType = "rw", serviceTemplate = { metadata = { name = "lb" }, spec = { type = "LoadBalancer" } } } } } }
    end))
    assert.same({ "lb", "website-r", "website-rw" }, sorted.keys(all))
    assert.equal("true", all.lb.metadata.labels["cnpg.io/isManaged"])
    assert.equal("LoadBalancer", all.lb.spec.type)
    assert.equal(5432, all.lb.spec.ports[1].port)
  end)
end)

describe("secrets", function()
  it("are asked for, never made here", function()
    local made = secret.certificates(context())
    assert.same({ "website-ca", "website-server", "website-replication" },
      { made[1].object.metadata.name, made[2].object.metadata.name, made[3].object.metadata.name })
    assert.same({ type = "ca", cn = "website", ou = "shop" }, made[1].fill)
    assert.equal("website-rw", made[2].fill.cn)
    assert.same({ "website-rw", "website-rw.shop", "website-rw.shop.svc", "website-rw.shop.svc.cluster.local" },
      { table.unpack(made[2].fill.dns_names, 1, 4) })
    assert.equal(12, #made[2].fill.dns_names)
    assert.equal("streaming_replica", made[3].fill.cn)
    for _, entry in ipairs(made) do
      assert.is_nil(entry.object.data)
    end
  end)

  it("are left out where the user brings his own", function()
    local c = context(function(spec)
      spec.certificates = { serverCASecret = "s", serverTLSSecret = "t", clientCASecret = "c",
        replicationTLSSecret = "r" }
      spec.bootstrap = { initdb = { database = "d", owner = "o", secret = { name = "mine" } } }
    end)
    assert.equal(0, #secret.certificates(c))
    assert.equal(0, #secret.users(c))
    assert.same({ app = "mine" }, secret.user_names(c.name, c.spec))
  end)

  it("hold the passwords of application and superuser", function()
    local made = secret.users(context(function(spec)
      spec.enableSuperuserAccess = true
    end))
    assert.equal("kubernetes.io/basic-auth", made[1].object.type)
    assert.same({ type = "password", username = "app", dbname = "app", host = "website-rw", port = 5432,
      namespace = "shop", cluster_domain = "cluster.local" }, made[1].fill)
    assert.equal("*", made[2].fill.dbname)
    assert.equal("superuser", made[2].object.metadata.labels["cnpg.io/userType"])
  end)
end)

describe("the account of the instances", function()
  it("may touch its own objects only, by name", function()
    local object = rbac.role(context(), { "website-1", "website-2" })
    for _, rule in ipairs(object.rules) do
      local is_events = rule.resources[1] == "events"
      assert.equal(is_events, rule.resourceNames == nil, rule.resources[1])
      for _, verb in ipairs(rule.verbs) do
        assert.not_equal("*", verb)
      end
    end
    local pods = object.rules[#object.rules]
    assert.same({ { "pods" }, { "get", "patch" }, { "website-1", "website-2" } },
      { plain(pods.resources), plain(pods.verbs), plain(pods.resourceNames) })
  end)

  it("reads Clusters of the group that its own is of", function()
    local object = rbac.role(context(function(_, cluster)
      cluster.apiVersion = "postgresql.k8s.enterprisedb.io/v1"
    end), {})
    assert.equal("postgresql.k8s.enterprisedb.io", object.rules[3].apiGroups[1])
    assert.equal("postgresql.k8s.enterprisedb.io/v1", object.metadata.ownerReferences[1].apiVersion)
  end)

  it("is the user's where he names one", function()
    local c = context(function(spec)
      spec.serviceAccountName = "mine"
    end)
    assert.is_nil(rbac.account(c))
    assert.equal("mine", rbac.binding(c).subjects[1].name)
    assert.is_false(rbac.account(context()).automountServiceAccountToken)
  end)
end)

describe("budgets", function()
  local CASES = {
    { 1, nil, { "website-primary" } }, { 2, nil, { "website-primary" } },
    { 3, nil, { "website", "website-primary" } },
    { 3, { inProgress = true, reusePVC = true }, { "website-primary" } },
    { 1, { inProgress = true }, {} }, { 3, { inProgress = true, reusePVC = false }, { "website", "website-primary" } },
  }
  for i, case in ipairs(CASES) do
    it(("protect %d instances, case %d"):format(case[1], i), function()
      assert.same(case[3], sorted.keys(pdb.build(context(function(spec)
        spec.instances, spec.nodeMaintenanceWindow = case[1], case[2]
      end))))
    end)
  end
  it("let all replicas go but instances - 2", function()
    assert.equal(3, pdb.build(context(function(spec)
      spec.instances = 5
    end)).website.spec.minAvailable)
    assert.same({}, pdb.build(context(function(spec)
      spec.enablePDB = false
    end)))
  end)
end)

describe("small things", function()
  it("labels of the cluster that fit a glob are inherited", function()
    local c = context(function(_, cluster)
      cluster.metadata.labels = { ["team.io/a"] = "1", other = "2" }
    end)
    c.operator.inherited_labels = array { "team.io/*" }
    assert.same({ ["team.io/a"] = "1", ["cnpg.io/cluster"] = "website" }, lease.build(c).metadata.labels)
  end)

  it("a new Lease says nothing", function()
    assert.same({}, lease.build(context()).spec)
  end)

  it("names come and go", function()
    assert.equal(12, names.serial("web", "web-12"))
    for _, bad in ipairs { "web-012", "web-0", "web-1-wal", "other-1", "web-", "web-1234567890" } do
      assert.is_nil(names.serial("web", bad))
    end
    assert.equal("1a-b-c", names.sanitised("_a_B$c"))
  end)

  it("JSON has sorted keys and tells lists from objects", function()
    assert.equal('{"a":[],"b":{},"c":[1,"x\\n\\u0001"],"d":true}',
      json.encode { d = true, c = array { 1, "x\n\1" }, b = {}, a = array {} })
  end)

  it("times are written and read", function()
    assert.equal("2026-08-01T10:00:00Z", time.rfc3339(world.NOW))
    assert.equal("2026-08-01T10:00:00.000000Z", time.micro(world.NOW))
    assert.equal("2026-08-01 10:00:00 +0000 UTC", time.go(world.NOW))
    assert.equal("1970-01-01T00:00:00Z", time.rfc3339(0))
    assert.equal("2024-02-29T23:59:59Z", time.rfc3339(1709251199))
    for _, text in ipairs { "2026-08-01T10:00:00Z", "2026-08-01T10:00:00.123456Z", "2026-08-01T12:00:00+02:00" } do
      assert.equal(world.NOW, time.parse(text))
    end
    assert.is_nil(time.parse("yesterday"))
    for day = 0, 40000, 17 do
      assert.equal(day * 86400, time.parse(time.rfc3339(day * 86400)))
    end
  end)

  it("words are quoted for a shell", function()
    assert.equal([[a=b 'c d' 'it'\''s' '']], shell.join { "a=b", "c d", "it's", "" })
  end)

  it("hashes tell texts apart", function()
    local seen = {}
    for i = 1, 2000 do
      local h = hash.of(("x"):rep(i % 40) .. i)
      assert.is_nil(seen[h])
      seen[h] = true
    end
    assert.equal(hash.of("abc"), hash.of("abc"))
  end)

  it("an object covers another when it has all its fields", function()
    assert.is_true(diff.covers({ a = { b = 1 } }, { a = { b = 1, c = 2 }, d = 3 }))
    assert.is_false(diff.covers({ a = array { 1 } }, { a = array { 1, 2 } }))
    assert.is_true(diff.covers({ a = array {}, b = {} }, {}))
    assert.is_false(diff.covers({ a = 1 }, {}))
    assert.same({ b = "2" }, diff.missing({ a = "1", b = "2" }, { a = "1" }))
  end)

  it("images come from the name or a catalog", function()
    assert.same({ image = "x/y:13.1", majorVersion = 13 }, image.resolve { imageName = "x/y:13.1" })
    local spec = { imageCatalogRef = { kind = "ImageCatalog", name = "c", major = 17 } }
    assert.is_nil((image.resolve(spec, nil)))
    assert.is_nil((image.resolve(spec, { spec = { images = { { major = 16, image = "a:16" } } } })))
    assert.equal("a:17", image.resolve(spec, { spec = { images = { { major = 17, image = "a:17" } } } }).image)
  end)

  it("a policy's demand is a wish for an instance that has its volume", function()
    local soft = affinity.softened { required = array { { node = { key = "z", op = "In", values = array { "3" } } } },
      spread = array { { key = "z", when_unsatisfiable = "DoNotSchedule" } } }
    assert.equal(0, #soft.required)
    assert.equal("z", soft.preferred[1].node.key)
    assert.equal("ScheduleAnyway", soft.spread[1].when_unsatisfiable)
    assert.is_true(affinity.is_empty { required = array {} })
  end)
end)
