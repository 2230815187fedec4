-- luacheck: read globals array
--- What the operator makes of a plugin's declaration and of its plans. Trusted, runs in the operator; what
--- it is given came out of a plugin's child and is hostile. Whether a need covers an action is judged in C.
local schema = require("plugins.lib.schema")
local plans = require("plugins.lib.plans")
local cases = require("plugins.lib.cases")
local sorted = require("desired.sorted")

local host = {}

local fail = schema.fail

local KEYS = {
  kind = true, api = true, plural = true, short = true, spec = true, watches = true, owns = true,
  kinds = true,
  needs = true, line = true, finalizes = true, columns = true, cases = true,
}

local NAME, WORD = "^[A-Z][A-Za-z0-9]*$", "^[a-z][a-z0-9]*$"

local function is_text(value, pattern, most)
  return type(value) == "string" and #value <= (most or 63) and value:find(pattern) ~= nil
end

--- "pgroles.example.dev/v1"
local function read_api(d, taken)
  local group, version = (type(d.api) == "string" and d.api or ""):match("^([a-z0-9.-]+)/(v[a-z0-9]+)$")
  if not group or not group:find("%.") or #group > 200 then
    fail("api", 'want a group of your own and a version, as in api = "roles.example.dev/v1"')
  end
  for _, theirs in ipairs(taken) do
    if group == theirs or group:sub(-#theirs - 1) == "." .. theirs then
      fail("api", ("the group %s is not a plugin's to serve"):format(group))
    end
  end
  return group, version
end

local DOTTED = "^[a-z][A-Za-z0-9_.]*$"

local function columns_of(d)
  local out = array {}
  for i, column in ipairs(d.columns or {}) do
    if not is_text(column, DOTTED, 100) or i > 10 then
      fail("columns", 'want paths, as in columns = { "spec.cluster" }, at most 10')
    end
    out[i] = { name = column:match("[A-Za-z0-9_]+$"), type = "string", jsonPath = "." .. column }
  end
  for _, field in ipairs { "status", "reason" } do
    out[#out + 1] = {
      name = field == "status" and "Ready" or "Reason", type = "string",
      jsonPath = ('.status.conditions[?(@.type=="Ready")].%s'):format(field),
    }
  end
  out[#out + 1] = { name = "Age", type = "date", jsonPath = ".metadata.creationTimestamp" }
  return out
end

local function crd_of(d, owner)
  local spec = schema.record(d.spec or {}, "spec")
  local root = {
    type = "object", required = spec.required and array { "spec" } or nil,
    properties = {
      apiVersion = { type = "string" }, kind = { type = "string" }, metadata = { type = "object" },
      spec = spec,
      status = { type = "object", ["x-kubernetes-preserve-unknown-fields"] = true },
    },
  }
  return {
    apiVersion = "apiextensions.k8s.io/v1", kind = "CustomResourceDefinition",
    metadata = {
      name = d.plural .. "." .. d.group,
      labels = { ["app.kubernetes.io/managed-by"] = "moonherd" },
      annotations = { ["moonherd.io/plugin-of"] = owner },
    },
    spec = {
      group = d.group, scope = "Namespaced",
      names = {
        kind = d.kind, listKind = d.kind .. "List", plural = d.plural, singular = d.kind:lower(),
        shortNames = d.short and array { d.short } or nil,
      },
      versions = array {
        {
          name = d.version, served = true, storage = true, schema = { openAPIV3Schema = root },
          subresources = { status = {} }, additionalPrinterColumns = columns_of(d),
        },
      },
    },
  }
end

local function kinds_of(d)
  local out = array {}
  for i, k in ipairs(type(d.kinds) == "table" and d.kinds or {}) do
    local api = type(k) == "table" and type(k.api) == "string" and k.api or ""
    local group, version = api:match("^([a-z0-9.-]*)/?(v[a-z0-9]+)$")
    if not version or i > 16 or not is_text(k.kind, NAME) or not is_text(k.plural, WORD) then
      fail(("kinds[%d]"):format(i), 'want { kind = "Deployment", api = "apps/v1", plural = "deployments" }')
    end
    out[i] = {
      group = group, version = version, kind = k.kind, plural = k.plural, namespaced = k.cluster_wide ~= true,
    }
  end
  return out
end

local function watches_of(d)
  local out = array {}
  for _, list in ipairs { "owns", "watches" } do
    for i, w in ipairs(type(d[list]) == "table" and d[list] or {}) do
      local one = type(w) == "string" and { kind = w } or w
      local at = ("%s[%d]"):format(list, i)
      if type(one) ~= "table" or not is_text(one.kind, "^[A-Z][A-Za-z0-9.-]*$", 200) or #out >= 16 then
        fail(at, 'want a kind, as in { kind = "Cluster", field = "spec.cluster" }')
      elseif one.field ~= nil and not is_text(one.field, DOTTED, 200) then
        fail(at, 'field is a path, as in "spec.cluster"')
      end
      out[#out + 1] = { kind = one.kind, field = one.field, owned = list == "owns" }
    end
  end
  return out
end

local function declare(given)
  local d = given.declaration
  for _, key in ipairs(sorted.keys(d)) do
    if not KEYS[key] then
      fail(key, "there is no such field of a plugin")
    end
  end
  if not is_text(d.kind, NAME) then
    fail("kind", 'want a name, as in controller "PgRole"')
  end
  local out = { kind = d.kind, finalizes = d.finalizes == true }
  out.group, out.version = read_api(d, given.taken)
  out.plural = d.plural or d.kind:lower() .. "s"
  if not is_text(out.plural, WORD) then
    fail("plural", "want a word of small letters")
  elseif d.short ~= nil and not is_text(d.short, WORD, 20) then
    fail("short", "want a word of small letters")
  end
  out.short, out.spec, out.columns = d.short, d.spec, d.columns
  out.kinds, out.watches = kinds_of(d), watches_of(d)
  cases.check(d.cases)
  out.crd = crd_of(out, given.owner)
  out.spec, out.columns = nil, nil
  return out
end

local function protected(fn, given)
  local ok, out = pcall(fn, given)
  if ok then
    return out
  end
  if type(out) == "table" and out.message then
    return { error = out.path and ("%s: %s"):format(out.path, out.message) or out.message }
  end
  return { error = tostring(out) }
end

--- {declaration, taken, owner} to what C needs to know of a plugin, or {error}.
---@param given table
---@return table
function host.declare(given)
  return protected(declare, given)
end

--- {object, spec} to the object as an API server would keep it: with defaults.
---@param given table
---@return table
function host.fill(given)
  return protected(function()
    given.object.spec = given.object.spec or {}
    schema.fill(given.spec or {}, given.object.spec)
    return given.object
  end, given)
end

--- One of a plugin's own cases: {case, api, kind, spec} to {seen, fn}, what which function is to be given;
--- with the plan that came of it to {}, or {error} that says what differs.
---@param given table
---@return table
function host.case(given)
  return protected(given.plan == nil and cases.prepare or cases.judge, given)
end

--- {plan, object, kind_key, finalizes, finalizer, name} to a plan that is carried out, or {error}; without
--- plan: what goes before the plugin is asked, or {ask = true}.
---@param given table
---@return table
function host.finish(given)
  return protected(plans.finish, given)
end

return host
