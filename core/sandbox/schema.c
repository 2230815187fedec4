/* schema.c - compiles OpenAPI v3 schemas. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "sandbox/regex.h"
#include "sandbox/schema_validate.h"

#define COMPONENTS_MAX 20000
#define REF "#/components/schemas/"

struct mh_sb_schema_set {
    struct mh_arena *arena;
    mh_sb_schema_lookup lookup;
    void *arg;
    struct mh_map made; /* name -> struct mh_sb_schema */
};

struct compiler {
    struct mh_arena *arena;
    struct mh_sb_schema_set *set; /* NULL: a CRD, no references */
    struct mh_err *err;
    int depth;
};

static enum mh_code compile(struct compiler *c, yyjson_val *src, struct mh_sb_schema *s);

static enum mh_code
no_memory(struct compiler *c)
{
    return mh_fail(c->err, MH_E_NOMEM, "no memory for a schema");
}

static const char *
text(struct compiler *c, yyjson_val *src, const char *key)
{
    return mh_arena_strdup(c->arena, mh_json_str(src, key, NULL));
}

static enum mh_code
child(struct compiler *c, yyjson_val *src, const struct mh_sb_schema **out)
{
    struct mh_sb_schema *s = mh_arena_alloc(c->arena, sizeof(*s));
    if (!s)
        return no_memory(c);
    if (++c->depth > MH_SB_SCHEMA_DEPTH_MAX)
        return mh_fail(c->err, MH_E_INVALID, "a schema is nested deeper than %d",
                       MH_SB_SCHEMA_DEPTH_MAX);
    enum mh_code e = compile(c, src, s);
    c->depth--;
    *out = s;
    return e;
}

static int
by_name(const void *x, const void *y)
{
    const struct mh_sb_prop *a = x;
    const struct mh_sb_prop *b = y;
    return strcmp(a->name, b->name);
}

static enum mh_code
compile_props(struct compiler *c, yyjson_val *src, struct mh_sb_schema *s)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_val *props = yyjson_obj_get(src, "properties");
    size_t n = yyjson_obj_size(props);
    if (!n)
        return MH_OK;
    s->props = mh_arena_alloc(c->arena, n * sizeof(*s->props));
    if (!s->props)
        return no_memory(c);
    yyjson_obj_foreach(mh_sb_obj_or_none(props), i, max, key, item)
    {
        s->props[i].name = mh_arena_strdup(c->arena, yyjson_get_str(key));
        if (!s->props[i].name)
            return no_memory(c);
        enum mh_code e = child(c, item, &s->props[i].schema);
        if (e)
            return e;
    }
    s->nprops = n;
    qsort(s->props, n, sizeof(*s->props), by_name);
    return MH_OK;
}

static enum mh_code
compile_list(struct compiler *c, yyjson_val *src, struct mh_sb_schemas *out)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    size_t n = yyjson_arr_size(src);
    if (!n)
        return MH_OK;
    out->items = mh_arena_alloc(c->arena, n * sizeof(const struct mh_sb_schema *));
    if (!out->items)
        return no_memory(c);
    yyjson_arr_foreach(src, i, max, item)
    {
        enum mh_code e = child(c, item, &out->items[i]);
        if (e)
            return e;
    }
    out->count = n;
    return MH_OK;
}

static enum mh_code
strings(struct compiler *c, yyjson_val *src, struct mh_sb_strings *out)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    size_t n = yyjson_arr_size(src);
    out->items = n ? mh_arena_alloc(c->arena, n * sizeof(char *)) : NULL;
    if (n && !out->items)
        return no_memory(c);
    yyjson_arr_foreach(src, i, max, item)
    {
        if (!yyjson_is_str(item))
            continue;
        char *copy = mh_arena_strdup(c->arena, yyjson_get_str(item));
        if (!copy)
            return no_memory(c);
        out->items[out->count++] = copy;
    }
    return MH_OK;
}

