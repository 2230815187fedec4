--- The controllers of the image have the interface of plugins and nothing else: scripts/controllers and
--- scripts/desired use plain Lua's pure functions, the names of scripts/meta and, of scripts/meta/core.lua, what they
--- declare under needs.core; and core/ gives them no function that is not in there.
local common = require("common")

-- What scripts of every kind have of plain Lua (scripts/meta/base.lua): nothing of it reads or changes the outside.
local PURE = {
  assert = true, error = true, getmetatable = true, ipairs = true, next = true, pairs = true, pcall = true,
  rawequal = true, rawget = true, rawlen = true, select = true, setmetatable = true, tonumber = true,
  tostring = true, type = true, xpcall = true,
  string = "byte char find format gmatch gsub len lower match rep reverse sub upper",
  table = "concat insert move pack remove sort unpack",
  utf8 = "char charpattern codepoint codes len offset",
  math = "abs ceil floor fmod huge max maxinteger min mininteger modf tointeger type ult sqrt",
}

local function words_of(text)
  local out = {}
  for word in text:gmatch("%S+") do
    out[word] = true
  end
  return out
end

local function has_file(path)
  local file = io.open(common.root .. "/" .. path, "rb")
  return file ~= nil and file:close()
end

local function text_of(path)
  return has_file(path) and common.read(path) or ""
end

-- --- the interface ---------------------------------------------------------------------------------------------

local META = { "base", "json", "log", "lsn", "time", "plugin", "core" }
local PLUGIN_WORDS = "scripts/plugins/lib/words.lua"
local globals, fields_of, ctx, core_of = {}, {}, {}, {}

for name, of in pairs(PURE) do
  globals[name] = true
  fields_of[name] = type(of) == "string" and words_of(of) or nil
end

local function add_name(module, field)
  globals[module] = true
  if field ~= "" then
    fields_of[module] = fields_of[module] or {}
    fields_of[module][field] = true
  end
end

--- Names that a file of stubs has; `only`: of those no others.
local function read_names(text, only)
  for line in text:gmatch("[^\n]+") do
    local module, field = line:match("^function ([%w_]+)%.?([%w_]*)%(")
    local values = line:match("^([%a_][%w_, ]*) = nil") or line:match("^([%a_][%w_]*) = {}") or ""
    if module and (not only or only[module]) then
      add_name(module, field)
    end
    for one in values:gmatch(only and "^$" or "[%w_]+") do
      add_name(one, "")
    end
  end
end

--- Fields of the classes of ctx, and which word of needs.core each name goes with.
local function read_classes(text)
  local class, word
  for line in text:gmatch("[^\n]+") do
    class = line:match("^%-%-%-@class ([%w_.]+)") or class
    local field = line:match("^%-%-%-@field ([%w_]+)")
    if field and (class == "plugin.Ctx" or class == "core.Ctx") then
      ctx[field] = true
      core_of["ctx." .. field] = line:match('needs%.core "(%w+)"')
    end
    word = line:match('^%-%-%- needs%.core "(%w+)"') or word
    local name = line:match("^function ([%w_]+)%(")
    if name then
      core_of[name], word = word, nil
    end
  end
end

for _, name in ipairs(META) do
  local text = text_of("scripts/meta/" .. name .. ".lua")
  read_names(text)
  read_classes(text)
end

--- The words of a file; all but `observe` become globals.
local function words_in(path)
  local out = {}
  for n, line in ipairs(common.lines(text_of(path))) do
    local name = line:match("^function words%.([%w_]+)") or line:match("^words%.([%w_]+)%s*=")
    if name and name ~= "observe" then
      out[name] = n
    end
  end
  return out
end

-- Words that plugins share with policies have their stub there.
read_names(text_of("scripts/meta/policy.lua"), words_in(PLUGIN_WORDS))

-- --- the scripts -------------------------------------------------------------------------------------------------

