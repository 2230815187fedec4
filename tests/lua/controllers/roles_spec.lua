-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local roles = require("controllers.cluster.roles")

local function verdict(state, more)
  local out = { state = state, reason = "the reason of " .. state, steps = array {}, candidates = array {} }
  for key, value in pairs(more or {}) do
    out[key] = value
  end
  return function()
    return out
  end
end

local STEP = { op = "lease", namespace = "shop", name = "website", from = { resourceVersion = "9" },
  to = { leaseTransitions = 2, annotations = { ["moonherd.io/phase"] = "fencing" } } }

--- The primary's pod is gone, and so is its manager.
local function lose_primary(w)
  w.objects.Pod["website-1"] = nil
  w.reports["website-1"] = nil
end

describe("who shall be primary", function()
  local PODS = { { name = "a-1" }, { name = "a-2" }, { name = "a-3", deleting = true } }
  local function lease(holder, phase)
    return { holder = holder, phase = phase or "stable", term = 3 }
  end
  local CASES = {
    { "the holder, as long as nobody wishes otherwise", "a-1", "a-1", lease "a-1", "a-1" },
    { "whom the user names", "a-2", "a-1", lease "a-1", "a-2" },
    { "not one that is not there", "a-9", "a-1", lease "a-1", "a-1" },
    { "not one that is going away", "a-3", "a-1", lease "a-1", "a-1" },
    { "not 'pending'", "pending", "a-1", lease "a-1", "a-1" },
    { "the new one after a failover, not the one from before", "a-1", "a-1", lease "a-2", "a-2" },
    { "whom the protocol has elected", "a-1", "a-1", lease("a-2", "promoting"), "a-2" },
    { "whom the user names, while that goes on", "a-2", "a-1", lease("a-1", "switching"), "a-2" },
    { "the first instance of a new cluster", "a-1", nil, nil, "a-1" },
    { "the holder when the status was lost", nil, nil, lease "a-2", "a-2" },
    { "nobody yet", nil, nil, nil, nil },
  }
  for _, case in ipairs(CASES) do
    it("is " .. case[1], function()
      assert.equal(case[5], roles.target({ targetPrimary = case[2], currentPrimary = case[3] }, case[4], PODS))
    end)
  end
end)

