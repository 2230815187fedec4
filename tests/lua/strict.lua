--- Runs before all specs: text is no number here, as in the operator's VM, which has no arithmetic on strings.
local mt = getmetatable("")
for _, name in ipairs({ "add", "sub", "mul", "div", "mod", "pow", "unm", "idiv" }) do
  mt["__" .. name] = nil
end
