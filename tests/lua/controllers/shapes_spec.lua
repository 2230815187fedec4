-- luacheck: globals array null
local world = require("tests.lua.controllers.world")
local json = require("desired.json")

local assert_has, assert_none = world.assert_has, world.assert_none

--- pg-3 is late, all others are as the Cluster says.
local function delayed(input)
  local is_late = input.instance.ordinal == 3
  return { by = "shop/late", answer = is_late and { parameters = { recovery_min_apply_delay = "4h" } } or {} }
end

local function annotation(plan)
  for _, action in ipairs(plan.actions) do
    if action.op == "label" and action.kind == "Cluster" then
      return action.annotations["moonherd.io/instance-policy"]
    end
  end
  return nil
end

local function resources_of(w, name)
  return w:get("Pod", name).spec.containers[1].resources
end

describe("instance/v1", function()
  it("writes what it says of one instance to the Cluster, once", function()
    local w = world.healthy()
    w.shape = delayed
    local text = annotation(w:pass())
    assert.equal('{"website-3":{"parameters":{"recovery_min_apply_delay":"4h"}}}', text)
    assert.is_nil(annotation(w:pass()))
  end)

  it("is told role, zone, node, parameters and resources", function()
    local w, seen = world.healthy(), {}
    w.obj.spec.resources = { requests = { cpu = "1" } }
    w.shape = function(input)
      seen[input.instance.name] = input
      return { answer = {}, by = "built-in" }
    end
    w:pass()
    assert.equal("primary", seen["website-1"].instance.role)
    assert.equal("replica", seen["website-2"].instance.role)
    assert.equal("1", seen["website-2"].resources.requests.cpu)
    assert.equal(0, seen["website-2"].now % 3600)
    assert.equal(w.obj.spec.instances, seen["website-2"].cluster.instances)
  end)

  it("that fails, or is not checked yet, changes nothing", function()
    for _, said in ipairs { { pending = true, by = "built-in", answer = {} },
      { error = "late.lua:3: oops", by = "shop/late", answer = {} } } do
      local w = world.healthy()
      w.obj.metadata.annotations = { ["moonherd.io/instance-policy"] = json.encode({ ["website-3"] = {
        parameters = { work_mem = "1GB" }, resources = { requests = { cpu = "7" } } } }) }
      w:pass()
      w.shape = function() return said end
      local plan = w:pass()
      assert.is_nil(annotation(plan))
      assert.equal(said.error ~= nil, world.reasons(plan.actions)[1] == "PolicyFailed")
    end
  end)

  it("that goes away takes the annotation with it", function()
    local w = world.healthy()
    w.obj.metadata.annotations = { ["moonherd.io/instance-policy"] = '{"website-3":{"parameters":{"jit":"off"}}}' }
    assert.equal(null, annotation(w:pass()))
  end)

  it("is not asked while the role moves", function()
    local w = world.healthy()
    w.ha = function()
      return { state = "fencing", reason = "x", steps = array {}, candidates = array {} }
    end
    w.shape = function() error("asked") end
    w:pass()
  end)

  it("gives one instance its resources by a restart of that one", function()
    local w = world.healthy()
    w.shape = function(input)
      local is_big = input.instance.ordinal == 2
      return { by = "x", answer = is_big and { resources = { requests = { memory = "8Gi" } } } or {} }
    end
    local plan = w:pass()
    assert_has(world.lines(plan.actions), "delete Pod website-2")
    assert_none(world.lines(plan.actions), "delete Pod website-[13]")
    w:pass()
    w:pass()
    w:run("website-2", "standby")
    assert.equal("8Gi", resources_of(w, "website-2").requests.memory)
    w:settle()
    assert.equal("Cluster in healthy state", w.obj.status.phase)
  end)
end)
