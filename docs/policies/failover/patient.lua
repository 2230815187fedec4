-- A replica with everything is worth some seconds: wait for one that is synchronous and ready, but not for long.
-- (The core never waits longer than 30 seconds for a policy, whatever it says.)
return policy "failover/v1" {
  decide = function(ctx)
    local ranked, has_best = {}, false
    for _, c in ipairs(ctx.candidates) do
      has_best = has_best or c.sync and c.ready
      ranked[#ranked + 1] = { name = c.name, key = { c.sync, c.ready, c.replay_lag } }
    end
    if not has_best then
      return hold { reason = "WaitingForSync", message = "no synchronous replica is ready", until_s = 5 }
    end
    return promote(rank(ranked))
  end,
}
