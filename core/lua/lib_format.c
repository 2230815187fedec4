/* lib_format.c - string.format: no addresses, widths of two digits, always the C locale's dot. */
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/vm.h"

#define SPEC_MAX 16

/* Copies "%-08.3" of f to spec and returns the position of the conversion letter. */
static const char *
read_spec(lua_State *L, const char *f, const char *end, char *spec)
{
    const char *start = f;
    size_t n = 0;
    while (f < end && *f && strchr("-+ #0", *f))
        f++;
    for (int i = 0; i < 2 && f < end && *f >= '0' && *f <= '9'; i++)
        f++;
    if (f < end && *f == '.') {
        f++;
        for (int i = 0; i < 2 && f < end && *f >= '0' && *f <= '9'; i++)
            f++;
    }
    if (f >= end || f - start > SPEC_MAX - 6)
        luaL_error(L, "invalid format '%%%s'", f >= end ? "" : "...");
    spec[n++] = '%';
    memcpy(spec + n, start, (size_t)(f - start));
    spec[n + (size_t)(f - start)] = 0;
    return f;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void
add_integer(lua_State *L, luaL_Buffer *b, char *spec, char conv, int arg)
{
    char text[160];
    lua_Integer v = luaL_checkinteger(L, arg);
    size_t n = strlen(spec);
    (void)snprintf(spec + n, SPEC_MAX + 8 - n, "ll%c", conv == 'i' ? 'd' : conv);
    luaL_addlstring(b, text, (size_t)snprintf(text, sizeof(text), spec, (long long)v));
}

static void
add_float(lua_State *L, luaL_Buffer *b, char *spec, char conv, int arg)
{
    char text[512]; /* %99.99f of 1e308 has 409 */
    double v = luaL_checknumber(L, arg);
    size_t n = strlen(spec);
    spec[n] = conv;
    spec[n + 1] = 0;
    luaL_addlstring(b, text, (size_t)snprintf(text, sizeof(text), spec, v));
}

static void
add_string(lua_State *L, luaL_Buffer *b, char *spec, int arg)
{
    size_t len;
    luaL_argexpected(L, !lua_isnone(L, arg), arg, "value");
    const char *s = mh_lib_tostring(L, arg, &len); /* on the top: no use of b before it is gone */
    mh_vm_charge(L, len / 16);
    if (spec[1] == 0 || (len >= 100 && !strchr(spec, '.'))) {
        luaL_addvalue(b);
        return;
    }
    if (strlen(s) != len)
        luaL_argerror(L, arg, "text contains zeros");
    char text[256];
    size_t n = strlen(spec);
    spec[n] = 's';
    spec[n + 1] = 0;
    int out = snprintf(text, sizeof(text), spec, s);
    lua_pop(L, 1);
    luaL_addlstring(b, text, (size_t)out);
}

#pragma GCC diagnostic pop

static void
add_quoted(lua_State *L, luaL_Buffer *b, int arg)
{
    size_t len;
    const char *s = luaL_checklstring(L, arg, &len);
    mh_vm_charge(L, len / 8);
    luaL_addchar(b, '"');
    for (size_t i = 0; i < len; i++) {
        char text[8];
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\' || c == '\n') {
            luaL_addchar(b, '\\');
            luaL_addchar(b, s[i]);
        } else if (c < 32 || c == 127) {
            luaL_addlstring(b, text, (size_t)snprintf(text, sizeof(text), "\\%03d", c));
        } else {
            luaL_addchar(b, s[i]);
        }
    }
    luaL_addchar(b, '"');
}

int
mh_lib_format(lua_State *L)
{
    size_t len;
    const char *f = luaL_checklstring(L, 1, &len);
    const char *end = f + len;
    int arg = 1;
    luaL_Buffer b;
    /* Texts of arguments are made below the buffer's own place on the stack. */
    int top = lua_gettop(L);
    mh_vm_charge(L, 5 + len / 8);
    for (int i = 2; i <= top; i++) {
        if (lua_type(L, i) != LUA_TTABLE)
            continue;
        (void)mh_lib_tostring(L, i, NULL);
        lua_replace(L, i);
        lua_settop(L, top);
    }
    luaL_buffinit(L, &b);
    while (f < end) {
        char spec[SPEC_MAX + 8];
        if (*f != '%') {
            luaL_addchar(&b, *f++);
            continue;
        }
        if (++f < end && *f == '%') {
            luaL_addchar(&b, *f++);
            continue;
        }
        f = read_spec(L, f, end, spec);
        arg++;
        char conv = *f++;
        if (conv && strchr("dixXo", conv))
            add_integer(L, &b, spec, conv, arg);
        else if (conv == 'c' && spec[1] == 0)
            luaL_addchar(&b, (char)luaL_checkinteger(L, arg));
        else if (conv && strchr("eEfFgGaA", conv))
            add_float(L, &b, spec, conv, arg);
        else if (conv == 's')
            add_string(L, &b, spec, arg);
        else if (conv == 'q' && spec[1] == 0)
            add_quoted(L, &b, arg);
        else
            return luaL_error(L, "invalid conversion '%s%c' to 'format'", spec, conv);
    }
    luaL_pushresult(&b);
    return 1;
}
