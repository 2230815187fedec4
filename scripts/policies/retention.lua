-- Which backups stay: those of the last days that the Cluster asks for, and one from before.
-- luacheck: read globals policy retain array
-- This is the built-in policy. Without spec.backup.retentionPolicy everything stays.
return policy "retention/v1" {
  decide = function(ctx)
    local keep, has_older = {}, false
    for _, b in ipairs(ctx.backups) do -- newest first
      if not ctx.window then
        keep[b.id] = "no retention policy"
      elseif b.finished_at >= ctx.now - ctx.window then
        keep[b.id] = "within the window"
      elseif not has_older then
        keep[b.id], has_older = "where the window begins", true
      end
    end
    return retain(ctx, keep)
  end,

  cases = {
    {
      name = "one from before the window stays: recovery to its first day needs it",
      given = { window = 86400, now = 1767225600, backups = {
        { id = "d", finished_at = 1767222000 }, { id = "c", finished_at = 1767100000 },
        { id = "b", finished_at = 1767000000 }, { id = "a", finished_at = 1766900000 },
      } },
      expect = { keep = { d = "within the window", c = "where the window begins" }, expire = { "b", "a" } },
    },
    {
      name = "no window: all stay",
      given = { backups = { { id = "b" }, { id = "a" } } },
      expect = { expire = array {} },
    },
  },
}
