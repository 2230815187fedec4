-- luacheck: globals array null
require("tests.lua.controllers.world") -- array and null
local host = require("plugins.lib.host")

local API, KIND = "things.example.dev/v1", "Thing"

local function declare(cases)
  return host.declare { taken = {}, owner = "o", declaration = { api = API, kind = KIND, cases = cases } }.error
end

local function prepare(case, spec)
  return host.case { case = case, api = API, kind = KIND, spec = spec }
end

local function judge(expect, plan)
  return host.case({ case = { expect = expect }, plan = plan, api = API, kind = KIND }).error
end

local function plan_of(fields)
  local plan = { actions = array {}, ready = true, reason = "Synced" }
  for key, value in pairs(fields) do
    plan[key] = value
  end
  return plan
end

describe("cases of a plugin", function()
  it("have a shape, and mistakes are named", function()
    assert.is_nil(declare(nil))
    assert.is_nil(declare(array {}))
    assert.is_nil(declare(array { { name = "a", given = {}, expect = { actions = array {} }, finalize = true } }))
    assert.equal("cases: want a list of cases", declare { name = "a" })
    assert.equal("cases: want a list of cases", declare("a"))
    assert.equal("cases[1]: want a table, as in { name =, given =, expect = }", declare(array { 1 }))
    assert.equal("cases[2].expects: there is no such field of a case", declare(array { {}, { expects = {} } }))
    assert.equal("cases[1].name: want a string", declare(array { { name = 1 } }))
    assert.equal("cases[1].given: want a table", declare(array { { given = null } }))
    assert.equal("cases[1].expect.requeue: there is no such field of a plan",
      declare(array { { expect = { requeue = 1 } } }))
    local many = array {}
    for i = 1, 101 do
      many[i] = {}
    end
    assert.equal("cases: more than 100", declare(many))
  end)

  it("give plan what they say, an object as an API server would keep it", function()
    local out = prepare({ given = { n = 1 } })
    assert.same({ seen = { n = 1 }, fn = "plan" }, out)
    assert.equal("finalize", prepare({ finalize = true }).fn)
    local spec = { n = { type = "int", default = 7 }, text = { type = "str" } }
    local object = prepare({ given = { object = { spec = { text = "a" } } } }, spec).seen.object
    assert.same({ n = 7, text = "a" }, object.spec)
    assert.equal("things.example.dev/v1 Thing default/example", ("%s %s %s/%s"):format(object.apiVersion, object.kind,
      object.metadata.namespace, object.metadata.name))
    object = prepare({ given = { object = { metadata = { name = "x", namespace = "y" } } } }).seen.object
    assert.equal("y/x", object.metadata.namespace .. "/" .. object.metadata.name)
  end)

  it("compare of a plan what they name", function()
    local function against(expect) -- a plan of its own each time, as it comes out of a child
      return judge(expect, plan_of { status = { n = 1, list = array { 1, 2 }, none = null } })
    end
    assert.is_nil(against(nil))
    assert.is_nil(against({ ready = true, status = { n = 1 } }))
    assert.is_nil(against({ status = { none = null, absent = null } }))
    assert.equal("plan.status.n: want 2, got 1", against({ status = { n = 2 } }))
    assert.equal('plan.reason: want "Other", got "Synced"', against({ reason = "Other" }))
    assert.equal("plan.message: want \"a\", got nothing", against({ message = "a" }))
    assert.equal("plan.status.n: want nothing, got 1", against({ status = { n = null } }))
    assert.equal("plan.status.list: want 1 elements, got 2", against({ status = { list = array { 1 } } }))
    assert.equal("plan.status.list[2]: want 3, got 2", against({ status = { list = array { 1, 3 } } }))
    assert.equal("plan.status.n: want a table, got 1", against({ status = { n = { m = 1 } } }))
  end)

  it("tell three differences, and how many more there are", function()
    local status = { a = 1, b = 2, c = 3, d = 4, e = 5 }
    assert.equal("plan.status.a: want 1, got nothing; plan.status.b: want 2, got nothing; "
      .. "plan.status.c: want 3, got nothing; and 2 more", judge({ status = status }, plan_of { status = {} }))
    local why = judge({ message = ("x"):rep(500) }, plan_of {})
    assert.is_true(#why < 120)
  end)

  it("tell a long text up to between two characters", function()
    for more = 0, 3 do
      local why = judge({ message = ("x"):rep(more) .. ("\xf0\x9f\x90\x98"):rep(50) }, plan_of {})
      assert.is_truthy(utf8.len(why))
      assert.is_true(#why < 120 and #why > 70)
    end
  end)

  it("want a plan that would be carried out", function()
    assert.equal("the plan is no table", judge(nil, 1))
    assert.equal("actions[1]: want op apply, create, patch, delete, event or sql",
      judge(nil, plan_of { actions = array { { op = "lease" } } }))
    assert.equal("requeue_s: under 1 s is too often", judge(nil, plan_of { requeue_s = 0 }))
  end)
end)
