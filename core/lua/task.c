/* task.c - observe: a coroutine that asks effects and may wait for them. */
#include "lua/task.h"

#include <lauxlib.h>
#include <string.h>

#include "lua/controller.h"
#include "lua/lib.h"
#include "lua/value.h"

struct mh_task {
    struct mh_observe *o;
    struct mh_generation *gen;
    lua_State *co;
    int co_ref; /* anchors co in the registry */
    bool waiting;
    struct mh_effect_call call; /* the one in flight */
    struct mh_err raised;       /* what an effect raised last */
};

/* --- effects --------------------------------------------------------------------------------- */

const char *
mh_effect_str(const struct mh_effect_call *call, size_t i)
{
    return yyjson_get_str(yyjson_arr_get(call->args, i));
}

yyjson_val *
mh_effect_arg(const struct mh_effect_call *call, size_t i)
{
    yyjson_val *v = yyjson_arr_get(call->args, i);
    return yyjson_is_null(v) ? NULL : v;
}

/* Never raises, so that the buffer is safe. */
static enum mh_code
read_args(lua_State *L, struct mh_effect_call *call, struct mh_err *err)
{
    struct mh_buf b;
    int n = lua_gettop(L);
    enum mh_code code = MH_OK;
    mh_buf_init(&b, MH_SEEN_MAX);
    (void)mh_buf_char(&b, '[');
    for (int i = 1; i <= n && code == MH_OK; i++) {
        if (i > 1)
            (void)mh_buf_char(&b, ',');
        code = mh_value_encode(L, i, call->name, &b, err);
    }
    if (code == MH_OK && !mh_buf_char(&b, ']'))
        code = mh_fail(err, MH_E_LIMIT, "arguments of ctx.%s are too large", call->name);
    if (code == MH_OK)
        code = mh_json_parse(call->arena, mh_buf_text(&b), b.len, &call->args, err);
    mh_buf_release(&b);
    return code;
}

