/* The registry of resources. */
#include "sandbox/kinds.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/kinds_in.h"

#define ARENA_MAX ((size_t)64 << 20)
#define COMPONENTS_MAX 4096

/* "a,b" to a list that ends with NULL. */
static bool
split_names(struct mh_arena *a, const char *text, const char *out[8])
{
    int n = 0;
    while (*text && n < 7) {
        size_t len = strcspn(text, ",");
        out[n] = mh_arena_strndup(a, text, len);
        if (!out[n++])
            return false;
        text += len + (text[len] == ',');
    }
    return true;
}

static char *
lower(struct mh_arena *a, const char *s)
{
    char *out = mh_arena_strdup(a, s);
    for (char *p = out; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

/* The component that says it is this group, version and kind. */
static yyjson_val *
component_of(yyjson_val *schemas, const char *group, const char *version, const char *kind)
{
    size_t i;
    size_t max;
    yyjson_val *name;
    yyjson_val *schema;
    yyjson_obj_foreach(schemas, i, max, name, schema)
    {
        yyjson_val *list = yyjson_obj_get(schema, "x-kubernetes-group-version-kind");
        size_t n = yyjson_arr_size(list);
        for (size_t j = 0; j < n; j++) {
            yyjson_val *gvk = yyjson_arr_get(list, j);
            if (mh_str_eq(mh_json_str(gvk, "kind", NULL), kind) &&
                mh_str_eq(mh_json_str(gvk, "group", NULL), group) &&
                mh_str_eq(mh_json_str(gvk, "version", NULL), version))
                return schema;
        }
    }
    return NULL;
}

static bool
add_version(struct mh_sb_kinds *k, struct mh_sb_resource *r, unsigned traits)
{
    struct mh_arena *a = &k->arena;
    struct mh_sb_version *v = &r->versions[r->nversions++];
    v->resource = r;
    v->name = "v1";
    v->api_version = r->group[0] ? mh_arena_printf(a, "%s/v1", r->group) : "v1";
    v->head = v->api_version ? mh_arena_printf(a, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",",
                                               r->kind, v->api_version)
                             : NULL;
    v->served = true;
    v->storage = true;
    v->traits = traits;
    v->schema = component_of(k->schemas, r->group, "v1", r->kind);
    return v->head != NULL;
}

static bool
new_table(struct mh_sb_kinds *k, struct mh_sb_store *s, struct mh_sb_resource *r)
{
    r->table = mh_arena_alloc(&k->arena, sizeof(*r->table));
    if (r->table)
        mh_sb_table_init(r->table, s);
    return r->table != NULL;
}

static bool
add_builtin(struct mh_sb_kinds *k, struct mh_sb_store *s, const struct mh_sb_builtin *b)
{
    struct mh_arena *a = &k->arena;
    struct mh_sb_resource *r = mh_arena_alloc(a, sizeof(*r));
    if (!r || k->len == MH_SB_RESOURCES_MAX)
        return false;
    *r = (struct mh_sb_resource){ .group = b->group,
                                  .plural = b->plural,
                                  .singular = lower(a, b->kind),
                                  .kind = b->kind,
                                  .list_kind = mh_arena_printf(a, "%sList", b->kind),
                                  .namespaced = b->namespaced };
    if (!r->singular || !r->list_kind || !split_names(a, b->short_names, r->short_names) ||
        !split_names(a, b->categories, r->categories) || !add_version(k, r, b->traits))
        return false;
    k->items[k->len++] = r;
    return new_table(k, s, r);
}

/* Both groups' events are the same objects. */
static void
share_events(struct mh_sb_kinds *k)
{
    struct mh_sb_resource *core = mh_sb_kinds_find(k, "", "events");
    struct mh_sb_resource *events = mh_sb_kinds_find(k, "events.k8s.io", "events");
    if (core && events) {
        events->table = core->table;
        events->twin = core;
        core->twin = events;
    }
}

static bool
index_components(struct mh_sb_kinds *k)
{
    size_t i;
    size_t max;
    yyjson_val *name;
    yyjson_val *schema;
    yyjson_obj_foreach(k->schemas, i, max, name, schema)
    {
        if (!mh_map_put(&k->by_name, yyjson_get_str(name), schema, NULL))
            return false;
    }
    return true;
}

yyjson_val *
mh_sb_kinds_component(const struct mh_sb_kinds *k, const char *name)
{
    return mh_map_get(&k->by_name, name);
}

enum mh_code
mh_sb_kinds_init(struct mh_sb_kinds *k, struct mh_sb_store *s, struct mh_err *err)
{
    *k = (struct mh_sb_kinds){ .generation = 1 };
    mh_arena_init(&k->arena, ARENA_MAX);
    mh_map_init(&k->by_name, COMPONENTS_MAX);
    enum mh_code code = mh_sb_kinds_schemas(&k->arena, &k->schemas, err);
    if (code == MH_OK && !index_components(k))
        code = mh_fail(err, MH_E_NOMEM, "no memory for the built-in kinds");
    for (int i = 0; code == MH_OK && i < mh_sb_nbuiltins; i++) {
        if (!add_builtin(k, s, &mh_sb_builtins[i]))
            code = mh_fail(err, MH_E_NOMEM, "no memory for the built-in kinds");
    }
    if (code == MH_OK)
        share_events(k);
    else
        mh_sb_kinds_release(k, s);
    return code;
}

void
mh_sb_kinds_release(struct mh_sb_kinds *k, struct mh_sb_store *s)
{
    for (int i = 0; i < k->len; i++) {
        struct mh_sb_resource *r = k->items[i];
        if (r->table && !(r->twin && r->group[0]))
            mh_sb_table_release(r->table, s);
        mh_sb_arena_free(r->arena);
    }
    mh_map_release(&k->by_name);
    mh_arena_release(&k->arena);
    *k = (struct mh_sb_kinds){ 0 };
}

struct mh_sb_resource *
mh_sb_kinds_find(const struct mh_sb_kinds *k, const char *group, const char *plural)
{
    for (int i = 0; i < k->len; i++) {
        struct mh_sb_resource *r = k->items[i];
        if (r->plural[0] == plural[0] && !r->gone && strcmp(r->plural, plural) == 0 &&
            strcmp(r->group, group) == 0)
            return r;
    }
    return NULL;
}

struct mh_sb_version *
mh_sb_kinds_by_kind(const struct mh_sb_kinds *k, const char *group, const char *version,
                    const char *kind)
{
    for (int i = 0; i < k->len; i++) {
        struct mh_sb_resource *r = k->items[i];
        if (!r->gone && strcmp(r->kind, kind) == 0 && strcmp(r->group, group) == 0)
            return mh_sb_resource_version(r, version);
    }
    return NULL;
}

struct mh_sb_version *
mh_sb_resource_version(struct mh_sb_resource *r, const char *version)
{
    for (int i = 0; i < r->nversions; i++) {
        if (r->versions[i].served && strcmp(r->versions[i].name, version) == 0)
            return &r->versions[i];
    }
    return NULL;
}

void
mh_sb_arena_free(void *arena)
{
    if (arena)
        mh_arena_release(arena);
    mh_free(arena);
}

struct mh_sb_resource *
mh_sb_kinds_slot(struct mh_sb_kinds *k, struct mh_sb_store *s)
{
    struct mh_sb_resource *r = NULL;
    for (int i = 0; i < k->len && !r; i++) {
        if (k->items[i]->gone && !k->items[i]->watches && !k->items[i]->busy)
            r = k->items[i];
    }
    if (r) {
        struct mh_sb_table *table = r->table;
        mh_sb_table_release(table, s);
        mh_sb_table_init(table, s);
        mh_sb_arena_free(r->arena);
        *r = (struct mh_sb_resource){ .table = table, .custom = true };
        return r;
    }
    r = k->len < MH_SB_RESOURCES_MAX ? mh_arena_alloc(&k->arena, sizeof(*r)) : NULL;
    if (!r)
        return NULL;
    *r = (struct mh_sb_resource){ .custom = true };
    if (!new_table(k, s, r))
        return NULL;
    k->items[k->len++] = r;
    return r;
}
