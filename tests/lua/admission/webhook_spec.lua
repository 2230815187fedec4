-- luacheck: read globals array null
local support = require("tests.lua.admission.support")
local access = require("admission.access")
local cluster_defaults = require("admission.cluster_defaults")
local jsonpatch = require("admission.jsonpatch")
local webhook = require("admission.webhook")

local env = { default_image = "pg:18", monitoring_queries_configmap = "m", include_plugins = { "p" } }

--- Objects that differ in what is missing; some are wrong.
local specs = {
  {}, { instances = 3, storage = { size = "1Gi" } },
  { bootstrap = { recovery = { source = "x" } }, tablespaces = array { { name = "a" }, { name = "b", owner = {} } } },
  { postgresql = { parameters = { ["pgaudit.log"] = "all", archive_mode = "off" }, synchronous = { number = 1 } } },
  { monitoring = { customQueriesConfigMap = array { { name = "q", key = "k" } } }, plugins = array { { name = "q" } } },
  { affinity = array {}, bootstrap = array {}, postgresql = array {}, probes = array { 1 }, monitoring = array {} },
  { bootstrap = { initdb = array { 1 } }, postgresql = { parameters = array {} }, replicationSlots = array { {} } },
  { affinity = "x", bootstrap = 5, postgresql = "x", tablespaces = "x", plugins = 3, probes = "x", backup = "x" },
  array {}, array { 1 },
}

describe("the webhooks", function()
  it("make a patch that leads to the object with its defaults", function()
    for i, spec in ipairs(specs) do
      local cluster = { metadata = { name = "c" }, spec = spec }
      local patched, reason = jsonpatch.apply(cluster, webhook.mutate("cluster", access.copy(cluster), env))
      assert.is_nil(reason, i)
      assert.is_true(access.equal(patched, (cluster_defaults.defaults(cluster, env))), i)
    end
  end)

  it("patch nothing where nothing is missing", function()
    local full = cluster_defaults.defaults(support.cluster(), support.env)
    assert.equal(0, #webhook.mutate("cluster", full, support.env))
  end)

  it("judge as the checks do, with an old object and without", function()
    local function answer(change, old)
      return webhook.validate("cluster", support.cluster(change), support.env, old)
    end
    assert.is_nil(answer().message)
    local function shrink(spec) spec.storage.size = "1Gi" end
    assert.is_nil(answer(shrink).message)
    assert.truthy(answer(shrink, support.cluster()).message:find("spec.storage.size", 1, true))
  end)

  it("name the kind that nobody reviews", function()
    local _, message = pcall(webhook.mutate, "pooler", {}, env)
    assert.equal("no object of kind 'pooler' is reviewed", message)
  end)
end)
