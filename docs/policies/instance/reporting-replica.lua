-- The last replica is for reports: more memory for each query, and queries that may take their time.
return policy "instance/v1" {
  params = { work_mem = str "256MB", memory = str "8Gi" },

  decide = function(ctx)
    if ctx.instance.role ~= "replica" or ctx.instance.ordinal ~= ctx.cluster.instances then
      return {}
    end
    local requests = {}
    for name, amount in pairs(ctx.resources.requests or {}) do
      requests[name] = amount
    end
    requests.memory = ctx.params.memory
    return {
      parameters = { work_mem = ctx.params.work_mem, max_standby_streaming_delay = "1h", statement_timeout = 0 },
      resources = { requests = requests, limits = { memory = ctx.params.memory } },
    }
  end,
}
