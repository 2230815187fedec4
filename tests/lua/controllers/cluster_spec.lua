-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local access = require("admission.access")
local json = require("desired.json")

local function has(list, text)
  for _, item in ipairs(list) do
    if item == text then
      return true
    end
  end
  return false
end

local function assert_has(list, ...)
  for i = 1, select("#", ...) do
    local text = (select(i, ...))
    assert(has(list, text), ("'%s' is not among:\n%s"):format(text, table.concat(list, "\n")))
  end
end

local function assert_none(list, pattern)
  for _, item in ipairs(list) do
    assert(not item:match(pattern), ("'%s' is among them"):format(item))
  end
end

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

describe("a rolling update", function()
  local function image(w)
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:15.5"
  end

  local function again(w, name, role)
    assert_has(world.lines(w:pass().actions), "create Pod " .. name)
    w:run(name, role)
    w:pass()
  end

  it("takes replicas one at a time and the primary last", function()
    local w = world.healthy()
    image(w)
    local plan = w:pass()
    assert.same({ "delete Pod website-3" }, world.lines(plan.actions))
    assert.same({ "UpgradingInstance" }, world.reasons(plan.actions))
    assert.equal("Upgrading cluster", w.obj.status.phase)
    again(w, "website-3", "standby")
    assert.is_nil(w:get("Pod", "website-2"))
    again(w, "website-2", "standby")
    assert.is_nil(w:get("Pod", "website-1"))
    assert.equal("Primary instance is being restarted without a switchover", w.obj.status.phase)
    again(w, "website-1", "primary")
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
    assert.equal("quay.io/enterprisedb/postgresql:15.5", w.obj.status.image)
  end)

  it("hands the role over with method switchover", function()
    local w = world.healthy(function(spec)
      spec.primaryUpdateMethod = "switchover"
    end)
    image(w)
    w:pass()
    again(w, "website-3", "standby")
    again(w, "website-2", "standby")
    assert.equal("website-2", w.obj.status.targetPrimary)
    assert.equal("Switchover in progress", w.obj.status.phase)
    assert.truthy(w:get("Pod", "website-1"))
  end)

  it("waits for the user with strategy supervised", function()
    local w = world.healthy(function(spec)
      spec.primaryUpdateStrategy = "supervised"
    end)
    image(w)
    w:pass()
    again(w, "website-3", "standby")
    again(w, "website-2", "standby")
    assert.equal("Waiting for user action", w.obj.status.phase)
    assert.truthy(w:get("Pod", "website-1"))
  end)

  it("waits while an instance is not ready", function()
    local w = world.healthy()
    w:get("Pod", "website-2").status.conditions = array {}
    image(w)
    assert.equal(0, #w:pass().actions)
  end)

  it("follows a change of the pod's specification, unless that is switched off", function()
    local w = world.healthy()
    w.obj.spec.resources = { limits = { cpu = "1" } }
    assert.same({ "delete Pod website-3" }, world.lines(w:pass().actions))
    w = world.healthy()
    w.obj.metadata.annotations["cnpg.io/reconcilePodSpec"] = "disabled"
    w.obj.spec.resources = { limits = { cpu = "1" } }
    assert.equal(0, #w:pass().actions)
  end)

  it("follows restartedAt, once", function()
    local w = world.healthy()
    w.obj.metadata.annotations["kubectl.kubernetes.io/restartedAt"] = "2026-08-01T11:00:00Z"
    w:pass()
    again(w, "website-3", "standby")
    again(w, "website-2", "standby")
    again(w, "website-1", "primary")
    w:settle()
  end)

  it("restarts in place when only parameters wait for it", function()
    local w = world.healthy()
    w.reports["website-2"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestart = true
    assert.same({ "instance restart website-2" }, world.lines(w:pass().actions))
    w.reports["website-2"].status.pendingRestart = nil
    w:pass()
    assert.equal("website-1", w.commands[#w.commands].pod)
  end)

  it("lowers limits on the primary first", function()
    local w = world.healthy()
    w.reports["website-2"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestart = true
    w.reports["website-1"].status.pendingRestartForDecrease = true
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
  end)

  it("restarts the primary in place when the plugin wrote the phase", function()
    local w = world.healthy()
    w.obj.status.phase = "Primary instance is being restarted in-place"
    assert.same({ "instance restart website-1" }, world.lines(w:pass().actions))
    w:settle()
    assert.equal(1, #w.commands)
  end)

  it("does not become another major version", function()
    local w = world.healthy()
    w.obj.spec.imageName = "quay.io/enterprisedb/postgresql:17.2"
    assert.same({}, world.lines(w:pass().actions))
    assert.truthy(w.obj.status.phaseReason:find("PostgreSQL 15 cannot become 17", 1, true))
    assert.equal("quay.io/enterprisedb/postgresql:15.4", w.obj.status.image)
  end)
end)

describe("a placement policy", function()
  it("moves a new instance where it says, with its job", function()
    local w = world.healthy()
    w.policy = function(_, input)
      return { by = "shop/where", answer = { required = array {
        { node = { key = "topology.kubernetes.io/zone", op = "In", values = array { input.zones[3] } } } } } }
    end
    w.obj.spec.instances = 4
    w:pass()
    local node = w:get("Job", "website-4-join").spec.template.spec.affinity.nodeAffinity
    assert.equal("zone3", node.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1]
      .matchExpressions[1].values[1])
    assert.equal(4, w.asked[1].input.instance.ordinal)
    assert.same({ "zone1", "zone2", "zone3" }, { table.unpack(w.asked[1].input.zones) })
    w:finish_job("website-4-join")
    w:pass()
    w:run("website-4", "standby")
    w:get("Pod", "website-4").spec.nodeName = "node3"
    w.policy = nil -- a later policy restarts nobody
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("that refuses one instance stops only that one", function()
    local w = world.healthy()
    w.policy = function(_, input)
      return { by = "x", answer = input.instance.ordinal == 4
        and { action = "reject", reason = "TooFewZones", message = "no room" } or {} }
    end
    w.obj.spec.instances = 5
    local plan = w:pass()
    assert_none(world.lines(plan.actions), "website%-4")
    assert_has(world.lines(plan.actions), "create Job website-5-join")
    assert_has(world.reasons(plan.actions), "PlacementRejected")
    assert.equal("website-4 is not created: no room",
      world.condition(w.obj.status, "moonherd.io/PlacementRejected").message)
    assert.same({}, world.reasons(w:pass().actions))
    w.policy = nil
    w:pass()
    assert.is_nil(world.condition(w.obj.status, "moonherd.io/PlacementRejected"))
  end)

  it("that fails is told and does not matter", function()
    local w = world.healthy()
    w.policy = function()
      return { by = "shop/where", error = "where.lua:3: boom", answer = {} }
    end
    w.obj.spec.instances = 4
    local plan = w:pass()
    assert_has(world.lines(plan.actions), "create Job website-4-join")
    assert_has(world.reasons(plan.actions), "PolicyFailed")
  end)
end)

describe("every plan", function()
  it("is plain data that survives JSON", function()
    local decode = require("admission.json").decode
    local w = world.healthy()
    w.obj.spec.instances = 4
    local seen = world.controller.observe(w:ctx(), access.copy(w.obj))
    local text = json.encode(world.controller.plan(seen))
    assert.equal(text, json.encode(world.controller.plan(decode(json.encode(seen)))))
  end)

  it("has one sentence, and asks to be looked at again", function()
    local w = world.healthy()
    local plan = w:pass()
    assert.equal("website-1 is primary and 3 of 3 instances are ready", plan.reason)
    assert.is_true(plan.requeue_s >= 1)
  end)
end)
