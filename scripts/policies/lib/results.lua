-- luacheck: read globals array
--- The words for answers of the decision points beside failover and placement.
local host = ...
local error, format, ipairs, pairs, select, sub = error, string.format, ipairs, pairs, select, string.sub
local tostring, type = tostring, type
local array = array

local function text_of(message, ...)
  if message == nil then
    return nil
  end
  return sub(select("#", ...) > 0 and format(message, ...) or tostring(message), 1, 256)
end

--- wait(reason, at, message, ...): ask again at that time; without one, in a minute.
host.set("wait", function(reason, at, message, ...)
  return { action = "wait", reason = reason, at = at, message = text_of(message, ...) }
end)

--- update(name, method, message, ...): this one is next.
host.set("update", function(name, method, message, ...)
  return { action = "update", target = name, method = method or "restart", message = text_of(message, ...) }
end)

host.set("rollback", function(reason, message, ...)
  return { action = "rollback", reason = reason, message = text_of(message, ...) }
end)

host.set("finish", function(reason)
  return { action = "finish", reason = reason }
end)

--- backup(from, message, ...): take it now, from this instance.
host.set("backup", function(from, message, ...)
  return { action = "backup", from = from, message = text_of(message, ...) }
end)

--- heal(step, message, ...): try this now.
host.set("heal", function(step, message, ...)
  return { action = "heal", step = step, message = text_of(message, ...) }
end)

local function known_ids(backups, keep)
  local known = {}
  for _, b in ipairs(backups) do
    known[b.id] = true
  end
  for id in pairs(keep) do
    if not known[id] then
      error(format("retain: '%s' is no backup", tostring(id)), 3)
    end
  end
  return known
end

local function reason_of(backup, why, is_newest)
  return backup.pinned and "pinned" or why and tostring(why) or is_newest and "newest" or nil
end

--- What stays in any case: pinned ones, the newest, and what a kept one needs.
local function must_stay(backups, keep, known)
  local out = {}
  for at, b in ipairs(backups) do -- newest first: what a backup needs comes after it
    out[b.id] = reason_of(b, keep[b.id], at == 1) or out[b.id]
    for _, id in ipairs(out[b.id] and b.chain or {}) do
      out[id] = out[id] or known[id] and "needed by " .. b.id or nil
    end
  end
  return out
end

--- retain(ctx, keep): keep maps ids to the reason why they stay. Adds what has to stay, and lets at most half
--- go at once; the rest goes the next time.
host.set("retain", function(ctx, keep)
  if type(ctx) ~= "table" or type(ctx.backups) ~= "table" or type(keep) ~= "table" then
    error("retain: want retain(ctx, { id = reason, ... })", 2)
  end
  local out, expire = must_stay(ctx.backups, keep, known_ids(ctx.backups, keep)), array {}
  local most = #ctx.backups // 2
  for _, b in ipairs(ctx.backups) do
    if not out[b.id] and #expire < most then
      expire:add(b.id)
    else
      out[b.id] = out[b.id] or "next time"
    end
  end
  return { keep = out, expire = expire }
end)
