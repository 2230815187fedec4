-- luacheck: read globals array null
require("tests.lua.admission.support")
local access = require("admission.access")
local base64 = require("admission.base64")
local json = require("admission.json")
local jsonpatch = require("admission.jsonpatch")
local regex = require("admission.regex")
local version = require("admission.version")

describe("the version of an image", function()
  local function parsed(image)
    local found, reason = version.parse(image)
    return found and ("%d.%d"):format(found.major, found.minor), reason
  end

  it("is the beginning of its tag", function()
    assert.equal("13.1", (parsed("quay.io/enterprisedb/postgresql:13.1")))
    assert.equal("18.6", (parsed("ghcr.io/cloudnative-pg/postgresql:18.6-system-trixie")))
    assert.equal("17.0", (parsed("postgres:17")))
    assert.equal("16.0", (parsed("localhost:5000/pg:16-bookworm")))
    assert.equal("15.3", (parsed("pg:15.3@sha256:0123")))
    assert.equal("17.0", (parsed("pg:17beta1")))
  end)

  it("is unknown otherwise", function()
    assert.matches("latest", select(2, parsed("postgres:latest")))
    assert.matches("latest", select(2, parsed("postgres")))
    assert.matches("latest", select(2, parsed("localhost:5000/postgres")))
    assert.matches("digest", select(2, parsed("postgres@sha256:0123")))
    assert.matches("does not begin", select(2, parsed("postgres:devel")))
    assert.is_nil((parsed("postgres:2024010112")))
    assert.is_nil((parsed(null)))
  end)

  it("comes from the catalog, the image or the default", function()
    local env = { default_image = "pg:18.6" }
    assert.equal(16, version.major_of({ imageCatalogRef = { major = 16 }, imageName = "pg:15" }, env))
    assert.equal(15, version.major_of({ imageName = "pg:15" }, env))
    assert.equal(18, version.major_of({}, env))
    assert.is_nil(version.major_of({}))
    assert.is_nil(version.major_of("nonsense", {}))
  end)
end)

describe("JSON", function()
  it("is read with exact integers and marked lists", function()
    local value = json.decode('{"a":[1,9007199254740993,-2.5e1,true,null,"x\\u00e9\\n\\ud83d\\ude00"],"b":{},"c":[]}')
    assert.equal(9007199254740993, value.a[2])
    assert.equal(-25.0, value.a[3])
    assert.equal(null, value.a[5])
    assert.equal("xé\n😀", value.a[6])
    assert.is_true(access.is_array(value.c))
    assert.is_false(access.is_array(value.b))
  end)

  it("is refused when it is not well formed", function()
    for _, text in ipairs { "", "{", "[1,]", "{a:1}", '{"a" 1}', "01", "1.", "nul", '"\\x"', '"\\ud800"', '"a', "1 2",
      '"\n"', '{"a":1,}', "[1 2]", "1.e5", ("["):rep(100) } do
      local value, reason = json.decode(text)
      assert.is_nil(value, text)
      assert.is_string(reason)
    end
    assert.is_nil(json.decode(nil))
  end)
end)

describe("base64", function()
  it("is decoded", function()
    assert.equal("", base64.decode(""))
    assert.equal("a", base64.decode("YQ=="))
    assert.equal("ab", base64.decode("YWI="))
    assert.equal("abc", base64.decode("YWJj"))
    assert.equal("\0\255\254", base64.decode("AP/+"))
  end)

  it("is refused otherwise", function()
    for _, text in ipairs { "a", "YQ=", "Y Q=", "=YQ=", "YQ==YQ==" } do
      assert.is_nil(base64.decode(text), text)
    end
    assert.is_nil(base64.decode(nil))
  end)
end)

describe("a regular expression", function()
  it("is accepted when it is well formed", function()
    for _, text in ipairs { "", "^a.*b$", "(a|b)+", "[]a]", "[^]]", "a{2,3}", "a{2}?", "\\(", "(?i)x", "(?:x)*", "a+?",
      "[[:alpha:]]", "(?P<n>x)", "x{", "a{x}" } do
      assert.is_true(regex.check(text), text)
    end
  end)

  it("is refused when it is not", function()
    for _, text in ipairs { "(", ")", "[a", "*", "a**", "a|*", "a\\", "a{3,2}", "(+)" } do
      local ok, reason = regex.check(text)
      assert.is_nil(ok, text)
      assert.is_string(reason)
    end
    assert.is_nil(regex.check(5))
  end)
end)

