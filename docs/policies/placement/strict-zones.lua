-- One instance in each zone, or none: refusing early beats a pod that stays Pending.
return policy "placement/v1" {
  decide = function(ctx)
    if #ctx.zones < ctx.cluster.instances then
      return reject("TooFewZones", "%d instances need as many zones, %d are ready", ctx.cluster.instances, #ctx.zones)
    end
    return { spread = array {
      { key = "topology.kubernetes.io/zone", max_skew = 1, when_unsatisfiable = "DoNotSchedule" },
    } }
  end,
}
