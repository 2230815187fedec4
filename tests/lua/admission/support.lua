--- What the operator gives to scripts and plain Lua lacks: `array` and `null`; and builders for specs.
-- luacheck: globals array null
local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/lua/admission/[^/]*$") or "."
local added = here .. "/scripts/?.lua"
if not package.path:find(added, 1, true) then
  package.path = added .. ";" .. package.path
end

local ARRAY = {}
ARRAY.__index = {
  add = function(self, value)
    self[#self + 1] = value
    return self
  end,
  has = function(self, value)
    for _, one in ipairs(self) do
      if one == value then
        return true
      end
    end
    return false
  end,
}

array = array or function(t)
  return setmetatable(t or {}, ARRAY)
end
null = null or setmetatable({}, { __tostring = function() return "null" end })

local defaults = require("admission.cluster_defaults")
local checks = require("admission.cluster_checks")

local support = {}

support.env = { default_image = "ghcr.io/cloudnative-pg/postgresql:18.6-system-trixie" }

--- A Cluster that is in order. `change` may alter its spec and the object.
function support.cluster(change)
  local cluster = {
    apiVersion = "postgresql.cnpg.io/v1",
    kind = "Cluster",
    metadata = { name = "website", namespace = "shop", annotations = {} },
    spec = { instances = 3, imageName = "quay.io/enterprisedb/postgresql:17.2", storage = { size = "10Gi" } },
  }
  if change then
    change(cluster.spec, cluster)
  end
  return cluster
end

local function as_written(faults)
  local lines = {}
  for i, fault in ipairs(faults) do
    lines[i] = fault.path .. ": " .. fault.message
  end
  return table.concat(lines, "\n")
end

--- Faults and warnings of a cluster after its defaults.
function support.validate(cluster, old, env)
  env = env or support.env
  return checks.validate(defaults.defaults(cluster, env), old, env)
end

--- Fails unless the cluster is in order.
function support.accepts(change, old_change, env)
  local old = old_change and support.cluster(old_change) or nil
  local faults = support.validate(support.cluster(change), old, env)
  assert(#faults == 0, "refused: " .. as_written(faults))
end

--- Fails unless there is exactly one fault, at `path`, whose text has `words`.
function support.refuses(path, words, change, old_change, env)
  local old = old_change and support.cluster(old_change) or nil
  local faults = support.validate(support.cluster(change), old, env)
  assert(#faults == 1, ("%d faults instead of one at %s:\n%s"):format(#faults, path, as_written(faults)))
  assert(faults[1].path == path, "another path: " .. as_written(faults))
  assert(faults[1].message:find(words, 1, true), "other words: " .. as_written(faults))
end

--- Fails unless a warning has `words`.
function support.warns(words, change, old_change)
  local _, warnings = support.validate(support.cluster(change), old_change and support.cluster(old_change) or nil)
  for _, text in ipairs(warnings) do
    if text:find(words, 1, true) then
      return
    end
  end
  error("no such warning among:\n" .. table.concat(warnings, "\n"))
end

--- Fails when a warning has `words`.
function support.is_silent(words, change)
  local _, warnings = support.validate(support.cluster(change))
  for _, text in ipairs(warnings) do
    assert(not text:find(words, 1, true), "unexpected: " .. text)
  end
end

return support
