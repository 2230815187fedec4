--- `t`: what a scenario is given.
local cluster = require "chaos.lib.cluster"
local faults = require "chaos.lib.faults"
local kube = require "chaos.lib.kube"
local state = require "chaos.lib.state"

local POLL_S = 0.1

-- t.params, t.seed and t.world are read when they are asked for: they are known once the run began.
local FIELDS = {
  params = function() return state.params end,
  seed = function() return state.input.seed end,
  world = function() return state.input.world end,
  namespace = function() return state.input.namespace end,
}

local t = setmetatable({ kube = kube }, {
  __index = function(_, name) return FIELDS[name] and FIELDS[name]() or nil end,
})

local clusters = {}

--- A cluster by name; the only one of a name.
function t.cluster(name)
  if not clusters[name] then
    clusters[name] = cluster.new(name)
    clusters[name]:make_probe()
  end
  return clusters[name]
end

--- A cluster of the scenario's own; it goes at the end.
function t.make_cluster(name, spec)
  clusters[name] = cluster.make(name, spec)
  return clusters[name]
end

function t.clock() return state.clock() end
function t.sleep(time) state.sleep(state.seconds(time)) end

--- A number of 1..n; the same seed gives the same numbers.
function t.rand(n)
  state.draws = state.draws + 1
  return state.draw(n)
end

--- One of a list.
function t.pick(list) return list[t.rand(#list)] end

--- Is the scenario run with this defence switched off?
function t.without(name) return state.input.without == name end

function t.step(fmt, ...)
  local text = fmt:format(...)
  state.steps:add { at = state.clock(), text = text }
  state.say("%s", text)
end

function t.record(name, value)
  state.records:add { at = state.clock(), name = name, value = value }
  state.say("  %s = %s", name, tostring(value))
end

local function checked(ok, text)
  state.checks:add { at = state.clock(), ok = ok, text = text }
  state.say("%s %s", ok and "  ok:" or "  NOT OK:", text)
  if not ok then state.fail("%s", text) end
end

--- What must be true now.
function t.check(ok, fmt, ...)
  checked(ok and true or false, fmt:format(...))
  return ok
end

--- fn() must become true in time; its value. text says what is waited for.
function t.eventually(timeout, fn, text)
  local seconds, from = state.seconds(timeout), state.clock()
  while true do
    local value = fn()
    local took = state.clock() - from
    if value then
      checked(true, ("%s (%.1f s)"):format(text or "it becomes true", took))
      return value
    end
    if took > seconds then checked(false, ("%s: not within %g s"):format(text or "it becomes true", seconds)) end
    state.sleep(POLL_S)
  end
end

--- fn() must be true all the time; text is what it would mean if not.
function t.always(duration, fn, text)
  local till = state.clock() + state.seconds(duration)
  local looks = 0
  repeat
    looks = looks + 1
    if not fn() then checked(false, text or "it is true all the time") end
    state.sleep(POLL_S)
  until state.clock() > till
  checked(true, ("never in %d looks: %s"):format(looks, text or "it is false"))
end

-- --- what nearly every scenario says -----------------------------------------------------------

--- All instances stream.
function t.settled(c, timeout)
  t.eventually(timeout or "90s", function() return c:all_streaming() end, "all instances stream")
end

--- Rows that are sent half a second after `since` and the last fault, or later, are acknowledged.
function t.writes_go_on(load, since, timeout)
  local last = state.faults[#state.faults]
  local from = math.max(since, last and last.at or 0) + 0.5
  t.eventually(timeout, function() return load:acked_since(from) end, "writes go on")
  t.record("seconds without writes", load:pause_since(since))
end

--- Another instance than `old` is primary and takes writes.
function t.another_primary(c, old, timeout)
  return t.eventually(timeout, function()
    local p = c:primary()
    return p and p ~= old and c:writable(p) and p
  end, "another primary than " .. old)
end

function t.one_primary(c, duration)
  t.always(duration, function() return #c:writable_instances() <= 1 end, "two primaries acknowledge writes")
end

--- Ends a writer; every row it had an answer for is there.
function t.none_missing(c, load)
  local missing = c:missing_rows(load.name, load:stop())
  t.check(#missing == 0, "%d of %d acknowledged rows are missing%s", #missing, load:count(),
    #missing > 0 and ", the first is " .. missing[1] or "")
end

--- Half a second of load, and some more that the dice say.
function t.warm_up() t.sleep(0.5 + t.rand(20) / 20) end

--- A handle: :stop() asks it to end and gives what it returned, :join(timeout) waits.
local fiber = {}
fiber.__index = fiber
function fiber:join(timeout) return state.join(self.inner, timeout and state.seconds(timeout)) end

--- What fn returns may itself be stopped (a writer): then that is what stop does.
function fiber:stop()
  local result = state.join(self.inner)
  if type(result) == "table" and result.stop then return result:stop() end
  return result
end

function t.spawn(fn) return setmetatable({ inner = state.spawn(fn) }, fiber) end

-- --- faults ------------------------------------------------------------------------------------

--- Scales a Deployment to nothing and waits until nothing of it runs.
function t.scale_away(name, ns)
  local function pods()
    local d = kube.get("deployments", name, ns)
    return d and (d.status.replicas or 0)
  end
  local before = kube.get("deployments", name, ns)
  t.check(before, "there is a Deployment %s/%s", ns, name)
  local function scale(n) kube.patch("deployments", name, { spec = { replicas = n } }, ns) end
  scale(0)
  local back = faults.other("scale to 0", name, function()
    return pods() == 0 and "its Deployment has no pods"
  end, function() scale(before.spec.replicas or 1) end)
  t.eventually("30s", function() return pods() == 0 end, "nothing of " .. name .. " runs")
  return back
end

local function of(pod)
  local p, why = kube.get("pods", pod)
  local name = p and (p.metadata.labels or {})["cnpg.io/cluster"]
  if not name then error(("pod %s: %s"):format(pod, why or "belongs to no cluster"), 0) end
  return t.cluster(name)
end

function t.kill(pod, what) faults.kill(of(pod), pod, what) end
function t.freeze(pod) faults.freeze(of(pod), pod) end
function t.node_off(node)
  local _, c = next(clusters)
  if not c then error("t.cluster first", 0) end
  faults.node_off(c, node)
end

t.delete_pod, t.thaw, t.cut, t.heal, t.slow = faults.delete, faults.thaw, faults.cut, faults.heal, faults.slow
t.partition, t.node_on, t.api, t.api_heal = faults.partition, faults.node_on, faults.api, faults.api_heal
t.disk_full, t.disk_free, t.fault, t.on_end = faults.disk_full, faults.disk_free, faults.other, faults.on_end
t.only_proved = faults.only_proved

return t
