---@meta
--- The words of policies.
--- Made by scripts/meta/generate.lua. `moonherd policy types` prints this for your editor.

---@class policy.Type: table
---@operator call(any): policy.Type

---@class policy.Declaration
---@field params? table<string, policy.Type>
---@field decide fun(ctx: table): table
---@field cases? { name: string?, given: table?, params: table?, expect: table? }[]
---@field description? string

---@class time.Date
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field min integer
---@field sec integer
---@field weekday integer 1 is Monday, 7 Sunday
---@field yearday integer
---@field week integer of ISO 8601
---@field week_year integer

time = {}

--- Declares a policy; the script returns it. The declaration has decide, and may have params, cases and description.
---@param point string "failover/v1" and so on
---@return fun(declaration: policy.Declaration): policy.Declaration
function policy(point) end

--- A text.
---@type policy.Type
str = nil

--- An integer.
---@type policy.Type
int = nil

--- A number.
---@type policy.Type
num = nil

--- true or false.
---@type policy.Type
flag = nil

--- A size; "16MiB" is read as an integer. Units: B, KiB, MiB, GiB, TiB (not Mi).
---@type policy.Type
bytes = nil

--- A time span; "10m" is read as seconds. Units: s, m, h, d.
---@type policy.Type
duration = nil

--- Five fields as in "0 2 * * 6"; numbers only, Sunday is 0 or 7.
---@type policy.Type
cron = nil

--- One of the texts; the first is the default.
---@param ... string
---@return policy.Type
function choice(...) end

--- A list; empty by default.
---@param of policy.Type
---@return policy.Type
function list(of) end

--- Absent (nil) by default.
---@param of policy.Type
---@return policy.Type
function optional(of) end

--- Names, smallest key first. Keys are compared element by element: true before false, numbers and texts upwards; equal keys by name.
---
---     rank { { name = "b", key = { 1, 50 } }, { name = "a", key = { 0, 99 } } }   --> { "a", "b" }
---
---     rank { { name = "b", key = { false } }, { name = "a", key = { false } }, { name = "c", key = { true } } }   --> { "c", "a", "b" }
---@param list { name: string, key: any[] }[]
---@return string[]
function rank(list) end

--- The first of these that is safe at that moment becomes primary.
---
---     promote { "pg-3" }   --> { action = "promote", target = "pg-3", order = { "pg-3" } }
---@param order string[]
---@return failover.promote
function promote(order) end

--- Wait, 30 s at most. Either a reason and a message, or a table with until_s.
---
---     hold("NobodyFresh", "%d candidates", 2)   --> { action = "hold", reason = "NobodyFresh", message = "2 candidates", until_s = 30 }
---
---     hold { reason = "Settling", until_s = 5 }   --> { action = "hold", reason = "Settling", until_s = 5 }
---@param reason string|table
---@param message? string
---@param ... any
---@return failover.hold
function hold(reason, message, ...) end

--- Do not create this instance now.
---
---     reject("TooFewZones", "%d are ready", 1)   --> { action = "reject", reason = "TooFewZones", message = "1 are ready" }
---@param reason string
---@param message? string
---@param ... any
---@return placement.reject
function reject(reason, message, ...) end

--- This instance is next. Without a method: restart.
---
---     update("pg-2")   --> { action = "update", target = "pg-2", method = "restart" }
---@param name string
---@param method? "restart"|"switchover"|nil
---@param message? string
---@param ... any
---@return rollout.update
function update(name, method, message, ...) end

--- Not now; ask again at that time.
---
---     wait("Soaking", 1767225900, "%d s left", 300)   --> { action = "wait", reason = "Soaking", at = 1767225900, message = "300 s left" }
---@param reason string
---@param at? integer unix seconds; without it in a minute
---@param message? string
---@param ... any
---@return wait
function wait(reason, at, message, ...) end

--- Take the change back.
---
---     rollback("CanaryCrashed")   --> { action = "rollback", reason = "CanaryCrashed" }
---@param reason string
---@param message? string
---@param ... any
---@return rollout.rollback
function rollback(reason, message, ...) end

--- All is done.
---
---     finish("AllUpdated")   --> { action = "finish", reason = "AllUpdated" }
---@param reason string
---@return rollout.finish
function finish(reason) end

--- Try this step now.
---
---     heal("rewind")   --> { action = "heal", step = "rewind" }
---@param step string
---@param message? string
---@param ... any
---@return heal.heal
function heal(step, message, ...) end

--- Take it now, from this instance.
---
---     backup("pg-2")   --> { action = "backup", from = "pg-2" }
---@param from string
---@param message? string
---@param ... any
---@return backup.start
function backup(from, message, ...) end

--- Keeps these; adds what has to stay (pinned ones, the newest, what a kept one needs), and lets at most half of all go at once. The rest goes the next time.
---
---     retain({ backups = { { id = "c" }, { id = "b" }, { id = "a" } } }, { b = "weekly" })   --> { keep = { c = "newest", b = "weekly" }, expire = { "a" } }
---@param ctx retention.input
---@param keep table<string, string> ids and the reason why they stay
---@return retention.retain
function retain(ctx, keep) end

--- Fields of a time: year, month, day, hour, min, sec, weekday (1 is Monday, 7 Sunday), yearday, and week and week_year of ISO 8601. A zone is "UTC" or a shift as "+02:00", here and below: names of zones and summer time are not known.
---
---     time.date(1767225600).weekday   --> 4
---
---     time.date(1767225600, "+02:00").hour   --> 2
---
---     time.date(1767225600).week   --> 1
---@param seconds integer
---@param zone? string "UTC" or "+02:00"
---@return time.Date
function time.date(seconds, zone) end

--- A text of a time; %Y %m %d %H %M %S %j %u %G %V as in strftime.
---
---     time.format(1767225600, "%Y-%m-%d %H:%M")   --> "2026-01-01 00:00"
---
---     time.format(1767225600, "%G-W%V")   --> "2026-W01"
---@param seconds integer
---@param pattern string
---@param zone? string
---@return string
function time.format(seconds, pattern, zone) end

--- The first time after that which the cron line names; nil if there is none in five years.
---
---     time.next(1767225600, "0 2 * * 6")   --> 1767405600
---
---     time.next(0, "0 0 30 2 *")   --> nil
---@param after integer
---@param cron string
---@param zone? string
---@return integer?
function time.next(after, cron, zone) end

--- Whether it is open now, and then also when it ends.
---
---     time.in_window(1767405660, "0 2 * * 6", 7200)   --> true
---
---     time.in_window(1767225600, "0 2 * * 6", 7200)   --> false
---@param now integer
---@param cron string when the window begins
---@param seconds integer how long it is
---@param zone? string
---@return boolean, integer?
function time.in_window(now, cron, seconds, zone) end
