std = "lua54"
max_line_length = 110
max_cyclomatic_complexity = 12
-- Tests and lints are told by their text, not by their branches.
files["tests/"] = { max_line_length = 120 }
files["tests/lua"] = { std = "lua54+busted", max_line_length = 120 }
files["scripts/meta"] = { ignore = { "1..", "2.." } }
-- Code that must be pure names nothing of the outside.
local pure = { "os", "io", "print", "debug", "load", "loadfile", "dofile" }
files["scripts/desired"] = { not_globals = pure }
files["scripts/policies/fixtures"] = { max_line_length = 125, not_globals = pure } -- inputs of tests
files["scripts/policies/points"] = { max_line_length = 120 } -- tables
files["scripts/policies"] = { not_globals = pure }
files["scripts/admission"] = { not_globals = pure }
-- Scenarios run in the VM that controllers have.
files["scripts/chaos"] = { max_line_length = 120, read_globals = { "array", "null", "controller", "scenario" } }
