--- Size budgets: C file 700 lines, C function 60 lines, 6 parameters beside self, arena and error; Lua file 400 lines.
--- A comment "lint: allow size: why" in the first ten lines of a file, or above a function, raises them.
local common = require("common")

local C_FILE, C_FUNCTION, C_PARAMETERS, LUA_FILE = 700, 60, 6, 400

local function file_allowed(lines)
  for n = 1, math.min(10, #lines) do
    if lines[n]:find("lint: allow size:%s*%S") then
      return true
    end
  end
  return false
end

-- A definition begins in the first column and its body is between "{" and "}" in the first column.
local function function_start(lines, open)
  local n = open - 1
  while n > 0 and lines[n]:find("%S") and not lines[n]:find("^[}#/]") and not lines[n]:find(";%s*$") do
    n = n - 1
  end
  return n + 1
end

-- What every function of a kind has is no burden to its reader: self, the arena for results, the error.
local function parameters(head)
  local list = head:match("%b()%s*$")
  local count = 0
  for parameter in (list and list:sub(2, -2):gsub("%b()", "") or ""):gmatch("[^,]+") do
    local usual = parameter:find("%f[%w_]self%s*$") or parameter:find("struct mh_arena%s*%*")
      or parameter:find("struct mh_err%s*%*")
    count = count + (usual and 0 or 1)
  end
  return count
end

local function check_functions(path, lines, original)
  local open
  for n, line in ipairs(lines) do
    if line:find("^{") then
      open = n
    elseif line:find("^}%s*$") and open then
      local start = function_start(lines, open)
      local head = table.concat(lines, " ", start, open - 1)
      local name = head:match("([%a_][%w_]*)%s*%(")
      if name and not common.allowed(original, start, "size") then
        if n - open - 1 > C_FUNCTION then
          common.finding(path, start, ("%s has %d lines, at most %d"):format(name, n - open - 1, C_FUNCTION))
        end
        if parameters(head) > C_PARAMETERS then
          common.finding(path, start, ("%s has %d parameters, at most %d"):format(name, parameters(head), C_PARAMETERS))
        end
      end
      open = nil
    end
  end
end

for _, path in ipairs(common.files({ "core", "include", "tests" }, { "c", "h" })) do
  local text = common.read(path)
  local original = common.lines(text)
  if #original > C_FILE and not file_allowed(original) then
    common.finding(path, 1, ("%d lines, at most %d"):format(#original, C_FILE))
  end
  check_functions(path, common.lines(common.clean_c(text)), original)
end
for _, path in ipairs(common.files({ "scripts", "tests", "crds" }, { "lua" })) do
  local lines = common.lines(common.read(path))
  if #lines > LUA_FILE and not file_allowed(lines) then
    common.finding(path, 1, ("%d lines, at most %d"):format(#lines, LUA_FILE))
  end
end
common.done("split it by what it knows; where that is worse, say so: lint: allow size: why")
