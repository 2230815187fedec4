/* schema_prune.c - what happens to an object before it is validated: unknown fields go, nulls go,
 * defaults come; and for built-in kinds what decoding into a struct does. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/quantity.h"
#include "sandbox/schema_in.h"

#define PATH_MAX_BYTES ((size_t)64 << 10)

struct pruner {
    struct mh_sb_texts *dropped; /* may be NULL */
    struct mh_buf path;
};

static size_t
enter(struct pruner *p, const char *key)
{
    size_t len = p->path.len;
    if (len)
        mh_buf_char(&p->path, '.');
    mh_buf_str(&p->path, key);
    return len;
}

static size_t
enter_index(struct pruner *p, size_t i)
{
    size_t len = p->path.len;
    mh_buf_printf(&p->path, "[%zu]", i);
    return len;
}

static void
leave(struct pruner *p, size_t len)
{
    if (p->path.data) {
        p->path.len = len;
        p->path.data[len] = 0;
    }
}

static void
record(struct pruner *p, const char *key)
{
    size_t len = enter(p, key);
    if (p->dropped)
        mh_sb_texts_add(p->dropped, mh_buf_text(&p->path));
    leave(p, len);
}

static bool
is_meta_key(const char *key)
{
    return strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 ||
           strcmp(key, "metadata") == 0;
}

static void prune(struct pruner *p, const struct mh_sb_schema *s, yyjson_mut_val *v);

/* What to do with a field: its schema in *sub (NULL: nothing below it is known). */
enum fate { KEEP, DESCEND, DROP };

static enum fate
fate_of(const struct mh_sb_schema *shape, const char *key, const struct mh_sb_schema **sub)
{
    *sub = NULL;
    if (!shape)
        return DROP;
    if (shape->embedded && is_meta_key(key))
        return KEEP;
    *sub = mh_sb_schema_prop(shape, key);
    if (!*sub)
        *sub = shape->extra;
    if (*sub)
        return DESCEND;
    return mh_sb_schema_any(shape) ? KEEP : DROP;
}

static void
prune_object(struct pruner *p, const struct mh_sb_schema *shape, yyjson_mut_val *v)
{
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    yyjson_mut_obj_iter_init(v, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        const struct mh_sb_schema *sub = NULL;
        const char *name = yyjson_mut_get_str(key);
        enum fate fate = fate_of(shape, name, &sub);
        if (fate == DROP) {
            if (p->path.len || !is_meta_key(name))
                record(p, name);
            yyjson_mut_obj_iter_remove(&it);
        } else if (fate == DESCEND) {
            size_t len = enter(p, name);
            prune(p, sub, yyjson_mut_obj_iter_get_val(key));
            leave(p, len);
        }
    }
}

static void
prune(struct pruner *p, const struct mh_sb_schema *s, yyjson_mut_val *v)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    if (yyjson_mut_is_obj(v)) {
        prune_object(p, shape, v);
    } else if (yyjson_mut_is_arr(v)) {
        size_t i;
        size_t max;
        yyjson_mut_val *item;
        if (shape && !shape->items && mh_sb_schema_any(shape))
            return;
        yyjson_mut_arr_foreach(v, i, max, item)
        {
            size_t len = enter_index(p, i);
            prune(p, shape ? shape->items : NULL, item);
            leave(p, len);
        }
    }
}

static int
by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static bool native(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *v);

void
mh_sb_schema_prune(const struct mh_sb_schema *s, yyjson_mut_val *obj, struct mh_sb_texts *dropped)
{
    struct pruner p = { .dropped = dropped };
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    yyjson_mut_val *meta = yyjson_mut_obj_get(obj, "metadata");
    mh_buf_init(&p.path, PATH_MAX_BYTES);
    if (shape && shape->root && shape->meta && yyjson_mut_is_obj(meta)) {
        size_t len = enter(&p, "metadata");
        prune(&p, shape->meta, meta);
        leave(&p, len);
        native(shape->meta, NULL, meta);
    }
    size_t first = dropped ? dropped->count : 0;
    prune(&p, s, obj);
    if (dropped && dropped->count > first)
        qsort(dropped->items + first, dropped->count - first, sizeof(*dropped->items), by_text);
    mh_buf_release(&p.path);
}

