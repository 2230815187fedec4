--- What an edit of a Cluster would do, step by step: plans as the controller does, in a world that does at
--- once what it is told. Pure, and nothing is changed.
-- luacheck: read globals array null
local access = require("admission.access")
local cluster = require("controllers.cluster")
local imagined = require("controllers.cluster.imagined")
local sorted = require("desired.sorted")

local foresee = {}

-- PostgreSQL reads these when it starts, and then never again.
local AT_START = {}
for name in ([[archive_mode autovacuum_freeze_max_age autovacuum_multixact_freeze_max_age
  autovacuum_worker_slots bonjour bonjour_name cluster_name commit_timestamp_buffers data_sync_retry
  debug_io_direct dynamic_shared_memory_type event_source hot_standby huge_page_size huge_pages
  io_max_combine_limit io_max_concurrency io_method jit_provider listen_addresses logging_collector
  max_active_replication_origins max_connections max_files_per_process max_locks_per_transaction
  max_logical_replication_workers max_notify_queue_pages max_pred_locks_per_transaction
  max_prepared_transactions max_replication_slots max_wal_senders max_worker_processes
  min_dynamic_shared_memory multixact_member_buffers multixact_offset_buffers notify_buffers
  old_snapshot_threshold port reserved_connections serializable_buffers shared_buffers shared_memory_type
  shared_preload_libraries subtransaction_buffers superuser_reserved_connections track_activity_query_size
  track_commit_timestamp transaction_buffers wal_buffers wal_decode_buffer_size wal_level
  wal_log_hints]]):gmatch("%S+") do
  AT_START[name] = true
end

-- A standby may not have less of these than its primary.
local AT_LEAST = { max_connections = true, max_worker_processes = true, max_wal_senders = true,
  max_prepared_transactions = true, max_locks_per_transaction = true }

local RELOADED = { "parameters", "pg_hba", "pg_ident", "synchronous", "shared_preload_libraries" }

local CALM = { healthy = true, bootstrapping = true }

local function step_of(verb, kind, name, why)
  return { verb = verb, kind = kind, name = name, why = why }
end

local function parameters(object)
  return access.get(object, "spec", "postgresql", "parameters") or {}
end

--- Names of parameters that differ, sorted.
local function changed_parameters(old, new)
  local a, b, names = parameters(old), parameters(new), {}
  for name, value in pairs(a) do
    names[name] = tostring(b[name]) ~= tostring(value) or nil
  end
  for name, value in pairs(b) do
    names[name] = tostring(a[name]) ~= tostring(value) or nil
  end
  return sorted.keys(names)
end

local function decreases(old, new, name)
  local a, b = tonumber(parameters(old)[name]), tonumber(parameters(new)[name])
  return AT_LEAST[name] and a ~= nil and b ~= nil and b < a
end

local function differs(old, new, key)
  local a, b = access.get(old, "spec", "postgresql", key), access.get(new, "spec", "postgresql", key)
  return not access.equal(a, b)
end

--- What the new configuration asks of a running PostgreSQL.
local function needs(old, new, changed)
  local restart, decrease = differs(old, new, "shared_preload_libraries"), false
  for _, name in ipairs(changed) do
    restart = restart or AT_START[name] or false
    decrease = decrease or decreases(old, new, name) or false
  end
  return restart, decrease
end

--- What the managers will report once they have read the new configuration.
local function configure(seen, old, steps)
  local new, what = seen.cluster, {}
  local changed = changed_parameters(old, new)
  local restart, decrease = needs(old, new, changed)
  for _, key in ipairs(RELOADED) do
    if differs(old, new, key) then
      what[#what + 1] = key == "parameters" and table.concat(changed, ", ") or key
    end
  end
  if #what > 0 then
    steps[1] = step_of("reload", "Cluster", new.metadata.name, table.concat(what, ", ") .. " changed")
  end
  for _, report in pairs(seen.reports or {}) do
    report.pendingRestart = restart or report.pendingRestart
    report.pendingRestartForDecrease = decrease or report.pendingRestartForDecrease
  end
  imagined.read_config(seen)
end

local function size_of(action)
  return access.get(action, "body", "spec", "resources", "requests", "storage")
end

local SHOW = {}

function SHOW.create(_, action, why)
  return step_of("create", action.object.kind, action.object.metadata.name, why)
end

function SHOW.apply(seen, action, why)
  local kind, name = action.object.kind, action.object.metadata.name
  return step_of(imagined.get(seen, kind, name) and "update" or "create", kind, name, why)
end

function SHOW.delete(_, action, why)
  return step_of("delete", action.kind, action.name, why)
end

function SHOW.renew(_, action, why)
  return step_of("renew", action.kind, action.name, why)
end

function SHOW.patch(seen, action, why)
  local size, object = size_of(action), imagined.get(seen, action.kind, action.name)
  if size and object then
    local step = step_of("resize", action.kind, action.name, why)
    step.from, step.to = object.size, size
    return step
  end
  return step_of("update", action.kind, action.name, why)
end

function SHOW.instance(_, action, why)
  if action.command == "restart" then
    return step_of("restart", "PostgreSQL", action.pod, action.reason or why)
  end
  return nil
end

--- A pod that goes and comes again is one step.
local function add_step(steps, step)
  if step.verb == "create" and step.kind == "Pod" then
    for _, before in ipairs(steps) do
      if before.verb == "delete" and before.kind == "Pod" and before.name == step.name then
        before.verb = "restart"
        return
      end
    end
  end
  steps[#steps + 1] = step
end

--- One pass of the controller and its effects; true when it changed something.
local function round(seen, steps)
  local plan = cluster.plan(seen)
  local why, moved = plan.reason, false
  for _, action in ipairs(plan.actions) do
    local shown = SHOW[action.op] and SHOW[action.op](seen, action, why)
    if shown then
      add_step(steps, shown)
    end
    imagined.act(seen, action)
    moved = moved or shown ~= nil or action.op == "label"
  end
  local holder = access.get(seen, "lease", "holder")
  imagined.status(seen, plan.status)
  local target = seen.cluster.status.targetPrimary
  if holder and target and target ~= holder and imagined.get(seen, "Pod", target) then
    local step = step_of("switch over", "Instance", target, why)
    step.from, step.to = holder, target
    add_step(steps, step)
    imagined.switch(seen, target)
    moved = true
  end
  seen.verdict = { state = "healthy", reason = "", steps = array {}, candidates = array {} }
  return moved, plan
end

--- The next round. `state` is {seen, old} the first time, and then what the last round returned.
---@param state {seen: table, old: table?, steps: table[]?, rounds: integer?}
---@return table state with steps, and `rest`: what the cluster says of itself when nothing more is to be done
function foresee.step(state)
  local seen, steps = state.seen, state.steps or array {}
  if not state.rounds then
    local meta = seen.cluster.metadata
    meta.uid = meta.uid or "imagined"
    seen.needs = nil
    if state.old then
      configure(seen, state.old, steps)
    end
  end
  local verdict = seen.verdict or { state = "healthy" }
  if not CALM[verdict.state] then
    local rest = { phase = "not at rest", reason = verdict.reason }
    return { seen = seen, steps = steps, rounds = 1, rest = rest }
  end
  local moved, plan = round(seen, steps)
  seen.needs, seen.rollout = nil, nil -- what a policy says later is not known
  seen.now = seen.now + 1
  local out = { seen = seen, steps = steps, rounds = (state.rounds or 0) + 1 }
  if not moved then
    out.rest = { phase = access.get(seen, "cluster", "status", "phase"), reason = plan.reason }
  end
  return out
end

return foresee
