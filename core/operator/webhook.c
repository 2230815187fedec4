#include "operator/webhook.h"

#include <string.h>

#include "base/log.h"
#include "base/modules.h"
#include "base/str.h"
#include "net/crypto.h"
#include "operator/webhook_needs.h"
#include "operator/webhook_plan.h"
#include "operator/webhook_policy.h"

#define NAMES_MAX 8
#define ROUTES_MAX 32
#define MESSAGE_MAX ((size_t)8192)
#define ANSWER_MAX ((size_t)4 << 20)
#define ARENA_MAX ((size_t)1 << 20)

struct route {
    struct mh_webhook *webhook;
    yyjson_val *name; /* of the kind, for the scripts */
    bool mutate;
};

struct mh_webhook {
    struct mh_webhook_conf conf;
    struct mh_controller *scripts;
    struct mh_arena arena; /* env and names */
    yyjson_val *env;
    yyjson_val *names[NAMES_MAX];
    struct route routes[ROUTES_MAX];
    size_t nroutes;
    char token[MH_SHA256_HEX]; /* of the path for needs; "" for none */
};

/* --- text in, text out ------------------------------------------------------------------------- */

enum mh_code
mh_review_parse(struct mh_arena *a, const char *text, size_t len, struct mh_review *out,
                struct mh_err *err)
{
    yyjson_val *root;
    *out = (struct mh_review){ 0 };
    if (mh_json_parse(a, text, len, &root, err) != MH_OK)
        return mh_wrap(err, "admission review");
    yyjson_val *request = yyjson_obj_get(root, "request");
    out->uid = mh_json_str(request, "uid", NULL);
    out->operation = mh_json_str(request, "operation", NULL);
    out->object = yyjson_obj_get(request, "object");
    out->old = yyjson_obj_get(request, "oldObject");
    out->by = yyjson_obj_get(request, "userInfo");
    out->dry_run = mh_json_bool(request, false, "dryRun", NULL);
    if (!yyjson_is_obj(out->object))
        out->object = NULL;
    if (!yyjson_is_obj(out->old))
        out->old = NULL;
    if (!mh_str_eq(mh_json_str(root, "apiVersion", NULL), "admission.k8s.io/v1") || !out->uid ||
        !out->operation)
        return mh_fail(err, MH_E_INVALID, "the body is no AdmissionReview of admission.k8s.io/v1");
    return MH_OK;
}

static void
add_refusal(struct mh_buf *b, const char *message)
{
    mh_buf_str(b,
               ",\"allowed\":false,\"status\":{\"code\":422,\"reason\":\"Invalid\",\"message\":");
    mh_json_quote(b, message, strnlen(message, MESSAGE_MAX));
    mh_buf_char(b, '}');
}

/* False: no memory for the patch in base64. */
static bool
add_patch(struct mh_buf *b, struct mh_arena *a, const char *patch, size_t len)
{
    mh_buf_str(b, ",\"allowed\":true");
    if (len <= 2) /* [] */
        return true;
    const char *b64 = mh_base64_encode(a, patch, len);
    if (b64)
        mh_buf_printf(b, ",\"patchType\":\"JSONPatch\",\"patch\":\"%s\"", b64);
    return b64 != NULL;
}

char *
mh_review_answer(struct mh_arena *a, const struct mh_review *review,
                 const struct mh_review_verdict *v)
{
    struct mh_buf b;
    mh_buf_init(&b, ANSWER_MAX);
    mh_buf_str(&b,
               "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{"
               "\"uid\":");
    mh_json_quote(&b, review->uid, strlen(review->uid));
    bool ok = true;
    if (v->message)
        add_refusal(&b, v->message);
    else
        ok = add_patch(&b, a, v->patch, v->patch_len);
    if (yyjson_arr_size(v->warnings)) {
        const char *text = mh_json_text(a, v->warnings, NULL);
        mh_buf_printf(&b, ",\"warnings\":%s", text ? text : "[]");
    }
    mh_buf_str(&b, "}}");
    char *out = ok && !b.failed ? mh_arena_strndup(a, mh_buf_text(&b), b.len) : NULL;
    mh_buf_release(&b);
    return out;
}

/* ["moonherd could not check this object: ..."] */
static yyjson_val *
warning_of(struct mh_arena *a, const struct mh_err *err)
{
    yyjson_val *out = NULL;
    struct mh_buf b;
    char text[MH_ERR_MSG_MAX + 64];
    mh_str_copy(text, sizeof(text),
                "moonherd could not check this object, it will be checked "
                "again later: ");
    mh_str_copy(text + strlen(text), sizeof(text) - strlen(text), err->msg);
    mh_buf_init(&b, 8192);
    mh_buf_char(&b, '[');
    mh_json_quote(&b, text, strlen(text));
    mh_buf_char(&b, ']');
    if (!b.failed)
        mh_json_parse(a, b.data, b.len, &out, NULL);
    mh_buf_release(&b);
    return out;
}