/* Out of lists they do not go. */
void
mh_sb_schema_drop_nulls(const struct mh_sb_schema *s, yyjson_mut_val *v)
{
    if (yyjson_mut_is_obj(v)) {
        yyjson_mut_obj_iter it;
        yyjson_mut_val *key;
        yyjson_mut_obj_iter_init(v, &it);
        while ((key = yyjson_mut_obj_iter_next(&it))) {
            yyjson_mut_val *item = yyjson_mut_obj_iter_get_val(key);
            const struct mh_sb_schema *sub = mh_sb_shape(s);
            const char *name = yyjson_mut_get_str(key);
            const struct mh_sb_schema *prop = sub ? mh_sb_schema_prop(sub, name) : NULL;
            sub = prop ? prop : sub ? sub->extra : NULL;
            if (yyjson_mut_is_null(item) && sub && !sub->nullable && !mh_sb_schema_default_of(sub))
                yyjson_mut_obj_iter_remove(&it);
            else
                mh_sb_schema_drop_nulls(sub, item);
        }
    } else if (yyjson_mut_is_arr(v)) {
        size_t i;
        size_t max;
        yyjson_mut_val *item;
        yyjson_mut_arr_foreach(v, i, max, item)
        {
            mh_sb_schema_drop_nulls(mh_sb_schema_items(s), item);
        }
    }
}

static bool
put_copy(yyjson_mut_doc *doc, yyjson_mut_val *obj, const char *name, yyjson_val *value)
{
    yyjson_mut_val *k = yyjson_mut_strcpy(doc, name);
    yyjson_mut_val *v = yyjson_val_mut_copy(doc, value);
    return k && v && yyjson_mut_obj_put(obj, k, v);
}

static bool
needs_default(const struct mh_sb_schema *s, const yyjson_mut_val *now)
{
    return !now || (yyjson_mut_is_null((yyjson_mut_val *)(uintptr_t)now) && !s->nullable);
}

static bool fill(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *v);

static bool
fill_object(const struct mh_sb_schema *shape, yyjson_mut_doc *doc, yyjson_mut_val *v)
{
    for (size_t i = 0; i < shape->nprops; i++) {
        const struct mh_sb_prop *p = &shape->props[i];
        yyjson_val *def = mh_sb_schema_default_of(p->schema);
        if (def && needs_default(p->schema, yyjson_mut_obj_get(v, p->name)) &&
            !put_copy(doc, v, p->name, def))
            return false;
    }
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    yyjson_mut_obj_iter_init(v, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        yyjson_mut_val *item = yyjson_mut_obj_iter_get_val(key);
        const struct mh_sb_schema *sub = mh_sb_schema_prop(shape, yyjson_mut_get_str(key));
        if (!sub && shape->extra) {
            sub = shape->extra;
            yyjson_val *def = mh_sb_schema_default_of(sub);
            if (def && yyjson_mut_is_null(item) && !sub->nullable) {
                /* the key is part of v: only its value is replaced */
                if (!put_copy(doc, v, yyjson_mut_get_str(key), def))
                    return false;
                item = yyjson_mut_obj_get(v, yyjson_mut_get_str(key));
            }
        }
        if (sub && !fill(sub, doc, item))
            return false;
    }
    return true;
}

static bool
fill(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *v)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    if (!shape)
        return true;
    if (yyjson_mut_is_obj(v))
        return fill_object(shape, doc, v);
    if (yyjson_mut_is_arr(v) && shape->items) {
        size_t i;
        size_t max;
        yyjson_mut_val *item;
        yyjson_mut_arr_foreach(v, i, max, item)
        {
            if (!fill(shape->items, doc, item))
                return false;
        }
    }
    return true;
}

bool
mh_sb_schema_default(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *obj)
{
    return fill(s, doc, obj);
}

static bool
is_zero(yyjson_mut_val *v)
{
    switch (yyjson_mut_get_type(v)) {
    case YYJSON_TYPE_STR:
        return yyjson_mut_get_len(v) == 0;
    case YYJSON_TYPE_NUM:
        return yyjson_mut_is_int(v) && yyjson_mut_get_uint(v) == 0;
    case YYJSON_TYPE_BOOL:
        return !yyjson_mut_get_bool(v);
    case YYJSON_TYPE_ARR:
        return yyjson_mut_arr_size(v) == 0;
    case YYJSON_TYPE_OBJ:
        return yyjson_mut_obj_size(v) == 0;
    default:
        return true;
    }
}

static bool
is_required(const struct mh_sb_schema *shape, const char *name)
{
    for (size_t i = 0; i < shape->required.count; i++) {
        if (strcmp(shape->required.items[i], name) == 0)
            return true;
    }
    return false;
}

