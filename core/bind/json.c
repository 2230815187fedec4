/* json.c - json.encode, json.decode. Stub: scripts/meta/json.lua. */
#include <lauxlib.h>
#include <string.h>

#include "bind/bind.h"
#include "lua/value.h"
#include "lua/vm.h"

#define TEXT_MAX ((size_t)1 << 20)

static int
json_encode(lua_State *L)
{
    struct mh_buf b;
    struct mh_err err;
    luaL_Buffer out;
    luaL_checkany(L, 1);
    mh_buf_init(&b, TEXT_MAX);
    enum mh_code code = mh_value_encode(L, 1, "value", &b, &err);
    size_t n = b.len;
    mh_buf_release(&b); /* nothing of the heap may be held where Lua can raise */
    if (code != MH_OK)
        return luaL_error(L, "%s", err.msg);
    mh_vm_charge(L, n / 8);
    /* Lua's own memory has room before the text is made once more into it. */
    char *place = luaL_buffinitsize(L, &out, n + 1);
    mh_buf_init(&b, TEXT_MAX);
    code = mh_value_encode(L, 1, "value", &b, &err);
    if (code == MH_OK)
        memcpy(place, b.data, n);
    mh_buf_release(&b);
    if (code != MH_OK)
        return luaL_error(L, "%s", err.msg);
    luaL_pushresultsize(&out, n);
    return 1;
}

/* The arena of a decode hangs on a userdata, so that an error frees it. */
static int
arena_gc(lua_State *L)
{
    mh_arena_release(lua_touserdata(L, 1));
    return 0;
}

static struct mh_arena *
push_arena(lua_State *L, size_t limit)
{
    struct mh_arena *a = lua_newuserdatauv(L, sizeof(*a), 0);
    mh_arena_init(a, limit);
    if (luaL_newmetatable(L, "mh.arena")) {
        lua_pushcfunction(L, arena_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
    return a;
}

/* json.decode(text): the value, or nil and why not */
static int
json_decode(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    struct mh_err err;
    yyjson_val *v = NULL;
    mh_vm_charge(L, n / 4);
    struct mh_arena *a = push_arena(L, 16 * (n + 4096));
    if (n > TEXT_MAX || mh_json_parse(a, text, n, &v, &err) != MH_OK) {
        mh_arena_release(a);
        lua_pushnil(L);
        lua_pushstring(L, n > TEXT_MAX ? "text is over 1 MiB" : err.msg);
        return 2;
    }
    mh_value_push(L, v);
    mh_arena_release(a);
    return 1;
}

int
mh_bind_json(lua_State *L)
{
    static const luaL_Reg fns[] = { { "encode", json_encode },
                                    { "decode", json_decode },
                                    { NULL, NULL } };
    luaL_newlib(L, fns);
    return 1;
}
