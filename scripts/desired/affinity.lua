--- Where a pod may run: the manifest's rules, and what the placement policy adds to them.
-- luacheck: read globals array
local access = require("admission.access")
local names = require("desired.names")

local affinity = {}

local function append(list, more)
  for _, item in ipairs(more or {}) do
    list[#list + 1] = access.copy(item)
  end
  return list
end

local function keep_apart(c, label, operator, values)
  return {
    labelSelector = { matchExpressions = array {
      { key = names.CLUSTER, operator = "In", values = array { c.name } },
      { key = label, operator = operator, values = values },
    } },
    topologyKey = access.text(c.spec, "affinity", "topologyKey") or "kubernetes.io/hostname",
  }
end

--- Instances stay apart. Jobs that clone stay apart from each other too: the volume that a job is the first
--- to use decides where the instance will run for good.
local function own_terms(c, of_job)
  if access.get(c.spec, "affinity", "enablePodAntiAffinity") == false then
    return {}
  end
  local terms = { keep_apart(c, names.POD_ROLE, "In", array { "instance" }) }
  if of_job then
    terms[#terms + 1] = keep_apart(c, names.JOB_ROLE, "Exists")
  end
  return terms
end

local function pod_anti_affinity(c, of_job)
  local given = access.map(c.spec, "affinity", "additionalPodAntiAffinity")
  local required, preferred = array {}, array {}
  local strict = access.get(c.spec, "affinity", "podAntiAffinityType") == "required"
  for _, term in ipairs(own_terms(c, of_job)) do
    if strict then
      required[#required + 1] = term
    else
      preferred[#preferred + 1] = { weight = 100, podAffinityTerm = term }
    end
  end
  append(required, given.requiredDuringSchedulingIgnoredDuringExecution)
  append(preferred, given.preferredDuringSchedulingIgnoredDuringExecution)
  if #required == 0 and #preferred == 0 then
    return nil
  end
  return {
    requiredDuringSchedulingIgnoredDuringExecution = #required > 0 and required or nil,
    preferredDuringSchedulingIgnoredDuringExecution = #preferred > 0 and preferred or nil,
  }
end

local function expression(node)
  return { key = node.key, operator = node.op, values = access.copy(node.values) }
end

--- Every alternative of the manifest has to meet the policy's terms as well.
local function require_nodes(out, terms)
  local required = out.requiredDuringSchedulingIgnoredDuringExecution or {}
  local alternatives = required.nodeSelectorTerms
  if not alternatives or #alternatives == 0 then
    alternatives = array { {} }
  end
  for _, alternative in ipairs(alternatives) do
    alternative.matchExpressions = alternative.matchExpressions or array {}
    for _, term in ipairs(terms) do
      alternative.matchExpressions[#alternative.matchExpressions + 1] = expression(term.node)
    end
  end
  required.nodeSelectorTerms = alternatives
  out.requiredDuringSchedulingIgnoredDuringExecution = required
end

local function prefer_nodes(out, terms)
  local preferred = out.preferredDuringSchedulingIgnoredDuringExecution or array {}
  for _, term in ipairs(terms) do
    preferred[#preferred + 1] = { weight = term.weight or 100,
      preference = { matchExpressions = array { expression(term.node) } } }
  end
  out.preferredDuringSchedulingIgnoredDuringExecution = preferred
end

local function with_node(terms)
  local out = {}
  for _, term in ipairs(terms or {}) do
    if access.has(term, "node") then
      out[#out + 1] = term
    end
  end
  return out
end

local function node_affinity(c, placement)
  local out = access.copy(access.get(c.spec, "affinity", "nodeAffinity")) or {}
  local required, preferred = with_node(placement.required), with_node(placement.preferred)
  if #required > 0 then
    require_nodes(out, required)
  end
  if #preferred > 0 then
    prefer_nodes(out, preferred)
  end
  return next(out) ~= nil and out or nil
end

--- The affinity of a pod.
---@param c desired.Context
---@param placement table? the policy's answer
---@param of_job boolean
---@return table?
function affinity.build(c, placement, of_job)
  local out = {
    nodeAffinity = node_affinity(c, placement or {}),
    podAffinity = access.copy(access.get(c.spec, "affinity", "additionalPodAffinity")),
    podAntiAffinity = pod_anti_affinity(c, of_job),
  }
  return next(out) ~= nil and out or nil
end

--- Node labels that a pod asks for; the manifest's win.
---@return table<string, string>?
function affinity.node_selector(c, placement)
  local out = access.copy((placement or {}).node_selector) or {}
  for _, key in ipairs(access.keys(access.map(c.spec, "affinity", "nodeSelector"))) do
    out[key] = c.spec.affinity.nodeSelector[key]
  end
  return next(out) ~= nil and out or nil
end

--- Spread constraints: the manifest's, then the policy's.
---@return table[]?
function affinity.spread(c, placement)
  local out = append(array {}, c.spec.topologySpreadConstraints)
  for _, entry in ipairs((placement or {}).spread or {}) do
    out[#out + 1] = { maxSkew = entry.max_skew or 1, topologyKey = entry.key,
      whenUnsatisfiable = entry.when_unsatisfiable or "ScheduleAnyway",
      labelSelector = { matchLabels = { [names.CLUSTER] = c.name } } }
  end
  return #out > 0 and out or nil
end

--- The answer for an instance that has its volume already: the volume decides where it runs, so that what the
--- policy requires becomes a wish.
---@param placement table
---@return table
function affinity.softened(placement)
  local out = access.copy(placement)
  out.preferred = append(append(array {}, out.preferred), out.required)
  out.required, out.node_selector = array {}, nil
  for _, entry in ipairs(out.spread or {}) do
    entry.when_unsatisfiable = "ScheduleAnyway"
  end
  return out
end

--- True when the policy says nothing.
---@param placement table?
function affinity.is_empty(placement)
  for _, value in pairs(placement or {}) do
    if type(value) == "table" and next(value) ~= nil then
      return false
    end
  end
  return true
end

return affinity
