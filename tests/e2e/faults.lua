--- Six faults under load: writes resume, no acknowledged row is missing, the old primary never acknowledges again, and
--- comes back as a streaming standby by itself.
local cluster = require("cluster")
local fault = require("faults")
local kube = require("kube")
local load_ = require("load")
local operator = require("operator")
local sh = require("sh")
local tap = require("tap")

operator.install()
local ns = kube.namespace("faults")
local c = cluster.new(ns, "f")

-- Each: what happens to the primary, how long writes may be away, what brings the machine back.
local faults = {
  { tag = "postmaster", what = "the postmaster is killed", limit = 1.4, strike = fault.kill_postmaster },
  { tag = "manager", what = "the instance manager (PID 1) is killed", limit = 12, strike = fault.kill_manager },
  { tag = "delete", what = "the pod is deleted by force", limit = 9, strike = fault.delete_pod },
  { tag = "switchover", what = "a switchover is asked for", limit = 3.7, moves = true, strike = function(pod)
    for _, p in ipairs(c:pods_by_role("replica")) do
      if p.metadata.name ~= pod.metadata.name then
        return c:switchover(p.metadata.name)
      end
    end
    error("no standby")
  end },
  { tag = "power", what = "the node loses its power", limit = 33, node = true, moves = true,
    strike = function(pod) fault.power_off(pod.spec.nodeName) end,
    mend = function(pod) fault.power_on(pod.spec.nodeName) end },
  { tag = "cut", what = "the node is cut off the network", limit = 52, node = true, moves = true,
    strike = function(pod) fault.cut(pod.spec.nodeName) end,
    mend = function(pod) fault.heal(pod.spec.nodeName) end },
}

local function writes_resume(load, t0, limit)
  -- Rows that were on their way when the fault came in are acknowledged for some milliseconds; a fault may also be
  -- so short that no pause shows. So: three seconds of acknowledgements without a pause.
  local steady
  kube.wait("writes", limit + 60, function()
    local last = load:last_ack()
    if sh.now() - last > 500 then
      steady = nil
    else
      steady = steady or sh.now()
    end
    local back = last > t0 + 1000 and steady and sh.now() - steady > 3000
    return back, "last acknowledgement " .. last - t0 .. " ms after the fault"
  end, 0.1)
end

--- The fault itself, until writes are back and the machine is mended.
local function strike(f, pod, load)
  sh.sleep(1)
  local t0 = sh.now()
  f.strike(pod)
  local ok, why = pcall(writes_resume, load, t0, f.limit)
  if f.mend then
    f.mend(pod)
  end
  assert(ok, why)
  return t0
end

local function returned(old)
  return select(2, kube.wait(old .. " a streaming standby", 150, function()
    local healthy, why = c:healthy(3)
    if not healthy then
      return false, why
    end
    local n, has = c:streaming(old)
    return n == 2 and (has or c:primary() == old), n .. " standbys stream"
  end, 1))
end

--- What the clients' logs prove.
local function verdict(f, load, t0, old_address)
  local gap = load:gap(t0) / 1000
  tap.check(gap <= f.limit, ("%s: writes are away for at most %.1f s"):format(f.what, f.limit), "%.2f s", gap)
  tap.note("TIME WITHOUT WRITES %s: %.2f s (limit %.1f s)", f.tag, gap, f.limit)
  local missing = load:missing()
  tap.check(#missing == 0, f.what .. ": no acknowledged row is missing", "%d missing: %s", #missing,
    table.concat(missing, " ", 1, math.min(#missing, 20)))
  local late, new = load:late_acks(old_address, t0)
  tap.check(#late == 0, f.what .. ": the old primary acknowledges nothing that was issued after the new one's first",
    "%s", table.concat(late, "; ", 1, math.min(#late, 10)))
  tap.note("%d rows acknowledged; then by %s", load:acked(), new and new or "the same instance")
end

local function one(f)
  local primary = c:primary()
  local pod = assert(c:pod(primary), "no pod of the primary")
  if f.node then
    operator.leave(pod.spec.nodeName)
  end
  local load = load_.start(c, f.tag)
  local t0 = tap.test(f.what .. ": writes resume", function()
    return strike(f, pod, load)
  end)
  tap.test(f.what .. ": the old primary is a streaming standby again, by itself", function()
    tap.note("3 of 3 after %.1f s", returned(primary))
    return not f.moves or c:primary() ~= primary, "the primary is the same as before"
  end)
  load:stop()
  if t0 then
    verdict(f, load, t0, pod.status.podIP)
  end
end

tap.must("three instances with synchronous replication are ready", function()
  c:create("sync")
  c:wait_healthy(3, 120)
  kube.wait("two standbys", 30, function()
    return c:streaming() == 2
  end)
  local names = c:admin("SHOW synchronous_standby_names")
  return names:upper():find("^ANY 1") ~= nil, names
end)

local only = os.getenv("E2E_FAULTS")
for _, f in ipairs(faults) do
  if not only or (" " .. only .. " "):find(" " .. f.tag .. " ", 1, true) then
    local ok, why = pcall(one, f)
    if not ok then
      tap.check(false, f.what .. ": the scenario runs", "%s", why)
    end
    tap.must(f.what .. ": the cluster is healthy before the next fault", function()
      c:wait_healthy(3, 120)
    end)
  end
end

tap.finish()
