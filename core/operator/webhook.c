#include "operator/webhook.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "net/crypto.h"
#include "operator/webhook_policy.h"

#define NAMES_MAX 8
#define ROUTES_MAX 32
#define MESSAGE_MAX ((size_t)8192)

/* One table for each kind: what both webhooks call. %1$s is the name of the kind. */
static const char glue[] =
    "local checks = require(\"admission.%1$s_checks\")\n"
    "local defaults = require(\"admission.%1$s_defaults\")\n"
    "local jsonpatch = require(\"admission.jsonpatch\")\n"
    "local function mutate(review)\n"
    "  local full = defaults.defaults(review.object, review.env)\n"
    "  return { patch = array(jsonpatch.diff(review.object, full)) }\n"
    "end\n"
    "local function validate(review)\n"
    "  local full = defaults.defaults(review.object, review.env)\n"
    "  local faults, warnings = checks.validate(full, review.old, review.env)\n"
    "  local message = #faults > 0 and checks.sentence(faults) or nil\n"
    "  return { message = message, warnings = array(warnings or {}) }\n"
    "end\n"
    "return { mutate = mutate, validate = validate }\n";

struct route {
    struct mh_webhook *webhook;
    const char *name;
    bool mutate;
};

struct mh_webhook {
    struct mh_webhook_conf conf;
    struct mh_controller *scripts[NAMES_MAX];
    struct route routes[ROUTES_MAX];
    size_t nroutes;
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
    if (!yyjson_is_obj(out->object))
        out->object = NULL;
    if (!yyjson_is_obj(out->old))
        out->old = NULL;
    if (!mh_str_eq(mh_json_str(root, "apiVersion", NULL), "admission.k8s.io/v1") || !out->uid ||
        !out->operation)
        return mh_fail(err, MH_E_INVALID, "the body is no AdmissionReview of admission.k8s.io/v1");
    return MH_OK;
}

/* A copy of s that is valid UTF-8 and not too long. */
static yyjson_mut_val *
clean_text(struct mh_arena *a, yyjson_mut_doc *doc, const char *s)
{
    struct mh_buf b;
    yyjson_val *v = NULL;
    mh_buf_init(&b, 8 * MESSAGE_MAX);
    mh_json_quote(&b, s, strnlen(s, MESSAGE_MAX));
    if (!b.failed)
        mh_json_parse(a, b.data, b.len, &v, NULL);
    yyjson_mut_val *out = v ? yyjson_val_mut_copy(doc, v) : NULL;
    mh_buf_release(&b);
    return out;
}

char *
mh_review_answer(struct mh_arena *a, const struct mh_review *review, const char *message,
                 yyjson_val *patch, yyjson_val *warnings)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    if (!root)
        return NULL;
    yyjson_mut_obj_add_str(doc, root, "apiVersion", "admission.k8s.io/v1");
    yyjson_mut_obj_add_str(doc, root, "kind", "AdmissionReview");
    yyjson_mut_val *r = yyjson_mut_obj_add_obj(doc, root, "response");
    yyjson_mut_obj_add_strcpy(doc, r, "uid", review->uid);
    yyjson_mut_obj_add_bool(doc, r, "allowed", !message);
    if (message) {
        yyjson_mut_val *status = yyjson_mut_obj_add_obj(doc, r, "status");
        yyjson_mut_obj_add_int(doc, status, "code", 422);
        yyjson_mut_obj_add_str(doc, status, "reason", "Invalid");
        yyjson_mut_obj_add_val(doc, status, "message", clean_text(a, doc, message));
    }
    if (!message && yyjson_arr_size(patch)) {
        size_t len;
        const char *text = mh_json_text(a, patch, &len);
        const char *b64 = text ? mh_base64_encode(a, text, len) : NULL;
        if (!b64)
            return NULL;
        yyjson_mut_obj_add_str(doc, r, "patchType", "JSONPatch");
        yyjson_mut_obj_add_str(doc, r, "patch", b64);
    }
    if (yyjson_arr_size(warnings))
        yyjson_mut_obj_add_val(doc, r, "warnings", yyjson_val_mut_copy(doc, warnings));
    return mh_json_mut_text(a, root, NULL);
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

