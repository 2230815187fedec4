-- Who is told: the target "default" of all warnings that came together, each reason once in ten minutes.
-- luacheck: read globals policy array
-- This is the built-in policy.
local QUIET_S = 600

return policy "notify/v1" {
  decide = function(ctx)
    local messages, told, lines, severe = array {}, {}, {}, {}
    for _, r in ipairs(ctx.recent) do
      told[r.key] = r.target == "default" and ctx.now - r.at < QUIET_S or told[r.key]
    end
    for _, e in ipairs(ctx.events) do
      if e.type == "Warning" and not told[e.reason] then
        severe[e.reason] = (severe[e.reason] or 0) + e.count
        lines[e.reason] = e.message
      end
    end
    local who = ctx.cluster.namespace .. "/" .. ctx.cluster.name
    if not ctx.targets:has("default") then
      return { messages = messages }
    end
    for reason, count in pairs(severe) do
      if #messages < 10 then
        messages:add {
          target = "default", key = reason, severity = "warning", text = lines[reason],
          title = ("%s: %s (%d)"):format(who, reason, count):sub(1, 200),
        }
      end
    end
    return { messages = messages }
  end,

  cases = {
    {
      name = "warnings of one reason are one message",
      given = { events = {
        { type = "Warning", reason = "PolicyFailed", message = "one" },
        { type = "Warning", reason = "PolicyFailed", message = "two" },
        { reason = "CreatingInstance" },
      } },
      expect = { messages = { { title = "default/pg: PolicyFailed (2)", text = "two" } } },
    },
    {
      name = "not again within ten minutes",
      given = { now = 1767225600, events = { { type = "Warning", reason = "PolicyFailed" } },
        recent = { { target = "default", key = "PolicyFailed", at = 1767225300 } } },
      expect = { messages = array {} },
    },
    {
      name = "no target: nothing",
      given = { targets = array {}, events = { { type = "Warning" } } },
      expect = { messages = array {} },
    },
  },
}
