/* schema_lists.c - lists that are sets or maps have no duplicates; embedded objects name their
 * kind; and the order in which all checks of a custom resource come. */
#include <string.h>

#include "base/str.h"
#include "sandbox/schema_validate.h"

struct lists {
    struct mh_arena *arena;
    struct mh_sb_causes *causes;
    struct mh_buf path;
    bool failed;
};

static void check(struct lists *l, const struct mh_sb_schema *s, yyjson_val *v);

static void
duplicate(struct lists *l, size_t i, yyjson_val *v)
{
    char *text = mh_sb_value_text(l->arena, v);
    char *field = mh_arena_printf(l->arena, "%s[%zu]", mh_buf_text(&l->path), i);
    if (!text || !field)
        l->failed = true;
    else
        mh_sb_cause_add(l->causes, "FieldValueDuplicate", field, "Duplicate value: %s", text);
}

/* Complains of the second of each group of equal values. */
static void
check_unique(struct lists *l, yyjson_val *const *values, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t before = 0;
        for (size_t k = 0; k < i; k++)
            before += mh_sb_equal(values[k], values[i]);
        if (before == 1)
            duplicate(l, i, values[i]);
    }
}

/* The keys of an item as an object. */
static yyjson_val *
keys_of(struct lists *l, const struct mh_sb_schema *s, yyjson_val *item)
{
    yyjson_mut_doc *doc = mh_json_doc(l->arena);
    yyjson_mut_val *out = doc ? yyjson_mut_obj(doc) : NULL;
    for (size_t i = 0; out && i < s->list_keys.count; i++) {
        yyjson_val *v = yyjson_obj_get(item, s->list_keys.items[i]);
        yyjson_mut_val *copy = v ? yyjson_val_mut_copy(doc, v) : NULL;
        if (copy)
            yyjson_mut_obj_add_val(doc, out, s->list_keys.items[i], copy);
    }
    return out ? mh_sb_freeze(l->arena, out) : NULL;
}

static void
check_unique_list(struct lists *l, const struct mh_sb_schema *s, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    bool map = s->list_type == MH_SB_LIST_MAP;
    size_t n = yyjson_arr_size(v);
    yyjson_arr_foreach(v, i, max, item)
    {
        if (!map || yyjson_is_obj(item) || yyjson_is_null(item))
            continue;
        char *text = mh_sb_value_text(l->arena, item);
        char *field = mh_arena_printf(l->arena, "%s[%zu]", mh_buf_text(&l->path), i);
        if (text && field)
            mh_sb_cause_add(l->causes, "FieldValueInvalid", field,
                            "Invalid value: %s: must be an object for an array of list-type map",
                            text);
        return;
    }
    yyjson_val **values = mh_arena_alloc(l->arena, (n + 1) * sizeof(*values));
    if (!values) {
        l->failed = true;
        return;
    }
    yyjson_arr_foreach(v, i, max, item)
    {
        values[i] = map ? keys_of(l, s, item) : item;
        if (!values[i]) {
            l->failed = true;
            return;
        }
    }
    check_unique(l, values, n);
}

static void
check_list(struct lists *l, const struct mh_sb_schema *s, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    if (s->list_type == MH_SB_LIST_MAP || s->list_type == MH_SB_LIST_SET)
        check_unique_list(l, s, v);
    yyjson_arr_foreach(v, i, max, item)
    {
        size_t len = l->path.len;
        mh_buf_printf(&l->path, "[%zu]", i);
        check(l, s->items, item);
        mh_sb_path_cut(&l->path, len);
    }
}

static void
check(struct lists *l, const struct mh_sb_schema *schema, yyjson_val *v)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!s)
        return;
    if (yyjson_is_arr(v)) {
        check_list(l, s, v);
        return;
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        const struct mh_sb_schema *prop = mh_sb_schema_prop(s, name);
        size_t len = l->path.len;
        if (prop)
            mh_buf_printf(&l->path, "%s%s", len ? "." : "", name);
        else
            mh_buf_printf(&l->path, "[%s]", name);
        check(l, prop ? prop : s->extra, item);
        mh_sb_path_cut(&l->path, len);
    }
}

bool
mh_sb_validate_lists(const struct mh_sb_schema *s, yyjson_val *v, struct mh_arena *a,
                     struct mh_sb_causes *causes)
{
    struct lists l = { .arena = a, .causes = causes };
    mh_buf_init(&l.path, (size_t)1 << 16);
    check(&l, s, v);
    mh_buf_release(&l.path);
    return !l.failed && !causes->failed;
}

