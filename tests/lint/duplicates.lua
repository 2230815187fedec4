--- Copied code: the same 12 lines (spaces, empty lines, comments, lone braces and includes left out) in two files.
local common = require("common")

local WINDOW = 12

local function significant(path)
  local text = common.read(path)
  local code = path:find("%.lua$") and text or common.clean_c(text, true)
  local list = {}
  for n, line in ipairs(common.lines(code)) do
    local bare = path:find("%.lua$") and line:gsub("%-%-.*", "") or line
    bare = bare:gsub("%s+", "")
    if bare:find("%w") and not bare:find("^#include") and bare ~= "end" and bare ~= "else" and bare ~= "break;" then
      list[#list + 1] = { text = bare, line = n }
    end
  end
  return list
end

local seen, reported = {}, {}
for _, path in ipairs(common.files({ "core", "include", "scripts", "crds", "tests" }, { "c", "h", "lua" })) do
  local list, own = significant(path), {}
  for first = 1, #list - WINDOW + 1 do
    local parts = {}
    for i = first, first + WINDOW - 1 do
      parts[#parts + 1] = list[i].text
    end
    local key = table.concat(parts, "\n")
    local other = seen[key]
    local pair = other and path .. "|" .. other.path
    if other and not reported[pair] then
      reported[pair] = true
      common.finding(path, list[first].line, ("%d lines as in %s:%d"):format(WINDOW, other.path, other.line))
    end
    own[key] = own[key] or { path = path, line = list[first].line }
  end
  for key, where in pairs(own) do
    seen[key] = seen[key] or where
  end
end
common.done("give the shared part a name in a room that both may use")
