--- A slow network is not a dead primary; and when the primary then dies, what was under way counts.
return scenario "slow-network" {
  about = "bytes between the primary and its standbys take longer: no failover; the primary's pod is lost: no lost row",
  covers = array { "C7", "E11", "I18" },
  params = { cluster = str, ms = int(150), for_ = duration "6s", rto = duration "150s" },
  needs = array { "chaos:slow:Pod", "chaos:power:Node", "pg:query" },
  defence = { async = "no synchronous replication: a primary answers commits by itself" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "async" then c:asynchronous() end
    local old, standbys = c:primary(), c:standbys()
    local node = c:node(old)
    local load = c:writer { rate = 100, sessions = 8 }
    t.warm_up()
    t.step("between %s and its standbys bytes take %d ms more", old, t.params.ms)
    for _, standby in ipairs(standbys) do t.slow(old, standby, t.params.ms) end
    t.always(t.params.for_, function() return c:primary() == old end, "the role moves")
    local began = t.clock()
    t.step("%s, where %s is, loses its power", node, old)
    t.node_off(node)
    t.another_primary(c, old, t.params.rto)
    t.writes_go_on(load, began, t.params.rto)
    for _, standby in ipairs(standbys) do t.heal(old, standby) end
    t.node_on(node)
    t.settled(c, "150s")
    t.none_missing(c, load)
  end,
}
