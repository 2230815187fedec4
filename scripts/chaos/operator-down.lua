--- Nobody operates while a primary crashes and another machine is lost.
return scenario "operator-down" {
  about = "without an operator a crashed primary serves again by itself, and a pod that is lost loses nothing",
  covers = array { "B1", "B2", "F1", "I21" },
  params = { cluster = str, rto = duration "45s", operator = str "moonherd-operator",
             operator_namespace = str "moonherd-system" },
  needs = array { "chaos:scale:Deployment", "chaos:kill:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    t.step("the operator is scaled to nothing")
    local back = t.scale_away(t.params.operator, t.params.operator_namespace)
    t.warm_up()
    local old, began = c:primary(), t.clock()
    t.step("the postmaster of %s is killed", old)
    t.kill(old, "postmaster")
    t.writes_go_on(load, began, t.params.rto)
    t.check(c:primary() == old, "%s serves again, without anybody's help", old)
    began = t.clock()
    t.step("pod %s is deleted by force", old)
    t.delete_pod(old)
    t.one_primary(c, "3s")
    back()
    t.step("the operator is back")
    t.writes_go_on(load, began, "60s")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
