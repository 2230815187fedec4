-- What one instance has that the others have not: nothing.
-- luacheck: read globals policy
-- This is the built-in policy.
return policy "instance/v1" {
  decide = function()
    return {}
  end,

  cases = {
    { name = "all instances are equal", given = { instance = { name = "pg-2", ordinal = 2 } }, expect = {} },
  },
}
