-- An acknowledged write is in another zone: replicas elsewhere first; those beside the primary only when there are
-- too few others.
return policy "sync/v1" {
  decide = function(ctx)
    local away, near = {}, {}
    for _, c in ipairs(ctx.candidates) do
      local group = c.zone and c.zone ~= ctx.primary.zone and away or near
      group[#group + 1] = { name = c.name, key = { c.streaming, c.member, c.flush_lag } }
    end
    local names = rank(away)
    local has_member = false
    for _, c in ipairs(ctx.candidates) do
      has_member = has_member or c.member and names:has(c.name)
    end
    for _, name in ipairs(rank(near)) do
      if #names < ctx.required or not has_member then -- one of the present members stays
        names:add(name)
      end
    end
    return { names = names }
  end,
}
