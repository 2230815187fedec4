--- Whatever the dice say, one on top of the other; at the end everything must come to rest again.
local function cut(a, b)
  return { say = ("%s is cut from %s"):format(a, b), on = function(t) t.cut(a, b) end,
           off = function(t) t.heal(a, b) end }
end

local KINDS = {
  function(_, c, victim) return cut(victim, c:primary() ~= victim and c:primary() or "api") end,
  function(_, _, victim) return cut(victim, "api") end,
  function(_, _, victim) return cut(victim, "*") end,
  function(_, _, victim)
    return { say = victim .. " stands still", on = function(t) t.freeze(victim) end,
             off = function(t) t.thaw(victim) end }
  end,
  function(_, _, victim)
    return { say = "the manager of " .. victim .. " is killed", on = function(t) t.kill(victim, "manager") end }
  end,
  function(_, _, victim)
    return { say = "pod " .. victim .. " is deleted by force", on = function(t) t.delete_pod(victim) end }
  end,
}

--- One fault, for a while; a pod may be gone meanwhile, which is no fault of the scenario.
local function strike(t, fault, seconds)
  if not pcall(fault.on, t) then return end
  t.step("%s", fault.say)
  t.sleep(seconds)
  if fault.off then pcall(fault.off, t) end
end

return scenario "random-faults" {
  about = "random faults of random instances, overlapping, under load; then all comes to rest and nothing is missing",
  covers = array { "C4", "C6", "C7", "I1", "I2", "I13" },
  params = { cluster = str, rounds = int(6), rto = duration "150s" },
  needs = array { "chaos:partition:Pod", "chaos:freeze:Pod", "chaos:kill:Pod", "chaos:delete:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    local names, fibers = c:standbys(), {}
    names:add(c:primary())
    table.sort(names)
    for round = 1, t.params.rounds do
      local victim, kind = t.pick(names), t.pick(KINDS)
      local seconds, pause = t.rand(60) / 10, t.rand(40) / 10
      fibers[round] = t.spawn(function() strike(t, kind(t, c, victim), seconds) end)
      t.one_primary(c, pause)
    end
    for _, fiber in ipairs(fibers) do fiber:join() end
    t.only_proved()
    t.step "all is whole again"
    t.writes_go_on(load, t.clock(), t.params.rto)
    t.settled(c, t.params.rto)
    local last, began = c:primary(), t.clock()
    t.step("and the manager of %s is killed", last)
    t.kill(last, "manager")
    t.writes_go_on(load, began, t.params.rto)
    t.settled(c, t.params.rto)
    t.none_missing(c, load)
  end,
}
