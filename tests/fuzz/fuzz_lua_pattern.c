/* Any pattern (up to the first line end) on any text, through find, match, gmatch and gsub. */
#include <lauxlib.h>
#include <string.h>

#include "lua/value.h"
#include "lua/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct job {
    const char *data;
    size_t size;
};

static int
job_fn(lua_State *L)
{
    static const char script[] = "local s, p = ...\n"
                                 "local a, b = s:find(p)\n"
                                 "if a then assert(a >= 1 and b >= a - 1 and b <= #s) end\n"
                                 "local n = 0\n"
                                 "for x in s:gmatch(p) do n = n + 1 end\n"
                                 "assert(n <= #s + 1)\n"
                                 "local t = s:gsub(p, '%0')\n"
                                 "assert(t == s)\n";
    const struct job *j = lua_touserdata(L, 1);
    const char *line = memchr(j->data, '\n', j->size);
    size_t n = line ? (size_t)(line - j->data) : 0;
    mh_vm_load(L, "t.lua", script, sizeof(script) - 1);
    lua_pushlstring(L, j->data + n + (line ? 1 : 0), j->size - n - (line ? 1 : 0));
    lua_pushlstring(L, j->data, n);
    lua_call(L, 2, 0);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    struct mh_err err = { .code = MH_OK };
    struct job j = { (const char *)data, size };
    struct mh_vm *vm = mh_vm_new(&mh_limits_policy);
    mh_arena_init(&a, (size_t)8 << 20);
    mh_vm_begin(vm, NULL);
    (void)mh_vm_call(vm, &a, job_fn, &j, NULL, &err);
    if (strstr(err.msg, "assertion failed"))
        __builtin_trap();
    mh_vm_free(vm);
    mh_arena_release(&a);
    return 0;
}
