-- luacheck: read globals array
--- The words that a plugin is written in beside `controller`: types of its spec, actions, results. Loaded in
--- the plugin's own VM before its text; everything here is data, and none of it is trusted by the operator.
local words = {}

-- A type is a table with the field `type`; calling it gives one with a default.
local Type = {}
local function new_type(fields)
  return setmetatable(fields, Type)
end
function Type.__call(self, default)
  return new_type { type = self.type, default = default, of = self.of, options = self.options, given = true }
end
local function want_type(word, value)
  if type(value) ~= "table" or type(rawget(value, "type")) ~= "string" then
    error(("%s: want a type, as in %s(str)"):format(word, word), 3)
  end
end

for _, name in ipairs { "str", "int", "num", "flag", "any", "secret_key" } do
  words[name] = new_type { type = name }
end

function words.list(of)
  want_type("list", of)
  return new_type { type = "list", of = of, default = array {}, given = true }
end

function words.optional(of)
  want_type("optional", of)
  return new_type { type = "optional", of = of, given = true }
end

function words.choice(...)
  local options = array { ... }
  if #options == 0 then
    error("choice: want one text or more", 2)
  end
  return new_type { type = "choice", options = options, default = options[1], given = true }
end

function words.record(fields)
  if type(fields) ~= "table" then
    error("record: want a table of types, as in record { name = str }", 2)
  end
  return new_type { type = "record", of = fields }
end

--- A handle: this key of this Secret, wherever a password is wanted, and under data and stringData of a
--- Secret that is made. The value stays outside.
function words.secret(name, key)
  return { secret = name, key = key or "password", handle = true }
end

local function add(fields)
  return function(more)
    local out = {}
    for key, value in pairs(more) do
      out[key] = value
    end
    for key, value in pairs(fields) do
      out[key] = value
    end
    return out
  end
end

--- apply(object), create(object): made or changed; it belongs to the object in whose pass it is made.
function words.apply(object) return { op = "apply", object = object } end
function words.create(object) return { op = "create", object = object } end
function words.patch(fields)
  local out = add { op = "patch" }(fields)
  out.type = out.type or "merge"
  return out
end
words.delete = add { op = "delete" }
words.sql = add { op = "sql" }
function words.event(reason, note, kind)
  return { op = "event", reason = reason, note = note, type = kind or "Normal" }
end

--- ready(actions, status): all is as wanted once these are done. blocked(reason, message): a human must act.
--- wait(seconds, reason, message): looked at again then.
function words.ready(actions, status)
  return { actions = actions or array {}, status = status, ready = true, reason = "Synced" }
end
function words.blocked(reason, message)
  return { actions = array {}, ready = false, reason = reason, message = message }
end
function words.wait(seconds, reason, message)
  return { actions = array {}, ready = false, reason = reason, message = message, requeue_s = seconds }
end

--- What observe is when a plugin has none.
function words.observe(ctx, object)
  return { object = object, now = ctx.now }
end

return words
