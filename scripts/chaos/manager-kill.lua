--- The first process of the primary's container dies, and all of the container with it.
return scenario "manager-kill" {
  about = "the primary's instance manager gets SIGKILL; no process of PostgreSQL outlives it, no row is lost",
  covers = array { "D7", "B1", "F4" },
  params = { cluster = str, rto = duration "60s" },
  needs = array { "chaos:kill:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    t.warm_up()
    local old, began = c:primary(), t.clock()
    t.step("the manager of %s is killed", old)
    t.kill(old, "manager")
    t.writes_go_on(load, began, t.params.rto)
    t.one_primary(c, "3s")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
