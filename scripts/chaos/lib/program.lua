--- Faults in a cluster: what Kubernetes lets do (exec), and a program for what needs the machines.
---
--- The program is called as PROGRAM VERB ARGUMENT...; docs/chaos.md lists the verbs. It ends with 0, or says why not
--- on standard error.
local state = require "chaos.lib.state"

local program = { name = "cluster" }

local input

function program.open(given) input = given end

local function run(argv, timeout)
  local a = state.ctx.run { argv = array(argv), timeout = timeout or 60 }
  if a.error then return nil, a.error end
  if a.exit ~= 0 or a.late then
    return nil, ("%s: %s"):format(argv[1], a.late and "takes too long" or (a.err:gsub("%s+$", "")))
  end
  return a.out
end

local function order(verb, ...)
  if not input.faults then
    state.refuse("'%s' needs a program that can do it. HINT: --faults PROGRAM, see docs/chaos.md", verb)
  end
  local out, why = run { input.faults, verb, ... }
  if not out then error(("fault %s %s: %s"):format(verb, table.concat({ ... }, " "), why), 0) end
  return out
end

local function kubectl(...)
  local argv = { input.kubectl }
  if input.kubeconfig then argv[2], argv[3] = "--kubeconfig", input.kubeconfig end
  for _, word in ipairs { "-n", input.namespace, ... } do argv[#argv + 1] = word end
  return run(argv)
end

--- A pod as the program is told: NAMESPACE/POD.
local function full(who)
  if who == "api" or who == "*" or who:find "^node:" then return who end
  return input.namespace .. "/" .. who
end

local POSTMASTER = "kill -%s $(head -n1 ${PGDATA:-/var/lib/postgresql/data/pgdata}/postmaster.pid)"

--- PostgreSQL can be reached from inside its container; the first process of a container cannot.
function program.kill(pod, signal, process)
  if input.faults then return order("kill", full(pod), process or "-", signal or "KILL") end
  if process ~= "postgres" then return order("kill", full(pod), process or "-", signal or "KILL") end
  local out, why = kubectl("exec", pod, "-c", "postgres", "--", "sh", "-c", POSTMASTER:format(signal or "KILL"))
  if not out then error(("kill %s: %s"):format(pod, why), 0) end
  return out
end

function program.freeze(pod) return order("freeze", full(pod)) end
function program.thaw(pod) return order("thaw", full(pod)) end

--- The program prints how to see that nothing passes; the proof is a line that its verb `met` prints.
local function proof(verb, a, b)
  return function()
    local out = run { input.faults, "met", verb, full(a), full(b) }
    out = out and out:gsub("%s+$", "")
    return out ~= "" and out or nil
  end
end

function program.cut(a, b)
  order("cut", full(a), full(b))
  return proof("cut", a, b)
end

function program.slow(a, b, ms)
  order("slow", full(a), full(b), tostring(ms))
  return proof("slow", a, b)
end

function program.heal(a, b) return order("heal", full(a), full(b)) end
function program.off(node) return order("off", node) end
function program.on(node) return order("on", node) end

function program.api(kind)
  if kind ~= "down" then state.refuse("in a cluster the API server can only be down, not '%s'", kind) end
  order "api-down"
  return "api-down", function()
    local a = state.ctx.api { path = "/readyz", timeout = 2 }
    return a.error and "the API server does not answer: " .. a.error
  end
end

function program.api_heal() return order "api-up" end
function program.fill(claim, free) return order("fill", input.namespace .. "/" .. claim, tostring(free or 0)) end
function program.unfill(claim) return order("unfill", input.namespace .. "/" .. claim) end

function program.clear()
  if not input.faults then return end
  local ok, why = pcall(order, "clear")
  if not ok then state.say("not all that was broken may be whole again: %s", why) end
end

return program
