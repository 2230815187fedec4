/* lib_base.c - what stays of the base library. Taken as they are: assert, error, ipairs, type,
 * getmetatable, rawequal, rawlen, rawget. Own: the rest. Absent: load, require, print, rawset,
 * collectgarbage, dofile, warn. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/value.h"
#include "lua/vm.h"

/* --- pcall, xpcall: a kill passes through them ------------------------------------------------ */

static int
finish_pcall(lua_State *L, int status, lua_KContext skip)
{
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)skip;
    mh_vm_after_pcall(L, status);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int
base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    mh_vm_charge(L, 10);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_pcall);
    return finish_pcall(L, status, 0);
}

static int
finish_handler(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_replace(L, 1);
        return lua_gettop(L);
    }
    mh_vm_after_pcall(L, status);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* Stack: true, handler, results or error. The handler runs after unwinding, under hooks. */
static int
finish_xpcall(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_remove(L, 2);
        return lua_gettop(L);
    }
    mh_vm_after_pcall(L, status);
    lua_pushvalue(L, 2);
    lua_insert(L, -2);
    lua_remove(L, 2); /* true, handler, error */
    return finish_handler(L, lua_pcallk(L, 1, LUA_MULTRET, 0, 0, finish_handler), 0);
}

static int
base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    mh_vm_charge(L, 10);
    int n = lua_gettop(L);
    lua_pushboolean(L, 1);
    lua_insert(L, 1); /* true, f, handler, args */
    lua_pushvalue(L, 2);
    lua_remove(L, 2);
    lua_insert(L, 3); /* true, handler, f, args */
    int status = lua_pcallk(L, n - 2, LUA_MULTRET, 0, 0, finish_xpcall);
    return finish_xpcall(L, status, 0);
}

/* --- tables ---------------------------------------------------------------------------------- */

static int
base_setmetatable(lua_State *L)
{
    static const char *const refused[] = { "__gc", "__mode", "__metatable", "__name", "__close" };
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    for (size_t i = 0; lua_istable(L, 2) && i < sizeof(refused) / sizeof(*refused); i++) {
        lua_pushstring(L, refused[i]);
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable with %s is refused", refused[i]);
        lua_pop(L, 1);
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

struct key {
    int rank; /* 0 integer, 1 float, 2 string, 3 boolean */
    lua_Integer i;
    lua_Number n;
    const char *s;
    size_t len;
};

/* Rank 0 and 1 are one order: numbers by value; a float beyond all integers comes after them. */
static int
compare_keys(const struct key *a, const struct key *b)
{
    if (a->rank <= 1 && b->rank <= 1) {
        if (a->rank == 0 && b->rank == 0)
            return a->i < b->i ? -1 : a->i > b->i;
        lua_Number x = a->rank ? a->n : (lua_Number)a->i;
        lua_Number y = b->rank ? b->n : (lua_Number)b->i;
        return x < y ? -1 : x > y ? 1 : a->rank - b->rank;
    }
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->rank == 3)
        return a->i < b->i ? -1 : a->i > b->i;
    size_t n = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->s, b->s, n);
    return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

static bool
read_key(lua_State *L, int idx, struct key *k)
{
    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
        *k = (struct key){ .rank = lua_isinteger(L, idx) ? 0 : 1,
                           .i = lua_isinteger(L, idx) ? lua_tointeger(L, idx) : 0,
                           .n = lua_tonumber(L, idx) };
        return true;
    case LUA_TSTRING:
        *k = (struct key){ .rank = 2 };
        k->s = lua_tolstring(L, idx, &k->len);
        return true;
    case LUA_TBOOLEAN:
        *k = (struct key){ .rank = 3, .i = lua_toboolean(L, idx) };
        return true;
    default:
        return false;
    }
}

static void
merge_keys(struct key *k, struct key *tmp, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2;
    merge_keys(k, tmp, half);
    merge_keys(k + half, tmp, n - half);
    memcpy(tmp, k, half * sizeof(*k));
    size_t i = 0;
    size_t j = half;
    for (size_t at = 0; i < half; at++) {
        if (j < n && compare_keys(&k[j], &tmp[i]) < 0)
            k[at] = k[j++];
        else
            k[at] = tmp[i++];
    }
}

static size_t
count_keys(lua_State *L, int idx)
{
    size_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        n++;
    }
    return n;
}

void
mh_lib_sorted_keys(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    size_t n = count_keys(L, idx);
    mh_vm_charge(L, 4 * n);
    lua_createtable(L, n > INT32_MAX / 64 ? 0 : (int)n, 0);
    struct key *keys = lua_newuserdatauv(L, (n + n / 2 + 1) * sizeof(*keys), 0);
    size_t i = 0;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        if (!read_key(L, -1, &keys[i++]))
            luaL_error(L, "keys of type %s have no order: a table with them cannot be walked",
                       luaL_typename(L, -1));
    }
    merge_keys(keys, keys + n, n);
    for (i = 0; i < n; i++) { /* the texts are alive: the table still holds them */
        if (keys[i].rank == 0)
            lua_pushinteger(L, keys[i].i);
        else if (keys[i].rank == 1)
            lua_pushnumber(L, keys[i].n);
        else if (keys[i].rank == 2)
            lua_pushlstring(L, keys[i].s, keys[i].len);
        else
            lua_pushboolean(L, (int)keys[i].i);
        lua_rawseti(L, -3, (lua_Integer)i + 1);
    }
    lua_pop(L, 1);
}

