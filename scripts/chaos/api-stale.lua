--- A failover while reads are old and events of watches are lost.
return scenario "api-stale" {
  about = "reads of the API are answered as they were, 30 % of all events is lost, and the primary's node goes",
  covers = array { "A6", "A8", "A9", "A10" },
  params = { cluster = str, rto = duration "150s", percent = int(30) },
  needs = array { "chaos:api", "chaos:power:Node", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    t.step("reads are old, events get lost")
    t.api "stale"
    t.api("lose", { percent = t.params.percent })
    t.warm_up()
    local old, began = c:primary(), t.clock()
    local node = c:node(old)
    t.step("%s, where %s is, loses its power", node, old)
    t.node_off(node)
    t.one_primary(c, "8s")
    t.api_heal "stale"
    t.api_heal "lose"
    t.step("the API server is well")
    t.writes_go_on(load, began, t.params.rto)
    t.node_on(node)
    t.one_primary(c, "3s")
    t.settled(c, "150s")
    t.none_missing(c, load)
  end,
}
