/* lib_table.c - the table library: raw access only, so that no __len or __index is believed; sort
 * is a stable merge sort, so that equal keys keep their order on every machine. */
#include <lauxlib.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/vm.h"

#define UNPACK_MAX 4096

static lua_Integer
length_of(lua_State *L, int idx)
{
    luaL_checktype(L, idx, LUA_TTABLE);
    return (lua_Integer)lua_rawlen(L, idx);
}

static int
tab_insert(lua_State *L)
{
    lua_Integer n = length_of(L, 1);
    lua_Integer at = n + 1;
    switch (lua_gettop(L)) {
    case 2:
        break;
    case 3:
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= n + 1, 2, "position out of bounds");
        mh_vm_charge(L, (size_t)(n + 1 - at));
        for (lua_Integer i = n; i >= at; i--) {
            lua_rawgeti(L, 1, i);
            lua_rawseti(L, 1, i + 1);
        }
        break;
    default:
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_rawseti(L, 1, at);
    return 0;
}

static int
tab_remove(lua_State *L)
{
    lua_Integer n = length_of(L, 1);
    lua_Integer at = luaL_optinteger(L, 2, n);
    if (lua_gettop(L) >= 2)
        luaL_argcheck(L, (at >= 1 && at <= n + 1) || (n == 0 && at == 0), 2,
                      "position out of bounds");
    lua_rawgeti(L, 1, at);
    if (at < 1 || at > n)
        return 1;
    mh_vm_charge(L, (size_t)(n - at));
    for (; at < n; at++) {
        lua_rawgeti(L, 1, at + 1);
        lua_rawseti(L, 1, at);
    }
    lua_pushnil(L);
    lua_rawseti(L, 1, at);
    return 1;
}

static int
tab_concat(lua_State *L)
{
    lua_Integer n = length_of(L, 1);
    size_t lsep;
    const char *sep = luaL_optlstring(L, 2, "", &lsep);
    lua_Integer i = luaL_optinteger(L, 3, 1);
    lua_Integer last = luaL_optinteger(L, 4, n);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (; i <= last; i++) {
        lua_rawgeti(L, 1, i);
        if (!lua_isstring(L, -1))
            return luaL_error(L, "invalid value (at index %I) in table for 'concat'", i);
        mh_vm_charge(L, 1 + (lua_rawlen(L, -1) + lsep) / 16);
        luaL_addvalue(&b);
        if (i < last)
            luaL_addlstring(&b, sep, lsep);
        if (i == LUA_MAXINTEGER)
            break;
    }
    luaL_pushresult(&b);
    return 1;
}

static int
tab_pack(lua_State *L)
{
    int n = lua_gettop(L);
    mh_vm_charge(L, (size_t)n);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

static int
tab_unpack(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer i = luaL_optinteger(L, 2, 1);
    lua_Integer last = luaL_optinteger(L, 3, (lua_Integer)lua_rawlen(L, 1));
    if (i > last)
        return 0;
    lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)i;
    if (n >= UNPACK_MAX)
        return luaL_error(L, "more than %d results to unpack", UNPACK_MAX);
    mh_vm_charge(L, (size_t)n);
    luaL_checkstack(L, (int)n + 1, "too many results to unpack");
    for (lua_Unsigned k = 0; k <= n; k++)
        lua_rawgeti(L, 1, i + (lua_Integer)k);
    return (int)n + 1;
}

static int
tab_move(lua_State *L)
{
    int dest = lua_isnoneornil(L, 5) ? 1 : 5;
    lua_Integer first = luaL_checkinteger(L, 2);
    lua_Integer last = luaL_checkinteger(L, 3);
    lua_Integer at = luaL_checkinteger(L, 4);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, dest, LUA_TTABLE);
    if (last >= first) {
        luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3,
                      "too many elements to move");
        lua_Integer n = last - first + 1;
        luaL_argcheck(L, at <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
        mh_vm_charge(L, (size_t)n); /* the whole bill first: a huge n dies here */
        bool down = at > last || at <= first || dest != 1;
        for (lua_Integer k = 0; k < n; k++) {
            lua_Integer i = down ? k : n - 1 - k;
            lua_rawgeti(L, 1, first + i);
            lua_rawseti(L, dest, at + i);
        }
    }
    lua_pushvalue(L, dest);
    return 1;
}

/* --- sort ------------------------------------------------------------------------------------ */

/* Stack: 1 list, 2 comparator or nil, 3 and 4 two work tables. Is value y before x? Both on top. */
static bool
is_before(lua_State *L, int y, int x)
{
    if (lua_isnil(L, 2)) {
        if (lua_type(L, y) == LUA_TSTRING)
            mh_vm_charge(L, lua_rawlen(L, y) / 64);
        return lua_compare(L, y, x, LUA_OPLT);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, y);
    lua_pushvalue(L, x);
    lua_call(L, 2, 1);
    bool less = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return less;
}

/* Merges from[lo..mid) and from[mid..hi) into to[lo..hi). */
static void
merge(lua_State *L, int src, int dst, lua_Integer lo, lua_Integer mid, lua_Integer hi)
{
    lua_Integer i = lo;
    lua_Integer j = mid;
    mh_vm_charge(L, (size_t)(hi - lo) * 2);
    for (lua_Integer at = lo; at < hi; at++) {
        bool take_right = i >= mid;
        if (i < mid && j < hi) {
            lua_rawgeti(L, src, j);
            lua_rawgeti(L, src, i);
            take_right = is_before(L, lua_gettop(L) - 1, lua_gettop(L));
            lua_pop(L, 2);
        }
        lua_rawgeti(L, src, take_right ? j++ : i++);
        lua_rawseti(L, dst, at);
    }
}

static int
tab_sort(lua_State *L)
{
    lua_Integer n = length_of(L, 1);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (n < 2)
        return 0;
    mh_vm_charge(L, (size_t)n);
    lua_createtable(L, n > 1 << 24 ? 0 : (int)n, 0);
    lua_createtable(L, n > 1 << 24 ? 0 : (int)n, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        lua_rawseti(L, 3, i);
    }
    int src = 3;
    for (lua_Integer width = 1; width < n; width *= 2) {
        int dst = 7 - src;
        for (lua_Integer lo = 1; lo <= n; lo += 2 * width) {
            lua_Integer mid = lo + width < n + 1 ? lo + width : n + 1;
            lua_Integer hi = lo + 2 * width < n + 1 ? lo + 2 * width : n + 1;
            merge(L, src, dst, lo, mid, hi);
        }
        src = dst;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, src, i);
        lua_rawseti(L, 1, i);
    }
    return 0;
}

void
mh_lib_table_open(lua_State *L)
{
    static const luaL_Reg fns[] = {
        { "insert", tab_insert }, { "remove", tab_remove }, { "concat", tab_concat },
        { "pack", tab_pack },     { "unpack", tab_unpack }, { "move", tab_move },
        { "sort", tab_sort },     { NULL, NULL },
    };
    luaL_newlib(L, fns);
    mh_vm_set_global(L, "table");
}
