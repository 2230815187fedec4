/* time.c - texts of times that are arguments; there is no clock. Stub: scripts/meta/time.lua. */
#include "base/time.h"

#include <lauxlib.h>

#include "bind/bind.h"

/* time.rfc3339(unix seconds) */
static int
time_rfc3339(lua_State *L)
{
    char text[MH_TIME_TEXT];
    lua_Integer s = luaL_checkinteger(L, 1);
    luaL_argcheck(L, s >= -62135596800 && s <= 253402300799, 1, "outside the years 1 to 9999");
    mh_time_rfc3339(text, s);
    lua_pushstring(L, text);
    return 1;
}

/* time.parse(text): unix seconds, or nil */
static int
time_parse(lua_State *L)
{
    int64_t us;
    if (!mh_time_parse(luaL_checkstring(L, 1), &us))
        lua_pushnil(L);
    else
        lua_pushinteger(L, us >= 0 ? us / 1000000 : (us - 999999) / 1000000);
    return 1;
}

int
mh_bind_time(lua_State *L)
{
    static const luaL_Reg fns[] = { { "rfc3339", time_rfc3339 },
                                    { "parse", time_parse },
                                    { NULL, NULL } };
    luaL_newlib(L, fns);
    return 1;
}
