-- At most one restart in each zone across all clusters, so that a bad image or a bad node never takes two at once.
return policy "rollout/v1" {
  decide = function(ctx)
    local busy = {}
    for _, r in ipairs(ctx.fleet) do
      busy[r.zone or "?"] = r.namespace .. "/" .. r.name
    end
    for _, i in ipairs(ctx.updated) do
      if not i.ready then
        return wait("NotReady", ctx.now + 5, "%s is not ready yet", i.name)
      end
    end
    local blocked
    for _, role in ipairs { "replica", "primary" } do
      for _, i in ipairs(ctx.pending) do
        if i.role == role and i.safe and not busy[i.zone or "?"] then
          return update(i.name, role == "primary" and ctx.primary_method or "restart")
        elseif i.role == role then
          blocked = blocked or busy[i.zone or "?"] or i.name .. " cannot be spared"
        end
      end
      if blocked then
        return wait("ZoneBusy", ctx.now + 15, "waiting for %s", blocked)
      end
    end
    return finish("AllUpdated")
  end,
}
