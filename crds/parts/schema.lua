--- Constructors for OpenAPI v3 structural schemas, in the notation of the field lists: a key that ends in
--- "!" is a required field.
---
--- Every constructor takes an optional table of further schema keys. `doc` becomes the description and
--- `rules` the CEL rules; every other key is copied as it is.
local schema = {}

local RENAMED = { doc = "description", rules = "x-kubernetes-validations" }

local function with(base, more)
  for key, value in pairs(more or {}) do
    base[RENAMED[key] or key] = value
  end
  return base
end

function schema.str(more)
  return with({ type = "string" }, more)
end

function schema.bool(more)
  return with({ type = "boolean" }, more)
end

function schema.int(more)
  return with({ type = "integer" }, more)
end

function schema.int32(more)
  return with({ type = "integer", format = "int32" }, more)
end

function schema.int64(more)
  return with({ type = "integer", format = "int64" }, more)
end

--- A point in time, RFC 3339.
function schema.time(more)
  return with({ type = "string", format = "date-time" }, more)
end

---@param values string[]
function schema.enum(values, more)
  return with({ type = "string", enum = values }, more)
end

--- A map with values of one schema.
function schema.map(value, more)
  return with({ type = "object", additionalProperties = value or schema.str() }, more)
end

function schema.list(item, more)
  return with({ type = "array", items = item or schema.str() }, more)
end

--- A list whose elements are told apart by the value of `key`.
function schema.keyed(key, item, more)
  item = with({ type = "array", items = item }, more)
  item["x-kubernetes-list-type"] = "map"
  item["x-kubernetes-list-map-keys"] = { key }
  return item
end

--- A type of Kubernetes itself, kept as it is written and checked where it is used.
function schema.any(more)
  return with({ type = "object", ["x-kubernetes-preserve-unknown-fields"] = true }, more)
end

--- A number with a Kubernetes unit.
function schema.quantity(more)
  return with({
    anyOf = { { type = "integer" }, { type = "string" } },
    pattern = "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
    ["x-kubernetes-int-or-string"] = true,
  }, more)
end

---@param fields table<string, table> name, with a trailing "!" when required, to schema
function schema.obj(fields, more)
  local properties, required = {}, {}
  for key, value in pairs(fields) do
    local name = key:match("^(.*)!$")
    if name then
      required[#required + 1] = name
    end
    properties[name or key] = value
  end
  table.sort(required)
  return with({ type = "object", properties = properties, required = required[1] and required or nil }, more)
end

--- Atomic objects are replaced as a whole by server-side apply.
function schema.atomic(fields, more)
  local out = schema.obj(fields, more)
  out["x-kubernetes-map-type"] = "atomic"
  return out
end

--- {name}: a Secret, ConfigMap or Cluster of the same namespace.
function schema.name_ref(more)
  return schema.obj({ ["name!"] = schema.str() }, more)
end

--- {name, key}: one entry of a Secret or ConfigMap.
function schema.key_ref(more)
  return schema.obj({ ["name!"] = schema.str(), ["key!"] = schema.str() }, more)
end

--- Kubernetes' own SecretKeySelector.
function schema.secret_key(more)
  return schema.atomic({ ["key!"] = schema.str(), name = schema.str(), optional = schema.bool() }, more)
end

--- Labels and annotations that an embedded template may carry.
function schema.template_metadata(with_name)
  local fields = { labels = schema.map(), annotations = schema.map() }
  fields.name = with_name and schema.str() or nil
  return schema.obj(fields)
end

--- One CEL rule. `message` may be a CEL expression when `more.expression` is set.
---@param rule string
---@param message string
---@param more? {path?: string, expression?: boolean}
function schema.rule(rule, message, more)
  more = more or {}
  return {
    rule = rule,
    message = not more.expression and message or nil,
    messageExpression = more.expression and message or nil,
    fieldPath = more.path,
  }
end

return schema
