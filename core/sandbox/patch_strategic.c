/* patch_strategic.c - strategic merge patch: lists are merged by the keys that the schema names,
 * and directives in the patch ($patch, $retainKeys, $setElementOrder/x, $deleteFromPrimitiveList/x)
 * say the rest. Works in place on copies of both. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/patch.h"
#include "sandbox/schema_in.h"

#define ORDER "$setElementOrder/"
#define DELETE_FROM "$deleteFromPrimitiveList/"
#define DEPTH_MAX 200

struct smp {
    yyjson_mut_doc *doc;
    struct mh_arena scratch; /* arrays of pointers */
    struct mh_err *err;
    int depth;
};

/* Items of a list as an array. */
struct list {
    yyjson_mut_val **items;
    size_t n;
};

static enum mh_code merge_map(struct smp *p, yyjson_mut_val **original, yyjson_mut_val *patch,
                              const struct mh_sb_schema *schema);

static enum mh_code
no_memory(struct smp *p)
{
    return mh_fail(p->err, MH_E_NOMEM, "no memory for a patch");
}

static enum mh_code
bad_format(struct smp *p, const char *what)
{
    return mh_fail(p->err, MH_E_INVALID, "invalid patch format of %s", what);
}

static const char *
kind_name(yyjson_mut_val *v)
{
    return yyjson_mut_is_obj(v)    ? "map"
           : yyjson_mut_is_arr(v)  ? "slice"
           : yyjson_mut_is_str(v)  ? "string"
           : yyjson_mut_is_bool(v) ? "bool"
           : yyjson_mut_is_real(v) ? "float64"
           : yyjson_mut_is_int(v)  ? "int64"
                                   : "unknown";
}

static const char *
text_of(struct smp *p, yyjson_mut_val *v)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)1 << 20);
    mh_sb_go_print(&p->scratch, &b, mh_sb_freeze(&p->scratch, v));
    char *text = mh_arena_strdup(&p->scratch, mh_buf_text(&b));
    mh_buf_release(&b);
    return text ? text : "";
}

/* Room for as many items as this list has and `more`. */
static bool
take_list(struct smp *p, yyjson_mut_val *v, size_t more, struct list *out)
{
    size_t i;
    size_t max;
    yyjson_mut_val *item;
    out->n = 0;
    out->items = mh_arena_alloc(&p->scratch, (yyjson_mut_arr_size(v) + more + 1) * sizeof(item));
    if (!out->items)
        return false;
    yyjson_mut_arr_foreach(v, i, max, item)
    {
        out->items[out->n++] = item;
    }
    return true;
}

static yyjson_mut_val *
make_list(struct smp *p, const struct list *l)
{
    yyjson_mut_val *out = yyjson_mut_arr(p->doc);
    for (size_t i = 0; out && i < l->n; i++) {
        yyjson_mut_val *copy = yyjson_mut_val_mut_copy(p->doc, l->items[i]);
        if (!copy || !yyjson_mut_arr_append(out, copy))
            return NULL;
    }
    return out;
}

static enum mh_code
put(struct smp *p, yyjson_mut_val *obj, const char *key, yyjson_mut_val *v)
{
    yyjson_mut_val *k = yyjson_mut_strcpy(p->doc, key);
    return k && v && yyjson_mut_obj_put(obj, k, v) ? MH_OK : no_memory(p);
}

/* The strategy of a field besides retainKeys; "" for none. */
static const char *
strategy_of(const struct mh_sb_schema *field)
{
    const char *s = field ? field->patch_strategy : NULL;
    if (!s || strcmp(s, "retainKeys") == 0)
        return "";
    if (strcmp(s, "merge,retainKeys") == 0 || strcmp(s, "retainKeys,merge") == 0)
        return "merge";
    return s;
}

/* Copies without directives and, where the value is new, without nulls. NULL: nothing is kept. */
static yyjson_mut_val *
plain(struct smp *p, yyjson_mut_val *v, bool nulls)
{
    size_t i;
    size_t max;
    yyjson_mut_val *key;
    yyjson_mut_val *item;
    if (yyjson_mut_is_arr(v)) {
        yyjson_mut_val *out = yyjson_mut_arr(p->doc);
        yyjson_mut_arr_foreach(v, i, max, item)
        {
            yyjson_mut_val *sub = plain(p, item, nulls);
            if (sub)
                yyjson_mut_arr_append(out, sub);
        }
        return out;
    }
    if (!yyjson_mut_is_obj(v))
        return yyjson_mut_val_mut_copy(p->doc, v);
    if (yyjson_mut_obj_get(v, "$patch"))
        return NULL;
    yyjson_mut_val *out = yyjson_mut_obj(p->doc);
    yyjson_mut_obj_foreach(v, i, max, key, item)
    {
        yyjson_mut_val *sub = yyjson_mut_is_null(item) && !nulls ? NULL : plain(p, item, nulls);
        if (sub && put(p, out, yyjson_mut_get_str(key), sub))
            return NULL;
    }
    return out;
}

