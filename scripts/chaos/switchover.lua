--- Planned: somebody else is to be primary, and nobody may lose anything.
return scenario "switchover" {
  about = "a switchover under load, over a slow network: the one that was asked for is primary, no row is lost",
  covers = array { "F22", "D3", "C9" },
  params = { cluster = str, ms = int(400), rto = duration "45s" },
  needs = array { "chaos:slow:Pod", "pg:query" },
  defence = { patience = "asynchronous, and the primary gets no time to hand over (switchoverDelay 1)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    if t.without "patience" then
      c:asynchronous()
      c:change { switchoverDelay = 1 }
    end
    local old, standbys = c:primary(), c:standbys()
    local heir = t.pick(standbys)
    local load = c:writer { rate = 100, sessions = 16 }
    t.step("between %s and its standbys bytes take %d ms more", old, t.params.ms)
    for _, standby in ipairs(standbys) do t.slow(old, standby, t.params.ms) end
    t.warm_up()
    local began = t.clock()
    t.step("%s is to be primary", heir)
    c:promote(heir)
    t.eventually(t.params.rto, function() return c:primary() == heir end, heir .. " is primary")
    t.writes_go_on(load, began, t.params.rto)
    t.one_primary(c, "2s")
    for _, standby in ipairs(standbys) do t.heal(old, standby) end
    t.settled(c)
    t.none_missing(c, load)
  end,
}
