/* Resources that CustomResourceDefinitions add, change and take away. A resource is there once its
 * CRD says Established, as with the real server; that comes within the same turn of the loop. */
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

#define ARENA_MAX ((size_t)64 << 20)
#define OBJECT_META "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

/* --- built-in schemas ------------------------------------------------------------------------ */

static yyjson_val *
component(void *arg, const char *name)
{
    struct mh_sb_api *api = arg;
    return mh_sb_kinds_component(&api->kinds, name);
}

static const struct mh_sb_schema *
compile_component(struct mh_sb_api *api, const char *name)
{
    struct mh_err err;
    const struct mh_sb_schema *s = NULL;
    if (!api->components)
        api->components = mh_sb_schema_set_new(&api->schemas, component, api);
    if (!api->components || mh_sb_schema_component(api->components, name, &s, &err) != MH_OK)
        return NULL;
    return s;
}

/* The name of a built-in version's component. */
static const char *
component_name(struct mh_sb_api *api, const struct mh_sb_version *v)
{
    size_t i;
    size_t max;
    yyjson_val *name;
    yyjson_val *schema;
    yyjson_obj_foreach(api->kinds.schemas, i, max, name, schema)
    {
        if (schema == v->schema)
            return yyjson_get_str(name);
    }
    return NULL;
}

const struct mh_sb_schema *
mh_sb_version_schema(struct mh_sb_api *api, struct mh_sb_version *v)
{
    struct mh_err err;
    if (v->compiled)
        return v->compiled;
    if (v->resource->custom) {
        if (mh_sb_schema_crd(v->resource->arena, v->schema, compile_component(api, OBJECT_META),
                             &v->compiled, &err) != MH_OK)
            return NULL;
        return v->compiled;
    }
    const char *name = v->schema ? component_name(api, v) : NULL;
    v->compiled = name ? compile_component(api, name) : NULL;
    return v->compiled;
}

/* --- from a CRD to a resource ---------------------------------------------------------------- */

static void
copy_names(yyjson_val *list, const char *out[8])
{
    for (size_t i = 0; i < 8; i++)
        out[i] = NULL;
    for (size_t i = 0; i < yyjson_arr_size(list) && i < 7; i++)
        out[i] = yyjson_get_str(yyjson_arr_get(list, i));
}

static void
read_columns(struct mh_arena *a, struct mh_sb_version *v)
{
    yyjson_val *list = yyjson_obj_get(v->spec, "additionalPrinterColumns");
    size_t n = yyjson_arr_size(list);
    v->columns = n ? mh_arena_alloc(a, n * sizeof(*v->columns)) : NULL;
    for (size_t i = 0; v->columns && i < n; i++) {
        yyjson_val *c = yyjson_arr_get(list, i);
        const char *format = mh_json_str(c, "format", NULL);
        const char *about = mh_json_str(c, "description", NULL);
        if (!about || !*about)
            about = mh_arena_printf(a, "Custom resource definition column (in JSONPath format): %s",
                                    mh_json_str(c, "jsonPath", NULL));
        v->columns[v->ncolumns++] =
            (struct mh_sb_column){ .name = mh_json_str(c, "name", NULL),
                                   .type = mh_json_str(c, "type", NULL),
                                   .format = format ? format : "",
                                   .description = about ? about : "",
                                   .priority = (int)mh_json_int(c, 0, "priority", NULL),
                                   .path = mh_json_str(c, "jsonPath", NULL) };
    }
}

static bool
read_version(struct mh_arena *a, struct mh_sb_resource *r, yyjson_val *spec)
{
    struct mh_sb_version *v = &r->versions[r->nversions++];
    yyjson_val *scale = mh_json_get(spec, "subresources", "scale", NULL);
    *v = (struct mh_sb_version){ .resource = r,
                                 .name = mh_json_str(spec, "name", NULL),
                                 .served = mh_json_bool(spec, false, "served", NULL),
                                 .storage = mh_json_bool(spec, false, "storage", NULL),
                                 .deprecated = mh_json_bool(spec, false, "deprecated", NULL),
                                 .deprecation = mh_json_str(spec, "deprecationWarning", NULL),
                                 .traits = MH_SB_GENERATION,
                                 .spec = spec,
                                 .schema = mh_json_get(spec, "schema", "openAPIV3Schema", NULL),
                                 .scale_spec = mh_json_str(scale, "specReplicasPath", NULL),
                                 .scale_status = mh_json_str(scale, "statusReplicasPath", NULL),
                                 .scale_selector = mh_json_str(scale, "labelSelectorPath", NULL) };
    if (mh_json_get(spec, "subresources", "status", NULL))
        v->traits |= MH_SB_STATUS;
    if (scale)
        v->traits |= MH_SB_SCALE;
    if (!v->name)
        return false;
    v->api_version = mh_arena_printf(a, "%s/%s", r->group, v->name);
    v->head = mh_arena_printf(a, "{\"apiVersion\":\"%s/%s\",\"kind\":\"%s\",", r->group, v->name,
                              r->kind);
    if (v->deprecated && !v->deprecation)
        v->deprecation = mh_arena_printf(a, "%s/%s %s is deprecated", r->group, v->name, r->kind);
    read_columns(a, v);
    return v->api_version && v->head;
}

