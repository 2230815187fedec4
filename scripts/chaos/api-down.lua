--- Nobody answers at the API server, and one standby is away meanwhile.
return scenario "api-down" {
  about = "the API server is down and one standby stands still; a synchronous cluster goes on writing",
  covers = array { "A1", "A7", "C5", "I21" },
  params = { cluster = str, for_ = duration "14s", pause = duration "5s" },
  needs = array { "chaos:api", "chaos:freeze:Pod", "pg:query" },
  defence = { async = "no synchronous replication: only all standbys together can say that nobody else is elected" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "async" then c:asynchronous() end
    local primary, one = c:primary(), t.pick(c:standbys())
    local load = c:writer { rate = 100 }
    t.warm_up()
    local began = t.clock()
    t.step("the API server is down, %s stands still", one)
    t.freeze(one)
    t.api "down"
    t.sleep(t.params.for_)
    local pause = load:pause_since(began)
    t.api_heal "down"
    t.thaw(one)
    t.step("both are back")
    t.check(pause <= t.params.pause, "writes pause for %.1f s, at most %g s", pause, t.params.pause)
    t.always("3s", function() local p = c:primary() return p == nil or p == primary end, "the role moves")
    t.one_primary(c, "2s")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
