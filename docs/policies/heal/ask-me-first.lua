-- Restarts happen by themselves; whatever replaces data waits for a person, who does it by hand.
return policy "heal/v1" {
  params = { restarts = int(3) },

  decide = function(ctx)
    local last = 0
    for _, a in ipairs(ctx.attempts) do
      last = a.at
    end
    if ctx.now < last + 60 then
      return wait("LastStepUnderWay", last + 60)
    elseif ctx.steps:has("restart") and #ctx.attempts < ctx.params.restarts then
      return heal("restart")
    end
    return wait("NeedsAPerson", ctx.now + 3600, "%s: %s; look at it, or delete its volume to have it cloned",
      ctx.instance.name, ctx.problem)
  end,
}
