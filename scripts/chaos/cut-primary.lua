--- The primary is alone, with clients that still reach it.
return scenario "cut-primary" {
  about = "the primary is cut from everybody but its clients; it acknowledges nothing that is lost, and stops itself",
  covers = array { "C1", "C8", "C9", "D10" },
  params = { cluster = str, rto = duration "90s", stop = duration "30s" },
  needs = array { "chaos:partition:Pod", "pg:query" },
  defence = { async = "no synchronous replication: a primary answers commits by itself" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "async" then c:asynchronous() end
    local old = c:primary()
    local load = c:writer { rate = 100 }
    local stuck = c:writer { rate = 100, table_ = "chaos_stuck", sessions = 4, pod = old, timeout = 30 }
    t.warm_up()
    local began = t.clock()
    t.step("%s is cut from all", old)
    t.partition(old, { from = "all" })
    local _, up = nil, nil
    t.eventually(t.params.stop, function()
      _, up = c:ask(old, "SELECT 1", 1, "chaos-isolated")
      return up and up.error
    end, old .. " takes no clients any more")
    t.record("seconds until it stopped itself", t.clock() - began)
    t.another_primary(c, old, t.params.rto)
    t.writes_go_on(load, began, t.params.rto)
    t.one_primary(c, "3s")
    t.heal(old, "*")
    t.step("%s is back in the network", old)
    t.one_primary(c, "3s")
    t.settled(c)
    t.none_missing(c, stuck)
    t.none_missing(c, load)
  end,
}
