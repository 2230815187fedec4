-- By day each warning at once; by night only what repeats, so that a single hiccup wakes nobody.
return policy "notify/v1" {
  params = { begins = cron "0 22 * * *", length = duration "8h", zone = str "UTC", target = str "default" },

  decide = function(ctx)
    local p, out, seen = ctx.params, array {}, {}
    local is_night = time.in_window(ctx.now, p.begins, p.length, p.zone)
    for _, e in ipairs(ctx.events) do
      local is_worth = e.type == "Warning" and (not is_night or e.count >= 3)
      if is_worth and not seen[e.reason] and ctx.targets:has(p.target) and #out < 10 then
        seen[e.reason] = true
        out:add { target = p.target, key = e.reason, text = e.message,
          title = ("%s/%s: %s"):format(ctx.cluster.namespace, ctx.cluster.name, e.reason) }
      end
    end
    return { messages = out }
  end,
}
