/* Subresources and reviews. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

static bool
is(const struct mh_sb_op *op, const char *kind, const char *sub)
{
    return !op->t.r->custom && strcmp(op->t.r->kind, kind) == 0 &&
           strcmp(op->t.at.subresource, sub) == 0;
}

/* The object the subresource is of; NULL: answered (404). */
static yyjson_val *
parent(struct mh_sb_op *op)
{
    op->key = mh_sb_key(op->arena, op->t.r->namespaced ? op->t.at.ns : NULL, op->t.at.name);
    struct mh_sb_obj *o = op->key ? mh_sb_table_get(op->t.r->table, op->key) : NULL;
    yyjson_val *value = o ? mh_sb_obj_value(op->arena, op->t.v, o) : NULL;
    if (!op->key || (o && !value))
        mh_sb_no_memory(op->req);
    else if (!o)
        mh_sb_not_found(op->req, op->t.r, op->t.at.name);
    return value;
}

static bool
parse_body(struct mh_sb_op *op)
{
    struct mh_err err;
    struct mh_sb_req *req = op->req;
    if (req->body_len > MH_SB_BODY_MAX ||
        mh_json_parse(op->arena, req->body_len ? req->body : "{}",
                      req->body_len ? req->body_len : 2, &op->body, &err) != MH_OK) {
        mh_sb_bad_request(req, "the body of the request is not JSON: %s",
                          req->body_len > MH_SB_BODY_MAX ? "too large" : err.msg);
        return false;
    }
    op->dry_run = mh_str_eq(op->t.q.dry_run, "All");
    return true;
}

/* --- those that others answer ---------------------------------------------------------------- */

static bool
connects(const struct mh_sb_op *op)
{
    static const char *const pod[] = { "log", "exec", "attach", "portforward", "proxy" };
    if (is(op, "Node", "proxy") || is(op, "Service", "proxy"))
        return true;
    for (size_t i = 0; i < sizeof(pod) / sizeof(pod[0]); i++) {
        if (is(op, "Pod", pod[i]))
            return true;
    }
    return false;
}

static void
connect_to(struct mh_sb_op *op)
{
    struct mh_sb_api *api = op->api;
    yyjson_val *object = parent(op);
    if (object && api->hooks.connect) {
        api->hooks.connect(api->hooks.arg, op->req, &op->t.at, object);
        return;
    }
    if (object)
        mh_sb_refuse(op->req, 501, "NotImplemented", "there are no nodes to connect to");
    mh_sb_answered(op);
}

static void
token(struct mh_sb_op *op)
{
    if (strcmp(op->t.at.verb, "create") != 0)
        mh_sb_no_method(op->req);
    else if (parse_body(op) && mh_sb_token_decode(op) && parent(op)) {
        mh_sb_review_ask(op);
        return;
    }
    mh_sb_answered(op);
}

/* --- scale ----------------------------------------------------------------------------------- */

/* Where replicas and selector are: of a CRD as it says. */
struct places {
    const char *spec;     /* "spec.replicas" */
    const char *status;   /* "status.replicas" */
    const char *selector; /* "status.selector", NULL: spec.selector, a LabelSelector */
};

static void
places_of(const struct mh_sb_version *v, struct places *p)
{
    *p = (struct places){ "spec.replicas", "status.replicas", NULL };
    if (!v->resource->custom)
        return;
    p->spec = v->scale_spec ? v->scale_spec + (*v->scale_spec == '.') : p->spec;
    p->status = v->scale_status ? v->scale_status + (*v->scale_status == '.') : p->status;
    p->selector = v->scale_selector ? v->scale_selector + (*v->scale_selector == '.') : "";
}

static yyjson_val *
at_path(struct mh_arena *a, yyjson_val *v, const char *path)
{
    while (v && *path) {
        size_t n = strcspn(path, ".");
        char *key = mh_arena_strndup(a, path, n);
        v = key ? yyjson_obj_get(v, key) : NULL;
        path += n + (path[n] == '.');
    }
    return v;
}

