/* The server itself: made, freed, and where a request goes. */
#include "sandbox/rest.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "kube/yaml.h"
#include "sandbox/rest_in.h"

#define SCHEMAS_MAX ((size_t)64 << 20)
#define LINE_MAX_ ((size_t)8 << 20)
#define SLOW_NS MH_NS_PER_S

static const char *const first_namespaces[] = { "kube-system", "kube-public", "kube-node-lease",
                                                "default" };

static void on_tick(void *arg);

void
mh_sb_wake(struct mh_sb_api *api)
{
    if (!api->tick && !api->gone)
        api->tick = api->clock.after(api->clock.self, 0, on_tick, api);
}

static void
on_tick(void *arg)
{
    struct mh_sb_api *api = arg;
    api->tick = NULL;
    mh_sb_crd_run(api);
    mh_sb_disk_flush(api);
    if (mh_sb_disk_sync(api)) /* again: who was answered may have gone on at once */
        mh_sb_watches_tell(api);
    mh_sb_gc_run(api);
    mh_sb_direct_tell(api);
}

static void
on_slow(void *arg)
{
    struct mh_sb_api *api = arg;
    api->slow = api->clock.after(api->clock.self, SLOW_NS, on_slow, api);
    if (mh_sb_disk_sync(api))
        mh_sb_watches_slow(api);
    mh_sb_gc_slow(api);
}

void
mh_sb_ignore(struct mh_sb_req *req)
{
    (void)req;
}

/* What the real server makes itself when it starts. */
static bool
make_namespace(struct mh_sb_api *api, const char *name)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)1 << 20);
    struct mh_sb_req req = { .user = "system:apiserver",
                             .method = "POST",
                             .path = "/api/v1/namespaces",
                             .user_agent = "kube-apiserver/v1.34",
                             .trusted = true,
                             .at_once = true,
                             .arena = &a,
                             .done = mh_sb_ignore };
    req.body = mh_arena_printf(&a, "{\"metadata\":{\"name\":\"%s\"}}", name);
    req.body_len = req.body ? strlen(req.body) : 0;
    mh_sb_serve(api, &req);
    bool made = req.status == 201 || req.status == 409;
    mh_arena_release(&a);
    return made;
}

static enum mh_code
start(struct mh_sb_api *api, const struct mh_sb_config *config, struct mh_err *err)
{
    if (api->rand.fill && !api->rand.fill(api->rand.self, &api->rand_state, 8))
        return mh_fail(err, MH_E_IO, "no randomness for uids");
    if (mh_sb_kinds_init(&api->kinds, &api->store, err) != MH_OK)
        return err->code;
    if (!mh_sb_gc_init(api))
        return mh_fail(err, MH_E_NOMEM, "no memory for the garbage collector");
    if (config->data_dir && mh_sb_disk_open(api, config, err) != MH_OK)
        return err->code;
    for (size_t i = 0; i < sizeof(first_namespaces) / sizeof(first_namespaces[0]); i++) {
        if (!make_namespace(api, first_namespaces[i]))
            return mh_fail(err, MH_E_NOMEM, "cannot make the first namespaces");
    }
    api->slow = api->clock.after(api->clock.self, SLOW_NS, on_slow, api);
    return MH_OK;
}

struct mh_sb_api *
mh_sb_api_new(const struct mh_sb_config *config, struct mh_err *err)
{
    struct mh_sb_api *api = mh_calloc(1, sizeof(*api));
    if (!api) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for the API server");
        return NULL;
    }
    api->clock = config->clock;
    api->rand = config->rand;
    api->rand_state = 0x6d6f6f6e68657264ULL;
    api->address = mh_strdup(config->address ? config->address : "");
    mh_sb_store_init(&api->store, (size_t)(config->changes > 0 ? config->changes : 0));
    mh_buf_init(&api->line, LINE_MAX_);
    mh_arena_init(&api->schemas, SCHEMAS_MAX);
    mh_arena_init(&api->discovery, SCHEMAS_MAX);
    mh_map_init(&api->documents, 1024);
    if (start(api, config, err) != MH_OK) {
        mh_sb_api_free(api);
        return NULL;
    }
    return api;
}

void
mh_sb_api_free(struct mh_sb_api *api)
{
    if (!api)
        return;
    api->gone = true;
    api->clock.cancel(api->clock.self, api->tick);
    api->clock.cancel(api->clock.self, api->slow);
    mh_sb_disk_free(api);
    mh_sb_gc_free(api);
    mh_sb_direct_free(api);
    mh_sb_watches_free(api);
    mh_sb_kinds_release(&api->kinds, &api->store);
    mh_sb_store_release(&api->store);
    mh_map_release(&api->documents);
    mh_arena_release(&api->discovery);
    mh_arena_release(&api->schemas);
    mh_buf_release(&api->line);
    mh_free(api->address);
    mh_free(api);
}