static bool
read_names(struct mh_arena *a, struct mh_sb_resource *r, yyjson_val *crd)
{
    yyjson_val *spec = yyjson_obj_get(crd, "spec");
    yyjson_val *names = yyjson_obj_get(spec, "names");
    r->group = mh_json_str(spec, "group", NULL);
    r->plural = mh_json_str(names, "plural", NULL);
    r->kind = mh_json_str(names, "kind", NULL);
    r->singular = mh_json_str(names, "singular", NULL);
    r->list_kind = mh_json_str(names, "listKind", NULL);
    r->namespaced = mh_str_eq(mh_json_str(spec, "scope", NULL), "Namespaced");
    r->crd_uid = mh_json_str(crd, "metadata", "uid", NULL);
    copy_names(yyjson_obj_get(names, "shortNames"), r->short_names);
    copy_names(yyjson_obj_get(names, "categories"), r->categories);
    if (r->kind && !r->list_kind)
        r->list_kind = mh_arena_printf(a, "%sList", r->kind);
    if (r->kind && !r->singular) {
        char *s = mh_arena_strdup(a, r->kind);
        for (char *p = s; p && *p; p++)
            *p = (char)tolower((unsigned char)*p);
        r->singular = s;
    }
    return r->group && r->plural && r->kind && r->list_kind && r->singular;
}

/* Requests under way and watches may still look at what the former texts were: they are kept for
 * as long as the resource is. */
static bool
new_arena(struct mh_sb_resource *r)
{
    struct mh_arena *a = mh_malloc(sizeof(*a));
    if (!a)
        return false;
    mh_arena_init(a, ARENA_MAX);
    struct mh_arena *old = r->arena;
    if (old && !mh_arena_defer(a, mh_sb_arena_free, old)) {
        mh_free(a);
        return false;
    }
    r->arena = a;
    return true;
}

static bool
fill(struct mh_sb_resource *r, yyjson_val *crd)
{
    if (!new_arena(r))
        return false;
    struct mh_arena *a = r->arena;
    size_t len = 0;
    struct mh_err err;
    yyjson_val *own = NULL;
    char *text = mh_json_text(a, crd, &len);
    if (!text || mh_json_parse(a, text, len, &own, &err) != MH_OK || !read_names(a, r, own))
        return false;
    yyjson_val *list = mh_json_get(own, "spec", "versions", NULL);
    r->nversions = 0;
    for (size_t i = 0; i < yyjson_arr_size(list) && i < MH_SB_VERSIONS_MAX; i++) {
        if (!read_version(a, r, yyjson_arr_get(list, i)))
            return false;
    }
    r->crd_spec = mh_json_text(a, yyjson_obj_get(own, "spec"), NULL);
    return r->nversions > 0 && r->crd_spec;
}

static bool
condition_true(yyjson_val *crd, const char *type)
{
    yyjson_val *list = mh_json_get(crd, "status", "conditions", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *c = yyjson_arr_get(list, i);
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return mh_str_eq(mh_json_str(c, "status", NULL), "True");
    }
    return false;
}

/* An object as the schema of today wants it; NULL: as it is. */
static struct mh_sb_obj *
refitted(const struct mh_sb_schema *s, const struct mh_sb_obj *o)
{
    struct mh_arena a;
    struct mh_err err;
    size_t len = 0;
    yyjson_val *value = NULL;
    struct mh_sb_obj *out = NULL;
    mh_arena_init(&a, ARENA_MAX);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *next = doc && mh_json_parse(&a, o->text, o->len, &value, &err) == MH_OK
                               ? yyjson_val_mut_copy(doc, value)
                               : NULL;
    if (next) {
        mh_sb_schema_prune(s, next, NULL);
        mh_sb_schema_drop_nulls(s, next);
    }
    char *text =
        next && mh_sb_schema_default(s, doc, next) ? mh_json_mut_text(&a, next, &len) : NULL;
    if (text && (len != o->len || memcmp(text, o->text, len) != 0))
        out = mh_sb_obj_read(o->key, o->version, text, len);
    mh_arena_release(&a);
    return out;
}

/* What is stored is read with the schema of today: unknown fields go, defaults come, and nobody is
 * told. Where memory is short, an object stays as it is until it is written again. */