static bool
set_path(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_mut_val *v, const char *path, int64_t n)
{
    for (;;) {
        size_t len = strcspn(path, ".");
        char *key = mh_arena_strndup(a, path, len);
        if (!key || !v)
            return false;
        if (!path[len])
            return mh_sb_mset(doc, v, key, yyjson_mut_sint(doc, n));
        v = mh_sb_mobj(doc, v, key);
        path += len + 1;
    }
}

/* "a=b,c=d" of a LabelSelector's matchLabels, then its expressions. */
static char *
selector_text(struct mh_arena *a, yyjson_val *selector)
{
    char *out = mh_arena_strdup(a, "");
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(yyjson_obj_get(selector, "matchLabels"), i, max, k, v)
    {
        out = out ? mh_arena_printf(a, "%s%s%s=%s", out, *out ? "," : "", yyjson_get_str(k),
                                    yyjson_get_str(v))
                  : NULL;
    }
    return out;
}

static void
answer_scale(struct mh_sb_op *op, yyjson_val *obj, int status)
{
    struct places p;
    places_of(op->t.v, &p);
    yyjson_mut_doc *doc = mh_json_doc(op->arena);
    yyjson_mut_val *s = doc ? yyjson_mut_obj(doc) : NULL;
    if (!s) {
        mh_sb_no_memory(op->req);
        return;
    }
    yyjson_mut_obj_add_str(doc, s, "kind", "Scale");
    yyjson_mut_obj_add_str(doc, s, "apiVersion", "autoscaling/v1");
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, s, "metadata");
    static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion",
                                        "creationTimestamp" };
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        const char *text = mh_json_str(obj, "metadata", kept[i], NULL);
        if (text)
            yyjson_mut_obj_add_str(doc, meta, kept[i], text);
    }
    int64_t want = yyjson_get_sint(at_path(op->arena, obj, p.spec));
    yyjson_mut_val *spec = yyjson_mut_obj_add_obj(doc, s, "spec");
    if (want)
        yyjson_mut_obj_add_sint(doc, spec, "replicas", want);
    yyjson_mut_val *st = yyjson_mut_obj_add_obj(doc, s, "status");
    yyjson_mut_obj_add_sint(doc, st, "replicas",
                            yyjson_get_sint(at_path(op->arena, obj, p.status)));
    const char *selector =
        p.selector ? yyjson_get_str(at_path(op->arena, obj, p.selector))
                   : selector_text(op->arena, mh_json_get(obj, "spec", "selector", NULL));
    if (selector && *selector && (!p.selector || *p.selector))
        yyjson_mut_obj_add_str(doc, st, "selector", selector);
    size_t len = 0;
    char *text = mh_json_mut_text(op->arena, s, &len);
    if (text)
        mh_sb_answer(op->req, status, text, len);
    else
        mh_sb_no_memory(op->req);
}

/* The Scale that the client wants, from a PUT or a patch of the present one. */
static yyjson_val *
wanted_scale(struct mh_sb_op *op)
{
    if (op->verb == MH_SB_UPDATE)
        return op->sub;
    struct mh_err err;
    yyjson_mut_val *out = NULL;
    struct mh_sb_req keep = *op->req;
    answer_scale(op, op->old, 200);
    yyjson_val *now = NULL;
    (void)mh_json_parse(op->arena, op->req->reply, op->req->reply_len, &now, &err);
    *op->req = keep;
    if (!mh_sb_patch_any(op, now, op->sub, &out))
        return NULL;
    return mh_sb_freeze(op->arena, out);
}

