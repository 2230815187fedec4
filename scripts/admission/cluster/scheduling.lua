--- Checks of tolerations, affinity, environment and resources.
local access = require("admission.access")
local quantity = require("admission.quantity")

local scheduling = {}

local function label_name_fault(key)
  local prefix, name = key:match("^(.-)/(.*)$")
  name = name or key
  if #name > 63 or not name:match("^[%w][-%w_.]*$") or name:match("[-_.]$") then
    return "a label name holds letters, digits, -, _ and ., at most 63"
  end
  if prefix and (#prefix > 253 or not prefix:match("^[a-z0-9][-a-z0-9.]*$") or prefix:match("[-.]$")) then
    return "the part before / must be a DNS name"
  end
  return nil
end

local function value_fault(value)
  if value == "" or (#value <= 63 and value:match("^%w[-%w_.]*$") and not value:match("[-_.]$")) then
    return nil
  end
  return "a value holds letters, digits, -, _ and ., at most 63"
end

local function key_fault(key)
  if key ~= "" then
    return label_name_fault(key)
  end
end

local EFFECTS = { [""] = true, NoSchedule = true, PreferNoSchedule = true, NoExecute = true }
local OPERATORS = { [""] = true, Equal = true, Exists = true }

local function operator_fault(operator, key, value)
  if not OPERATORS[operator] then
    return ".operator", "use Exists or Equal"
  end
  if key == "" and operator ~= "Exists" then
    return ".operator", "without a key the operator must be Exists"
  end
  if operator == "Exists" and value ~= "" then
    return ".operator", "with Exists there is no value"
  end
  if operator ~= "Exists" and value_fault(value) then
    return ".value", value_fault(value)
  end
  return nil
end

local function toleration(c, path, one)
  local key, operator = access.text(one, "key") or "", access.text(one, "operator") or ""
  local value, effect = access.text(one, "value") or "", access.text(one, "effect") or ""
  local fault = key_fault(key)
  if fault then
    c:add(path .. ".key", "'%s': %s", key, fault)
  end
  local at, reason = operator_fault(operator, key, value)
  if reason then
    c:add(path .. at, "'%s': %s", at == ".value" and value or operator, reason)
  end
  if not EFFECTS[effect] then
    c:add(path .. ".effect", "'%s' is unknown: use NoSchedule, PreferNoSchedule or NoExecute", effect)
  end
  if access.get(one, "tolerationSeconds") ~= nil and effect ~= "NoExecute" then
    c:add(path .. ".effect", "tolerationSeconds needs the effect NoExecute")
  end
end

-- 24. Tolerations.
local function tolerations(c)
  for i, one in ipairs(access.list(c.spec, "affinity", "tolerations")) do
    toleration(c, ("spec.affinity.tolerations[%d]"):format(i - 1), one)
  end
end

-- 25. Anti-affinity.
local function anti_affinity(c)
  local kind = access.get(c.spec, "affinity", "podAntiAffinityType")
  if kind ~= nil and kind ~= "" and kind ~= "preferred" and kind ~= "required" then
    c:add("spec.affinity.podAntiAffinityType", "'%s' is unknown: use preferred or required", tostring(kind))
  end
end

local RESERVED = { POD_NAME = true, NAMESPACE = true, CLUSTER_NAME = true }

--- True for environment variables that belong to the operator.
---@param name string
function scheduling.is_reserved_env(name)
  local upper = name:upper()
  return RESERVED[upper] or upper:sub(1, 5) == "CNPG_" or upper:sub(1, 2) == "PG"
end

-- 36. Environment.
local function environment(c)
  for i, one in ipairs(access.list(c.spec, "env")) do
    local name = access.text(one, "name") or ""
    if scheduling.is_reserved_env(name) then
      c:add(("spec.env[%d].name"):format(i - 1), "'%s' is set by the operator: choose another name", name)
    end
  end
end

local function read(c, kind, name)
  local value = access.get(c.spec, "resources", kind, name)
  if value == nil then
    return nil
  end
  local found, reason = quantity.parse(value)
  if not found then
    c:add(("spec.resources.%s.%s"):format(kind, name), "'%s' is %s", tostring(value), reason)
  end
  return found
end

local function huge_pages(c)
  local names, found = {}, false
  for _, kind in ipairs { "requests", "limits" } do
    for _, name in ipairs(access.keys(access.map(c.spec, "resources", kind))) do
      if name:sub(1, 10) == "hugepages-" then
        names[name] = true
        found = true
      end
    end
  end
  for _, name in ipairs(access.keys(names)) do
    local request, limit = read(c, "requests", name), read(c, "limits", name)
    if not limit or (request and quantity.compare(request, limit) ~= 0) then
      c:add("spec.resources.requests." .. name, "huge pages need a limit that equals the request")
    end
  end
  return found, names
end

local function has_cpu_or_memory(c)
  for _, kind in ipairs { "requests", "limits" } do
    for _, name in ipairs { "cpu", "memory" } do
      if access.get(c.spec, "resources", kind, name) ~= nil then
        return true
      end
    end
  end
  return false
end

local function covered_by_huge_pages(c, names, wanted)
  for _, name in ipairs(access.keys(names)) do
    local value = access.get(c.spec, "resources", "limits", name)
      or access.get(c.spec, "resources", "requests", name)
    local pages = quantity.parse(value)
    if pages and quantity.compare(pages, wanted) >= 0 then
      return true
    end
  end
  return false
end

-- 39. Resources.
local function resources(c)
  if not access.has(c.spec, "resources") then
    return
  end
  for _, name in ipairs { "cpu", "memory", "ephemeral-storage" } do
    local request, limit = read(c, "requests", name), read(c, "limits", name)
    if request and limit and quantity.compare(request, limit) > 0 then
      c:add("spec.resources.requests." .. name, "the request exceeds the limit")
    end
  end
  local found, names = huge_pages(c)
  if found and not has_cpu_or_memory(c) then
    c:add("spec.resources", "huge pages need cpu or memory beside them")
  end
  local memory = quantity.parse(access.get(c.spec, "resources", "requests", "memory"))
  local buffers = quantity.memory(c:parameter("shared_buffers"))
  if memory and buffers and quantity.compare(memory, buffers) < 0
    and not covered_by_huge_pages(c, names, buffers) then
    c:add("spec.resources.requests.memory", "less than shared_buffers (%s): ask for more, or lower that",
      c:parameter("shared_buffers"))
  end
end

scheduling.checks = { tolerations, anti_affinity, environment, resources }

return scheduling