/* Same item: by merge key where there is one, else by value. */
static bool
same_item(yyjson_mut_val *a, yyjson_mut_val *b, const char *key)
{
    if (!key)
        return yyjson_mut_equals(a, b);
    yyjson_mut_val *x = yyjson_mut_obj_get(a, key);
    yyjson_mut_val *y = yyjson_mut_obj_get(b, key);
    return x && y && yyjson_mut_equals(x, y);
}

static long
index_in(const struct list *l, yyjson_mut_val *v, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        if (same_item(l->items[i], v, key))
            return (long)i;
    }
    return -1;
}

/* Stable: in the order of `order`, what is not in it last. */
static void
sort_by(struct list *l, const struct list *order, const char *key)
{
    for (size_t i = 1; i < l->n; i++) {
        yyjson_mut_val *v = l->items[i];
        long at = index_in(order, v, key);
        size_t k = i;
        while (k > 0 && at >= 0) {
            long before = index_in(order, l->items[k - 1], key);
            if (before >= 0 && before <= at)
                break;
            l->items[k] = l->items[k - 1];
            k--;
        }
        l->items[k] = v;
    }
}

/* Items of the patch in its order, the others where they stood in the original among those. */
static enum mh_code
in_order(struct smp *p, const struct list *merged, const struct list *patch_order,
         const struct list *server_order, const char *key, yyjson_mut_val **out)
{
    struct list mine;
    struct list theirs;
    struct list all;
    mine.n = theirs.n = all.n = 0;
    mine.items = mh_arena_alloc(&p->scratch, (merged->n + 1) * sizeof(*mine.items));
    theirs.items = mh_arena_alloc(&p->scratch, (merged->n + 1) * sizeof(*mine.items));
    all.items = mh_arena_alloc(&p->scratch, (merged->n + 1) * sizeof(*mine.items));
    if (!mine.items || !theirs.items || !all.items)
        return no_memory(p);
    for (size_t i = 0; i < merged->n; i++) {
        if (index_in(patch_order, merged->items[i], key) >= 0)
            mine.items[mine.n++] = merged->items[i];
        else
            theirs.items[theirs.n++] = merged->items[i];
    }
    sort_by(&mine, patch_order, key);
    sort_by(&theirs, server_order, key);
    for (size_t i = 0, j = 0; i < theirs.n || j < mine.n;) {
        long l = i < theirs.n ? index_in(server_order, theirs.items[i], key) : -1;
        long r = j < mine.n ? index_in(server_order, mine.items[j], key) : -1;
        bool left = j == mine.n || (i < theirs.n && l >= 0 && r >= 0 && l < r);
        all.items[all.n++] = left ? theirs.items[i++] : mine.items[j++];
    }
    *out = make_list(p, &all);
    return *out ? MH_OK : no_memory(p);
}

static void
remove_at(struct list *l, size_t i)
{
    memmove(l->items + i, l->items + i + 1, (l->n - i - 1) * sizeof(*l->items));
    l->n--;
}

/* Carries out $patch of items; `patch` keeps the plain ones. */
static enum mh_code
special_items(struct smp *p, struct list *original, struct list *patch, const char *key,
              bool *replace)
{
    size_t kept = 0;
    *replace = false;
    for (size_t i = 0; i < patch->n; i++) {
        yyjson_mut_val *v = patch->items[i];
        yyjson_mut_val *directive = yyjson_mut_obj_get(v, "$patch");
        const char *what = yyjson_mut_get_str(directive);
        if (!directive) {
            patch->items[kept++] = v;
        } else if (mh_str_eq(what, "replace")) {
            *replace = true;
        } else if (mh_str_eq(what, "delete")) {
            if (!yyjson_mut_obj_get(v, key))
                return mh_fail(p->err, MH_E_INTERNAL,
                               "map: %s does not contain declared merge key: %s", text_of(p, v),
                               key);
            for (size_t k = original->n; k-- > 0;) {
                if (same_item(original->items[k], v, key))
                    remove_at(original, k);
            }
        } else if (mh_str_eq(what, "merge")) {
            return mh_fail(p->err, MH_E_INTERNAL,
                           "merging lists cannot yet be specified in the patch");
        } else {
            return mh_fail(p->err, MH_E_INTERNAL, "unknown patch type: %s in map: %s",
                           what ? what : text_of(p, directive), text_of(p, v));
        }
    }
    patch->n = kept;
    return MH_OK;
}

