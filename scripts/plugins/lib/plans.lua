-- luacheck: read globals array null
--- From what a plugin's plan returned to a plan of the operator: the shape of every action is checked, what
--- is made belongs to the object, conditions are written, finalizers come and go. Trusted, over hostile data.
local schema = require("plugins.lib.schema")
local sorted = require("desired.sorted")
local access = require("admission.access")

local plans = {}

local fail = schema.fail
local ACTIONS = 200

local FIELDS = {
  apply = { object = "table" },
  create = { object = "table" },
  patch = {
    kind = "string", name = "string", namespace = "string", body = "table", type = "string",
    subresource = "string",
  },
  delete = { kind = "string", name = "string", namespace = "string", uid = "string", grace_s = "number" },
  event = { reason = "string", note = "string", type = "string" },
  sql = {
    cluster = "string", namespace = "string", database = "string", as = "string", sql = "string",
    args = "table", params = "table", password = "table",
  },
}
local WANTED = {
  apply = { "object" }, create = { "object" }, patch = { "kind", "name", "body" },
  delete = { "kind", "name", "uid" }, event = { "reason" }, sql = { "cluster", "sql" },
}

local function check_fields(action, at)
  local fields = FIELDS[type(action) == "table" and action.op or false]
  if not fields then
    fail(at, "want op apply, create, patch, delete, event or sql")
  end
  for _, key in ipairs(sorted.keys(action)) do
    if key ~= "op" and type(action[key]) ~= fields[key] then
      fail(("%s.%s"):format(at, key), fields[key] and "want a " .. fields[key] or "there is no such field")
    end
  end
  for _, key in ipairs(WANTED[action.op]) do
    if action[key] == nil then
      fail(("%s.%s"):format(at, key), "is missing")
    end
  end
end

local function table_at(parent, key, at)
  parent[key] = parent[key] == nil and {} or parent[key]
  if type(parent[key]) ~= "table" or access.is_array(parent[key]) then
    fail(("%s.%s"):format(at, key), "want a table")
  end
  return parent[key]
end

--- What is made beside the object belongs to it.
local function own(object, given, at)
  if type(object.apiVersion) ~= "string" or type(object.kind) ~= "string" then
    fail(at, "the object needs apiVersion and kind")
  end
  local of = given.object
  local meta = table_at(object, "metadata", at)
  meta.namespace = meta.namespace or of.metadata.namespace
  if type(meta.name) ~= "string" or type(meta.namespace) ~= "string" then
    fail(at, "the object needs a name")
  end
  if #given.name <= 63 then
    table_at(meta, "labels", at)["moonherd.io/made-by"] = given.name
  end
  for _, key in ipairs { "ownerReferences", "finalizers", "managedFields" } do
    if meta[key] ~= nil then
      fail(("%s.metadata.%s"):format(at, key), "is the operator's to set")
    end
  end
  if meta.namespace == of.metadata.namespace then
    meta.ownerReferences = array {
      {
        apiVersion = of.apiVersion, kind = of.kind, name = of.metadata.name, uid = of.metadata.uid,
        controller = true,
      },
    }
  end
end

local function check_texts(list, at)
  for i = 1, #(list or {}) do
    if type(list[i]) ~= "string" or #list[i] > 65536 then
      fail(("%s[%d]"):format(at, i), "want a text")
    end
  end
end

local NOT_ITS_OWN = "owners and finalizers are not a plugin's to change"

--- Whether a JSON pointer leads to owners or finalizers, or to what they are in.
local function leads_to_owners(path)
  path = path:gsub("/+$", "")
  return path == "" or path == "/metadata" or path:find("^/metadata/ownerReferences") ~= nil
    or path:find("^/metadata/finalizers") ~= nil
end

local function check_pointer(path, at)
  if type(path) ~= "string" or (path ~= "" and path:sub(1, 1) ~= "/") then
    fail(at, "want { op =, path = }, with texts")
  elseif leads_to_owners(path) then
    fail(at, NOT_ITS_OWN)
  end
end

local function check_json_patch(body, at)
  if not access.is_array(body) then
    fail(at, "want a list of operations")
  end
  for i = 1, #body do
    local step, here = body[i], ("%s[%d]"):format(at, i)
    check_pointer(type(step) == "table" and step ~= null and step.path, here)
    if step.from ~= nil then
      check_pointer(step.from, here)
    end
  end
end

local CHECK = {}
function CHECK.apply(action, given, at)
  own(action.object, given, at .. ".object")
end
CHECK.create = CHECK.apply
function CHECK.patch(action, given, at)
  action.namespace = action.namespace or given.object.metadata.namespace
  action.type = action.type or "merge"
  if action.type ~= "merge" and action.type ~= "json" then
    fail(at .. ".type", "want merge or json")
  end
  if action.type == "json" then
    check_json_patch(action.body, at .. ".body")
    return
  end
  local meta = action.body.metadata
  if type(meta) == "table" and meta ~= null and (meta.ownerReferences or meta.finalizers) then
    fail(at .. ".body.metadata", NOT_ITS_OWN)
  end