static void
set_type(struct mh_sb_schema *s, const char *name)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = { { "object", MH_SB_T_OBJECT }, { "array", MH_SB_T_ARRAY },
                  { "string", MH_SB_T_STRING }, { "integer", MH_SB_T_INTEGER },
                  { "number", MH_SB_T_NUMBER }, { "boolean", MH_SB_T_BOOLEAN } };
    for (size_t i = 0; name && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(name, types[i].name) == 0) {
            s->types = types[i].type;
            s->type_text = types[i].name;
        }
    }
    if (s->int_or_string) {
        s->types = MH_SB_T_INTEGER | MH_SB_T_STRING;
        s->type_text = "integer,string";
    }
}

/* A copy of a part of the source that outlives it; NULL if it is absent. */
static enum mh_code
keep(struct compiler *c, yyjson_val *src, const char *key, yyjson_val **out)
{
    yyjson_val *v = yyjson_obj_get(src, key);
    *out = NULL;
    if (!v)
        return MH_OK;
    yyjson_mut_doc *doc = mh_json_doc(c->arena);
    yyjson_mut_val *copy = doc ? yyjson_val_mut_copy(doc, v) : NULL;
    *out = copy ? mh_sb_freeze(c->arena, copy) : NULL;
    return *out ? MH_OK : no_memory(c);
}

static enum mh_code
compile_limits(struct compiler *c, yyjson_val *src, struct mh_sb_schema *s)
{
    enum mh_code e = keep(c, src, "enum", &s->enums);
    if (!e)
        e = keep(c, src, "maximum", &s->maximum);
    if (!e)
        e = keep(c, src, "minimum", &s->minimum);
    if (!e)
        e = keep(c, src, "multipleOf", &s->multiple_of);
    if (!e)
        e = keep(c, src, "default", &s->default_value);
    s->exclusive_maximum = mh_json_bool(src, false, "exclusiveMaximum", NULL);
    s->exclusive_minimum = mh_json_bool(src, false, "exclusiveMinimum", NULL);
    s->max_length = mh_json_int(src, -1, "maxLength", NULL);
    s->min_length = mh_json_int(src, -1, "minLength", NULL);
    s->max_items = mh_json_int(src, -1, "maxItems", NULL);
    s->min_items = mh_json_int(src, -1, "minItems", NULL);
    s->max_props = mh_json_int(src, -1, "maxProperties", NULL);
    s->min_props = mh_json_int(src, -1, "minProperties", NULL);
    s->unique_items = mh_json_bool(src, false, "uniqueItems", NULL);
    s->pattern = text(c, src, "pattern");
    if (s->pattern && s->pattern[0] && !s->native) {
        struct mh_err err;
        if (mh_sb_regex_compile(c->arena, s->pattern, strlen(s->pattern), &s->regex, &err))
            s->pattern_error = mh_arena_strdup(c->arena, err.msg);
    }
    return e;
}

static enum mh_code
compile_kubernetes(struct compiler *c, yyjson_val *src, struct mh_sb_schema *s)
{
    const char *list = mh_json_str(src, "x-kubernetes-list-type", NULL);
    const char *map = mh_json_str(src, "x-kubernetes-map-type", NULL);
    s->list_type = mh_str_eq(list, "map")      ? MH_SB_LIST_MAP
                   : mh_str_eq(list, "set")    ? MH_SB_LIST_SET
                   : mh_str_eq(list, "atomic") ? MH_SB_LIST_ATOMIC
                                               : MH_SB_LIST_NONE;
    s->map_type = mh_str_eq(map, "atomic")     ? MH_SB_MAP_ATOMIC
                  : mh_str_eq(map, "granular") ? MH_SB_MAP_GRANULAR
                                               : MH_SB_MAP_NONE;
    s->preserve = mh_json_bool(src, false, "x-kubernetes-preserve-unknown-fields", NULL);
    s->embedded = mh_json_bool(src, false, "x-kubernetes-embedded-resource", NULL);
    s->pointer = mh_json_bool(src, false, "x-moonherd-pointer", NULL);
    s->nulls = mh_json_bool(src, false, "x-moonherd-null", NULL);
    s->merge_key = text(c, src, "x-kubernetes-patch-merge-key");
    s->patch_strategy = text(c, src, "x-kubernetes-patch-strategy");
    return strings(c, yyjson_obj_get(src, "x-kubernetes-list-map-keys"), &s->list_keys);
}

