-- Failovers and trouble wake somebody; all the rest goes to the team's chat, as one message.
local WAKE = array { "FailingOver", "FailoverDecision", "Error", "ReconcileFailed" }

return policy "notify/v1" {
  params = { pager = str "pager", chat = str "chat" },

  decide = function(ctx)
    local p, out, lines = ctx.params, array {}, {}
    local who = ctx.cluster.namespace .. "/" .. ctx.cluster.name
    for _, e in ipairs(ctx.events) do
      if WAKE:has(e.reason) and ctx.targets:has(p.pager) and #out < 9 then
        out:add { target = p.pager, key = e.reason, title = who .. ": " .. e.reason, text = e.message,
          severity = "critical" }
      end
      lines[#lines + 1] = ("%s: %s"):format(e.reason, e.message):sub(1, 180)
    end
    if #lines > 0 and ctx.targets:has(p.chat) then
      out:add { target = p.chat, key = "digest", title = ("%s: %d events"):format(who, #lines),
        text = table.concat(lines, "\n", 1, math.min(#lines, 20)) }
    end
    return { messages = out }
  end,
}
