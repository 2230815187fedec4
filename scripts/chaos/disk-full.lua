--- The primary's disk is full.
return scenario "disk-full" {
  about = "the primary's disk is full: nobody is promoted into the same trouble; with space again all goes on by itself",
  covers = array { "E1", "E2" },
  params = { name = str "chaos-full", class = str "memory", size = str "512Mi", image = str "", rto = duration "90s" },
  needs = array { "chaos:fill:PersistentVolumeClaim", "k8s:write:Cluster", "pg:query" },
  defence = { space = "the disk has room for what is written" },
  run = function(t)
    local image = t.params.image ~= "" and t.params.image
      or "ghcr.io/cloudnative-pg/postgresql:15"
    t.step("cluster %s with disks of %s", t.params.name, t.params.size)
    local c = t.make_cluster(t.params.name, { instances = 2, imageName = image,
      postgresql = { synchronous = { method = "any", number = 1 } },
      storage = { size = t.params.size, storageClass = t.params.class } })
    t.settled(c)
    local old = c:primary()
    local load = c:writer { rate = 50 }
    t.warm_up()
    local big = "INSERT INTO public.chaos_big SELECT repeat('x', 8000), n FROM generate_series(1, 2000) n"
    c:through_rw "CREATE TABLE public.chaos_big (t text STORAGE EXTERNAL, n bigint)"
    t.step("the disk of %s is full", old)
    local why
    t.disk_full(old, t.without "space" and 256 << 20 or 0, function() return why end)
    t.eventually("60s", function()
      local _, a = c:ask(old, big, 10, "chaos-big")
      if a.error and (a.sqlstate == "53100" or a.error:find "space") then why = a.error end
      return why
    end, "a statement fails for want of space")
    t.always("8s", function()
      local o = c:object()
      return o and o.status.targetPrimary == old
    end, "another one is to be promoted")
    local freed = t.clock()
    t.disk_free(old)
    t.step("there is space again")
    t.writes_go_on(load, freed, t.params.rto)
    t.settled(c)
    t.none_missing(c, load)
  end,
}
