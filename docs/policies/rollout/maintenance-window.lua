-- Restarts only in the maintenance window, never on a freeze day, but at once when somebody says that it is urgent
-- (the Cluster's annotation moonherd.io/urgent-update).
return policy "rollout/v1" {
  params = { window = cron "0 2 * * 6", length = duration "3h", freeze = list(str), zone = str "UTC" },

  decide = function(ctx)
    local p = ctx.params
    for _, i in ipairs(ctx.updated) do
      if not i.ready then
        return wait("NotReady", ctx.now + 10, "%s is not ready yet", i.name)
      end
    end
    if not ctx.urgent and #ctx.pending > 0 then
      local is_open, closes = time.in_window(ctx.now, p.window, p.length, p.zone)
      local is_frozen = p.freeze:has(time.format(ctx.now, "%Y-%m-%d", p.zone))
      if is_frozen or not is_open then
        local next_one = time.next(is_open and closes or ctx.now, p.window, p.zone) or ctx.now + 86400
        return wait(is_frozen and "FrozenDay" or "OutsideWindow", math.min(next_one, ctx.now + 30 * 86400),
          "the next window opens at %s", time.format(next_one, "%Y-%m-%d %H:%M", p.zone))
      end
    end
    for _, role in ipairs { "replica", "primary" } do
      for _, i in ipairs(ctx.pending) do
        if i.role == role then
          return i.safe and update(i.name, role == "primary" and ctx.primary_method or "restart")
            or wait("NotSafe", ctx.now + 10, "%s cannot be spared now", i.name)
        end
      end
    end
    return finish("AllUpdated")
  end,
}
