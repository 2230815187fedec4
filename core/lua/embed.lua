-- Writes the scripts as one C file: lua embed.lua OUT.c DIR FILE... (paths below DIR, without it).
local out_path, dir = arg[1], arg[2]
local names = {}
for i = 3, #arg do names[#names + 1] = arg[i] end
table.sort(names)

local function bytes_of(text)
  local lines = {}
  for at = 1, #text, 24 do
    local row = {}
    for i = at, math.min(at + 23, #text) do row[#row + 1] = tostring(text:byte(i)) end
    lines[#lines + 1] = table.concat(row, ",")
  end
  lines[#lines + 1] = "0"
  return table.concat(lines, ",\n")
end

local out = { '/* Made by core/lua/embed.lua. */', '#include "lua/embed.h"', '' }
local list = {}
for i, name in ipairs(names) do
  local file = assert(io.open(dir .. "/" .. name, "rb"))
  local text = file:read("a")
  file:close()
  out[#out + 1] = ("static const unsigned char text_%d[] = {\n%s\n};"):format(i, bytes_of(text))
  list[#list + 1] = ('    { "%s", (const char *)text_%d, %d },'):format(name:gsub("%.lua$", ""), i, #text)
end
out[#out + 1] = "const struct mh_script mh_scripts[] = {"
out[#out + 1] = table.concat(list, "\n")
out[#out + 1] = "    { NULL, NULL, 0 },\n};\n"
local file = assert(io.open(out_path, "wb"))
file:write(table.concat(out, "\n"))
file:close()
