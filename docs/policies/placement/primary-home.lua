-- The first instance likes one zone; machines that are for others are left alone.
return policy "placement/v1" {
  params = { home = str, classes = list(str) },

  decide = function(ctx)
    local out = { required = array {}, preferred = array {} }
    if ctx.instance.ordinal == 1 then
      out.preferred:add {
        weight = 100,
        node = { key = "topology.kubernetes.io/zone", op = "In", values = array { ctx.params.home } },
      }
    end
    if #ctx.params.classes > 0 then
      out.required:add { node = { key = "example.com/class", op = "NotIn", values = ctx.params.classes } }
    end
    return out
  end,
}
