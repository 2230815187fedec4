-- Who is in the synchronous set: everybody; those that stream come first, then by name.
-- luacheck: read globals policy rank
-- This is the built-in policy.
return policy "sync/v1" {
  decide = function(ctx)
    local ranked = {}
    for _, c in ipairs(ctx.candidates) do
      ranked[#ranked + 1] = { name = c.name, key = { c.streaming, c.name } }
    end
    return { names = rank(ranked) }
  end,

  cases = {
    {
      name = "all of them, streaming ones first",
      given = { candidates = { { name = "pg-2", streaming = false }, { name = "pg-4" }, { name = "pg-3" } } },
      expect = { names = { "pg-3", "pg-4", "pg-2" } },
    },
  },
}