static void
check_embedded_type(yyjson_val *v, struct mh_buf *path, struct mh_sb_causes *causes)
{
    static const char *const names[] = { "apiVersion", "kind" };
    size_t len = path->len;
    for (size_t i = 0; i < 2; i++) {
        yyjson_val *x = yyjson_obj_get(v, names[i]);
        const char *text = x ? mh_sb_value_text(causes->arena, x) : NULL;
        if (len)
            mh_buf_str(path, ".");
        mh_buf_str(path, names[i]);
        if (!x)
            mh_sb_cause_add(causes, "FieldValueRequired", mh_buf_text(path), "Required value");
        else if (!yyjson_is_str(x))
            mh_sb_cause_add(causes, "FieldValueInvalid", mh_buf_text(path),
                            "Invalid value: %s: must be a string", text ? text : "(no memory)");
        else if (yyjson_get_len(x) == 0)
            mh_sb_cause_add(causes, "FieldValueInvalid", mh_buf_text(path),
                            "Invalid value: \"\": must not be empty");
        mh_sb_path_cut(path, len);
    }
}

/* Objects inside an object (x-kubernetes-embedded-resource) say what they are. */
static void
check_embedded(const struct mh_sb_schema *schema, yyjson_val *v, struct mh_buf *path,
               struct mh_sb_causes *causes)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    size_t len = path->len;
    if (!s)
        return;
    if (yyjson_is_obj(v) && s->embedded && !s->root)
        check_embedded_type(v, path, causes);
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, max, item)
        {
            mh_buf_printf(path, "[%zu]", i);
            check_embedded(s->items, item, path, causes);
            mh_sb_path_cut(path, len);
        }
        return;
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        const struct mh_sb_schema *prop = mh_sb_schema_prop(s, yyjson_get_str(key));
        mh_buf_printf(path, prop ? "%s%s" : "%s[%s]", prop && len ? "." : "", yyjson_get_str(key));
        check_embedded(prop ? prop : s->extra, item, path, causes);
        mh_sb_path_cut(path, len);
    }
}

/* Problems after which rules are not tried. */
static bool
blocks_rules(const struct mh_sb_causes *causes, size_t before)
{
    size_t i = 0;
    for (const struct mh_sb_cause *c = causes->first; c; c = c->next) {
        if (i++ >= before && (mh_str_eq(c->reason, "FieldValueNotSupported") ||
                              mh_str_eq(c->reason, "FieldValueRequired") ||
                              mh_str_eq(c->reason, "FieldValueTooLong") ||
                              mh_str_eq(c->reason, "FieldValueTooMany") ||
                              mh_str_eq(c->reason, "FieldValueTypeInvalid")))
            return true;
    }
    return false;
}

static bool
has_rules(const struct mh_sb_schema *schema, int depth)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    if (!s || depth > MH_SB_SCHEMA_DEPTH_MAX)
        return false;
    if (s->rules || has_rules(s->extra, depth + 1) || has_rules(s->items, depth + 1))
        return true;
    for (size_t i = 0; i < s->nprops; i++) {
        if (has_rules(s->props[i].schema, depth + 1))
            return true;
    }
    return false;
}

/* Duplicates are no news where the old object had some. */
static bool
lists_ratcheted(const struct mh_sb_schema *s, yyjson_val *obj, yyjson_val *old,
                struct mh_sb_validate *v)
{
    struct mh_sb_causes before;
    mh_sb_causes_init(&before, v->arena);
    if (old && !mh_sb_validate_lists(s, old, v->arena, &before))
        return false;
    return before.count || mh_sb_validate_lists(s, obj, v->arena, v->causes);
}

bool
mh_sb_schema_validate(const struct mh_sb_schema *s, yyjson_val *obj, yyjson_val *old,
                      const char *part, struct mh_sb_validate *v)
{
    size_t before = 0; /* what is wrong with the metadata counts, too */
    struct mh_buf path;
    bool ok = true;
    if (v->skip_types)
        ;
    else if (!*part)
        ok = mh_sb_validate_part(s, obj, old, "", v);
    else if (yyjson_obj_get(obj, part) && mh_sb_schema_field(s, part))
        ok = mh_sb_validate_part(mh_sb_schema_field(s, part), yyjson_obj_get(obj, part),
                                 yyjson_obj_get(old, part), part, v);
    if (!ok)
        return false;
    if (!*part) {
        mh_buf_init(&path, (size_t)1 << 16);
        check_embedded(s, obj, &path, v->causes);
        mh_buf_release(&path);
    }
    if (!lists_ratcheted(s, obj, old, v))
        return false;
    if (v->skip_rules || !has_rules(s, 0))
        return !v->causes->failed;
    if (blocks_rules(v->causes, before)) {
        mh_sb_cause_add(v->causes, "FieldValueInvalid", "<nil>",
                        "Invalid value: null: some validation rules were not checked because the "
                        "object was invalid; correct the existing errors to complete validation");
        return !v->causes->failed;
    }
    return mh_sb_validate_rules(s, obj, old, v);
}
