--- The primary's disk is full.
-- About 40 MB, not to be compressed away.
local FILL = "INSERT INTO public.chaos_big "
  .. "SELECT n, repeat(md5(n::text), 60) FROM generate_series(1, 20000) n"

return scenario "disk-full" {
  about = "the primary's disk is full: nobody is promoted into the same trouble; with space again all goes on",
  covers = array { "E1", "E2" },
  params = { name = str "chaos-full", class = str "memory", size = str "512Mi", rto = duration "45s",
             image = str "ghcr.io/cloudnative-pg/postgresql:15" },
  needs = array { "chaos:fill:PersistentVolumeClaim", "k8s:write:Cluster", "pg:query" },
  defence = { room = "nobody gives the volume its space back" },
  run = function(t)
    t.step("cluster %s with disks of %s", t.params.name, t.params.size)
    local c = t.make_cluster(t.params.name, { instances = 2, imageName = t.params.image,
      postgresql = { synchronous = { method = "any", number = 1 } },
      storage = { size = t.params.size, storageClass = t.params.class } })
    t.settled(c)
    local old = c:primary()
    -- Space within the table, so that it is the log that finds none.
    c:through_rw "CREATE TABLE public.chaos_big (n bigint, t text) WITH (vacuum_truncate = off)"
    c:through_rw(FILL)
    c:through_rw "DELETE FROM public.chaos_big"
    c:through_rw "VACUUM public.chaos_big"
    local load = c:writer { rate = 200, sessions = 4 }
    t.warm_up()
    t.step("the disk of %s is full", old)
    local why
    t.disk_full(old, 0, function() return why end)
    t.eventually("60s", function()
      for _, sql in ipairs { FILL, "DELETE FROM public.chaos_big", "VACUUM public.chaos_big" } do
        local _, a = c:ask(old, sql, 20, "chaos-big")
        local o = c:object()
        local phase = o and o.status.phase
        if phase == "Not enough disk space" then
          why = phase .. ": " .. tostring(o.status.phaseReason)
        elseif a.error and (a.sqlstate == "53100" or a.error:find "o space left") then
          why = a.error
        end
      end
      return why
    end, "something fails for want of space")
    t.always("8s", function()
      local o = c:object()
      return o and o.status.targetPrimary == old
    end, "another one is to be promoted")
    local freed = t.clock()
    if not t.without "room" then t.disk_free(old) end
    t.step("there is space again")
    t.writes_go_on(load, freed, t.params.rto)
    t.settled(c)
    t.none_missing(c, load)
  end,
}
