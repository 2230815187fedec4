#include "lua/declared.h"

#include <lauxlib.h>
#include <string.h>

#include "base/time.h"
#include "lua/lib.h"
#include "lua/value.h"

#define SOURCE_MAX ((size_t)256 << 10) /* of a plugin */

struct run {
    const struct mh_policy_job *job;
    struct mh_buf out;
    struct mh_err err;
};

static char anything_key; /* registry: what unknown names stand for */

/* Whatever is done with it, it is it again. */
static int
anything(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &anything_key);
    return 1;
}

static int
nothing(lua_State *L)
{
    (void)L;
    return 0;
}

static void
make_anything(lua_State *L)
{
    static const char *const same[] = { "__index", "__call", "__concat", "__add", "__sub",
                                        "__mul",   "__div",  "__mod",    "__unm", NULL };
    lua_newtable(L);
    lua_newtable(L);
    for (const char *const *p = same; *p; p++) {
        lua_pushcfunction(L, anything);
        lua_setfield(L, -2, *p);
    }
    lua_pushcfunction(L, nothing);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &anything_key);

    mh_vm_push_globals(L);
    lua_newtable(L);
    lua_pushcfunction(L, anything);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static int
given(lua_State *L)
{
    lua_settop(L, 1);
    return 1;
}

/* controller "Kind" { ... } is the table. */
static int
controller(lua_State *L)
{
    (void)L;
    lua_pushcfunction(L, given);
    return 1;
}

/* Argument: the run. */
static int
declared_fn(lua_State *L)
{
    struct run *run = lua_touserdata(L, 1);
    make_anything(L);
    lua_pushcfunction(L, controller);
    mh_vm_set_global(L, "controller");
    mh_vm_load(L, run->job->name, run->job->script, run->job->script_len);
    mh_vm_of(L)->kind = "runtime";
    lua_call(L, 0, 1);
    mh_vm_of(L)->kind = "contract";
    if (!lua_istable(L, -1))
        return luaL_error(L, "%s:1: the script returns no table", run->job->name);
    lua_pushliteral(L, "needs");
    lua_rawget(L, -2);
    if (lua_isnil(L, -1))
        (void)mh_buf_str(&run->out, "null");
    else if (mh_value_encode(L, -1, "needs", &run->out, &run->err) != MH_OK)
        return luaL_error(L, "%s:1: %s", run->job->name, run->err.msg);
    return 0;
}

void
mh_declared_run(struct mh_arena *a, const struct mh_policy_job *job, struct mh_policy_result *r)
{
    struct mh_vm_limits limits = mh_limits_policy;
    struct run run = { .job = job };
    limits.source = SOURCE_MAX;
    *r = (struct mh_policy_result){
        .error = { .kind = "memory", .file = job->name, .message = "no memory" }
    };
    struct mh_vm *vm = job->name && job->script ? mh_vm_new(&limits) : NULL;
    if (!vm)
        return;
    mh_buf_init(&run.out, MH_DECLARED_MAX);
    mh_vm_begin(vm, NULL);
    r->ok = mh_vm_call(vm, a, declared_fn, &run, &r->error, NULL) == MH_OK;
    r->fuel = vm->fuel;
    if (r->ok) {
        r->answer_len = run.out.len;
        r->answer = mh_arena_strndup(a, mh_buf_text(&run.out), run.out.len);
        r->ok = r->answer != NULL;
    }
    mh_buf_release(&run.out);
    mh_vm_free(vm);
}
