--- lua check.lua: plans under plain Lua what an operator observed on a real cluster, and compares the bytes. TAP.
local replay = dofile((arg[0]:match("^(.*/)") or "./") .. "replay.lua")

local WANTED = 100
local count, same, noticed, bad = 0, 0, 0, {}
local reasons, kinds_of_action = {}, {}

local function judge(record, recorded)
  local plan, why = replay.plan(record)
  count = count + 1
  if plan == recorded then
    same = same + 1
  elseif #bad < 5 then
    local said = ("%s/%s, %s"):format(record.namespace, record.name, recorded:match('"reason":"([^"]*)"') or "?")
    bad[#bad + 1] = said .. ": " .. (plan and replay.difference(recorded, plan) or why)
  end
  reasons[(recorded:match('"reason":"([^"]*)"') or "?"):gsub("%d+", "N")] = true
  for op in recorded:gmatch('"op":"(%w+)"') do kinds_of_action[op] = true end
  -- The comparison itself: the same plan for another object must not pass.
  local name = record.seen.cluster.metadata.name
  record.seen.cluster.metadata.name = name .. "x"
  noticed = noticed + (replay.plan(record) ~= recorded and 1 or 0)
end

replay.each(judge)

local failed = false
local function claim(ok, text, ...)
  failed = failed or not ok
  print(("%s - %s"):format(ok and "ok" or "not ok", text:format(...)))
end
local function size(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

claim(count >= WANTED, "at least %d observations of real runs are there: %d", WANTED, count)
claim(size(reasons) >= 30 and size(kinds_of_action) >= 5, "they are varied: %d reasons, %d kinds of action",
  size(reasons), size(kinds_of_action))
claim(count > 0 and same == count, "plain %s plans each as the operator did, byte for byte: %d of %d", _VERSION, same,
  count)
for _, text in ipairs(bad) do print("# " .. text:gsub("\n", "\n# ")) end
if #bad > 0 then print("# HINT: after a wanted change of scripts: tests/lua/recorded/record renew") end
claim(noticed > 0, "a changed observation changes the plan: %d of %d", noticed, count)
os.exit(not failed)