/* The name in {"$ref": ...} or {"allOf": [{"$ref": ...}]}; NULL: no reference. */
static const char *
reference(yyjson_val *src)
{
    const char *ref = mh_json_str(src, "$ref", NULL);
    yyjson_val *all = yyjson_obj_get(src, "allOf");
    if (!ref && yyjson_arr_size(all) == 1 && !yyjson_obj_get(src, "properties"))
        ref = mh_json_str(yyjson_arr_get_first(all), "$ref", NULL);
    return ref && mh_str_starts(ref, REF) ? ref + strlen(REF) : NULL;
}

static enum mh_code
component(struct compiler *c, const char *name, const struct mh_sb_schema **out)
{
    struct mh_sb_schema *s = mh_map_get(&c->set->made, name);
    *out = s;
    if (s)
        return MH_OK;
    yyjson_val *src = c->set->lookup(c->set->arg, name);
    if (!src)
        return mh_fail(c->err, MH_E_NOTFOUND, "schema %s is not there", name);
    s = mh_arena_alloc(c->arena, sizeof(*s));
    if (!s || !mh_map_put(&c->set->made, name, s, NULL))
        return no_memory(c);
    *out = s;
    s->quantity = mh_str_ends(name, ".Quantity");
    s->raw = mh_str_ends(name, ".RawExtension");
    int depth = c->depth;
    c->depth = 0;
    enum mh_code e = compile(c, src, s);
    c->depth = depth;
    if (e)
        mh_map_remove(&c->set->made, name);
    return e;
}

static enum mh_code
compile_children(struct compiler *c, yyjson_val *src, struct mh_sb_schema *s)
{
    yyjson_val *extra = yyjson_obj_get(src, "additionalProperties");
    yyjson_val *items = yyjson_obj_get(src, "items");
    yyjson_val *not_of = yyjson_obj_get(src, "not");
    enum mh_code e = compile_props(c, src, s);
    if (!e && yyjson_is_obj(extra))
        e = child(c, extra, &s->extra);
    s->extra_forbidden = yyjson_is_false(extra);
    s->extra_any = yyjson_is_true(extra);
    if (!e && yyjson_is_obj(items))
        e = child(c, items, &s->items);
    if (!e && yyjson_is_obj(not_of))
        e = child(c, not_of, &s->not_of);
    if (!e)
        e = compile_list(c, yyjson_obj_get(src, "allOf"), &s->all_of);
    if (!e)
        e = compile_list(c, yyjson_obj_get(src, "anyOf"), &s->any_of);
    if (!e)
        e = compile_list(c, yyjson_obj_get(src, "oneOf"), &s->one_of);
    if (!e)
        e = strings(c, yyjson_obj_get(src, "required"), &s->required);
    return e;
}

static enum mh_code
compile(struct compiler *c, yyjson_val *src, struct mh_sb_schema *s)
{
    if (!yyjson_is_obj(src))
        return mh_fail(c->err, MH_E_INVALID, "a schema is no object");
    const char *ref = c->set ? reference(src) : NULL;
    const char *format = mh_json_str(src, "format", NULL);
    s->native = c->set != NULL;
    s->nullable = mh_json_bool(src, false, "nullable", NULL);
    s->int_or_string = mh_json_bool(src, false, "x-kubernetes-int-or-string", NULL) ||
                       mh_str_eq(format, "int-or-string");
    s->format = text(c, src, "format");
    set_type(s, mh_json_str(src, "type", NULL));
    enum mh_code e = compile_limits(c, src, s);
    if (!e)
        e = compile_kubernetes(c, src, s);
    if (!e && ref)
        return component(c, ref, &s->ref);
    if (!e)
        e = compile_children(c, src, s);
    if (!e && !s->native)
        e = mh_sb_rules_compile(c->arena, src, &s->rules, c->err);
    return e;
}