/* Upvalues: table, sorted keys, position. Keys that went away meanwhile are passed over. */
static int
pairs_step(lua_State *L)
{
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));
    for (;;) {
        if (lua_rawgeti(L, lua_upvalueindex(2), ++at) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, -1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
            break;
        lua_pop(L, 2);
    }
    lua_pushinteger(L, at);
    lua_replace(L, lua_upvalueindex(3));
    return 2;
}

static int
base_pairs(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mh_lib_sorted_keys(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, pairs_step, 3);
    return 1;
}

static int
base_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    struct key from = { 0 };
    if (!lua_isnil(L, 2) && !read_key(L, 2, &from))
        return luaL_argerror(L, 2, "no key with an order");
    struct key best = { 0 };
    bool any = false;
    size_t n = 0;
    lua_settop(L, 3); /* 3: the best so far */
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        n++;
        struct key k;
        if (!read_key(L, -1, &k))
            return luaL_error(L, "keys of type %s have no order", luaL_typename(L, -1));
        if ((!lua_isnil(L, 2) && compare_keys(&k, &from) <= 0) ||
            (any && compare_keys(&k, &best) >= 0))
            continue;
        any = true;
        best = k;
        lua_pushvalue(L, -1);
        lua_replace(L, 3);
    }
    mh_vm_charge(L, n);
    if (!any)
        return 0;
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 3);
    lua_rawget(L, 1);
    return 2;
}

/* --- values ---------------------------------------------------------------------------------- */

const char *
mh_lib_tostring(lua_State *L, int idx, size_t *len)
{
    idx = lua_absindex(L, idx);
    if (lua_type(L, idx) == LUA_TTABLE && luaL_getmetafield(L, idx, "__tostring") != LUA_TNIL) {
        lua_pushvalue(L, idx);
        lua_call(L, 1, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, len);
    }
    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
        lua_pushvalue(L, idx);
        return lua_tolstring(L, -1, len); /* turns the copy into a string */
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, idx) ? "true" : "false");
        break;
    default:
        lua_pushstring(L, mh_value_is_null(L, idx) ? "null" : luaL_typename(L, idx));
    }
    return lua_tolstring(L, -1, len);
}

static int
base_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    (void)mh_lib_tostring(L, 1, NULL);
    return 1;
}

/* Upvalue: the original. */
static int
base_tonumber(lua_State *L)
{
    luaL_checkany(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING)
        mh_vm_charge(L, lua_rawlen(L, 1) / 8);
    int n = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, 1);
    return 1;
}

static int
base_select(lua_State *L)
{
    int n = lua_gettop(L);
    mh_vm_charge(L, (size_t)n / 16);
    if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "#") == 0) {
        lua_pushinteger(L, n - 1);
        return 1;
    }
    lua_Integer i = luaL_checkinteger(L, 1);
    if (i < 0)
        i = n + i;
    else if (i > n)
        i = n;
    luaL_argcheck(L, 1 <= i, 1, "index out of range");
    return n - (int)i;
}

void
mh_lib_base_open(lua_State *L)
{
    static const char *const taken[] = { "assert",       "error",    "ipairs", "type",
                                         "getmetatable", "rawequal", "rawlen", "rawget" };
    static const luaL_Reg own[] = {
        { "pcall", base_pcall },
        { "xpcall", base_xpcall },
        { "setmetatable", base_setmetatable },
        { "pairs", base_pairs },
        { "next", base_next },
        { "tostring", base_tostring },
        { "select", base_select },
        { NULL, NULL },
    };
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1); /* the state's own _G, which no script sees */
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        lua_getfield(L, -1, taken[i]);
        mh_vm_set_global(L, taken[i]);
    }
    lua_getfield(L, -1, "tonumber");
    lua_pushcclosure(L, base_tonumber, 1);
    mh_vm_set_global(L, "tonumber");
    for (const luaL_Reg *r = own; r->name; r++) {
        lua_pushcfunction(L, r->func);
        mh_vm_set_global(L, r->name);
    }
    lua_pushnil(L);
    while (lua_next(L, -2)) { /* empty it: nothing in the state shall lead to load() */
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -4);
    }
    lua_pop(L, 1);
}

void
mh_lib_math_open(lua_State *L)
{
    lua_pushcfunction(L, luaopen_math);
    lua_call(L, 0, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "random");
    lua_pushnil(L);
    lua_setfield(L, -2, "randomseed");
    mh_vm_set_global(L, "math");
}
