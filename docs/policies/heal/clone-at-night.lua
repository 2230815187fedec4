-- A clone loads the primary: only at night, unless just one healthy copy is left.
return policy "heal/v1" {
  params = { begins = cron "0 22 * * *", length = duration "7h", zone = str "UTC" },

  decide = function(ctx)
    local p, tried, last = ctx.params, {}, 0
    for _, a in ipairs(ctx.attempts) do
      tried[a.step], last = true, a.at
    end
    if ctx.now < last + 60 then
      return wait("LastStepUnderWay", last + 60)
    end
    for _, step in ipairs { "restart", "rewind" } do
      if ctx.steps:has(step) and not tried[step] then
        return heal(step)
      end
    end
    local is_night = time.in_window(ctx.now, p.begins, p.length, p.zone)
    if ctx.steps:has("reclone") and (is_night or ctx.healthy <= 1) then
      return heal("reclone")
    end
    return wait("WaitingForNight", ctx.now + 1800)
  end,
}
