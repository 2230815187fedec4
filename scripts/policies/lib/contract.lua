--- Reads the description of a decision point (points/NAME.lua): names of records become what they mean. Runs
--- in checks and where C, schemas, stubs and pages are made from the same files.
local host = ...
local ipairs, pairs, type, error, next = ipairs, pairs, type, error, next

local BIGGEST = 1 << 53
local BOUNDS = {
  text = { 1, 253 }, lines = { 0, 4096 }, reason = { 1, 64 }, label = { 0, 63 }, quantity = { 1, 32 },
  int = { -BIGGEST, BIGGEST }, number = { -BIGGEST, BIGGEST }, time = { 0, BIGGEST }, flag = { 0, 1 },
  scalar = { 0, 1024 }, choice = { 1, 64 }, list = { 0, 1000 }, map = { 0, 1000 }, record = { 0, 0 },
}

local shape_of

local function fields_of(reader, name)
  local list = reader.records[name] or error("no record '" .. name .. "'")
  local out = reader.done[name]
  if out then
    return out
  end
  out = { name = name }
  reader.done[name] = out
  for i, row in ipairs(list) do
    out[i] = {
      name = row[1], doc = row[3], optional = row.optional or false, default = row.default,
      shape = shape_of(reader, row),
    }
  end
  return out
end

--- What is in a list or a map: a type, or a record by its name.
local function inner(reader, of)
  if reader.types[of] then
    local t = reader.types[of]
    return shape_of(reader, { nil, t[1], of = t.of })
  elseif BOUNDS[of] then
    return shape_of(reader, { nil, of })
  end
  return shape_of(reader, { nil, "record", of = of })
end

function shape_of(reader, row)
  local kind = row[2]
  local bounds = BOUNDS[kind] or error("no type '" .. kind .. "'")
  local out = { kind = kind, min = row.min or bounds[1], max = row.max or bounds[2] }
  if kind == "choice" then
    out.options = row.of
  elseif kind == "record" then
    out.fields = fields_of(reader, row.of)
  elseif kind == "list" or kind == "map" then
    out.of = inner(reader, row.of)
  end
  return out
end

--- The description with its records in place. `shared` is points/common.lua.
---@param described table
---@param shared table
---@return table
function host.contract(described, shared)
  local records = { input = described.input }
  for name, list in pairs(shared.records) do
    records[name] = list
  end
  for name, list in pairs(described.records) do
    records[name] = list
  end
  local reader = { records = records, types = described.types or {}, done = {} }
  local out = { input = fields_of(reader, "input"), answers = {} }
  for key, value in pairs(described) do
    out[key] = out[key] or value
  end
  local answers = {}
  for i, name in ipairs(described.answers) do
    local fields = fields_of(reader, name)
    local first = fields[1]
    answers[i] = { fields = fields, action = first.name == "action" and first.shape.options[1] or nil }
  end
  out.answers = answers
  return out
end

local fill

local function filled_value(shape, value, bare)
  if type(value) ~= "table" then
    return value
  elseif shape.kind == "record" then
    return fill(shape.fields, value, bare)
  elseif shape.kind ~= "list" and shape.kind ~= "map" then
    return value
  end
  local out = shape.kind == "list" and host.array {} or {}
  for key, item in pairs(value) do
    out[key] = filled_value(shape.of, item, bare)
  end
  return out
end

--- A copy of `given` with the defaults in place; with `bare` without those that may be absent.
---@param fields table
---@param given table
---@param bare boolean?
---@return table
function fill(fields, given, bare)
  local out = {}
  for key, value in pairs(given) do
    out[key] = value
  end
  for _, field in ipairs(fields) do
    local value = given[field.name]
    if value == nil and not (bare and field.optional) then
      value = field.default
    end
    out[field.name] = filled_value(field.shape, value, bare)
  end
  return out
end

host.fill, host.next = fill, next
