/* cel_macro.c - all, exists, exists_one, map, filter, transform..., optMap: what binds variables. */
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_eval eval;
typedef struct mh_sb_cel_node node;

/* Where a macro stands in the list or map that it goes through. */
struct loop {
    const node *n;
    value over;
    size_t size;
    struct mh_sb_cel_scope first;
    struct mh_sb_cel_scope second;
};

static bool
loop_start(eval *e, const node *n, struct loop *l)
{
    l->n = n;
    if (!mh_sb_cel_eval(e, n->a, &l->over))
        return false;
    if (l->over.type != MH_SB_CEL_LIST && l->over.type != MH_SB_CEL_MAP)
        return mh_sb_cel_no_overload(e);
    l->size = mh_sb_cel_size(l->over);
    return mh_sb_cel_fill(e, l->over);
}

/* Evaluates an argument of the macro with its variables set to item i. */
static bool
loop_eval(eval *e, struct loop *l, size_t i, const node *arg, value *out)
{
    bool map = l->over.type == MH_SB_CEL_MAP;
    value key = map ? l->over.map->keys[i] : mh_sb_cel_of_int((int64_t)i);
    value item = map ? l->over.map->values[i] : l->over.list->items[i];
    struct mh_sb_cel_scope *up = e->scope;
    l->first = (struct mh_sb_cel_scope){ l->n->var, l->n->var2 || map ? key : item, up };
    l->second = (struct mh_sb_cel_scope){ l->n->var2, item, &l->first };
    e->scope = l->n->var2 ? &l->second : &l->first;
    bool ok = mh_sb_cel_charge(e, 1) && mh_sb_cel_eval(e, arg, out);
    e->scope = up;
    return ok;
}

static bool
loop_test(eval *e, struct loop *l, size_t i, bool *yes)
{
    value v;
    if (!loop_eval(e, l, i, l->n->args[0], &v))
        return false;
    if (v.type != MH_SB_CEL_BOOL)
        return mh_sb_cel_no_overload(e);
    *yes = v.b;
    return true;
}

/* all (want false to stop) and exists (want true). */
static bool
macro_quantifier(eval *e, struct loop *l, bool stop, value *out)
{
    const char *why = NULL;
    for (size_t i = 0; i < l->size; i++) {
        bool yes = false;
        if (loop_test(e, l, i, &yes)) {
            if (yes != stop)
                continue;
            *out = mh_sb_cel_of_bool(stop);
            return true;
        }
        if (!mh_sb_cel_forgivable(e))
            return false;
        why = why ? why : e->why;
        mh_sb_cel_forgive(e);
    }
    if (why) {
        e->code = MH_E_INVALID;
        e->why = why;
        return false;
    }
    *out = mh_sb_cel_of_bool(!stop);
    return true;
}

static bool
macro_one(eval *e, struct loop *l, value *out)
{
    size_t count = 0;
    for (size_t i = 0; i < l->size; i++) {
        bool yes = false;
        if (!loop_test(e, l, i, &yes))
            return false;
        count += yes;
    }
    *out = mh_sb_cel_of_bool(count == 1);
    return true;
}

/* map, filter, transformList */
static bool
macro_list(eval *e, struct loop *l, value *out)
{
    bool filter = strcmp(l->n->name, "filter") == 0;
    bool tests = filter || l->n->nargs == 2;
    const node *item = filter ? NULL : l->n->args[l->n->nargs - 1];
    if (!mh_sb_cel_new_list(e, l->size, out))
        return false;
    out->list->n = 0;
    for (size_t i = 0; i < l->size; i++) {
        bool yes = true;
        value v;
        if (tests && !loop_test(e, l, i, &yes))
            return false;
        if (!yes)
            continue;
        if (filter)
            v = l->over.type == MH_SB_CEL_MAP ? l->over.map->keys[i] : l->over.list->items[i];
        else if (!loop_eval(e, l, i, item, &v))
            return false;
        out->list->items[out->list->n++] = v;
    }
    return true;
}

static bool
macro_map(eval *e, struct loop *l, value *out)
{
    bool entries = strcmp(l->n->name, "transformMapEntry") == 0;
    if (!mh_sb_cel_new_map(e, l->size, out))
        return false;
    for (size_t i = 0; i < l->size; i++) {
        bool yes = true;
        value v;
        if (l->n->nargs == 2 && !loop_test(e, l, i, &yes))
            return false;
        if (!yes)
            continue;
        if (!loop_eval(e, l, i, l->n->args[l->n->nargs - 1], &v))
            return false;
        value k =
            l->over.type == MH_SB_CEL_MAP ? l->over.map->keys[i] : mh_sb_cel_of_int((int64_t)i);
        if (entries) {
            if (v.type != MH_SB_CEL_MAP || v.map->n != 1 || !mh_sb_cel_fill(e, v))
                return e->code ? false : mh_sb_cel_no_overload(e);
            k = v.map->keys[0];
            v = v.map->values[0];
        }
        mh_sb_cel_put(*out, k, v);
    }
    return true;
}

/* optMap and optFlatMap */
static bool
macro_optional(eval *e, const node *n, value *out)
{
    value v;
    struct mh_sb_cel_scope *up = e->scope;
    if (!mh_sb_cel_eval(e, n->a, &v))
        return false;
    if (v.type != MH_SB_CEL_OPTIONAL)
        return mh_sb_cel_no_overload(e);
    *out = v;
    if (!v.some)
        return true;
    struct mh_sb_cel_scope s = { n->var, *v.some, up };
    value result;
    e->scope = &s;
    bool ok = mh_sb_cel_eval(e, n->args[0], &result);
    e->scope = up;
    if (!ok)
        return false;
    if (strcmp(n->name, "optMap") == 0)
        return mh_sb_cel_optional(e, &result, out);
    if (result.type != MH_SB_CEL_OPTIONAL)
        return mh_sb_cel_no_overload(e);
    *out = result;
    return true;
}

bool
mh_sb_cel_macro(eval *e, const node *n, value *out)
{
    struct loop l = { .n = n };
    if (mh_str_starts(n->name, "opt"))
        return macro_optional(e, n, out);
    if (!loop_start(e, n, &l))
        return false;
    if (strcmp(n->name, "all") == 0)
        return macro_quantifier(e, &l, false, out);
    if (strcmp(n->name, "exists") == 0)
        return macro_quantifier(e, &l, true, out);
    if (mh_str_starts(n->name, "exists"))
        return macro_one(e, &l, out);
    if (mh_str_starts(n->name, "transformMap"))
        return macro_map(e, &l, out);
    return macro_list(e, &l, out);
}
