#include "lua/policy_host.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "lua/embed.h"
#include "lua/guard.h"
#include "lua/lib.h"
#include "lua/shape.h"
#include "lua/value.h"

static struct mh_policy_run *
run_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* An error with the place of the declaration, not that of our own files. */
static int
raise(lua_State *L, const struct mh_policy_run *run, const char *msg)
{
    lua_pushfstring(L, "%s:%d: %s", run->job->name, run->line ? run->line : 1, msg);
    return lua_error(L);
}

/* set(name, value): a global of scripts */
static int
host_set(lua_State *L)
{
    lua_settop(L, 2);
    mh_vm_set_global(L, luaL_checkstring(L, 1));
    return 0;
}

/* declared(point): called by policy(), which the script calls */
static int
host_declared(lua_State *L)
{
    lua_Debug ar;
    if (lua_getstack(L, 2, &ar) && lua_getinfo(L, "l", &ar))
        run_of(L)->line = ar.currentline > 0 ? ar.currentline : 0;
    return 0;
}

/* fail(format, ...): an error at the place of the declaration */
static int
host_fail(lua_State *L)
{
    const struct mh_policy_run *run = run_of(L);
    int n = lua_gettop(L);
    lua_pushcfunction(L, mh_lib_format);
    lua_insert(L, 1);
    lua_call(L, n, 1);
    return raise(L, run, lua_tostring(L, -1));
}

static int
host_kind(lua_State *L)
{
    static const char *const kinds[] = { "contract", "runtime", "output", "guard", NULL };
    mh_vm_of(L)->kind = kinds[luaL_checkoption(L, 1, NULL, kinds)];
    return 0;
}

/* step(text): a new budget for one case or fixture; "" ends the last one */
static int
host_step(lua_State *L)
{
    struct mh_policy_run *run = run_of(L);
    struct mh_vm *vm = mh_vm_of(L);
    const char *kind = vm->kind;
    (void)snprintf(run->step, sizeof(run->step), "%s", luaL_checkstring(L, 1));
    run->cases += run->step[0] != 0;
    run->fuel += vm->fuel;
    mh_vm_begin(vm, NULL);
    vm->kind = kind;
    return 0;
}

/* Encodes the value at idx onto the arena; the buffer is gone before anything raises. */
static const char *
encode(lua_State *L, struct mh_policy_run *run, int idx, const char *what, size_t cap, size_t *len)
{
    struct mh_buf b;
    struct mh_err err;
    char *out = NULL;
    *len = 0;
    mh_buf_init(&b, cap);
    enum mh_code code = mh_value_encode(L, idx, what, &b, &err);
    if (code == MH_OK) {
        *len = b.len;
        out = mh_arena_strndup(run->arena, mh_buf_text(&b), b.len);
    }
    mh_buf_release(&b);
    if (code == MH_E_LIMIT)
        (void)raise(L, run, lua_pushfstring(L, "%s (over %d KiB)", err.msg, (int)(cap >> 10)));
    if (code != MH_OK || !out)
        (void)raise(L, run, code != MH_OK ? err.msg : "no memory");
    return out;
}

/* remember(input): in a check, what the case asks; a decision keeps what the core sent */
static int
host_remember(lua_State *L)
{
    struct mh_policy_run *run = run_of(L);
    struct mh_err err;
    size_t len;
    if (run->job->op == MH_POLICY_DECIDE)
        return 0;
    const char *text = encode(L, run, 1, "given", MH_POLICY_INPUT_MAX, &len);
    if (mh_json_parse(run->arena, text, len, &run->input, &err) != MH_OK)
        return raise(L, run, err.msg);
    return 0;
}

/* guard(point, answer): raises if the answer is not allowed for the input; keeps its text */
static int
host_guard(lua_State *L)
{
    struct mh_policy_run *run = run_of(L);
    struct mh_err err;
    yyjson_val *answer;
    const char *point = luaL_checkstring(L, 1);
    run->answer = encode(L, run, 2, "decision", MH_POLICY_OUTPUT_MAX, &run->answer_len);
    if (mh_json_parse(run->arena, run->answer, run->answer_len, &answer, &err) != MH_OK)
        return raise(L, run, err.msg);
    if (mh_guard_answer(point, run->input, answer, &err) != MH_OK) {
        mh_vm_of(L)->kind = "guard";
        return raise(L, run, err.msg);
    }
    return 0;
}

