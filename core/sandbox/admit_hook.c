/* admit_hook.c - webhooks: called, judged, their patches applied. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"
#include "sandbox/admit_in.h"
#include "sandbox/patch.h"

#define BODY_MAX ((size_t)8 << 20)

/* One call of one webhook. */
struct admit_call {
    struct mh_http_call http;
    struct mh_http_tls tls;
    struct admit_run *r;
    const struct admit_hook *hook;
    const char *uid;
    struct admit_call *next;
    bool under_way;
};

static void go_on(struct admit_run *r);

/* --- what came of it ---------------------------------------------------------------------------------------- */

static void
failed(struct admit_run *r, const struct admit_hook *h, const char *why)
{
    struct mh_arena *a = r->ad->arena;
    if (h->ignore || r->ad->code)
        return;
    yyjson_val *details = NULL;
    char *text = mh_arena_printf(a, "failed calling webhook \"%s\": %s", h->name, why);
    yyjson_mut_doc *d = mh_json_doc(a);
    if (d && text) {
        yyjson_mut_val *o = yyjson_mut_obj(d);
        yyjson_mut_val *cause = yyjson_mut_arr_add_obj(d, yyjson_mut_obj_add_arr(d, o, "causes"));
        (void)yyjson_mut_obj_add_str(d, cause, "message", text);
        details = mh_sb_freeze(a, o);
    }
    mh_sb_admit_refuse(r->ad, 500, "InternalError",
                       mh_arena_printf(a, "Internal error occurred: %s", text ? text : h->name));
    r->ad->details = details;
}

static void
denied(struct admit_run *r, const struct admit_hook *h, yyjson_val *status)
{
    struct mh_arena *a = r->ad->arena;
    const char *message = mh_json_str(status, "message", NULL);
    const char *reason = mh_json_str(status, "reason", NULL);
    int64_t code = mh_json_int(status, 0, "code", NULL);
    const char *why = message && *message ? message : reason && *reason ? reason : NULL;
    if (r->ad->code)
        return;
    mh_sb_admit_refuse(
        r->ad, code < 400 ? 400 : (int)code, reason ? reason : "",
        why ? mh_arena_printf(a, "admission webhook \"%s\" denied the request: %s", h->name, why)
            : mh_arena_printf(a,
                              "admission webhook \"%s\" denied the request without "
                              "explanation",
                              h->name));
    r->ad->details = yyjson_obj_get(status, "details");
}

static const char *
apply_patch(struct admit_run *r, yyjson_val *response)
{
    struct mh_arena *a = r->ad->arena;
    struct mh_err err;
    size_t n = 0;
    yyjson_val *patch;
    yyjson_mut_val *out = NULL;
    const char *text = mh_json_str(response, "patch", NULL);
    const char *type = mh_json_str(response, "patchType", NULL);
    if (!text || !*text)
        return NULL;
    if (!mh_str_eq(type, "JSONPatch"))
        return "webhook returned response.patch but not response.patchType";
    if (r->ad->validating)
        return "a validating webhook may not patch";
    char *json = mh_base64_decode(a, text, strlen(text), &n);
    yyjson_val *object = mh_sb_admit_object(r);
    if (!json || mh_json_parse(a, json, n, &patch, NULL) != MH_OK)
        return "the patch is no JSON";
    if (yyjson_arr_size(patch) == 0)
        return NULL;
    if (!object || mh_sb_patch_json(r->ad->doc, object, patch, &out, &err) != MH_OK)
        return object ? mh_arena_strdup(a, err.msg) : "there is no object to patch";
    yyjson_val *frozen = mh_sb_freeze(a, out);
    if (!frozen)
        return "no memory";
    if (!mh_sb_equal(frozen, object)) {
        r->ad->object = out;
        r->object = frozen;
        r->changes++;
        r->changed_by = r->next_hook;
    }
    return NULL;
}

