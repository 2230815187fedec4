-- Backups at night, unless a person asks for one or the last one is too old.
return policy "backup/v1" {
  params = { begins = cron "0 22 * * *", length = duration "7h", max_age = duration "30h", zone = str "UTC" },

  decide = function(ctx)
    local p, ranked = ctx.params, {}
    local is_old = ctx.last_at > 0 and ctx.now - ctx.last_at > p.max_age
    local is_open = time.in_window(ctx.now, p.begins, p.length, p.zone)
    local opens = time.next(ctx.now, p.begins, p.zone)
    if not (ctx.requested or is_old or is_open) and opens and opens <= ctx.due_at + 86400 then
      return wait("NotAtNight", opens)
    elseif ctx.running > 0 then
      return wait("BackupRunning", ctx.now + 60)
    end
    for _, i in ipairs(ctx.instances) do
      if i.ready then
        ranked[#ranked + 1] = { name = i.name, key = { i.role == "replica", i.replay_lag } }
      end
    end
    return #ranked > 0 and backup(rank(ranked)[1]) or wait("NoSource", ctx.now + 60)
  end,
}