--- What one instruction takes from the environment; nil: nothing.
local function name_of(op, at, comment)
  if op == "GETTABUP" or op == "SETTABUP" then
    local name = comment:match('^_ENV "([^"]*)"')
    return name and { at = tonumber(at), name = name, sets = op == "SETTABUP" }
  elseif op == "GETUPVAL" and comment:find("_ENV", 1, true) then
    return { at = tonumber(at), name = "_ENV" }
  end
end

--- Names that a file takes from its environment, by the compiler's own listing: {line, name, field}.
local function names_in(path)
  local out, last = {}, nil
  local pipe = io.popen(("luac5.4 -l -l -p '%s/%s' 2>&1"):format(common.root, path))
  for line in pipe:lines() do
    local at, op, comment = line:match("^%s*%d+%s+%[(%d+)%]%s+(%u+)%s+[^;]*;?%s*(.*)$")
    if op == "GETFIELD" and last then
      last.field = comment:match('"([^"]*)"')
    end
    last = op and name_of(op, at, comment)
    out[#out + 1] = last or nil
    if line:find("^luac5.4:") then
      out[#out + 1] = { at = tonumber(line:match(":(%d+):")) or 1, error = line }
    end
  end
  pipe:close()
  return out
end

local used = {}

local function check_name(path, one)
  if one.error then
    common.finding(path, one.at, one.error)
  elseif one.sets then
    common.finding(path, one.at, ("sets the global %s"):format(one.name))
  elseif not globals[one.name] then
    common.finding(path, one.at, ("%s is no name of the interface"):format(one.name))
  elseif one.field and fields_of[one.name] and not fields_of[one.name][one.field] then
    common.finding(path, one.at, ("%s.%s is no name of the interface"):format(one.name, one.field))
  end
  used[core_of[one.name or ""] or ""] = path
end

local MODULES = { controllers = true, desired = true, admission = true }

--- What the listing does not tell: functions of ctx, which are asked by name, modules, actions made by hand.
local function check_lines(path, is_controller)
  for n, line in ipairs(common.lines(common.read(path))) do
    local code = line:gsub("%-%-.*$", "")
    for name in code:gmatch("%f[%w_]ctx%.([%w_]+)") do
      if is_controller and not ctx[name] then
        common.finding(path, n, ("ctx.%s is no function of the interface"):format(name))
      end
      used[is_controller and core_of["ctx." .. name] or ""] = path
    end
    if code:find("%f[%w_]ctx%[") then
      common.finding(path, n, "ctx is asked by a name that this lint cannot see")
    end
    if not path:find("^scripts/admission/") and code:find("%f[%w_]op%s*=%s*[\"'%a]") then
      common.finding(path, n, "an action is made with its word, not by hand")
    end
    local module = code:match("require%s*%(?%s*[\"']([%w_]+)")
    if module and not MODULES[module] then
      common.finding(path, n, ("%s is no folder of modules of controllers"):format(module))
    end
  end
end

local CORE_WORDS = "scripts/controllers/lib/words.lua"

for _, path in ipairs(common.files({ "scripts/controllers", "scripts/desired", "scripts/admission" }, { "lua" })) do
  for _, one in ipairs(names_in(path)) do
    check_name(path, one)
  end
  if path ~= CORE_WORDS then
    check_lines(path, path:find("^scripts/controllers/") ~= nil)
  end
end

-- --- what they declare -------------------------------------------------------------------------------------------

local function check_declared(path)
  local list = common.read(path):match("core%s*=%s*(%b{})") or "{}"
  local declared = {}
  for word in list:gmatch('"([%w_]+)"') do
    declared[word] = true
    -- What a Secret shows has no name of its own.
    if not used[word] and word ~= "digests" then
      common.finding(path, 1, ("needs.core has %q, and nothing uses it"):format(word))
    end
  end
  for word, where in pairs(used) do
    if word ~= "" and not declared[word] then
      common.finding(where, 1, ("uses what needs.core %q is for, and %s does not declare it"):format(word, path))
    end
  end
end

for _, path in ipairs(common.files({ "scripts/controllers" }, { "lua" })) do
  if path:find("^scripts/controllers/[%w_]+%.lua$") then
    check_declared(path)
  end
end

-- --- what core/ gives --------------------------------------------------------------------------------------------

local function each(path, pattern, known, what)
  local text = common.clean_c(text_of(path), true)
  for at, name in text:gmatch("()" .. pattern) do
    if not known[name] then
      local _, line = text:sub(1, at):gsub("\n", "")
      common.finding(path, line + 1, ("%s %s is not in scripts/meta"):format(what, name))
    end
  end
end

local function check_words(path)
  for name, n in pairs(words_in(path)) do
    if not globals[name] then
      common.finding(path, n, ("the word %s is not in scripts/meta"):format(name))
    end
  end
end

local EFFECTS = '{%s*"([%w_]+)",%s*[%w_]*_?[%a]+_[%w_]+%s*}'

local function check_operator(path)
  if common.read(path):find("struct mh_effect ", 1, true) then
    each(path, EFFECTS, ctx, "the function of ctx")
  end
  for n, line in ipairs(common.lines(common.clean_c(common.read(path)))) do
    if line:find("mh_vm_set_global", 1, true) or line:find("mh_vm_push_", 1, true) or line:find("%f[%w_]lua_%l") then
      common.finding(path, n, "core/operator gives functions to scripts through ctx only")
    end
  end
end

for _, path in ipairs(common.files({ "core/operator" }, { "c" })) do
  check_operator(path)
end
--- What plugins are given takes no word of needs.core.
local function check_worker(path)
  local list = common.clean_c(text_of(path), true):match("mh_plugin_effects%[%] = (%b{})") or ""
  for name in list:gmatch('"([%w_]+)"') do
    if not ctx[name] or core_of["ctx." .. name] then
      common.finding(path, 1, ("the function of ctx %s is not every plugin's"):format(name))
    end
  end
end
check_worker("core/lua/plugin_worker.c")
each("core/lua/controller.c", 'mh_vm_set_global%(L, "([%w_]+)"', globals, "the name")
each("core/bind/bind.c", '{%s*"([%w_]+)",%s*mh_bind_', globals, "the module")
check_words(PLUGIN_WORDS)
check_words(CORE_WORDS)

--- The words of needs.core in C are those of the stub.
local function check_core()
  local path, stub = "core/operator/needs_set.c", {}
  local listed = common.clean_c(text_of(path), true):match("mh_needs_core%[%] = (%b{})")
  for word in text_of("scripts/meta/core.lua"):gmatch("\n%-%-%-@field (%w+) true") do
    stub[word] = true
  end
  for word in (listed or ""):gmatch('"(%w+)"') do
    if not stub[word] then
      common.finding(path, 1, ("needs.core %q is not in scripts/meta/core.lua"):format(word))
    end
    stub[word] = nil
  end
  for word in pairs(listed and stub or {}) do
    common.finding("scripts/meta/core.lua", 1, ("needs.core %q is not in %s"):format(word, path))
  end
end

--- What C holds a function or an action to is what its stub says.
local function check_grants(path)
  local text, makes = common.clean_c(text_of(path), true), {}
  local asks = text:match("} asks%[%] = (%b{})") or ""
  for word, op in text_of(CORE_WORDS):gmatch('words%.([%w_]+) = add "(%w+)"') do
    makes[op] = word
  end
  for name in pairs(ctx) do
    local word = core_of["ctx." .. name]
    -- ctx.operator is no function.
    if text ~= "" and word and name ~= "operator" and asks:match(('{ "%s", "(%%w+)" }'):format(name)) ~= word then
      common.finding(path, 1, ("ctx.%s goes with needs.core %q, and C does not know"):format(name, word))
    end
  end
  for op, word in text:gmatch('{ "(%l+)", "(%l+)", [%w"]+, {') do
    local name = makes[op]
    if name and core_of[name] ~= word then
      common.finding(path, 1, ("%s goes with needs.core %q, its stub says otherwise"):format(name, word))
    end
  end
end

check_core()
check_grants("core/operator/scripts_needs.c")
common.done("a name that controllers shall have is a word of the interface: a stub in scripts/meta, for plugins too or "
  .. "with a word of needs.core")
