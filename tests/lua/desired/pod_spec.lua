-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local defaults = require("admission.cluster_defaults").defaults
local decode = require("admission.json").decode
local json = require("desired.json")
local meta = require("desired.meta")
local pod = require("desired.pod")

local OPERATOR = { image = "localhost/moonherd:dev", namespace = "moonherd-system" }

local function context(change)
  local cluster = defaults(world.cluster(change), { default_image = "x:15.1" })
  return meta.context(cluster, OPERATOR, "quay.io/enterprisedb/postgresql:15.4", 15)
end

local function build(change, placement)
  return pod.build(context(change), "website-2", 2, placement)
end

local function by_name(list)
  local out = {}
  for _, item in ipairs(list) do
    out[item.name] = item
  end
  return out
end

describe("the pod of an instance", function()
  it("has name, labels, annotations and one controlling owner", function()
    local object = build()
    assert.equal("website-2", object.metadata.name)
    assert.same({
      ["cnpg.io/cluster"] = "website", ["cnpg.io/instanceName"] = "website-2", ["cnpg.io/podRole"] = "instance",
      ["app.kubernetes.io/name"] = "postgresql", ["app.kubernetes.io/instance"] = "website",
      ["app.kubernetes.io/version"] = "15", ["app.kubernetes.io/component"] = "database",
      ["app.kubernetes.io/managed-by"] = "cloudnative-pg",
    }, object.metadata.labels)
    assert.equal("2", object.metadata.annotations["cnpg.io/nodeSerial"])
    assert.equal("1.30.0", object.metadata.annotations["cnpg.io/operatorVersion"])
    assert.truthy(object.metadata.annotations["cnpg.io/podEnvHash"]:match("^%x+$"))
    assert.equal(json.encode(object.spec), object.metadata.annotations["cnpg.io/podSpec"])
    assert.same({ { apiVersion = "postgresql.cnpg.io/v1", kind = "Cluster", name = "website", uid = "uid-website",
      controller = true } }, { table.unpack(object.metadata.ownerReferences) })
  end)

  it("runs the manager with its arguments in order", function()
    local main = build().spec.containers[1]
    assert.equal("postgres", main.name)
    assert.equal("quay.io/enterprisedb/postgresql:15.4", main.image)
    assert.equal("/controller/manager instance run --status-port-tls --log-level=info",
      table.concat(main.command, " "))
    main = build(function(spec, cluster)
      cluster.metadata.annotations["alpha.cnpg.io/enableInstancePprof"] = "true"
      spec.monitoring, spec.logLevel = { tls = { enabled = true } }, "debug"
    end).spec.containers[1]
    assert.equal("/controller/manager instance run --pprof-server --status-port-tls --metrics-port-tls"
      .. " --log-level=debug", table.concat(main.command, " "))
    assert.equal(6060, by_name(main.ports).pprof.containerPort)
  end)

  it("gets the manager from an init container of the operator's image", function()
    local init = build().spec.initContainers[1]
    assert.equal("bootstrap-controller", init.name)
    assert.equal("localhost/moonherd:dev", init.image)
    assert.equal("/manager bootstrap /controller/manager --log-level=info", table.concat(init.command, " "))
    assert.is_nil(by_name(init.volumeMounts)["kube-api-access"])
  end)

  it("has the environment in the order of the contract", function()
    local object = build(function(spec)
      spec.env = array { { name = "MINE", value = "1" } }
      spec.envFrom = array { { secretRef = { name = "x" } } }
    end)
    local names, main = {}, object.spec.containers[1]
    for i, variable in ipairs(main.env) do
      names[i] = variable.name .. "=" .. variable.value
    end
    assert.same({ "PGDATA=/var/lib/postgresql/data/pgdata", "POD_NAME=website-2", "NAMESPACE=shop",
      "CLUSTER_NAME=website", "PSQL_HISTORY=/controller/tmp/.psql_history", "PGPORT=5432",
      "PGHOST=/controller/run", "TMPDIR=/controller/tmp", "MINE=1" }, names)
    assert.equal("x", main.envFrom[1].secretRef.name)
  end)

  it("asks the manager on port 8000 over HTTPS", function()
    local main = build().spec.containers[1]
    for probe, path in pairs { startupProbe = "/startupz", readinessProbe = "/readyz", livenessProbe = "/healthz" } do
      assert.same({ path = path, port = 8000, scheme = "HTTPS" }, main[probe].httpGet)
      assert.equal(5, main[probe].timeoutSeconds)
    end
    assert.equal(10, main.readinessProbe.periodSeconds)
    assert.equal(10, main.livenessProbe.periodSeconds)
    assert.equal(3600, main.startupProbe.failureThreshold * main.startupProbe.periodSeconds)
    assert.is_nil(main.livenessProbe.failureThreshold)
  end)

  it("takes the numbers of spec.probes, unless they are zero", function()
    local main = build(function(spec)
      spec.startDelay, spec.livenessProbeTimeout = 95, 25
      spec.probes = { startup = { periodSeconds = 10, timeoutSeconds = 0 },
        readiness = { periodSeconds = 3, failureThreshold = 4 } }
    end).spec.containers[1]
    assert.equal(10, main.startupProbe.failureThreshold) -- 95 / 10, rounded up
    assert.equal(5, main.startupProbe.timeoutSeconds)
    assert.equal(3, main.readinessProbe.periodSeconds)
    assert.equal(4, main.readinessProbe.failureThreshold)
    assert.equal(3, main.livenessProbe.failureThreshold) -- 25 / 10, rounded up
  end)

  it("mounts what the contract says", function()
    local spec = build(function(spec)
      spec.walStorage = { size = "1Gi" }
      spec.tablespaces = array { { name = "_Big$one", storage = { size = "1Gi" } } }
      spec.projectedVolumeTemplate = { sources = array {} }
      spec.ephemeralVolumesSizeLimit = { shm = "64Mi", temporaryData = "1Gi" }
    end).spec
    local volumes, paths = by_name(spec.volumes), {}
    for _, mount in ipairs(spec.containers[1].volumeMounts) do
      paths[#paths + 1] = mount.name .. " " .. mount.mountPath
    end
    table.sort(paths)
    assert.same({ "kube-api-access /var/run/secrets/kubernetes.io/serviceaccount", "pg-wal /var/lib/postgresql/wal",
      "pgdata /var/lib/postgresql/data", "projected /projected", "scratch-data /controller", "scratch-data /run",
      "shm /dev/shm", "tbs-1big-one /var/lib/postgresql/tablespaces/_Big$one" }, paths)
    assert.equal("website-2", volumes.pgdata.persistentVolumeClaim.claimName)
    assert.equal("website-2-wal", volumes["pg-wal"].persistentVolumeClaim.claimName)
    assert.equal("website-2-tbs-1big-one", volumes["tbs-1big-one"].persistentVolumeClaim.claimName)
    assert.same({ medium = "Memory", sizeLimit = "64Mi" }, volumes.shm.emptyDir)
    assert.same({ sizeLimit = "1Gi" }, volumes["scratch-data"].emptyDir)
    assert.equal(3607, volumes["kube-api-access"].projected.sources[1].serviceAccountToken.expirationSeconds)
  end)

  it("meets Pod Security restricted", function()
    local spec = build().spec
    assert.same({ runAsUser = 26, runAsGroup = 26, fsGroup = 26, runAsNonRoot = true,
      seccompProfile = { type = "RuntimeDefault" } }, spec.securityContext)
    for _, container in ipairs { spec.containers[1], spec.initContainers[1] } do
      local context_of = container.securityContext
      assert.equal("ALL", context_of.capabilities.drop[1])
      assert.is_false(context_of.privileged)
      assert.is_false(context_of.allowPrivilegeEscalation)
      assert.is_true(context_of.readOnlyRootFilesystem)
      assert.is_true(context_of.runAsNonRoot)
    end
    assert.is_false(spec.automountServiceAccountToken)
    assert.equal("website", spec.serviceAccountName)
    assert.equal(1800, spec.terminationGracePeriodSeconds)
    assert.equal("website-2", spec.hostname)
  end)

  it("fills only user, group and seccomp into a given pod context", function()
    local spec = build(function(spec)
      spec.podSecurityContext = { runAsUser = 1000, supplementalGroups = array { 5 } }
      spec.securityContext = { readOnlyRootFilesystem = false }
    end).spec
    assert.same({ runAsUser = 1000, runAsGroup = 26, seccompProfile = { type = "RuntimeDefault" },
      supplementalGroups = { 5 } }, { runAsUser = spec.securityContext.runAsUser,
      runAsGroup = spec.securityContext.runAsGroup, seccompProfile = spec.securityContext.seccompProfile,
      supplementalGroups = { table.unpack(spec.securityContext.supplementalGroups) } })
    assert.is_nil(spec.securityContext.fsGroup)
    assert.is_false(spec.containers[1].securityContext.readOnlyRootFilesystem)
  end)

  it("stays away from other instances: preferred, required, or not at all", function()
    local term = build().spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[1]
    assert.equal(100, term.weight)
    assert.equal("kubernetes.io/hostname", term.podAffinityTerm.topologyKey)
    assert.equal(json.encode(array {
      { key = "cnpg.io/cluster", operator = "In", values = array { "website" } },
      { key = "cnpg.io/podRole", operator = "In", values = array { "instance" } },
    }), json.encode(term.podAffinityTerm.labelSelector.matchExpressions))
    local required = build(function(spec)
      spec.affinity = { podAntiAffinityType = "required", topologyKey = "zone" }
    end).spec.affinity.podAntiAffinity
    assert.equal("zone", required.requiredDuringSchedulingIgnoredDuringExecution[1].topologyKey)
    assert.is_nil(required.preferredDuringSchedulingIgnoredDuringExecution)
    assert.is_nil(build(function(spec)
      spec.affinity = { enablePodAntiAffinity = false }
    end).spec.affinity)
  end)

  it("runs where the placement policy says, within what the manifest says", function()
    local spec = build(function(spec)
      spec.affinity = { nodeSelector = { disk = "ssd" }, nodeAffinity = {
        requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms = array {
          { matchExpressions = array { { key = "a", operator = "Exists" } } }, { matchFields = array {} } } } } }
    end, {
      node_selector = { disk = "hdd", pool = "db" },
      required = array { { node = { key = "zone", op = "In", values = array { "3" } } } },
      preferred = array { { weight = 7, node = { key = "class", op = "NotIn", values = array { "batch" } } } },
      spread = array { { key = "zone", max_skew = 2, when_unsatisfiable = "DoNotSchedule" } },
    }).spec
    assert.same({ disk = "ssd", pool = "db" }, spec.nodeSelector)
    local node = spec.affinity.nodeAffinity
    local terms = node.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms
    assert.equal("zone", terms[1].matchExpressions[2].key)
    assert.equal("zone", terms[2].matchExpressions[1].key)
    assert.equal(7, node.preferredDuringSchedulingIgnoredDuringExecution[1].weight)
    local wish = node.preferredDuringSchedulingIgnoredDuringExecution[1].preference
    assert.equal("NotIn", wish.matchExpressions[1].operator)
    assert.equal(2, spec.topologySpreadConstraints[1].maxSkew)
    assert.equal("website", spec.topologySpreadConstraints[1].labelSelector.matchLabels["cnpg.io/cluster"])
  end)

  it("inherits metadata, but not over ours", function()
    local object = build(function(spec, cluster)
      spec.inheritedMetadata = { labels = { team = "a", ["cnpg.io/cluster"] = "other" }, annotations = { note = "b" } }
      cluster.metadata.annotations["kubectl.kubernetes.io/restartedAt"] = "2026-08-01T00:00:00Z"
      cluster.metadata.annotations["container.apparmor.security.beta.kubernetes.io/postgres"] = "runtime/default"
      cluster.metadata.annotations["container.apparmor.security.beta.kubernetes.io/other"] = "runtime/default"
    end)
    assert.equal("a", object.metadata.labels.team)
    assert.equal("website", object.metadata.labels["cnpg.io/cluster"])
    assert.equal("b", object.metadata.annotations.note)
    assert.equal("2026-08-01T00:00:00Z", object.metadata.annotations["kubectl.kubernetes.io/restartedAt"])
    assert.truthy(object.metadata.annotations["container.apparmor.security.beta.kubernetes.io/postgres"])
    assert.is_nil(object.metadata.annotations["container.apparmor.security.beta.kubernetes.io/other"])
  end)

  it("takes the user's patch, and shows the outcome in the annotation", function()
    local object = build(function(_, cluster)
      cluster.metadata.annotations["cnpg.io/podPatch"] = '[{"op":"add","path":"/spec/hostNetwork","value":true}]'
    end)
    assert.is_true(object.spec.hostNetwork)
    assert.is_true(decode(object.metadata.annotations["cnpg.io/podSpec"]).hostNetwork)
  end)

  it("is the same text for the same cluster", function()
    assert.equal(json.encode(build()), json.encode(build()))
  end)
end)
