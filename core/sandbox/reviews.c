#include "sandbox/reviews.h"

#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/rest_in.h"
#include "sandbox/serve.h"

#define LIST_MAX 64
#define TOKEN_MIN_S 600
#define TOKEN_S 3600
#define YEAR_S (365LL * 86400)

struct review {
    struct mh_sb_reviews *v;
    struct mh_sb_req *req;
    const struct mh_sb_attrs *at;
    yyjson_val *body;
    yyjson_mut_doc *d;
    yyjson_mut_val *root;
    yyjson_mut_val *status;
};

static const char *
or_empty(const char *s)
{
    return s ? s : "";
}

/* A list of texts; NULL where there is none. */
static const char *const *
texts(struct review *r, yyjson_val *list)
{
    const char **out = mh_arena_alloc(r->req->arena, (LIST_MAX + 1) * sizeof(*out));
    yyjson_arr_iter i = yyjson_arr_iter_with(list);
    yyjson_val *v;
    int n = 0;
    while (out && n < LIST_MAX && (v = yyjson_arr_iter_next(&i)))
        if (yyjson_get_str(v))
            out[n++] = yyjson_get_str(v);
    return n ? out : NULL;
}

/* --- may he? ------------------------------------------------------------------------------------ */

static bool
ask(struct review *r, const char *user, const char *const *groups, const char **reason)
{
    yyjson_val *res = mh_json_get(r->body, "spec", "resourceAttributes", NULL);
    yyjson_val *url = mh_json_get(r->body, "spec", "nonResourceAttributes", NULL);
    struct mh_sb_attrs at = {
        .user = user,
        .uid = "",
        .groups = groups,
        .verb = or_empty(mh_json_str(res ? res : url, "verb", NULL)),
        .group = or_empty(mh_json_str(res, "group", NULL)),
        .version = or_empty(mh_json_str(res, "version", NULL)),
        .resource = or_empty(mh_json_str(res, "resource", NULL)),
        .subresource = or_empty(mh_json_str(res, "subresource", NULL)),
        .ns = or_empty(mh_json_str(res, "namespace", NULL)),
        .name = or_empty(mh_json_str(res, "name", NULL)),
        .path = or_empty(mh_json_str(url, "path", NULL)),
        .is_resource = res != NULL,
    };
    return mh_sb_rbac_may(r->v->rbac, r->req->arena, &at, reason);
}

/* {"Path":"/x","Verb":"get"} */
static const char *
go_url(struct review *r, yyjson_val *url)
{
    const char *text = mh_arena_printf(r->req->arena, "{\"Path\":\"%s\",\"Verb\":\"%s\"}",
                                       or_empty(mh_json_str(url, "path", NULL)),
                                       or_empty(mh_json_str(url, "verb", NULL)));
    return text ? text : "";
}

/* False: refused, answered. */
static bool
valid_review(struct review *r, bool self)
{
    struct mh_sb_causes causes;
    yyjson_val *res = mh_json_get(r->body, "spec", "resourceAttributes", NULL);
    yyjson_val *url = mh_json_get(r->body, "spec", "nonResourceAttributes", NULL);
    mh_sb_causes_init(&causes, r->req->arena);
    if (res && url)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.nonResourceAttributes",
                        "Invalid value: %s: cannot be specified in combination with "
                        "resourceAttributes",
                        go_url(r, url));
    if (!res && !url)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.resourceAttributes",
                        "Invalid value: null: exactly one of nonResourceAttributes or "
                        "resourceAttributes must be specified");
    if (!self && !*or_empty(mh_json_str(r->body, "spec", "user", NULL)) &&
        !yyjson_arr_size(mh_json_get(r->body, "spec", "groups", NULL)))
        mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.user",
                        "Invalid value: \"\": at least one of user or group must be specified");
    bool local = mh_str_eq(r->at->resource, "localsubjectaccessreviews");
    const char *ns = or_empty(mh_json_str(res, "namespace", NULL));
    if (local && res && strcmp(ns, r->at->ns) != 0)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.resourceAttributes.namespace",
                        "Invalid value: \"%s\": must match metadata.namespace", ns);
    if (local && url)
        mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.nonResourceAttributes",
                        "Invalid value: %s: disallowed on this kind of request", go_url(r, url));
    if (causes.count)
        mh_sb_invalid(r->req, r->at->group, "", "", &causes);
    return !causes.count;
}

