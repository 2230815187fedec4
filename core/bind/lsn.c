/* lsn.c - positions in the WAL: lsn.parse, lsn.text. Stub: scripts/meta/lsn.lua. */
#include <lauxlib.h>

#include "base/str.h"
#include "bind/bind.h"

/* lsn.parse("16/B374D848"): an integer, or nil. Positions of 2^63 and more do not occur. */
static int
lsn_parse(lua_State *L)
{
    uint64_t lsn;
    if (!mh_lsn_parse(luaL_checkstring(L, 1), &lsn) || lsn > INT64_MAX)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)lsn);
    return 1;
}

static int
lsn_text(lua_State *L)
{
    char text[MH_LSN_TEXT];
    lua_Integer lsn = luaL_checkinteger(L, 1);
    luaL_argcheck(L, lsn >= 0, 1, "want a position");
    mh_lsn_text(text, (uint64_t)lsn);
    lua_pushstring(L, text);
    return 1;
}

int
mh_bind_lsn(lua_State *L)
{
    static const luaL_Reg fns[] = { { "parse", lsn_parse }, { "text", lsn_text }, { NULL, NULL } };
    luaL_newlib(L, fns);
    return 1;
}