static void
judge(struct admit_call *c)
{
    struct admit_run *r = c->r;
    struct mh_arena *a = r->ad->arena;
    yyjson_val *review = NULL;
    size_t i, n;
    yyjson_val *w;
    const char *why = NULL;
    if (c->http.err.code != MH_OK || c->http.status != 200) {
        why = c->http.err.code != MH_OK
                  ? mh_arena_printf(a, "failed to call webhook: Post \"%s\": %s", c->http.url,
                                    c->http.err.code == MH_E_TIMEOUT ? "context deadline exceeded"
                                                                     : c->http.err.msg)
                  : mh_arena_printf(a, "failed to call webhook: the server answered %d",
                                    c->http.status);
        failed(r, c->hook, why ? why : "no memory");
        return;
    }
    if (mh_json_parse(a, c->http.body_text, c->http.body_text_len, &review, NULL) != MH_OK) {
        failed(r, c->hook, "received invalid webhook response: no JSON");
        return;
    }
    yyjson_val *response = yyjson_obj_get(review, "response");
    if (!mh_str_eq(mh_json_str(response, "uid", NULL), c->uid)) {
        failed(r, c->hook,
               "received invalid webhook response: expected response.uid of the request");
        return;
    }
    yyjson_arr_foreach(yyjson_obj_get(response, "warnings"), i, n, w)
    {
        char *text =
            yyjson_get_str(w) ? mh_arena_strdup(r->ad->req->arena, yyjson_get_str(w)) : NULL;
        if (text)
            mh_sb_warn(r->ad->req, text);
    }
    if (!mh_json_bool(response, false, "allowed", NULL)) {
        denied(r, c->hook, yyjson_obj_get(response, "status"));
        return;
    }
    why = apply_patch(r, response);
    if (why)
        failed(r, c->hook, why);
}

static void
on_done(struct mh_http_call *http)
{
    struct admit_call *c = http->arg;
    struct admit_run *r = c->r;
    c->under_way = false;
    r->calls--;
    judge(c);
    if (r->calls == 0)
        go_on(r);
}

/* --- calling ---------------------------------------------------------------------------------------------------- */

static char *
body_of(struct admit_run *r, size_t *len)
{
    struct mh_arena *a = r->ad->arena;
    yyjson_val *request = mh_sb_admit_request(r), *object = mh_sb_admit_object(r);
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d && request ? yyjson_mut_obj(d) : NULL;
    if (!root)
        return NULL;
    (void)yyjson_mut_obj_add_str(d, root, "kind", "AdmissionReview");
    (void)yyjson_mut_obj_add_str(d, root, "apiVersion", "admission.k8s.io/v1");
    yyjson_mut_val *o = yyjson_val_mut_copy(d, request);
    (void)yyjson_mut_obj_add_val(d, o, "object",
                                 object ? yyjson_val_mut_copy(d, object) : yyjson_mut_null(d));
    (void)yyjson_mut_obj_add_val(
        d, o, "oldObject", r->ad->old ? yyjson_val_mut_copy(d, r->ad->old) : yyjson_mut_null(d));
    (void)yyjson_mut_obj_add_val(d, root, "request", o);
    return mh_json_mut_text(a, root, len);
}

/* The URL, and whom to trust and expect there; a sentence on failure. */
static const char *
address_of(struct admit_run *r, const struct admit_hook *h, struct admit_call *c, long seconds)
{
    struct mh_arena *a = r->ad->arena;
    yyjson_val *client = yyjson_obj_get(h->spec, "clientConfig");
    yyjson_val *service = yyjson_obj_get(client, "service");
    const char *bundle = mh_json_str(client, "caBundle", NULL);
    char address[48];
    int port = 0;
    if (bundle && *bundle) {
        c->tls.ca_pem = mh_base64_decode(a, bundle, strlen(bundle), NULL);
        if (!c->tls.ca_pem)
            return "its caBundle is no base64";
    }
    if (!service) {
        const char *url = mh_json_str(client, "url", NULL);
        c->http.url =
            url ? mh_arena_printf(a, "%s%stimeout=%lds", url, strchr(url, '?') ? "&" : "?", seconds)
                : NULL;
        return c->http.url ? NULL : "it has no address";
    }
    const char *name = mh_json_str(service, "name", NULL),
               *ns = mh_json_str(service, "namespace", NULL);
    const char *path = mh_json_str(service, "path", NULL);
    int asked = (int)mh_json_int(service, 443, "port", NULL);
    const struct mh_sb_admitter_config *config = &r->a->config;
    const char *slash = path && *path == '/' ? "" : "/";
    if (!name || !ns)
        return "it has no address";
    char *shown = mh_arena_printf(a, "https://%s.%s.svc:%d%s%s?timeout=%lds", name, ns, asked,
                                  slash, path ? path : "", seconds);
    c->http.url = shown;
    if (!config->find || !config->find(config->arg, ns, name, asked, address, &port))
        return mh_arena_printf(a,
                               "failed to call webhook: Post \"%s\": no endpoints available for "
                               "service \"%s\"",
                               shown ? shown : "", name);
    c->tls.server_name = mh_arena_printf(a, "%s.%s.svc", name, ns);
    c->http.url = mh_arena_printf(a, "https://%s:%d%s%s?timeout=%lds", address, port, slash,
                                  path ? path : "", seconds);
    return c->http.url && c->tls.server_name ? NULL : "no memory";
}

