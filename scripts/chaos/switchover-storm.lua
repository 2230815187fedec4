--- Somebody cannot decide who is to be primary.
return scenario "switchover-storm" {
  about = "switchovers are asked for one after the other, some before the last one is done; the term only grows",
  covers = array { "B8", "A4", "C13", "I4" },
  params = { cluster = str, rounds = int(6), rto = duration "60s" },
  needs = array { "pg:query" },
  defence = { flush = "the last primary's pod is lost with commits that are not on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    local function term()
      local lease = t.kube.get("leases", c.name)
      return lease and lease.spec.leaseTransitions or 0
    end
    t.warm_up()
    local first, last = term(), term()
    for round = 1, t.params.rounds do
      local heir = t.pick(c:standbys())
      t.step("round %d: %s is to be primary", round, heir)
      c:promote(heir)
      t.sleep(t.rand(20) / 10)
      local now = term()
      t.check(now >= last, "the term goes from %d to %d", last, now)
      last = now
    end
    t.fault("switchovers", ("%d"):format(t.params.rounds), function()
      return term() > first and ("the term was %d, is %d"):format(first, term())
    end)
    t.writes_go_on(load, t.clock(), t.params.rto)
    local old, began = c:primary() or c:standbys()[1], t.clock()
    t.step("and %s dies and is deleted by force", old)
    t.kill(old, "manager")
    t.delete_pod(old)
    t.writes_go_on(load, began, t.params.rto)
    t.one_primary(c, "3s")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