/* The scripts have agreed to the same spec before, or a pass has told what is wrong with it. */
static bool
is_known(const struct mh_review *r)
{
    yyjson_val *spec = yyjson_obj_get(r->object, "spec"),
               *old_spec = yyjson_obj_get(r->old, "spec");
    yyjson_val *notes = mh_json_get(r->object, "metadata", "annotations", NULL);
    yyjson_val *old_notes = mh_json_get(r->old, "metadata", "annotations", NULL);
    return spec && old_spec && yyjson_equals(spec, old_spec) &&
           (notes == old_notes || (notes && old_notes && yyjson_equals(notes, old_notes)));
}

/* What scripts of admission need not see. */
static const char *const unread[] = { ".managedFields", NULL };
static const char *const unread_by_mutate[] = { ".managedFields", "status", NULL };

static enum mh_code
ask(struct mh_webhook *w, struct mh_arena *a, const struct route *r, const struct mh_review *review,
    struct mh_review_verdict *out, struct mh_err *err)
{
    struct mh_script_call call = { .field = r->mutate ? "mutate" : "validate",
                                   .nargs = r->mutate ? 3 : 4,
                                   .args = {
                                       { .value = r->name },
                                       { review->object, r->mutate ? unread_by_mutate : unread },
                                       { .value = w->env },
                                       { review->old, unread } } };
    yyjson_val *result = NULL;
    if (!r->mutate && (call.args[4].value = mh_modules_check(a, review->object, review->old)))
        call.nargs = 5;
    enum mh_code code = mh_controller_run(w->scripts, a, &call, err);
    if (code != MH_OK)
        return code;
    if (r->mutate) {
        out->patch = call.out;
        out->patch_len = call.out_len;
        return MH_OK;
    }
    code = mh_json_parse(a, call.out, call.out_len, &result, err);
    out->message = mh_json_str(result, "message", NULL);
    out->warnings = yyjson_obj_get(result, "warnings");
    return code;
}

static char *
review_by(struct mh_webhook *w, struct mh_arena *a, const struct route *r,
          const struct mh_review *review, bool *allowed)
{
    struct mh_err err = { .code = MH_OK };
    struct mh_review_verdict verdict = { 0 };
    *allowed = true;
    if (!review->object) /* a deletion */
        return mh_review_answer(a, review, &verdict);
    if (!r->mutate && is_known(review))
        return mh_review_answer(a, review, &verdict);
    if (ask(w, a, r, review, &verdict, &err) != MH_OK) {
        mh_warn("webhook", "script failed, the object is let through", "error", err.msg, "code",
                mh_code_name(err.code));
        verdict = (struct mh_review_verdict){ .warnings = warning_of(a, &err) };
    }
    *allowed = !verdict.message;
    return mh_review_answer(a, review, &verdict);
}

char *
mh_webhook_review(struct mh_webhook *w, struct mh_arena *a, const char *name, bool mutate,
                  const struct mh_review *review, bool *allowed)
{
    struct route r = { .webhook = w, .mutate = mutate };
    for (size_t i = 0; i < NAMES_MAX && w->names[i]; i++)
        if (mh_str_eq(w->conf.names[i], name))
            r.name = w->names[i];
    return review_by(w, a, &r, review, allowed);
}

/* --- the server -------------------------------------------------------------------------------- */

