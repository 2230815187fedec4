-- What scripts/desired/parameters.lua says for some Clusters: "= MAJOR JSON", then "name<TAB>value" lines.
package.path = "scripts/?.lua"
array = function(t) return t end -- luacheck: globals array
local parameters = require("desired.parameters")

local function json(v)
  if type(v) == "string" then
    return '"' .. v:gsub('[\\"]', "\\%0") .. '"'
  elseif type(v) ~= "table" then
    return tostring(v)
  end
  local out, list = {}, #v > 0
  for k, x in pairs(v) do
    out[#out + 1] = list and json(x) or json(k) .. ":" .. json(x)
  end
  return list and "[" .. table.concat(out, ",") .. "]" or "{" .. table.concat(out, ",") .. "}"
end

local specs = {
  {},
  { postgresql = { parameters = { work_mem = "4MB", ["pgaudit.log"] = "all", port = "1", hot_standby = "off",
    wal_level = "replica", ["pg_stat_statements.max"] = "10" },
    shared_preload_libraries = { "pgaudit", "timescaledb", "timescaledb" } } },
  { postgresql = { parameters = { Work_Mem = "4MB", WAL_LEVEL = "replica", PORT = "1", Include_Dir = "/x",
    ["PGAUDIT.log"] = "all", ["cnpg.x"] = "1", allow_alter_system = "on" } } },
  { replica = { primary = "other", source = "other", minApplyDelay = "1h30m" } },
  { replica = { enabled = false, minApplyDelay = "8h", source = "other" }, postgresql = { enableAlterSystem = true } },
}
for _, spec in ipairs(specs) do
  for _, major in ipairs { 13, 15, 17, 18 } do
    print(("= %d %s"):format(major, json { metadata = { name = "demo" }, spec = spec }))
    for _, p in ipairs(parameters.effective(spec, major, { cluster_name = "demo" })) do
      print(p.name .. "\t" .. p.value)
    end
  end
end
