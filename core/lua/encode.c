/* encode.c - Lua to canonical JSON. Nothing in here may raise: it holds heap memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value.h"

struct step {
    const void *table;
    const char *key; /* NULL: an index */
    lua_Integer index;
};

struct encoder {
    lua_State *L;
    struct mh_buf *out;
    struct mh_err *err;
    const char *what;
    struct step path[MH_JSON_DEPTH_MAX + 1];
    int depth;
};

struct name {
    const char *s;
    size_t len;
    int slot;
};

static enum mh_code encode(struct encoder *e);

static enum mh_code
refuse(struct encoder *e, enum mh_code code, const char *why)
{
    char path[200];
    size_t n = (size_t)snprintf(path, sizeof(path), "%s", e->what);
    for (int i = 0; i < e->depth && n < sizeof(path); i++) {
        const struct step *s = &e->path[i];
        char *at = path + n;
        size_t room = sizeof(path) - n;
        n += (size_t)(s->key ? snprintf(at, room, ".%.60s", s->key)
                             : snprintf(at, room, "[%lld]", (long long)s->index));
    }
    return mh_fail(e->err, code, "%s %s", path, why);
}

void
mh_value_float_text(char *out, size_t size, double d)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, size, "%.*g", digits, d);
        if (strtod(out, NULL) == d)
            break;
    }
    if (!strpbrk(out, ".e"))
        (void)strncat(out, ".0", size - strlen(out) - 1);
}

static bool
utf8_ok(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    const unsigned char *end = p + n;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        int more = *p >= 0xc2 && *p <= 0xdf   ? 1
                   : *p >= 0xe0 && *p <= 0xef ? 2
                   : *p >= 0xf0 && *p <= 0xf4 ? 3
                                              : 0;
        if (!more || end - p <= more || (p[0] == 0xe0 && p[1] < 0xa0) ||
            (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
            return false;
        for (int i = 1; i <= more; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
        }
        p += more + 1;
    }
    return true;
}

static enum mh_code
encode_text(struct encoder *e, const char *s, size_t n)
{
    if (memchr(s, 0, n) || !utf8_ok(s, n))
        return refuse(e, MH_E_INVALID, "is no valid UTF-8 text");
    (void)mh_json_quote(e->out, s, n);
    return MH_OK;
}

static enum mh_code
encode_number(struct encoder *e)
{
    char text[40];
    if (lua_isinteger(e->L, -1)) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)lua_tointeger(e->L, -1));
    } else {
        double d = lua_tonumber(e->L, -1);
        if (isnan(d) || isinf(d))
            return refuse(e, MH_E_INVALID, "is no number that JSON has (NaN or infinite)");
        mh_value_float_text(text, sizeof(text), d);
    }
    (void)mh_buf_str(e->out, text);
    return MH_OK;
}

static enum mh_code
encode_array(struct encoder *e, lua_Integer n)
{
    (void)mh_buf_char(e->out, '[');
    for (lua_Integer i = 1; i <= n; i++) {
        if (i > 1)
            (void)mh_buf_char(e->out, ',');
        e->path[e->depth - 1].key = NULL;
        e->path[e->depth - 1].index = i;
        lua_rawgeti(e->L, -1, i);
        enum mh_code code = encode(e);
        lua_pop(e->L, 1);
        if (code != MH_OK)
            return code;
    }
    (void)mh_buf_char(e->out, ']');
    return MH_OK;
}

static int
by_bytes(const void *x, const void *y)
{
    const struct name *a = x;
    const struct name *b = y;
    int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

/* The keys stay on the stack, so that none has to be made again (that could raise). */
static enum mh_code
encode_names(struct encoder *e, struct name *names, size_t n)
{
    lua_State *L = e->L;
    int table = lua_gettop(L);
    size_t i = 0;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        names[i].s = lua_tolstring(L, -1, &names[i].len);
        names[i++].slot = lua_gettop(L);
        lua_pushvalue(L, -1);
    }
    qsort(names, n, sizeof(*names), by_bytes);
    (void)mh_buf_char(e->out, '{');
    for (i = 0; i < n; i++) {
        if (i)
            (void)mh_buf_char(e->out, ',');
        e->path[e->depth - 1].key = names[i].s;
        enum mh_code code = encode_text(e, names[i].s, names[i].len);
        if (code != MH_OK)
            return code;
        (void)mh_buf_char(e->out, ':');
        lua_pushvalue(L, names[i].slot);
        lua_rawget(L, table);
        code = encode(e);
        if (code != MH_OK)
            return code;
        lua_pop(L, 1);
    }
    (void)mh_buf_char(e->out, '}');
    lua_settop(L, table);
    return MH_OK;
}

