-- luacheck: globals array null
--- What a policy for placement is told about nodes.
local world = require("tests.lua.controllers.world")

local function node(w, name, labels)
  w:put { apiVersion = "v1", kind = "Node", metadata = { name = name, labels = labels },
    status = { conditions = array { { type = "Ready", status = "True" } } } }
end

--- What is asked about the first instance; the nodes by name.
local function asked(w)
  w:pass()
  assert.equal("placement/v1", w.asked[1].point)
  local nodes = {}
  for _, n in ipairs(w.asked[1].input.nodes) do
    nodes[n.name] = n
  end
  return nodes
end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

describe("labels of nodes", function()
  it("are told, but for those that say what a field says or that nobody names", function()
    local w = world.new()
    node(w, "node1", { ["topology.kubernetes.io/zone"] = "a", disk = "nvme", ["kubernetes.io/hostname"] = "node1",
      ["beta.kubernetes.io/arch"] = "amd64", ["feature.node.kubernetes.io/cpu-cpuid.AVX"] = "true",
      ["kubernetes.io/arch"] = "amd64" })
    node(w, "node2", nil)
    local nodes = asked(w)
    assert.same({ ["topology.kubernetes.io/zone"] = "a", disk = "nvme", ["kubernetes.io/arch"] = "amd64" },
      nodes.node1.labels)
    assert.equal("a", nodes.node1.zone)
    assert.same({}, nodes.node2.labels)
  end)

  it("are the first 32 by name, and 2 KiB", function()
    local w, many, long = world.new(), {}, {}
    for i = 1, 100 do
      many[("l%03d"):format(i)], long[("l%03d"):format(i)] = "x", ("v"):rep(63)
    end
    node(w, "node1", many)
    node(w, "node2", long)
    local nodes = asked(w)
    assert.equal(32, count(nodes.node1.labels))
    assert.equal("x", nodes.node1.labels.l032)
    assert.equal(2048 // 67, count(nodes.node2.labels))
  end)

  it("are told of all nodes or of none", function()
    local w = world.new()
    for i = 1, 100 do
      local long = {}
      for k = 1, 30 do
        long[("l%03d"):format(k)] = ("v"):rep(63)
      end
      node(w, ("big%03d"):format(i), long)
    end
    local nodes = asked(w)
    assert.equal(103, count(nodes))
    assert.is_nil(nodes.node1.labels)
    assert.is_nil(nodes.big100.labels)
  end)

  it("are no part of what a pass has seen", function()
    local w = world.healthy()
    node(w, "node1", { secretly = "large" })
    w:pass()
    assert.is_nil(w.seen.nodes.node1.labels)
  end)
end)
