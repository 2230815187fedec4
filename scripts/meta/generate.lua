--- Writes what follows from scripts/policies/points and scripts/meta/words.lua: stubs for editors, what luacheck
--- knows of policies, the tables of docs/policies. From the top of the tree:
---   lua5.4 scripts/meta/generate.lua          writes the files
---   lua5.4 scripts/meta/generate.lua --check  says which would change; exit code 1 if one would
local words = dofile("scripts/meta/words.lua")
local host = { array = function(t) return t end }
assert(loadfile("scripts/policies/lib/contract.lua"))(host)

local points = {}
local shared = dofile("scripts/policies/points/common.lua")
for i, name in ipairs(dofile("scripts/policies/points/all.lua")) do
  points[i] = host.contract(dofile("scripts/policies/points/" .. name .. ".lua"), shared)
  points[i].short = name
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  return file and (file:close() and text)
end

local is_check, changed = arg[1] == "--check", 0

local function write(path, text)
  if read(path) == text then
    return
  end
  changed = changed + 1
  print((is_check and "%s is not what its source says" or "%s written"):format(path))
  if not is_check then
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
  end
end

--- Replaces what stands between two lines of a file.
local function write_between(path, from, to, text)
  local old = assert(read(path), path .. " is missing")
  local _, head_end = old:find(from, 1, true)
  local tail = head_end and old:find(to, head_end, true)
  if not tail then
    error(("%s: want the lines %s and %s"):format(path, from, to))
  end
  write(path, old:sub(1, head_end) .. "\n" .. text .. old:sub(tail))
end

-- --- what a shape is called ------------------------------------------------------------------------------

local PLAIN = {
  text = "string", lines = "string", reason = "string", label = "string", quantity = "string|integer",
  int = "integer", time = "integer", number = "number", flag = "boolean", scalar = "string|number|boolean",
}

local function class_of(point, fields)
  for name in pairs(shared.records) do
    if fields.name == name and not point.records[name] then
      return name
    end
  end
  return point.short .. "." .. fields.name
end

local function type_of(point, shape)
  if shape.kind == "list" then
    local inner = type_of(point, shape.of)
    return (inner:find("|", 1, true) and "(" .. inner .. ")" or inner) .. "[]"
  elseif shape.kind == "map" then
    return "table<string, " .. type_of(point, shape.of) .. ">"
  elseif shape.kind == "record" then
    return class_of(point, shape.fields)
  elseif shape.kind == "choice" then
    local out = {}
    for i, option in ipairs(shape.options) do
      out[i] = '"' .. option .. '"'
    end
    return table.concat(out, "|")
  end
  return PLAIN[shape.kind]
end

