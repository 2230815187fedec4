-- luacheck: globals array null
local world = require("tests.lua.controllers.world")

local assert_has, assert_none = world.assert_has, world.assert_none

describe("a new cluster", function()
  it("gets everything but its later instances in the first pass", function()
    local w = world.new()
    local plan = w:pass()
    assert.same({
      "create Secret website-ca", "create Secret website-server", "create Secret website-replication",
      "create Secret website-app", "create Lease website", "apply ServiceAccount website", "apply Role website",
      "apply RoleBinding website", "apply Service website-r", "apply Service website-ro", "apply Service website-rw",
      "apply PodDisruptionBudget website", "apply PodDisruptionBudget website-primary",
      "create PersistentVolumeClaim website-1", "create Job website-1-initdb",
    }, world.lines(plan.actions))
    assert.same({ "CreatingServiceAccount", "CreatingRole", "CreatingPodDisruptionBudget",
      "CreatingPodDisruptionBudget" }, world.reasons(plan.actions))
    local status = w.obj.status
    assert.equal("Setting up primary", status.phase)
    assert.equal("website-1", status.targetPrimary)
    assert.equal("2026-08-01T10:00:00.000000Z", status.targetPrimaryTimestamp)
    assert.equal("f1", status.operatorCertificateFingerprint)
    assert.equal("cnpg.io/cluster=website,cnpg.io/podRole=instance", status.selector)
    assert.equal("False", world.condition(status, "Ready").status)
    assert.equal("ClusterIsNotReady", world.condition(status, "Ready").reason)
    assert.equal("BootstrapPending", world.condition(status, "Initialized").reason)
    assert.equal(15, status.pgDataImageInfo.majorVersion)
  end)

  it("waits for the job without writing", function()
    local w = world.new()
    w:pass()
    w:settle(3)
    assert.equal("waiting for job website-1-initdb", w.obj.status.phaseReason)
  end)

  it("starts the first instance as soon as the pod of the job has ended", function()
    local w = world.new()
    w:pass()
    local job = w:get("Job", "website-1-initdb")
    w:put { kind = "Pod", metadata = { name = "website-1-initdb-x", labels = { ["cnpg.io/cluster"] = "website",
      ["cnpg.io/instanceName"] = "website-1" }, ownerReferences = array {
      { kind = "Job", name = job.metadata.name, uid = job.metadata.uid, controller = true } } },
      status = { phase = "Succeeded" } }
    assert.same({ "label PersistentVolumeClaim website-1", "create Pod website-1" }, world.lines(w:pass().actions))
    assert.equal("ready", w:get("PersistentVolumeClaim", "website-1").metadata.annotations["cnpg.io/pvcStatus"])
    assert.same({ "delete Job website-1-initdb" }, world.lines(w:pass().actions))
  end)

  it("clones all others at once when the primary runs, before it is ready", function()
    local w = world.new()
    w:pass()
    w:finish_job("website-1-initdb")
    w:pass()
    w:run("website-1", "primary", { moonherd = { gate = "closed" } })
    w:get("Pod", "website-1").status.conditions = array {}
    local lines = world.lines(w:pass().actions)
    assert_has(lines, "create Job website-2-join", "create Job website-3-join",
      "create PersistentVolumeClaim website-2", "create PersistentVolumeClaim website-3")
    assert_none(lines, "label Pod")
    assert.equal("Creating a new replica", w.obj.status.phase)
  end)

  it("does not clone while nobody accepts replicas", function()
    local w = world.new()
    w:pass()
    w:finish_job("website-1-initdb")
    w:pass()
    w:run("website-1", "primary", { moonherd = { pgUp = false } })
    assert_none(world.lines(w:pass().actions), "join")
  end)

  it("is healthy in the end and then writes nothing", function()
    local w = world.healthy()
    local plan, changed = w:pass()
    assert.equal(0, #plan.actions)
    assert.is_false(changed)
    local status = w.obj.status
    assert.equal("Cluster in healthy state", status.phase)
    assert.is_nil(status.phaseReason)
    assert.same({ 3, 3 }, { status.instances, status.readyInstances })
    assert.equal("website-1", status.currentPrimary)
    assert.equal("ClusterIsReady", world.condition(status, "Ready").reason)
    assert.equal("Unique", world.condition(status, "ConsistentSystemID").reason)
    assert.equal("True", world.condition(status, "Initialized").status)
    assert.same({ "website-1", "website-2", "website-3" }, { table.unpack(status.healthyPVC) })
    assert.same({ "website-1", "website-2", "website-3" }, { table.unpack(status.instancesStatus.healthy) })
    assert.same({ ip = "10.0.0.2", isPrimary = false, timeLineID = 1 }, status.instancesReportedState["website-2"])
    assert.equal("website-rw", status.writeService)
    assert.equal("website-r", status.readService)
    assert.equal("7000", status.systemID)
    assert.equal(3, status.topology.nodesUsed)
    assert.equal("2026-10-30 10:00:00 +0000 UTC", status.certificates.expirations["website-ca"])
    assert.equal("primary", w:get("Pod", "website-1").metadata.labels.role)
    assert.equal("replica", w:get("Pod", "website-2").metadata.labels["cnpg.io/instanceRole"])
    assert.equal("replica", w:get("PersistentVolumeClaim", "website-3").metadata.labels["cnpg.io/instanceRole"])
  end)

  it("is not healthy while its primary lets no client in, or is silent from the start", function()
    local w = world.healthy()
    w:run("website-1", "primary", { moonherd = { gate = "closed" } })
    w:settle()
    assert.equal("Waiting for the instances to become active", w.obj.status.phase)
    assert.matches("primary website%-1 does not let clients in yet", w.obj.status.phaseReason)
    w.reports["website-1"] = nil
    w:settle()
    assert.equal("Waiting for the instances to become active", w.obj.status.phase)
    w:run("website-1", "primary")
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
    w.reports["website-1"] = nil
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("of one instance needs no other", function()
    local w = world.healthy(function(spec)
      spec.instances = 1
    end)
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("with a WAL volume has two claims for each instance", function()
    local w = world.healthy(function(spec)
      spec.walStorage = { size = "1Gi" }
    end)
    assert.equal(6, w.obj.status.pvcCount)
    assert.equal("ready", w:get("PersistentVolumeClaim", "website-3-wal").metadata.annotations["cnpg.io/pvcStatus"])
  end)

  it("is unrecoverable when initdb has failed for good, and a failed clone is tried again", function()
    local w = world.new()
    w:pass()
    w:get("Job", "website-1-initdb").status = { conditions = array { { type = "Failed", status = "True" } } }
    w:pass()
    assert.equal("Cluster is unrecoverable and needs manual intervention", w.obj.status.phase)
    w = world.new()
    w:pass()
    w:finish_job("website-1-initdb")
    w:pass()
    w:run("website-1", "primary")
    w:hold("website-1")
    w:pass()
    w:get("Job", "website-2-join").status = { conditions = array { { type = "Failed", status = "True" } } }
    assert_has(world.lines(w:pass().actions), "delete Job website-2-join")
    assert_has(world.lines(w:pass().actions), "create Job website-2-join")
  end)

  it("runs in either API group", function()
    local w = world.healthy(function(_, cluster)
      cluster.apiVersion = "postgresql.k8s.enterprisedb.io/v1"
    end)
    local owner = w:get("Pod", "website-1").metadata.ownerReferences[1]
    assert.equal("postgresql.k8s.enterprisedb.io/v1", owner.apiVersion)
    assert.equal("website", w:get("Pod", "website-1").metadata.labels["cnpg.io/cluster"])
  end)
end)

describe("what is lost comes back:", function()
  it("a pod", function()
    local w = world.healthy()
    w.objects.Pod["website-2"] = nil
    w.reports["website-2"] = nil
    assert.same({ "create Pod website-2" }, world.lines(w:pass().actions))
    assert.equal("Waiting for the instances to become active", w.obj.status.phase)
  end)

  it("a pod that has ended is replaced", function()
    local w = world.healthy()
    w:get("Pod", "website-3").status.phase = "Failed"
    local plan = w:pass()
    assert.same({ "delete Pod website-3" }, world.lines(plan.actions))
    assert.same({ "DeletePod" }, world.reasons(plan.actions))
    assert_has(world.lines(w:pass().actions), "create Pod website-3")
  end)

  it("services, budgets and labels, and only what differs", function()
    local w = world.healthy()
    w.objects.Service["website-ro"] = nil
    w:get("Service", "website-rw").spec.selector["cnpg.io/instanceRole"] = "replica"
    w:get("PodDisruptionBudget", "website").spec.minAvailable = 0
    w:get("Pod", "website-1").metadata.labels.role = "replica"
    w:get("Role", "website").rules = array {}
    assert.same({ "label Pod website-1", "apply Role website", "apply Service website-ro",
      "apply Service website-rw", "apply PodDisruptionBudget website" }, world.lines(w:pass().actions))
    w:settle()
  end)

  it("what the server or users add is left alone", function()
    local w = world.healthy()
    local service = w:get("Service", "website-rw")
    service.spec.clusterIP, service.spec.ports[1].nodePort = "10.1.1.1", 30000
    service.metadata.labels.mine = "yes"
    service.metadata.annotations.other = "x"
    assert.equal(0, #w:pass().actions)
  end)

  it("a volume that is not filled gets its job again", function()
    local w = world.healthy()
    w.objects.Pod["website-2"] = nil
    w.reports["website-2"] = nil
    w:get("PersistentVolumeClaim", "website-2").metadata.annotations["cnpg.io/pvcStatus"] = "initializing"
    assert.same({ "create Job website-2-join" }, world.lines(w:pass().actions))
  end)

  it("nothing is made anew when an initialised cluster has lost everything", function()
    local w = world.healthy()
    w.objects.Pod, w.objects.PersistentVolumeClaim, w.reports = {}, {}, {}
    local plan = w:pass()
    assert.same({}, world.lines(plan.actions))
    assert.equal("Cluster is unrecoverable and needs manual intervention", w.obj.status.phase)
  end)

  it("an empty volume of an initialised cluster is never given to initdb", function()
    local w = world.healthy()
    w.objects.Pod, w.reports = {}, {}
    for i = 1, 3 do
      w:get("PersistentVolumeClaim", "website-" .. i).metadata.annotations["cnpg.io/pvcStatus"] = "initializing"
    end
    assert_none(world.lines(w:pass().actions), "initdb")
  end)

  it("a pod that is going away is waited for", function()
    local w = world.healthy()
    w:get("Pod", "website-2").metadata.deletionTimestamp = "2026-08-01T10:00:00Z"
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("Waiting for the instances to become active", w.obj.status.phase)
  end)

  it("a replica that does not stream for long is not healthy", function()
    local w = world.healthy()
    local own = w.reports["website-2"].status.moonherd
    own.receiverActive, own.receiverQuietMs = false, 31000
    w:pass()
    assert.equal("instance website-2 has not streamed for 31 s", w.obj.status.phaseReason)
  end)
end)
