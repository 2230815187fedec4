-- luacheck: globals array null
require("tests.lua.controllers.world") -- array and null
local words = require("plugins.lib.words")

local mt = { __index = function(_, key) return words[key] or _G[key] end }
local env = setmetatable({ controller = function() return function(d) return d end end }, mt)
local pgrole = assert(loadfile("scripts/plugins/pgrole.lua", "t", env))()

local function object_of(spec, status)
  spec.cluster, spec.member_of = "shop", spec.member_of or array {}
  spec.login = true
  return { metadata = { name = "reporting" }, spec = spec, status = status }
end

--- What is seen of an object where the question about privileged roles is answered so, and the questions.
local function observe(object, privileged)
  local asked = {}
  local ctx = {
    get = function() return { status = { currentPrimary = "shop-1" } } end,
    sql = function(how)
      asked[#asked + 1] = how
      return how.sql:find("pg_auth_members") and how.sql:find("rolsuper") and privileged or array {}
    end,
  }
  return pgrole.observe(ctx, object), asked
end

local function question(asked)
  for _, how in ipairs(asked) do
    if how.sql:find("rolsuper") then
      return how
    end
  end
end

describe("a PgRole", function()
  it("asks of its role and of all its groups whether they may more, and no name is in the text", function()
    local _, asked = observe(object_of { member_of = array { "it's", "b" } })
    local how = question(asked)
    assert.same({ "reporting", "it's", "b" }, { table.unpack(how.params) })
    assert.truthy(how.sql:find("in ($1, $2, $3)", 1, true))
    assert.falsy(how.sql:find("it's", 1, true))
    for _, attribute in ipairs { "rolsuper", "rolreplication", "rolbypassrls", "rolcreaterole" } do
      assert.truthy(how.sql:find(attribute), attribute)
    end
  end)

  it("joins nobody who may more, and says what to do", function()
    local object = object_of({ member_of = array { "admins" } }, { owned = true })
    local plan = pgrole.plan((observe(object, array { { name = "admins", through = "dba" } })))
    assert.equal("PrivilegedRole", plan.reason)
    assert.equal(0, #plan.actions)
    assert.truthy(plan.message:find("admins may more than a PgRole gives through dba", 1, true))
    assert.truthy(plan.message:find("name another role", 1, true))
    assert.equal("Synced", pgrole.plan((observe(object, array {}))).reason)
  end)

  it("takes over nobody who may more, and does not drop him", function()
    local object = object_of({ adopt = true }, { owned = true })
    local seen = observe(object, array { { name = "reporting", through = "reporting" } })
    seen.role = { login = "f" }
    assert.equal("PrivilegedRole", pgrole.plan(seen).reason)
    local actions = pgrole.finalize(seen).actions
    assert.equal(1, #actions)
    assert.equal("event", actions[1].op)
    seen.privileged = array { { name = "else", through = "else" } }
    assert.equal("sql", pgrole.finalize(seen).actions[1].op)
  end)

  it("has no name that PostgreSQL would cut off", function()
    local long = ("a"):rep(64)
    assert.equal("NameTooLong", pgrole.plan((observe(object_of { role = long }))).reason)
    assert.equal("NameTooLong", pgrole.plan((observe(object_of { member_of = array { long } }))).reason)
    assert.not_equal("NameTooLong", pgrole.plan((observe(object_of { role = ("a"):rep(63) }))).reason)
  end)
end)
