std = "lua54"
-- words of policies, made by scripts/meta/generate.lua
stds.policy = { read_globals = {
  "policy", "str", "int", "num", "flag", "bytes", "duration", "cron", "choice", "list", "optional",
  "rank", "promote", "hold", "reject", "update", "wait", "rollback", "finish", "heal", "backup",
  "retain", "time", "array", "null",
} }
-- end of words
max_line_length = 110
max_cyclomatic_complexity = 12
-- Tests and lints are told by their text, not by their branches.
files["tests/"] = { max_line_length = 120 }
files["tests/lua"] = { std = "lua54+busted", max_line_length = 120 }
files["scripts/meta"] = { ignore = { "1..", "2.." }, max_line_length = 120 }
files["scripts/meta/policy.lua"] = { max_line_length = false } -- made
files["scripts/meta/policy_points.lua"] = { max_line_length = false } -- made
-- Code that must be pure names nothing of the outside.
local pure = { "os", "io", "print", "debug", "load", "loadfile", "dofile" }
files["scripts/desired"] = { not_globals = pure }
files["scripts/policies/fixtures"] = { max_line_length = 125, not_globals = pure } -- inputs of tests
files["scripts/policies/points"] = { max_line_length = 120 } -- tables
files["scripts/policies"] = { not_globals = pure }
files["scripts/admission"] = { not_globals = pure }
-- Scenarios run in the VM that controllers have.
files["scripts/chaos"] = { max_line_length = 120, read_globals = {
  "array", "null", "controller", "scenario", "str", "int", "num", "flag", "duration",
} }
-- Controllers of the image see the words of plugins and their own (tests/lint/controllers.lua looks closer).
files["scripts/controllers"] = { not_globals = pure, read_globals = {
  "array", "null", "controller", "apply", "create", "patch", "delete", "event", "create_with", "renew", "label",
  "order", "outcome",
} }
-- Plugins see their own words (scripts/plugins/lib/words.lua).
files["scripts/plugins"] = { not_globals = pure, read_globals = {
  "array", "null", "controller", "str", "int", "num", "flag", "any", "secret_key", "list", "optional", "choice",
  "record", "secret", "apply", "create", "patch", "delete", "sql", "event", "ready", "blocked", "wait",
} }
for _, name in ipairs { "failover", "placement", "instance", "rollout", "sync", "heal", "backup", "retention",
  "notify" } do
  files["scripts/policies/" .. name .. ".lua"] = { std = "lua54+policy" }
end
files["docs"] = { std = "lua54+policy", max_line_length = 120, max_cyclomatic_complexity = 24 }
