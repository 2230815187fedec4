---@meta
--- What a scenario has (docs/chaos.md). Times are seconds, or texts: "500ms", "30s", "1m30s", "2h".

---@class chaos.parameter
---@field type "str"|"int"|"num"|"flag"|"duration"
---@field default any

--- Types of parameters: `int`, or `int(5)` with a default. A scenario sees a duration as seconds.
---@type chaos.parameter
str, int, num, flag, duration = nil, nil, nil, nil, nil

---@class chaos.declaration
---@field about string one sentence: what breaks, and what must hold
---@field covers array ids of failures and invariants: "A1", "I2"
---@field params table<string, chaos.parameter>? `cluster = str` is "first" if it is not given
---@field needs array? what it must be allowed to do, for people
---@field defence table<string, string>? what --without can switch off (sandbox only): its name, and what is so then
---@field run fun(t: chaos.test)

--- Declares a scenario; the file returns it.
---@param name string the file's name without .lua
---@return fun(declaration: chaos.declaration): table
function scenario(name) end

---@class chaos.test
---@field params table<string, any>
---@field seed integer
---@field world "sandbox"|"cluster"
---@field namespace string
---@field kube chaos.kube
local t = {}

---@class chaos.cluster
---@field name string
local cluster = {}

---@class chaos.writer
---@field name string of its table
---@field acked array numbers of the rows that were acknowledged
local writer = {}

---@class chaos.fiber
local fiber = {}

--- The API. What fails answers nil, the reason and the HTTP status; nothing raises.
---@class chaos.kube
local kube = {}

-- --- time, dice, words -------------------------------------------------------------------------

---@return number seconds since the scenario began
function t.clock() end
---@param time number|string
function t.sleep(time) end
--- A number of 1..n; the same seed gives the same numbers.
---@param n integer
---@return integer
function t.rand(n) end
---@param list any[]
---@return any one of them, by the dice
function t.pick(list) end
--- Is it run with this defence switched off?
---@param name string
---@return boolean
function t.without(name) end
--- Says what happens next.
---@param fmt string
function t.step(fmt, ...) end
--- A figure for the report.
---@param name string
---@param value any
function t.record(name, value) end

-- --- what must be true; all of these end the scenario when it is not ----------------------------

---@param ok any
---@param fmt string
function t.check(ok, fmt, ...) end
--- fn is asked ten times a second until it gives something true, which is returned.
---@param timeout number|string
---@param fn fun(): any
---@param text string? what is waited for
function t.eventually(timeout, fn, text) end
--- fn must give something true each time it is asked.
---@param time number|string
---@param fn fun(): any
---@param text string? what it means if not
function t.always(time, fn, text) end
--- Every instance streams, as synchronously as the Cluster wants it.
---@param c chaos.cluster
---@param timeout number|string?
function t.settled(c, timeout) end
--- Rows that are sent half a second after `since` and the last fault, or later, are acknowledged; records the pause.
---@param load chaos.writer
---@param since number
---@param timeout number|string
function t.writes_go_on(load, since, timeout) end
---@param c chaos.cluster
---@param old string
---@param timeout number|string
---@return string primary another than old, which takes writes
function t.another_primary(c, old, timeout) end
--- At no look do two instances acknowledge writes.
---@param c chaos.cluster
---@param time number|string
function t.one_primary(c, time) end
--- Ends the writer; every row that was acknowledged is there.
---@param c chaos.cluster
---@param load chaos.writer
function t.none_missing(c, load) end
--- Half a second of load, and up to one more by the dice.
function t.warm_up() end

-- --- fibers ------------------------------------------------------------------------------------

--- Runs fn beside.
---@param fn fun(): any
---@return chaos.fiber
function t.spawn(fn) end
--- What it returned; nil if it is not done in time.
---@param timeout number|string?
function fiber:join(timeout) end
--- Waits for it; if it returned a writer, ends that.
function fiber:stop() end

-- --- faults: each must be proved, and is taken away at the end if the scenario did not ----------

