--- The words that controllers of the image have beside those of plugins (plugins/lib/words.lua). Each goes
--- with a word of needs.core, which no ConfigMap can be granted; scripts/meta/core.lua says what they mean.
local words = {}

local function add(op)
  return function(fields)
    local out = { op = op }
    for key, value in pairs(fields) do
      out[key] = value
    end
    return out
  end
end

--- needs.core "values"
function words.create_with(object, fill) return { op = "create", object = object, fill = fill } end
words.renew = add "renew"
--- needs.core "labels"
words.label = add "label"
--- needs.core "instances"
words.order = add "instance"

local OUTCOME = { actions = "table", status = "table", reason = "string", requeue_s = "number" }

--- needs.core "plans"
function words.outcome(fields)
  for key, value in pairs(fields) do
    if type(value) ~= OUTCOME[key] then
      error(("outcome: %s: want a %s"):format(key, OUTCOME[key] or "field that it has"), 2)
    end
  end
  if not fields.actions or not fields.reason then
    error("outcome: want actions and a reason", 2)
  end
  return fields
end

return words
