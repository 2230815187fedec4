local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/lua/crds/[^/]*$") or "."
package.path = here .. "/crds/?.lua;" .. package.path

local cluster = require("kinds.cluster")
local yaml = require("parts.yaml")

local GROUP = "postgresql.cnpg.io"

local function output(arguments)
  local pipe = assert(io.popen(("lua5.4 '%s/crds/build' %s 2>&1"):format(here, arguments)))
  local text = pipe:read("a")
  return text, (pipe:close())
end

--- The schema at a path such as spec.tablespaces[].name, or spec.x{} for the values of a map.
local function schema_at(path, group)
  local at = cluster.crd(group or GROUP).schema
  for step in path:gmatch("[^.]+") do
    local name, kind = step:match("^([^%[{]*)([%[{]?)")
    at = assert(at.properties and at.properties[name], "no " .. path .. " at " .. step)
    if kind == "[" then
      at = at.items
    elseif kind == "{" then
      at = at.additionalProperties
    end
  end
  return at
end

describe("the CRD of Cluster", function()
  it("has the columns of the contract, in their order", function()
    local names = {}
    for i, column in ipairs(cluster.crd(GROUP).columns) do
      names[i] = column.name
    end
    assert.same({ "Age", "Instances", "Ready", "Status", "Primary", "SyncTopology" }, names)
    assert.equal(1, cluster.crd(GROUP).columns[6].priority)
  end)

  it("has both subresources", function()
    local subresources = cluster.crd(GROUP).subresources
    assert.same({}, subresources.status)
    assert.same({ specReplicasPath = ".spec.instances", statusReplicasPath = ".status.instances",
      labelSelectorPath = ".status.selector" }, subresources.scale)
  end)

  it("has the defaults of the contract", function()
    local defaults = {
      ["spec.instances"] = 1, ["spec.minSyncReplicas"] = 0, ["spec.maxSyncReplicas"] = 0, ["spec.postgresUID"] = 26,
      ["spec.postgresGID"] = 26, ["spec.logLevel"] = "info", ["spec.startDelay"] = 3600, ["spec.stopDelay"] = 1800,
      ["spec.smartShutdownTimeout"] = 180, ["spec.switchoverDelay"] = 3600, ["spec.failoverDelay"] = 0,
      ["spec.primaryLease.leaseDurationSeconds"] = 15, ["spec.primaryLease.renewDeadlineSeconds"] = 10,
      ["spec.primaryLease.retryPeriodSeconds"] = 2, ["spec.primaryLease.releasedLeaseDurationSeconds"] = 1,
      ["spec.probes.liveness.isolationCheck.enabled"] = true,
      ["spec.probes.liveness.isolationCheck.requestTimeout"] = 1000,
      ["spec.probes.liveness.isolationCheck.connectionTimeout"] = 1000,
      ["spec.primaryUpdateStrategy"] = "unsupervised", ["spec.primaryUpdateMethod"] = "restart",
      ["spec.enablePDB"] = true, ["spec.enableSuperuserAccess"] = false,
      ["spec.nodeMaintenanceWindow.inProgress"] = false, ["spec.nodeMaintenanceWindow.reusePVC"] = true,
      ["spec.storage.resizeInUseVolumes"] = true, ["spec.walStorage.resizeInUseVolumes"] = true,
      ["spec.tablespaces[].temporary"] = false, ["spec.replicationSlots.highAvailability.enabled"] = true,
      ["spec.replicationSlots.highAvailability.slotPrefix"] = "_cnpg_", ["spec.replicationSlots.updateInterval"] = 30,
      ["spec.replicationSlots.synchronizeReplicas.enabled"] = true, ["spec.plugins[].enabled"] = true,
      ["spec.plugins[].isWALArchiver"] = false, ["spec.backup.target"] = "prefer-standby",
      ["spec.backup.volumeSnapshot.snapshotOwnerReference"] = "none", ["spec.backup.volumeSnapshot.online"] = true,
      ["spec.managed.roles[].ensure"] = "present", ["spec.managed.roles[].connectionLimit"] = -1,
      ["spec.managed.roles[].inherit"] = true, ["spec.managed.services.additional[].updateStrategy"] = "patch",
      ["spec.monitoring.enablePodMonitor"] = false, ["spec.monitoring.disableDefaultQueries"] = false,
      ["spec.monitoring.tls.enabled"] = false,
    }
    for path, value in pairs(defaults) do
      assert.equal(value, schema_at(path).default, path)
    end
    assert.same({ highAvailability = { enabled = true } }, schema_at("spec.replicationSlots").default)
    assert.same({ enabled = true }, schema_at("spec.replicationSlots.highAvailability").default)
  end)

  it("has the deep fields of the contract", function()
    for _, path in ipairs {
      "spec.bootstrap.initdb.import.pgRestorePostdataOptions", "spec.bootstrap.recovery.recoveryTarget.targetTLI",
      "spec.bootstrap.recovery.volumeSnapshots.tablespaceStorage{}.kind", "spec.bootstrap.pg_basebackup.secret.name",
      "spec.externalClusters[].barmanObjectStore.wal.restoreAdditionalCommandArgs",
      "spec.backup.barmanObjectStore.azureCredentials.useDefaultAzureCredentials",
      "spec.postgresql.synchronous.nodeFailureDomainKeys", "spec.postgresql.extensions[].env[].value",
      "spec.postgresql.ldap.bindSearchAuth.bindPassword.key", "spec.managed.services.additional[].serviceTemplate.spec",
      "spec.affinity.additionalPodAntiAffinity", "spec.ephemeralVolumesSizeLimit.temporaryData",
      "spec.inheritedMetadata.labels", "spec.certificates.serverAltDNSNames", "spec.podSelectorRefs[].selector",
      "spec.replica.minApplyDelay", "spec.serviceAccountTemplate.metadata.annotations",
        "spec.probes.startup.maximumLag",
      "status.instancesReportedState{}.timeLineID", "status.topology.instances{}", "status.conditions[].reason",
      "status.secretsResourceVersion.managedRoleSecretVersion", "status.configMapResourceVersion.metrics",
      "status.certificates.expirations", "status.firstRecoverabilityPointByMethod", "status.demotionToken",
      "status.targetPgDataImageInfo.extensions[].image", "status.pluginStatus[].restoreJobHookCapabilities",
      "status.poolerIntegrations.pgBouncerIntegration.secrets", "status.tablespacesStatus[].state",
      "status.managedRolesStatus.passwordStatus{}.transactionID", "status.switchReplicaClusterStatus.inProgress",
      "status.podSelectorRefs[].ips", "status.currentPrimaryFailingSinceTimestamp",
        "status.availableArchitectures[].hash",
    } do
      assert.is_table(schema_at(path), path)
    end
  end)

  it("takes the API group into the rules on catalogs", function()
    local function rules(group)
      return schema_at("spec.imageCatalogRef", group)["x-kubernetes-validations"][2].rule
    end
    assert.equal("has(self.apiGroup) && self.apiGroup == 'postgresql.cnpg.io'", rules(GROUP))
    assert.matches("postgresql.k8s.enterprisedb.io", rules("postgresql.k8s.enterprisedb.io"), 1, true)
  end)

  it("gives every rule a message", function()
    local seen = 0
    local function walk(node)
      for _, rule in ipairs(node["x-kubernetes-validations"] or {}) do
        seen = seen + 1
        assert.is_true(rule.message ~= nil or rule.messageExpression ~= nil, rule.rule)
      end
      for _, child in pairs(node.properties or {}) do
        walk(child)
      end
      for _, key in ipairs { "items", "additionalProperties" } do
        if node[key] then
          walk(node[key])
        end
      end
    end
    walk(cluster.crd(GROUP).schema)
    assert.is_true(seen > 40)
  end)
end)

