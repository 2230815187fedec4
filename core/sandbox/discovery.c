/* Discovery: /api, /apis, /version, their aggregated form, /openapi/v3. Documents are made on demand
 * and kept until a CRD changes what there is. */
#include "sandbox/discovery.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define AGGREGATED "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

static const char version_text[] =
    "{\n  \"major\": \"1\",\n  \"minor\": \"34\",\n  \"emulationMajor\": \"1\",\n"
    "  \"emulationMinor\": \"34\",\n  \"minCompatibilityMajor\": \"1\",\n"
    "  \"minCompatibilityMinor\": \"33\",\n  \"gitVersion\": \"v1.34.0+moonherd-sandbox\",\n"
    "  \"gitCommit\": \"\",\n  \"gitTreeState\": \"\",\n"
    "  \"buildDate\": \"1970-01-01T00:00:00Z\",\n  \"goVersion\": \"\",\n  \"compiler\": \"gcc\",\n"
    "  \"platform\": \"linux/amd64\"\n}";

/* "a,b" as ["a","b"] */
static void
put_list(struct mh_buf *b, const char *text)
{
    mh_buf_char(b, '[');
    for (bool first = true; *text; first = false) {
        size_t n = strcspn(text, ",");
        if (!first)
            mh_buf_char(b, ',');
        mh_json_quote(b, text, n);
        text += n + (text[n] == ',');
    }
    mh_buf_char(b, ']');
}

static void
put_names(struct mh_buf *b, const char *key, const char *const *names)
{
    if (!names[0])
        return;
    mh_buf_printf(b, ",\"%s\":[", key);
    for (int i = 0; names[i]; i++) {
        if (i)
            mh_buf_char(b, ',');
        mh_json_quote(b, names[i], strlen(names[i]));
    }
    mh_buf_char(b, ']');
}

/* --- the plain form -------------------------------------------------------------------------- */

static void
put_resource(struct mh_buf *b, const struct mh_sb_version *v)
{
    const struct mh_sb_resource *r = v->resource;
    struct mh_sb_sub subs[MH_SB_SUBS_MAX];
    int n = mh_sb_subs(v, subs);
    mh_buf_printf(b,
                  "{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,\"kind\":\"%s\","
                  "\"verbs\":",
                  r->plural, r->singular, r->namespaced ? "true" : "false", r->kind);
    put_list(b, mh_sb_verbs(v));
    put_names(b, "shortNames", r->short_names);
    put_names(b, "categories", r->categories);
    mh_buf_char(b, '}');
    for (int i = 0; i < n; i++) {
        mh_buf_printf(b, ",{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s,", r->plural,
                      subs[i].name, r->namespaced ? "true" : "false");
        if (*subs[i].group)
            mh_buf_printf(b, "\"group\":\"%s\",\"version\":\"%s\",", subs[i].group,
                          subs[i].version);
        mh_buf_printf(b, "\"kind\":\"%s\",\"verbs\":", subs[i].kind ? subs[i].kind : r->kind);
        put_list(b, subs[i].verbs);
        mh_buf_char(b, '}');
    }
}

static bool
resource_list(struct mh_sb_api *api, struct mh_arena *a, const char *group, const char *version,
              struct mh_buf *b)
{
    int n = 0;
    struct mh_sb_version **list = mh_sb_group_resources(api, a, group, version, &n);
    if (!list || !n)
        return false;
    mh_buf_printf(b, "{\"kind\":\"APIResourceList\",%s\"groupVersion\":\"%s%s%s\",\"resources\":[",
                  *group ? "\"apiVersion\":\"v1\"," : "", group, *group ? "/" : "", version);
    for (int i = 0; i < n; i++) {
        if (i)
            mh_buf_char(b, ',');
        put_resource(b, list[i]);
    }
    mh_buf_str(b, "]}");
    return true;
}