static void
refit(struct mh_sb_api *api, struct mh_sb_resource *r)
{
    const struct mh_sb_schema *s = mh_sb_version_schema(api, mh_sb_storage_version(r));
    for (size_t i = 0; s && i < r->table->len; i++) {
        struct mh_sb_obj *o = refitted(s, r->table->items[i]);
        if (o && !mh_sb_table_rewrite(r->table, &api->store, i, o))
            mh_sb_obj_unref(o);
    }
}

void
mh_sb_crd_changed(struct mh_sb_api *api, yyjson_val *crd, bool removed)
{
    const char *group = mh_json_str(crd, "spec", "group", NULL);
    const char *plural = mh_json_str(crd, "spec", "names", "plural", NULL);
    struct mh_sb_resource *r =
        group && plural ? mh_sb_kinds_find(&api->kinds, group, plural) : NULL;
    if (!group || !plural || (r && !r->custom))
        return;
    if (removed) {
        if (r) {
            r->gone = true;
            api->kinds.generation++;
            mh_sb_watches_end(api, r);
        }
        return;
    }
    if (!condition_true(crd, "Established")) {
        api->crds_new = true;
        return;
    }
    yyjson_val *spec = yyjson_obj_get(crd, "spec");
    struct mh_arena a;
    mh_arena_init(&a, ARENA_MAX);
    char *text = mh_json_text(&a, spec, NULL);
    bool same = r && text && mh_str_eq(text, r->crd_spec);
    mh_arena_release(&a);
    if (same)
        return;
    if (!r)
        r = mh_sb_kinds_slot(&api->kinds, &api->store);
    api->kinds.generation++;
    if (r && !fill(r, crd))
        r->gone = true;
    else if (r)
        refit(api, r);
}

/* --- a CRD's life ---------------------------------------------------------------------------- */

struct condition {
    const char *type;
    const char *status;
    const char *reason;
    const char *message;
};

static bool
add_condition(struct mh_sb_api *api, yyjson_mut_doc *doc, yyjson_mut_val *list,
              const struct condition *is)
{
    char now[40];
    mh_sb_now(api, now);
    yyjson_mut_val *c = NULL;
    for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
        if (mh_str_eq(mh_sb_mstr(yyjson_mut_arr_get(list, i), "type", NULL), is->type))
            c = yyjson_mut_arr_get(list, i);
    }
    if (!c)
        c = yyjson_mut_arr_add_obj(doc, list);
    return c && mh_sb_mset_str(doc, c, "type", is->type) &&
           mh_sb_mset_str(doc, c, "status", is->status) &&
           mh_sb_mset_str(doc, c, "lastTransitionTime", now) &&
           mh_sb_mset_str(doc, c, "reason", is->reason) &&
           mh_sb_mset_str(doc, c, "message", is->message);
}

bool
mh_sb_crd_terminate(struct mh_sb_op *op)
{
    if (op->t.r->custom || strcmp(op->t.r->kind, "CustomResourceDefinition") != 0 ||
        mh_json_get(op->old, "metadata", "deletionTimestamp", NULL))
        return false;
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    yyjson_mut_val *finalizers = mh_sb_marr(op->doc, meta, "finalizers");
    yyjson_mut_val *list =
        mh_sb_marr(op->doc, mh_sb_mobj(op->doc, op->obj, "status"), "conditions");
    char now[40];
    mh_sb_now(op->api, now);
    bool has = false;
    for (size_t i = 0; i < yyjson_mut_arr_size(finalizers); i++)
        has = has || yyjson_mut_equals_str(yyjson_mut_arr_get(finalizers, i), MH_SB_CRD_FINALIZER);
    if (!has)
        yyjson_mut_arr_add_str(op->doc, finalizers, MH_SB_CRD_FINALIZER);
    return mh_sb_mset_str(op->doc, meta, "deletionTimestamp", now) &&
           add_condition(
               op->api, op->doc, list,
               &(struct condition){
                   "Terminating", "True", "InstanceDeletionPending",
                   "CustomResourceDefinition marked for deletion; CustomResource deletion "
                   "will begin soon" });
}