static int
push_answer(lua_State *L, struct mh_task *t)
{
    struct mh_effect_call *call = &t->call;
    if (call->err.code != MH_OK) {
        t->raised = call->err;
        return luaL_error(L, "ctx.%s: %s", call->name, call->err.msg);
    }
    if (call->value) {
        mh_value_push(L, call->value);
    } else if (call->is_list) {
        mh_value_push_list(L, call->items, call->nitems);
    } else if (call->text) {
        yyjson_val *v = NULL;
        struct mh_err err;
        if (mh_json_parse(call->arena, call->text, call->text_len, &v, &err) != MH_OK)
            return luaL_error(L, "ctx.%s: %s", call->name, err.msg);
        mh_value_push(L, v);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int
effect_answered(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    return push_answer(L, (struct mh_task *)ctx);
}

/* Upvalue: the struct mh_effect. */
static int
call_effect(lua_State *L)
{
    const struct mh_effect *fx = lua_touserdata(L, lua_upvalueindex(1));
    struct mh_task *t = mh_vm_of(L)->running;
    if (!t)
        return luaL_error(L, "ctx.%s can only be called in observe", fx->name);
    struct mh_effect_call *call = &t->call;
    struct mh_arena *own = t->o->effects_arena;
    if (own)
        mh_arena_release(own);
    *call = (struct mh_effect_call){ .name = fx->name,
                                     .observe = t->o,
                                     .arena = own ? own : t->o->arena };
    struct mh_err err;
    if (read_args(L, call, &err) != MH_OK)
        return luaL_error(L, "%s", err.msg);
    if (fx->fn(call) == MH_EFFECT_DONE)
        return push_answer(L, t);
    if (!lua_isyieldable(L)) {
        if (call->cancel)
            call->cancel(call);
        return luaL_error(L, "ctx.%s cannot wait here: inside table.sort or string.gsub", fx->name);
    }
    t->waiting = true;
    return lua_yieldk(L, 0, (lua_KContext)t, effect_answered);
}

/* --- steps ----------------------------------------------------------------------------------- */

static int
make_coroutine(lua_State *L)
{
    struct mh_task *t = lua_touserdata(L, 1);
    t->co = lua_newthread(L);
    t->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    mh_controller_push(L, "observe");
    if (yyjson_is_obj(t->o->ctx))
        mh_value_push(L, t->o->ctx);
    else
        lua_newtable(L);
    for (const struct mh_effect *fx = t->o->effects; fx && fx->name; fx++) {
        lua_pushlightuserdata(L, (void *)(uintptr_t)fx);
        lua_pushcclosure(L, call_effect, 1);
        lua_setfield(L, -2, fx->name);
    }
    mh_value_push(L, t->o->object);
    luaL_checkstack(t->co, 4, NULL);
    lua_xmove(L, t->co, 3);
    return 0;
}

static void
end_task(struct mh_task *t)
{
    struct mh_vm *vm = t->gen->vm;
    if (t->co) {
        (void)lua_closethread(t->co, vm->L);
        luaL_unref(vm->L, LUA_REGISTRYINDEX, t->co_ref);
    }
    t->o->task = NULL;
    mh_controller_unref(t->gen);
}

static enum mh_code
keep_seen(struct mh_task *t, int nres)
{
    struct mh_observe *o = t->o;
    struct mh_buf b;
    mh_buf_init(&b, MH_SEEN_MAX);
    enum mh_code code = nres ? mh_value_encode(t->co, -nres, "seen", &b, &o->err)
                             : mh_fail(&o->err, MH_E_INVALID, "observe returned nothing");
    if (code == MH_OK) {
        o->seen = mh_arena_strndup(o->arena, mh_buf_text(&b), b.len);
        o->seen_len = b.len;
        if (!o->seen)
            code = mh_fail(&o->err, MH_E_NOMEM, "no memory for what observe returned");
    }
    mh_buf_release(&b);
    if (code == MH_E_INVALID) {
        o->err.code = MH_E_SCRIPT;
        o->se = (struct mh_script_error){ .kind = "output",
                                          .message = mh_arena_strdup(o->arena, o->err.msg) };
    }
    return code;
}

static enum mh_step
step(struct mh_task *t, int nargs)
{
    struct mh_vm *vm = t->gen->vm;
    struct mh_observe *o = t->o;
    int nres = 0;
    mh_vm_begin(vm, t->co);
    vm->running = t;
    int rc = lua_resume(t->co, vm->L, nargs, &nres);
    mh_vm_end(vm);
    vm->running = NULL;
    if (rc == LUA_YIELD) {
        lua_pop(t->co, nres);
        return MH_STEP_WAIT;
    }
    enum mh_code code;
    if (rc == LUA_OK) {
        code = keep_seen(t, nres);
    } else {
        mh_vm_keep_traceback(vm, t->co);
        code = mh_vm_explain(vm, o->arena, t->co, rc, &o->se, &o->err);
        /* What an effect raised and nobody caught keeps its own class. */
        if (code == MH_E_SCRIPT && t->raised.code != MH_OK && strstr(o->err.msg, t->raised.msg))
            o->err.code = t->raised.code;
    }
    end_task(t);
    return code == MH_OK ? MH_STEP_DONE : MH_STEP_FAIL;
}

enum mh_step
mh_observe_start(struct mh_controller *c, struct mh_observe *o)
{
    struct mh_task *t = mh_arena_alloc(o->arena, sizeof(*t));
    o->err = (struct mh_err){ .code = MH_OK };
    o->se = (struct mh_script_error){ 0 };
    o->seen = NULL;
    o->task = t;
    if (!t) {
        (void)mh_fail(&o->err, MH_E_NOMEM, "no memory for a pass");
        return MH_STEP_FAIL;
    }
    *t = (struct mh_task){ .o = o, .gen = mh_controller_ref(c, &o->err) };
    if (!t->gen) {
        o->task = NULL;
        return MH_STEP_FAIL;
    }
    mh_vm_begin(t->gen->vm, NULL);
    if (mh_vm_call(t->gen->vm, o->arena, make_coroutine, t, &o->se, &o->err) != MH_OK) {
        end_task(t);
        return MH_STEP_FAIL;
    }
    return step(t, 2);
}

void
mh_effect_finish(struct mh_effect_call *call)
{
    struct mh_observe *o = call->observe;
    struct mh_task *t = o->task;
    t->waiting = false;
    if (step(t, 0) != MH_STEP_WAIT)
        o->done(o);
}

void
mh_observe_cancel(struct mh_observe *o)
{
    struct mh_task *t = o->task;
    if (!t)
        return;
    if (t->waiting && t->call.cancel)
        t->call.cancel(&t->call);
    end_task(t);
}
