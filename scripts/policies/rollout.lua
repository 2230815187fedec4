-- When instances are restarted: replicas one after the other, the primary last, at once.
-- luacheck: read globals policy update wait finish
-- This is the built-in policy.
return policy "rollout/v1" {
  decide = function(ctx)
    for _, i in ipairs(ctx.updated) do
      if not i.ready then
        return wait("NotReady", ctx.now + 5, "%s is not ready yet", i.name)
      end
    end
    for _, role in ipairs { "replica", "primary" } do
      for _, i in ipairs(ctx.pending) do
        if i.role == role and i.safe then
          return update(i.name, role == "primary" and ctx.primary_method or "restart")
        elseif i.role == role then
          return wait("NotSafe", ctx.now + 5, "%s cannot be spared now", i.name)
        end
      end
    end
    return finish("AllUpdated")
  end,

  cases = {
    {
      name = "replicas first",
      given = { pending = { { name = "pg-1", role = "primary" }, { name = "pg-2" } } },
      expect = { action = "update", target = "pg-2", method = "restart" },
    },
    {
      name = "one at a time",
      given = { pending = { { name = "pg-3" } }, updated = { { name = "pg-2", ready = false } } },
      expect = { action = "wait", reason = "NotReady" },
    },
    {
      name = "the primary as the Cluster says",
      given = { pending = { { name = "pg-1", role = "primary" } }, primary_method = "switchover" },
      expect = { action = "update", target = "pg-1", method = "switchover" },
    },
    { name = "nothing left", given = {}, expect = { action = "finish" } },
  },
}
