-- Slow statements are logged where the writes are; replicas log only what is really slow, and no connections.
return policy "instance/v1" {
  params = { primary = str "500ms", replica = str "10s" },

  decide = function(ctx)
    local is_primary = ctx.instance.role == "primary"
    return { parameters = {
      log_min_duration_statement = is_primary and ctx.params.primary or ctx.params.replica,
      log_connections = is_primary and "on" or "off",
    } }
  end,
}
