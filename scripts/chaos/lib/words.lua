--- The words a scenario is written with.
local run = require "chaos.lib.run"

local words = {}

--- A type of parameter: `int`, or `int(5)` with a default.
local function typed(kind)
  return setmetatable({ type = kind }, {
    __call = function(_, default) return { type = kind, default = default } end,
  })
end

function words.scenario(name)
  return function(def)
    def.kind = name
    def.observe = function(ctx, o) return run.observe(def, ctx, o) end
    def.report = function(failure) return run.report(def, failure) end
    return def
  end
end

function words.all()
  return words.scenario, typed "str", typed "int", typed "num", typed "flag", typed "duration"
end

return words
