-- luacheck: globals array null
require("tests.lua.controllers.world") -- array and null
local host = require("plugins.lib.host")
local words = require("plugins.lib.words")

local function finish(action)
  local object = { apiVersion = "things.example.dev/v1", kind = "Thing", metadata = { name = "a", namespace = "b" } }
  return host.finish { object = object, kind_key = "Thing", name = "it",
    plan = { actions = array { action }, ready = true, reason = "Synced" } }
end

local function json(...)
  return finish(words.patch { kind = "Pod", name = "p", type = "json", body = array { ... } })
end

describe("a plan of a plugin", function()
  it("may hold a patch of either type", function()
    assert.equal("merge", finish(words.patch { kind = "Pod", name = "p", body = { spec = {} } }).actions[1].type)
    assert.equal("merge", finish({ op = "patch", kind = "Pod", name = "p", body = {} }).actions[1].type)
    local action = json({ op = "add", path = "/spec/a", value = 1 }).actions[1]
    assert.equal("json", action.type)
    assert.equal("/spec/a", action.body[1].path)
    assert.is_nil(json({ op = "add", path = "/metadata/labels/a", value = "b" }).error)
  end)

  it("leaves owners and finalizers to the operator, in a patch of either type", function()
    local why = "owners and finalizers are not a plugin's to change"
    local merge = { ownerReferences = array {}, finalizers = null }
    for key, value in pairs(merge) do
      local patch = words.patch { kind = "Pod", name = "p", body = { metadata = { [key] = value } } }
      assert.equal("actions[1].body.metadata: " .. why, finish(patch).error)
    end
    for _, path in ipairs { "", "/", "/metadata", "/metadata/", "/metadata/finalizers", "/metadata/finalizers/0",
      "/metadata/ownerReferences/-" } do
      assert.equal("actions[1].body[2]: " .. why,
        json({ op = "test", path = "/spec/a", value = 1 }, { op = "remove", path = path }).error, path)
      assert.equal("actions[1].body[1]: " .. why, json({ op = "move", from = path, path = "/spec/a" }).error, path)
    end
  end)

  it("wants a JSON patch to be one", function()
    local why = "want { op =, path = }, with texts"
    for _, step in ipairs { 1, "x", { op = "add" }, { op = "add", path = 1 }, { op = "move", from = {}, path = "/a" },
      { op = "add", path = "x/metadata/finalizers" } } do
      assert.equal("actions[1].body[1]: " .. why, json(step).error)
    end
    assert.equal("actions[1].body: want a list of operations",
      finish(words.patch { kind = "Pod", name = "p", type = "json", body = { spec = {} } }).error)
  end)
end)
