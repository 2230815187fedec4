--- Each lint finds what it is for, and nothing in a clean tree: bad samples in a directory of their own.
--- Usage: lua5.4 tests/lint/cases.lua, from the top; prints one line per failed case.
local here = arg[0]:match("^(.*)/[^/]*$") or "."

local long = "static int\nlong_one(void)\n{\n" .. ("    x();\n"):rep(61) .. "}\n"
local block = {}
for i = 1, 12 do
  block[i] = ("    value%d = compute(%d);\n"):format(i, i)
end
block = table.concat(block)

local sum = ("0123456789abcdef"):rep(4)

--- A lock file with every package, and a line more.
local function lock(line)
  local out = { "suite trixie" }
  for i, name in ipairs { "musl", "zlib", "libzstd", "lz4", "openssl", "nghttp2", "curl", "libevent", "libyaml",
    "libseccomp", "postgresql-17", "yyjson", "lua5.4" } do
    out[#out + 1] = ("deb %s 99.%d %s%02x"):format(name, i, sum:sub(1, 62), i)
  end
  out[#out + 1] = line
  return table.concat(out, "\n") .. "\n"
end

local PURE_LUA = "local t = {}\nfor k, v in pairs { 1 } do\n  t[k] = tostring(v):rep(2)\nend\nreturn table.concat(t)\n"
local CORE_STUB = '---@class core.Ctx\n---@field ask fun(): table needs.core "x": what\n'
  .. '--- needs.core "x": what\n---@return table\nfunction door() end\n'
local CORE_USER = 'local c = { core = { "x" } }\nfunction c.observe(ctx)\n  return ctx.ask(), door()\nend\nreturn c\n'

-- lint, file (or files), text (or texts), what the finding says (nil: there must be none)
local CASES = {
  { "layers", "core/base/a.c", '#include "io/loop.h"\n', "base may not include io/" },
  { "layers", "core/operator/a.c", '#include "instance/x.h"\n', "operator may not include instance/" },
  { "layers", "core/kube/a.c", '#include "net/x.h"\n#include "kube/y.h"\n#include <time.h>\n' },
  { "layers", "core/kube/a.c", '#include "y.h"\n', "does not name its room" },
  { "layers", "core/ha/a.c", "void f(void)\n{\n    time(0);\n}\n", "time() in ha" },
  { "layers", "core/ha/a.c", "void f(void)\n{\n    w->time(0); /* time(0) */\n}\n" },
  { "layers", "core/magic/a.c", "int x;\n", "not in the list" },
  { "names", "core/base/a.h", "int mh_a(void);\nvoid helper(int a);\n", "public function helper" },
  { "names", "core/base/a.h", "#define MAX_X 3\n", "macro MAX_X" },
  { "names", "core/base/a.h", "struct mh_a { int (*run)(int); };\n"
    .. "int mh_f(int (*cb)(void)) __attribute__((format(printf, 1, 2)));\n" },
  { "sizes", "core/base/a.c", long, "long_one has 61 lines" },
  { "sizes", "core/base/a.c", "/* lint: allow size: a table */\n" .. long },
  { "sizes", "core/base/a.c", ("int x;\n"):rep(701), "701 lines" },
  { "sizes", "scripts/a.lua", ("x = 1\n"):rep(401), "401 lines" },
  { "sizes", "core/base/a.c", "int\nmh_f(int a, int b, int c, int d, int e, int f, int g)\n{\n}\n", "7 parameters" },
  { "sizes", "core/base/a.c", "int\nmh_f(void *self, struct mh_arena *a, int b, int c, int d, int e, int f, int g,\n"
    .. "     struct mh_err *err)\n{\n}\n" },
  { "banned", "core/io/a.c", "void f(void)\n{\n    free(x);\n}\n", "free(): use mh_free" },
  { "banned", "core/base/a.c", "void f(void)\n{\n    free(x);\n    s->system(1); /* system() */ y = \"popen(\";\n}\n" },
  { "banned", "core/base/a.c", "void f(void)\n{\n    strcpy(a, b);\n}\n", "strcpy()" },
  { "banned", "core/io/a.c", "/* lint: allow free: made by getline */\nfree(x);\n" },
  { "kinds", "core/operator/a.c", 'if (strcmp(kind, "Pod") == 0) {}\n', 'kind "Pod"' },
  { "kinds", "core/operator/a.c", 'if (mh_str_eq(mh_x(o),\n    "clusters")) {}\n', 'kind "clusters"' },
  { "kinds", "core/operator/a.c", 'log("Pod"); if (strcmp(a, "spec") == 0) {}\n' },
  { "kinds", "core/kube/a.c", 'if (strcmp(kind, "Pod") == 0) {}\n' },
  { "controllers", "scripts/desired/a.lua", PURE_LUA },
  { "controllers", "scripts/desired/a.lua", "return os.time()\n", "os is no name of the interface" },
  { "controllers", "scripts/desired/a.lua", "return math.random(3)\n", "math.random is no name of the interface" },
  { "controllers", "scripts/desired/a.lua", "x = 1\n", "sets the global x" },
  { "controllers", "scripts/desired/a.lua", "local e = _ENV\nreturn e\n", "_ENV is no name" },
  { "controllers", "scripts/desired/a.lua", "return require 'chaos.lib.words'\n", "chaos is no folder of modules" },
  { "controllers", "scripts/controllers/a/b.lua", "return function(ctx)\n  return ctx.door()\nend\n",
    "b.lua:2: ctx.door is no function of the interface" },
  { "controllers", "scripts/controllers/a/b.lua", "return function(ctx, n)\n  return ctx[n]()\nend\n", "cannot see" },
  { "controllers", "scripts/controllers/a.lua", "return { op = 'instance' }\n", "made with its word" },
  { "controllers", { "scripts/meta/core.lua", "scripts/controllers/a.lua" }, { CORE_STUB, CORE_USER } },
  { "controllers", { "scripts/meta/core.lua", "scripts/controllers/a.lua" }, { CORE_STUB, CORE_USER:gsub('"x"', "") },
    'uses what needs.core "x" is for' },
  { "controllers", { "scripts/meta/core.lua", "scripts/controllers/a.lua" },
    { CORE_STUB, CORE_USER:gsub('"x"', '"x", "y"') }, 'needs.core has "y", and nothing uses it' },
  { "controllers", { "scripts/meta/core.lua", "scripts/controllers/a.lua" }, { "", CORE_USER }, "door is no name" },
  { "controllers", "core/operator/a.c", 'static const struct mh_effect e[] = { { "door", fx_door } };\n',
    "the function of ctx door is not in scripts/meta" },
  { "controllers", "core/operator/a.c", 'void f(void)\n{\n    mh_vm_set_global(L, "door");\n}\n', "through ctx only" },
  { "controllers", "core/lua/controller.c", 'mh_vm_set_global(L, "door");\n', "the name door is not in scripts/meta" },
  { "controllers", "core/lua/plugin_worker.c", 'const char *const mh_plugin_effects[] = { "get", NULL };\n',
    "ctx get is not every plugin's" },
  { "controllers", { "scripts/meta/core.lua", "core/operator/scripts_needs.c" },
    { CORE_STUB, '} asks[] = {\n    { "ask", "y" },\n};\n' }, 'ctx.ask goes with needs.core "x", and C does not know' },
  { "controllers", { "scripts/meta/core.lua", "core/operator/needs_set.c" },
    { "---@field x true what", 'mh_needs_core[] = { "y", NULL };\n' }, 'needs.core "y" is not in' },
  { "controllers", "core/bind/bind.c", '{ "door", mh_bind_door },\n', "the module door is not in scripts/meta" },
  { "controllers", "scripts/controllers/lib/words.lua", "local words = {}\nfunction words.door() end\nreturn words\n",
    "the word door is not in scripts/meta" },
  { "duplicates", { "core/base/a.c", "core/io/b.c" }, block, "12 lines as in" },
  { "duplicates", "core/base/a.c", block },
  { "paths", "docs/a.md", "see /ho" .. "me/somebody/x\n", "a path of one machine" },
  { "paths", "docs/a.md", "see /usr/share/x and /tmp/y\n" },
  { "pins", "deploy/deps.lock", lock("deb curl 8.10.0-1 " .. sum) },
  { "pins", "deploy/deps.lock", lock("deb curl 1:8.9.9-1 " .. sum), "8.10 or later is needed" },
  { "pins", "deploy/deps.lock", lock("deb curl 2.0 " .. sum:sub(1, 62) .. "07"), "the sum is that of curl 99.7" },
  { "pins", "deploy/deps.lock", lock("deb curl 99.7 " .. sum), "version 99.7 is pinned twice" },
  { "pins", "deploy/deps.lock", lock("deb curl 2.0 0123"), "64 lower-case" },
  { "pins", "deploy/deps.lock", lock("tar x 2.0 " .. sum), "has 5 words" },
  { "pins", "deploy/deps.lock", lock("rpm x 2.0 " .. sum), "neither suite" },
  { "pins", "deploy/deps.lock", "suite trixie\n", "musl is not pinned" },
}

-- The same for those that are programs of others, called by tests/lint/run.
local C_HEAD = "/* a.c - a sample. */\nint mh_f(int *p);\n\n"
local C_GOOD = C_HEAD .. "int\nmh_f(int *p)\n{\n    return p ? *p : 0;\n}\n"
local C_NULL = C_HEAD .. "int\nmh_f(int *p)\n{\n    if (!p)\n        return *p;\n    return 0;\n}\n"
local COMPILE = '[{"directory":"%s","file":"core/base/a.c","command":"clang -std=c17 -c core/base/a.c"}]'
local TOOLS = {
  { "luacheck", "scripts/a.lua", "local a = 1\nreturn a\n" },
  { "luacheck", "scripts/a.lua", "local a = 1\nreturn b\n", "unused variable 'a'" },
  { "luacheck", "scripts/desired/a.lua", "return os.time()\n", "os" },
  { "luacheck", "scripts/a.lua", "return '" .. ("x"):rep(120) .. "'\n", "too long" },
  { "cppcheck", "core/base/a.c", C_GOOD },
  { "cppcheck", "core/base/a.c", C_NULL, "nullPointer" },
  { "format", "core/base/a.c", C_GOOD },
  { "format", "core/base/a.c", "int x;\n  int   y ;\n", "core/base/a.c" },
  { "scripts", "dev", "#!/bin/bash\necho a\n" },
  { "scripts", "dev", "#!/bin/bash\nif true; then\n", "syntax error" },
  { "scripts", "deploy/a", "#!/usr/bin/env python3\nx = (\n", "SyntaxError" },
  { "tidy", "core/base/a.c", C_GOOD },
  { "tidy", "core/base/a.c", C_NULL, "a.c" },
}

local function shell(command)
  local pipe = io.popen(command .. " 2>&1")
  local text = pipe:read("a")
  pipe:close()
  return text
end

local function run(case)
  local dir = os.tmpname()
  os.remove(dir)
  for i, path in ipairs(type(case[2]) == "table" and case[2] or { case[2] }) do
    os.execute(("mkdir -p '%s/%s'"):format(dir, path:match("^(.*)/")))
    local f = assert(io.open(dir .. "/" .. path, "w"))
    f:write(type(case[3]) == "table" and case[3][i] or case[3])
    f:close()
  end
  local text = shell(("LUA_PATH='%s/?.lua' lua5.4 '%s/%s.lua' '%s'"):format(here, here, case[1], dir))
  os.execute(("rm -rf '%s'"):format(dir))
  return text
end

--- A tree of its own with our settings and the lints in it.
local function run_tool(case)
  local dir = os.tmpname()
  os.remove(dir)
  local function write(path, text)
    os.execute(("mkdir -p '%s/%s'"):format(dir, path:match("^(.*)/") or "."))
    local f = assert(io.open(dir .. "/" .. path, "w"))
    f:write(text)
    f:close()
    os.execute(("chmod +x '%s/%s'"):format(dir, path))
  end
  shell(("mkdir -p '%s/tests' '%s/.ci' && cp -r '%s' '%s/tests/lint' && cp .luacheckrc .clang-format .clang-tidy '%s'")
    :format(dir, dir, here, dir, dir))
  for _, d in ipairs { "core", "include", "scripts", "crds" } do
    os.execute(("mkdir -p '%s/%s'"):format(dir, d))
  end
  write(".ci/run", "#!/bin/bash\n")
  write(case[2], case[3])
  write("build/clang/compile_commands.json", COMPILE:format(dir))
  local text = shell(("cd '%s' && git init -q . && MH_TEST_FULL=1 tests/lint/run %s; cat build/log/lint-%s.log")
    :format(dir, case[1], case[1]))
  os.execute(("rm -rf '%s'"):format(dir))
  local failed = text:find("not ok", 1, true) ~= nil
  if failed ~= (case[4] ~= nil) then
    return text == "" and "nothing" or text, false
  end
  return text, not case[4] or text:find(case[4], 1, true) ~= nil
end

local bad = 0

local function count(name, n, case, good, text)
  if not good then
    bad = bad + 1
    print(("%s %d of %s: expected %s, got: %s"):format(name, n, case[1], case[4] or "nothing", text))
  end
end

for n, case in ipairs(CASES) do
  local text = run(case)
  count("case", n, case, case[4] and text:find(case[4], 1, true) or (not case[4] and text == ""), text)
end
for n, case in ipairs(TOOLS) do
  -- clang-tidy runs at full depth only.
  if case[1] ~= "tidy" or os.getenv("MH_TEST_FULL") then
    local text, good = run_tool(case)
    count("sample", n, case, good, text)
  end
end
os.exit(bad == 0)
