-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local access = require("admission.access")

describe("a pass rests", function()
  it("when the cluster is being deleted", function()
    local w = world.healthy()
    w.obj.metadata.deletionTimestamp = "2026-08-01T10:00:00Z"
    local plan = w:pass()
    assert.equal(0, #plan.actions)
    assert.is_nil(plan.status)
    assert.truthy(plan.reason:find("being deleted", 1, true))
  end)

  it("when the annotation says so", function()
    local w = world.new()
    w.obj.metadata.annotations["cnpg.io/reconciliationLoop"] = "disabled"
    local plan = w:pass()
    assert.equal(0, #plan.actions)
    assert.is_nil(plan.status)
  end)
end)

describe("a wrong manifest", function()
  it("stops everything and names the path", function()
    local w = world.new(function(spec)
      spec.storage.size = "-1Gi"
    end)
    local plan = w:pass()
    assert.same({}, world.lines(plan.actions))
    assert.same({ "Error" }, world.reasons(plan.actions))
    assert.equal("Invalid cluster definition", w.obj.status.phase)
    assert.truthy(w.obj.status.phaseReason:find("spec.storage.size", 1, true))
    assert.equal("False", world.condition(w.obj.status, "Ready").status)
    local again, changed = w:pass()
    assert.equal(0, #again.actions)
    assert.is_false(changed)
  end)

  it("leaves a running cluster as it is", function()
    local w = world.healthy()
    w.objects.Pod["website-3"] = nil
    w.obj.spec.imageName = "x:latest"
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("website-1", w.obj.status.currentPrimary)
  end)

  it("with a way to begin that does not exist is refused", function()
    local w = world.new(function(spec)
      spec.bootstrap = { recovery = { source = "old" } }
      spec.externalClusters = array { { name = "old", connectionParameters = { host = "h" } } }
    end)
    assert.same({}, world.lines(w:pass().actions))
    assert.truthy(w.obj.status.phaseReason:find("spec.bootstrap.recovery is not supported", 1, true))
  end)

  it("with a catalog that lacks the version says so", function()
    local w = world.new(function(spec)
      spec.imageName = nil
      spec.imageCatalogRef = { apiGroup = "postgresql.cnpg.io", kind = "ImageCatalog", name = "c", major = 16 }
    end)
    local plan = w:pass()
    assert.equal("Cluster has incomplete or invalid image catalog", w.obj.status.phase)
    assert.same({ "DiscoverImage" }, world.reasons(plan.actions))
    w:put { kind = "ImageCatalog", metadata = { name = "c" }, spec = { images = array {
      { major = 16, image = "x:16.3" } } } }
    w:pass()
    assert.equal("x:16.3", w:get("Job", "website-1-initdb").spec.template.spec.containers[1].image)
  end)

  it("with a catalog for all namespaces, or of another group, takes the image from there", function()
    for group, key in pairs { ["postgresql.cnpg.io"] = "ClusterImageCatalog",
      ["postgresql.k8s.enterprisedb.io"] = "ClusterImageCatalog.postgresql.k8s.enterprisedb.io" } do
      local w = world.new(function(spec)
        spec.imageName = nil
        spec.imageCatalogRef = { apiGroup = group, kind = "ClusterImageCatalog", name = "c", major = 17 }
      end)
      w.operator.api_groups = array { group }
      w:put { kind = key, metadata = { name = "c" }, spec = { images = array {
        { major = 16, image = "x:16.3" }, { major = 17, image = "x:17.1" } } } }
      w:pass()
      assert.equal("x:17.1", w:get("Job", "website-1-initdb").spec.template.spec.containers[1].image)
    end
  end)
end)

describe("two Clusters of one name", function()
  local function both(other_created)
    local w = world.new()
    w.operator.api_groups = array { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io" }
    w.objects["Cluster.postgresql.k8s.enterprisedb.io"] = { website = { metadata = { name = "website", uid = "uid-z",
      creationTimestamp = other_created } } }
    return w
  end

  it("the younger does nothing and names the other", function()
    local w = both "2026-08-01T09:00:00Z"
    local plan = w:pass()
    assert.same({}, world.lines(plan.actions))
    local condition = world.condition(w.obj.status, "moonherd.io/NameClash")
    assert.equal("True", condition.status)
    assert.truthy(condition.message:find("shop/website of postgresql.k8s.enterprisedb.io", 1, true))
    assert.same({ "NameClash" }, world.reasons(plan.actions))
    assert.same({}, world.reasons(w:pass().actions))
  end)

  it("the older goes on, and the younger too when the older is gone", function()
    local w = both "2026-08-01T09:59:59Z" -- equally old: the lower UID
    assert.is_true(#w:pass().actions > 5)
    w = both "2026-08-01T09:00:00Z"
    w:pass()
    w.objects["Cluster.postgresql.k8s.enterprisedb.io"] = nil
    assert.is_true(#w:pass().actions > 5)
    assert.is_nil(world.condition(w.obj.status, "moonherd.io/NameClash"))
  end)

  it("children of a deleted one are waited for, not taken", function()
    local old = world.healthy()
    local w = world.new()
    w.objects = access.copy(old.objects)
    w.obj.metadata.uid = "uid-younger"
    local plan = w:pass()
    for _, line in ipairs(world.lines(plan.actions)) do
      assert.is_nil(line:match("^create [PJ]"), line)
      assert.is_nil(line:match("^apply"), line)
      assert.is_nil(line:match("^delete"), line)
    end
    assert.equal("Unable to create required cluster objects", w.obj.status.phase)
    assert.truthy(w.obj.status.phaseReason:find("belongs to somebody else", 1, true))
  end)
end)

describe("hibernation", function()
  it("takes the pods, the primary's first, and keeps the volumes", function()
    local w = world.healthy()
    w.obj.metadata.annotations["cnpg.io/hibernation"] = "on"
    local order = {}
    for _ = 1, 4 do
      for _, line in ipairs(world.lines(w:pass().actions)) do
        order[#order + 1] = line
      end
    end
    assert.same({ "delete Pod website-1", "delete Pod website-2", "delete Pod website-3" }, order)
    local condition = world.condition(w.obj.status, "cnpg.io/hibernation")
    assert.same({ "True", "Hibernated" }, { condition.status, condition.reason })
    assert.equal(3, w.obj.status.pvcCount)
    w.obj.metadata.annotations["cnpg.io/hibernation"] = "off"
    w:pass()
    assert.truthy(w:get("Pod", "website-1"))
    assert.is_nil(world.condition(w.obj.status, "cnpg.io/hibernation"))
  end)

  it("waits until all is well", function()
    local w = world.healthy()
    w:get("Pod", "website-2").status.conditions = array {}
    w.obj.metadata.annotations["cnpg.io/hibernation"] = "on"
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("WaitingForHealthy", world.condition(w.obj.status, "cnpg.io/hibernation").reason)
  end)
end)
