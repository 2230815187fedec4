-- Cloning terabytes takes a night: try everything else first, and give a restart more chances.
return policy "heal/v1" {
  params = { large = bytes "1TiB", restarts = int(5) },

  decide = function(ctx)
    local tried, last = { restart = 0, rewind = 0, reclone = 0, recreate = 0 }, 0
    for _, a in ipairs(ctx.attempts) do
      tried[a.step], last = tried[a.step] + 1, a.at
    end
    local most = (ctx.instance.size or 0) >= ctx.params.large and ctx.params.restarts or 1
    if ctx.now < last + 60 then
      return wait("LastStepUnderWay", last + 60)
    end
    for _, step in ipairs { "restart", "rewind", "reclone", "recreate" } do
      if ctx.steps:has(step) and tried[step] < (step == "restart" and most or 1) then
        return heal(step)
      end
    end
    return wait("NothingLeft", ctx.now + 600)
  end,
}