end
function CHECK.delete(action, given)
  action.namespace = action.namespace or given.object.metadata.namespace
end
function CHECK.event(action, _, at)
  if not action.reason:find("^[A-Z][A-Za-z0-9]*$") or #action.reason > 60 then
    fail(at .. ".reason", "want one word in CamelCase")
  elseif action.type and action.type ~= "Normal" and action.type ~= "Warning" then
    fail(at .. ".type", "want Normal or Warning")
  end
end
function CHECK.sql(action, given, at)
  action.namespace = action.namespace or given.object.metadata.namespace
  check_texts(action.args, at .. ".args")
  check_texts(action.params, at .. ".params")
  local p = action.password
  if p and (type(p.secret) ~= "string" or type(p.key) ~= "string") then
    fail(at .. ".password", "want a handle, as in secret(name, key)")
  end
end

--- Finalizers of the object with or without ours.
local function finalizers(given, with)
  local out = array {}
  for _, name in ipairs(given.object.metadata.finalizers or {}) do
    if name ~= given.finalizer then
      out[#out + 1] = name
    end
  end
  if with then
    out[#out + 1] = given.finalizer
  end
  local meta = given.object.metadata
  return {
    op = "patch", internal = true, kind = given.kind_key, name = meta.name, namespace = meta.namespace,
    type = "merge",
    body = { metadata = { finalizers = out, uid = meta.uid, resourceVersion = meta.resourceVersion } },
  }
end

local function has_finalizer(given)
  for _, name in ipairs(given.object.metadata.finalizers or {}) do
    if name == given.finalizer then
      return true
    end
  end
  return false
end

--- Where the pass only adds the finalizer, or has nothing to do: the plan; nil: the plugin is to be asked.
---@param given table
---@return table?
function plans.before(given)
  local going = given.object.metadata.deletionTimestamp ~= nil
  if going and not has_finalizer(given) then
    return { actions = array {}, reason = "it is being deleted" }
  elseif going and not given.finalizes then
    return { actions = array { finalizers(given, false) }, reason = "there is nothing to clean up any more" }
  elseif not going and given.finalizes and not has_finalizer(given) then
    return { actions = array { finalizers(given, true) }, reason = "the finalizer comes first" }
  end
end

local function status_of(plan, given)
  local status = plan.status == nil and {} or plan.status
  if type(status) ~= "table" or access.is_array(status) then
    fail("status", "want a table")
  elseif status.conditions ~= nil then
    fail("status.conditions", "are the operator's to write: return ready, reason and message")
  end
  status.observedGeneration = given.object.metadata.generation
  if plan.ready ~= nil then
    status.conditions = array {
      {
        type = "Ready", status = plan.ready and "True" or "False", reason = plan.reason,
        message = plan.message or "", observedGeneration = given.object.metadata.generation,
      },
    }
  end
  return status
end

local KEYS = {
  actions = "table", status = "table", ready = "boolean", reason = "string", message = "string",
  requeue_s = "number",
}
plans.KEYS = KEYS

local function check_keys(plan)
  if type(plan) ~= "table" then
    fail(nil, "the plan is no table")
  end
  for _, key in ipairs(sorted.keys(plan)) do
    if type(plan[key]) ~= KEYS[key] then
      fail(key, KEYS[key] and "want a " .. KEYS[key] or "there is no such field of a plan")
    end
  end
end

local function check_plan(plan)
  check_keys(plan)
  if not (plan.reason or ""):find("^[A-Z][A-Za-z0-9]*$") or #plan.reason > 100 then
    fail("reason", 'want one word in CamelCase, as in "Synced"')
  elseif #(plan.message or "") > 1024 then
    fail("message", "is longer than 1024 bytes")
  elseif plan.requeue_s and plan.requeue_s < 1 then
    fail("requeue_s", "under 1 s is too often")
  elseif #(plan.actions or {}) > ACTIONS then
    fail("actions", "more than 200 in one plan")
  end
end

---@param given table
---@return table
function plans.finish(given)
  if given.plan == nil then
    return plans.before(given) or { ask = true }
  end
  local plan = given.plan
  check_plan(plan)
  local actions = array {}
  for i = 1, #(plan.actions or {}) do
    local action, at = plan.actions[i], ("actions[%d]"):format(i)
    check_fields(action, at)
    CHECK[action.op](action, given, at)
    actions[i] = action
  end
  local out = { actions = actions, reason = plan.reason, requeue_s = plan.requeue_s }
  if plan.message then
    out.reason = ("%s: %s"):format(plan.reason, plan.message)
  end
  if given.object.metadata.deletionTimestamp == nil then
    out.status = status_of(plan, given)
  elseif plan.ready ~= false then
    actions[#actions + 1] = finalizers(given, false)
  end
  return out
end

return plans
