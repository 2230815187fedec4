/* lib_match.c - patterns of Lua with a bill: each step of the matcher is charged, depth is bounded.
 * Character classes are those of ASCII, whatever the locale. */
#include <lauxlib.h>
#include <string.h>

#include "lua/lib.h"
#include "lua/vm.h"

#define DEPTH_MAX 200
#define CAPTURES 32
#define OPEN (-1)     /* length of a capture that has no end yet */
#define POSITION (-2) /* of a capture "()" */

struct capture {
    const char *at;
    ptrdiff_t len;
};

struct matcher {
    lua_State *L;
    const char *src;
    const char *end;
    const char *pend; /* of the pattern */
    int level;        /* captures so far */
    int depth;
    unsigned steps;
    struct capture cap[CAPTURES];
};

static const char *match_here(struct matcher *m, const char *s, const char *p);

static void
pay(struct matcher *m)
{
    if (++m->steps % 32 == 0)
        mh_vm_charge(m->L, 32);
}

static bool
in_class(unsigned char c, char class)
{
    bool upper = c >= 'A' && c <= 'Z';
    bool lower = c >= 'a' && c <= 'z';
    bool digit = c >= '0' && c <= '9';
    bool in;
    switch (class | 0x20) {
    case 'a':
        in = upper || lower;
        break;
    case 'c':
        in = c < 32 || c == 127;
        break;
    case 'd':
        in = digit;
        break;
    case 'g':
        in = c > 32 && c < 127;
        break;
    case 'l':
        in = lower;
        break;
    case 'p':
        in = c > 32 && c < 127 && !upper && !lower && !digit;
        break;
    case 's':
        in = c == ' ' || (c >= 9 && c <= 13);
        break;
    case 'u':
        in = upper;
        break;
    case 'w':
        in = upper || lower || digit;
        break;
    case 'x':
        in = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        break;
    default:
        return (unsigned char)class == c; /* an escaped character */
    }
    return in != (class >= 'A' && class <= 'Z');
}

/* The end of the item (character, class or set) that begins at p. */
static const char *
item_end(struct matcher *m, const char *p)
{
    if (*p == '%') {
        if (p + 1 >= m->pend)
            luaL_error(m->L, "pattern ends with '%%'");
        return p + 2;
    }
    if (*p != '[')
        return p + 1;
    p++;
    if (p < m->pend && *p == '^')
        p++;
    do { /* a ']' in first place is itself */
        if (p >= m->pend)
            luaL_error(m->L, "pattern has a '[' without ']'");
        p += *p == '%' ? 2 : 1;
    } while (p >= m->pend || *p != ']');
    return p + 1;
}

/* c in the set [p .. last], which points at ']' */
static bool
in_set(unsigned char c, const char *p, const char *last)
{
    bool want = true;
    p++;
    if (*p == '^') {
        want = false;
        p++;
    }
    while (p < last) {
        if (*p == '%' && p + 1 < last) {
            if (in_class(c, p[1]))
                return want;
            p += 2;
        } else if (p + 2 < last && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return want;
            p += 3;
        } else {
            if ((unsigned char)*p == c)
                return want;
            p++;
        }
    }
    return !want;
}

static bool
item_matches(struct matcher *m, const char *s, const char *p, const char *ep)
{
    pay(m);
    if (s >= m->end)
        return false;
    unsigned char c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, p[1]);
    case '[':
        if (ep - p > 32)
            mh_vm_charge(m->L, (size_t)(ep - p) / 8);
        return in_set(c, p, ep - 1);
    default:
        return (unsigned char)*p == c;
    }
}

static const char *
match_balance(struct matcher *m, const char *s, const char *p)
{
    if (p + 1 >= m->pend)
        luaL_error(m->L, "pattern has '%%b' without two characters");
    if (s >= m->end || *s != p[0])
        return NULL;
    int open = 1;
    for (const char *at = s + 1; at < m->end; at++) {
        pay(m);
        if (*at == p[1]) {
            if (--open == 0)
                return at + 1;
        } else if (*at == p[0]) {
            open++;
        }
    }
    return NULL;
}

static const char *
repeat_most(struct matcher *m, const char *s, const char *p, const char *ep)
{
    ptrdiff_t n = 0;
    while (item_matches(m, s + n, p, ep))
        n++;
    for (; n >= 0; n--) {
        const char *r = match_here(m, s + n, ep + 1);
        if (r)
            return r;
    }
    return NULL;
}

static const char *
repeat_least(struct matcher *m, const char *s, const char *p, const char *ep)
{
    for (;;) {
        const char *r = match_here(m, s, ep + 1);
        if (r)
            return r;
        if (!item_matches(m, s, p, ep))
            return NULL;
        s++;
    }
}

static const char *
open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t what)
{
    if (m->level >= CAPTURES)
        luaL_error(m->L, "pattern has too many captures");
    m->cap[m->level++] = (struct capture){ s, what };
    const char *r = match_here(m, s, p);
    if (!r)
        m->level--;
    return r;
}