--- Every record of a point, the input first, each once.
local function records_of(point, seen)
  local out, todo = {}, { point.input }
  for _, answer in ipairs(point.answers) do
    todo[#todo + 1] = answer.fields
  end
  local function look(shape)
    if shape.fields then
      todo[#todo + 1] = shape.fields
    elseif shape.of then
      look(shape.of)
    end
  end
  local at = 1
  while todo[at] do
    local fields = todo[at]
    if not seen[class_of(point, fields)] then
      seen[class_of(point, fields)] = true
      out[#out + 1] = fields
      for _, field in ipairs(fields) do
        look(field.shape)
      end
    end
    at = at + 1
  end
  return out
end

-- --- stubs -----------------------------------------------------------------------------------------------

local HEAD = [[
---@meta
--- The words of policies.
--- Made by scripts/meta/generate.lua. `moonherd policy types` prints this for your editor.

---@class policy.Type: table
---@operator call(any): policy.Type

---@class policy.Declaration
---@field params? table<string, policy.Type>
---@field decide fun(ctx: table): table
---@field cases? { name: string?, given: table?, params: table?, expect: table? }[]
---@field description? string

---@class time.Date
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field min integer
---@field sec integer
---@field weekday integer 1 is Monday, 7 Sunday
---@field yearday integer
---@field week integer of ISO 8601
---@field week_year integer

time = {}
]]

local function stub_of_word(out, word)
  out[#out + 1] = "--- " .. word.doc
  for _, example in ipairs(word.examples or {}) do
    out[#out + 1] = ("---\n---     %s   --> %s"):format(example[1], example[2])
  end
  if word.type then
    out[#out + 1] = ("---@type policy.Type\n%s = nil\n"):format(word.name)
    return
  end
  local names = {}
  for i, a in ipairs(word.args) do
    names[i] = a[1]
    local is_rest = a[1] == "..."
    local is_optional = not is_rest and (a[2]:sub(-1) == "?" or a[2]:find("|nil", 1, true))
    out[#out + 1] = ("---@param %s%s %s%s"):format(a[1], is_optional and "?" or "", (a[2]:gsub("%?$", "")),
      a[3] and " " .. a[3] or "")
  end
  out[#out + 1] = ("---@return %s"):format(word.returns)
  out[#out + 1] = ("function %s(%s) end\n"):format(word.name, table.concat(names, ", "))
end

local function stubs()
  local out = { HEAD }
  for _, word in ipairs(words) do
    if word.name and not word.elsewhere then
      stub_of_word(out, word)
    end
  end
  return table.concat(out, "\n")
end

local function classes()
  local out, seen = { "---@meta\n--- What each decision point asks, and what it takes for an answer. Made by "
    .. "scripts/meta/generate.lua.\n" }, {}
  for _, point in ipairs(points) do
    for _, fields in ipairs(records_of(point, seen)) do
      out[#out + 1] = ("---@class %s"):format(class_of(point, fields))
      for _, field in ipairs(fields) do
        out[#out + 1] = ("---@field %s%s %s %s"):format(field.name, field.optional and "?" or "",
          type_of(point, field.shape), field.doc):gsub(" +$", "")
      end
      if fields == point.input then
        out[#out + 1] = "---@field params table the parameters of the policy"
      end
      out[#out + 1] = ""
    end
  end
  return table.concat(out, "\n")
end

-- --- luacheck --------------------------------------------------------------------------------------------

local function std()
  local out = {}
  for _, word in ipairs(words) do
    local name = word.name and word.name:match("^%w+")
    if name and out[#out] ~= '"' .. name .. '"' then
      out[#out + 1] = '"' .. name .. '"'
    end
  end
  local lines, line = {}, " "
  for _, text in ipairs(out) do
    if #line + #text > 100 then
      lines[#lines + 1], line = line, " "
    end
    line = line .. " " .. text .. ","
  end
  lines[#lines + 1] = line
  return ("stds.policy = { read_globals = {\n%s\n} }\n"):format(table.concat(lines, "\n"))
end

-- --- pages -----------------------------------------------------------------------------------------------

local function bounds(shape)
  local is_number = shape.kind == "int" or shape.kind == "number"
  if is_number and shape.max < 1 << 53 then
    return (", %d to %d"):format(shape.min, shape.max)
  elseif is_number and shape.min > -(1 << 53) then
    return (", from %d"):format(shape.min)
  elseif shape.kind == "list" or shape.kind == "map" then
    return (", at most %d"):format(shape.max)
  end
  return ""
end

--- A time is an integer to a script; whoever reads wants to know from when it counts.
local function page_type(point, shape)
  return shape.kind == "time" and "integer, unix seconds" or type_of(point, shape)
end

local function cell(text)
  return (text:gsub("|", "\\|"))
end

local function rows_of(out, point, fields)
  out[#out + 1] = "\n| field | type | |\n|---|---|---|"
  for _, field in ipairs(fields) do
    out[#out + 1] = ("| `%s` | %s%s%s | %s |"):format(field.name, cell(page_type(point, field.shape)),
      bounds(field.shape), field.optional and ", may be absent" or "", cell(field.doc))
  end
end

local function tables_of(point)
  local out, answers = {}, {}
  out[#out + 1] = ("**When it is asked.** %s\n\n**What is safe**, whatever the policy says. %s"):format(point.asked,
    point.safe)
  if point.parameters then
    out[#out + 1] = "\n**Parameters that may be set**: `" .. table.concat(point.parameters, "`, `") .. "`."
  end
  for i, answer in ipairs(point.answers) do
    answers[answer.fields] = true
    answers[i] = answer
  end
  for at, fields in ipairs(records_of(point, {})) do
    if not answers[fields] then
      out[#out + 1] = at == 1 and "\n### What `ctx` holds" or ("\n`%s`:"):format(class_of(point, fields))
      rows_of(out, point, fields)
    end
    if at == 1 then
      out[#out + 1] = "| `params` | table | your parameters |"
    end
  end
  out[#out + 1] = "\n### What it answers: " .. point.words
  for _, answer in ipairs(point.answers) do
    out[#out + 1] = ("\n`%s`:"):format(class_of(point, answer.fields))
    rows_of(out, point, answer.fields)
  end
  return table.concat(out, "\n") .. "\n"
end

local WORDS_HEAD = "# The words of policies\n\nMade by `scripts/meta/generate.lua` from `scripts/meta/words.lua`; the "
  .. "tests run the examples.\nBeside these there are Lua's `assert error ipairs next pairs pcall xpcall select "
  .. "getmetatable setmetatable rawequal\nrawget rawlen tonumber tostring type`, `string`, `table`, `math` and `utf8`."

local function word_text(out, word)
  local names = {}
  for i, a in ipairs(word.args or {}) do
    names[i] = a[1]
  end
  local call = word.args and word.name .. "(" .. table.concat(names, ", ") .. ")" or word.name
  out[#out + 1] = ("\n**`%s`**%s  \n%s"):format(call, word.where and " · " .. table.concat(word.where, ", ") or "",
    word.doc)
  for i, e in ipairs(word.examples or {}) do
    out[#out + 1] = (i == 1 and "\n" or "") .. ("    %s   --> %s"):format(e[1], e[2])
  end
end

local function words_page()
  local out = { WORDS_HEAD }
  for _, word in ipairs(words) do
    if word.group then
      out[#out + 1] = ("\n## %s"):format(word.group)
    else
      word_text(out, word)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

write("scripts/meta/policy.lua", stubs())
write("scripts/meta/policy_points.lua", classes())
write("docs/policies/words.md", words_page())
write_between(".luacheckrc", "-- words of policies, made by scripts/meta/generate.lua", "-- end of words", std())
for _, point in ipairs(points) do
  write_between(("docs/policies/%s.md"):format(point.short), "<!-- fields, made by scripts/meta/generate.lua -->",
    "<!-- end of fields -->", tables_of(point))
end
os.exit(is_check and changed > 0 and 1 or 0)
