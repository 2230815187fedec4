-- Makes the C table of decision points: mh_interp points.lua SCRIPTS OUT
local scripts, out_path = arg[1], arg[2]
local host = { array = function(t) return t end }
assert(loadfile(scripts .. "/policies/lib/contract.lua"))(host)
local shared = dofile(scripts .. "/policies/points/common.lua")

local KINDS = { time = "INT" }
local lines = { "/* Made from scripts/policies/points. */", '#include "lua/shape.h"', "" }
local names = {} -- of what was written, by value
local count = 0

local function emit(format, ...)
  lines[#lines + 1] = format:format(...)
end

local function quote(text)
  return text and '"' .. text:gsub('[\\"]', "\\%0") .. '"' or "NULL"
end

local shape_text

local function options_of(shape)
  count = count + 1
  local items = {}
  for i, option in ipairs(shape.options) do items[i] = quote(option) end
  emit("static const char *const options_%d[] = { %s, NULL };", count, table.concat(items, ", "))
  return ("options_%d"):format(count)
end

local function fields_of(fields)
  if names[fields] then return names[fields] end
  local rows = {}
  for i, field in ipairs(fields) do
    rows[i] = ("    { %s, %d, %s },"):format(quote(field.name), field.optional and 1 or 0, shape_text(field.shape))
  end
  count = count + 1
  names[fields] = ("fields_%d"):format(count)
  emit("static const struct mh_field fields_%d[] = { /* %s */", count, fields.name)
  for _, row in ipairs(rows) do emit("%s", row) end
  emit("    { NULL, 0, { 0, 0, 0, NULL, NULL, NULL } },")
  emit("};")
  return names[fields]
end

function shape_text(shape)
  local options = shape.options and options_of(shape) or "NULL"
  local fields = shape.fields and fields_of(shape.fields) or "NULL"
  local of = "NULL"
  if shape.of then
    local text = shape_text(shape.of)
    count = count + 1
    emit("static const struct mh_shape shape_%d = %s;", count, text)
    of = ("&shape_%d"):format(count)
  end
  return ("{ MH_SHAPE_%s, %d, %d, %s, %s, %s }"):format(KINDS[shape.kind] or shape.kind:upper(), shape.min,
    shape.max, options, of, fields)
end

local rows = {}
for _, name in ipairs(dofile(scripts .. "/policies/points/all.lua")) do
  local point = host.contract(dofile(("%s/policies/points/%s.lua"):format(scripts, name)), shared)
  local input = fields_of(point.input)
  local answers = {}
  for i, answer in ipairs(point.answers) do
    answers[i] = ("{ %s, %s }"):format(quote(answer.action), fields_of(answer.fields))
  end
  rows[#rows + 1] = ("    { %s, %s, %s, %s, %d, { %s } },"):format(quote(point.point), input, quote(point.words),
    quote(point.built_in), point.wait_max_s or 0, table.concat(answers, ", "))
end
emit("const char *const mh_instance_parameters[] = {")
for _, name in ipairs(dofile(scripts .. "/policies/points/instance.lua").parameters) do emit("    %s,", quote(name)) end
emit("    NULL,\n};")
emit("const struct mh_point mh_points[] = {")
for _, row in ipairs(rows) do emit("%s", row) end
emit("    { NULL, NULL, NULL, NULL, 0, { { NULL, NULL } } },")
emit("};")
local file = assert(io.open(out_path, "w"))
assert(file:write(table.concat(lines, "\n"), "\n"))
assert(file:close())
