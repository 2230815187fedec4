--- Policies are edited while the cluster is under load: the good one is obeyed, bad ones stop nothing.
local function failover(body)
  return "return policy \"failover/v1\" {\n  decide = function(ctx)\n" .. body .. "\n  end,\n}\n"
end

local PREFER = [[
    local ranked = {}
    for _, c in ipairs(ctx.candidates) do
      ranked[#ranked + 1] = { name = c.name, key = { c.name == "%s" and 0 or 1, c.name } }
    end
    return promote(rank(ranked))]]

-- Only for this cluster, so that no check before it is used can see what it does.
local LOOP = [[
    if ctx.cluster.name == "%s" then while true do end end
    return promote({})]]

return scenario "policy-edit" {
  about = "a policy says who is next and is obeyed; one that loops for ever delays nothing; both edited under load",
  covers = array { "B4", "B5", "B6", "I20" },
  params = { cluster = str, rto = duration "150s" },
  needs = array { "chaos:power:Node", "k8s:write:ConfigMap", "pg:query" },
  defence = { policy = "the ConfigMap is not labelled as a policy" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local name = "chaos-policy"
    local load = c:writer { rate = 100 }
    local function put(script)
      local labels = t.without "policy" and {} or { ["moonherd.io/policy"] = "" }
      t.kube.delete("configmaps", name, {})
      local made, why = t.kube.create("configmaps", { apiVersion = "v1", kind = "ConfigMap",
        metadata = { name = name, labels = labels }, data = { ["failover.lua"] = script } })
      t.check(made, "the policy is written%s", why and ": " .. why or "")
      t.sleep(2)
    end
    t.on_end("policy " .. name, function() t.kube.delete("configmaps", name, {}) end)
    local function lose_primary()
      local old, began = c:primary(), t.clock()
      local node = c:node(old)
      t.step("%s, where %s is, loses its power", node, old)
      t.node_off(node)
      local new = t.another_primary(c, old, t.params.rto)
      t.writes_go_on(load, began, t.params.rto)
      t.node_on(node)
      t.settled(c, "150s")
      return new
    end
    -- The built-in policy takes the first of equals, so the last one shows who was obeyed.
    local names = c:standbys()
    table.sort(names)
    local want = names[#names]
    t.step("a policy says: %s first", want)
    put(failover(PREFER:format(want)))
    local new = lose_primary()
    t.check(new == want, "%s is primary, the policy wants %s", new, want)
    t.step("the policy is one that never answers")
    put(failover(LOOP:format(c.name)))
    lose_primary()
    t.none_missing(c, load)
  end,
}
