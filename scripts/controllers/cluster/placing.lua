--- What placement/v1 is asked about an instance that is about to be created.
-- luacheck: read globals array
local access = require("admission.access")
local sorted = require("desired.sorted")

local placing = {}

--- Labels that say what a field says, or what nobody writes a rule about: the old names of others, and what a
--- feature discovery finds, which is hundreds.
local UNTOLD = { "^kubernetes%.io/hostname$", "^beta%.kubernetes%.io/", "^feature%.node%.kubernetes%.io/" }
local LABELS_MAX, NODE_BYTES, ALL_BYTES = 32, 2048, 128 * 1024

local function is_told(key)
  for _, pattern in ipairs(UNTOLD) do
    if key:find(pattern) then
      return false
    end
  end
  return true
end

--- The first labels by key, and their bytes.
local function labels_of(object)
  local out, n, bytes = {}, 0, 0
  for key, value in sorted.pairs(access.get(object, "metadata", "labels")) do
    if type(value) == "string" and is_told(key) then
      n, bytes = n + 1, bytes + #key + #value
      if n > LABELS_MAX or bytes > NODE_BYTES then
        return out, bytes - #key - #value
      end
      out[key] = value
    end
  end
  return out, bytes
end

--- Labels by node, all or none: a rule that counts nodes must not count some of them.
---@param objects table[] the Nodes
---@return table<string, table<string, string>>
local function labels_by_node(objects)
  local out, bytes = {}, 0
  for _, object in ipairs(objects) do
    local labels, more = labels_of(object)
    out[object.metadata.name], bytes = labels, bytes + more
    if bytes > ALL_BYTES then
      return {}
    end
  end
  return out
end

--- The same for every instance of a pass: nodes and zones.
---@param all table<string, table> as seen.node makes them
---@param objects table[] the Nodes
---@return {zones: string[], nodes: table[]}
function placing.facts(all, objects)
  local zones, nodes, known, labels = array {}, array {}, {}, labels_by_node(objects)
  for name, node in sorted.pairs(all) do
    nodes[#nodes + 1] = { name = name, zone = node.zone, ready = node.ready, schedulable = not node.drained,
      labels = labels[name] }
    if node.zone and node.ready and not known[node.zone] then
      known[node.zone] = true
      zones[#zones + 1] = node.zone
    end
  end
  table.sort(zones)
  return { zones = zones, nodes = nodes }
end

function placing.input(cluster, intent, facts, now)
  return {
    cluster = { name = cluster.metadata.name, namespace = cluster.metadata.namespace,
      instances = cluster.spec.instances, labels = cluster.metadata.labels },
    instance = { name = intent.name, ordinal = intent.serial, is_new = intent.kind ~= "pod" },
    zones = facts.zones, nodes = facts.nodes, now = now,
  }
end

return placing