static bool
make_scaled(struct mh_sb_op *op)
{
    struct places p;
    places_of(op->t.v, &p);
    const char *type = op->req->content_type ? op->req->content_type : "";
    bool applied = op->verb == MH_SB_PATCH && strncmp(type, "application/apply-patch", 23) == 0;
    if (applied && op->t.r->custom) {
        mh_sb_refuse(
            op->req, 500, NULL,
            mh_arena_printf(op->arena,
                            "failed to convert new object (/%s; autoscaling/v1, Kind=Scale) "
                            "to proper version: request to convert CR to an invalid "
                            "group/version: autoscaling/v1",
                            op->t.at.name));
        return false;
    }
    yyjson_val *scale = wanted_scale(op);
    if (!scale)
        return false;
    yyjson_val *replicas = mh_json_get(scale, "spec", "replicas", NULL);
    int64_t n = yyjson_get_sint(replicas);
    if (n < 0) {
        struct mh_sb_causes causes;
        mh_sb_causes_init(&causes, op->arena);
        mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.replicas",
                        "Invalid value: %lld: must be greater than or equal to 0", (long long)n);
        mh_sb_invalid(op->req, "autoscaling", "Scale", op->t.at.name, &causes);
        return false;
    }
    op->obj = yyjson_val_mut_copy(op->doc, op->old);
    const char *version = mh_json_str(scale, "metadata", "resourceVersion", NULL);
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    if (op->obj && set_path(op->arena, op->doc, op->obj, p.spec, n)) {
        if (version && *version)
            mh_sb_mset_str(op->doc, meta, "resourceVersion", version);
        const char *uid = mh_json_str(scale, "metadata", "uid", NULL);
        if (uid && *uid)
            mh_sb_mset_str(op->doc, meta, "uid", uid);
        return true;
    }
    mh_sb_no_memory(op->req);
    return false;
}

static void
scale(struct mh_sb_op *op)
{
    const char *verb = op->t.at.verb;
    if (strcmp(verb, "get") == 0) {
        yyjson_val *object = parent(op);
        if (object)
            answer_scale(op, object, 200);
    } else if (strcmp(verb, "update") != 0 && strcmp(verb, "patch") != 0) {
        mh_sb_no_method(op->req);
    } else if (op->verb = strcmp(verb, "update") == 0 ? MH_SB_UPDATE : MH_SB_PATCH,
               mh_sb_write_options(op) && parse_body(op)) {
        op->sub = op->body;
        op->make = make_scaled;
        op->finish = answer_scale;
        mh_sb_write(op);
        return;
    }
    mh_sb_answered(op);
}

/* --- pods/binding ---------------------------------------------------------------------------- */

static void
answer_created(struct mh_sb_op *op, yyjson_val *object, int status)
{
    (void)object;
    (void)status;
    mh_sb_answer_created(op->req);
}

/* Which node? False: answered. */
static bool
valid_binding(struct mh_sb_op *op)
{
    const char *kind = mh_json_str(op->body, "target", "kind", NULL);
    const char *node = mh_json_str(op->body, "target", "name", NULL);
    bool other = kind && *kind && strcmp(kind, "Node") != 0;
    bool none = !node || !*node;
    if (!other && !none)
        return true;
    const char *what = other ? mh_arena_printf(op->arena,
                                               "target.kind: Unsupported value: \"%s\": supported "
                                               "values: \"Node\", \"<empty>\"",
                                               kind)
                             : NULL;
    static const char missing[] = "target.name: Required value";
    mh_sb_refuse(op->req, 500, NULL,
                 what && none ? mh_arena_printf(op->arena, "[%s, %s]", what, missing)
                 : what       ? what
                              : missing);
    return false;
}

/* Those of the binding go over those of the pod. */
static bool
add_annotations(struct mh_sb_op *op)
{
    yyjson_val *given = mh_json_get(op->sub, "metadata", "annotations", NULL);
    yyjson_mut_val *meta = yyjson_mut_obj_get(op->obj, "metadata");
    yyjson_val *key;
    yyjson_val *value;
    size_t i;
    size_t max;
    if (!yyjson_obj_size(given))
        return true;
    yyjson_mut_val *mine = mh_sb_mobj(op->doc, meta, "annotations");
    yyjson_obj_foreach(given, i, max, key, value)
    {
        if (!mine ||
            !mh_sb_mset(op->doc, mine, yyjson_get_str(key), yyjson_val_mut_copy(op->doc, value)))
            return false;
    }
    return true;
}

