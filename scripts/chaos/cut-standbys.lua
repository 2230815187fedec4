--- The primary has the API, but no standby that could confirm a commit.
return scenario "cut-standbys" {
  about = "the primary is cut from all its standbys: no commit is answered that only it has; then writes go on",
  covers = array { "C3", "C12", "I18" },
  params = { cluster = str, for_ = duration "8s", rto = duration "90s" },
  needs = array { "chaos:partition:Pod", "pg:query" },
  defence = { async = "no synchronous replication: a primary answers commits by itself" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "async" then c:asynchronous() end
    local old, standbys = c:primary(), c:standbys()
    local load = c:writer { rate = 100 }
    local stuck = c:writer { rate = 100, table_ = "chaos_stuck", sessions = 4, pod = old, timeout = 60 }
    t.warm_up()
    t.step("%s is cut from %s", old, table.concat(standbys, " and "))
    for _, standby in ipairs(standbys) do t.cut(old, standby) end
    t.sleep(0.5)
    local before = stuck:count()
    t.sleep(t.params.for_)
    t.check(stuck:count() == before, "%d commits were answered by %s while no standby could have them",
      stuck:count() - before, old)
    t.one_primary(c, "2s")
    local healed = t.clock()
    for _, standby in ipairs(standbys) do t.heal(old, standby) end
    t.step("all is healed")
    t.writes_go_on(load, healed, t.params.rto)
    t.one_primary(c, "2s")
    t.settled(c)
    t.none_missing(c, stuck)
    t.none_missing(c, load)
  end,
}