static void
put_group(struct mh_sb_api *api, struct mh_arena *a, const char *group, const char *head,
          struct mh_buf *b)
{
    int n = 0;
    const char **versions = mh_sb_group_versions(api, a, group, &n);
    mh_buf_printf(b, "{%s\"name\":\"%s\",\"versions\":[", head, group);
    for (int i = 0; versions && i < n; i++)
        mh_buf_printf(b, "%s{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", i ? "," : "", group,
                      versions[i], versions[i]);
    if (versions && n)
        mh_buf_printf(b, "],\"preferredVersion\":{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}}",
                      group, versions[0], versions[0]);
    else
        mh_buf_str(b, "]}");
}

static bool
group_list(struct mh_sb_api *api, struct mh_arena *a, struct mh_buf *b)
{
    int n = 0;
    bool first = true;
    const char **groups = mh_sb_groups(api, a, &n);
    mh_buf_str(b, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    for (int i = 0; groups && i < n; i++) {
        if (!*groups[i])
            continue;
        if (!first)
            mh_buf_char(b, ',');
        first = false;
        put_group(api, a, groups[i], "", b);
    }
    return mh_buf_str(b, "]}");
}

/* --- the aggregated form --------------------------------------------------------------------- */

static void
put_kind(struct mh_buf *b, const char *group, const char *version, const char *kind)
{
    mh_buf_printf(b, "\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}",
                  group, version, kind);
}

static void
put_aggregated(struct mh_buf *b, const struct mh_sb_version *v)
{
    const struct mh_sb_resource *r = v->resource;
    struct mh_sb_sub subs[MH_SB_SUBS_MAX];
    int n = mh_sb_subs(v, subs);
    const char *group = r->custom ? r->group : "";
    const char *version = r->custom ? v->name : "";
    mh_buf_printf(b, "{\"resource\":\"%s\",", r->plural);
    put_kind(b, group, version, r->kind);
    mh_buf_printf(b, ",\"scope\":\"%s\",\"singularResource\":\"%s\",\"verbs\":",
                  r->namespaced ? "Namespaced" : "Cluster", r->singular);
    put_list(b, mh_sb_verbs(v));
    put_names(b, "shortNames", r->short_names);
    put_names(b, "categories", r->categories);
    for (int i = 0; i < n; i++) {
        mh_buf_printf(b, "%s{\"subresource\":\"%s\",", i ? "," : ",\"subresources\":[",
                      subs[i].name);
        put_kind(b, *subs[i].group ? subs[i].group : group,
                 *subs[i].group ? subs[i].version : version, subs[i].kind ? subs[i].kind : r->kind);
        mh_buf_str(b, ",\"verbs\":");
        put_list(b, subs[i].verbs);
        mh_buf_char(b, '}');
    }
    mh_buf_str(b, n ? "]}" : "}");
}

static void
put_aggregated_group(struct mh_sb_api *api, struct mh_arena *a, const char *group, struct mh_buf *b)
{
    int n = 0;
    const char **versions = mh_sb_group_versions(api, a, group, &n);
    if (*group)
        mh_buf_printf(b, "{\"metadata\":{\"name\":\"%s\"},\"versions\":[", group);
    else
        mh_buf_str(b, "{\"metadata\":{},\"versions\":[");
    for (int i = 0; versions && i < n; i++) {
        int m = 0;
        struct mh_sb_version **list = mh_sb_group_resources(api, a, group, versions[i], &m);
        mh_buf_printf(b, "%s{\"version\":\"%s\",\"resources\":[", i ? "," : "", versions[i]);
        for (int j = 0; list && j < m; j++) {
            if (j)
                mh_buf_char(b, ',');
            put_aggregated(b, list[j]);
        }
        mh_buf_str(b, "],\"freshness\":\"Current\"}");
    }
    mh_buf_str(b, "]}");
}

static bool
aggregated(struct mh_sb_api *api, struct mh_arena *a, bool core, struct mh_buf *b)
{
    int n = 0;
    bool first = true;
    const char **groups = mh_sb_groups(api, a, &n);
    mh_buf_str(b, "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\","
                  "\"metadata\":{},\"items\":[");
    for (int i = 0; groups && i < n; i++) {
        if (core == (*groups[i] != '\0'))
            continue;
        if (!first)
            mh_buf_char(b, ',');
        first = false;
        put_aggregated_group(api, a, groups[i], b);
    }
    return mh_buf_str(b, "]}");
}

/* --- which one ------------------------------------------------------------------------------- */

static bool
group_document(struct mh_sb_api *api, struct mh_arena *a, const char *rest, struct mh_buf *b)
{
    const char *slash = strchr(rest, '/');
    char *group = mh_arena_strndup(a, rest, slash ? (size_t)(slash - rest) : strlen(rest));
    int n = 0;
    if (!group || !*group || !mh_sb_group_versions(api, a, group, &n) || !n)
        return false;
    if (slash && slash[1])
        return !strchr(slash + 1, '/') && resource_list(api, a, group, slash + 1, b);
    put_group(api, a, group, "\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",", b);
    return true;
}

/* False: no such document. */
static bool
make(struct mh_sb_api *api, struct mh_arena *a, const char *path, bool agg, struct mh_buf *b)
{
    if (agg)
        return aggregated(api, a, strcmp(path, "/api") == 0, b);
    if (strcmp(path, "/api") == 0)
        return mh_buf_printf(b,
                             "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],"
                             "\"serverAddressByClientCIDRs\":[{\"clientCIDR\":\"0.0.0.0/0\","
                             "\"serverAddress\":\"%s\"}]}",
                             api->address);
    if (strcmp(path, "/apis") == 0)
        return group_list(api, a, b);
    if (strncmp(path, "/api/", 5) == 0)
        return !strchr(path + 5, '/') && resource_list(api, a, "", path + 5, b);
    if (strncmp(path, "/apis/", 6) == 0)
        return group_document(api, a, path + 6, b);
    return mh_sb_openapi(api, a, path, b);
}

/* A kept document; NULL: there is none, or no memory. */
static const char *
document(struct mh_sb_api *api, const char *path, bool agg, size_t *len)
{
    struct mh_buf b;
    struct mh_arena a;
    if (api->discovery_made != api->kinds.generation) {
        mh_map_release(&api->documents);
        mh_arena_release(&api->discovery);
        mh_map_init(&api->documents, 1024);
        api->discovery_made = api->kinds.generation;
    }
    mh_arena_init(&a, MH_SB_DOCUMENT_MAX);
    char *key = mh_arena_printf(&a, "%s%s", path, agg ? "?" : "");
    char *text = key ? mh_map_get(&api->documents, key) : NULL;
    if (key && !text) {
        mh_buf_init(&b, MH_SB_DOCUMENT_MAX);
        if (make(api, &a, path, agg, &b) && !b.failed)
            text = mh_arena_strndup(&api->discovery, b.data, b.len);
        mh_buf_release(&b);
        if (text)
            (void)mh_map_put(&api->documents, key, text, NULL);
    }
    mh_arena_release(&a);
    *len = text ? strlen(text) : 0;
    return text;
}

bool
mh_sb_discovery(struct mh_sb_api *api, struct mh_sb_req *req, const char *path)
{
    size_t len = strlen(path);
    char *clean = mh_arena_strdup(req->arena, path);
    if (!clean || (strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0))
        return false;
    while (len > 1 && clean[len - 1] == '/')
        clean[--len] = '\0';
    if (strcmp(clean, "/version") == 0) {
        mh_sb_answer(req, 200, version_text, sizeof(version_text) - 1);
        return true;
    }
    bool root = strcmp(clean, "/api") == 0 || strcmp(clean, "/apis") == 0;
    bool agg = root && req->accept && strstr(req->accept, "as=APIGroupDiscoveryList") &&
               strstr(req->accept, "v=v2;");
    const char *text = document(api, clean, agg, &len);
    if (!text)
        return false;
    char *own = mh_arena_strndup(req->arena, text, len);
    if (!own) {
        mh_sb_no_memory(req);
        return true;
    }
    mh_sb_answer(req, 200, own, len);
    if (agg)
        req->reply_type = AGGREGATED;
    if (agg || strncmp(clean, "/openapi", 8) == 0) {
        req->etag = mh_arena_printf(req->arena, "\"%016llX\"", (unsigned long long)mh_sb_hash(own));
        if (req->if_none_match && req->etag && strcmp(req->if_none_match, req->etag) == 0) {
            req->status = 304;
            req->reply_len = 0;
        }
    }
    return true;
}
