-- luacheck: ignore
-- Scripts that want to hang, to crash, to eat the machine or to get out. Each block is run in a fresh VM and
-- in a worker; test_attacks.c adds those that are too long to be written down. ESCAPE in a result is a leak.
--@ endless loop
while true do end
--@ pcall in a loop swallows the end
while true do pcall(function() while true do end end) end
--@ the handler of xpcall loops
xpcall(function() while true do end end, function() while true do end end)
--@ a handler calls pcall and loops
xpcall(function() while true do end end, function() pcall(function() while true do end end) while true do end end)
--@ an error in the handler of an error
local function f() return xpcall(error, f) end f() xpcall(function() error() end, function() error() end)
--@ a finalizer loops while it runs
setmetatable({}, {__gc = function() while true do end end}) local t for i = 1, 1e6 do t = {i} end
--@ a finalizer set afterwards
local m = {} setmetatable({}, m) m.__gc = function() while true do end end for i = 1, 1e5 do local t = {i} end
--@ a finalizer at the end of the VM
KEEP = setmetatable({}, {__gc = function() while true do end end}) return "done"
--@ __close loops
local m = {} local x <close> = setmetatable({}, m) m.__close = function() while true do end end
--@ __close loops after the kill
local m = {__call = 1} m.__close = function() while true do end end local x <close> = setmetatable({}, m) while true do end
--@ __close calls itself
local m = {} local function f() local x <close> = setmetatable({}, m) end m.__close = function() f() end f()
--@ goto loop
::again:: goto again
--@ __index loops
return setmetatable({}, {__index = function() while true do end end}).x
--@ __eq loops
local m = {__eq = function() while true do end end} return setmetatable({}, m) == setmetatable({}, m)
--@ __len loops
return #setmetatable({}, {__len = function() while true do end end})
--@ __concat loops
return setmetatable({}, {__concat = function() while true do end end}) .. "x"
--@ __lt loops in sort
local m = {__lt = function() while true do end end} table.sort {setmetatable({}, m), setmetatable({}, m)}
--@ __index asks itself
local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return s[k] end return t.x
--@ __index in a circle
local a, b = {}, {} setmetatable(a, {__index = b}) setmetatable(b, {__index = a}) return a.x
--@ coroutine slices
for i = 1, 1e12 do coroutine.wrap(function() for j = 1, 400 do end end)() end
--@ a coroutine inherits no hook
return coroutine.wrap(function() while true do end end)()
--@ coroutines in coroutines
local function f() return coroutine.wrap(f)() end return f()
--@ a chain of coroutine.close
local co = false for i = 1, 3e4 do local p = co co = coroutine.create(function() coroutine.close(p) end) end
--@ a coroutine swallows the kill
while true do coroutine.resume(coroutine.create(function() while true do end end)) end
--@ yield at the top
coroutine.yield() return "ok"
--@ a comparator swallows the kill
table.sort({3, 2, 1, 4}, function() while true do pcall(function() while true do end end) end end)
--@ a replacement swallows the kill
("abc"):gsub(".", function() while true do pcall(function() while true do end end) end end)
--@ backtracking
return (("a"):rep(40)):find((".-"):rep(12) .. "b")
--@ optional items
return ("a"):rep(30):match(("a?"):rep(30) .. ("a"):rep(30) .. "b")
--@ quadratic gsub
return ("a"):rep(3e5):gsub("a*b", "")
--@ quadratic gmatch
for m in ("a"):rep(2e5):gmatch("a*b") do end
--@ long sets
return ("a"):rep(1e5):find("[" .. ("b"):rep(5e4) .. "]+$")
--@ balance without an end
return ("("):rep(5e4):gsub("%b()", "")
--@ back references
return ("a"):rep(3e4):find("^(a*)%1%1b")
--@ captures nested
return ("a"):find(("("):rep(40) .. "a" .. (")"):rep(40))
--@ depth of patterns
return ("a"):rep(1e5):find(("(a)"):rep(31) .. ("a-"):rep(5000))
--@ plain find
local h = ("a"):rep(5e5) for i = 1, 1e9 do h:find(("a"):rep(2e5) .. "b", 1, true) end
--@ rep of 1e15
return ("x"):rep(1e15)
--@ rep of 1e10
return ("x"):rep(1e10)
--@ rep overflows with its separator
return ("x"):rep(1e9, ("y"):rep(1e9))
--@ rep under the cap for ever
while true do string.rep("x", 1e6) end
--@ lower for ever
local s = ("x"):rep(1e6) while true do s:lower() end
--@ doubling
local s = "x" while true do s = s .. s end
--@ concatenation of large strings
local a = ("x"):rep(1e6) for i = 1, 1e9 do local b = a .. i end
--@ comparison of large strings
local a, b = ("x"):rep(1e6) .. "1", ("x"):rep(1e6) .. "2" for i = 1, 1e9 do local c = a < b end
--@ hashing of large strings
local t = {} for i = 1, 1e9 do t[("x"):rep(5e5) .. i] = true end
--@ widths of format
return (("%99d"):rep(1e5)):format(1)
--@ format of large texts
local s = ("x"):rep(1e6) while true do ("%s"):format(s) end
--@ byte of everything
return ("x"):rep(1e6):byte(1, -1)
--@ char of everything
local t = {} for i = 1, 2e5 do t[i] = 65 end return string.char(table.unpack(t)):len()
--@ tonumber of a long text
local s = (" "):rep(1e6) .. "1" while true do tonumber(s) end
--@ tonumber with a base
local s = ("z"):rep(1e6) while true do tonumber(s, 36) end
--@ a text as a bound
local s = (" "):rep(1e6) .. "1" while true do pcall(function() for i = 1, s do end end) end
--@ arithmetic on a text
local s = (" "):rep(1e6) .. "1" while true do pcall(function() return s + 1 end) end
--@ move far
table.move({}, 1, 1e12, 2)
--@ move fills the memory
table.move({1}, 1, 1e9, 2, {})
--@ concat of a range
return table.concat(setmetatable({}, {__index = function() return "" end}), "", 1, 1e12)
--@ concat of a library
return pcall(table.concat, setmetatable({}, {__index = string}), "", 1, 1e9)
--@ unpack
return table.unpack({}, 1, 1e7)
--@ sort of much
local t = {} for i = 1, 4e6 do t[i] = (i * 7919) % 1000003 end table.sort(t)
--@ sort again and again
local t = {} for i = 1, 2e4 do t[i] = i % 7 end for i = 1, 1e9 do table.sort(t) end
--@ a comparator without an order
local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function() return true end) return "sorted"
--@ insert in front
local t = {} for i = 1, 3e5 do table.insert(t, 1, i) end
--@ a forged length: sort
table.sort(setmetatable({}, {__len = function() return 1e15 end, __index = function() return 1 end}))
--@ a forged length: insert
table.insert(setmetatable({}, {__len = function() return math.maxinteger - 1 end}), 1, 1)
--@ a forged length: remove
table.remove(setmetatable({}, {__len = function() return 1e15 end}), 1)
--@ select in a square
local t = {} for i = 1, 4000 do t[i] = i end
local function f(...) for i = 1, select("#", ...) do local x = select(i, ...) end end while true do f(table.unpack(t)) end
--@ pairs of much
local t = {} for i = 1, 1e5 do t["k" .. i] = i end while true do for k in pairs(t) do end end
--@ next of much
local t = {} for i = 1, 1e4 do t["k" .. i] = i end local k = nil while true do k = next(t, k) end
--@ utf8.len for ever
local s = ("\u{e9}"):rep(4e5) while true do utf8.len(s) end
--@ utf8.offset for ever
local s = ("\u{e9}"):rep(4e5) while true do utf8.offset(s, -1) end
--@ tables for ever
local t = {} while true do t[#t + 1] = {} end
--@ closures for ever
local t = {} while true do t[#t + 1] = function() return t end end
--@ full heap, much rubbish
local t = {} for i = 1, 3 do t[i] = ("x"):rep(1e6) .. i end while true do local s = ("y"):rep(3e5) .. #t end
--@ recursion
local function f() return 1 + f() end return f()
--@ recursion through pcall
local function f(n) return pcall(f, n + 1) end return f(1)
--@ recursion through gsub
local function f(s) return (s:gsub(".", f)) end return f("a")
--@ recursion through tostring
local t t = setmetatable({}, {__tostring = function() return tostring(t) end}) return tostring(t)
--@ no memory inside a handler
xpcall(function() local s = ("x"):rep(1e6) while true do s = s .. s end end, function() local t = {} while true do t[#t + 1] = {} end end)
--@ error object with a loop
error(setmetatable({}, {__tostring = function() while true do end end}))
--@ error without a value
error(nil)
--@ 1e9 as an index
local t = {} t[1e9] = 1 return t
--@ NaN as a key
local t = {} t[0 / 0] = 1
--@ step zero
for i = 1, 2, 0 do end
--@ metatable of strings
getmetatable("").__index = function() return "ESCAPE" end return ("x").anything
--@ the library of strings
string.rep = function() return "ESCAPE" end return ("x"):rep(1)
--@ the metatable of arrays
getmetatable(array {}).__index = {add = "ESCAPE"} return array {}.add
--@ a metatable for an array
setmetatable(array {}, {}) return "ESCAPE"
--@ addresses in tostring
return tostring({}):find("0x") and "ESCAPE" or tostring(print or pairs):find("0x") and "ESCAPE"
--@ addresses in format
return ("%p"):format({}) and "ESCAPE"
--@ addresses in errors
local ok, e = pcall(error, {}) local ok2, m = pcall(function() return {} .. {} end) return m:find("0x") and "ESCAPE"
--@ a forged name
return tostring(setmetatable({}, {__name = "FILE*"})) and "ESCAPE"
--@ names of the outside
for _, f in ipairs {function() return load end, function() return require end, function() return io end, function() return os end,
  function() return debug end, function() return package end, function() return collectgarbage end, function() return dofile end,
  function() return _G end, function() return rawset end, function() return coroutine end, function() return print end} do
  local ok = pcall(f) if ok then return "ESCAPE" end end
--@ random and clock
return (math.random or math.randomseed) and "ESCAPE"
--@ string.dump
return string.dump and "ESCAPE" or string.pack and "ESCAPE"
--@ globals are written
x = 1 return "ESCAPE"
--@ globals through _ENV
_ENV.pairs = nil return "ESCAPE"
--@ _ENV is replaced
local _ENV = {} x = 1 return x
--@ the metatable of _ENV
return getmetatable(_ENV) and "ESCAPE"
--@ the hook is asked to wait
local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]
--@ a weak table
return setmetatable({}, {__mode = "k"}) and "ESCAPE"
--@ warnings to stderr
warn("@on") return "ESCAPE"
--@ deep parentheses
return ((((((((((((((((((((((((1))))))))))))))))))))))))
--@ endless string
return "
--@ a long comment without an end
--[==[ and no more
--@ a label twice
::a:: ::a::
--@ break outside of a loop
break
--@ number that is none
return 1e99999, 0x1p99999, 1 // 0
--@ integer division by zero
return 1 // 0 | 0
--@ shift by much
return 1 << 1e9 | 0
