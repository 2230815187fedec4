--- What breaks, and the proof that it broke: no report counts without one.
local kube = require "chaos.lib.kube"
local state = require "chaos.lib.state"

local faults = {}

local PROOF_S = 60

--- The world's verbs, for somebody without a cluster at hand.
local function world() return state.world end

local function say(entry, text)
  if not entry.evidence then state.say("  it happened: %s", text) end
  entry.evidence = text
end

--- Notes a fault. proof() is asked until it answers a text, at most PROOF_S seconds.
local function note(verb, target, proof)
  local entry = { verb = verb, target = target, at = state.clock() }
  state.faults:add(entry)
  state.say("fault: %s %s", verb, target)
  if not proof then return entry end
  entry.fiber = state.spawn(function()
    local till = state.clock() + PROOF_S
    repeat
      local text = proof()
      if text then say(entry, text) else state.sleep(0.1) end
    until entry.evidence or entry.over or state.clock() > till
    entry.fiber = nil
  end)
  return entry
end

--- Waits for proofs that are still looked for.
function faults.wait()
  for _, entry in ipairs(state.faults) do
    if entry.fiber then state.join(entry.fiber, PROOF_S) end
    entry.fiber, entry.over = nil, nil
  end
end

--- Faults that met nobody, since something else was broken at the same time, do not count as such.
function faults.only_proved()
  faults.wait()
  local proved = array {}
  for _, entry in ipairs(state.faults) do
    if entry.evidence then
      proved:add(entry)
    else
      state.say("  nobody met it: %s %s", entry.verb, entry.target)
    end
  end
  state.faults = proved
end

--- The fault is about to be taken away: its proof is asked a last time, while it can be given.
local function settle(entry, seconds)
  if entry.fiber then state.join(entry.fiber, seconds or 3) end
  entry.over = true
end

