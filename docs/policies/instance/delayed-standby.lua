-- One replica lives some hours in the past: time to notice a DROP TABLE before it gets there.
-- (Use failover/not-the-delayed-one.lua with it, so that it does not become primary.)
return policy "instance/v1" {
  params = { name = str, delay = duration "4h" },

  decide = function(ctx)
    if ctx.instance.name ~= ctx.params.name then
      return {}
    end
    return { parameters = {
      recovery_min_apply_delay = ("%ds"):format(ctx.params.delay),
      hot_standby_feedback = "off", -- its old queries must not keep rows on the primary
    } }
  end,
}
