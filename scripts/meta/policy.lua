---@meta
--- The words of policies.

--- Declares a policy; the script returns it.
---
---     return policy "failover/v1" { params = { zone = str }, decide = function(ctx) ... end }
---@param point "failover/v1"|"placement/v1"
---@return fun(declaration: table): table
function policy(point) end

--- Types of parameters. Bare (`str`) a value is required, called (`str "x"`) it is the default.
str, int, num, flag, bytes, duration, cron = nil, nil, nil, nil, nil, nil, nil

--- One of the texts; the first is the default.
---@param ... string
function choice(...) end

--- A list; empty by default.
function list(of) end

--- Absent (nil) by default.
function optional(of) end

--- failover/v1: the order in which candidates may become primary. The first that is safe does.
---@param order string[]
function promote(order) end

--- failover/v1: wait, 30 s at most. Either a reason and a message, or a table with until_s.
---
---     hold("NoEligibleReplica", "%d candidates, none fresh enough", #ctx.candidates)
---     hold { reason = "Settling", message = "five seconds more", until_s = 5 }
---@param reason string|table one word that begins with a capital
---@param message string? with %d, %s, ... for what follows
function hold(reason, message, ...) end

--- placement/v1: do not create this instance now.
---@param reason string
---@param message string?
function reject(reason, message, ...) end

--- Names, smallest key first. Keys are compared element by element: true before false, numbers and texts
--- upwards; equal keys by name.
---
---     rank { { name = "b", key = { 1, 50 } }, { name = "a", key = { 0, 99 } } }   --> { "a", "b" }
---@param list { name: string, key: any[] }[]
---@return array
function rank(list) end
