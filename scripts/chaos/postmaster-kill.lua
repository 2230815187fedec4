--- PostgreSQL dies as if somebody had pulled its plug; its manager lives.
return scenario "postmaster-kill" {
  about = "the primary's postmaster gets SIGKILL; writes go on and no acknowledged row is missing",
  covers = array { "F1", "F4", "D6", "I2" },
  params = { cluster = str, rounds = int(2), rto = duration "45s" },
  needs = array { "chaos:kill:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    for round = 1, t.params.rounds do
      t.warm_up()
      local old, began = c:primary(), t.clock()
      t.step("round %d: the postmaster of %s is killed", round, old)
      t.kill(old, "postmaster")
      t.writes_go_on(load, began, t.params.rto)
      t.one_primary(c, "2s")
      t.settled(c)
    end
    t.none_missing(c, load)
  end,
}