static const char *
close_capture(struct matcher *m, const char *s, const char *p)
{
    int i = m->level - 1;
    while (i >= 0 && m->cap[i].len != OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "pattern has a ')' without '('");
    m->cap[i].len = s - m->cap[i].at;
    const char *r = match_here(m, s, p);
    if (!r)
        m->cap[i].len = OPEN;
    return r;
}

static const char *
match_back(struct matcher *m, const char *s, char digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->level || m->cap[i].len == OPEN)
        luaL_error(m->L, "pattern refers to capture %%%d, which is not there", i + 1);
    size_t n = m->cap[i].len == POSITION ? 0 : (size_t)m->cap[i].len;
    mh_vm_charge(m->L, n / 32);
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): below the level all are set */
    return (size_t)(m->end - s) >= n && memcmp(s, m->cap[i].at, n) == 0 ? s + n : NULL;
}

static const char *
match_frontier(struct matcher *m, const char *s, const char *p)
{
    if (p >= m->pend || *p != '[')
        luaL_error(m->L, "pattern has '%%f' without a set");
    const char *ep = item_end(m, p);
    unsigned char before = s == m->src ? 0 : (unsigned char)s[-1];
    unsigned char here = s < m->end ? (unsigned char)*s : 0;
    if (in_set(before, p, ep - 1) || !in_set(here, p, ep - 1))
        return NULL;
    return match_here(m, s, ep);
}

/* The special forms; *done is false when p is an ordinary item. */
static const char *
match_special(struct matcher *m, const char *s, const char *p, bool *done)
{
    *done = true;
    if (*p == '(')
        return p + 1 < m->pend && p[1] == ')' ? open_capture(m, s, p + 2, POSITION)
                                              : open_capture(m, s, p + 1, OPEN);
    if (*p == ')')
        return close_capture(m, s, p + 1);
    if (*p == '$' && p + 1 == m->pend)
        return s == m->end ? s : NULL;
    if (*p == '%' && p + 1 < m->pend) {
        const char *r;
        if (p[1] == 'b') {
            r = match_balance(m, s, p + 2);
            return r ? match_here(m, r, p + 4) : NULL;
        }
        if (p[1] == 'f')
            return match_frontier(m, s, p + 2);
        if (p[1] >= '0' && p[1] <= '9') {
            r = match_back(m, s, p[1]);
            return r ? match_here(m, r, p + 2) : NULL;
        }
    }
    *done = false;
    return NULL;
}

static const char *
match_item(struct matcher *m, const char *s, const char *p)
{
    while (p < m->pend) {
        bool done;
        const char *r = match_special(m, s, p, &done);
        if (done)
            return r;
        const char *ep = item_end(m, p);
        char suffix = ep < m->pend ? *ep : 0;
        switch (suffix) {
        case '?':
            if (item_matches(m, s, p, ep) && (r = match_here(m, s + 1, ep + 1)))
                return r;
            p = ep + 1;
            continue;
        case '+':
            return item_matches(m, s, p, ep) ? repeat_most(m, s + 1, p, ep) : NULL;
        case '*':
            return repeat_most(m, s, p, ep);
        case '-':
            return repeat_least(m, s, p, ep);
        default:
            if (!item_matches(m, s, p, ep))
                return NULL;
            s++;
            p = ep;
        }
    }
    return s;
}

static const char *
match_here(struct matcher *m, const char *s, const char *p)
{
    pay(m);
    if (m->depth >= DEPTH_MAX)
        luaL_error(m->L, "pattern is too complex");
    m->depth++;
    const char *r = match_item(m, s, p);
    m->depth--;
    return r;
}

/* --- captures -------------------------------------------------------------------------------- */

static void
push_capture(struct matcher *m, int i, const char *s, const char *e)
{
    if (i >= m->level) {
        if (i != 0)
            luaL_error(m->L, "there is no capture %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
    } else if (m->cap[i].len == POSITION) {
        lua_pushinteger(m->L, m->cap[i].at - m->src + 1);
    } else if (m->cap[i].len == OPEN) {
        luaL_error(m->L, "pattern has a '(' without ')'");
    } else {
        lua_pushlstring(m->L, m->cap[i].at, (size_t)m->cap[i].len);
    }
}

/* All captures, or the whole match where there are none (not if s is NULL). */
static int
push_captures(struct matcher *m, const char *s, const char *e)
{
    int n = m->level == 0 && s ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

static void
begin(struct matcher *m, lua_State *L, const char *s, size_t ls, const char *pend)
{
    *m = (struct matcher){ .L = L, .src = s, .end = s + ls, .pend = pend };
}

static const char *
try_at(struct matcher *m, const char *s, const char *p)
{
    m->level = 0;
    m->depth = 0;
    return match_here(m, s, p);
}

static size_t
start_of(lua_Integer i, size_t len)
{
    if (i > 0)
        return (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)len)
        return 0;
    return len - (size_t)-i;
}

/* --- library functions ----------------------------------------------------------------------- */

static int
find_plain(lua_State *L, const char *s, size_t ls, const char *p, size_t lp, size_t init)
{
    mh_vm_charge(L, (ls - init + lp) / 16);
    const char *at = lp == 0 ? s + init : memmem(s + init, ls - init, p, lp);
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (ptrdiff_t)lp);
    return 2;
}