static void
forget(void *p)
{
    struct mh_sb_schema_set *set = p;
    mh_map_release(&set->made);
}

struct mh_sb_schema_set *
mh_sb_schema_set_new(struct mh_arena *a, mh_sb_schema_lookup lookup, void *arg)
{
    struct mh_sb_schema_set *set = mh_arena_alloc(a, sizeof(*set));
    if (!set)
        return NULL;
    set->arena = a;
    set->lookup = lookup;
    set->arg = arg;
    mh_map_init(&set->made, COMPONENTS_MAX);
    return mh_arena_defer(a, forget, set) ? set : NULL;
}

enum mh_code
mh_sb_schema_component(struct mh_sb_schema_set *set, const char *name,
                       const struct mh_sb_schema **out, struct mh_err *err)
{
    struct compiler c = { .arena = set->arena, .set = set, .err = err };
    return component(&c, name, out);
}

enum mh_code
mh_sb_schema_crd(struct mh_arena *a, yyjson_val *source, const struct mh_sb_schema *meta,
                 const struct mh_sb_schema **out, struct mh_err *err)
{
    struct compiler c = { .arena = a, .err = err };
    struct mh_sb_schema *s = mh_arena_alloc(a, sizeof(*s));
    enum mh_code e = MH_OK;
    if (!s)
        return no_memory(&c);
    if (source)
        e = compile(&c, source, s);
    else
        s->preserve = true;
    s->root = true;
    s->embedded = true;
    s->meta = meta;
    *out = s;
    return e;
}

const struct mh_sb_schema *
mh_sb_schema_prop(const struct mh_sb_schema *s, const char *name)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    struct mh_sb_prop key = { .name = name };
    struct mh_sb_prop *p = shape && shape->nprops ? bsearch(&key, shape->props, shape->nprops,
                                                            sizeof(*shape->props), by_name)
                                                  : NULL;
    return p ? p->schema : NULL;
}

const struct mh_sb_schema *
mh_sb_schema_field(const struct mh_sb_schema *s, const char *key)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    if (!shape)
        return NULL;
    if (shape->root && shape->meta && strcmp(key, "metadata") == 0)
        return shape->meta;
    const struct mh_sb_schema *p = mh_sb_schema_prop(shape, key);
    return p ? p : shape->extra;
}

const struct mh_sb_schema *
mh_sb_schema_items(const struct mh_sb_schema *s)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    return shape ? shape->items : NULL;
}

yyjson_val *
mh_sb_schema_default_of(const struct mh_sb_schema *s)
{
    for (; s; s = s->ref) {
        if (s->default_value && !yyjson_is_null(s->default_value))
            return s->default_value;
    }
    return NULL;
}

enum mh_sb_map_type
mh_sb_schema_map_type(const struct mh_sb_schema *s)
{
    for (; s; s = s->ref) {
        if (s->map_type != MH_SB_MAP_NONE)
            return s->map_type;
    }
    return MH_SB_MAP_NONE;
}

bool
mh_sb_schema_any(const struct mh_sb_schema *s)
{
    const struct mh_sb_schema *shape = mh_sb_shape(s);
    if (!shape || shape->preserve || shape->extra_any)
        return true;
    return shape->native && !shape->nprops && !shape->extra && !shape->items &&
           (shape->types == 0 || shape->types == MH_SB_T_OBJECT);
}
