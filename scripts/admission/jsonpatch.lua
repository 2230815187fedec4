--- JSON patches (RFC 6902): the difference of two values, and applying one.
-- luacheck: read globals array null
local access = require("admission.access")

local jsonpatch = {}

local function escape(key)
  return (tostring(key):gsub("~", "~0"):gsub("/", "~1"))
end

local function both(check, a, b)
  return type(a) == "table" and type(b) == "table" and a ~= null and b ~= null and check(a) and check(b)
end

local function is_map(value)
  return not access.is_array(value)
end

local compare

local function compare_lists(ops, path, old, new)
  local first, last = 1, 0
  while first <= #old and first <= #new and access.equal(old[first], new[first]) do
    first = first + 1
  end
  local most = math.min(#old, #new) - first + 1
  while last < most and access.equal(old[#old - last], new[#new - last]) do
    last = last + 1
  end
  local shared = math.min(#old, #new) - last
  for i = first, shared do
    compare(ops, path .. "/" .. (i - 1), old[i], new[i])
  end
  for i = #old - last, shared + 1, -1 do
    ops[#ops + 1] = { op = "remove", path = path .. "/" .. (i - 1) }
  end
  for i = shared + 1, #new - last do
    ops[#ops + 1] = { op = "add", path = path .. "/" .. (i - 1), value = access.copy(new[i]) }
  end
end

local function compare_maps(ops, path, old, new)
  local union = {}
  for _, map in ipairs { old, new } do
    for key in pairs(map) do
      union[key] = true
    end
  end
  for _, key in ipairs(access.keys(union)) do
    local at = path .. "/" .. escape(key)
    if new[key] == nil then
      ops[#ops + 1] = { op = "remove", path = at }
    elseif old[key] == nil then
      ops[#ops + 1] = { op = "add", path = at, value = access.copy(new[key]) }
    else
      compare(ops, at, old[key], new[key])
    end
  end
end

function compare(ops, path, old, new)
  if access.equal(old, new) then
    return
  end
  if both(is_map, old, new) then
    compare_maps(ops, path, old, new)
  elseif both(access.is_array, old, new) then
    compare_lists(ops, path, old, new)
  else
    ops[#ops + 1] = { op = "replace", path = path, value = access.copy(new) }
  end
end

--- The operations that turn `old` into `new`, in the order of their paths.
---@param old any
---@param new any
---@return table[] ops list of {op, path, value}
function jsonpatch.diff(old, new)
  local ops = array {}
  compare(ops, "", old, new)
  return ops
end

local function split(pointer)
  if type(pointer) ~= "string" or (pointer ~= "" and pointer:sub(1, 1) ~= "/") then
    return nil
  end
  local keys = {}
  for part in pointer:gmatch("/([^/]*)") do
    keys[#keys + 1] = part:gsub("~1", "/"):gsub("~0", "~")
  end
  return keys
end

--- The index or key that a part of a pointer means inside `parent`.
local function locate(parent, part, adding)
  if not access.is_array(parent) then
    return part
  end
  if part == "-" and adding then
    return #parent + 1
  end
  local index = part:match("^%d+$") and math.tointeger(tonumber(part))
  if index and index < #parent + (adding and 1 or 0) then
    return index + 1
  end
  return nil
end

local function parent_of(doc, keys)
  for i = 1, #keys - 1 do
    local at = type(doc) == "table" and doc ~= null and locate(doc, keys[i], false)
    doc = at and doc[at]
    if doc == nil or doc == false then
      return nil
    end
  end
  return type(doc) == "table" and doc ~= null and doc or nil
end

local function read(root, pointer)
  local keys = split(pointer)
  if not keys then
    return nil
  end
  if #keys == 0 then
    return root.doc
  end
  local parent = parent_of(root.doc, keys)
  local at = parent and locate(parent, keys[#keys], false)
  return at and parent[at]
end

local function add(root, pointer, value)
  local keys = split(pointer)
  if not keys then
    return "the path must be empty or begin with /"
  end
  if #keys == 0 then
    root.doc = value
    return nil
  end
  local parent = parent_of(root.doc, keys)
  local at = parent and locate(parent, keys[#keys], true)
  if not at then
    return "there is nothing at " .. pointer
  end
  if access.is_array(parent) then
    table.insert(parent, at, value)
  else
    parent[at] = value
  end
  return nil
end

local function remove(root, pointer)
  if read(root, pointer) == nil or pointer == "" then
    return "there is nothing at " .. pointer
  end
  local keys = split(pointer)
  local parent = parent_of(root.doc, keys)
  local at = locate(parent, keys[#keys], false)
  if access.is_array(parent) then
    table.remove(parent, at)
  else
    parent[at] = nil
  end
  return nil
end

local VERBS = {}

function VERBS.add(root, op)
  return add(root, op.path, access.copy(op.value))
end

function VERBS.remove(root, op)
  return remove(root, op.path)
end

function VERBS.replace(root, op)
  if op.path == "" then
    return add(root, "", access.copy(op.value))
  end
  return remove(root, op.path) or add(root, op.path, access.copy(op.value))
end

function VERBS.test(root, op)
  return not access.equal(read(root, op.path), op.value) and "the test fails at " .. op.path or nil
end

function VERBS.copy(root, op)
  local value = read(root, op.from)
  if value == nil then
    return "there is nothing at " .. tostring(op.from)
  end
  return add(root, op.path, access.copy(value))
end

function VERBS.move(root, op)
  local value = read(root, op.from)
  return remove(root, op.from) or add(root, op.path, value)
end

local NEEDS_VALUE = { add = true, replace = true, test = true }
local NEEDS_FROM = { move = true, copy = true }

local function operation_fault(op)
  if type(op) ~= "table" or not VERBS[op.op] then
    return "op must be add, remove, replace, move, copy or test"
  end
  if not split(op.path) then
    return "path must be empty or begin with /"
  end
  if NEEDS_VALUE[op.op] and op.value == nil then
    return op.op .. " needs a value"
  end
  if NEEDS_FROM[op.op] and not split(op.from) then
    return op.op .. " needs from"
  end
  return nil
end

--- Checks the form of a patch.
---@param ops any
---@return string? reason nil when it is well formed
function jsonpatch.check(ops)
  if type(ops) ~= "table" or (next(ops) ~= nil and not access.is_array(ops)) then
    return "a patch is a list of operations"
  end
  for i, op in ipairs(ops) do
    local reason = operation_fault(op)
    if reason then
      return ("operation %d: %s"):format(i, reason)
    end
  end
  return nil
end

--- Applies a patch to a copy.
---@param doc any
---@param ops table[]
---@return any patched nil when it does not apply
---@return string? reason
function jsonpatch.apply(doc, ops)
  local reason = jsonpatch.check(ops)
  if reason then
    return nil, reason
  end
  local root = { doc = access.copy(doc) }
  for i, op in ipairs(ops) do
    reason = VERBS[op.op](root, op)
    if reason then
      return nil, ("operation %d: %s"):format(i, reason)
    end
  end
  return root.doc
end

return jsonpatch
