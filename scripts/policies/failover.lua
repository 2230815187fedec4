-- Who becomes primary: no data loss first, then the wish of the user (priority), then the least lag.
-- luacheck: read globals policy promote hold rank
-- This is the built-in policy. It is in charge where no ConfigMap says otherwise, and whenever one fails.
return policy "failover/v1" {
  decide = function(ctx)
    local ranked = {}
    for _, c in ipairs(ctx.candidates) do -- the core has dropped whom it must not promote
      ranked[#ranked + 1] = {
        name = c.name,
        key = { c.sync and 0 or 1, c.ready and 0 or 1, -(c.priority or 0), c.replay_lag or 0, c.name },
      }
    end
    if #ranked == 0 then
      return hold("NoCandidate", "no replica can take over yet")
    end
    return promote(rank(ranked))
  end,

  cases = {
    {
      name = "a synchronous replica wins over a fresher asynchronous one",
      given = { candidates = {
        { name = "pg-2", sync = false, replay_lag = 0 },
        { name = "pg-3", sync = true, replay_lag = 4096 },
      } },
      expect = { action = "promote", target = "pg-3", order = { "pg-3", "pg-2" } },
    },
    {
      name = "among equals the priority decides, then the lag",
      given = { candidates = {
        { name = "pg-2", sync = true, replay_lag = 0 },
        { name = "pg-3", sync = true, replay_lag = 100, priority = 5 },
        { name = "pg-4", sync = true, replay_lag = 50 },
      } },
      expect = { order = { "pg-3", "pg-2", "pg-4" } },
    },
    {
      name = "nobody there: wait",
      given = { candidates = {} },
      expect = { action = "hold", reason = "NoCandidate" },
    },
  },
}
