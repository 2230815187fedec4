--- What one run knows: shared by all modules of the scenario's VM.
local state = {
  ctx = nil, input = nil, params = nil, def = nil, world = nil,
  steps = array {}, records = array {}, checks = array {}, faults = array {}, notes = array {},
  fibers = {}, fiber_count = 0, undo = {}, made = {}, draws = 0, refused = nil, failed = nil,
}

function state.clock() return state.ctx.clock() end
function state.sleep(s) state.ctx.sleep(s) end

--- A line for people, with the time since the start.
function state.say(fmt, ...)
  state.ctx.say(("%7.1f s  %s"):format(state.clock(), fmt:format(...)))
end

--- Seconds of "30s", "500ms", "5m", "1h" or a number.
function state.seconds(value)
  if type(value) == "number" then return value end
  local total, rest = 0, value
  local units = { ms = 0.001, s = 1, m = 60, h = 3600 }
  while rest ~= "" do
    local n, unit, more = rest:match "^(%d+%.?%d*)(%a+)(.*)$"
    if not n or not units[unit] then error(("'%s' is no duration"):format(value), 0) end
    total, rest = total + tonumber(n) * units[unit], more
  end
  return total
end

--- Ends the scenario: a check is not true.
function state.fail(fmt, ...)
  state.failed = state.failed or fmt:format(...)
  error(fmt:format(...), 0)
end

--- Ends the scenario: it cannot run here.
function state.refuse(fmt, ...)
  state.refused = fmt:format(...)
  error(state.refused, 0)
end

--- The next number of the dice: xorshift, of the seed alone.
local dice
function state.draw(n)
  if not dice then
    dice = (state.input.seed * 6364136223846793005 + 1442695040888963407) | 1
  end
  dice = dice ~ (dice << 13)
  dice = dice ~ (dice >> 7)
  dice = dice ~ (dice << 17)
  return (dice >> 11) % n + 1
end

--- Runs fn beside; a handle that can be joined.
function state.spawn(fn)
  local id = state.fiber_count + 1
  local fiber = { done = false }
  state.fiber_count = id
  state.fibers[id] = function()
    fiber.result = fn(fiber)
    fiber.done = true
    state.fibers[id] = nil
  end
  state.ctx.spawn(id)
  return fiber
end

--- Waits for it; its result. nil when it is not done in time.
function state.join(fiber, timeout)
  local till = timeout and state.clock() + timeout
  while not fiber.done and not (till and state.clock() > till) do state.sleep(0.02) end
  return fiber.result
end

--- fn(item) for all of a list at once; the results in order.
function state.each(list, fn)
  local fibers = {}
  for i, item in ipairs(list) do
    fibers[i] = state.spawn(function() return fn(item) end)
  end
  local out = {}
  for i, fiber in ipairs(fibers) do out[i] = state.join(fiber) end
  return out
end

return state
