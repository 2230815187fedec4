-- Commits shall be fast: replicas in the zone of the primary first, then those with the least lag. Only as many as
-- are required, and one to spare.
return policy "sync/v1" {
  params = { spare = int(1) },

  decide = function(ctx)
    local ranked = {}
    for _, c in ipairs(ctx.candidates) do
      ranked[#ranked + 1] = {
        name = c.name, key = { c.streaming, c.zone ~= nil and c.zone == ctx.primary.zone, c.member, c.flush_lag },
      }
    end
    local order, members, names, stays = rank(ranked), array {}, array {}, false
    for _, c in ipairs(ctx.candidates) do
      if c.member then
        members:add(c.name)
      end
    end
    for i, name in ipairs(order) do
      if i <= ctx.required + ctx.params.spare or (#members > 0 and not stays) then
        names:add(name)
        stays = stays or members:has(name)
      end
    end
    return { names = names }
  end,
}
