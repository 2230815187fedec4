--- Somebody deletes the primary's pod by force: its name comes back as another pod.
return scenario "pod-delete" {
  about = "the primary's pod dies and is deleted by force; its name comes back as another pod, no row is lost",
  covers = array { "H2", "A11", "D14" },
  params = { cluster = str, rto = duration "60s" },
  needs = array { "chaos:delete:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    t.warm_up()
    local old, began = c:primary(), t.clock()
    t.step("pod %s dies and is deleted by force", old)
    t.kill(old, "manager")
    t.delete_pod(old)
    t.writes_go_on(load, began, t.params.rto)
    t.one_primary(c, "3s")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