describe("a JSON patch", function()
  local function round(old, new)
    local ops = jsonpatch.diff(old, new)
    local result, reason = jsonpatch.apply(old, ops)
    assert.is_nil(reason)
    assert.is_true(access.equal(result, new))
    return ops
  end

  it("is empty for equal values", function()
    assert.same(0, #jsonpatch.diff({ a = { 1, { b = null } } }, { a = { 1, { b = null } } }))
  end)

  it("holds the smallest change, sorted", function()
    local ops = round({ a = 1, b = { x = 1, y = 2 }, c = 3 }, { a = 1, b = { x = 5, y = 2, ["p/q~r"] = true },
      d = array {} })
    assert.same({ "replace", "add", "remove", "add" }, { ops[2].op, ops[1].op, ops[3].op, ops[4].op })
    assert.same({ "/b/p~1q~0r", "/b/x", "/c", "/d" }, { ops[1].path, ops[2].path, ops[3].path, ops[4].path })
    assert.is_true(access.is_array(ops[4].value))
  end)

  it("inserts into and removes from lists", function()
    local ops = round(array { "b", "c" }, array { "a", "b", "c" })
    assert.equal(1, #ops)
    assert.equal("/0", ops[1].path)
    assert.equal(1, #round(array { "a", "b", "c" }, array { "a", "c" }))
    assert.equal(1, #round(array { { n = 1 }, { n = 2 } }, array { { n = 1 }, { n = 3 } }))
    round(array { 1, 2, 3, 4 }, array { 9, 4 })
    round(array { 1 }, array { 1, 1, 1 })
    round(array { 1, 1, 1 }, array { 1 })
    round(array {}, array { 1, 2 })
    round(array { 1, 2 }, array {})
  end)

  it("replaces what changes its type", function()
    assert.equal("replace", round({ a = array {} }, { a = {} })[1].op)
    assert.equal("replace", round({ a = null }, { a = { b = 1 } })[1].op)
    assert.equal("", round(1, 2)[1].path)
  end)

  it("applies every verb", function()
    local doc = { list = array { 1, 2 }, map = { a = "x" } }
    local out = assert(jsonpatch.apply(doc, {
      { op = "test", path = "/map/a", value = "x" },
      { op = "add", path = "/list/-", value = 3 },
      { op = "add", path = "/list/0", value = 0 },
      { op = "copy", from = "/map/a", path = "/map/b" },
      { op = "move", from = "/map/a", path = "/map/c" },
      { op = "replace", path = "/list/1", value = "one" },
      { op = "remove", path = "/list/2" },
    }))
    assert.is_true(access.equal(out, { list = array { 0, "one", 3 }, map = { b = "x", c = "x" } }))
    assert.equal(2, #doc.list)
  end)

  it("is refused when it does not fit", function()
    local doc = { list = array { 1 }, map = {} }
    for _, ops in ipairs {
      { { op = "remove", path = "/nothing" } }, { { op = "add", path = "/a/b/c", value = 1 } },
      { { op = "add", path = "/list/2", value = 1 } }, { { op = "add", path = "/list/x", value = 1 } },
      { { op = "test", path = "/map", value = 1 } }, { { op = "add", path = "map", value = 1 } },
      { { op = "frob", path = "/map" } }, { { op = "add", path = "/map" } }, { { op = "move", path = "/map" } },
      { { op = "copy", from = "/x", path = "/y" } }, { { op = "replace", path = "/x", value = 1 } }, { "x" },
    } do
      local out, reason = jsonpatch.apply(doc, ops)
      assert.is_nil(out)
      assert.matches("^operation 1: ", reason)
    end
    assert.is_string(jsonpatch.check({ op = "add" }))
    assert.is_string(jsonpatch.check("x"))
  end)
end)
