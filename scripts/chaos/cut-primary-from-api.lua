--- The primary sees its standbys, but not the API; one standby is away too.
return scenario "cut-primary-from-api" {
  about = "the primary is cut from the API and one standby; the other one confirms commits, so it goes on",
  covers = array { "C2", "C5", "C6", "B7" },
  params = { cluster = str, for_ = duration "14s", pause = duration "5s" },
  needs = array { "chaos:partition:Pod", "pg:query" },
  defence = { async = "no synchronous replication: only all standbys together can say that nobody else is elected" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "async" then c:asynchronous() end
    local primary = c:primary()
    local one = t.pick(c:standbys())
    local load = c:writer { rate = 100 }
    t.warm_up()
    local began = t.clock()
    t.step("%s is cut from the API and from %s", primary, one)
    t.cut(primary, "api")
    t.cut(primary, one)
    t.always(t.params.for_, function() return c:primary() == primary end, "the role moves")
    t.check(load:pause_since(began) <= t.params.pause, "writes pause for %.1f s, at most %g s",
      load:pause_since(began), t.params.pause)
    t.heal(primary, "api")
    t.heal(primary, one)
    t.step("all is healed")
    t.one_primary(c, "2s")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