static enum mh_code
merge_items(struct smp *p, struct list *merged, const struct list *patch,
            const struct mh_sb_schema *item, const char *key)
{
    for (size_t i = 0; i < patch->n; i++) {
        yyjson_mut_val *v = patch->items[i];
        if (!yyjson_mut_obj_get(v, key))
            return mh_fail(p->err, MH_E_INTERNAL, "map: %s does not contain declared merge key: %s",
                           text_of(p, v), key);
        long at = index_in(merged, v, key);
        if (at < 0) {
            merged->items[merged->n++] = v;
            continue;
        }
        enum mh_code c = merge_map(p, &merged->items[at], v, item);
        if (c)
            return c;
    }
    return MH_OK;
}

/* All items are of one type, no lists; *maps: they are maps. */
static enum mh_code
item_type(struct smp *p, const struct list *a, const struct list *b, bool *maps)
{
    yyjson_mut_val *first = a->n ? a->items[0] : b->items[0];
    for (size_t i = 0; i < a->n + b->n; i++) {
        yyjson_mut_val *v = i < a->n ? a->items[i] : b->items[i - a->n];
        if (yyjson_mut_is_arr(v))
            return mh_fail(p->err, MH_E_REFUSED, "lists of lists are not supported");
        if (strcmp(kind_name(v), kind_name(first)) != 0)
            return mh_fail(p->err, MH_E_INTERNAL, "list element types are not identical: %s",
                           kind_name(v));
    }
    *maps = yyjson_mut_is_obj(first);
    return MH_OK;
}

static void
unique(struct list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct list seen = { l->items, n };
        if (index_in(&seen, l->items[i], NULL) < 0)
            l->items[n++] = l->items[i];
    }
    l->n = n;
}

static enum mh_code
delete_scalars(struct smp *p, const struct list *from, const struct list *gone,
               yyjson_mut_val **out)
{
    struct list kept = { from->items, 0 };
    for (size_t i = 0; i < from->n; i++) {
        if (index_in(gone, from->items[i], NULL) < 0)
            kept.items[kept.n++] = from->items[i];
    }
    *out = make_list(p, &kept);
    return *out ? MH_OK : no_memory(p);
}

static enum mh_code
merge_lists(struct smp *p, yyjson_mut_val *original, yyjson_mut_val *patch,
            const struct mh_sb_schema *field, bool deletes, yyjson_mut_val **out)
{
    struct list from;
    struct list with;
    struct list merged;
    bool maps = false;
    bool replace = false;
    const char *key = field ? field->merge_key : NULL;
    *out = original;
    if (!yyjson_mut_arr_size(original) && !yyjson_mut_arr_size(patch))
        return MH_OK;
    if (!take_list(p, original, 0, &from) || !take_list(p, patch, 0, &with))
        return no_memory(p);
    enum mh_code c = item_type(p, &from, &with, &maps);
    if (c)
        return c;
    if (!maps && deletes)
        return delete_scalars(p, &from, &with, out);
    if (maps && !key)
        return mh_fail(p->err, MH_E_INTERNAL, "cannot merge lists without merge key for %s",
                       "this list");
    if (maps) {
        c = special_items(p, &from, &with, key, &replace);
        if (c)
            return c;
    }
    if (replace) {
        *out = make_list(p, &with);
        return *out ? MH_OK : no_memory(p);
    }
    merged.n = from.n;
    merged.items = mh_arena_alloc(&p->scratch, (from.n + with.n + 1) * sizeof(*merged.items));
    if (!merged.items)
        return no_memory(p);
    memcpy(merged.items, from.items, from.n * sizeof(*merged.items));
    if (maps) {
        c = merge_items(p, &merged, &with, mh_sb_schema_items(field), key);
        if (c)
            return c;
    } else {
        memcpy(merged.items + merged.n, with.items, with.n * sizeof(*merged.items));
        merged.n += with.n;
        unique(&merged);
        key = NULL;
    }
    return in_order(p, &merged, &with, &from, key, out);
}