static bool
access_review(struct review *r)
{
    const char *user = r->req->user;
    const char *const *groups = r->req->groups;
    const char *reason = NULL;
    bool self = mh_str_eq(r->at->resource, "selfsubjectaccessreviews");
    if (!valid_review(r, self))
        return false;
    if (!self) {
        user = or_empty(mh_json_str(r->body, "spec", "user", NULL));
        groups = texts(r, mh_json_get(r->body, "spec", "groups", NULL));
    }
    bool allowed = ask(r, user, groups, &reason);
    (void)yyjson_mut_obj_add_bool(r->d, r->status, "allowed", allowed);
    if (allowed && reason)
        (void)yyjson_mut_obj_add_str(r->d, r->status, "reason", reason);
    return true;
}

struct rules {
    struct review *r;
    yyjson_mut_val *resources;
    yyjson_mut_val *urls;
};

static bool
add_rule(void *arg, yyjson_val *rule, const char *source)
{
    static const char *const keys[] = { "verbs", "apiGroups", "resources", "resourceNames",
                                        "nonResourceURLs" };
    struct rules *s = arg;
    (void)source;
    bool urls = yyjson_obj_get(rule, "nonResourceURLs") != NULL;
    yyjson_mut_val *to = yyjson_mut_arr_add_obj(s->r->d, urls ? s->urls : s->resources);
    for (size_t i = 0; to && i < sizeof(keys) / sizeof(keys[0]); i++) {
        yyjson_val *v = yyjson_obj_get(rule, keys[i]);
        if (v)
            (void)yyjson_mut_obj_add_val(s->r->d, to, keys[i], yyjson_val_mut_copy(s->r->d, v));
    }
    return true;
}

static bool
rules_review(struct review *r)
{
    struct rules s = { .r = r };
    s.resources = yyjson_mut_arr(r->d);
    s.urls = yyjson_mut_arr(r->d);
    mh_sb_rbac_rules(r->v->rbac, r->req->arena, r->req->user, r->req->groups,
                     mh_json_str(r->body, "spec", "namespace", NULL), add_rule, &s);
    (void)yyjson_mut_obj_add_val(r->d, r->status, "resourceRules", s.resources);
    (void)yyjson_mut_obj_add_val(r->d, r->status, "nonResourceRules", s.urls);
    (void)yyjson_mut_obj_add_bool(r->d, r->status, "incomplete", false);
    return true;
}

/* --- who is it? ----------------------------------------------------------------------------------- */

static void
add_extra(struct review *r, yyjson_mut_val *extra, const char *key, const char *value)
{
    yyjson_mut_val *list = value ? yyjson_mut_obj_add_arr(r->d, extra, key) : NULL;
    if (list)
        (void)yyjson_mut_arr_add_str(r->d, list, value);
}

static void
add_user(struct review *r, yyjson_mut_val *to, const struct mh_sb_who *who)
{
    (void)yyjson_mut_obj_add_str(r->d, to, "username", who->user);
    if (who->uid)
        (void)yyjson_mut_obj_add_str(r->d, to, "uid", who->uid);
    yyjson_mut_val *groups = yyjson_mut_obj_add_arr(r->d, to, "groups");
    for (const char *const *g = who->groups; g && *g; g++)
        (void)yyjson_mut_arr_add_str(r->d, groups, *g);
    if (!who->credential)
        return;
    yyjson_mut_val *extra = yyjson_mut_obj_add_obj(r->d, to, "extra");
    add_extra(r, extra, "authentication.kubernetes.io/credential-id", who->credential);
    add_extra(r, extra, "authentication.kubernetes.io/node-name", who->node);
    add_extra(r, extra, "authentication.kubernetes.io/pod-name", who->pod);
    add_extra(r, extra, "authentication.kubernetes.io/pod-uid", who->pod_uid);
}

static bool
self_review(struct review *r)
{
    const struct mh_sb_who *known = mh_sb_door_who(r->req);
    struct mh_sb_who plain = { .user = r->req->user, .uid = r->req->uid, .groups = r->req->groups };
    add_user(r, yyjson_mut_obj_add_obj(r->d, r->status, "userInfo"), known ? known : &plain);
    char now[40];
    mh_sb_now(r->v->api, now);
    return mh_sb_mset_str(r->d, yyjson_mut_obj_get(r->root, "metadata"), "creationTimestamp", now);
}

