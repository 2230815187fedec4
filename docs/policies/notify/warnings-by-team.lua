-- Warnings go to the target that the Cluster's label "team" names; without one to "default".
return policy "notify/v1" {
  params = { label = str "team", quiet = duration "30m" },

  decide = function(ctx)
    local team = (ctx.cluster.labels or {})[ctx.params.label]
    local target = team and ctx.targets:has(team) and team or "default"
    local told, out = {}, array {}
    for _, r in ipairs(ctx.recent) do
      told[r.key] = told[r.key] or r.target == target and ctx.now - r.at < ctx.params.quiet
    end
    for _, e in ipairs(ctx.events) do
      if e.type == "Warning" and not told[e.reason] and ctx.targets:has(target) and #out < 10 then
        told[e.reason] = true
        out:add { target = target, key = e.reason, title = ctx.cluster.name .. ": " .. e.reason, text = e.message,
          severity = "warning" }
      end
    end
    return { messages = out }
  end,
}