static int
host_is_array(lua_State *L)
{
    lua_pushboolean(L, mh_value_is_array(L, 1));
    return 1;
}

/* copy(t): one level */
static int
host_copy(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    return 1;
}

/* begin(): a new budget within a step, for what is the script's own */
static int
host_begin(lua_State *L)
{
    struct mh_policy_run *run = run_of(L);
    struct mh_vm *vm = mh_vm_of(L);
    const char *kind = vm->kind;
    run->fuel += vm->fuel;
    mh_vm_begin(vm, NULL);
    vm->kind = kind;
    return 0;
}

/* is_point(name) */
static int
host_is_point(lua_State *L)
{
    lua_pushboolean(L, mh_point_find(lua_tostring(L, 1)) != NULL);
    return 1;
}

/* check_input(point, input): raises if it is not as the decision point says */
static int
host_check_input(lua_State *L)
{
    struct mh_policy_run *run = run_of(L);
    const struct mh_point *p = mh_point_find(luaL_checkstring(L, 1));
    struct mh_err err;
    yyjson_val *input;
    size_t len;
    const char *text = encode(L, run, 2, "given", MH_POLICY_INPUT_MAX, &len);
    if (!p)
        return raise(L, run, "there is no such decision point");
    if (mh_json_parse(run->arena, text, len, &input, &err) != MH_OK ||
        mh_shape_input(p, "given", input, &err) != MH_OK)
        return raise(L, run, err.msg);
    return 0;
}

/* load(name): what policies/NAME of ours returns; it gets the host */
static int
host_load(lua_State *L)
{
    struct mh_policy_run *run = run_of(L);
    const char *name = lua_pushfstring(L, "policies/%s", luaL_checkstring(L, 1));
    const struct mh_script *s = mh_script_find(run->arena, name);
    if (!s)
        return luaL_error(L, "%s is missing", name);
    mh_vm_load(L, lua_pushfstring(L, "%s.lua", name), s->text, s->len);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_call(L, 1, 1);
    return 1;
}

void
mh_policy_told(struct mh_policy_run *run, bool ok, const char *message)
{
    struct mh_policy_step *s = mh_arena_alloc(run->arena, sizeof(*s));
    if (!s || !run->job->all || !run->step[0])
        return;
    *s = (struct mh_policy_step){ .name = mh_arena_strdup(run->arena, run->step), .ok = ok };
    s->message = message ? mh_arena_strdup(run->arena, message) : NULL;
    if (!run->last_step)
        run->last_step = &run->steps;
    *run->last_step = s;
    run->last_step = &s->next;
    run->failed_steps += !ok;
    run->step[0] = 0;
}

/* told(ok, message): how the step ended */
static int
host_told(lua_State *L)
{
    mh_policy_told(run_of(L), lua_toboolean(L, 1), lua_tostring(L, 2));
    return 0;
}

void
mh_policy_push_host(lua_State *L, struct mh_policy_run *run)
{
    static const luaL_Reg fns[] = {
        { "set", host_set },
        { "declared", host_declared },
        { "fail", host_fail },
        { "kind", host_kind },
        { "step", host_step },
        { "guard", host_guard },
        { "remember", host_remember },
        { "is_array", host_is_array },
        { "copy", host_copy },
        { "order", mh_policy_order },
        { "is_point", host_is_point },
        { "load", host_load },
        { "check_input", host_check_input },
        { "told", host_told },
        { "begin", host_begin },
        { NULL, NULL },
    };
    lua_createtable(L, 0, 40);
    lua_pushlightuserdata(L, run);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, fns, 2);
}

void
mh_policy_tell_host(lua_State *L, const struct mh_policy_run *run)
{
    lua_pushboolean(L, run->job->all);
    lua_setfield(L, -2, "is_test");
    lua_pushstring(L, run->params_file);
    lua_setfield(L, -2, "params_file");
}
