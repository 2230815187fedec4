#include "operator/certs.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "net/crypto.h"
#include "net/x509.h"
#include "operator/fill.h"
#include "operator/queue.h"
#include "operator/webhook_needs.h"
#include "operator/webhook_plan.h"

#define ARENA ((size_t)4 << 20)
#define HOUR_NS (3600 * MH_NS_PER_S)
#define CALM_NS (600 * MH_NS_PER_S) /* so long nobody changed a configuration: it begins anew */
#define FILE_MAX ((size_t)256 << 10)
#define BACKDATE_S 300

enum { CA_GET, CA_POST, CERT_GET, CERT_WRITE, HOOK_GET, HOOK_PATCH };

static void on_reply(struct mh_api_call *call);
static void begin(void *arg);
static void look_at_hooks(struct mh_certs *c);

static int64_t
now_s(const struct mh_certs *c)
{
    return c->clock.wall_us(c->clock.self) / 1000000;
}

/* How long until what somebody else wrote is put right; longer each time, so that two who want
 * different things do not write all the time. */
static int64_t
patience(struct mh_certs *c)
{
    int64_t now = c->clock.mono_ns(c->clock.self);
    if (now - c->disturbed_at > CALM_NS)
        c->disturbed = 0;
    c->disturbed_at = now;
    return mh_queue_backoff_ns(++c->disturbed);
}

static void
wait(struct mh_certs *c, int64_t ns)
{
    c->due = c->clock.mono_ns(c->clock.self) + ns;
    c->timer = c->clock.after(c->clock.self, ns, begin, c);
}

/* Ends this round; the next one comes in an hour, or sooner after a failure. */
static void
rest(struct mh_certs *c, const struct mh_err *err)
{
    int64_t ns = HOUR_NS;
    if (err) {
        ns = mh_queue_backoff_ns(++c->failures);
        mh_warn("certs", "certificate of the webhooks is not in order yet", "error", err->msg);
    } else {
        c->failures = 0;
        ns = c->again ? patience(c) : HOUR_NS;
        look_at_hooks(c);
    }
    c->again = false;
    mh_arena_release(&c->arena);
    wait(c, ns);
}

static void
fail(struct mh_certs *c, enum mh_code code, const char *what)
{
    struct mh_err err;
    mh_fail(&err, code, "%s", what);
    rest(c, &err);
}

static void
ask(struct mh_certs *c, int step, const char *method, const char *path, const char *body)
{
    if (!path) {
        fail(c, MH_E_NOMEM, "no memory for a path");
        return;
    }
    c->step = step;
    c->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .content_type =
                                        !body || strcmp(method, "POST") == 0
                                            ? NULL
                                            : (step == HOOK_PATCH ? MH_PATCH_JSON : MH_PATCH_MERGE),
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0,
                                    .arena = &c->arena,
                                    .done = on_reply,
                                    .arg = c };
    c->calling = true;
    c->api.start(c->api.self, &c->call);
}

static const char *
secret_path(struct mh_certs *c, const char *name)
{
    return mh_kube_path(&c->arena, mh_kind_find(c->kinds, "Secret"), c->name_space, name, NULL);
}

/* A Secret as JSON text; rv NULL: to create. */
static const char *
secret_body(struct mh_certs *c, const char *name, const char *type, const char *const data[4],
            const char *rv)
{
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *meta, *values;
    if (!root)
        return NULL;
    yyjson_mut_obj_add_str(doc, root, "apiVersion", "v1");
    yyjson_mut_obj_add_str(doc, root, "kind", "Secret");
    meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    yyjson_mut_obj_add_str(doc, meta, "name", name);
    yyjson_mut_obj_add_str(doc, meta, "namespace", c->name_space);
    if (rv)
        yyjson_mut_obj_add_str(doc, meta, "resourceVersion", rv);
    else
        yyjson_mut_obj_add_str(doc, root, "type", type);
    values = yyjson_mut_obj_add_obj(doc, root, "data");
    for (size_t i = 0; i < 4; i += 2) {
        const char *text = mh_base64_encode(&c->arena, data[i + 1], strlen(data[i + 1]));
        if (!text)
            return NULL;
        yyjson_mut_obj_add_str(doc, values, data[i], text);
    }
    return mh_json_mut_text(&c->arena, root, NULL);
}

