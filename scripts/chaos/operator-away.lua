--- Nobody operates, and the machine of the primary loses its power: the instances move the role themselves.
return scenario "operator-away" {
  about = "without an operator the primary's node loses its power; the standbys elect one of them, writes go on",
  covers = array { "B2", "D1", "C9", "I9", "I21" },
  params = { cluster = str, rto = duration "60s", operator = str "moonherd-operator",
             operator_namespace = str "moonherd-system" },
  needs = array { "chaos:scale:Deployment", "chaos:power:Node", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    t.step("the operator is scaled to nothing")
    local back = t.scale_away(t.params.operator, t.params.operator_namespace)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    t.warm_up()
    local old, began = c:primary(), t.clock()
    local node = c:node(old)
    t.step("%s, where %s is, loses its power", node, old)
    t.node_off(node)
    local new = t.another_primary(c, old, t.params.rto)
    t.writes_go_on(load, began, t.params.rto)
    t.step("%s serves, and nobody operates", new)
    t.one_primary(c, "3s")
    t.node_on(node)
    back()
    t.step("the operator and %s are back", node)
    t.settled(c, "150s")
    t.check(c:primary() == new, "%s is still primary: the operator took over what it found", new)
    t.none_missing(c, load)
  end,
}
