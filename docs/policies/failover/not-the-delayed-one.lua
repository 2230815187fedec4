-- Some replicas shall not become primary: the delayed one, the one for reports. And nobody who lags too far, unless
-- there is nobody else. (Where only reserved ones are left the core waits 30 seconds: then the built-in order decides.)
return policy "failover/v1" {
  params = { never = list(str), max_lag = bytes "64MiB" },

  decide = function(ctx)
    local p, fresh, late = ctx.params, {}, {}
    for _, c in ipairs(ctx.candidates) do
      if not p.never:has(c.name) then
        local group = c.replay_lag <= p.max_lag and fresh or late
        group[#group + 1] = { name = c.name, key = { c.sync, c.ready, c.replay_lag } }
      end
    end
    if #fresh > 0 then
      return promote(rank(fresh))
    elseif #late > 0 then
      return promote(rank(late))
    end
    return hold("OnlyReservedReplicas", "%d candidates, none of them may take over", #ctx.candidates)
  end,
}
