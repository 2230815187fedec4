/* lib_string.c - the string library: ASCII only where case matters, each byte worked on is charged.
 * Absent: dump, pack, unpack, packsize. */
#include <lauxlib.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/vm.h"

/* Position from the front (1..) for a relative one; 0 may come out for "before the start". */
static size_t
from(lua_Integer i, size_t len)
{
    if (i > 0)
        return (size_t)i;
    if (i == 0 || i < -(lua_Integer)len)
        return 1;
    return len + (size_t)(i + 1);
}

static size_t
to(lua_Integer i, size_t len)
{
    if (i > (lua_Integer)len)
        return len;
    if (i >= 0)
        return (size_t)i;
    return i < -(lua_Integer)len ? 0 : len + (size_t)(i + 1);
}

static int
str_len(lua_State *L)
{
    size_t n;
    (void)luaL_checklstring(L, 1, &n);
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

static int
str_sub(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    size_t i = from(luaL_checkinteger(L, 2), n);
    size_t j = to(luaL_optinteger(L, 3, -1), n);
    if (i > j) {
        lua_pushliteral(L, "");
        return 1;
    }
    mh_vm_charge(L, (j - i) / 16);
    lua_pushlstring(L, s + i - 1, j - i + 1);
    return 1;
}

static int
map_bytes(lua_State *L, char first, char last, int add, bool turn)
{
    size_t n;
    luaL_Buffer b;
    const char *s = luaL_checklstring(L, 1, &n);
    mh_vm_charge(L, n / 8);
    char *out = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++) {
        char c = s[turn ? n - 1 - i : i];
        out[i] = c >= first && c <= last ? (char)(c + add) : c;
    }
    luaL_pushresultsize(&b, n);
    return 1;
}

static int
str_lower(lua_State *L)
{
    return map_bytes(L, 'A', 'Z', 'a' - 'A', false);
}

static int
str_upper(lua_State *L)
{
    return map_bytes(L, 'a', 'z', 'A' - 'a', false);
}

static int
str_reverse(lua_State *L)
{
    return map_bytes(L, 1, 0, 0, true);
}

static int
str_rep(lua_State *L)
{
    size_t n;
    size_t lsep;
    luaL_Buffer b;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer times = luaL_checkinteger(L, 2);
    const char *sep = luaL_optlstring(L, 3, "", &lsep);
    size_t block = mh_vm_of(L)->limits.block;
    if (times <= 0 || n + lsep == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (n + lsep > block || (size_t)times > block / (n + lsep))
        return luaL_error(L, "resulting string is over the limit of %d bytes", (int)block);
    size_t total = (size_t)times * n + (size_t)(times - 1) * lsep;
    mh_vm_charge(L, total / 16);
    char *out = luaL_buffinitsize(L, &b, total);
    size_t done = n + lsep < total ? n + lsep : total;
    memcpy(out, s, n);
    memcpy(out + n, sep, done - n);
    while (done < total) { /* what is there twice as often */
        size_t more = done < total - done ? done : total - done;
        memcpy(out + done, out, more);
        done += more;
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

static int
str_byte(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer first = luaL_optinteger(L, 2, 1);
    size_t i = from(first, n);
    size_t j = to(luaL_optinteger(L, 3, (lua_Integer)i), n);
    if (i > j)
        return 0;
    if (j - i >= 4096)
        return luaL_error(L, "more than 4096 bytes at once");
    mh_vm_charge(L, j - i);
    luaL_checkstack(L, (int)(j - i + 1), "too many bytes");
    for (size_t k = i; k <= j; k++)
        lua_pushinteger(L, (unsigned char)s[k - 1]);
    return (int)(j - i + 1);
}

static int
str_char(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_Buffer b;
    mh_vm_charge(L, (size_t)n);
    char *out = luaL_buffinitsize(L, &b, (size_t)n);
    for (int i = 1; i <= n; i++) {
        lua_Integer c = luaL_checkinteger(L, i);
        luaL_argcheck(L, c >= 0 && c <= 255, i, "value out of range");
        out[i - 1] = (char)c;
    }
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

void
mh_lib_string_open(lua_State *L)
{
    static const luaL_Reg fns[] = {
        { "len", str_len },          { "sub", str_sub },
        { "lower", str_lower },      { "upper", str_upper },
        { "reverse", str_reverse },  { "rep", str_rep },
        { "byte", str_byte },        { "char", str_char },
        { "find", mh_lib_find },     { "match", mh_lib_match },
        { "gmatch", mh_lib_gmatch }, { "gsub", mh_lib_gsub },
        { "format", mh_lib_format }, { NULL, NULL },
    };
    /* Two tables: what a script does to `string` does not reach ("x"):method(). */
    luaL_newlib(L, fns);
    mh_vm_set_global(L, "string");
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    luaL_newlib(L, fns);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