static void
call(struct admit_run *r, const struct admit_hook *h)
{
    struct admit_call *c = mh_arena_alloc(r->ad->arena, sizeof(*c));
    long seconds = (long)mh_json_int(h->spec, 10, "timeoutSeconds", NULL);
    if (!c) {
        failed(r, h, "no memory");
        return;
    }
    *c = (struct admit_call){ .r = r, .hook = h };
    const char *why = address_of(r, h, c, seconds);
    const char *url = c->http.url;
    c->http = (struct mh_http_call){ .method = "POST",
                                     .url = url,
                                     .content_type = "application/json",
                                     .tls = &c->tls,
                                     .timeout_ms =
                                         (int)(seconds > 0 && seconds <= 30 ? seconds : 10) * 1000,
                                     .body_max = BODY_MAX,
                                     .arena = r->ad->arena,
                                     .done = on_done,
                                     .arg = c };
    c->http.body = why ? NULL : body_of(r, &c->http.body_len);
    c->uid = mh_json_str(r->request, "uid", NULL);
    if (why || !c->http.body) {
        failed(r, h, why ? why : "no memory");
        return;
    }
    c->under_way = true;
    c->next = r->first_call;
    r->first_call = c;
    r->calls++;
    mh_http_start(r->a->config.http, &c->http);
}

/* Is this webhook to be called? Errors of its conditions, and dry runs that it does not bear, are
 * refusals. */
static bool
concerns(struct admit_run *r, const struct admit_hook *h)
{
    const char *why;
    if (!mh_sb_admit_rules(r->ad, h->rules) || !mh_sb_admit_selected(r, h->spec))
        return false;
    if (h->nconditions > 0) {
        struct mh_sb_cel_var *vars = mh_sb_admit_vars(r, NULL);
        int is = vars ? mh_sb_admit_conditions(r, h->conditions, h->nconditions, vars, &why) : -1;
        if (is < 0 && !h->ignore)
            mh_sb_admit_forbid(r->ad,
                               mh_arena_printf(r->ad->arena, "%s", vars ? why : "no memory"));
        if (is <= 0)
            return false;
    }
    const char *effects = mh_json_str(h->spec, "sideEffects", NULL);
    if (r->ad->dry_run && !mh_str_eq(effects, "None") && !mh_str_eq(effects, "NoneOnDryRun")) {
        mh_sb_admit_refuse(r->ad, 400, "BadRequest",
                           mh_arena_printf(r->ad->arena,
                                           "admission webhook \"%s\" does not support dry run",
                                           h->name));
        return false;
    }
    return true;
}

/* --- in turn, or all at once --------------------------------------------------------------------------------------- */

/* In the second round only those that asked for it and did not see the last change. */
static bool
is_due(struct admit_run *r, size_t i)
{
    const struct admit_hook *h = &r->config->hooks[0][i];
    if (!r->second)
        return true;
    return h->if_needed && r->ran_at[i] && r->ran_at[i] - 1 < r->changes && r->changed_by != i + 1;
}

static void
mutate(struct admit_run *r)
{
    size_t n = r->config->nhooks[0];
    while (!r->ad->code) {
        while (r->next_hook < n && !is_due(r, r->next_hook))
            r->next_hook++;
        if (r->next_hook >= n) {
            if (r->second || r->changes == 0)
                break;
            r->second = true;
            r->next_hook = 0;
            continue;
        }
        size_t i = r->next_hook++;
        if (!concerns(r, &r->config->hooks[0][i]))
            continue;
        r->request = r->second ? NULL : r->request;
        call(r, &r->config->hooks[0][i]);
        r->ran_at[i] = r->changes + 1;
        if (r->calls > 0)
            return;
    }
    mh_sb_admit_finish(r);
}

static void
go_on(struct admit_run *r)
{
    if (r->ad->validating)
        mh_sb_admit_finish(r);
    else
        mutate(r);
}

void
mh_sb_admit_hooks(struct admit_run *r)
{
    size_t n = r->config->nhooks[r->ad->validating];
    r->ran_at = mh_arena_alloc(r->ad->arena, (n + 1) * sizeof(*r->ran_at));
    if (!r->ran_at) {
        mh_sb_admit_refuse(r->ad, 500, "InternalError", "no memory for admission");
        mh_sb_admit_finish(r);
        return;
    }
    if (!r->ad->validating) {
        mutate(r);
        return;
    }
    for (size_t i = 0; i < n && !r->ad->code; i++)
        if (concerns(r, &r->config->hooks[1][i]))
            call(r, &r->config->hooks[1][i]);
    if (r->calls == 0)
        mh_sb_admit_finish(r);
}

void
mh_sb_admit_hooks_cancel(struct admit_run *r)
{
    for (struct admit_call *c = r->first_call; c; c = c->next)
        if (c->under_way)
            mh_http_cancel(r->a->config.http, &c->http);
    r->first_call = NULL;
}