static bool
token_review(struct review *r)
{
    static const char *const own[] = { MH_SB_ISSUER, NULL };
    struct mh_sb_who who;
    const char *token = mh_json_str(r->body, "spec", "token", NULL);
    const char *const *wanted = texts(r, mh_json_get(r->body, "spec", "audiences", NULL));
    if (!token || !*token) {
        mh_sb_refuse(r->req, 400, "BadRequest",
                     "token is required for TokenReview in authentication");
        return false;
    }
    if (!mh_sb_auth_check(r->v->auth, r->req->arena, token, wanted, &who)) {
        const char *why =
            who.why ? mh_arena_printf(r->req->arena, "[invalid bearer token, %s]", who.why)
                    : "invalid bearer token";
        (void)yyjson_mut_obj_add_obj(r->d, r->status, "user");
        (void)yyjson_mut_obj_add_str(r->d, r->status, "error", or_empty(why));
        return true;
    }
    (void)yyjson_mut_obj_add_bool(r->d, r->status, "authenticated", true);
    add_user(r, yyjson_mut_obj_add_obj(r->d, r->status, "user"), &who);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(r->d, r->status, "audiences");
    for (const char *const *s = wanted ? wanted : own; *s; s++)
        (void)yyjson_mut_arr_add_str(r->d, list, *s);
    return true;
}

/* --- a token of an account ------------------------------------------------------------------------ */

static bool
invalid_token(struct review *r, int64_t seconds)
{
    struct mh_sb_causes causes;
    mh_sb_causes_init(&causes, r->req->arena);
    mh_sb_cause_add(&causes, "FieldValueInvalid", "spec.expirationSeconds",
                    "Invalid value: %lld: may not specify a duration less than 10 minutes",
                    (long long)seconds);
    mh_sb_invalid(r->req, "authentication.k8s.io", "TokenRequest", "", &causes);
    return false;
}

/* The pod that the token shall live with. */
static bool
bind_pod(struct review *r, yyjson_val *ref, struct mh_sb_token_spec *spec)
{
    const char *kind = or_empty(mh_json_str(ref, "kind", NULL));
    const char *name = or_empty(mh_json_str(ref, "name", NULL));
    const char *uid = mh_json_str(ref, "uid", NULL);
    if (strcmp(kind, "Pod") != 0) {
        mh_sb_refuse(r->req, 400, "BadRequest",
                     mh_arena_printf(r->req->arena,
                                     "cannot bind token to object of type /%s, Kind=%s",
                                     or_empty(mh_json_str(ref, "apiVersion", NULL)), kind));
        return false;
    }
    yyjson_val *pod = mh_sb_get(r->v->api, r->req->arena, "", "pods", r->at->ns, name);
    const char *account = mh_json_str(pod, "spec", "serviceAccountName", NULL);
    if (!pod) {
        mh_sb_not_found(r->req, &(struct mh_sb_resource){ .group = "", .plural = "pods" }, name);
        return false;
    }
    spec->pod = name;
    spec->pod_uid = mh_json_str(pod, "metadata", "uid", NULL);
    spec->node = mh_json_str(pod, "spec", "nodeName", NULL);
    if (uid && *uid && !mh_str_eq(uid, spec->pod_uid)) {
        mh_sb_conflict(r->req, &(struct mh_sb_resource){ .group = "", .plural = "Pod" }, name,
                       mh_arena_printf(r->req->arena,
                                       "the UID in the bound object reference (%s) does not match "
                                       "the UID in record. The object might have been deleted and "
                                       "then recreated",
                                       uid));
        return false;
    }
    if (!mh_str_eq(account, r->at->name)) {
        mh_sb_refuse(r->req, 400, "BadRequest",
                     mh_arena_printf(r->req->arena,
                                     "cannot bind token for serviceaccount \"%s\" to pod running "
                                     "with different serviceaccount name.",
                                     r->at->name));
        return false;
    }
    return true;
}

