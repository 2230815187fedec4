--- A writer that remembers what was acknowledged.
---
--- Every row has a number of its own. Only a statement that came back without an error counts as
--- acknowledged; one without an answer is unknown. No number is ever tried twice.
local state = require "chaos.lib.state"

local ledger = {}
ledger.__index = ledger

local function session(self, n)
  return self.cluster:conn(self.host, "chaos-writer-" .. n)
end

local function count(self, answer, number, at)
  if not answer.error then
    self.acked[#self.acked + 1] = number
    if at - self.last_ack > self.gap then self.gap, self.gap_at = at - self.last_ack, self.last_ack end
    self.last_ack = at
  elseif answer.code == "PG" then
    self.refused = self.refused + 1
    self.last_error = answer.error
  else
    self.unknown = self.unknown + 1
    self.last_error = answer.error
  end
end

local function write(self, n)
  local conninfo = session(self, n)
  local pause = self.sessions / self.rate
  local sql = ("INSERT INTO public.%s (n) VALUES ($1)"):format(self.name)
  while not self.stopping do
    local began = state.clock()
    self.number = self.number + 1
    local number = self.number
    local answer = state.ctx.sql { conninfo = conninfo, sql = sql, params = array { tostring(number) },
                                   timeout = self.timeout }
    local at = state.clock()
    count(self, answer, number, at)
    if answer.error then
      state.ctx.disconnect(conninfo)
      state.sleep(0.05)
    elseif began + pause > at then
      state.sleep(began + pause - at)
    end
  end
  state.ctx.disconnect(conninfo)
end

--- Begins to write; options: rate (rows a second), table_, sessions.
function ledger.start(cluster, options)
  local self = setmetatable({
    cluster = cluster, name = options.table_ or "chaos_ledger", rate = options.rate or 50,
    sessions = options.sessions or 2, timeout = options.timeout or 4, acked = array {}, number = 0, unknown = 0,
    refused = 0, gap = 0, gap_at = 0, host = cluster:rw(), stopping = false,
  }, ledger)
  cluster:make_table(self.name)
  self.last_ack = state.clock()
  self.fibers = {}
  for n = 1, self.sessions do
    self.fibers[n] = state.spawn(function() write(self, n) end)
  end
  return self
end

--- How many rows were acknowledged so far.
function ledger:count() return #self.acked end

--- Waits until rows are acknowledged that were not before; false: not in time.
function ledger:goes_on(timeout)
  local before, till = #self.acked, state.clock() + state.seconds(timeout)
  while #self.acked <= before do
    if state.clock() > till then return false end
    state.sleep(0.05)
  end
  return true
end

--- Ends; itself.
function ledger:stop()
  self.stopping = true
  for _, fiber in ipairs(self.fibers) do state.join(fiber) end
  local open = state.clock() - self.last_ack
  if open > self.gap then self.gap = open end
  state.say("writer: %d rows acknowledged, %d refused, %d unknown, longest pause %.1f s", #self.acked,
    self.refused, self.unknown, self.gap)
  return self
end

return ledger
