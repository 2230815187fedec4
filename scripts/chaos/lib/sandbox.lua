--- Faults in a sandbox: asked of the sandbox itself, at its API server.
local state = require "chaos.lib.state"

local sandbox = { name = "sandbox" }

local BASE = "/moonherd/v1/sandbox/"

local function ask(method, what, body)
  return state.ctx.api { method = method, path = BASE .. what, body = body, timeout = 10 }
end

function sandbox.open()
  local a = ask("GET", "status")
  if a.error then state.refuse("this is no sandbox: %s", a.error) end
end

local function order(verb, args, more)
  local body = more or {}
  body.verb, body.namespace, body.args = verb, state.input.namespace, array(args)
  local a = ask("POST", "fault", body)
  if a.error then error(("fault %s %s: %s"):format(verb, table.concat(args, " "), a.error), 0) end
  return a.body.done
end

--- What the sandbox says is on, as texts.
function sandbox.list()
  local a = ask("GET", "status")
  return a.body and a.body.faults or array {}
end

--- The text of a fault that begins so and was met, nil if none is.
function sandbox.met(prefix)
  for _, text in ipairs(sandbox.list()) do
    if text:sub(1, #prefix) == prefix and text:find "met %d" and not text:find "met 0" then return text end
  end
end

function sandbox.kill(pod, signal, process) return order("kill", { pod }, { signal = signal, process = process }) end
function sandbox.freeze(pod) return order("freeze", { pod }) end
function sandbox.thaw(pod) return order("thaw", { pod }) end

--- A pod's name as rules of the network show it.
local function full(who)
  if who == "api" or who == "*" or who:find "^node:" then return who end
  return state.input.namespace .. "/" .. who
end

function sandbox.cut(a, b)
  order("cut", { a, b })
  return function() return sandbox.met(("cut %s %s"):format(full(a), full(b))) end
end

function sandbox.slow(a, b, ms)
  order("slow", { a, b, tostring(ms) })
  return function() return sandbox.met(("slow %s %s"):format(full(a), full(b))) end
end

function sandbox.heal(a, b) return order("heal", { a, b }) end
function sandbox.off(node) return order("off", { node }) end
function sandbox.on(node) return order("on", { node }) end

--- Faults of the API server: down, slow, conflict, throttle, error, lose, stale. The id, and its proof.
function sandbox.api(kind, options)
  local args = { kind }
  if kind == "slow" then args[2] = tostring(options.ms or 1000) end
  local said = order("api", args, { user = options.user, resource = options.resource, percent = options.percent })
  local id = said:match "fault (%d+)"
  return id, function()
    for _, text in ipairs(sandbox.list()) do
      if text:find("number " .. id .. ",", 1, true) and not text:find("met 0 times", 1, true) then return text end
    end
  end
end

function sandbox.api_heal(id) return order("clear", { id }) end
function sandbox.fill(claim, free) return order("fill", { claim }, { free = free or 0 }) end
function sandbox.unfill(claim) return order("unfill", { claim }) end

--- Everything that a script may have left.
function sandbox.clear()
  local ok, why = pcall(order, "clear", {})
  if not ok then state.say("not all that was broken may be whole again: %s", why) end
  for _, text in ipairs(sandbox.list()) do
    local node, pod = text:match "^off (%S+)", text:match "^frozen [^/]+/(%S+)"
    if node then pcall(order, "on", { node }) end
    if pod then pcall(order, "thaw", { pod }) end
  end
end

return sandbox
