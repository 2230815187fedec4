--- One decision: parameters, the call, the finish of the answer.
local host = ...
local type, rawequal = type, rawequal
local fail = host.fail

local WAIT_S = 60

--- Times that a script may leave to the core.
local function finish(answer, now)
  local is_hold = answer.action == "hold" and host.point == "failover/v1"
  if is_hold and host.math_type(answer.until_s) == "integer" then
    answer.at = now + answer.until_s
  elseif answer.action == "wait" and answer.at == nil then
    answer.at = now + WAIT_S
  end
end

--- Calls decide and passes its answer through the guard of the core.
function host.ask(definition, input, params)
  local context = host.copy(input)
  context.params = params
  host.remember(input)
  host.kind("runtime")
  local answer = definition.decide(context)
  host.kind("output")
  if type(answer) ~= "table" then
    fail("decide returned a %s, want a table", type(answer))
  end
  finish(answer, input.now)
  host.guard(host.point, answer)
  return answer
end

--- What needs no input: it may be done before there is one.
function host.prepare(definition, returned, raw)
  host.kind("contract")
  if definition == nil or not rawequal(definition, returned) or type(definition.decide) ~= "function" then
    fail("the script must return its policy, with a function decide")
  end
  host.params = host.read_params(definition.params, raw)
end

--- The decision itself.
function host.decide(definition, input)
  host.kind("contract")
  return host.ask(definition, input, host.params)
end