struct shape {
    size_t keys;
    size_t texts;
    size_t indexes; /* integers from 1 */
    lua_Integer top;
};

static struct shape
look(lua_State *L)
{
    struct shape s = { 0 };
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        s.keys++;
        if (lua_type(L, -1) == LUA_TSTRING) {
            s.texts++;
        } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            s.indexes++;
            s.top = lua_tointeger(L, -1) > s.top ? lua_tointeger(L, -1) : s.top;
        }
    }
    return s;
}

static enum mh_code
encode_table(struct encoder *e)
{
    const void *self = lua_topointer(e->L, -1);
    for (int i = 0; i < e->depth; i++) {
        if (e->path[i].table == self)
            return refuse(e, MH_E_INVALID, "contains itself");
    }
    if (e->depth >= MH_JSON_DEPTH_MAX || !lua_checkstack(e->L, 10))
        return refuse(e, MH_E_INVALID, "is nested deeper than 64");
    struct shape s = look(e->L);
    bool tagged = mh_value_is_array(e->L, -1);
    bool dense = s.indexes == s.keys && (size_t)s.top == s.keys;
    if (tagged && !dense)
        return refuse(e, MH_E_INVALID, "is an array with a hole or a named field");
    if (!tagged && s.texts != s.keys && !dense)
        return refuse(e, MH_E_INVALID, "is neither a list without holes nor an object");
    enum mh_code code;
    e->path[e->depth++] = (struct step){ .table = self };
    if (tagged || (dense && s.keys)) {
        code = encode_array(e, s.top);
    } else {
        bool room = s.keys < INT32_MAX / 2 && lua_checkstack(e->L, (int)s.keys + 10);
        struct name *names = room ? mh_malloc((s.keys + 1) * sizeof(*names)) : NULL;
        code = names ? encode_names(e, names, s.keys)
                     : refuse(e, MH_E_LIMIT, "has more fields than fit into memory");
        mh_free(names);
    }
    e->depth--;
    return code;
}

static enum mh_code
encode(struct encoder *e)
{
    size_t n;
    const char *s;
    enum mh_code code = MH_OK;
    switch (lua_type(e->L, -1)) {
    case LUA_TNIL:
        (void)mh_buf_str(e->out, "null");
        break;
    case LUA_TBOOLEAN:
        (void)mh_buf_str(e->out, lua_toboolean(e->L, -1) ? "true" : "false");
        break;
    case LUA_TNUMBER:
        code = encode_number(e);
        break;
    case LUA_TSTRING:
        s = lua_tolstring(e->L, -1, &n);
        code = encode_text(e, s, n);
        break;
    case LUA_TTABLE:
        code = encode_table(e);
        break;
    default:
        if (!mh_value_is_null(e->L, -1))
            return refuse(e, MH_E_INVALID, "is a function or userdata");
        (void)mh_buf_str(e->out, "null");
    }
    if (code == MH_OK && e->out->failed)
        return refuse(e, MH_E_LIMIT, "makes the whole too large");
    return code;
}

enum mh_code
mh_value_encode(lua_State *L, int idx, const char *what, struct mh_buf *out, struct mh_err *err)
{
    if (!lua_checkstack(L, 10))
        return mh_fail(err, MH_E_NOMEM, "no memory to encode %s", what);
    struct encoder e = { .L = L, .out = out, .err = err, .what = what };
    int top = lua_gettop(L);
    lua_pushvalue(L, idx);
    enum mh_code code = encode(&e);
    lua_settop(L, top);
    return code;
}
