-- What is tried with a broken instance: each safe step twice, the mildest first, with growing pauses.
-- luacheck: read globals policy heal wait array
-- This is the built-in policy.
local MILDEST_FIRST = { "restart", "rewind", "reclone", "recreate" }
local PAUSES = { 30, 60, 300, 900 }

return policy "heal/v1" {
  decide = function(ctx)
    local tried, last = {}, nil
    for _, a in ipairs(ctx.attempts) do
      tried[a.step] = (tried[a.step] or 0) + 1
      last = a.at
    end
    local pause = PAUSES[math.min(#ctx.attempts, #PAUSES)] or 0
    if last and ctx.now < last + pause then
      return wait("LastStepUnderWay", last + pause)
    end
    for _, step in ipairs(MILDEST_FIRST) do
      if ctx.steps:has(step) and (tried[step] or 0) < 2 then
        return heal(step)
      end
    end
    return wait("NothingLeft", ctx.now + 900, "all safe steps were tried twice")
  end,

  cases = {
    { name = "the mildest first", given = {}, expect = { action = "heal", step = "restart" } },
    {
      name = "then the next",
      given = { now = 1767225600, attempts = {
        { step = "restart", at = 1767225000 }, { step = "restart", at = 1767225200 },
      } },
      expect = { action = "heal", step = "rewind" },
    },
    {
      name = "not too fast",
      given = { now = 1767225600, attempts = { { step = "restart", at = 1767225590 } } },
      expect = { action = "wait", at = 1767225620 },
    },
    {
      name = "nothing is safe",
      given = { steps = array {} },
      expect = { action = "wait", reason = "NothingLeft" },
    },
  },
}
