/* /openapi/v3: schemas and paths of each group version, as far as clients look at them (validation,
 * three-way merges, explain). */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/discovery.h"

#define REF "#/components/schemas/"

/* Content of the documents of a group: changes when a CRD of it does. */
static uint64_t
hash_of(const struct mh_sb_api *api, const char *group)
{
    uint64_t h = mh_sb_hash(group) ^ mh_sb_hash(MH_VERSION);
    for (int i = 0; i < api->kinds.len; i++) {
        const struct mh_sb_resource *r = api->kinds.items[i];
        if (!r->gone && r->crd_spec && strcmp(r->group, group) == 0)
            h = h * 1099511628211ULL ^ mh_sb_hash(r->crd_spec);
    }
    return h;
}

static bool
index_document(struct mh_sb_api *api, struct mh_arena *a, struct mh_buf *b)
{
    int n = 0;
    bool first = true;
    const char **groups = mh_sb_groups(api, a, &n);
    mh_buf_str(b, "{\"paths\":{");
    for (int i = 0; groups && i < n; i++) {
        int m = 0;
        const char **versions = mh_sb_group_versions(api, a, groups[i], &m);
        for (int j = 0; versions && j < m; j++) {
            char *path = *groups[i] ? mh_arena_printf(a, "apis/%s/%s", groups[i], versions[j])
                                    : mh_arena_printf(a, "api/%s", versions[j]);
            mh_buf_printf(b, "%s\"%s\":{\"serverRelativeURL\":\"/openapi/v3/%s?hash=%016llX\"}",
                          first ? "" : ",", path ? path : "", path ? path : "",
                          (unsigned long long)hash_of(api, groups[i]));
            first = false;
        }
    }
    return mh_buf_str(b, "}}");
}

/* --- components ------------------------------------------------------------------------------ */

struct closure {
    struct mh_sb_api *api;
    struct mh_map seen; /* names already in the document */
    const char *todo[1024];
    int ntodo;
};

static void
want(struct closure *c, const char *name)
{
    static char there;
    if (mh_map_get(&c->seen, name) || c->ntodo == 1024 || !mh_map_put(&c->seen, name, &there, NULL))
        return;
    c->todo[c->ntodo++] = name;
}

static void
want_refs(struct closure *c, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, max, value)
        {
            want_refs(c, value);
        }
        return;
    }
    yyjson_obj_foreach(v, i, max, key, value)
    {
        const char *ref = yyjson_equals_str(key, "$ref") ? yyjson_get_str(value) : NULL;
        if (ref && strncmp(ref, REF, sizeof(REF) - 1) == 0)
            want(c, ref + sizeof(REF) - 1);
        else
            want_refs(c, value);
    }
}

/* "io.cnpg.postgresql.v1.Cluster" */
static char *
custom_name(struct mh_arena *a, const struct mh_sb_version *v)
{
    const char *end = v->resource->group + strlen(v->resource->group);
    char *out = mh_arena_strdup(a, "");
    while (out && end > v->resource->group) {
        const char *p = end;
        while (p > v->resource->group && p[-1] != '.')
            p--;
        out = mh_arena_printf(a, "%s%.*s.", out, (int)(end - p), p);
        end = p > v->resource->group ? p - 1 : p;
    }
    return out ? mh_arena_printf(a, "%s%s.%s", out, v->name, v->resource->kind) : NULL;
}

/* A CRD's schema with what every object has. */
static bool
put_custom(struct mh_arena *a, const struct mh_sb_version *v, struct mh_buf *b)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *s = doc && v->schema ? yyjson_val_mut_copy(doc, v->schema)
                        : doc            ? yyjson_mut_obj(doc)
                                         : NULL;
    if (!s)
        return false;
    if (!v->schema) {
        yyjson_mut_obj_add_str(doc, s, "type", "object");
        yyjson_mut_obj_add_bool(doc, s, "x-kubernetes-preserve-unknown-fields", true);
    }
    yyjson_mut_val *p = mh_sb_mobj(doc, s, "properties");
    static const char *const texts[] = { "apiVersion", "kind" };
    for (size_t i = 0; p && i < 2; i++) {
        yyjson_mut_val *t = mh_sb_mobj(doc, p, texts[i]);
        mh_sb_mset_str(doc, t, "type", "string");
    }
    yyjson_mut_val *meta = yyjson_mut_obj(doc);
    yyjson_mut_val *all = meta ? yyjson_mut_obj_add_arr(doc, meta, "allOf") : NULL;
    yyjson_mut_val *ref = all ? yyjson_mut_arr_add_obj(doc, all) : NULL;
    yyjson_mut_val *gvk = yyjson_mut_arr(doc);
    yyjson_mut_val *one = gvk ? yyjson_mut_arr_add_obj(doc, gvk) : NULL;
    if (!p || !ref || !one)
        return false;
    yyjson_mut_obj_add_str(doc, ref, "$ref", REF "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    mh_sb_mset(doc, p, "metadata", meta);
    yyjson_mut_obj_add_str(doc, one, "group", v->resource->group);
    yyjson_mut_obj_add_str(doc, one, "kind", v->resource->kind);
    yyjson_mut_obj_add_str(doc, one, "version", v->name);
    mh_sb_mset(doc, s, "x-kubernetes-group-version-kind", gvk);
    char *text = mh_json_mut_text(a, s, NULL);
    return text && mh_buf_str(b, text);
}

