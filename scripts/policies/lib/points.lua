-- luacheck: read globals array
--- The decision points: what a context holds, and inputs that every policy has to survive.
local host = ...
local ipairs, pairs, format = ipairs, pairs, string.format
local array = array

local NOW = 1767225600 -- 2026-01-01T00:00:00Z

local function cluster()
  return { name = "pg", namespace = "default", instances = 3, labels = {} }
end

local function candidate(fields)
  local out = {
    sync = false, timeline = 1, flush_lsn = "0/3000000", replay_lag = 0, ready = true, priority = 0,
  }
  for key, value in pairs(fields) do
    out[key] = value
  end
  return out
end

local function many(count, make)
  local out = array {}
  for i = 1, count do
    out[i] = make(i)
  end
  return out
end

local function replicas(count, fields)
  return many(count, function(i)
    local out = candidate(fields or {})
    out.name = format("pg-%d", i + 1)
    out.zone, out.node = format("zone%d", i % 3 + 1), format("node%d", i)
    return out
  end)
end

local failover = {
  fields = { cluster = true, candidates = true, now = true, reason = true },
  list = "candidates",
  item = { name = true, zone = true, node = true, sync = true, timeline = true, flush_lsn = true,
    replay_lag = true, ready = true, priority = true },
}

function failover.defaults(given)
  local out = { cluster = cluster(), candidates = array {}, now = NOW, reason = "the primary failed" }
  for key, value in pairs(given) do
    out[key] = value
  end
  local list = array {}
  for i, item in ipairs(out.candidates) do
    list[i] = candidate(item)
  end
  out.candidates = list
  return out
end

failover.fixtures = {
  { "no candidate", { candidates = array {} } },
  { "one candidate", { candidates = replicas(1) } },
  { "three equal candidates", { candidates = replicas(3) } },
  { "candidates without zone, node and priority",
    { candidates = array { { name = "pg-2" }, { name = "pg-3", replay_lag = 5 } }, bare = true } },
  { "sixty candidates", { candidates = replicas(60) } },
  { "a lag of terabytes", { candidates = replicas(2, { replay_lag = 1 << 50, ready = false }) } },
  { "a synchronous candidate", { candidates = replicas(2, { sync = true }) } },
  { "a year later", { candidates = replicas(2), now = NOW + 366 * 86400 } },
  { "a leap day", { candidates = replicas(2), now = 1835395200 } },
  { "the last second of a year", { candidates = replicas(2), now = NOW - 1 } },
}

local function nodes(count)
  return many(count, function(i)
    return {
      name = format("node%d", i), zone = format("zone%d", i % 3 + 1), ready = true, schedulable = true,
      labels = {},
    }
  end)
end

local placement = {
  fields = { cluster = true, instance = true, zones = true, nodes = true, now = true },
  list = "nodes",
  item = { name = true, zone = true, ready = true, schedulable = true, labels = true },
}

function placement.defaults(given)
  local out = {
    cluster = cluster(), instance = { name = "pg-1", ordinal = 1, is_new = true }, zones = array {},
    nodes = array {}, now = NOW,
  }
  for key, value in pairs(given) do
    out[key] = value
  end
  return out
end

placement.fixtures = {
  { "no node", {} },
  { "one node", { nodes = nodes(1), zones = array { "zone1" } } },
  { "three zones", { nodes = nodes(3), zones = array { "zone1", "zone2", "zone3" } } },
  { "nodes without a zone", { nodes = array { { name = "node1", ready = true, schedulable = true } } } },
  { "the third instance", { nodes = nodes(3), zones = array { "zone1", "zone2", "zone3" },
    instance = { name = "pg-3", ordinal = 3, is_new = true } } },
  { "an instance that was there before", { nodes = nodes(3), zones = array { "zone1" },
    instance = { name = "pg-2", ordinal = 2, is_new = false } } },
  { "five hundred nodes", { nodes = nodes(500), zones = array { "zone1", "zone2", "zone3" } } },
  { "a leap day", { nodes = nodes(1), zones = array { "zone1" }, now = 1835395200 } },
}

host.points = { ["failover/v1"] = failover, ["placement/v1"] = placement }
