/* Paths and queries of requests. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

#define PARTS_MAX 12

char *
mh_sb_key(struct mh_arena *a, const char *ns, const char *name)
{
    return ns && *ns ? mh_sb_join(a, ns, '/', name) : mh_arena_strdup(a, name);
}

bool
mh_sb_is_true(const char *s)
{
    return s && (strcmp(s, "true") == 0 || strcmp(s, "1") == 0 || *s == '\0');
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *
decode(struct mh_arena *a, const char *s, size_t n, bool plus)
{
    char *out = mh_arena_alloc(a, n + 1);
    char *o = out;
    for (size_t i = 0; out && i < n; i++) {
        if (s[i] == '%' && i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            *o++ = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        } else {
            *o++ = plus && s[i] == '+' ? ' ' : s[i];
        }
    }
    return out;
}

struct field {
    const char *key;
    const char **to;
};

static bool
query_part(struct mh_arena *a, const char *s, size_t n, const struct field *fields, size_t nfields)
{
    const char *eq = memchr(s, '=', n);
    size_t key_len = eq ? (size_t)(eq - s) : n;
    char *key = decode(a, s, key_len, true);
    char *value = eq ? decode(a, eq + 1, n - key_len - 1, true) : mh_arena_strdup(a, "");
    if (!key || !value)
        return false;
    for (size_t i = 0; i < nfields; i++) {
        if (strcmp(fields[i].key, key) == 0 && !*fields[i].to)
            *fields[i].to = value;
    }
    return true;
}

bool
mh_sb_query_parse(struct mh_arena *a, const char *path, struct mh_sb_query *q)
{
    *q = (struct mh_sb_query){ 0 };
    const struct field fields[] = {
        { "dryRun", &q->dry_run },
        { "fieldManager", &q->field_manager },
        { "fieldValidation", &q->field_validation },
        { "labelSelector", &q->label_selector },
        { "fieldSelector", &q->field_selector },
        { "resourceVersion", &q->resource_version },
        { "resourceVersionMatch", &q->version_match },
        { "continue", &q->token },
        { "limit", &q->limit },
        { "gracePeriodSeconds", &q->grace },
        { "propagationPolicy", &q->propagation },
        { "orphanDependents", &q->orphan },
        { "force", &q->force },
        { "timeoutSeconds", &q->timeout },
        { "watch", &q->watch },
        { "allowWatchBookmarks", &q->bookmarks },
        { "sendInitialEvents", &q->send_initial },
        { "includeObject", &q->include_object },
    };
    const char *question = strchr(path, '?');
    for (const char *s = question ? question + 1 : ""; *s;) {
        size_t n = strcspn(s, "&");
        if (n && !query_part(a, s, n, fields, sizeof(fields) / sizeof(fields[0])))
            return false;
        s += n + (s[n] == '&');
    }
    return true;
}

/* --- the path -------------------------------------------------------------------------------- */

struct parts {
    const char *p[PARTS_MAX];
    int n;
};

static bool
split(struct mh_arena *a, const char *path, struct parts *out)
{
    size_t end = strcspn(path, "?");
    *out = (struct parts){ 0 };
    for (size_t i = 0; i < end;) {
        size_t n = strcspn(path + i, "/?");
        if (n) {
            if (out->n == PARTS_MAX)
                return false;
            out->p[out->n] = decode(a, path + i, n, false);
            if (!out->p[out->n++])
                return false;
        }
        i += n + 1;
    }
    return true;
}

static const char *
part(const struct parts *p, int i)
{
    return i < p->n ? p->p[i] : "";
}

static const char *
verb_of(const char *method, bool named)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return named ? "get" : "list";
    if (strcmp(method, "POST") == 0)
        return "create";
    if (strcmp(method, "PUT") == 0)
        return "update";
    if (strcmp(method, "PATCH") == 0)
        return "patch";
    if (strcmp(method, "DELETE") == 0)
        return named ? "delete" : "deletecollection";
    return "";
}

static const char *
small_method(struct mh_arena *a, const char *method)
{
    char *s = mh_arena_strdup(a, method);
    for (char *p = s; p && *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    }
    return s ? s : "";
}

/* From the part after the version on: [watch] [namespaces NS] RESOURCE [NAME [SUBRESOURCE]]. */
static void
read_parts(const struct parts *p, int i, struct mh_sb_place *t)
{
    struct mh_sb_attrs *at = &t->at;
    if (strcmp(part(p, i), "watch") == 0) {
        t->watch = true;
        i++;
    }
    bool namespaces = strcmp(part(p, i), "namespaces") == 0 && !*at->group;
    bool sub = strcmp(part(p, i + 2), "status") == 0 || strcmp(part(p, i + 2), "finalize") == 0;
    if (strcmp(part(p, i), "namespaces") == 0 && p->n > i + 2 && !(namespaces && sub)) {
        at->ns = part(p, i + 1);
        i += 2;
    }
    at->resource = part(p, i);
    at->name = part(p, i + 1);
    at->subresource = part(p, i + 2);
    if (namespaces && strcmp(at->resource, "namespaces") == 0)
        at->ns = at->name; /* as the server sees it: a namespace is in itself */
}

