--- The two worlds that a scenario can break: one table of verbs each.
local kube = require "chaos.lib.kube"
local program = require "chaos.lib.program"
local sandbox = require "chaos.lib.sandbox"
local state = require "chaos.lib.state"

local worlds = {}

local LABEL, VALUE = "moonherd.io/chaos", "allowed"

--- In a cluster only where somebody wrote that it may be broken.
local function may_break(input)
  local ns, why = kube.get("namespaces", input.namespace)
  if not ns then state.refuse("namespace %s: %s", input.namespace, why) end
  local label = ((ns.metadata or {}).labels or {})[LABEL]
  if label ~= VALUE then
    state.refuse("namespace %s may not be broken. HINT: kubectl label namespace %s %s=%s", input.namespace,
      input.namespace, LABEL, VALUE)
  end
end

function worlds.open(input)
  if input.world == "sandbox" then
    sandbox.open()
    return sandbox
  end
  may_break(input)
  program.open(input)
  return program
end

return worlds
