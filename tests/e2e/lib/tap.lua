--- Claims in TAP ("ok - claim"); the plan is left to the runner.
local sh = require("sh")
local M = { failed = 0, count = 0, on_failure = {} }

local prefix = os.getenv("E2E_SCENARIO") or "lab"

local function line(ok, claim, why)
  M.count = M.count + 1
  print(("%s - %s: %s"):format(ok and "ok" or "not ok", prefix, claim))
  if not ok then
    M.failed = M.failed + 1
    M.note(why or "no reason given")
  end
  io.stdout:flush()
  return ok
end

function M.note(text, ...)
  text = select("#", ...) > 0 and text:format(...) or tostring(text)
  for l in text:gmatch("[^\n]+") do
    print("#   " .. l)
  end
  io.stdout:flush()
end

function M.check(ok, claim, why, ...)
  if why and select("#", ...) > 0 then
    why = why:format(...)
  end
  return line(ok and true or false, claim, why)
end

function M.equal(got, want, claim)
  return line(got == want, claim, ("got %s, wanted %s"):format(tostring(got), tostring(want)))
end

--- The message of an error, and where in the scenarios it came from.
local function where(message)
  local out = { tostring(message) }
  for frame in debug.traceback("", 2):gmatch("[^\n]*tests/e2e/%w+%.lua:%d+[^\n]*") do
    out[#out + 1] = "at " .. frame:match("([%w_]+%.lua:%d+)")
  end
  return table.concat(out, "\n", 1, math.min(#out, 4))
end

--- A claim that holds when f raises no error and does not return false. Returns what f returned.
function M.test(claim, f)
  local t0 = sh.now()
  local ok, result, why = xpcall(f, where)
  if ok and result == false then
    ok, result = false, why or "it is not so"
  end
  line(ok, claim, result)
  if not ok then
    for _, hook in ipairs(M.on_failure) do
      pcall(hook)
    end
  end
  M.note("%.1f s", (sh.now() - t0) / 1000)
  return ok and (result == nil and true or result) or nil
end

--- A claim without which the rest of the file has no sense.
function M.must(claim, f)
  local result = M.test(claim, f)
  if result == nil then
    M.note("the rest of this scenario needs that and is not run")
    M.finish()
  end
  return result
end

local at_end = {}
function M.at_end(f)
  table.insert(at_end, 1, f)
end

function M.finish()
  for _, f in ipairs(at_end) do
    local ok, why = pcall(f)
    if not ok then
      M.note("cleaning up: %s", why)
    end
  end
  os.exit(M.failed == 0 and 0 or 1)
end

return M
