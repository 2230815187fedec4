-- Keep the primary near the applications: the zones in their order, then synchronous ones, then the least lag.
return policy "failover/v1" {
  params = { zones = list(str) },

  decide = function(ctx)
    local place = {}
    for i, zone in ipairs(ctx.params.zones) do
      place[zone] = i
    end
    local ranked = {}
    for _, c in ipairs(ctx.candidates) do
      ranked[#ranked + 1] = { name = c.name, key = { place[c.zone or ""] or 99, c.sync, c.ready, c.replay_lag } }
    end
    if #ranked == 0 then
      return hold("NoCandidate", "nobody can take over yet")
    end
    return promote(rank(ranked))
  end,
}
