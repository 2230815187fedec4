--- Tells what is wrong with a Cluster. The validating webhook and every pass run the same code, so that
--- nothing depends on the webhook being there.
-- luacheck: read globals array
local access = require("admission.access")
local cluster_defaults = require("admission.cluster_defaults")
local version = require("admission.version")
local bootstrap = require("admission.cluster.bootstrap")
local extensions = require("admission.cluster.extensions")
local identity = require("admission.cluster.identity")
local managed = require("admission.cluster.managed")
local objectstore = require("admission.cluster.objectstore")
local postgresql = require("admission.cluster.postgresql")
local recovery = require("admission.cluster.recovery")
local replication = require("admission.cluster.replication")
local scheduling = require("admission.cluster.scheduling")
local storage = require("admission.cluster.storage")
local update = require("admission.cluster.update")
local warnings = require("admission.cluster.warnings")

local cluster_checks = {}

local TOPICS = { identity, bootstrap, storage, replication, recovery, scheduling, objectstore, postgresql,
  managed,
  extensions }

local BYPASS = "cnpg.io/validation"

---@class admission.Env
---@field api_groups? string[] groups that are served, postgresql.cnpg.io when absent
---@field default_image? string image of clusters that name none
---@field monitoring_queries_configmap? string the operator has default queries in a ConfigMap
---@field monitoring_queries_secret? string the operator has default queries in a Secret
---@field include_plugins? string[] plugins that every cluster has
---@field generated_pod? fun(cluster: table): table a pod of the cluster, to try patches on

---@class admission.Fault
---@field path string such as spec.storage.size
---@field message string what is wrong and what to do

---@class admission.Case what a check is given
---@field cluster table
---@field old? table the object before the change, with defaults
---@field is_new boolean the API server has not stored it yet
---@field spec table
---@field name string
---@field annotations table<string, any>
---@field parameters table<string, any> of PostgreSQL, as the user gave them
---@field instances integer
---@field major? integer of PostgreSQL
---@field env admission.Env
---@field facts {cluster_name: string, archiving_skipped: boolean}
local case = {}
case.__index = case

--- Notes a fault; `message` is a format.
function case:add(path, message, ...)
  table.insert(self.faults, { path = path, message = message:format(...) })
end

--- Notes a warning.
function case:warn(text)
  table.insert(self.warnings, text)
end

--- The value of a PostgreSQL parameter, or nil.
---@return string?
function case:parameter(name)
  return access.text(self.parameters, name)
end

--- Whether `word` is the beginning of `whole`, as PostgreSQL abbreviates booleans.
local function abbreviates(word, whole, least)
  return #word >= least and whole:sub(1, #word) == word
end

--- The boolean that a parameter holds; nil when it is absent or something else.
---@return boolean?
function case:parameter_is_on(name)
  local word = (self:parameter(name) or ""):lower()
  if word == "1" or abbreviates(word, "on", 2) or abbreviates(word, "true", 1) or abbreviates(word, "yes",
    1) then
    return true
  end
  if word == "0" or abbreviates(word, "off", 2) or abbreviates(word, "false", 1) or abbreviates(word, "no",
    1) then
    return false
  end
  return nil
end

local function new_case(cluster, old, env)
  local annotations = access.map(cluster, "metadata", "annotations")
  local name = access.text(cluster, "metadata", "name") or ""
  return setmetatable({
    cluster = cluster,
    old = old,
    is_new = not old and access.text(cluster, "metadata", "resourceVersion") == nil,
    spec = access.map(cluster, "spec"),
    name = name,
    annotations = annotations,
    parameters = access.map(cluster, "spec", "postgresql", "parameters"),
    instances = access.int(cluster, "spec", "instances") or 1,
    major = version.major_of(access.get(cluster, "spec"), env),
    env = env,
    facts = {
      cluster_name = name,
      archiving_skipped = annotations["cnpg.io/skipWalArchiving"] == "enabled",
    },
    faults = array {},
    warnings = array {},
  }, case)
end

local function run(topic, c)
  for _, check in ipairs(topic.checks) do
    check(c)
  end
end

--- True when the cluster's author has switched validation off.
---@param c admission.Case
local function is_bypassed(c)
  local value = c.annotations[BYPASS]
  if value == nil or value == "enabled" then
    return false
  end
  if value == "disabled" then
    c:warn(("metadata.annotations[%s]: validation is switched off for this object"):format(BYPASS))
    return true
  end
  c:warn(("metadata.annotations[%s]: '%s' is unknown and ignored: use enabled or disabled"):format(BYPASS,
    tostring(value)))
  return false
end

--- Checks a Cluster that has its defaults. With `old`, the change is checked too.
---@param new table
---@param old? table the stored object, with its defaults too
---@param env? admission.Env
---@param found? admission.Fault[] what native modules found
---@return admission.Fault[] faults empty when the cluster is in order
---@return string[] warnings
function cluster_checks.check(new, old, env, found)
  local c = new_case(new, old, env or {})
  if is_bypassed(c) then
    return c.faults, c.warnings
  end
  for _, topic in ipairs(TOPICS) do
    run(topic, c)
  end
  if c.old then
    run(update, c)
  end
  run(warnings, c)
  for _, fault in ipairs(found or {}) do
    table.insert(c.faults, fault)
  end
  return c.faults, c.warnings
end

--- The same for an `old` without defaults. It is left as it is.
function cluster_checks.validate(new, old, env, found)
  return cluster_checks.check(new, old and cluster_defaults.defaults(old, env), env, found)
end

--- One sentence for a webhook's answer or a condition, naming every path.
---@param faults admission.Fault[]
---@return string
function cluster_checks.sentence(faults)
  local parts = {}
  for i, fault in ipairs(faults) do
    parts[i] = fault.path .. ": " .. fault.message
  end
  return table.concat(parts, "; ")
end

--- The paths alone, sorted, each once: what a status message lists.
---@param faults admission.Fault[]
---@return string
function cluster_checks.paths(faults)
  local seen, paths = {}, {}
  for _, fault in ipairs(faults) do
    if not seen[fault.path] then
      seen[fault.path] = true
      paths[#paths + 1] = fault.path
    end
  end
  table.sort(paths)
  return table.concat(paths, ", ")
end

return cluster_checks
