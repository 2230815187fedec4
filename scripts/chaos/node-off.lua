--- The machine of the primary loses its power, and gets it back later.
return scenario "node-off" {
  about = "the primary's node loses its power; another instance takes over, the old one comes back as a standby",
  covers = array { "D1", "D4", "C9" },
  params = { cluster = str, rto = duration "150s" },
  needs = array { "chaos:power:Node", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    t.warm_up()
    local old, began = c:primary(), t.clock()
    local node = c:node(old)
    t.step("%s, where %s is, loses its power", node, old)
    t.node_off(node)
    t.another_primary(c, old, t.params.rto)
    t.writes_go_on(load, began, t.params.rto)
    t.node_on(node)
    t.step("%s is on again", node)
    t.one_primary(c, "3s")
    t.settled(c, "150s")
    t.check(c:primary() ~= old, "%s did not take the role back", old)
    t.none_missing(c, load)
  end,
}
