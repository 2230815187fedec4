--- The primary stands still, somebody else is elected, and it goes on as if nothing had been.
local function round(t, c)
  local old = c:primary()
  local load = c:writer { rate = 100 }
  -- These clients never leave the old primary: their statements are under way when it falls asleep.
  local stuck = c:writer { rate = 100, table_ = "chaos_stuck", sessions = 16, pod = old, timeout = 90 }
  t.warm_up()
  local began = t.clock()
  t.step("%s stands still", old)
  t.freeze(old)
  t.another_primary(c, old, t.params.rto)
  t.writes_go_on(load, began, t.params.rto)
  t.thaw(old)
  t.step("%s goes on", old)
  t.one_primary(c, "5s")
  t.settled(c)
  t.none_missing(c, stuck)
  t.none_missing(c, load)
end

-- Awake again, it stops itself within milliseconds: without the defence who is faster wins, so there are more rounds.
return scenario "freeze-primary" {
  about = "every process of the primary stands still until another is elected; awake again it acknowledges nothing",
  covers = array { "D5", "D9", "C9", "I1" },
  params = { cluster = str, rto = duration "90s" },
  needs = array { "chaos:freeze:Pod", "pg:query" },
  defence = { async = "no synchronous replication: a primary answers commits by itself" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "async" then c:asynchronous() end
    for _ = 1, t.without "async" and 4 or 1 do round(t, c) end
  end,
}
