--- The CRD of Cluster against the contract's own list of fields, in both directions.
local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/lua/crds/[^/]*$") or "."
package.path = here .. "/crds/?.lua;" .. package.path

local cluster = require("kinds.cluster")

local TYPES = {
  string = { type = "string" }, bool = { type = "boolean" }, int = { type = "integer" },
  int32 = { type = "integer", format = "int32" }, int64 = { type = "integer", format = "int64" },
  time = { type = "string", format = "date-time" }, quantity = { type = "quantity" }, any = { type = "any" },
  list = { type = "array" }, map = { type = "map" }, object = { type = "object" },
}

--- "a.(b|c).(d|e)" -> { "a.b.d", "a.b.e", "a.c.d", "a.c.e" }
local function expand(path, out)
  local before, choice, after = path:match("^(.-)%(([^()]*)%)(.*)$")
  if not before then
    out[#out + 1] = path
    return out
  end
  for word in choice:gmatch("[^|]+") do
    expand(before .. word .. after, out)
  end
  return out
end

--- Attributes as one sorted text, so that two fields compare as texts.
local function text_of(attributes)
  local keys, out = {}, {}
  for key in pairs(attributes) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    out[i] = key .. "=" .. tostring(attributes[key])
  end
  return table.concat(out, " ")
end

local function parse_attributes(text, path)
  local kind, rest = text:match("^(%S+)%s*(.*)$")
  local out = {}
  for key, value in pairs(assert(TYPES[kind], path .. ": no type " .. kind)) do
    out[key] = value
  end
  rest = rest:gsub("like (%S+)", function(pattern)
    out.pattern = pattern
    return ""
  end)
  rest = rest:gsub("=(%S+)", function(value)
    out.default = value
    return ""
  end)
  rest = rest:gsub("{(%S+)}", function(values)
    out.enum = values
    return ""
  end)
  for word, value in rest:gmatch("(%a+) ([%w_]+)") do
    out[word] = value
  end
  out.atomic = rest:find("atomic", 1, true) and true or nil
  return out
end

local function read_blocks()
  local blocks, name = {}, nil
  for line in io.lines(here .. "/tests/lua/crds/contract.txt") do
    name = line:match("^block (%S+)$") or name
    blocks[name or ""] = blocks[name or ""] or {}
    if line:match("^  ") then
      local path, what = line:match("^  (%S+): (.+)$")
      assert(path, "odd line: " .. line)
      for _, one in ipairs(expand(path, {})) do
        table.insert(blocks[name], { path = one, what = what })
      end
    end
  end
  return blocks
end

--- What leads to a field: its parts as objects, lists and maps, unless something else is said.
local function lead(fields, path)
  for at, mark in path:gmatch("()([.%[{])") do
    local parent = path:sub(1, at - 1)
    local kind = mark == "[" and "array" or mark == "{" and "map" or "object"
    if parent ~= "" and not fields[parent] then
      fields[parent] = { type = kind }
    end
  end
end

local function add_block(fields, blocks, name, prefix)
  for _, field in ipairs(assert(blocks[name], name)) do
    local path = field.path == "." and prefix or prefix .. "." .. field.path
    local other = field.what:match("^@(%S+)$")
    lead(fields, path)
    if other then
      fields[path] = fields[path] or { type = "object" }
      add_block(fields, blocks, other, path)
    else
      fields[path] = parse_attributes(field.what, path)
    end
  end
end

local function expected()
  local blocks, fields = read_blocks(), {}
  fields["spec!"], fields.status = { type = "object" }, { type = "object" }
  add_block(fields, blocks, "spec", "spec!")
  add_block(fields, blocks, "status", "status")
  return fields
end

--- JSON of a default, as the list writes it.
local function default_text(value)
  if type(value) ~= "table" then
    return tostring(value)
  end
  local keys, out = {}, {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    out[i] = ('"%s":%s'):format(key, default_text(value[key]))
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local function type_of(node)
  if node["x-kubernetes-int-or-string"] then
    return "quantity"
  elseif node["x-kubernetes-preserve-unknown-fields"] then
    return "any"
  end
  return node.additionalProperties and "map" or node.type
end

--- A limit of ours that keeps the cost of a rule down; the contract has none there.
local OURS = {
  ["spec!.storage.size"] = "maxlen", ["spec!.walStorage.size"] = "maxlen",
  ["spec!.tablespaces[].storage!.size"] = "maxlen", ["spec!.tablespaces[].name!"] = "maxlen pattern",
  ["status.conditions[].reason!"] = "pattern", ["status.conditions[].type!"] = "pattern",
}

local function attributes_of(node, path)
  local kind = type_of(node)
  local out = {
    type = kind, format = node.format, pattern = kind ~= "quantity" and node.pattern or nil,
    min = node.minimum, max = node.maximum, minlen = node.minLength, maxlen = node.maxLength,
    enum = node.enum and table.concat(node.enum, ","),
    default = node.default ~= nil and default_text(node.default) or nil,
    key = node["x-kubernetes-list-map-keys"] and node["x-kubernetes-list-map-keys"][1],
    atomic = node["x-kubernetes-map-type"] == "atomic" or nil,
  }
  for word in (OURS[path] or ""):gmatch("%S+") do
    out[word] = nil
  end
  return out
end

local function walk(fields, node, path)
  if path ~= "" then
    fields[path] = attributes_of(node, path)
  end
  local required = {}
  for _, name in ipairs(node.required or {}) do
    required[name] = true
  end
  for name, child in pairs(node.properties or {}) do
    walk(fields, child, (path == "" and "" or path .. ".") .. name .. (required[name] and "!" or ""))
  end
  if node.items then
    walk(fields, node.items, path .. "[]")
  end
  if node.additionalProperties then
    walk(fields, node.additionalProperties, path .. "{}")
  end
end

local function built(group)
  local fields = {}
  walk(fields, cluster.crd(group).schema, "")
  for _, name in ipairs { "apiVersion", "kind", "metadata!", "metadata!.name" } do
    assert.is_table(fields[name], name)
    fields[name] = nil
  end
  return fields
end

--- Lines that one has and the other has not.
local function differences(want, have)
  local out = {}
  for path, attributes in pairs(want) do
    local text = have[path] and text_of(have[path]) or "nothing"
    if text ~= text_of(attributes) then
      out[#out + 1] = ("%s: the contract says %s, the CRD %s"):format(path, text_of(attributes), text)
    end
  end
  for path in pairs(have) do
    if not want[path] then
      out[#out + 1] = path .. ": not in the contract"
    end
  end
  table.sort(out)
  return out
end

describe("the schema of Cluster", function()
  for _, group in ipairs { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io" } do
    it("has each field of the contract, with its type, default, enum and bounds, and no other: " .. group, function()
      local want = expected()
      assert.same({}, differences(want, built(group)))
      local n = 0
      for _ in pairs(want) do
        n = n + 1
      end
      assert.is_true(n > 600, n .. " fields")
    end)
  end

  it("is compared in earnest: a change of either side is seen", function()
    local want, have = expected(), built("postgresql.cnpg.io")
    have["spec!.instances!"].default = "2"
    have["spec!.enablePDB"] = nil
    have["spec!.news"] = { type = "string" }
    have["spec!.logLevel"].enum = "error,warning,info"
    assert.equal(4, #differences(want, have))
  end)
end)

describe("the columns of Cluster", function()
  it("are those of the contract, with their paths", function()
    local want = {
      { "Age", "date", ".metadata.creationTimestamp" }, { "Instances", "integer", ".status.instances" },
      { "Ready", "integer", ".status.readyInstances" }, { "Status", "string", ".status.phase" },
      { "Primary", "string", ".status.currentPrimary" },
      { "SyncTopology", "string", '.status.conditions[?(@.type=="SyncReplicationTopologySatisfied")].reason' },
    }
    local have = {}
    for i, column in ipairs(cluster.crd("postgresql.cnpg.io").columns) do
      have[i] = { column.name, column.type, column.jsonPath }
    end
    assert.same(want, have)
  end)
end)