describe("crds/build", function()
  it("prints the kinds of the group, always the same bytes", function()
    local text = output("")
    assert.equal(text, (output(GROUP)))
    assert.matches("\nmetadata: {name: clusters.postgresql.cnpg.io}\n", text, 1, true)
    assert.matches("\nmetadata: {name: failoverquorums.postgresql.cnpg.io}\n", text, 1, true)
    assert.is_nil(text:find("moonherd", 1, true))
    assert.is_nil(text:find("\t", 1, true))
    assert.is_true(#text < 90000)
    local other = output("postgresql.k8s.enterprisedb.io")
    assert.matches("clusters.postgresql.k8s.enterprisedb.io", other, 1, true)
    local own = output("moonherd.io")
    assert.matches("clusterrecords.moonherd.io", own, 1, true)
    assert.is_nil(own:find("kind: Cluster,", 1, true))
    assert.equal(own .. text, (output("moonherd.io " .. GROUP)))
  end)

  it("refuses what is no group", function()
    local text, ok = output("Nonsense")
    assert.is_nil(ok)
    assert.matches("HINT", text)
  end)
end)

describe("the YAML writer", function()
  it("quotes what YAML would take for something else", function()
    assert.equal('a: {b: "yes", c: "1", d: "", e: "x: y", f: true, g: -1, h: "say \\"no\\""}\n',
      yaml.document({ a = { b = "yes", c = "1", d = "", e = "x: y", f = true, g = -1, h = 'say "no"' } }, { "a" }))
  end)

  it("breaks what is long into lines", function()
    local long = ("word "):rep(30) .. "end"
    assert.equal(("list:\n  - a: %s\n    b: [1, 2]\n  - {c: {}, d: []}\n"):format(long),
      yaml.document({ list = { { a = long, b = { 1, 2 } }, { c = {}, d = yaml.list {} } } }, { "list" }))
  end)
end)

describe("the CRDs of image catalogs", function()
  local catalog = require("kinds.image_catalog")

  local function images(kind)
    return kind.crd(GROUP).schema.properties.spec.properties.images
  end

  it("are one for a namespace and one for all", function()
    local text = output(GROUP)
    assert.truthy(text:find("name: imagecatalogs." .. GROUP, 1, true))
    assert.truthy(text:find("name: clusterimagecatalogs." .. GROUP, 1, true))
    assert.equal("Namespaced", catalog.crd(GROUP).scope)
    assert.equal("Cluster", catalog.for_all.crd(GROUP).scope)
  end)

  it("hold 1 to 8 images, each of another version from 10 on", function()
    for _, kind in ipairs { catalog, catalog.for_all } do
      local list = images(kind)
      assert.same({ 1, 8 }, { list.minItems, list.maxItems })
      assert.same({ "image", "major" }, list.items.required)
      assert.equal(10, list.items.properties.major.minimum)
      assert.matches("a.major", list["x-kubernetes-validations"][1].rule, 1, true)
      assert.same({ "metadata", "spec" }, kind.crd(GROUP).schema.required)
      assert.is_nil(kind.crd(GROUP).subresources)
    end
  end)

  it("have extensions as a Cluster has", function()
    assert.equal("name", images(catalog).items.properties.extensions["x-kubernetes-list-map-keys"][1])
  end)
end)
