-- From the replica that has the fewest clients and is fresh enough.
return policy "backup/v1" {
  params = { max_lag = bytes "1GiB" },

  decide = function(ctx)
    local ranked = {}
    for _, i in ipairs(ctx.instances) do
      if i.ready and i.replay_lag <= ctx.params.max_lag then
        ranked[#ranked + 1] = { name = i.name, key = { i.role == "replica", i.connections or 0, i.replay_lag } }
      end
    end
    if ctx.running > 0 or #ranked == 0 then
      return wait("NotNow", ctx.now + 60)
    end
    return backup(rank(ranked)[1])
  end,
}