/* --- webhook configurations -------------------------------------------------------------------- */

static void
next_hook(struct mh_certs *c)
{
    if (!c->hooks || !c->hooks[c->hook]) {
        rest(c, NULL);
        return;
    }
    ask(c, HOOK_GET, "GET", c->hooks[c->hook], NULL);
}

static void
add_op(yyjson_mut_doc *doc, yyjson_mut_val *list, const char *path, const char *value)
{
    yyjson_mut_val *op = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_str(doc, op, "op", "add");
    yyjson_mut_obj_add_str(doc, op, "path", path ? path : "");
    yyjson_mut_obj_add_str(doc, op, "value", value);
}

/* A JSON patch that puts our certificate where another one is, and the paths by which we believe
 * reviews of needs and of plans; NULL if all is right. */
static const char *
hook_patch(struct mh_arena *a, yyjson_val *hooks, const char *bundle, const char *key)
{
    char token[MH_SHA256_HEX];
    mh_needs_token(token, key);
    const struct {
        const char *hooks, *path;
    } told[] = { { MH_NEEDS_HOOKS, mh_arena_printf(a, MH_NEEDS_PATH "%s", token) },
                 { MH_PLAN_HOOKS, mh_arena_printf(a, MH_PLAN_PATH "%s", token) } };
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    yyjson_arr_iter i = yyjson_arr_iter_with(mh_json_get(hooks, "webhooks", NULL));
    yyjson_val *one;
    for (int n = 0; list && (one = yyjson_arr_iter_next(&i)); n++) {
        yyjson_val *client = yyjson_obj_get(one, "clientConfig");
        if (!mh_str_eq(mh_json_str(client, "caBundle", NULL), bundle))
            add_op(doc, list, mh_arena_printf(a, "/webhooks/%d/clientConfig/caBundle", n), bundle);
        for (size_t k = 0; k < sizeof(told) / sizeof(told[0]); k++)
            if (told[k].path && mh_str_starts(mh_json_str(one, "name", NULL), told[k].hooks) &&
                yyjson_obj_get(client, "service") &&
                !mh_str_eq(mh_json_str(client, "service", "path", NULL), told[k].path))
                add_op(doc, list, mh_arena_printf(a, "/webhooks/%d/clientConfig/service/path", n),
                       told[k].path);
    }
    return list && yyjson_mut_arr_size(list) ? mh_json_mut_text(a, list, NULL) : NULL;
}

static void
hook_read(struct mh_certs *c)
{
    if (c->call.err.code == MH_E_NOTFOUND) { /* not installed: nothing to do */
        c->hook++;
        next_hook(c);
        return;
    }
    if (c->call.err.code != MH_OK) {
        rest(c, &c->call.err);
        return;
    }
    const char *bundle = mh_base64_encode(&c->arena, c->cert, strlen(c->cert));
    const char *body = bundle ? hook_patch(&c->arena, c->call.reply, bundle, c->key) : NULL;
    if (body) {
        ask(c, HOOK_PATCH, "PATCH", c->hooks[c->hook], body);
        return;
    }
    c->hook++;
    next_hook(c);
}

/* --- what others do to them -------------------------------------------------------------------- */

/* Does it say what we would write? It says so when we have nothing to say yet. */
static bool
is_right(const struct mh_certs *c, yyjson_val *hooks)
{
    struct mh_arena a;
    mh_arena_init(&a, ARENA);
    char *cert = c->served ? mh_arena_strndup(&a, c->served, c->served_cert) : NULL;
    char *bundle = cert ? mh_base64_encode(&a, cert, c->served_cert) : NULL;
    bool right = !bundle || !hook_patch(&a, hooks, bundle, c->served + c->served_cert);
    mh_arena_release(&a);
    return right;
}

static void
on_hook(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_certs *c = arg;
    if ((kind != MH_WATCH_ADDED && kind != MH_WATCH_MODIFIED) || is_right(c, object))
        return;
    if (!c->timer) { /* a round is under way, and may have been there already */
        c->again = true;
        return;
    }
    if (c->due - c->clock.mono_ns(c->clock.self) <= mh_queue_backoff_ns(c->disturbed + 1))
        return;
    mh_info("certs", "a webhook configuration was changed, it is put right", "name",
            mh_json_str(object, "metadata", "name", NULL));
    c->clock.cancel(c->clock.self, c->timer);
    wait(c, patience(c));
}

