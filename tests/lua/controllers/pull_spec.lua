-- luacheck: read globals array
local world = require("tests.lua.controllers.world")

local function put(w, name, data, kind)
  return w:put { kind = "Secret", metadata = { name = name }, type = kind or "kubernetes.io/dockerconfigjson",
    data = data }
end

local function with_secret(data)
  local w = world.new()
  w.operator.pull_secret = "pull"
  if data then
    put(w, "pull", data)
  end
  return w
end

local function find(plan, op)
  for _, action in ipairs(plan.actions) do
    local object = action.object or { metadata = action }
    if action.op == op and object.metadata.name == "website-pull" then
      return action
    end
  end
  return nil
end

describe("the operator's secret for pulling images", function()
  it("is copied beside the cluster, and its account uses it", function()
    local w = with_secret { [".dockerconfigjson"] = "0123" }
    local create = find(w:pass(), "create")
    assert.same({ type = "copy", namespace = "moonherd-system", name = "pull" }, create.fill)
    assert.equal("kubernetes.io/dockerconfigjson", create.object.type)
    assert.same({ { name = "website-pull" } }, w:get("ServiceAccount", "website").imagePullSecrets)
  end)

  it("is nothing when it is not there", function()
    local w = with_secret()
    assert.is_nil(find(w:pass(), "create"))
    assert.is_nil(w:get("ServiceAccount", "website").imagePullSecrets)
  end)

  it("is copied again when it has changed, and made anew when it is of another type", function()
    local w = with_secret { a = "1" }
    w:pass()
    local copy = w:get("Secret", "website-pull")
    copy.data, copy.type = { a = "1" }, "kubernetes.io/dockerconfigjson"
    assert.is_nil(find(w:pass(), "renew"))
    put(w, "pull", { a = "2" })
    assert.equal("copy", find(w:pass(), "renew").fill.type)
    put(w, "pull", { a = "2" }, "kubernetes.io/dockercfg")
    assert.truthy(find(w:pass(), "delete"))
  end)

  it("goes away with its source, and never touches what a user made", function()
    local w = with_secret { a = "1" }
    w:pass()
    w.objects.Secret.pull = nil
    assert.truthy(find(w:pass(), "delete"))
    local other = with_secret { a = "1" }
    put(other, "website-pull", { a = "9" }).metadata.labels = { ["cnpg.io/cluster"] = "website" }
    local plan = other:pass()
    assert.is_nil(find(plan, "renew") or find(plan, "create") or find(plan, "delete"))
  end)
end)
