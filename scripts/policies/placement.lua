-- Where an instance runs: spread over zones where there are several, as a wish and not as a condition.
-- luacheck: read globals policy array
-- This is the built-in policy. What the Cluster's own affinity says counts beside it.
return policy "placement/v1" {
  decide = function(ctx)
    local out = { required = array {}, preferred = array {}, spread = array {} }
    if #ctx.zones > 1 then
      out.spread:add {
        key = "topology.kubernetes.io/zone", max_skew = 1, when_unsatisfiable = "ScheduleAnyway",
      }
    end
    return out
  end,

  cases = {
    {
      name = "several zones: spread",
      given = { zones = { "zone1", "zone2" } },
      expect = { spread = { { key = "topology.kubernetes.io/zone", max_skew = 1 } } },
    },
    {
      name = "one zone: no rule",
      given = { zones = { "zone1" } },
      expect = { required = array {}, preferred = array {}, spread = array {} },
    },
  },
}
