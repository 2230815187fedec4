--- The primary and one standby are lost at once: the one that is left may not know all.
-- The operator shall live: that nobody serves must not be for want of one.
local function operators_node(t)
  local selector = "app.kubernetes.io/name=cloudnative-pg"
  for _, pod in ipairs(t.kube.list("pods", selector, t.params.operator_namespace) or {}) do
    if pod.status.phase == "Running" and not pod.metadata.deletionTimestamp then return pod.spec.nodeName end
  end
end

local function move_away(t, c, seat)
  local old, heir = c:primary(), t.pick(c:standbys())
  if c:node(old) ~= seat then return end
  t.step("the operator is where %s is: %s is to be primary", old, heir)
  c:promote(heir)
  t.eventually("60s", function() return c:primary() == heir end, heir .. " is primary")
  t.settled(c)
end

return scenario "double-fault" {
  about = "the nodes of the primary and of one standby are lost; the third waits for the second, and nothing is lost",
  covers = array { "D15", "D1", "B7", "I6" },
  params = { cluster = str, for_ = duration "15s", rto = duration "150s",
             operator_namespace = str "moonherd-system" },
  needs = array { "chaos:power:Node", "pg:query" },
  defence = { async = "no synchronous replication: whoever is left may be elected" },
  run = function(t)
    local c = t.cluster(t.params.cluster)
    t.settled(c)
    local seat = operators_node(t)
    move_away(t, c, seat)
    if t.without "async" then c:asynchronous() end
    local old, standbys = c:primary(), c:standbys()
    local lost, left = standbys[1], standbys[2]
    if t.rand(2) == 2 then lost, left = left, lost end
    if c:node(lost) == seat then lost, left = left, lost end
    local first, second = c:node(old), c:node(lost)
    local load = c:writer { rate = 100 }
    t.warm_up()
    local began = t.clock()
    t.step("%s (%s) and %s (%s) lose their power", first, old, second, lost)
    t.node_off(first)
    t.node_off(second)
    t.always(t.params.for_, function() return not c:writable(left) end,
      left .. " takes writes, though it may not know all")
    t.node_on(second)
    t.step("%s is on again", second)
    t.writes_go_on(load, began + t.params.for_, t.params.rto)
    t.node_on(first)
    t.step("%s is on again", first)
    t.one_primary(c, "3s")
    t.settled(c, "150s")
    t.none_missing(c, load)
  end,
}
