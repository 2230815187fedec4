/* native.c - functions of native modules, as Lua sees them.
 *
 * A call is a userdata, so that what it holds is freed wherever Lua raises. The module's function
 * itself runs between two such places and touches Lua only in ways that cannot raise. */
#include <lauxlib.h>
#include <string.h>

#include "base/modules.h"
#include "bind/bind.h"
#include "lua/value.h"
#include "lua/vm.h"

#define MEMORY_MAX ((size_t)1 << 20)
#define TEXT_MAX ((size_t)1 << 20)
#define CALL_COST 20

struct mh_call {
    lua_State *L;
    int args;
    struct mh_arena arena; /* of the module */
    struct mh_arena result_arena;
    enum mh_value kind;
    union {
        bool flag;
        int64_t integer;
        double number;
    } value;
    const char *text;
    size_t len;
    yyjson_val *table;
    int64_t spent;
};

/* --- arguments --------------------------------------------------------------------------------- */

int
mh_call_count(const struct mh_call *c)
{
    return c->args;
}

enum mh_value
mh_call_kind(const struct mh_call *c, int arg)
{
    if (arg < 1 || arg > c->args || mh_value_is_null(c->L, arg))
        return MH_VALUE_NONE;
    switch (lua_type(c->L, arg)) {
    case LUA_TBOOLEAN:
        return MH_VALUE_FLAG;
    case LUA_TNUMBER:
        return lua_isinteger(c->L, arg) ? MH_VALUE_INT : MH_VALUE_NUMBER;
    case LUA_TSTRING:
        return MH_VALUE_TEXT;
    case LUA_TTABLE:
        return MH_VALUE_TABLE;
    default:
        return MH_VALUE_NONE;
    }
}

bool
mh_call_flag(const struct mh_call *c, int arg, bool *out)
{
    if (mh_call_kind(c, arg) != MH_VALUE_FLAG)
        return false;
    *out = lua_toboolean(c->L, arg) != 0;
    return true;
}

bool
mh_call_int(const struct mh_call *c, int arg, int64_t *out)
{
    if (mh_call_kind(c, arg) != MH_VALUE_INT)
        return false;
    *out = (int64_t)lua_tointeger(c->L, arg);
    return true;
}

bool
mh_call_number(const struct mh_call *c, int arg, double *out)
{
    enum mh_value kind = mh_call_kind(c, arg);
    if (kind != MH_VALUE_NUMBER && kind != MH_VALUE_INT)
        return false;
    *out = (double)lua_tonumber(c->L, arg);
    return true;
}

const char *
mh_call_text(const struct mh_call *c, int arg, size_t *len)
{
    if (mh_call_kind(c, arg) != MH_VALUE_TEXT)
        return NULL;
    return lua_tolstring(c->L, arg, len); /* a string already: nothing is made */
}

void *
mh_call_memory(struct mh_call *c, size_t size)
{
    return mh_arena_alloc(&c->arena, size);
}

const char *
mh_call_json(struct mh_call *c, int arg, size_t *len)
{
    struct mh_buf b;
    char *out = NULL;
    if (arg < 1 || arg > c->args)
        return NULL;
    struct mh_err err;
    mh_buf_init(&b, TEXT_MAX);
    if (mh_value_encode(c->L, arg, "argument", &b, &err) == MH_OK)
        out = mh_arena_strndup(&c->arena, mh_buf_text(&b), b.len);
    if (out && len)
        *len = b.len;
    mh_buf_release(&b);
    return out;
}

bool
mh_call_spend(struct mh_call *c, size_t n)
{
    const struct mh_vm *vm = mh_vm_of(c->L);
    int64_t left = vm->limits.fuel - vm->fuel - c->spent;
    c->spent += n < (size_t)vm->limits.fuel ? (int64_t)n : vm->limits.fuel;
    return left > 0 && (uint64_t)left >= n;
}

/* --- results ----------------------------------------------------------------------------------- */

void
mh_give_flag(struct mh_call *c, bool value)
{
    c->kind = MH_VALUE_FLAG;
    c->value.flag = value;
}

void
mh_give_int(struct mh_call *c, int64_t value)
{
    c->kind = MH_VALUE_INT;
    c->value.integer = value;
}

