--- A failover while the API server answers late, with conflicts, "too many requests" and errors.
return scenario "api-trouble" {
  about = "the API server is slow, throttles, answers conflicts and errors while the primary's pod is lost",
  covers = array { "A2", "A3", "A4", "A5" },
  params = { cluster = str, rto = duration "90s", percent = int(30) },
  needs = array { "chaos:api", "chaos:delete:Pod", "pg:query" },
  defence = { flush = "a commit is answered before it is on a disk (synchronous_commit = off)" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local load = c:writer { rate = 200, sessions = 4, unflushed = t.without "flush" }
    local some = { percent = t.params.percent }
    t.step("the API server is slow, throttles, and answers with conflicts and errors")
    t.api("slow", { ms = 200, percent = t.params.percent })
    t.api("throttle", some)
    t.api("conflict", some)
    t.api("error", some)
    t.warm_up()
    local old, began = c:primary(), t.clock()
    t.step("pod %s dies and is deleted by force", old)
    t.kill(old, "manager")
    t.delete_pod(old)
    t.writes_go_on(load, began, t.params.rto)
    t.one_primary(c, "3s")
    for _, kind in ipairs { "slow", "throttle", "conflict", "error" } do t.api_heal(kind) end
    t.step("the API server is well")
    t.settled(c)
    t.none_missing(c, load)
  end,
}