local function undo_add(what, fn)
  local item = { what = what, fn = fn }
  state.undo[#state.undo + 1] = item
  return item
end

local function undo_drop(item)
  for i = #state.undo, 1, -1 do
    if state.undo[i] == item then table.remove(state.undo, i) end
  end
end

--- A fault that stays until `off` is called: what takes it away is remembered for the end.
local function lasting(entry, fn)
  local what = entry.verb .. " " .. entry.target
  local item = undo_add(what, fn)
  return function(seconds)
    settle(entry, seconds)
    fn()
    undo_drop(item)
    state.say("over: %s", what)
  end
end

faults.on_end = undo_add

-- --- one statement, from outside ---------------------------------------------------------------

local on = {} -- "verb target" -> function that takes it away

local function take_away(key)
  local off = on[key]
  if not off then error(("%s: it is not on"):format(key), 0) end
  on[key] = nil
  off()
end

local function container_of(pod)
  local p = kube.get("pods", pod)
  local status = p and p.status and p.status.containerStatuses
  for _, c in ipairs(status or {}) do
    if c.name == "postgres" then return c, p end
  end
  return nil, p
end

--- When its PostgreSQL began, as text; nil and the reason.
local function began(c, pod)
  local rows, a = c:ask(pod, "SELECT pg_catalog.pg_postmaster_start_time()::text", 2, "chaos-proof")
  if rows and rows[1] then return rows[1][1] end
  return nil, a.error
end

--- How a container ended that ran before: its exit code, nil if it runs as it did.
local function end_of(now, old)
  local present, last = now.state or {}, now.lastState or {}
  local dead = present.terminated or (present.waiting or now.restartCount > old.restartCount) and last.terminated
  return dead and tostring(dead.exitCode)
end

--- Has the container ended, or has the pod's name gone to another?
local function is_new(pod, old, old_pod)
  local now, p = container_of(pod)
  if p and old_pod and p.metadata.uid ~= old_pod.metadata.uid then
    return "another pod has its name: " .. p.metadata.uid
  end
  local code = now and old and end_of(now, old)
  return code and ("container postgres of %s ended with %s, started %d times again"):format(pod, code,
    now.restartCount)
end

--- kill(cluster, pod, what): what is "postmaster", "manager" or a signal for the first process.
function faults.kill(c, pod, what)
  local process = what == "postmaster" and "postgres" or nil
  local signal = (what == "postmaster" or what == "manager" or not what) and "KILL" or what
  local before = process and began(c, pod)
  local old, old_pod = container_of(pod)
  world().kill(pod, signal, process)
  note("kill", pod .. " " .. (what or "KILL"), function()
    if not process then return is_new(pod, old, old_pod) end
    local now = began(c, pod)
    return now and before and now ~= before
      and ("PostgreSQL of %s ran since %s, now since %s"):format(pod, before, now)
  end)
end

--- Deletes a pod, at once.
function faults.delete(pod)
  local p, why = kube.get("pods", pod)
  if not p then error(("pod %s: %s"):format(pod, why), 0) end
  kube.delete("pods", pod, { gracePeriodSeconds = 0, preconditions = { uid = p.metadata.uid } })
  note("delete", pod, function()
    local now = kube.get("pods", pod)
    if not now then return ("pod %s (%s) is gone"):format(pod, p.metadata.uid) end
    return now.metadata.uid ~= p.metadata.uid and
      ("pod %s was %s, is %s"):format(pod, p.metadata.uid, now.metadata.uid)
  end)
end

function faults.freeze(c, pod)
  c:address(pod)
  world().freeze(pod)
  local entry = note("freeze", pod, function()
    local _, a = c:ask(pod, "SELECT 1", 1, "chaos-proof")
    return a and (a.code == "TIMEOUT" or a.code == "UNREACHABLE")
      and ("%s takes connections and answers nothing: %s"):format(pod, a.error)
  end)
  on["freeze " .. pod] = lasting(entry, function() world().thaw(pod) end)
end

function faults.thaw(pod) take_away("freeze " .. pod) end

-- --- network -----------------------------------------------------------------------------------

local function between(a, b) return a .. " from " .. b end

--- Nothing passes between the two: pods, node:NAME, "api" or "*".
function faults.cut(a, b)
  local proof = world().cut(a, b)
  local entry = note("cut", between(a, b), proof)
  on["cut " .. between(a, b)] = lasting(entry, function() world().heal(a, b) end)
end

function faults.slow(a, b, ms)
  local proof = world().slow(a, b, ms)
  local entry = note("slow", between(a, b) .. (" by %d ms"):format(ms), proof)
  on["slow " .. between(a, b)] = lasting(entry, function() world().heal(a, b) end)
end

--- Takes a cut or a delay between the two away.
function faults.heal(a, b)
  local key = between(a, b)
  take_away(on["cut " .. key] and "cut " .. key or "slow " .. key)
end

--- a is cut from options.from; for_ seconds if that is given, else until heal.
function faults.partition(a, options)
  local from = options.from == "apiserver" and "api" or options.from == "all" and "*" or options.from or "*"
  faults.cut(a, from)
  if options.for_ then
    local seconds = state.seconds(options.for_)
    state.spawn(function()
      state.sleep(seconds)
      if on["cut " .. between(a, from)] then faults.heal(a, from) end
    end)
  end
end

-- --- nodes, API, disks -------------------------------------------------------------------------

local function ready_of(node)
  local o = kube.get("nodes", node)
  for _, c in ipairs(o and o.status and o.status.conditions or {}) do
    if c.type == "Ready" then return c.status end
  end
end

function faults.node_off(c, node)
  local there = {}
  for _, pod in ipairs(c:pods()) do
    if pod.spec.nodeName == node then
      there[#there + 1] = pod.metadata.name
      c:address(pod.metadata.name)
    end
  end
  world().off(node)
  local entry = note("power off", node, function()
    for _, pod in ipairs(there) do
      local rows, a = c:ask(pod, "SELECT 1", 1, "chaos-proof")
      if not rows then return ("%s, which was on it: %s"):format(pod, a.error) end
    end
    return #there == 0 and ready_of(node) ~= "True" and ("node %s: Ready is %s"):format(node, tostring(ready_of(node)))
  end)
  on["off " .. node] = lasting(entry, function() world().on(node) end)
end

function faults.node_on(node) take_away("off " .. node) end

--- Something is wrong with the API server: "down", "slow", ...; options.user, .resource, .percent, .ms.
function faults.api(kind, options)
  local id, proof = world().api(kind, options or {})
  local entry = note("api", kind, proof)
  on["api " .. kind] = lasting(entry, function() world().api_heal(id) end)
end

function faults.api_heal(kind) take_away("api " .. kind) end

--- The disk of a claim is full, but for some bytes.
function faults.disk_full(claim, free, proof)
  world().fill(claim, free)
  local entry = note("disk full", claim, proof)
  on["full " .. claim] = lasting(entry, function() world().unfill(claim) end)
end

function faults.disk_free(claim) take_away("full " .. claim) end

--- Something else that a scenario broke by itself, with its own proof; undo may be nil.
function faults.other(verb, target, proof, undo)
  local entry = note(verb, target, proof)
  return undo and lasting(entry, undo) or entry
end

return faults
