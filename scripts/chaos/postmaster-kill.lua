--- PostgreSQL dies as if somebody had pulled its plug; its manager lives.
return scenario "postmaster-kill" {
  about = "the primary's postmaster gets SIGKILL; writes go on and no acknowledged row is missing",
  covers = array { "F1", "F4", "D6" },
  params = { cluster = str, rounds = int(2), rto = duration "10s" },
  needs = array { "chaos:kill:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.eventually("90s", function() return c:all_streaming() end, "all instances stream")
    local load = c:writer { rate = 200, sessions = 4, settings = t.without "flush" and "-c synchronous_commit=off" or nil }
    for round = 1, t.params.rounds do
      t.sleep(1 + t.rand(10) / 10)
      local old, began = c:primary(), t.clock()
      t.step("round %d: the postmaster of %s is killed", round, old)
      t.kill(old, "postmaster")
      t.eventually(t.params.rto, function() return load:acked_since(began + 0.5) end, "writes go on")
      t.record("seconds without writes", load:pause_since(began))
      t.always("2s", function() return #c:writable_instances() <= 1 end, "two primaries acknowledge writes")
      t.eventually("60s", function() return c:all_streaming() end, "all instances stream again")
    end
    local missing = c:missing_rows("chaos_ledger", load:stop())
    t.check(#missing == 0, "%d acknowledged rows are missing, first %s", #missing, tostring(missing[1]))
  end,
}