static struct mh_controller *
scripts_of(struct mh_webhook *w, const char *name)
{
    for (size_t i = 0; i < NAMES_MAX && w->conf.names[i]; i++)
        if (mh_str_eq(w->conf.names[i], name))
            return w->scripts[i];
    return NULL;
}

/* {"object":...,"old":...,"env":...} */
static const char *
argument(struct mh_webhook *w, struct mh_arena *a, const struct mh_review *review, size_t *len)
{
    const char *object = mh_json_text(a, review->object, NULL);
    const char *old = review->old ? mh_json_text(a, review->old, NULL) : NULL;
    const char *text = object ? mh_arena_printf(a, "{\"object\":%s%s%s,\"env\":%s}", object,
                                                old ? ",\"old\":" : "", old ? old : "", w->conf.env)
                              : NULL;
    *len = text ? strlen(text) : 0;
    return text;
}

char *
mh_webhook_review(struct mh_webhook *w, struct mh_arena *a, const char *name, bool mutate,
                  const struct mh_review *review, bool *allowed)
{
    struct mh_err err = { .code = MH_OK };
    struct mh_script_error se;
    const char *out;
    size_t len, out_len;
    yyjson_val *result = NULL;
    *allowed = true;
    if (!review->object) /* a deletion */
        return mh_review_answer(a, review, NULL, NULL, NULL);
    const char *arg = argument(w, a, review, &len);
    if (!arg)
        return NULL;
    if (mh_controller_call(scripts_of(w, name), a, mutate ? "mutate" : "validate", arg, len, &out,
                           &out_len, &se, &err) != MH_OK ||
        mh_json_parse(a, out, out_len, &result, &err) != MH_OK) {
        mh_warn("webhook", "script failed, the object is let through", "error", err.msg, "code",
                mh_code_name(err.code));
        return mh_review_answer(a, review, NULL, NULL, warning_of(a, &err));
    }
    const char *message = mh_json_str(result, "message", NULL);
    *allowed = !message;
    return mh_review_answer(a, review, message, yyjson_obj_get(result, "patch"),
                            yyjson_obj_get(result, "warnings"));
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
    char *text = mh_webhook_review(w, req->arena, r->name, r->mutate, &review, &allowed);
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
    mh_webhook_policy(w->conf.policies, req, &review);
}

static bool
add_route(struct mh_webhook *w, struct mh_server *server, const char *group, const char *name,
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
    char *path =
        dashes ? mh_arena_printf(&a, "/%s-%s-v1-%s", mutate ? "mutate" : "validate", dashes, name)
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
        for (size_t j = 0; j < NAMES_MAX && w->conf.names[j]; j++)
            if (!add_route(w, server, w->conf.groups[i], w->conf.names[j], true) ||
                !add_route(w, server, w->conf.groups[i], w->conf.names[j], false))
                return false;
    return mh_server_route(server, MH_POST, "/validate-policy", on_policy, w);
}

/* Puts name where the glue says %1$s. */
static bool
glue_for(struct mh_buf *b, const char *name)
{
    const char *p = glue, *at;
    while ((at = strstr(p, "%1$s"))) {
        mh_buf_add(b, p, (size_t)(at - p));
        mh_buf_str(b, name);
        p = at + 4;
    }
    return mh_buf_str(b, p) && !b->failed;
}

enum mh_code
mh_webhook_new(const struct mh_webhook_conf *conf, struct mh_webhook **out, struct mh_err *err)
{
    struct mh_webhook *w = mh_calloc(1, sizeof(*w));
    if (!w)
        return mh_fail(err, MH_E_NOMEM, "no memory for the webhooks");
    w->conf = *conf;
    for (size_t i = 0; i < NAMES_MAX && conf->names[i]; i++) {
        struct mh_buf b;
        mh_buf_init(&b, 8192);
        enum mh_code code =
            glue_for(&b, conf->names[i])
                ? mh_controller_new_text("admission/webhook", b.data, b.len, &w->scripts[i], err)
                : mh_fail(err, MH_E_NOMEM, "no memory for the webhooks");
        mh_buf_release(&b);
        if (code != MH_OK) {
            mh_webhook_free(w);
            return code;
        }
    }
    *out = w;
    return MH_OK;
}

void
mh_webhook_free(struct mh_webhook *w)
{
    for (size_t i = 0; w && i < NAMES_MAX; i++)
        if (w->scripts[i])
            mh_controller_free(w->scripts[i]);
    mh_free(w);
}
