/* policy_order.c - the order of rank, where nothing can go wrong: all keys are as long, and each of their
 * elements is in all of them an integer, a float, a text or a flag. */
#include <lauxlib.h>
#include <string.h>

#include "lua/policy_host.h"
#include "lua/value.h"

#define KEYS_MAX 16
#define BYTES_MAX ((size_t)256 << 10)

struct text {
    const char *s;
    size_t len;
};

union key {
    lua_Integer i; /* flags too: those that come first are 0 */
    lua_Number n;
    struct text t;
};

enum kind { INTEGER, FLOAT, TEXT, FLAG };

struct columns {
    int n;
    enum kind kinds[KEYS_MAX];
};

struct item {
    struct text name;
    const union key *keys;
};

static int
compare_texts(const struct text *a, const struct text *b)
{
    int c = memcmp(a->s, b->s, a->len < b->len ? a->len : b->len);
    return c ? c : a->len < b->len ? -1 : a->len > b->len;
}

/* As `before` of words.lua. */
static bool
is_before(const struct columns *of, const struct item *a, const struct item *b)
{
    for (int i = 0; i < of->n; i++) {
        const union key *x = &a->keys[i];
        const union key *y = &b->keys[i];
        int c = 0;
        if (of->kinds[i] == FLOAT)
            c = x->n < y->n ? -1 : x->n > y->n;
        else if (of->kinds[i] == TEXT)
            c = compare_texts(&x->t, &y->t);
        else
            c = x->i < y->i ? -1 : x->i > y->i;
        if (c)
            return c < 0;
    }
    return compare_texts(&a->name, &b->name) < 0;
}

/* Merge sort: equals keep their order. */
static void
sort(const struct columns *of, struct item *items, struct item *tmp, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2;
    sort(of, items, tmp, half);
    sort(of, items + half, tmp, n - half);
    memcpy(tmp, items, half * sizeof(*items));
    size_t i = 0;
    size_t j = half;
    for (size_t at = 0; i < half; at++)
        items[at] = j < n && is_before(of, &items[j], &tmp[i]) ? items[j++] : tmp[i++];
}

/* Reads the value on the top of the stack; false: no value of one of the kinds. */
static bool
read_key(lua_State *L, union key *k, enum kind *kind)
{
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        *kind = lua_isinteger(L, -1) ? INTEGER : FLOAT;
        if (*kind == INTEGER)
            k->i = lua_tointeger(L, -1);
        else
            k->n = lua_tonumber(L, -1);
        return *kind == INTEGER || k->n == k->n;
    case LUA_TSTRING:
        *kind = TEXT;
        k->t.s = lua_tolstring(L, -1, &k->t.len);
        return true;
    case LUA_TBOOLEAN:
        *kind = FLAG;
        k->i = lua_toboolean(L, -1) ? 0 : 1; /* true comes first */
        return true;
    default:
        return false;
    }
}

/* Reads { name =, key = } on the top of the stack. */
static bool
read_item(lua_State *L, struct columns *of, bool first, struct item *item, union key *keys)
{
    item->keys = keys;
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "key");
    item->name.s = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &item->name.len) : NULL;
    bool ok = item->name.s && lua_istable(L, -1) &&
              (!lua_getmetatable(L, -1) || (lua_pop(L, 1), mh_value_is_array(L, -1)));
    size_t n = ok ? lua_rawlen(L, -1) : 0;
    if (first)
        of->n = n <= KEYS_MAX ? (int)n : -1;
    ok = ok && (size_t)of->n == n;
    for (int i = 0; ok && i < of->n; i++) {
        enum kind kind = FLAG;
        lua_rawgeti(L, -1, i + 1);
        ok = read_key(L, &keys[i], &kind);
        if (first)
            of->kinds[i] = kind;
        ok = ok && of->kinds[i] == kind;
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return ok;
}

int
mh_policy_order(lua_State *L)
{
    struct columns of = { .n = 0 };
    size_t n = lua_rawlen(L, 1);
    size_t room = 0;
    lua_settop(L, 1);
    if (n > 0 && lua_rawgeti(L, 1, 1) == LUA_TTABLE && lua_getfield(L, -1, "key") == LUA_TTABLE)
        room = lua_rawlen(L, -1);
    size_t each = 2 * sizeof(struct item) + room * sizeof(union key);
    if (room > KEYS_MAX || n > BYTES_MAX / each)
        return 0;
    mh_vm_charge(L, n * (room + 8)); /* what a sort compares, and some */
    lua_settop(L, 1);
    struct item *items = lua_newuserdatauv(L, n * each + 1, 0); /* items, room to sort, keys */
    union key *keys = (union key *)(items + 2 * n);
    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, 1, (lua_Integer)i + 1) != LUA_TTABLE ||
            !read_item(L, &of, i == 0, &items[i], keys + i * room))
            return 0;
        lua_settop(L, 2);
    }
    sort(&of, items, items + n, n);
    lua_createtable(L, (int)n, 0);
    mh_value_tag_array(L);
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, items[i].name.s, items[i].name.len);
        lua_rawseti(L, 3, (lua_Integer)i + 1);
    }
    return 1;
}
