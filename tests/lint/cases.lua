--- Each lint finds what it is for, and nothing in a clean tree: bad samples in a directory of their own.
--- Usage: lua5.4 tests/lint/cases.lua, from the top; prints one line per failed case.
local here = arg[0]:match("^(.*)/[^/]*$") or "."

local long = "static int\nlong_one(void)\n{\n" .. ("    x();\n"):rep(61) .. "}\n"
local block = {}
for i = 1, 12 do
  block[i] = ("    value%d = compute(%d);\n"):format(i, i)
end
block = table.concat(block)

-- lint, file, text, what the finding says (nil: there must be none)
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
  { "duplicates", { "core/base/a.c", "core/io/b.c" }, block, "12 lines as in" },
  { "duplicates", "core/base/a.c", block },
  { "paths", "docs/a.md", "see /ho" .. "me/somebody/x\n", "a path of one machine" },
  { "paths", "docs/a.md", "see /usr/share/x and /tmp/y\n" },
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
  for _, path in ipairs(type(case[2]) == "table" and case[2] or { case[2] }) do
    os.execute(("mkdir -p '%s/%s'"):format(dir, path:match("^(.*)/")))
    local f = assert(io.open(dir .. "/" .. path, "w"))
    f:write(case[3])
    f:close()
  end
  local text = shell(("LUA_PATH='%s/?.lua' lua5.4 '%s/%s.lua' '%s'"):format(here, here, case[1], dir))
  os.execute(("rm -rf '%s'"):format(dir))
  return text
end

local bad = 0
for n, case in ipairs(CASES) do
  local text = run(case)
  local good = case[4] and text:find(case[4], 1, true) or (not case[4] and text == "")
  if not good then
    bad = bad + 1
    print(("case %d of %s: expected %s, got: %s"):format(n, case[1], case[4] or "nothing", text))
  end
end
os.exit(bad == 0)