describe("a failover", function()
  it("passes the protocol's steps on before everything else", function()
    local w = world.healthy()
    lose_primary(w)
    w.objects.Service["website-rw"] = nil
    w.ha = verdict("fencing", { steps = array { STEP } })
    local plan = w:pass()
    assert.equal("lease", plan.actions[1].op)
    assert.equal("Failing over", w.obj.status.phase)
    assert.equal("the reason of fencing", plan.reason)
    assert.equal("FailingOver", world.reasons(plan.actions)[1])
    assert.is_true(plan.requeue_s <= 1)
    local again = world.reasons(w:pass().actions)
    assert.is_nil(again[1])
  end)

  it("stops nothing while it runs, but makes what is missing", function()
    local w = world.healthy()
    lose_primary(w)
    w.obj.spec.instances, w.obj.spec.imageName = 2, "quay.io/enterprisedb/postgresql:15.5"
    w.ha = verdict("deciding")
    local lines = world.lines(w:pass().actions)
    for _, line in ipairs(lines) do
      assert.is_nil(line:match("^delete Pod ") or line:match("^delete Pers"), line)
    end
    assert.truthy(w:get("Pod", "website-1"))
  end)

  -- F4, E5, I13: a new primary's gate may need a standby that has yet to be made.
  it("makes a new copy for the gate of the one that was elected", function()
    local w = world.healthy()
    lose_primary(w)
    w.objects.PersistentVolumeClaim["website-1"] = nil
    w:hold("website-2", 2, "promoting")
    w.ha = verdict("promoting")
    world.assert_none(world.lines(w:pass().actions), "join")
    w:run("website-2", "primary", { moonherd = { gate = "closed" } })
    w:run("website-3", "primary", { moonherd = { gate = "closed" } }) -- an old one that still runs
    w:pass()
    local job = assert(w:get("Job", "website-1-join"))
    assert.truthy(require("desired.json").encode(job):find("10.0.0.2", 1, true))
  end)

  it("takes the label from the old primary while the role moves", function()
    local w = world.healthy()
    w:hold("website-1", 2, "fencing")
    w.ha = verdict("fencing")
    w:pass()
    assert.equal("unhealthy", w:get("Pod", "website-1").metadata.labels["cnpg.io/instanceRole"])
  end)

  it("names the target when one is elected, and mirrors it when it serves", function()
    local w = world.healthy()
    lose_primary(w)
    w:hold("website-2", 2, "promoting")
    w.ha = verdict("promoting")
    local plan = w:pass()
    local reasons = table.concat(world.reasons(plan.actions), " ")
    assert.truthy(reasons:find("FailoverTarget", 1, true))
    assert.equal("website-2", w.obj.status.targetPrimary)
    assert.equal("website-1", w.obj.status.currentPrimary)
    w.now = w.now + 1
    w:hold("website-2", 2)
    w.ha = nil
    w:run("website-2", "primary")
    w:run("website-1", "standby")
    w:settle()
    assert.equal("website-2", w.obj.status.currentPrimary)
    assert.equal("2026-08-01T10:00:01.000000Z", w.obj.status.currentPrimaryTimestamp)
    assert.equal("website-2", w.obj.status.targetPrimary)
    assert.equal("primary", w:get("Pod", "website-2").metadata.labels.role)
    assert.equal("replica", w:get("Pod", "website-1").metadata.labels.role)
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)

  it("done by the instances alone is not undone", function()
    local w = world.healthy()
    w:hold("website-3", 2)
    w:run("website-3", "primary")
    w:run("website-1", "standby")
    w:pass()
    assert.equal("website-3", w.facts.target)
    assert.equal("website-3", w.obj.status.targetPrimary)
  end)

  it("gives no label to one whose gate is still closed", function()
    local w = world.healthy()
    w:hold("website-2", 2)
    w:run("website-2", "primary", { moonherd = { gate = "closed" } })
    w:pass()
    assert.equal("replica", w:get("Pod", "website-2").metadata.labels.role)
    assert.equal("replica", w:get("Pod", "website-1").metadata.labels.role)
  end)

  it("asks the policy for an order and the protocol again with it", function()
    local w = world.healthy()
    lose_primary(w)
    local calls = {}
    w.ha = function(facts)
      calls[#calls + 1] = facts.order and table.concat(facts.order, " ") or "none"
      return { state = "deciding", reason = "r", steps = facts.order and array { STEP } or array {},
        candidates = array { { name = "website-2", zone = "zone2", sync = true, replay_lag = 16 },
          { name = "website-3", zone = "zone3" } } }
    end
    w.policy = function(point)
      return point == "failover/v1" and { by = "shop/who-first", answer = { action = "promote",
        order = array { "website-3", "website-2" } } } or { answer = {} }
    end
    local plan = w:pass()
    assert.same({ "none", "website-3 website-2" }, calls)
    assert.equal("failover/v1", w.asked[1].point)
    assert.equal("r", w.asked[1].input.reason)
    assert.equal(2, #w.asked[1].input.candidates)
    local found
    for _, action in ipairs(plan.actions) do
      found = action.reason == "FailoverDecision" and action.note or found
    end
    assert.equal("failover/v1 by shop/who-first: website-3, website-2; of website-2 (zone2, sync, 16 bytes behind),"
      .. " website-3 (zone3)", found)
  end)

  it("waits when the policy holds, and tells when it fails", function()
    local w = world.healthy()
    local asked
    w.ha = function(facts)
      asked = facts
      return { state = "deciding", reason = "r", steps = array {}, candidates = array { { name = "website-2" } } }
    end
    w.policy = function()
      return { by = "p", answer = { action = "hold", reason = "Lag", at = world.NOW + 5 } }
    end
    w:pass()
    assert.is_true(asked.hold)
    assert.equal(world.NOW + 5, asked.hold_until)
    w.now = w.now + 31 -- but not for ever
    w:pass()
    assert.is_nil(asked.hold)
    assert.truthy(w.events[#w.events].note:find("still asks to wait after 31 s", 1, true))
    w.policy = function()
      return { by = "p", error = "p.lua:1: boom" }
    end
    assert.truthy(table.concat(world.reasons(w:pass().actions), " "):find("PolicyFailed", 1, true))
  end)

  it("keeps the ended pod of the primary as evidence until it has been judged", function()
    local w = world.healthy()
    w:get("Pod", "website-1").status.phase = "Failed"
    w.ha = verdict("fencing")
    assert.same({}, world.lines(w:pass().actions))
    w.ha = verdict("blocked")
    assert.same({ "delete Pod website-1" }, world.lines(w:pass().actions))
  end)

  it("goes on although the manifest is wrong", function()
    local w = world.healthy()
    lose_primary(w)
    w.obj.spec.minSyncReplicas = 9
    w.ha = verdict("fencing", { steps = array { STEP } })
    local plan = w:pass()
    assert.same({ "lease Lease website" }, world.lines(plan.actions))
  end)

  it("tells the protocol what the kubelet knows", function()
    local w = world.healthy()
    local pod = w:get("Pod", "website-1")
    pod.status.containerStatuses[1].state = { terminated = { exitCode = 137, finishedAt = "2026-08-01T10:00:00Z",
      message = "0a1b2c3d-0000-4000-8000-00000000000f\n" } }
    w:get("Node", "node2").status.conditions[1].status = "Unknown"
    w.obj.spec.postgresql = { synchronous = { method = "any", number = 1 } }
    w:pass()
    local pods = w.facts.pods
    assert.is_true(pods[1].terminated)
    assert.equal(world.NOW, pods[1].terminated_at)
    assert.equal("0a1b2c3d-0000-4000-8000-00000000000f", pods[1].ended_session)
    assert.is_nil(pods[2].ended_session)
    assert.is_true(pods[1].node_ready)
    assert.is_false(pods[2].node_ready)
    assert.is_false(pods[2].terminated)
    assert.equal("zone3", pods[3].zone)
    assert.equal("10.0.0.3", pods[3].ip)
    assert.equal("any", w.facts.cluster.synchronous.method)
    assert.equal("website-1", w.facts.current)
    assert.truthy(w.facts.lease.metadata.resourceVersion)
    assert.truthy(w.facts.instances["website-2"].status)
  end)

  it("is not begun because of a full disk, a fence, or sleep", function()
    local w = world.healthy()
    w.ha = verdict("suspected", { steps = array { STEP } })
    w:get("Pod", "website-1").status.containerStatuses[1].state = { terminated = { exitCode = 4 } }
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("Not enough disk space", w.obj.status.phase)
    w = world.healthy() -- the kubelet has not said it yet
    w.ha = verdict("suspected", { steps = array { STEP } })
    w.reports["website-1"].connected = false
    w.reports["website-1"].status.moonherd.diskFull = true
    assert.same({}, world.lines(w:pass().actions))
    assert.equal("Not enough disk space", w.obj.status.phase)
    w = world.healthy()
    w.ha = verdict("fencing", { steps = array { STEP } })
    w.obj.metadata.annotations["cnpg.io/fencedInstances"] = '["website-1"]'
    assert.same({}, world.lines(w:pass().actions))
    w:hold("website-1", 2, "fencing") -- but what has begun goes on
    assert.equal("lease Lease website", world.lines(w:pass().actions)[1])
  end)

  it("leaves a primary alone for a while that was stopped to be restarted", function()
    local w = world.healthy()
    w.obj.status.phase = "Primary instance is being restarted without a switchover"
    lose_primary(w)
    w.ha = verdict("suspected")
    w:pass()
    assert.equal(roles.RESTART_GRACE_S, w.facts.cluster.restart_hold)
    assert.equal("Primary instance is being restarted without a switchover", w.obj.status.phase)
    w.now = w.now + 20
    w:pass()
    assert.equal(roles.RESTART_GRACE_S - 20, w.facts.cluster.restart_hold)
    w.now = w.now + 20
    w:pass()
    assert.equal(0, w.facts.cluster.restart_hold)
  end)

  it("notes since when the primary fails", function()
    local w = world.healthy()
    w.ha = verdict("suspected")
    w:pass()
    assert.equal("2026-08-01T10:00:00.000000Z", w.obj.status.currentPrimaryFailingSinceTimestamp)
    w.now = w.now + 5
    w:pass()
    assert.equal("2026-08-01T10:00:00.000000Z", w.obj.status.currentPrimaryFailingSinceTimestamp)
    w.ha = nil
    w:pass()
    assert.is_nil(w.obj.status.currentPrimaryFailingSinceTimestamp)
  end)
end)

describe("a switchover", function()
  it("asked for by the status is told to the protocol and shown", function()
    local w = world.healthy()
    w.obj.status.targetPrimary = "website-2"
    w.ha = verdict("switching", { steps = array { STEP } })
    local plan = w:pass()
    assert.equal("website-2", w.facts.target)
    assert.equal("lease", plan.actions[1].op)
    assert.equal("Switchover in progress", w.obj.status.phase)
    assert.equal("website-2", w.obj.status.targetPrimary)
  end)

  it("to an instance that is not there is folded back", function()
    local w = world.healthy()
    w.obj.status.targetPrimary = "website-9"
    w:pass()
    assert.equal("website-1", w.facts.target)
    assert.equal("website-1", w.obj.status.targetPrimary)
  end)

  it("leaves a node that is drained", function()
    local w = world.healthy()
    w:get("Node", "node1").spec = { unschedulable = true }
    w:get("Node", "node2").spec = { taints = array { { key = "karpenter.sh/disrupted", effect = "NoSchedule" } } }
    local plan = w:pass()
    assert.equal("SwitchingOver", world.reasons(plan.actions)[1])
    assert.equal("website-3", w.obj.status.targetPrimary)
    w = world.healthy(function(spec)
      spec.nodeMaintenanceWindow = { inProgress = true, reusePVC = true }
    end)
    w:get("Node", "node1").spec = { unschedulable = true }
    w:pass()
    assert.equal("website-1", w.obj.status.targetPrimary)
  end)
end)