---@param pod string
---@param what "postmaster"|"manager"|string or the name of a signal for the first process
function t.kill(pod, what) end
--- Scales a Deployment to nothing and waits until nothing of it runs; the function brings it back.
---@param name string
---@param ns string
---@return fun()
function t.scale_away(name, ns) end
--- Deletes it with no grace.
---@param pod string
function t.delete_pod(pod) end
---@param pod string
function t.freeze(pod) end
---@param pod string
function t.thaw(pod) end
--- Nothing passes between the two: a pod, "node:NAME", "api" or "*" (all but clients of the database).
---@param a string
---@param b string
function t.cut(a, b) end
--- Bytes between the two take so many milliseconds more.
---@param a string
---@param b string
---@param ms integer
function t.slow(a, b, ms) end
---@param a string as in cut or slow
---@param b string
function t.heal(a, b) end
--- from: "apiserver", "all" or a pod; for_: heals by itself after that.
---@param pod string
---@param options {from: string, for_: number|string?}
function t.partition(pod, options) end
---@param node string
function t.node_off(node) end
---@param node string
function t.node_on(node) end
--- "down"; in a sandbox also "slow", "throttle", "conflict", "error", "lose" (events of watches), "stale" (reads).
---@param kind string
---@param options {percent: integer?, ms: integer?, user: string?, resource: string?}?
function t.api(kind, options) end
---@param kind string
function t.api_heal(kind) end
--- The claim has so many bytes left. proof() gives a text once somebody has met it.
---@param claim string
---@param free integer
---@param proof fun(): string?
function t.disk_full(claim, free, proof) end
---@param claim string
function t.disk_free(claim) end
--- Something else that the scenario broke itself; with undo, a function that takes it away is returned.
---@param verb string
---@param target string
---@param proof fun(): string|false|nil
---@param undo fun()?
function t.fault(verb, target, proof, undo) end
--- Forgets faults that met nobody, as they may when several are on at once. None left: the scenario fails.
function t.only_proved() end
--- fn is called at the end, whatever happens.
---@param what string
---@param fn fun()
function t.on_end(what, fn) end

-- --- clusters ----------------------------------------------------------------------------------

---@param name string
---@return chaos.cluster
function t.cluster(name) end
--- A cluster of its own that goes at the end; returns once it is healthy.
---@param name string
---@param spec table
---@return chaos.cluster
function t.make_cluster(name, spec) end

---@return table? object as the API has it
function cluster:object() end
---@return string? pod nil while it changes
function cluster:primary() end
---@return array names of all instances but the primary
function cluster:standbys() end
---@return table[] pods of its instances
function cluster:pods() end
---@param pod string
---@return string? node
function cluster:node(pod) end
--- Does it acknowledge a write now?
---@param pod string
---@return boolean
function cluster:writable(pod) end
---@return array names of all instances that do, twice in a row
function cluster:writable_instances() end
---@return boolean
function cluster:healthy() end
---@return boolean
function cluster:all_streaming() end
--- One statement at a pod, as the application's user; nil and {error=, code=, sqlstate=} if it failed.
---@param pod string
---@param sql string
---@param timeout number?
---@return string[][]? rows, table answer
function cluster:ask(pod, sql, timeout) end
--- One statement through the service for writers, tried until it works.
---@param sql string
---@param params array?
---@param timeout number?
---@return string[][] rows
function cluster:through_rw(sql, params, timeout) end
--- Begins to write. rate: rows a second; sessions; table_ ("chaos_ledger"); pod: to this one, not through the
--- service; timeout of a statement; unflushed: commits are answered before they are on a disk.
---@param options {rate: number?, sessions: integer?, table_: string?, pod: string?, unflushed: boolean?}
---@return chaos.writer
function cluster:writer(options) end
---@param table_ string
---@param of chaos.writer
---@return array numbers that were acknowledged and are not there
function cluster:missing_rows(table_, of) end
--- Asks for another primary.
---@param pod string
function cluster:promote(pod) end
--- A merge patch of the spec, taken back at the end.
---@param spec table
function cluster:change(spec) end
--- No synchronous replication until the end.
function cluster:asynchronous() end

---@return integer rows acknowledged so far
function writer:count() end
--- Was a row acknowledged that was sent at this time or later?
---@param time number
---@return boolean
function writer:acked_since(time) end
--- The longest time without an acknowledgement that touches this time or a later one.
---@param time number
---@return number
function writer:pause_since(time) end
---@return chaos.writer
function writer:stop() end

-- --- the API -----------------------------------------------------------------------------------

---@param plural string "pods", "configmaps", "clusters", ...
---@param name string
---@param ns string? the scenario's own
function kube.get(plural, name, ns) end
---@param plural string
---@param selector string?
---@param ns string?
function kube.list(plural, selector, ns) end
---@param plural string
---@param object table
function kube.create(plural, object) end
---@param plural string
---@param name string
---@param change table a merge patch; null takes a field away
---@param ns string?
function kube.patch(plural, name, change, ns) end
---@param plural string
---@param name string
---@param options table? gracePeriodSeconds and so on
function kube.delete(plural, name, options) end