/* What a new CRD's status is before its names are looked at. */
bool
mh_sb_crd_status(struct mh_sb_op *op)
{
    yyjson_mut_val *status = yyjson_mut_obj(op->doc);
    yyjson_mut_val *names = yyjson_mut_obj(op->doc);
    yyjson_mut_val *stored = yyjson_mut_arr(op->doc);
    yyjson_mut_val *list = mh_sb_mget(op->obj, "spec", "versions", NULL);
    if (!status || !names || !stored)
        return false;
    for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
        yyjson_mut_val *v = yyjson_mut_arr_get(list, i);
        const char *name = mh_sb_mstr(v, "name", NULL);
        if (name && yyjson_mut_is_true(yyjson_mut_obj_get(v, "storage")))
            yyjson_mut_arr_add_strcpy(op->doc, stored, name);
    }
    yyjson_mut_obj_add_null(op->doc, status, "conditions");
    yyjson_mut_obj_add_str(op->doc, names, "plural", "");
    yyjson_mut_obj_add_str(op->doc, names, "kind", "");
    yyjson_mut_obj_add_val(op->doc, status, "acceptedNames", names);
    yyjson_mut_obj_add_val(op->doc, status, "storedVersions", stored);
    return mh_sb_mset(op->doc, op->obj, "status", status);
}

/* True if another resource of the group has this name or kind. */
static bool
names_taken(struct mh_sb_api *api, yyjson_val *crd)
{
    const char *group = mh_json_str(crd, "spec", "group", NULL);
    const char *plural = mh_json_str(crd, "spec", "names", "plural", NULL);
    const char *kind = mh_json_str(crd, "spec", "names", "kind", NULL);
    for (int i = 0; i < api->kinds.len; i++) {
        const struct mh_sb_resource *r = api->kinds.items[i];
        if (!r->gone && mh_str_eq(r->group, group) && !mh_str_eq(r->plural, plural) &&
            mh_str_eq(r->kind, kind))
            return true;
    }
    return false;
}

static void
put_status(struct mh_sb_api *api, struct mh_arena *a, const char *name, yyjson_mut_val *crd)
{
    size_t len = 0;
    struct mh_sb_req req = { .user = "system:apiserver",
                             .method = "PUT",
                             .path = mh_arena_printf(a,
                                                     "/apis/apiextensions.k8s.io/v1/"
                                                     "customresourcedefinitions/%s/status",
                                                     name),
                             .user_agent = "kube-apiserver/v1.34",
                             .trusted = true,
                             .at_once = true,
                             .arena = a,
                             .done = mh_sb_ignore };
    req.body = mh_json_mut_text(a, crd, &len);
    req.body_len = len;
    if (req.path && req.body)
        mh_sb_serve(api, &req);
}

/* Names accepted, then established: two updates, as watches of the real server see them. */
static void
establish(struct mh_sb_api *api, const char *name, bool names)
{
    struct mh_arena a;
    mh_arena_init(&a, ARENA_MAX);
    yyjson_val *crd =
        mh_sb_get(api, &a, "apiextensions.k8s.io", "customresourcedefinitions", NULL, name);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *next = crd && doc ? yyjson_val_mut_copy(doc, crd) : NULL;
    yyjson_mut_val *status = next ? mh_sb_mobj(doc, next, "status") : NULL;
    yyjson_mut_val *list = status ? mh_sb_marr(doc, status, "conditions") : NULL;
    static const char accepted[] = "the initial names have been accepted";
    bool ok = list != NULL;
    if (ok && names) {
        yyjson_val *given = mh_json_get(crd, "spec", "names", NULL);
        ok = mh_sb_mset(doc, status, "acceptedNames", yyjson_val_mut_copy(doc, given)) &&
             add_condition(api, doc, list,
                           &(struct condition){ "NamesAccepted", "True", "NoConflicts",
                                                "no conflicts found" }) &&
             add_condition(api, doc, list,
                           &(struct condition){ "Established", "False", "Installing", accepted });
    } else if (ok) {
        ok = add_condition(
            api, doc, list,
            &(struct condition){ "Established", "True", "InitialNamesAccepted", accepted });
    }
    if (ok)
        put_status(api, &a, name, next);
    mh_arena_release(&a);
}

struct new_names {
    struct mh_sb_api *api;
    struct mh_arena *a;
    const char *names[MH_SB_RESOURCES_MAX];
    int n;
};

static bool
collect_new(void *arg, yyjson_val *crd)
{
    struct new_names *n = arg;
    if (!condition_true(crd, "Established") && !names_taken(n->api, crd) &&
        n->n < MH_SB_RESOURCES_MAX)
        n->names[n->n++] = mh_json_str(crd, "metadata", "name", NULL);
    return true;
}

void
mh_sb_crd_run(struct mh_sb_api *api)
{
    struct mh_arena a;
    if (!api->crds_new)
        return;
    api->crds_new = false;
    mh_arena_init(&a, ARENA_MAX);
    struct new_names *n = mh_arena_alloc(&a, sizeof(*n));
    if (n) {
        n->api = api;
        mh_sb_each(api, &a, "apiextensions.k8s.io", "customresourcedefinitions", NULL, collect_new,
                   n);
    }
    for (int i = 0; n && i < n->n; i++) {
        establish(api, n->names[i], true);
        establish(api, n->names[i], false);
    }
    mh_arena_release(&a);
}