struct mh_sb_hooks *
mh_sb_hooks(struct mh_sb_api *api)
{
    return &api->hooks;
}

/* --- a request ------------------------------------------------------------------------------- */

/* "cannot list resource "pods" in API group "" in the namespace "x"" */
static char *
denial(struct mh_arena *a, const struct mh_sb_attrs *at, const char *reason)
{
    const char *user = at->user ? at->user : "system:anonymous";
    const char *end = reason && *reason ? ": " : "";
    reason = reason ? reason : "";
    if (!at->is_resource)
        return mh_arena_printf(a, "User \"%s\" cannot %s path \"%s\"%s%s", user, at->verb, at->path,
                               end, reason);
    char *what =
        mh_arena_printf(a, "%s%s%s", at->resource, *at->subresource ? "/" : "", at->subresource);
    char *where = *at->ns && strcmp(at->resource, "namespaces") != 0
                      ? mh_arena_printf(a, "in the namespace \"%s\"", at->ns)
                      : mh_arena_strdup(a, "at the cluster scope");
    return mh_arena_printf(a, "User \"%s\" cannot %s resource \"%s\" in API group \"%s\" %s%s%s",
                           user, at->verb, what ? what : "", at->group, where ? where : "", end,
                           reason);
}

/* Who lists or watches one object by name needs the right to that one only. */
static struct mh_sb_attrs
named(const struct mh_sb_req *req, const struct mh_sb_attrs *at)
{
    static const char field[] = "metadata.name=";
    struct mh_sb_attrs out = *at;
    struct mh_sb_query q = { 0 };
    bool many = strcmp(at->verb, "list") == 0 || strcmp(at->verb, "watch") == 0 ||
                strcmp(at->verb, "deletecollection") == 0;
    if (!at->is_resource || *at->name || !many || !mh_sb_query_parse(req->arena, req->path, &q) ||
        !q.field_selector)
        return out;
    const char *value = strstr(q.field_selector, field);
    if (value && (value == q.field_selector || value[-1] == ',')) {
        value += sizeof(field) - 1;
        const char *name = mh_arena_strndup(req->arena, value, strcspn(value, ","));
        out.name = name ? name : "";
    }
    return out;
}

bool
mh_sb_may(struct mh_sb_api *api, struct mh_sb_req *req, const struct mh_sb_attrs *at)
{
    const char *reason = NULL;
    struct mh_sb_attrs one = named(req, at);
    if (req->trusted || !api->hooks.authorize ||
        api->hooks.authorize(api->hooks.arg, req->arena, &one, &reason))
        return true;
    struct mh_sb_resource r = { .group = at->group, .plural = at->resource };
    char *why = denial(req->arena, at, reason);
    if (at->is_resource) {
        mh_sb_forbidden(req, &r, at->name, why ? why : "");
        return false;
    }
    char *text = mh_arena_printf(req->arena, "forbidden: %s", why ? why : "");
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    mh_sb_status(req, 403, "Forbidden", text, doc ? yyjson_mut_obj(doc) : NULL, doc);
    return false;
}

static void
not_there(struct mh_sb_req *req, bool plain)
{
    static const char text[] = "404 page not found\n";
    if (plain) {
        mh_sb_answer(req, 404, text, sizeof(text) - 1);
        req->reply_type = "text/plain; charset=utf-8";
        return;
    }
    yyjson_mut_doc *doc = mh_json_doc(req->arena);
    mh_sb_status(req, 404, "NotFound", "the server could not find the requested resource",
                 doc ? yyjson_mut_obj(doc) : NULL, doc);
}

/* YAML where the client says so; JSON is YAML too, but read faster. */
static enum mh_code
parse_body(struct mh_sb_op *op, struct mh_err *err)
{
    struct mh_sb_req *req = op->req;
    yyjson_val **docs;
    size_t n = 0;
    const char *type = req->content_type ? req->content_type : "";
    bool yaml = strncmp(type, "application/yaml", 16) == 0 ||
                strncmp(type, "application/apply-patch+yaml", 28) == 0;
    if (!yaml || req->body[strspn(req->body, " \t\r\n")] == '{')
        return mh_json_parse(op->arena, req->body, req->body_len, &op->body, err);
    enum mh_code code = mh_kube_yaml(op->arena, req->body, req->body_len, &docs, &n, err);
    if (code == MH_OK && n == 0)
        return mh_fail(err, MH_E_INVALID, "no document");
    op->body = code == MH_OK ? docs[0] : NULL;
    return code;
}