/* The order list names the items of the patch in their order. */
static enum mh_code
check_order(struct smp *p, yyjson_mut_val *patch, const struct list *order, const char *key)
{
    struct list with;
    size_t at = 0;
    if (!patch || !order->n)
        return MH_OK;
    if (!take_list(p, patch, 0, &with))
        return no_memory(p);
    for (size_t i = 0; i < with.n; i++) {
        if (yyjson_mut_obj_get(with.items[i], "$patch"))
            continue;
        while (at < order->n && !same_item(with.items[i], order->items[at], key))
            at++;
        if (at++ >= order->n)
            return mh_fail(p->err, MH_E_INTERNAL,
                           "The order in patch list:\n%s\n doesn't match $setElementOrder list:\n"
                           "%s\n",
                           text_of(p, patch), "...");
    }
    return MH_OK;
}

static enum mh_code
ordered_list(struct smp *p, yyjson_mut_val *original, yyjson_mut_val *patch,
             const struct mh_sb_schema *schema, const char *name, yyjson_mut_val *order_list)
{
    const struct mh_sb_schema *field = mh_sb_schema_field(schema, name);
    const char *key = field ? field->merge_key : NULL;
    yyjson_mut_val *before = yyjson_mut_obj_get(original, name);
    yyjson_mut_val *with = yyjson_mut_obj_get(patch, name);
    yyjson_mut_val *merged = before;
    struct list order;
    struct list items;
    struct list server;
    if (!yyjson_mut_is_arr(order_list) || (before && !yyjson_mut_is_arr(before)) ||
        (with && !yyjson_mut_is_arr(with)))
        return mh_fail(p->err, MH_E_INTERNAL, "expected a slice, but received a %s",
                       kind_name(!yyjson_mut_is_arr(order_list)         ? order_list
                                 : before && !yyjson_mut_is_arr(before) ? before
                                                                        : with));
    if (!take_list(p, order_list, 0, &order))
        return no_memory(p);
    enum mh_code c = check_order(p, with, &order, key);
    if (c || (!before && !with))
        return c;
    if (!before)
        merged = plain(p, with, true);
    else if (with && mh_str_eq(strategy_of(field), "merge"))
        c = merge_lists(p, before, with, field, false, &merged);
    else if (with)
        merged = yyjson_mut_val_mut_copy(p->doc, with);
    if (c)
        return c;
    if (!merged || !take_list(p, merged, 0, &items) || !take_list(p, before, 0, &server))
        return no_memory(p);
    c = in_order(p, &items, &order, &server, key, &merged);
    yyjson_mut_obj_remove_key(patch, name);
    return c ? c : put(p, original, name, merged);
}

static enum mh_code
apply_orders(struct smp *p, yyjson_mut_val *original, yyjson_mut_val *patch,
             const struct mh_sb_schema *schema)
{
    for (;;) {
        size_t i;
        size_t max;
        yyjson_mut_val *key;
        yyjson_mut_val *item;
        const char *found = NULL;
        yyjson_mut_val *order = NULL;
        yyjson_mut_obj_foreach(patch, i, max, key, item)
        {
            if (mh_str_starts(yyjson_mut_get_str(key), ORDER)) {
                found = yyjson_mut_get_str(key);
                order = item;
                break;
            }
        }
        if (!found)
            return MH_OK;
        yyjson_mut_obj_remove_key(patch, found);
        enum mh_code c = ordered_list(p, original, patch, schema, found + strlen(ORDER), order);
        if (c)
            return c;
    }
}

/* Fields of the original that $retainKeys does not name go. */
static enum mh_code
retain_keys(struct smp *p, yyjson_mut_val *original, yyjson_mut_val *patch)
{
    yyjson_mut_val *keep = yyjson_mut_obj_get(patch, "$retainKeys");
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    struct list names;
    if (!keep)
        return MH_OK;
    yyjson_mut_obj_remove_key(patch, "$retainKeys");
    if (!yyjson_mut_is_arr(keep))
        return bad_format(p, "retainKeys");
    if (!take_list(p, keep, 0, &names))
        return no_memory(p);
    yyjson_mut_obj_iter_init(patch, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        const char *name = yyjson_mut_get_str(key);
        if (!yyjson_mut_is_null(yyjson_mut_obj_iter_get_val(key)) && !mh_str_starts(name, ORDER) &&
            !mh_str_starts(name, DELETE_FROM) && index_in(&names, key, NULL) < 0)
            return bad_format(p, "retainKeys");
    }
    yyjson_mut_obj_iter_init(original, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        if (index_in(&names, key, NULL) < 0)
            yyjson_mut_obj_iter_remove(&it);
    }
    return MH_OK;
}

