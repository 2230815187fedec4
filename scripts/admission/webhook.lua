--- What the admission webhooks call, for every kind that they review. Objects come as fresh copies, so that
--- defaults are filled in where they are.
-- luacheck: read globals array
local cluster_checks = require("admission.cluster_checks")
local cluster_defaults = require("admission.cluster_defaults")

local webhook = {}

--- Kinds in lower case, as the paths of the webhooks name them.
local KINDS = {
  cluster = {
    fill = cluster_defaults.fill,
    check = cluster_checks.check,
    sentence = cluster_checks.sentence,
  },
}

local function kind_of(name)
  return KINDS[name] or error(("no object of kind '%s' is reviewed"):format(name), 0)
end

local pointers = {} -- of paths without an index: they are few

--- "spec.tablespaces[0].owner" as a JSON pointer. Names that get a default hold none of the marks.
local function pointer(path)
  local known = pointers[path]
  if not known then
    known = "/" .. path:gsub("%[(%d+)%]", ".%1"):gsub("%.", "/")
    if not path:find("[", 1, true) then
      pointers[path] = known
    end
  end
  return known
end

--- The JSON patch that fills in defaults.
---@param name string "cluster"
---@param object table
---@param env admission.Env
---@return table[] operations
function webhook.mutate(name, object, env)
  local patch = array {}
  for i, change in ipairs(kind_of(name).fill(object, env)) do
    patch[i] = { op = "add", path = pointer(change.path), value = change.value }
  end
  return patch
end

--- Whether the object, and the change from `old`, is in order.
---@param name string
---@param object table
---@param env admission.Env
---@param old? table
---@param found? admission.Fault[] what native modules found
---@return {message: string?, warnings: string[]} answer a message refuses the object
function webhook.validate(name, object, env, old, found)
  local kind = kind_of(name)
  kind.fill(object, env)
  if old then
    kind.fill(old, env)
  end
  local faults, warnings = kind.check(object, old, env, found)
  return { message = #faults > 0 and kind.sentence(faults) or nil, warnings = array(warnings) }
end

return webhook