/* One watch for each, of that name only: we need no right to any other. */
static void
look_at_hooks(struct mh_certs *c)
{
    for (size_t i = 0; i < MH_CERTS_HOOKS && c->hooks && c->hooks[i]; i++) {
        const char *slash = strrchr(c->hooks[i], '/');
        if (c->watches[i] || !slash)
            continue;
        char *all = mh_arena_strndup(&c->arena, c->hooks[i], (size_t)(slash - c->hooks[i]));
        char *one = mh_arena_printf(&c->arena, "metadata.name=%s", slash + 1);
        struct mh_watch_spec spec = { .on_event = on_hook, .arg = c };
        spec.path = all && one ? mh_kube_query(&c->arena, all, "fieldSelector", one) : NULL;
        c->watches[i] = spec.path ? c->api.watch(c->api.self, &spec) : NULL; /* else next time */
    }
}

/* --- the certificate --------------------------------------------------------------------------- */

static void
serve(struct mh_certs *c)
{
    char *both = mh_arena_printf(&c->arena, "%s%s", c->cert, c->key);
    if (both && !mh_str_eq(both, c->served)) {
        mh_free(c->served);
        c->served = mh_strdup(both);
        c->served_cert = strlen(c->cert);
        c->on_ready(c->arg, c->cert, c->key);
    }
    c->hook = 0;
    next_hook(c);
}

static void
write_cert(struct mh_certs *c)
{
    int64_t from = now_s(c) - BACKDATE_S;
    const char *names[4] = {
        mh_arena_printf(&c->arena, "%s.%s.svc", c->service, c->name_space),
        mh_arena_printf(&c->arena, "%s.%s", c->service, c->name_space),
        c->service,
        NULL,
    };
    struct mh_x509_spec spec = { .ca_cert_pem = c->ca_cert,
                                 .ca_key_pem = c->ca_key,
                                 .cn = c->service,
                                 .dns_names = names,
                                 .usage = MH_X509_SERVER,
                                 .not_before = from,
                                 .not_after = from + c->duration_s };
    struct mh_err err;
    if (mh_x509_issue(&c->arena, &spec, &c->cert, &c->key, &err) != MH_OK) {
        rest(c, &err);
        return;
    }
    const char *data[4] = { "tls.crt", c->cert, "tls.key", c->key };
    const char *body = secret_body(c, c->cert_name, "kubernetes.io/tls", data, c->secret_rv);
    const char *path = c->secret_rv ? secret_path(c, c->cert_name)
                                    : mh_kube_path(&c->arena, mh_kind_find(c->kinds, "Secret"),
                                                   c->name_space, NULL, NULL);
    if (body)
        ask(c, CERT_WRITE, c->secret_rv ? "PATCH" : "POST", path, body);
    else
        fail(c, MH_E_NOMEM, "no memory for a secret");
}

/* Whether a certificate can go on being used. */
static bool
is_good(struct mh_certs *c, const char *cert, const char *key)
{
    struct mh_x509_info info;
    return cert && key && mh_x509_read(&c->arena, cert, &info, NULL) == MH_OK &&
           info.not_after - now_s(c) > c->renew_s && mh_x509_key_matches(cert, key);
}

static void
cert_read(struct mh_certs *c)
{
    if (c->call.err.code != MH_OK && c->call.err.code != MH_E_NOTFOUND) {
        rest(c, &c->call.err);
        return;
    }
    yyjson_val *secret = c->call.err.code == MH_OK ? c->call.reply : NULL;
    c->cert = mh_fill_decode(&c->arena, secret, "tls.crt");
    c->key = mh_fill_decode(&c->arena, secret, "tls.key");
    c->secret_rv = mh_json_str(secret, "metadata", "resourceVersion", NULL);
    if (is_good(c, c->cert, c->key) && mh_x509_signed_by(c->cert, c->ca_cert))
        serve(c);
    else
        write_cert(c);
}

