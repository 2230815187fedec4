--- One run of a scenario: parameters, the world, the end, the report.
local state = require "chaos.lib.state"
local faults = require "chaos.lib.faults"
local test = require "chaos.lib.test"
local worlds = require "chaos.lib.worlds"

local run = {}

local CONVERT = {
  str = function(v) return v end,
  int = function(v) return math.tointeger(tonumber(v)) end,
  num = function(v) return tonumber(v) end,
  flag = function(v)
    if type(v) == "boolean" then return v end
    local known = { ["true"] = true, yes = true, ["1"] = true, ["false"] = false, no = false, ["0"] = false }
    return known[v]
  end,
  duration = function(v)
    local ok, seconds = pcall(state.seconds, v)
    if not ok then state.refuse("%s", seconds) end
    return seconds
  end,
}

--- Values of the declared parameters; anything else is refused.
local function read_params(declared, given)
  local out = {}
  for name in pairs(given) do
    if not declared[name] then state.refuse("there is no parameter '%s'", name) end
  end
  for name, what in pairs(declared) do
    local value = given[name]
    if value == nil then value = what.default end
    if value == nil and name == "cluster" then value = "first" end
    if value == nil then state.refuse("parameter '%s' is missing", name) end
    out[name] = CONVERT[what.type](value)
    if out[name] == nil then state.refuse("parameter '%s': '%s' is no %s", name, tostring(value), what.type) end
  end
  return out
end

local function names_of(map)
  local out = {}
  for name in pairs(map or {}) do out[#out + 1] = name end
  return #out > 0 and table.concat(out, ", ") or "none"
end

local function prepare(def)
  local input = state.input
  state.params = read_params(def.params or {}, input.params or {})
  if input.without then
    if input.world ~= "sandbox" then state.refuse("--without is for sandboxes only") end
    if not (def.defence or {})[input.without] then
      state.refuse("defence '%s' is unknown here. HINT: %s", input.without, names_of(def.defence))
    end
  end
  state.world = worlds.open(input)
  state.say("%s in world %s, namespace %s, seed %d", def.kind, input.world, input.namespace, input.seed)
  if input.without then
    state.say("WITHOUT the defence '%s': %s", input.without, def.defence[input.without])
  end
end

--- Every fault must have left a trace, and there must be one.
local function check_evidence()
  faults.wait()
  if #state.faults == 0 then
    state.fail_kind = "evidence"
    state.fail("no fault happened")
  end
  for _, fault in ipairs(state.faults) do
    if not fault.evidence then
      state.fail_kind = "evidence"
      state.fail("nothing shows that this fault happened: %s %s", fault.verb, fault.target)
    end
  end
end

local function clean()
  if #state.undo > 0 then state.say("taking away what is still broken") end
  for i = #state.undo, 1, -1 do
    local ok, why = pcall(state.undo[i].fn)
    if not ok then state.say("cannot undo %s: %s", state.undo[i].what, tostring(why)) end
    state.undo[i] = nil
  end
end

local function main(def, o)
  state.input = o
  prepare(def)
  def.run(test)
  check_evidence()
  state.ended = true
end

--- Called in the VM for each fiber: 0 is the scenario, -1 its cleaning up, others were spawned.
function run.observe(def, ctx, o)
  state.ctx = ctx
  if o.fiber == 0 then
    main(def, o)
  elseif o.fiber == -1 then
    state.cleaning = true
    if not state.input then -- the VM is a new one: memory of the old one was used up
      state.input = o.given
      state.world = worlds.open(o.given)
      state.world.clear()
    end
    state.seconds_taken = state.clock()
    clean()
  elseif state.fibers[o.fiber] then
    state.fibers[o.fiber]()
  end
  return {}
end

-- --- the report --------------------------------------------------------------------------------

--- What ended it: nil when it passed.
local function verdict(failure)
  if state.refused then return { kind = "refused", text = state.refused } end
  if state.failed then return { kind = state.fail_kind or "check", text = state.failed } end
  if failure then
    return { kind = state.input and "error" or "refused", text = failure.message, traceback = failure.traceback }
  end
  if not state.ended then return { kind = "error", text = "the scenario did not come to its end" } end
end

local function what_happened(line)
  for _, f in ipairs(state.faults) do
    line("  fault    %7.1f s  %s %s: %s", f.at, f.verb, f.target, f.evidence or "NO EVIDENCE")
  end
  for _, r in ipairs(state.records) do line("  record   %7.1f s  %s = %s", r.at, r.name, tostring(r.value)) end
  for _, c in ipairs(state.checks) do line("  %-8s %7.1f s  %s", c.ok and "ok" or "NOT OK", c.at, c.text) end
end

local function lines_of(def, failed)
  local out = { "" }
  local seed = state.input and state.input.seed or 0
  local function line(fmt, ...) out[#out + 1] = fmt:format(...) end
  line("scenario %s, seed %d, %.1f s", def.kind, seed, state.seconds_taken or 0)
  what_happened(line)
  if failed then
    line("%s: %s", failed.kind == "check" and "FAILED" or failed.kind:upper(), failed.text)
    if failed.traceback and failed.kind == "error" then line("%s", failed.traceback) end
    line("again: --seed %d", seed)
  else
    line("PASSED")
  end
  return table.concat(out, "\n")
end

--- failure: {message=, traceback=} when the machinery ended the run, else nil.
function run.report(def, failure)
  local input = state.input or {}
  local failed = verdict(failure)
  return {
    scenario = def.kind, about = def.about, covers = def.covers or array {}, world = input.world,
    namespace = input.namespace, seed = input.seed, params = state.params or {}, without = input.without,
    seconds = state.seconds_taken, passed = failed == nil, failed = failed, draws = state.draws,
    steps = state.steps, faults = state.faults, records = state.records, checks = state.checks,
    refused = failed ~= nil and (failed.kind == "refused" or failed.kind == "error"),
    summary = lines_of(def, failed),
  }
end

return run
