-- One replica first. It has to stand the load for ten minutes; when it crashes or is slow, everything goes back to
-- what it was. Where that cannot be, nothing goes on until somebody says that it is urgent.
return policy "rollout/v1" {
  params = { soak = duration "10m", max_lag = bytes "64MiB", max_slower = num(1.5) },

  decide = function(ctx)
    local p = ctx.params
    for _, i in ipairs(ctx.updated) do
      local slower = i.p99_ms and ctx.baseline.p99_ms and i.p99_ms / ctx.baseline.p99_ms or 1
      local reason = i.crashes > 0 and "CanaryCrashed" or slower > p.max_slower and "LatencyRegression"
      if reason and not ctx.urgent then
        local why = ("%s crashed %d times and is %.1f times as slow as before"):format(i.name, i.crashes, slower)
        return ctx.can_roll_back and rollback(reason, why) or wait(reason, ctx.now + 600, why)
      elseif not i.ready or i.replay_lag > p.max_lag then
        return wait("CanaryNotWell", ctx.now + 30, "%s is not well yet", i.name)
      end
    end
    if #ctx.pending > 0 and #ctx.updated > 0 and ctx.now < ctx.last_change + p.soak then
      return wait("Soaking", ctx.last_change + p.soak)
    end
    for _, role in ipairs { "replica", "primary" } do
      for _, i in ipairs(ctx.pending) do
        if i.role == role then
          return i.safe and update(i.name, role == "primary" and ctx.primary_method or "restart")
            or wait("NotSafe", ctx.now + 10)
        end
      end
    end
    return finish("AllUpdated")
  end,
}