/* Parses the body; false: answered. */
static bool
read_body(struct mh_sb_op *op)
{
    struct mh_sb_req *req = op->req;
    struct mh_err err;
    if (req->body_len > MH_SB_BODY_MAX) {
        mh_sb_refuse(req, 413, "RequestEntityTooLarge",
                     "Request entity too large: limit is 3145728");
        return false;
    }
    if (!req->body_len)
        return true;
    if (parse_body(op, &err) == MH_OK)
        return true;
    if (err.code == MH_E_NOMEM)
        mh_sb_no_memory(req);
    else
        mh_sb_bad_request(req, "the object provided is unrecognized (must be of type %s): %s",
                          op->t.r->kind, err.msg);
    return false;
}

bool
mh_sb_write_options(struct mh_sb_op *op)
{
    const char *asked = op->verb == MH_SB_DELETE && op->req->body_len ? NULL : op->t.q.dry_run;
    const char *validation = op->t.q.field_validation ? op->t.q.field_validation : "";
    struct mh_sb_causes causes;
    mh_sb_causes_init(&causes, op->arena);
    op->dry_run = mh_str_eq(asked, "All");
    if (op->verb == MH_SB_PATCH && mh_sb_is_apply(op) &&
        (!op->t.q.field_manager || !*op->t.q.field_manager))
        mh_sb_cause_add(&causes, "FieldValueRequired", "fieldManager",
                        "Required value: is required for apply patch");
    if (asked && *asked && !op->dry_run)
        mh_sb_cause_add(&causes, "FieldValueNotSupported", "dryRun",
                        "Unsupported value: [\"%s\"]: supported values: \"All\"", asked);
    if (op->verb != MH_SB_DELETE && *validation && strcmp(validation, "Ignore") != 0 &&
        strcmp(validation, "Strict") != 0 && strcmp(validation, "Warn") != 0)
        mh_sb_cause_add(&causes, "FieldValueNotSupported", "fieldValidation",
                        "Unsupported value: \"%s\": supported values: \"\", \"Ignore\", "
                        "\"Strict\", \"Warn\"",
                        validation);
    if (!causes.count)
        return true;
    const char *kind = op->verb == MH_SB_CREATE   ? "CreateOptions"
                       : op->verb == MH_SB_UPDATE ? "UpdateOptions"
                       : op->verb == MH_SB_PATCH  ? "PatchOptions"
                                                  : "DeleteOptions";
    mh_sb_invalid(op->req, "meta.k8s.io", kind, "", &causes);
    return false;
}

static void
start_write(struct mh_sb_op *op)
{
    struct mh_sb_place *t = &op->t;
    const char *verb = t->at.verb;
    bool collection = strcmp(verb, "deletecollection") == 0;
    op->verb = strcmp(verb, "create") == 0   ? MH_SB_CREATE
               : strcmp(verb, "update") == 0 ? MH_SB_UPDATE
               : strcmp(verb, "patch") == 0  ? MH_SB_PATCH
                                             : MH_SB_DELETE;
    if (!mh_sb_write_options(op) || !read_body(op)) {
        op->req->done(op->req);
        return;
    }
    if (collection)
        mh_sb_delete_collection(op);
    else if (op->verb == MH_SB_DELETE)
        mh_sb_delete(op);
    else
        mh_sb_write(op);
}

static bool
method_known(const struct mh_sb_place *t)
{
    const char *verb = t->at.verb;
    bool sub = *t->at.subresource != '\0';
    if (!*verb || (t->v->traits & MH_SB_REVIEW && strcmp(verb, "create") != 0))
        return false;
    if (strcmp(verb, "create") == 0)
        return !*t->at.name || sub;
    if (strcmp(verb, "update") == 0 || strcmp(verb, "patch") == 0)
        return *t->at.name != '\0';
    if (strcmp(verb, "deletecollection") == 0)
        return !(t->v->traits & MH_SB_NO_COLLECT) && (!t->r->namespaced || *t->at.ns);
    return true;
}

static bool
is_read(const char *verb)
{
    return strcmp(verb, "get") == 0 || strcmp(verb, "list") == 0;
}

