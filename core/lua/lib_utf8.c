/* lib_utf8.c - the utf8 library, strict: no surrogates, nothing over 10FFFF. */
#include <lauxlib.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/vm.h"

/* Bytes of the character at s, 0 if it is none. */
static size_t
decode(const char *s, const char *end, lua_Integer *out)
{
    static const lua_Integer least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (s >= end)
        return 0;
    unsigned char c = (unsigned char)*s;
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;
    if (n == 0 || (size_t)(end - s) < n || c > 0xf4)
        return 0;
    lua_Integer v = n == 1 ? c : c & (0xff >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *out = v;
    return n;
}

static lua_Integer
position(lua_Integer i, size_t len)
{
    return i >= 0 ? i : i < -(lua_Integer)len ? 0 : (lua_Integer)len + i + 1;
}

static int
utf_len(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer i = position(luaL_optinteger(L, 2, 1), len);
    lua_Integer j = position(luaL_optinteger(L, 3, -1), len);
    luaL_argcheck(L, i >= 1 && i <= (lua_Integer)len + 1, 2, "initial position out of bounds");
    luaL_argcheck(L, j <= (lua_Integer)len, 3, "final position out of bounds");
    mh_vm_charge(L, 1 + (j > i ? (size_t)(j - i) / 4 : 0));
    lua_Integer n = 0;
    while (i <= j) {
        lua_Integer c;
        size_t step = decode(s + i - 1, s + len, &c);
        if (!step) {
            lua_pushnil(L);
            lua_pushinteger(L, i);
            return 2;
        }
        i += (lua_Integer)step;
        n++;
    }
    lua_pushinteger(L, n);
    return 1;
}

static int
utf_codepoint(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer i = position(luaL_optinteger(L, 2, 1), len);
    lua_Integer j = position(luaL_optinteger(L, 3, i), len);
    luaL_argcheck(L, i >= 1, 2, "out of bounds");
    luaL_argcheck(L, j <= (lua_Integer)len, 3, "out of bounds");
    if (j - i >= 4096)
        return luaL_error(L, "more than 4096 bytes at once");
    int n = 0;
    while (i <= j) {
        lua_Integer c;
        size_t step = decode(s + i - 1, s + len, &c);
        if (!step)
            return luaL_error(L, "invalid UTF-8 code");
        luaL_checkstack(L, 1, "too many characters");
        lua_pushinteger(L, c);
        i += (lua_Integer)step;
        n++;
    }
    mh_vm_charge(L, (size_t)n);
    return n;
}

static int
utf_char(lua_State *L)
{
    luaL_Buffer b;
    int n = lua_gettop(L);
    mh_vm_charge(L, (size_t)n);
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        lua_Integer c = luaL_checkinteger(L, i);
        luaL_argcheck(L, c >= 0 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff), i,
                      "value out of range");
        if (c < 0x80) {
            luaL_addchar(&b, (char)c);
            continue;
        }
        int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const int lead[] = { 0, 0xc0, 0xe0, 0xf0 };
        luaL_addchar(&b, (char)(lead[more] | (int)(c >> (6 * more))));
        for (int k = more - 1; k >= 0; k--)
            luaL_addchar(&b, (char)(0x80 | (int)(c >> (6 * k) & 0x3f)));
    }
    luaL_pushresult(&b);
    return 1;
}

static bool
is_inside(const char *s, lua_Integer at) /* a character; the text ends with a zero */
{
    return ((unsigned char)s[at] & 0xc0) == 0x80;
}

/* Byte positions from 0: n characters on from *at, or back. False: there are not so many. */
static bool
walk(const char *s, lua_Integer len, lua_Integer n, lua_Integer *at)
{
    for (; n > 0 && *at < len; n--) {
        do
            ++*at;
        while (is_inside(s, *at));
    }
    for (; n < 0 && *at > 0; n++) {
        do
            --*at;
        while (*at > 0 && is_inside(s, *at));
    }
    return n == 0;
}

/* offset(s, n, i): where the n-th character from byte i on begins; 0: the one that has byte i. */
static int
utf_offset(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    lua_Integer at = position(luaL_optinteger(L, 3, n >= 0 ? 1 : (lua_Integer)len + 1), len) - 1;
    mh_vm_charge(L, 1 + len / 4);
    luaL_argcheck(L, at >= 0 && at <= (lua_Integer)len, 3, "position out of bounds");
    if (n == 0) {
        while (at > 0 && is_inside(s, at))
            at--;
    } else if (is_inside(s, at)) {
        return luaL_error(L, "initial position is a continuation byte");
    }
    if (walk(s, (lua_Integer)len, n > 0 ? n - 1 : n, &at))
        lua_pushinteger(L, at + 1);
    else
        lua_pushnil(L);
    return 1;
}

/* Upvalue: the text. Called with (text, position of the last character). */
static int
codes_step(lua_State *L)
{
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer at = luaL_checkinteger(L, 2);
    lua_Integer c;
    luaL_argcheck(L, at >= 0 && at <= (lua_Integer)len, 2, "out of bounds");
    if (at > 0)
        at += (lua_Integer)decode(s + at - 1, s + len, &c) - 1;
    if (at >= (lua_Integer)len)
        return 0;
    if (!decode(s + at, s + len, &c))
        return luaL_error(L, "invalid UTF-8 code");
    lua_pushinteger(L, at + 1);
    lua_pushinteger(L, c);
    return 2;
}

static int
utf_codes(lua_State *L)
{
    (void)luaL_checkstring(L, 1);
    lua_pushcfunction(L, codes_step);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

void
mh_lib_utf8_open(lua_State *L)
{
    static const luaL_Reg fns[] = {
        { "len", utf_len },       { "codepoint", utf_codepoint }, { "char", utf_char },
        { "offset", utf_offset }, { "codes", utf_codes },         { NULL, NULL },
    };
    luaL_newlib(L, fns);
    lua_pushliteral(L, "[\0-\x7F\xC2-\xFD][\x80-\xBF]*");
    lua_setfield(L, -2, "charpattern");
    mh_vm_set_global(L, "utf8");
}
