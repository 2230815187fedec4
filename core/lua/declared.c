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

/* --- controller "Kind" { ... } ---------------------------------------------------------------- */

/* A misspelt function would never be called, and nobody would know. */
static void
check_functions(lua_State *L)
{
    static const char *const known[] = { "observe", "plan", "finalize", NULL };
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        const char *const *k = known;
        while (lua_type(L, -2) == LUA_TSTRING && *k && strcmp(*k, lua_tostring(L, -2)) != 0)
            k++;
        if (lua_isfunction(L, -1) && !*k)
            luaL_error(L, "there is no function '%s' of a plugin",
                       lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?");
        lua_pop(L, 1);
    }
    if (lua_getfield(L, 1, "plan") != LUA_TFUNCTION)
        luaL_error(L, "a plugin needs a function 'plan'");
    lua_settop(L, 1);
}

/* Upvalues: the kind, what observe is by itself. Adds what C has to know. */
static int
declare(lua_State *L)
{
    lua_Debug ar;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "l", &ar) && ar.currentline > 0) {
        lua_pushinteger(L, ar.currentline);
        lua_setfield(L, 1, "line");
    }
    check_functions(L);
    lua_getfield(L, 1, "finalize");
    lua_pushboolean(L, lua_isfunction(L, -1));
    lua_setfield(L, 1, "finalizes");
    lua_getfield(L, 1, "observe");
    if (lua_isnil(L, -1)) {
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_setfield(L, 1, "observe");
    }
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setfield(L, 1, "kind");
    return 1;
}

static int
global_controller(lua_State *L)
{
    (void)luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, declare, 2);
    return 1;
}

void
mh_declared_push(lua_State *L)
{
    lua_pushcclosure(L, global_controller, 1);
}
