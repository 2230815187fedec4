-- Instances on nodes with fast disks, as long as enough of them are ready; else only as a wish.
return policy "placement/v1" {
  params = { label = str "disk", value = str "nvme" },

  decide = function(ctx)
    local p, fast = ctx.params, 0
    for _, n in ipairs(ctx.nodes) do
      if n.ready and n.schedulable and (n.labels or {})[p.label] == p.value then
        fast = fast + 1
      end
    end
    local rule = { key = p.label, op = "In", values = array { p.value } }
    if fast >= ctx.cluster.instances then
      return { required = array { { node = rule } } }
    end
    return { preferred = array { { weight = 50, node = rule } } }
  end,
}