/* The request names a resource that there is. */
static void
serve_resource(struct mh_sb_api *api, struct mh_sb_req *req, struct mh_sb_place *t)
{
    struct mh_sb_op *op = mh_arena_alloc(req->arena, sizeof(*op));
    if (!op) {
        mh_sb_no_memory(req);
        req->done(req);
        return;
    }
    *op = (struct mh_sb_op){ .api = api, .req = req, .arena = req->arena, .t = *t };
    req->impl = op;
    op->status = strcmp(t->at.subresource, "status") == 0;
    if (!t->r->custom && strcmp(t->r->kind, "Endpoints") == 0 && !*t->at.subresource)
        mh_sb_warn(req,
                   "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
    if (t->v->deprecated && t->v->deprecation)
        mh_sb_warn(req, t->v->deprecation);
    if (op->status && !(t->v->traits & MH_SB_STATUS) && t->r->custom) {
        mh_sb_not_found(req, t->r, t->at.name);
    } else if (op->status && !(t->v->traits & MH_SB_STATUS)) {
        not_there(req, false);
    } else if (*t->at.subresource && !op->status) {
        if (mh_sb_subresource(op))
            return;
        if (t->r->custom && strcmp(t->at.subresource, "scale") == 0)
            mh_sb_not_found(req, t->r, t->at.name);
        else
            not_there(req, t->r->custom);
    } else if (!method_known(t) || (op->status && (strcmp(t->at.verb, "create") == 0 ||
                                                   strcmp(t->at.verb, "delete") == 0))) {
        mh_sb_no_method(req);
    } else if (!is_read(t->at.verb)) {
        start_write(op);
        return;
    } else if (*t->at.name) {
        mh_sb_get_one(api, req, t);
    } else {
        mh_sb_list(api, req, t);
    }
    mh_sb_answered(op);
}

void
mh_sb_serve(struct mh_sb_api *api, struct mh_sb_req *req)
{
    struct mh_sb_place t;
    bool plain;
    api->requests++;
    req->status = 0;
    req->nwarnings = 0;
    bool found = mh_sb_place_find(api, req->arena, req, &t, &plain);
    if (!t.at.path) {
        mh_sb_no_memory(req);
    } else if (!mh_sb_may(api, req, &t.at)) {
        ;
    } else if (found) {
        serve_resource(api, req, &t);
        return;
    } else if (!mh_sb_discovery(api, req, t.at.path)) {
        if (api->hooks.other && api->hooks.other(api->hooks.arg, req))
            return;
        not_there(req, plain);
    }
    req->done(req);
}

/* --- reads for those inside ------------------------------------------------------------------ */

yyjson_val *
mh_sb_get(struct mh_sb_api *api, struct mh_arena *a, const char *group, const char *resource,
          const char *ns, const char *name)
{
    struct mh_sb_resource *r = mh_sb_kinds_find(&api->kinds, group, resource);
    char *key = r ? mh_sb_key(a, r->namespaced ? ns : NULL, name) : NULL;
    struct mh_sb_obj *o = key ? mh_sb_table_get(r->table, key) : NULL;
    return o ? mh_sb_obj_value(a, mh_sb_storage_version(r), o) : NULL;
}

void
mh_sb_each(struct mh_sb_api *api, struct mh_arena *a, const char *group, const char *resource,
           const char *ns, bool (*fn)(void *arg, yyjson_val *object), void *arg)
{
    struct mh_sb_resource *r = mh_sb_kinds_find(&api->kinds, group, resource);
    struct mh_arena own;
    size_t ns_len = ns ? strlen(ns) : 0;
    mh_arena_init(&own, LINE_MAX_);
    for (size_t i = r && ns ? mh_sb_table_seek(r->table, ns) : 0; r && i < r->table->len; i++) {
        struct mh_sb_obj *o = r->table->items[i];
        if (ns && strncmp(o->key, ns, ns_len) != 0)
            break;
        if (ns && o->key[ns_len] != '/')
            continue;
        yyjson_val *value = mh_sb_obj_value(a ? a : &own, mh_sb_storage_version(r), o);
        if (value && !fn(arg, value))
            break;
        if (!a)
            mh_arena_release(&own);
    }
    mh_arena_release(&own);
}

uint64_t
mh_sb_changed(struct mh_sb_api *api, const char *group, const char *resource)
{
    struct mh_sb_resource *r = mh_sb_kinds_find(&api->kinds, group, resource);
    return r ? r->table->changed : 0;
}

void
mh_sb_compact(struct mh_sb_api *api)
{
    if (mh_sb_disk_sync(api))
        mh_sb_watches_tell(api);
    for (int i = 0; i < api->kinds.len; i++)
        mh_sb_table_compact(api->kinds.items[i]->table, &api->store);
}

void
mh_sb_stats_get(const struct mh_sb_api *api, struct mh_sb_stats *out)
{
    *out = (struct mh_sb_stats){ .version = api->store.version,
                                 .objects = api->store.objects,
                                 .bytes = api->store.bytes,
                                 .watches = api->nwatches,
                                 .requests = api->requests,
                                 .lines = api->lines };
}
