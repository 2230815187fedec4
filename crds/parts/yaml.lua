--- Writes Lua tables as YAML. Keys are sorted, so that the same table always gives the same bytes.
---
--- A table with a first element, or one made by `yaml.list`, is a list; every other table is a map. Small
--- maps and lists are written on one line.
local yaml = {}

local LIST = {}
local WIDTH = 140

--- Marks a table as a list, also when it is empty.
---@param t table
---@return table
function yaml.list(t)
  return setmetatable(t, LIST)
end

local function is_list(t)
  return t[1] ~= nil or getmetatable(t) == LIST
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

local RESERVED = { ["true"] = true, ["false"] = true, null = true, yes = true, no = true, on = true,
  off = true, y = true, n = true, [""] = true }

local function scalar(value)
  if type(value) ~= "string" then
    return tostring(value)
  end
  local plain = value:match("^[%a_/][%w_%./ %-]*$") and not value:match(" $")
  if plain and not RESERVED[value:lower()] then
    return value
  end
  return '"' .. value:gsub('["\\\n\t]', ESCAPES) .. '"'
end

local flow

local function flow_parts(value)
  local parts = {}
  if is_list(value) then
    for i, item in ipairs(value) do
      parts[i] = flow(item)
    end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  for i, key in ipairs(sorted_keys(value)) do
    parts[i] = scalar(key) .. ": " .. flow(value[key])
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function flow(value)
  return type(value) == "table" and flow_parts(value) or scalar(value)
end

local block

local function entry(out, lead, label, value, indent)
  local text = flow(value)
  if type(value) ~= "table" or #lead + #label + #text <= WIDTH then
    out[#out + 1] = lead .. label .. text
    return
  end
  if label == "- " then
    block(out, value, indent + 2, lead .. label)
  else
    out[#out + 1] = (lead .. label):gsub(" $", "")
    block(out, value, indent + 2)
  end
end

--- Appends the lines of one map or list. `first` replaces the indentation of the first line.
function block(out, value, indent, first)
  local pad = (" "):rep(indent)
  if is_list(value) then
    for i, item in ipairs(value) do
      entry(out, i == 1 and first or pad, "- ", item, indent)
    end
    return
  end
  for i, key in ipairs(sorted_keys(value)) do
    entry(out, i == 1 and first or pad, scalar(key) .. ": ", value[key], indent)
  end
end

--- One YAML document, without the leading `---`. `top` gives the order of the outermost keys.
---@param value table
---@param top string[]
---@return string
function yaml.document(value, top)
  local out = {}
  for _, key in ipairs(top) do
    if value[key] ~= nil then
      entry(out, "", key .. ": ", value[key], 0)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return yaml