static void
ca_read(struct mh_certs *c)
{
    int64_t from = now_s(c) - BACKDATE_S;
    if (c->call.err.code != MH_OK && c->call.err.code != MH_E_NOTFOUND) {
        rest(c, &c->call.err);
        return;
    }
    yyjson_val *secret = c->call.err.code == MH_OK ? c->call.reply : NULL;
    c->ca_cert = mh_fill_decode(&c->arena, secret, "ca.crt");
    c->ca_key = mh_fill_decode(&c->arena, secret, "ca.key");
    if (is_good(c, c->ca_cert, c->ca_key)) {
        ask(c, CERT_GET, "GET", secret_path(c, c->cert_name), NULL);
        return;
    }
    struct mh_err err;
    struct mh_x509_ca_spec spec = {
        .cn = c->ca_name, .ou = c->name_space, .not_before = from, .not_after = from + c->duration_s
    };
    if (mh_x509_make_ca(&c->arena, &spec, &c->ca_cert, &c->ca_key, &err) != MH_OK) {
        rest(c, &err);
        return;
    }
    const char *rv = mh_json_str(secret, "metadata", "resourceVersion", NULL);
    const char *data[4] = { "ca.crt", c->ca_cert, "ca.key", c->ca_key };
    const char *body = secret_body(c, c->ca_name, "Opaque", data, rv);
    const char *path =
        rv ? secret_path(c, c->ca_name)
           : mh_kube_path(&c->arena, mh_kind_find(c->kinds, "Secret"), c->name_space, NULL, NULL);
    if (body)
        ask(c, CA_POST, rv ? "PATCH" : "POST", path, body);
    else
        fail(c, MH_E_NOMEM, "no memory for a secret");
}

static void
on_reply(struct mh_api_call *call)
{
    struct mh_certs *c = call->arg;
    c->calling = false;
    switch (c->step) {
    case CA_GET:
        ca_read(c);
        return;
    case CERT_GET:
        cert_read(c);
        return;
    case HOOK_GET:
        hook_read(c);
        return;
    default:
        break;
    }
    /* a write: if somebody was first, all is read again */
    if (call->err.code == MH_E_EXISTS || call->err.code == MH_E_CONFLICT) {
        ask(c, CA_GET, "GET", secret_path(c, c->ca_name), NULL);
    } else if (call->err.code != MH_OK) {
        rest(c, &call->err);
    } else if (c->step == CA_POST) {
        ask(c, CERT_GET, "GET", secret_path(c, c->cert_name), NULL);
    } else if (c->step == CERT_WRITE) {
        serve(c);
    } else {
        c->hook++;
        next_hook(c);
    }
}

/* --- rounds ------------------------------------------------------------------------------------ */

static void
begin_files(struct mh_certs *c)
{
    struct mh_err err;
    char *cert, *key;
    size_t len;
    const char *crt_path = mh_arena_printf(&c->arena, "%s/tls.crt", c->dir);
    const char *key_path = mh_arena_printf(&c->arena, "%s/tls.key", c->dir);
    if (!crt_path || !key_path) {
        fail(c, MH_E_NOMEM, "no memory for a path");
        return;
    }
    if (c->fs.read(c->fs.self, &c->arena, crt_path, FILE_MAX, &cert, &len, &err) != MH_OK ||
        c->fs.read(c->fs.self, &c->arena, key_path, FILE_MAX, &key, &len, &err) != MH_OK) {
        rest(c, &err);
        return;
    }
    c->cert = cert;
    c->key = key;
    serve(c);
}

static void
begin(void *arg)
{
    struct mh_certs *c = arg;
    c->timer = NULL;
    mh_arena_init(&c->arena, ARENA);
    c->ca_cert = c->ca_key = c->cert = c->key = c->secret_rv = NULL;
    if (c->dir)
        begin_files(c);
    else
        ask(c, CA_GET, "GET", secret_path(c, c->ca_name), NULL);
}

void
mh_certs_start(struct mh_certs *c)
{
    c->timer = c->clock.after(c->clock.self, 0, begin, c);
}

void
mh_certs_release(struct mh_certs *c)
{
    c->clock.cancel(c->clock.self, c->timer);
    if (c->calling)
        c->api.cancel(c->api.self, &c->call);
    for (size_t i = 0; i < MH_CERTS_HOOKS; i++) {
        if (c->watches[i])
            c->api.unwatch(c->api.self, c->watches[i]);
        c->watches[i] = NULL;
    }
    mh_arena_release(&c->arena);
    mh_free(c->served);
    c->served = NULL;
    c->timer = NULL;
    c->calling = false;
}
