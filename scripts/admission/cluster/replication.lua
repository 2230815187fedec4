--- Checks of instances, synchronous replication and slots.
local access = require("admission.access")
local parameters = require("desired.parameters")
local regex = require("admission.regex")

local replication = {}

local STRATEGIES = { supervised = true, unsupervised = true, [""] = true }

-- How many instances there are (the CRD says so too).
local function instances(c)
  if c.instances < 1 then
    c:add("spec.instances", "at least one instance is needed, %d are asked for", c.instances)
  end
end

-- 14. Updates of the primary.
local function update_strategy(c)
  local strategy = access.get(c.spec, "primaryUpdateStrategy")
  if strategy ~= nil and not STRATEGIES[strategy] then
    c:add("spec.primaryUpdateStrategy", "'%s' is unknown: use supervised or unsupervised", tostring(strategy))
  elseif strategy == "supervised" and c.instances == 1 then
    c:add("spec.primaryUpdateStrategy",
      "supervised waits for a switchover, which one instance cannot make: use unsupervised")
  end
end

-- 15. Synchronous replicas, the old way.
local function sync_replicas(c)
  local least = access.int(c.spec, "minSyncReplicas") or 0
  local most = access.int(c.spec, "maxSyncReplicas") or 0
  if least < 0 then
    c:add("spec.minSyncReplicas", "%d is negative", least)
  end
  if least > most then
    c:add("spec.minSyncReplicas", "%d exceeds maxSyncReplicas (%d)", least, most)
  end
  if most < 0 then
    c:add("spec.maxSyncReplicas", "%d is negative", most)
  elseif most > 0 and c.instances > 0 and most >= c.instances then
    c:add("spec.maxSyncReplicas", "%d must be less than instances (%d)", most, c.instances)
  end
  if (least > 0 or most > 0) and access.has(c.spec, "postgresql", "synchronous") then -- 28
    c:add("spec.postgresql.synchronous",
      "minSyncReplicas and maxSyncReplicas are the old way of saying this: remove them")
  end
end

-- 29. Election constraint.
local function election_constraint(c)
  local section = access.map(c.spec, "postgresql", "syncReplicaElectionConstraint")
  if access.is_true(section, "enabled") and #access.list(section, "nodeLabelsAntiAffinity") == 0 then
    c:add("spec.postgresql.syncReplicaElectionConstraint.nodeLabelsAntiAffinity",
      "an enabled constraint needs the names of node labels here")
  end
end

-- 30, 31. Synchronous replication.
local function synchronous(c)
  local section = access.get(c.spec, "postgresql", "synchronous")
  if type(section) ~= "table" then
    return
  end
  local path, number = "spec.postgresql.synchronous", access.int(section, "number") or 0
  local named = #access.list(section, "standbyNamesPre") + #access.list(section, "standbyNamesPost")
  if number < 1 then
    c:add(path .. ".number", "the number of synchronous standbys must be greater than zero")
  elseif c.instances > 0 and number >= c.instances + named then
    c:add(path .. ".number", "%d standbys are asked for, there are only %d", number, c.instances + named - 1)
  end
  if access.is_true(section, "failoverQuorum") and number <= named then
    c:add(path .. ".failoverQuorum",
      "number (%d) must exceed the names in standbyNamesPre and standbyNamesPost (%d)", number, named)
  end
end

-- 31. The annotation that came before failoverQuorum.
local function quorum_annotation(c)
  local text = c.annotations["alpha.cnpg.io/failoverQuorum"]
  if text == nil then
    return
  end
  local path = "metadata.annotations[alpha.cnpg.io/failoverQuorum]"
  local wanted = access.boolean(text)
  if wanted == nil then
    c:add(path, "'%s' is not a boolean: use spec.postgresql.synchronous.failoverQuorum", tostring(text))
  elseif wanted and not access.has(c.spec, "postgresql", "synchronous") then
    c:add(path, "a failover quorum needs spec.postgresql.synchronous")
  end
end

-- 33. Slots that are not copied.
local function exclude_patterns(c)
  local list = access.list(c.spec, "replicationSlots", "synchronizeReplicas", "excludePatterns")
  for i, pattern in ipairs(list) do
    local _, reason = regex.check(pattern)
    if reason then
      c:add(("spec.replicationSlots.synchronizeReplicas.excludePatterns[%d]"):format(i - 1),
        "'%s' is not a regular expression: %s", tostring(pattern), reason)
    end
  end
end

-- 34. Logical slots on standbys.
local function logical_decoding(c)
  if not access.is_true(c.spec, "replicationSlots", "highAvailability", "synchronizeLogicalDecoding") then
    return
  end
  local path = "spec.replicationSlots.highAvailability.synchronizeLogicalDecoding"
  if parameters.uses_extension(c.spec, "pg_failover_slots") then
    return
  end
  if not c.major or c.major < 17 then
    c:add(path, "before PostgreSQL 17 this needs pg_failover_slots: set one of its parameters")
    return
  end
  for _, name in ipairs { "hot_standby_feedback", "sync_replication_slots" } do
    if c:parameter_is_on(name) ~= true then
      c:add("spec.postgresql.parameters." .. name, "synchronizeLogicalDecoding needs this to be on")
    end
  end
end

-- 35. pg_failover_slots.
local function failover_slots(c)
  if not parameters.uses_extension(c.spec, "pg_failover_slots") then
    return
  end
  if c:parameter_is_on("hot_standby_feedback") ~= true then
    c:add("spec.postgresql.parameters.hot_standby_feedback", "pg_failover_slots needs this to be on")
  end
  local slots = access.map(c.spec, "replicationSlots", "highAvailability")
  if access.get(slots, "enabled") == false then
    c:add("spec.replicationSlots.highAvailability.enabled", "pg_failover_slots needs this to be true")
  end
end

replication.checks = { instances, update_strategy, sync_replicas, election_constraint, synchronous,
  quorum_annotation, exclude_patterns, logical_decoding, failover_slots }

return replication