static const char *
builtin_name(const struct mh_sb_api *api, const struct mh_sb_version *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    yyjson_obj_foreach(api->kinds.schemas, i, max, key, value)
    {
        if (value == v->schema)
            return yyjson_get_str(key);
    }
    return NULL;
}

static bool
put_components(struct mh_sb_api *api, struct mh_arena *a, struct mh_sb_version *const *list, int n,
               struct mh_buf *b)
{
    struct closure *c = mh_arena_alloc(a, sizeof(*c));
    bool first = true;
    if (!c)
        return false;
    c->api = api;
    mh_map_init(&c->seen, 4096);
    want(c, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    want(c, "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    want(c, "io.k8s.apimachinery.pkg.apis.meta.v1.Status");
    for (int i = 0; i < n; i++) {
        const char *name = builtin_name(api, list[i]);
        if (name) {
            want(c, name);
            continue;
        }
        char *custom = custom_name(a, list[i]);
        mh_buf_printf(b, "%s\"%s\":", first ? "" : ",", custom ? custom : "");
        first = false;
        if (!put_custom(a, list[i], b))
            b->failed = true;
    }
    for (int i = 0; i < c->ntodo; i++) {
        yyjson_val *schema = yyjson_obj_get(api->kinds.schemas, c->todo[i]);
        char *text = schema ? mh_json_text(a, schema, NULL) : NULL;
        if (!text)
            continue;
        mh_buf_printf(b, "%s\"%s\":", first ? "" : ",", c->todo[i]);
        mh_buf_str(b, text);
        first = false;
        want_refs(c, schema);
    }
    mh_map_release(&c->seen);
    return !b->failed;
}

/* --- paths ----------------------------------------------------------------------------------- */

static void
put_operation(struct mh_buf *b, const struct mh_sb_version *v, const char *method,
              const char *action, const char *params, bool last)
{
    static const char parameter[] = "{\"name\":\"%s\",\"in\":\"query\",\"schema\":{\"type\":"
                                    "\"string\",\"uniqueItems\":true}}";
    mh_buf_printf(b,
                  "\"%s\":{\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":{"
                  "\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"},\"responses\":{\"200\":{"
                  "\"description\":\"OK\"}},\"parameters\":[",
                  method, action, v->resource->group, v->name, v->resource->kind);
    for (bool first = true; *params; first = false) {
        char name[64];
        size_t n = strcspn(params, ",");
        (void)snprintf(name, sizeof(name), "%.*s", (int)n, params);
        if (!first)
            mh_buf_char(b, ',');
        mh_buf_printf(b, parameter, name);
        params += n + (params[n] == ',');
    }
    mh_buf_str(b, last ? "]}" : "]},");
}

static void
put_path(struct mh_buf *b, const struct mh_sb_version *v, const char *ns, const char *tail)
{
    const char *group = v->resource->group;
    mh_buf_printf(b, "\"%s%s/%s%s/%s%s\":{", *group ? "/apis/" : "/api", group, v->name, ns,
                  v->resource->plural, tail);
}

static void
put_paths(struct mh_buf *b, const struct mh_sb_version *v)
{
    static const char write[] = "dryRun,fieldManager,fieldValidation";
    static const char read[] = "labelSelector,fieldSelector,limit,continue,resourceVersion,watch";
    const char *ns = v->resource->namespaced ? "/namespaces/{namespace}" : "";
    bool review = v->traits & MH_SB_REVIEW;
    put_path(b, v, ns, "");
    if (!review)
        put_operation(b, v, "get", "list", read, false);
    put_operation(b, v, "post", "post", write, true);
    mh_buf_char(b, '}');
    if (review)
        return;
    if (*ns) {
        mh_buf_char(b, ',');
        put_path(b, v, "", "");
        put_operation(b, v, "get", "list", read, true);
        mh_buf_char(b, '}');
    }
    mh_buf_char(b, ',');
    put_path(b, v, ns, "/{name}");
    put_operation(b, v, "get", "get", "", false);
    put_operation(b, v, "put", "put", write, false);
    put_operation(b, v, "delete", "delete",
                  "dryRun,gracePeriodSeconds,orphanDependents,propagationPolicy", false);
    put_operation(b, v, "patch", "patch", "dryRun,fieldManager,fieldValidation,force", true);
    mh_buf_char(b, '}');
}

bool
mh_sb_openapi(struct mh_sb_api *api, struct mh_arena *a, const char *path, struct mh_buf *out)
{
    if (strncmp(path, "/openapi/v3", 11) != 0)
        return false;
    if (!path[11])
        return index_document(api, a, out);
    const char *group = "";
    const char *version = path + 12;
    if (strncmp(version, "apis/", 5) == 0) {
        const char *slash = strchr(version + 5, '/');
        if (!slash)
            return false;
        group = mh_arena_strndup(a, version + 5, (size_t)(slash - version - 5));
        version = slash + 1;
    } else if (strncmp(version, "api/", 4) == 0) {
        version += 4;
    } else {
        return false;
    }
    int n = 0;
    struct mh_sb_version **list = group ? mh_sb_group_resources(api, a, group, version, &n) : NULL;
    if (!list || !n)
        return false;
    mh_buf_str(out, "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Kubernetes\",\"version\":"
                    "\"1.34\"},\"paths\":{");
    for (int i = 0; i < n; i++) {
        if (i)
            mh_buf_char(out, ',');
        put_paths(out, list[i]);
    }
    mh_buf_str(out, "},\"components\":{\"schemas\":{");
    if (!put_components(api, a, list, n, out))
        return false;
    return mh_buf_str(out, "}}}");
}