static void
on_request(struct mh_request *req, void *arg)
{
    struct route *r = arg;
    struct mh_webhook *w = r->webhook;
    struct mh_review review;
    struct mh_err err;
    bool allowed;
    int64_t began = w->conf.mono_ns(w->conf.clock);
    if (mh_review_parse(req->arena, req->body, req->body_len, &review, &err) != MH_OK) {
        mh_reply_text(req, 400, err.msg);
        return;
    }
    if (r->mutate && mh_webhook_plans(&w->conf, &review)) {
        struct mh_review_verdict verdict = { .message = NULL };
        if (ask(w, req->arena, r, &review, &verdict, &err) != MH_OK)
            verdict = (struct mh_review_verdict){ .warnings = warning_of(req->arena, &err) };
        mh_webhook_plan(&w->conf, req, &review, &verdict);
        return;
    }
    char *text = review_by(w, req->arena, r, &review, &allowed);
    if (w->conf.on_review)
        w->conf.on_review(w->conf.arg, r->mutate ? "mutate" : "validate", allowed,
                          w->conf.mono_ns(w->conf.clock) - began);
    if (text)
        mh_reply(req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory for this review");
}

static void
on_policy(struct mh_request *req, void *arg)
{
    struct mh_webhook *w = arg;
    struct mh_review review;
    struct mh_err err;
    if (mh_review_parse(req->arena, req->body, req->body_len, &review, &err) != MH_OK) {
        mh_reply_text(req, 400, err.msg);
        return;
    }
    mh_webhook_policy(&w->conf, req, &review);
}

/* Whether a review came by a path that only the API server knows. */
static bool
is_believed(const struct mh_webhook *w, const struct mh_request *req)
{
    const char *by = strrchr(req->path, '/');
    return w->token[0] && by && mh_secret_eq(by + 1, w->token);
}

/* A dry run of an object that may be a plugin's: what would be done for it. */
static void
on_plan(struct mh_request *req, void *arg)
{
    struct mh_webhook *w = arg;
    struct mh_review review;
    struct mh_review_verdict verdict = { .message = NULL };
    struct mh_err err;
    if (mh_review_parse(req->arena, req->body, req->body_len, &review, &err) != MH_OK)
        mh_reply_text(req, 400, err.msg);
    else if (is_believed(w, req) && mh_webhook_plans(&w->conf, &review))
        mh_webhook_plan(&w->conf, req, &review, &verdict);
    else
        mh_reply_text(req, 404, "no plan was asked for by a way that is believed");
}

static void
on_needs(struct mh_request *req, void *arg)
{
    struct mh_webhook *w = arg;
    struct mh_review review;
    struct mh_err err;
    bool believed = is_believed(w, req);
    if (mh_review_parse(req->arena, req->body, req->body_len, &review, &err) != MH_OK) {
        mh_reply_text(req, 400, err.msg);
        return;
    }
    mh_webhook_needs(&w->conf, req, &review, believed);
}

void
mh_webhook_set_key(struct mh_webhook *w, const char *key_pem)
{
    mh_needs_token(w->token, key_pem);
}

static bool
add_route(struct mh_webhook *w, struct mh_server *server, const char *group, yyjson_val *name,
          bool mutate)
{
    struct mh_arena a;
    bool ok = false;
    if (w->nroutes == ROUTES_MAX)
        return false;
    mh_arena_init(&a, 4096);
    char *dashes = mh_arena_strdup(&a, group);
    for (char *p = dashes; p && *p; p++)
        if (*p == '.')
            *p = '-';
    char *path = dashes ? mh_arena_printf(&a, "/%s-%s-v1-%s", mutate ? "mutate" : "validate",
                                          dashes, yyjson_get_str(name))
                        : NULL;
    struct route *r = &w->routes[w->nroutes++];
    *r = (struct route){ w, name, mutate };
    if (path)
        ok = mh_server_route(server, MH_POST, path, on_request, r);
    mh_arena_release(&a);
    return ok;
}

bool
mh_webhook_route(struct mh_webhook *w, struct mh_server *server)
{
    for (size_t i = 0; w->conf.groups[i]; i++)
        for (size_t j = 0; j < NAMES_MAX && w->names[j]; j++)
            if (!add_route(w, server, w->conf.groups[i], w->names[j], true) ||
                !add_route(w, server, w->conf.groups[i], w->names[j], false))
                return false;
    return mh_server_route(server, MH_POST, "/validate-policy", on_policy, w) &&
           mh_server_route(server, MH_POST, MH_NEEDS_PATH, on_needs, w) &&
           mh_server_route(server, MH_POST, MH_PLAN_PATH, on_plan, w);
}

/* The settings and the names of kinds as values that every call takes. */
static enum mh_code
read_conf(struct mh_webhook *w, struct mh_err *err)
{
    struct mh_buf b;
    enum mh_code code = mh_json_parse(&w->arena, w->conf.env, strlen(w->conf.env), &w->env, err);
    mh_buf_init(&b, 256);
    for (size_t i = 0; code == MH_OK && i < NAMES_MAX && w->conf.names[i]; i++) {
        mh_buf_reset(&b);
        mh_json_quote(&b, w->conf.names[i], strlen(w->conf.names[i]));
        code = b.failed ? mh_fail(err, MH_E_NOMEM, "no memory for the webhooks")
                        : mh_json_parse(&w->arena, b.data, b.len, &w->names[i], err);
    }
    mh_buf_release(&b);
    return code;
}

enum mh_code
mh_webhook_new(const struct mh_webhook_conf *conf, struct mh_webhook **out, struct mh_err *err)
{
    struct mh_webhook *w = mh_calloc(1, sizeof(*w));
    if (!w)
        return mh_fail(err, MH_E_NOMEM, "no memory for the webhooks");
    w->conf = *conf;
    mh_arena_init(&w->arena, ARENA_MAX);
    enum mh_code code = mh_controller_new("admission/webhook", &w->scripts, err);
    if (code == MH_OK)
        code = read_conf(w, err);
    if (code != MH_OK) {
        mh_webhook_free(w);
        return code;
    }
    *out = w;
    return MH_OK;
}

void
mh_webhook_free(struct mh_webhook *w)
{
    if (!w)
        return;
    mh_controller_free(w->scripts);
    mh_arena_release(&w->arena);
    mh_free(w);
}
