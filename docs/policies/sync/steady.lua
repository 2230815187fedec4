-- Change as little as possible: whoever is in the set stays while it streams; others fill up.
return policy "sync/v1" {
  decide = function(ctx)
    local ranked, stays = {}, 0
    for _, c in ipairs(ctx.candidates) do
      stays = stays + (c.member and c.streaming and 1 or 0)
      ranked[#ranked + 1] = { name = c.name, key = { c.member and c.streaming, c.streaming, c.member, c.name } }
    end
    local order, names, old = rank(ranked), array {}, false
    local is_member = {}
    for _, c in ipairs(ctx.candidates) do
      is_member[c.name] = c.member
    end
    for i, name in ipairs(order) do
      if i <= math.max(stays, ctx.required) or (is_member[name] and not old) then
        names:add(name)
        old = old or is_member[name]
      end
    end
    return { names = names }
  end,
}