static bool
make_bound(struct mh_sb_op *op)
{
    const char *node = mh_json_str(op->sub, "target", "name", NULL);
    const char *now = mh_json_str(op->old, "spec", "nodeName", NULL);
    const char *uid = mh_json_str(op->sub, "metadata", "uid", NULL);
    const char *have = mh_json_str(op->old, "metadata", "uid", NULL);
    if (uid && *uid && !mh_str_eq(uid, have)) {
        mh_sb_conflict(op->req, op->t.r, op->t.at.name,
                       mh_arena_printf(op->arena,
                                       "StorageError: invalid object, Code: 4, Key: "
                                       "%s/pods/%s, ResourceVersion: 0, "
                                       "AdditionalErrorMsg: Precondition failed: UID in "
                                       "precondition: %s, UID in object meta: %s",
                                       op->dry_run ? "" : "/registry", op->key, uid, have));
        return false;
    }
    const char *why =
        mh_json_get(op->old, "metadata", "deletionTimestamp", NULL)
            ? mh_arena_printf(op->arena, "pod %s is being deleted, cannot be assigned to a host",
                              op->t.at.name)
        : now && *now ? mh_arena_printf(op->arena, "pod %s is already assigned to node \"%s\"",
                                        op->t.at.name, now)
                      : NULL;
    if (why) {
        struct mh_sb_resource r = { .group = "", .plural = "pods/binding" };
        mh_sb_conflict(op->req, &r, op->t.at.name, why);
        return false;
    }
    op->obj = yyjson_val_mut_copy(op->doc, op->old);
    yyjson_mut_val *spec = op->obj ? mh_sb_mobj(op->doc, op->obj, "spec") : NULL;
    op->keep_given_status = true;
    if (spec && mh_sb_mset_str(op->doc, spec, "nodeName", node) && add_annotations(op) &&
        mh_sb_condition(op, "PodScheduled", "True"))
        return true;
    mh_sb_no_memory(op->req);
    return false;
}

static void
binding(struct mh_sb_op *op)
{
    if (strcmp(op->t.at.verb, "create") != 0)
        mh_sb_no_method(op->req);
    else if (parse_body(op) && valid_binding(op)) {
        op->verb = MH_SB_UPDATE;
        op->sub = op->body;
        op->make = make_bound;
        op->binding = true;
        op->finish = answer_created;
        op->body = NULL;
        mh_sb_write(op);
        return;
    }
    mh_sb_answered(op);
}

/* --- pods/eviction --------------------------------------------------------------------------- */

/* The pod says why it goes, before it does. False: answered. */
static bool
say_evicted(struct mh_sb_op *op, yyjson_val *pod)
{
    const char *uid = mh_json_str(op->body, "deleteOptions", "preconditions", "uid", NULL);
    yyjson_val *dry = mh_json_get(op->body, "deleteOptions", "dryRun", NULL);
    yyjson_val *list = mh_json_get(pod, "status", "conditions", NULL);
    bool there = false;
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *c = yyjson_arr_get(list, i);
        there = there || (mh_str_eq(mh_json_str(c, "type", NULL), "DisruptionTarget") &&
                          mh_str_eq(mh_json_str(c, "status", NULL), "True"));
    }
    if (there || op->dry_run || yyjson_arr_size(dry) ||
        (uid && !mh_str_eq(uid, mh_json_str(pod, "metadata", "uid", NULL))))
        return true;
    op->doc = mh_json_doc(op->arena);
    op->obj = op->doc ? yyjson_val_mut_copy(op->doc, pod) : NULL;
    bool ok = op->obj && mh_sb_condition(op, "DisruptionTarget", "True");
    yyjson_mut_val *now = mh_sb_mget(op->obj, "status", "conditions", NULL);
    yyjson_mut_val *c = yyjson_mut_arr_get_last(now);
    ok = ok && mh_sb_mset_str(op->doc, c, "reason", "EvictionByEvictionAPI") &&
         mh_sb_mset_str(op->doc, c, "message", "Eviction API: evicting") &&
         mh_sb_commit(op->api, op->t.r, op->key, op->arena, op->doc, op->obj);
    if (!ok)
        mh_sb_no_memory(op->req);
    return ok;
}