static bool
token_request(struct review *r)
{
    struct mh_arena *a = r->req->arena;
    yyjson_val *ref = mh_json_get(r->body, "spec", "boundObjectRef", NULL);
    yyjson_val *account = mh_sb_get(r->v->api, a, "", "serviceaccounts", r->at->ns, r->at->name);
    struct mh_sb_token_spec spec = { .ns = r->at->ns, .account = r->at->name };
    spec.account_uid = mh_json_str(account, "metadata", "uid", NULL);
    spec.audiences = texts(r, mh_json_get(r->body, "spec", "audiences", NULL));
    spec.seconds = mh_json_int(r->body, TOKEN_S, "spec", "expirationSeconds", NULL);
    if (!account) {
        mh_sb_refuse(r->req, 404, "NotFound",
                     mh_arena_printf(a, "serviceaccounts \"%s\" not found", r->at->name));
        return false;
    }
    if (spec.seconds < TOKEN_MIN_S)
        return invalid_token(r, spec.seconds);
    if (spec.seconds > YEAR_S)
        spec.seconds = YEAR_S;
    if (ref && !yyjson_is_null(ref) && !bind_pod(r, ref, &spec))
        return false;
    int64_t expires;
    char when[MH_TIME_TEXT];
    char *token = mh_sb_auth_issue(r->v->auth, a, &spec, &expires);
    yyjson_mut_val *out = yyjson_mut_obj_get(r->root, "spec");
    if (!yyjson_mut_is_obj(out)) {
        (void)yyjson_mut_obj_remove_key(r->root, "spec");
        out = yyjson_mut_obj_add_obj(r->d, r->root, "spec");
    }
    if (!token || !out) {
        mh_sb_refuse(r->req, 500, "InternalError", "no memory");
        return false;
    }
    (void)yyjson_mut_obj_remove_key(out, "expirationSeconds");
    (void)yyjson_mut_obj_add_int(r->d, out, "expirationSeconds", spec.seconds);
    if (!spec.audiences) {
        (void)yyjson_mut_obj_remove_key(out, "audiences");
        yyjson_mut_val *list = yyjson_mut_obj_add_arr(r->d, out, "audiences");
        (void)yyjson_mut_arr_add_str(r->d, list, MH_SB_ISSUER);
    }
    if (!yyjson_mut_obj_get(out, "boundObjectRef"))
        (void)yyjson_mut_obj_add_null(r->d, out, "boundObjectRef");
    yyjson_mut_val *meta = yyjson_mut_obj_get(r->root, "metadata");
    if (meta) {
        (void)yyjson_mut_obj_remove_key(meta, "name");
        (void)yyjson_mut_obj_remove_key(meta, "namespace");
        (void)yyjson_mut_obj_add_str(r->d, meta, "name", r->at->name);
        (void)yyjson_mut_obj_add_str(r->d, meta, "namespace", r->at->ns);
        (void)mh_sb_mset_str(r->d, meta, "uid", spec.account_uid);
        char now[40];
        mh_sb_now(r->v->api, now);
        (void)mh_sb_mset_str(r->d, meta, "creationTimestamp", now);
    }
    mh_time_rfc3339(when, expires);
    (void)yyjson_mut_obj_add_strcpy(r->d, r->status, "expirationTimestamp", when);
    (void)yyjson_mut_obj_add_str(r->d, r->status, "token", token);
    return true;
}

/* --- the hook -------------------------------------------------------------------------------------- */

static bool
answer(struct review *r)
{
    const char *what = r->at->resource;
    if (mh_str_eq(what, "serviceaccounts"))
        return token_request(r);
    if (mh_str_eq(what, "selfsubjectrulesreviews"))
        return rules_review(r);
    if (mh_str_eq(what, "selfsubjectreviews"))
        return self_review(r);
    if (mh_str_eq(what, "tokenreviews"))
        return token_review(r);
    return access_review(r);
}

void
mh_sb_reviews_answer(struct mh_sb_reviews *v, struct mh_sb_req *req, const struct mh_sb_attrs *at,
                     yyjson_val *body)
{
    struct review r = { .v = v, .req = req, .at = at, .body = body, .d = mh_json_doc(req->arena) };
    r.root = r.d ? yyjson_val_mut_copy(r.d, body) : NULL;
    if (r.root) {
        if (!yyjson_mut_obj_get(r.root, "metadata"))
            (void)yyjson_mut_obj_add_obj(r.d, r.root, "metadata");
        (void)yyjson_mut_obj_remove_key(r.root, "status");
        r.status = yyjson_mut_obj(r.d);
    }
    if (!r.status) {
        mh_sb_refuse(req, 500, "InternalError", "no memory");
    } else if (answer(&r)) {
        size_t n;
        (void)yyjson_mut_obj_add_val(r.d, r.root, "status", r.status);
        char *text = mh_json_mut_text(req->arena, r.root, &n);
        if (text)
            mh_sb_answer(req, 201, text, n);
        else
            mh_sb_refuse(req, 500, "InternalError", "no memory");
    }
    req->done(req);
}
