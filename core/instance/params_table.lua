-- Makes the C table of PostgreSQL parameters: mh_interp params_table.lua SCRIPTS OUT
local scripts, out = arg[1], arg[2]
package.path = scripts .. "/?.lua"
array = array or function(t) return t end -- luacheck: globals array
local parameters = require("desired.parameters")

local lines = {
  "/* Made from scripts/desired/parameters.lua. */",
  '#include "instance/params.h"',
  "const struct mh_param_rule mh_param_rules[] = {",
}
for _, rule in ipairs(parameters.table) do
  lines[#lines + 1] = ("    { %q, %s, MH_PARAM_%s, %d, %d },"):format(rule.name,
    rule.value and ("%q"):format(rule.value) or "0", rule.class:upper(), rule.from, rule.to)
end
lines[#lines + 1] = "};"
lines[#lines + 1] = "const int mh_param_rules_len = (int)(sizeof(mh_param_rules) / sizeof(mh_param_rules[0]));"
lines[#lines + 1] = "const struct mh_param_extension mh_param_extensions[] = {"
for _, e in ipairs(parameters.managed_extensions) do
  lines[#lines + 1] = ("    { %q, %q, %d },"):format(e.name, e.prefix, e.create and 1 or 0)
end
lines[#lines + 1] = "    { 0, 0, 0 },"
lines[#lines + 1] = "};"

local file = assert(io.open(out, "w"))
assert(file:write(table.concat(lines, "\n"), "\n"))
assert(file:close())
