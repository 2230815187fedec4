/* cel_list.c - functions on lists, and sets. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_call call;

static bool
has(call *c, const struct mh_sb_cel_list *l, value v)
{
    for (size_t i = 0; i < l->n; i++) {
        if (mh_sb_cel_equal(c->e, l->items[i], v))
            return true;
    }
    return false;
}

static bool
sum(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    *c->out = mh_sb_cel_of_int(0);
    if (!l->n)
        return true;
    *c->out = l->items[0];
    for (size_t i = 1; i < l->n; i++) {
        value v = *c->out;
        if (!mh_sb_cel_arithmetic(c->e, '+', v, l->items[i], c->out))
            return false;
    }
    return true;
}

static bool
extreme(call *c, int sign, const char *name)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    int order = 0;
    if (!l->n)
        return mh_sb_cel_fail(c->e, "%s called on empty list", name);
    *c->out = l->items[0];
    for (size_t i = 0; i < l->n; i++) {
        if (!mh_sb_cel_compare(l->items[i], *c->out, &order))
            return mh_sb_cel_no_overload(c->e);
        if (order * sign > 0)
            *c->out = l->items[i];
    }
    return true;
}

static bool
max_of(call *c)
{
    return extreme(c, 1, "max");
}

static bool
min_of(call *c)
{
    return extreme(c, -1, "min");
}

static bool
is_sorted(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    int order = 0;
    *c->out = mh_sb_cel_of_bool(true);
    for (size_t i = 1; i < l->n; i++) {
        if (!mh_sb_cel_compare(l->items[i - 1], l->items[i], &order))
            return mh_sb_cel_no_overload(c->e);
        if (order > 0)
            *c->out = mh_sb_cel_of_bool(false);
    }
    return true;
}

static bool
index_of(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    bool last = strcmp(c->name, "lastIndexOf") == 0;
    *c->out = mh_sb_cel_of_int(-1);
    for (size_t i = 0; i < l->n && (last || c->out->i < 0); i++) {
        if (mh_sb_cel_equal(c->e, l->items[i], c->args[1]))
            *c->out = mh_sb_cel_of_int((int64_t)i);
    }
    return !c->e->code;
}

static bool
join(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    struct mh_buf b;
    mh_buf_init(&b, MH_SB_CEL_TEXT_MAX);
    for (size_t i = 0; i < l->n; i++) {
        if (l->items[i].type != MH_SB_CEL_STRING) {
            mh_buf_release(&b);
            return mh_sb_cel_no_overload(c->e);
        }
        if (i && c->nargs == 2)
            mh_buf_add(&b, c->args[1].s, c->args[1].n);
        mh_buf_add(&b, l->items[i].s, l->items[i].n);
    }
    char *s = b.failed ? NULL : mh_arena_strndup(c->e->arena, mh_buf_text(&b), b.len);
    *c->out = mh_sb_cel_of_text(s, b.len);
    mh_buf_release(&b);
    return s ? mh_sb_cel_charge(c->e, c->out->n / 10) : mh_sb_cel_no_memory(c->e);
}

static bool
copy_list(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    if (!mh_sb_cel_new_list(c->e, l->n, c->out))
        return false;
    memcpy(c->out->list->items, l->items, l->n * sizeof(value));
    return true;
}

static bool
slice(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    if (c->args[1].type != MH_SB_CEL_INT || c->args[2].type != MH_SB_CEL_INT)
        return mh_sb_cel_no_overload(c->e);
    int64_t from = c->args[1].i;
    int64_t to = c->args[2].i;
    if (from < 0 || to < from || to > (int64_t)l->n)
        return mh_sb_cel_fail(c->e, "cannot slice(%lld, %lld), list is length %zu", (long long)from,
                              (long long)to, l->n);
    if (!mh_sb_cel_new_list(c->e, (size_t)(to - from), c->out))
        return false;
    memcpy(c->out->list->items, l->items + from, (size_t)(to - from) * sizeof(value));
    return true;
}

static bool
reverse(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    if (!copy_list(c))
        return false;
    for (size_t i = 0; i < l->n; i++)
        c->out->list->items[i] = l->items[l->n - 1 - i];
    return true;
}

static bool
distinct(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    if (!mh_sb_cel_new_list(c->e, l->n, c->out))
        return false;
    c->out->list->n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (!has(c, c->out->list, l->items[i]))
            c->out->list->items[c->out->list->n++] = l->items[i];
    }
    return !c->e->code;
}

static int
in_order(const void *x, const void *y)
{
    int order = 0;
    mh_sb_cel_compare(*(const value *)x, *(const value *)y, &order);
    return order;
}

static bool
sort(call *c)
{
    int order = 0;
    const struct mh_sb_cel_list *l = c->args[0].list;
    for (size_t i = 0; i < l->n; i++) {
        if (!mh_sb_cel_compare(l->items[0], l->items[i], &order))
            return mh_sb_cel_no_overload(c->e);
    }
    if (!copy_list(c))
        return false;
    qsort(c->out->list->items, c->out->list->n, sizeof(value), in_order);
    return true;
}

static bool
flatten(call *c)
{
    const struct mh_sb_cel_list *l = c->args[0].list;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (!mh_sb_cel_fill(c->e, l->items[i]))
            return false;
        n += l->items[i].type == MH_SB_CEL_LIST ? l->items[i].list->n : 1;
    }
    if (!mh_sb_cel_new_list(c->e, n, c->out))
        return false;
    n = 0;
    for (size_t i = 0; i < l->n; i++) {
        bool list = l->items[i].type == MH_SB_CEL_LIST;
        size_t more = list ? l->items[i].list->n : 1;
        memcpy(c->out->list->items + n, list ? l->items[i].list->items : &l->items[i],
               more * sizeof(value));
        n += more;
    }
    return true;
}

static bool
sets(call *c)
{
    const struct mh_sb_cel_list *a = c->args[0].list;
    const struct mh_sb_cel_list *b = c->args[1].list;
    size_t in_a = 0;
    size_t in_b = 0;
    if (!mh_sb_cel_charge(c->e, a->n * b->n))
        return false;
    for (size_t i = 0; i < b->n; i++)
        in_a += has(c, a, b->items[i]);
    for (size_t i = 0; i < a->n; i++)
        in_b += has(c, b, a->items[i]);
    bool yes = strcmp(c->name, "sets.contains") == 0     ? in_a == b->n
               : strcmp(c->name, "sets.intersects") == 0 ? in_a > 0
                                                         : in_a == b->n && in_b == a->n;
    *c->out = mh_sb_cel_of_bool(yes);
    return !c->e->code;
}

bool
mh_sb_cel_lib_list(call *c, bool *ok)
{
    static const struct {
        const char *name;
        bool (*run)(call *);
        size_t min;
        size_t max;
    } all[] = { { "sum", sum, 1, 1 },
                { "min", min_of, 1, 1 },
                { "max", max_of, 1, 1 },
                { "isSorted", is_sorted, 1, 1 },
                { "indexOf", index_of, 2, 2 },
                { "lastIndexOf", index_of, 2, 2 },
                { "join", join, 1, 2 },
                { "slice", slice, 3, 3 },
                { "reverse", reverse, 1, 1 },
                { "distinct", distinct, 1, 1 },
                { "sort", sort, 1, 1 },
                { "flatten", flatten, 1, 1 },
                { "sets.contains", sets, 2, 2 },
                { "sets.intersects", sets, 2, 2 },
                { "sets.equivalent", sets, 2, 2 } };
    if (!c->nargs || c->args[0].type != MH_SB_CEL_LIST)
        return false;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        bool two = mh_str_starts(all[i].name, "sets.");
        if (strcmp(all[i].name, c->name) != 0 || c->nargs < all[i].min || c->nargs > all[i].max ||
            (two && c->args[1].type != MH_SB_CEL_LIST) || (!two && !c->method) ||
            (strcmp(c->name, "join") == 0 && c->nargs == 2 && c->args[1].type != MH_SB_CEL_STRING))
            continue;
        *ok = mh_sb_cel_fill(c->e, c->args[0]) && (!two || mh_sb_cel_fill(c->e, c->args[1])) &&
              mh_sb_cel_charge(c->e, c->args[0].list->n) && all[i].run(c);
        return true;
    }
    return false;
}