static enum mh_code
merge_field(struct smp *p, yyjson_mut_val *original, const char *name, yyjson_mut_val *value,
            const struct mh_sb_schema *schema)
{
    bool deletes = mh_str_starts(name, DELETE_FROM);
    name += deletes ? strlen(DELETE_FROM) : 0;
    const struct mh_sb_schema *field = mh_sb_schema_field(schema, name);
    yyjson_mut_val *now = yyjson_mut_obj_get(original, name);
    yyjson_mut_val *out = NULL;
    enum mh_code c = MH_OK;
    if (yyjson_mut_is_null(value)) {
        yyjson_mut_obj_remove_key(original, name);
        return MH_OK;
    }
    bool same_kind = now && strcmp(kind_name(now), kind_name(value)) == 0;
    if (!same_kind && deletes)
        return MH_OK;
    if (same_kind && yyjson_mut_is_obj(value) && !mh_str_eq(strategy_of(field), "replace")) {
        out = now;
        c = merge_map(p, &out, value, field);
        if (c || out == now)
            return c;
    } else if (same_kind && yyjson_mut_is_arr(value) &&
               (deletes || mh_str_eq(strategy_of(field), "merge"))) {
        c = merge_lists(p, now, value, field, deletes, &out);
        if (c || out == now)
            return c;
    } else if (same_kind && yyjson_mut_is_ctn(value)) {
        out = yyjson_mut_val_mut_copy(p->doc, value);
    } else {
        out = plain(p, value, false);
        if (!out) {
            yyjson_mut_obj_remove_key(original, name);
            return MH_OK;
        }
    }
    return put(p, original, name, out);
}

static enum mh_code
merge_map(struct smp *p, yyjson_mut_val **original, yyjson_mut_val *patch,
          const struct mh_sb_schema *schema)
{
    yyjson_mut_val *directive = yyjson_mut_obj_get(patch, "$patch");
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    if (directive) {
        const char *what = yyjson_mut_get_str(directive);
        if (!mh_str_eq(what, "replace") && !mh_str_eq(what, "delete"))
            return mh_fail(p->err, MH_E_INTERNAL, "unknown patch type: %s in map: %s",
                           what ? what : text_of(p, directive), text_of(p, patch));
        yyjson_mut_obj_remove_key(patch, "$patch");
        *original = mh_str_eq(what, "delete") ? yyjson_mut_obj(p->doc)
                                              : yyjson_mut_val_mut_copy(p->doc, patch);
        return *original ? MH_OK : no_memory(p);
    }
    if (++p->depth > DEPTH_MAX)
        return mh_fail(p->err, MH_E_INVALID, "a patch is nested too deeply");
    enum mh_code c = retain_keys(p, *original, patch);
    if (!c)
        c = apply_orders(p, *original, patch, schema);
    yyjson_mut_obj_iter_init(patch, &it);
    while (!c && (key = yyjson_mut_obj_iter_next(&it)))
        c = merge_field(p, *original, yyjson_mut_get_str(key), yyjson_mut_obj_iter_get_val(key),
                        schema);
    p->depth--;
    return c;
}

enum mh_code
mh_sb_patch_strategic(yyjson_mut_doc *doc, const struct mh_sb_schema *schema, yyjson_val *obj,
                      yyjson_val *patch, yyjson_mut_val **out, struct mh_err *err)
{
    struct smp p = { .doc = doc, .err = err };
    if (!yyjson_is_obj(patch))
        return mh_fail(err, MH_E_INVALID,
                       "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                       yyjson_is_arr(patch)    ? "array"
                       : yyjson_is_str(patch)  ? "string"
                       : yyjson_is_num(patch)  ? "number"
                       : yyjson_is_bool(patch) ? "bool"
                                               : "null");
    mh_arena_init(&p.scratch, (size_t)64 << 20);
    yyjson_mut_val *with = yyjson_val_mut_copy(doc, patch);
    *out = yyjson_val_mut_copy(doc, obj);
    enum mh_code c = with && *out ? merge_map(&p, out, with, schema) : no_memory(&p);
    mh_arena_release(&p.scratch);
    return c;
}