static bool
is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] && strchr("^$*+?.([%-", p[i]))
            return false;
    }
    return true;
}

static int
find_or_match(lua_State *L, bool find)
{
    size_t ls;
    size_t lp;
    const char *s = luaL_checklstring(L, 1, &ls);
    const char *p = luaL_checklstring(L, 2, &lp);
    size_t init = start_of(luaL_optinteger(L, 3, 1), ls);
    mh_vm_charge(L, 5 + lp / 16);
    if (init > ls) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(p, lp)))
        return find_plain(L, s, ls, p, lp, init);
    struct matcher m;
    bool anchor = lp && *p == '^';
    begin(&m, L, s, ls, p + lp);
    p += anchor;
    for (const char *at = s + init; at <= m.end; at++) {
        const char *e = try_at(&m, at, p);
        if (e && find) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, e - s);
            return push_captures(&m, NULL, NULL) + 2;
        }
        if (e)
            return push_captures(&m, at, e);
        if (anchor)
            break;
    }
    lua_pushnil(L);
    return 1;
}

int
mh_lib_find(lua_State *L)
{
    return find_or_match(L, true);
}

int
mh_lib_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: text, pattern, next position, end of the last match (-1: none). */
static int
gmatch_step(lua_State *L)
{
    size_t ls;
    size_t lp;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &ls);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &lp);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;
    begin(&m, L, s, ls, p + lp);
    for (lua_Integer at = lua_tointeger(L, lua_upvalueindex(3)); at <= (lua_Integer)ls; at++) {
        const char *e = try_at(&m, s + at, p);
        if (!e || e - s == last)
            continue;
        lua_pushinteger(L, e - s);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, s + at, e);
    }
    return 0;
}

int
mh_lib_gmatch(lua_State *L)
{
    size_t ls;
    (void)luaL_checklstring(L, 1, &ls);
    (void)luaL_checkstring(L, 2);
    size_t init = start_of(luaL_optinteger(L, 3, 1), ls);
    mh_vm_charge(L, 5);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)(init > ls ? ls + 1 : init));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_step, 4);
    return 1;
}

/* Replacement text: %0 to %9 and %%. */
static void
add_template(struct matcher *m, luaL_Buffer *b, const char *s, const char *e)
{
    size_t n;
    const char *r = lua_tolstring(m->L, 3, &n);
    mh_vm_charge(m->L, n / 8);
    for (size_t i = 0; i < n; i++) {
        if (r[i] != '%') {
            luaL_addchar(b, r[i]);
            continue;
        }
        i++;
        if (i < n && r[i] == '%') {
            luaL_addchar(b, '%');
        } else if (i < n && r[i] == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (i < n && r[i] >= '1' && r[i] <= '9') {
            push_capture(m, r[i] - '1', s, e);
            (void)luaL_tolstring(m->L, -1, NULL); /* a string or an integer */
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(m->L, "invalid use of '%%' in a replacement");
        }
    }
}

static void
add_replacement(struct matcher *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e), 1);
        break;
    case LUA_TTABLE:
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
        break;
    default:
        add_template(m, b, s, e);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "a replacement must be text, not a %s", luaL_typename(L, -1));
    mh_vm_charge(L, lua_rawlen(L, -1) / 16);
    luaL_addvalue(b);
}

int
mh_lib_gsub(lua_State *L)
{
    size_t ls;
    size_t lp;
    const char *s = luaL_checklstring(L, 1, &ls);
    const char *p = luaL_checklstring(L, 2, &lp);
    int t = lua_type(L, 3);
    luaL_argexpected(L,
                     t == LUA_TNUMBER || t == LUA_TSTRING || t == LUA_TFUNCTION || t == LUA_TTABLE,
                     3, "string/function/table");
    if (t == LUA_TNUMBER)
        (void)lua_tolstring(L, 3, NULL);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)ls + 1);
    bool anchor = lp && *p == '^';
    struct matcher m;
    luaL_Buffer b;
    begin(&m, L, s, ls, p + lp);
    p += anchor;
    luaL_buffinit(L, &b);
    lua_Integer n = 0;
    const char *last = NULL; /* end of the last match */
    mh_vm_charge(L, 5 + ls / 16);
    while (n < most) {
        const char *e = try_at(&m, s, p);
        if (e && e != last) {
            n++;
            add_replacement(&m, &b, s, e);
            s = last = e;
        } else if (s < m.end) {
            luaL_addchar(&b, *s); /* NOLINT(clang-analyzer-core.NullDereference): checked above */
            s++;
        } else {
            break;
        }
        if (anchor)
            break;
    }
    luaL_addlstring(&b, s, (size_t)(m.end - s));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}
