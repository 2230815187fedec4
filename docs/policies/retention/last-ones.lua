-- The last ten, and nothing that is younger than three days goes.
return policy "retention/v1" {
  params = { count = int(10), min_age = duration "3d" },

  decide = function(ctx)
    local keep = {}
    for i, b in ipairs(ctx.backups) do
      if i <= ctx.params.count then
        keep[b.id] = ("one of the last %d"):format(ctx.params.count)
      elseif ctx.now - b.finished_at < ctx.params.min_age then
        keep[b.id] = "too young"
      end
    end
    return retain(ctx, keep)
  end,
}