void
mh_give_number(struct mh_call *c, double value)
{
    c->kind = MH_VALUE_NUMBER;
    c->value.number = value;
}

bool
mh_give_text(struct mh_call *c, const char *text, size_t len)
{
    char *copy = text && len <= TEXT_MAX ? mh_arena_strndup(&c->arena, text, len) : NULL;
    c->kind = copy ? MH_VALUE_TEXT : MH_VALUE_NONE;
    c->text = copy;
    c->len = len;
    return copy != NULL;
}

bool
mh_give_json(struct mh_call *c, const char *text, size_t len)
{
    yyjson_val *v = NULL;
    mh_arena_release(&c->result_arena);
    bool ok =
        text && len <= TEXT_MAX && mh_json_parse(&c->result_arena, text, len, &v, NULL) == MH_OK;
    c->kind = ok ? MH_VALUE_TABLE : MH_VALUE_NONE;
    c->table = v;
    return ok;
}

/* --- the call ---------------------------------------------------------------------------------- */

static int
call_gc(lua_State *L)
{
    struct mh_call *c = lua_touserdata(L, 1);
    mh_arena_release(&c->arena);
    mh_arena_release(&c->result_arena);
    return 0;
}

static struct mh_call *
push_call(lua_State *L, int args)
{
    struct mh_call *c = lua_newuserdatauv(L, sizeof(*c), 0);
    *c = (struct mh_call){ .L = L, .args = args };
    mh_arena_init(&c->arena, MEMORY_MAX);
    mh_arena_init(&c->result_arena, 16 * TEXT_MAX);
    if (luaL_newmetatable(L, "mh.call")) {
        lua_pushcfunction(L, call_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return c;
}

static size_t
size_of(lua_State *L, int args)
{
    size_t n = CALL_COST;
    for (int i = 1; i <= args; i++)
        n += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) / 8 : 1;
    return n;
}

static void
push_result(lua_State *L, const struct mh_call *c)
{
    switch (c->kind) {
    case MH_VALUE_FLAG:
        lua_pushboolean(L, c->value.flag);
        return;
    case MH_VALUE_INT:
        lua_pushinteger(L, (lua_Integer)c->value.integer);
        return;
    case MH_VALUE_NUMBER:
        lua_pushnumber(L, (lua_Number)c->value.number);
        return;
    case MH_VALUE_TEXT:
        lua_pushlstring(L, c->text, c->len);
        return;
    case MH_VALUE_TABLE:
        mh_value_push(L, c->table);
        return;
    case MH_VALUE_NONE:
        break;
    }
    lua_pushnil(L);
}

static int
call(lua_State *L)
{
    const struct mh_module_function *f = lua_touserdata(L, lua_upvalueindex(1));
    int args = lua_gettop(L);
    struct mh_err err = { .code = MH_OK, .msg = "" };
    mh_vm_charge(L, size_of(L, args));
    luaL_checkstack(L, 4, f->name);
    struct mh_call *c = push_call(L, args);
    enum mh_code code = f->run(c, &err);
    mh_vm_charge(L, (size_t)c->spent);
    if (code == MH_OK)
        push_result(L, c);
    mh_arena_release(&c->arena);
    mh_arena_release(&c->result_arena);
    if (code != MH_OK)
        return luaL_error(L, "%s: %s", f->name, err.msg[0] ? err.msg : mh_code_name(code));
    return 1;
}

static void
push_module(lua_State *L, const struct mh_module *m)
{
    lua_newtable(L);
    for (const struct mh_module_function *f = m->functions; f && f->name; f++) {
        union {
            const struct mh_module_function *in;
            void *out;
        } of = { .in = f };
        lua_pushlightuserdata(L, of.out);
        lua_pushcclosure(L, call, 1);
        lua_setfield(L, -2, f->name);
    }
}

/* Opens the first one, and makes globals of the others. */
int
mh_bind_native(lua_State *L)
{
    const struct mh_module *const *list = mh_modules();
    for (size_t i = 1; list[0] && list[i]; i++) {
        push_module(L, list[i]);
        mh_vm_set_global(L, list[i]->name);
    }
    push_module(L, list[0]);
    return 1;
}
