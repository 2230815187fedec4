--- A writer that remembers what was acknowledged.
---
--- Every row has a number of its own. Only a statement that came back without an error counts as
--- acknowledged; one without an answer is unknown. No number is ever tried twice.
local state = require "chaos.lib.state"

local ledger = {}
ledger.__index = ledger

-- Pauses shorter than this are nobody's concern, and are not kept.
local PAUSE_S = 0.2

--- A connection of its own for each session; to one pod only, if that was asked for.
local function session(self, n)
  local host = self.pod and self.cluster:address(self.pod) or self.host
  local conninfo = self.cluster:conn(host, "chaos-writer-" .. n)
  return self.settings and ("%s options='%s'"):format(conninfo, self.settings) or conninfo
end

local function acknowledged(self, number, began, at)
  self.acked[#self.acked + 1] = number
  local pause = at - self.last_ack
  if pause > PAUSE_S then self.pauses[#self.pauses + 1] = { from = self.last_ack, to = at } end
  self.last_ack = at
  if began > self.last_began then self.last_began = began end
end

local function count(self, answer, number, began, at)
  if not answer.error then
    acknowledged(self, number, began, at)
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
    count(self, answer, number, began, at)
    if answer.error then
      state.ctx.disconnect(conninfo)
      state.sleep(0.05)
    elseif began + pause > at then
      state.sleep(began + pause - at)
    end
  end
  state.ctx.disconnect(conninfo)
end

--- Begins to write. options: rate (rows a second), table_, sessions, timeout (of a statement),
--- pod (writes to this one, not through -rw), unflushed (commits are answered before they are on a disk).
function ledger.start(cluster, options)
  local self = setmetatable({
    cluster = cluster, name = options.table_ or "chaos_ledger", rate = options.rate or 50,
    sessions = options.sessions or 2, timeout = options.timeout or 4, acked = array {}, number = 0, unknown = 0,
    refused = 0, pauses = {}, last_began = 0, host = cluster:rw(), stopping = false, pod = options.pod,
    settings = options.unflushed and "-c synchronous_commit=off" or nil,
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

--- Was a row acknowledged that was sent at this time or later?
function ledger:acked_since(time) return self.last_began >= time end

--- The longest time without an acknowledgement that touches this time or a later one; at least 0.
function ledger:pause_since(time)
  local longest = self.stopping and 0 or state.clock() - self.last_ack
  for _, pause in ipairs(self.pauses) do
    if pause.to >= time then longest = math.max(longest, pause.to - pause.from) end
  end
  return longest
end

--- Ends; itself.
function ledger:stop()
  if self.stopping then return self end
  self.stopping = true
  for _, fiber in ipairs(self.fibers) do state.join(fiber) end
  state.say("writer of %s: %d rows acknowledged, %d refused, %d unknown, longest pause %.1f s", self.name,
    #self.acked, self.refused, self.unknown, self:pause_since(0))
  return self
end

return ledger
