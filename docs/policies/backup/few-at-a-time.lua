-- The object store is shared: at most three backups at once across all clusters; who waited six hours goes anyway.
return policy "backup/v1" {
  params = { most = int(3), patience = duration "6h" },

  decide = function(ctx)
    local ranked = {}
    for _, i in ipairs(ctx.instances) do
      if i.ready then
        ranked[#ranked + 1] = { name = i.name, key = { i.role == "replica", i.replay_lag } }
      end
    end
    local is_late = ctx.now - ctx.due_at >= ctx.params.patience
    if ctx.running > 0 or #ranked == 0 then
      return wait("NotNow", ctx.now + 60)
    elseif ctx.running_elsewhere >= ctx.params.most and not is_late then
      return wait("OthersFirst", ctx.now + 120, "%d backups are under way", ctx.running_elsewhere)
    end
    return backup(rank(ranked)[1])
  end,
}
