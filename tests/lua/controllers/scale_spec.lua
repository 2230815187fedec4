-- luacheck: globals array null
local world = require("tests.lua.controllers.world")

local assert_has, assert_none = world.assert_has, world.assert_none

describe("scaling", function()
  it("up takes the lowest free serials, all at once", function()
    local w = world.healthy()
    w.obj.spec.instances = 5
    local plan = w:pass()
    assert_has(world.lines(plan.actions), "create PersistentVolumeClaim website-4", "create Job website-4-join",
      "create PersistentVolumeClaim website-5", "create Job website-5-join")
    assert_has(world.reasons(plan.actions), "CreatingInstance")
  end)

  it("down takes the last replica with everything it has", function()
    local w = world.healthy(function(spec)
      spec.walStorage = { size = "1Gi" }
    end)
    w.obj.spec.instances = 2
    local plan = w:pass()
    local lines = world.lines(plan.actions)
    assert_has(lines, "delete PersistentVolumeClaim website-3", "delete PersistentVolumeClaim website-3-wal",
      "delete Pod website-3", "delete PodDisruptionBudget website")
    assert_has(world.reasons(plan.actions), "ScaleDown")
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
    assert.equal(2, w.obj.status.instances)
  end)

  it("down takes one that does not run first, and never the primary", function()
    local w = world.healthy()
    w:get("Pod", "website-2").status.conditions = array {}
    w.obj.spec.instances = 2
    assert_has(world.lines(w:pass().actions), "delete Pod website-2")
    w = world.healthy()
    w:hold("website-3", 2)
    w.obj.status.targetPrimary, w.obj.status.currentPrimary = "website-3", "website-3"
    w.obj.spec.instances = 1
    assert_has(world.lines(w:pass().actions), "delete Pod website-2")
    assert_has(world.lines(w:pass().actions), "delete Pod website-1")
    assert.truthy(w:get("Pod", "website-3"))
  end)

  it("1 to 3 to 2 ends healthy", function()
    local w = world.healthy(function(spec)
      spec.instances = 1
    end)
    w.obj.spec.instances = 3
    w:pass()
    w:finish_job("website-2-join")
    w:finish_job("website-3-join")
    w:pass()
    w:run("website-2", "standby")
    w:run("website-3", "standby")
    w:settle()
    w.obj.spec.instances = 2
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
    assert.same({ "website-1", "website-2" }, { table.unpack(w.obj.status.instanceNames) })
  end)

  it("gives a used serial free again only when its volume is gone", function()
    local w = world.healthy()
    w:get("PersistentVolumeClaim", "website-2").metadata.deletionTimestamp = "2026-08-01T10:00:00Z"
    w.objects.Pod["website-2"], w.reports["website-2"] = nil, nil
    assert_has(world.lines(w:pass().actions), "create Job website-4-join")
  end)

  it("replaces an instance that a human gave up, but not the primary", function()
    local w = world.healthy()
    w:get("Pod", "website-2").metadata.annotations["alpha.cnpg.io/unrecoverable"] = "true"
    w:get("Pod", "website-1").metadata.annotations["alpha.cnpg.io/unrecoverable"] = "true"
    local plan = w:pass()
    assert.same({ "delete PersistentVolumeClaim website-2", "delete Pod website-2" }, world.lines(plan.actions))
    assert_has(world.lines(w:pass().actions), "create Job website-2-join")
  end)
end)

describe("volumes", function()
  it("grow, never shrink", function()
    local w = world.healthy()
    w.obj.spec.storage.size = "20Gi"
    assert.same({ "patch PersistentVolumeClaim website-1", "patch PersistentVolumeClaim website-2",
      "patch PersistentVolumeClaim website-3" }, world.lines(w:pass().actions))
    w:settle()
    w.obj.spec.storage.size = "20480Mi"
    assert.equal(0, #w:pass().actions)
    w.obj.spec.storage.size = "10Gi"
    assert.equal(0, #w:pass().actions)
    w.obj.spec.storage = { size = "30Gi", resizeInUseVolumes = false }
    assert.equal(0, #w:pass().actions)
  end)

  local function request(w, name)
    return w:get("PersistentVolumeClaim", name).spec.resources.requests.storage
  end

  it("of WAL and tablespaces grow each by its own size", function()
    local w = world.healthy(function(spec)
      spec.instances, spec.walStorage = 2, { size = "2Gi" }
      spec.tablespaces = array { { name = "hot", storage = { size = "1Gi" } } }
    end)
    w.obj.spec.walStorage.size = "4Gi"
    assert.same({ "patch PersistentVolumeClaim website-1-wal", "patch PersistentVolumeClaim website-2-wal" },
      world.lines(w:pass().actions))
    assert.equal("4Gi", request(w, "website-1-wal"))
    assert.equal("10Gi", request(w, "website-1"))
    w:settle()
    w.obj.spec.storage.size = "11Gi"
    w.obj.spec.tablespaces[1].storage.size = "1.5Gi"
    w:pass()
    assert.equal("11Gi", request(w, "website-2"))
    assert.equal("1.5Gi", request(w, "website-2-tbs-hot"))
    assert.equal("4Gi", request(w, "website-2-wal"))
    assert.equal(0, #w:pass().actions)
  end)

  it("grow while the primary is down because they are full", function()
    local w = world.healthy(function(spec)
      spec.walStorage = { size = "2Gi" }
    end)
    local pod = w:get("Pod", "website-1")
    pod.status.conditions = array {}
    pod.status.containerStatuses = array { { name = "postgres", restartCount = 3, state = {
      waiting = { reason = "CrashLoopBackOff" } }, lastState = { terminated = { exitCode = 4,
      finishedAt = "2026-08-01T10:00:00Z" } } } }
    w.reports["website-1"] = nil
    w:pass()
    assert.equal("Not enough disk space", w.obj.status.phase)
    assert.truthy(w.obj.status.phaseReason:find("no failover", 1, true))
    w.obj.spec.walStorage.size = "4Gi"
    assert_has(world.lines(w:pass().actions), "patch PersistentVolumeClaim website-1-wal")
    assert.equal("4Gi", request(w, "website-1-wal"))
    assert.equal("website-1", w.obj.status.targetPrimary)
  end)
end)

describe("certificates", function()
  it("are renewed in their last week, and when the names differ", function()
    local w = world.healthy()
    w.now = w.now + 84 * 86400
    local lines = world.lines(w:pass().actions)
    assert_has(lines, "renew Secret website-ca", "renew Secret website-server", "renew Secret website-replication")
    w:settle()
    w.obj.spec.certificates = { serverAltDNSNames = array { "db.example.org" } }
    assert.same({ "renew Secret website-server" }, world.lines(w:pass().actions))
    assert.equal(0, #w:pass().actions)
  end)

  it("of the user are used and left alone", function()
    local w = world.new(function(spec)
      spec.certificates = { serverCASecret = "my-ca", serverTLSSecret = "my-tls" }
    end)
    local lines = world.lines(w:pass().actions)
    assert_has(lines, "create Secret website-ca", "create Secret website-replication")
    assert_none(lines, "website%-server")
    assert.equal("my-tls", w.obj.status.certificates.serverTLSSecret)
  end)
end)

describe("the superuser's secret", function()
  it("comes and goes with enableSuperuserAccess", function()
    local w = world.healthy()
    w.obj.spec.enableSuperuserAccess = true
    assert_has(world.lines(w:pass().actions), "create Secret website-superuser")
    w.obj.spec.enableSuperuserAccess = false
    assert_has(world.lines(w:pass().actions), "delete Secret website-superuser")
    w:settle()
  end)
end)