/* An empty value that encoding leaves out. Pointers to structs keep {}, maps do not. */
static bool
left_out(const struct mh_sb_schema *shape, const struct mh_sb_schema *sub, const char *name,
         yyjson_mut_val *v)
{
    const struct mh_sb_schema *below = mh_sb_shape(sub);
    if (yyjson_mut_is_null(v))
        return !sub->nulls;
    if (!is_zero(v) || sub->pointer || is_required(shape, name) || sub->default_value)
        return false;
    if (yyjson_mut_is_obj(v))
        return below->extra != NULL;
    return !below->int_or_string && !below->quantity && !mh_sb_schema_any(sub);
}

/* A quantity in its canonical form; what is none stays. */
static bool
native_quantity(yyjson_mut_doc *doc, yyjson_mut_val *v)
{
    struct mh_arena a;
    struct mh_sb_quantity q;
    mh_arena_init(&a, (size_t)64 << 10);
    const char *text = yyjson_mut_is_str(v)    ? yyjson_mut_get_str(v)
                       : yyjson_mut_is_real(v) ? mh_sb_go_float(&a, yyjson_mut_get_real(v))
                       : yyjson_mut_is_int(v)
                           ? mh_arena_printf(&a, "%lld", (long long)yyjson_mut_get_sint(v))
                           : NULL;
    bool ok = true;
    if (doc && text && mh_sb_quantity_parse(text, &q)) {
        const char *to = mh_sb_quantity_text(&a, &q);
        yyjson_mut_val *copy = to ? yyjson_mut_strcpy(doc, to) : NULL;
        ok = copy && yyjson_mut_set_str(v, yyjson_mut_get_str(copy));
    }
    mh_arena_release(&a);
    return ok;
}

static bool
native_object(const struct mh_sb_schema *shape, yyjson_mut_doc *doc, yyjson_mut_val *v)
{
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    yyjson_mut_obj_iter_init(v, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        const char *name = yyjson_mut_get_str(key);
        yyjson_mut_val *item = yyjson_mut_obj_iter_get_val(key);
        const struct mh_sb_schema *prop = mh_sb_schema_prop(shape, name);
        const struct mh_sb_schema *sub = prop ? prop : shape->extra;
        if (!prop && sub && yyjson_mut_is_null(item) && mh_sb_shape(sub)->types == MH_SB_T_STRING)
            (void)yyjson_mut_set_str(item, "");
        if (prop && prop->nulls && yyjson_mut_is_arr(item))
            continue;
        if (prop && left_out(shape, prop, name, item))
            yyjson_mut_obj_iter_remove(&it);
        else if (sub && !native(sub, doc, item))
            return false;
    }
    for (size_t i = 0; doc && i < shape->nprops; i++) {
        const struct mh_sb_prop *p = &shape->props[i];
        yyjson_val *def = p->schema->default_value;
        if (p->schema->nulls && !yyjson_mut_obj_get(v, p->name) &&
            !yyjson_mut_obj_add_null(doc, v, p->name))
            return false;
        bool always = yyjson_is_obj(def) || (yyjson_is_str(def) && yyjson_get_len(def) == 0) ||
                      yyjson_is_false(def) || (yyjson_is_int(def) && yyjson_get_uint(def) == 0);
        if (!always || yyjson_mut_obj_get(v, p->name))
            continue;
        if (!put_copy(doc, v, p->name, def) ||
            !native(p->schema, doc, yyjson_mut_obj_get(v, p->name)))
            return false;
    }
    return true;
}

static bool
native(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *v)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    if (shape && shape->quantity)
        return native_quantity(doc, v);
    if (!shape || mh_sb_schema_any(shape))
        return true;
    if (yyjson_mut_is_obj(v))
        return native_object(shape, doc, v);
    if (yyjson_mut_is_arr(v) && shape->items) {
        size_t i;
        size_t max;
        yyjson_mut_val *item;
        yyjson_mut_arr_foreach(v, i, max, item)
        {
            if (!native(shape->items, doc, item))
                return false;
        }
    }
    return true;
}

bool
mh_sb_schema_native(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *obj)
{
    return native(s, doc, obj);
}

void
mh_sb_schema_stored(const struct mh_sb_schema *s, yyjson_mut_val *obj)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    for (size_t i = 0; shape && i < shape->nprops; i++) {
        yyjson_mut_val *v = yyjson_mut_obj_get(obj, shape->props[i].name);
        if (shape->props[i].schema->nulls && yyjson_mut_is_arr(v) && !yyjson_mut_arr_size(v))
            (void)yyjson_mut_set_null(v);
    }
}