static bool
known_group(const struct mh_sb_api *api, const char *group)
{
    for (int i = 0; i < api->kinds.len; i++) {
        if (!api->kinds.items[i]->gone && strcmp(api->kinds.items[i]->group, group) == 0)
            return true;
    }
    return false;
}

static bool
custom_group(const struct mh_sb_api *api, const char *group)
{
    for (int i = 0; i < api->kinds.len; i++) {
        if (!api->kinds.items[i]->custom && strcmp(api->kinds.items[i]->group, group) == 0)
            return false;
    }
    return true;
}

static void
set_verb(struct mh_sb_place *t, const struct mh_sb_req *req)
{
    t->at.verb = verb_of(req->method, *t->at.name != '\0');
    if (strcmp(t->at.verb, "list") == 0 && mh_sb_is_true(t->q.watch))
        t->watch = true;
    if (t->watch)
        t->at.verb = "watch";
    if (strcmp(t->at.resource, "namespaces") == 0 && !*t->at.name)
        t->at.ns = "";
}

bool
mh_sb_place_find(struct mh_sb_api *api, struct mh_arena *a, const struct mh_sb_req *req,
                 struct mh_sb_place *t, bool *plain)
{
    struct parts p;
    *t = (struct mh_sb_place){ .at = { .user = req->user,
                                       .uid = req->uid ? req->uid : "",
                                       .groups = req->groups,
                                       .verb = "",
                                       .group = "",
                                       .version = "",
                                       .resource = "",
                                       .subresource = "",
                                       .ns = "",
                                       .name = "" } };
    *plain = true;
    t->at.path = mh_arena_strndup(a, req->path, strcspn(req->path, "?"));
    t->at.verb = small_method(a, req->method);
    if (!t->at.path || !split(a, req->path, &p) || !mh_sb_query_parse(a, req->path, &t->q))
        return false;
    bool core = strcmp(part(&p, 0), "api") == 0;
    if (!core && strcmp(part(&p, 0), "apis") != 0)
        return false;
    int i = core ? 1 : 2;
    if (p.n < i + 2)
        return false;
    t->at.group = core ? "" : p.p[1];
    t->at.version = p.p[i];
    t->at.is_resource = true;
    read_parts(&p, i + 1, t);
    set_verb(t, req);
    if (!known_group(api, t->at.group))
        return false;
    *plain = custom_group(api, t->at.group);
    t->r = mh_sb_kinds_find(&api->kinds, t->at.group, t->at.resource);
    t->v = t->r ? mh_sb_resource_version(t->r, t->at.version) : NULL;
    if (!t->v || p.n > i + 7)
        return false;
    bool one = *t->at.name || strcmp(t->at.verb, "create") == 0;
    *plain = false;
    if (t->r->namespaced && one && !*t->at.ns)
        return false;
    return t->r->namespaced || !*t->at.ns || strcmp(t->at.resource, "namespaces") == 0;
}

bool
mh_sb_is_watch(const struct mh_sb_req *req)
{
    if (strcmp(req->method, "GET") != 0)
        return false;
    const char *q = strchr(req->path, '?');
    size_t n = q ? (size_t)(q - req->path) : strlen(req->path);
    for (; q; q = strchr(q, '&')) {
        q++;
        if (strncmp(q, "watch", 5) == 0 && (q[5] == '\0' || q[5] == '&'))
            return true;
        if (strncmp(q, "watch=", 6) == 0)
            return strncmp(q + 6, "true", 4) == 0 || q[6] == '1' || q[6] == '&' || !q[6];
    }
    const char *from = strncmp(req->path, "/apis/", 6) == 0 ? strchr(req->path + 6, '/') : NULL;
    if (strncmp(req->path, "/api/", 5) == 0)
        from = req->path + 4;
    from = from ? strchr(from + 1, '/') : NULL;
    return from && (size_t)(from - req->path) < n && strncmp(from, "/watch/", 7) == 0;
}

bool
mh_sb_resolve(struct mh_sb_api *api, const struct mh_sb_req *req, struct mh_sb_attrs *at)
{
    struct mh_sb_place t;
    bool plain;
    bool found = mh_sb_place_find(api, req->arena, req, &t, &plain);
    *at = t.at;
    return found;
}
