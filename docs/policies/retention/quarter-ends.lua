-- What auditors ask for: all of the last 30 days, and the last backup of each quarter for ten years.
return policy "retention/v1" {
  params = { recent = duration "30d", years = int(10) },

  decide = function(ctx)
    local keep, quarters = {}, {}
    for _, b in ipairs(ctx.backups) do -- newest first, so the first of a quarter is its last
      local d = time.date(b.finished_at)
      local quarter = ("%d-Q%d"):format(d.year, (d.month + 2) // 3)
      if ctx.now - b.finished_at <= ctx.params.recent then
        keep[b.id] = "recent"
      elseif not quarters[quarter] and d.year > time.date(ctx.now).year - ctx.params.years then
        keep[b.id] = quarter
      end
      quarters[quarter] = true
    end
    return retain(ctx, keep)
  end,
}
