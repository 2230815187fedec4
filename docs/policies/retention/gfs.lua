-- Grandfather, father, son: one backup of each of the last 7 days, 4 weeks, 12 months and 7 years.
-- What somebody pinned stays anyway.
local TIERS = { { "daily", "%Y-%m-%d" }, { "weekly", "%G-W%V" }, { "monthly", "%Y-%m" }, { "yearly", "%Y" } }

return policy "retention/v1" {
  params = { daily = int(7), weekly = int(4), monthly = int(12), yearly = int(7), zone = str "UTC" },

  decide = function(ctx)
    local keep, used = {}, {}
    for _, b in ipairs(ctx.backups) do -- newest first
      for _, t in ipairs(TIERS) do
        local tier, bucket = t[1], time.format(b.finished_at, t[2], ctx.params.zone)
        local seen = used[tier] or { count = 0 }
        used[tier] = seen
        if not seen[bucket] and seen.count < ctx.params[tier] then
          seen[bucket], seen.count = true, seen.count + 1
          keep[b.id] = keep[b.id] or tier
        end
      end
    end
    return retain(ctx, keep) -- adds pinned ones and what a kept one needs
  end,
}
