-- When a backup is taken, and from whom: at once, from the replica that is furthest, else from the primary.
-- luacheck: read globals policy backup wait rank
-- This is the built-in policy.
return policy "backup/v1" {
  decide = function(ctx)
    local ranked = {}
    for _, i in ipairs(ctx.instances) do
      if i.ready and (i.role == "primary" or ctx.target == "prefer-standby") then
        ranked[#ranked + 1] = { name = i.name, key = { i.role == "replica", i.replay_lag, i.name } }
      end
    end
    if ctx.running > 0 then
      return wait("BackupRunning", ctx.now + 30, "another backup of this cluster is under way")
    elseif #ranked == 0 then
      return wait("NoSource", ctx.now + 30, "no instance is well enough to be copied")
    end
    return backup(rank(ranked)[1])
  end,

  cases = {
    {
      name = "the replica with the least lag",
      given = { instances = {
        { name = "pg-1", role = "primary" }, { name = "pg-2", replay_lag = 500 }, { name = "pg-3" },
      } },
      expect = { action = "backup", from = "pg-3" },
    },
    {
      name = "the primary where the Cluster asks for it",
      given = { target = "primary", instances = { { name = "pg-1", role = "primary" }, { name = "pg-2" } } },
      expect = { action = "backup", from = "pg-1" },
    },
    {
      name = "nobody is well",
      given = { instances = { { name = "pg-1", role = "primary", ready = false } } },
      expect = { action = "wait", reason = "NoSource" },
    },
  },
}
