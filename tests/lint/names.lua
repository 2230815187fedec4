--- Public names: functions that a header declares are mh_..., macros MH_... (or mh_...), types struct mh_....
local common = require("common")

local KEYWORDS = {}
for word in ([[if for while switch return sizeof defined __attribute__ _Static_assert static_assert
    typeof]]):gmatch("%S+") do
  KEYWORDS[word] = true
end

local function check_macros(path, lines)
  for n, line in ipairs(lines) do
    local name = line:match("^%s*#%s*define%s+([%w_]+)")
    -- X is the argument of a list macro, MOONHERD_..._H guards an installed header.
    if name and name ~= "X" and not name:find("^[Mm][Hh]_") and not name:find("^MOONHERD_")
      and not common.allowed(lines, n, name) then
      common.finding(path, n, ("macro %s is not MH_..."):format(name))
    end
  end
end

-- Declarations at the top level: text outside of braces, cut at ";" and "}".
local function declarations(text)
  local list, depth, line, current, start = {}, 0, 1, {}, nil
  for char in text:gmatch(".") do
    if char == "\n" then
      line = line + 1
    end
    if char == "{" then
      depth = depth + 1
    elseif char == "}" then
      depth = depth - 1
    end
    if depth == 0 and (char == ";" or char == "}") then
      list[#list + 1] = { text = table.concat(current), line = start or line }
      current, start = {}, nil
    elseif depth == 0 then
      current[#current + 1] = char
      start = start or (char:find("%S") and line)
    end
  end
  return list
end

local function check_declaration(path, declaration, lines)
  local text = declaration.text:gsub("__attribute__%s*%b()", " ")
  if text:find("^%s*typedef") then
    return
  end
  local name = text:match("([%a_][%w_]*)%s*%(")
  if name and not KEYWORDS[name] and not name:find("^mh_") and not name:find("^MH_")
    and not common.allowed(lines, declaration.line, name) then
    common.finding(path, declaration.line, ("public function %s is not mh_..."):format(name))
  end
  local tag = text:match("^%s*struct%s+([%a_][%w_]*)%s*$") or text:match("^%s*enum%s+([%a_][%w_]*)%s*$")
  if tag and not tag:find("^mh_") and text:find("^%s*enum") then
    common.finding(path, declaration.line, ("public type %s is not mh_..."):format(tag))
  end
end

for _, path in ipairs(common.files({ "core", "include" }, { "h" })) do
  local text = common.read(path)
  local lines = common.lines(text)
  check_macros(path, lines)
  local code = common.clean_c(text):gsub("\\\n", " \n")
  code = code:gsub("extern%s+\"%s*\"%s*{", "")
  -- Preprocessor lines are blanked, so that line numbers stay.
  local kept, continued = {}, false
  for n, line in ipairs(common.lines(code)) do
    local directive = continued or line:find("^%s*#")
    continued = directive and lines[n] and lines[n]:find("\\%s*$") ~= nil
    kept[#kept + 1] = directive and "" or line
  end
  for _, declaration in ipairs(declarations(table.concat(kept, "\n") .. "\n")) do
    check_declaration(path, declaration, lines)
  end
end
common.done("public names are mh_<module>_<verb>; make it static in its .c file, or rename it")