/* Is it about this pod? False: answered. */
static bool
names_pod(struct mh_sb_op *op)
{
    const char *name = mh_json_str(op->body, "metadata", "name", NULL);
    if (!name || !*name || strcmp(name, op->t.at.name) == 0)
        return true;
    mh_sb_bad_request(op->req, "name in URL does not match name in Eviction object");
    return false;
}

/* A delete, after the budgets were asked. */
static void
eviction(struct mh_sb_op *op)
{
    bool ok = strcmp(op->t.at.verb, "create") == 0 && parse_body(op);
    yyjson_val *pod = ok && names_pod(op) ? parent(op) : NULL;
    if (strcmp(op->t.at.verb, "create") != 0)
        mh_sb_no_method(op->req);
    else if (pod && mh_sb_budget_allows(op, pod) && say_evicted(op, pod)) {
        op->body = yyjson_obj_get(op->body, "deleteOptions");
        op->verb = MH_SB_DELETE;
        op->evicting = true;
        mh_sb_delete(op);
        return;
    }
    mh_sb_answered(op);
}

/* --- namespaces/finalize --------------------------------------------------------------------- */

static bool
make_finalized(struct mh_sb_op *op)
{
    op->obj = yyjson_val_mut_copy(op->doc, op->old);
    yyjson_val *list = mh_json_get(op->sub, "spec", "finalizers", NULL);
    yyjson_mut_val *spec = op->obj ? mh_sb_mobj(op->doc, op->obj, "spec") : NULL;
    if (spec && yyjson_arr_size(list))
        mh_sb_mset(op->doc, spec, "finalizers", yyjson_val_mut_copy(op->doc, list));
    else
        mh_sb_mdel(spec, "finalizers");
    op->finalizing = true;
    if (!spec)
        mh_sb_no_memory(op->req);
    return spec != NULL;
}

static void
finalize(struct mh_sb_op *op)
{
    if (strcmp(op->t.at.verb, "update") != 0)
        mh_sb_no_method(op->req);
    else if (parse_body(op)) {
        op->verb = MH_SB_UPDATE;
        op->sub = op->body;
        op->make = make_finalized;
        mh_sb_write(op);
        return;
    }
    mh_sb_answered(op);
}

/* Ephemeral containers and resize: the whole pod comes, only that part counts. */
static void
pod_part(struct mh_sb_op *op)
{
    const char *verb = op->t.at.verb;
    if (strcmp(verb, "get") == 0) {
        mh_sb_get_one(op->api, op->req, &op->t);
    } else if (strcmp(verb, "update") != 0 && strcmp(verb, "patch") != 0) {
        mh_sb_no_method(op->req);
    } else if (parse_body(op)) {
        op->verb = strcmp(verb, "update") == 0 ? MH_SB_UPDATE : MH_SB_PATCH;
        mh_sb_write(op);
        return;
    }
    mh_sb_answered(op);
}

bool
mh_sb_subresource(struct mh_sb_op *op)
{
    if (strcmp(op->t.at.subresource, "scale") == 0 && op->t.v->traits & MH_SB_SCALE)
        scale(op);
    else if (connects(op))
        connect_to(op);
    else if (is(op, "ServiceAccount", "token"))
        token(op);
    else if (is(op, "Pod", "binding"))
        binding(op);
    else if (is(op, "Pod", "eviction"))
        eviction(op);
    else if (is(op, "Namespace", "finalize"))
        finalize(op);
    else if (is(op, "Pod", "resize") || is(op, "Pod", "ephemeralcontainers"))
        pod_part(op);
    else
        return false;
    return true;
}
