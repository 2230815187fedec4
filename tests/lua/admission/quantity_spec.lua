-- luacheck: read globals array null
require("tests.lua.admission.support")
local quantity = require("admission.quantity")
local duration = require("admission.duration")

local function compare(a, b)
  return quantity.compare(assert(quantity.parse(a)), assert(quantity.parse(b)))
end

describe("a quantity", function()
  it("compares across units exactly", function()
    assert.equal(0, compare("1Gi", "1024Mi"))
    assert.equal(0, compare("1.5Gi", "1536Mi"))
    assert.equal(0, compare("1k", "1000"))
    assert.equal(0, compare("1e3", "1k"))
    assert.equal(0, compare("1E", "1000P"))
    assert.equal(0, compare("500m", "0.5"))
    assert.equal(-1, compare("1G", "1Gi"))
    assert.equal(1, compare("9Ei", "9E"))
    assert.equal(1, compare("9007199254740993", "9007199254740992"))
    assert.equal(1, compare("100Ei", "99999999999999999999"))
    assert.equal(-1, compare("0.25", "0.3"))
    assert.equal(1, compare("1n", "0"))
  end)

  it("knows its sign", function()
    assert.equal(-1, quantity.sign(quantity.parse("-1Gi")))
    assert.equal(0, quantity.sign(quantity.parse("-0")))
    assert.equal(0, quantity.sign(quantity.parse("0.0Gi")))
    assert.equal(1, quantity.sign(quantity.parse("+1")))
    assert.equal(-1, compare("-2", "-1"))
    assert.equal(-1, compare("-1", "0"))
  end)

  it("takes numbers", function()
    assert.equal(0, quantity.compare(quantity.parse(2), quantity.parse("2")))
    assert.equal(0, quantity.compare(quantity.parse(0.5), quantity.parse("500m")))
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "", "ten", "1gi", "1 Gi", "1..2", ".", "Gi", "1e", "1e999999999", "--1", "0x10",
      "1.2.3" } do
      assert.is_nil(quantity.parse(text), text)
    end
    assert.is_nil(quantity.parse(nil))
    assert.is_nil(quantity.parse({}))
    assert.is_nil(quantity.parse(("1"):rep(65)))
  end)

  it("becomes an integer, rounded up, when it fits", function()
    assert.equal(10737418240, quantity.to_integer(quantity.parse("10Gi")))
    assert.equal(1, quantity.to_integer(quantity.parse("100m")))
    assert.equal(0, quantity.to_integer(quantity.parse("0")))
    assert.equal(math.maxinteger, quantity.to_integer(quantity.parse("9223372036854775807")))
    assert.is_nil(quantity.to_integer(quantity.parse("9223372036854775808")))
    assert.is_nil(quantity.to_integer(quantity.parse("16Ei")))
  end)
end)

describe("a memory size of PostgreSQL", function()
  local function bytes(text)
    local value, has_unit = quantity.memory(text)
    return value and quantity.to_integer(value), has_unit
  end

  it("is read in powers of 1024, megabytes without a unit", function()
    assert.equal(128 << 20, (bytes("128MB")))
    assert.equal(16384, (bytes("16kB")))
    assert.equal(1 << 40, (bytes(" 1 TB ")))
    assert.equal(64, (bytes("64B")))
    assert.equal(3 << 29, (bytes("1.5GB")))
    local value, has_unit = bytes("256")
    assert.equal(256 << 20, value)
    assert.is_false(has_unit)
  end)

  it("is refused with another unit", function()
    for _, text in ipairs { "128Mi", "1gb", "lots", "" } do
      assert.is_nil((bytes(text)), text)
    end
  end)
end)

describe("a duration", function()
  it("is read to the nanosecond", function()
    assert.equal(5400000000000, duration.parse("1h30m"))
    assert.equal(1500000000, duration.parse("1.5s"))
    assert.equal(0, duration.parse("0"))
    assert.equal(0, duration.parse("0s"))
    assert.equal(-1000000, duration.parse("-1ms"))
    assert.equal(60000, duration.milliseconds("1m"))
  end)

  it("is refused otherwise", function()
    for _, text in ipairs { "", "5", "s", "1d", "1h30", "1..5s", "-" } do
      assert.is_nil(duration.parse(text), text)
    end
    assert.is_nil(duration.parse(null))
  end)
end)
