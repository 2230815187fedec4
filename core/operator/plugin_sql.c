/* plugin_sql.c - statements of plugins, carried to the primary's manager (core/instance/sql.h).
 *
 * A password is read here, from its Secret, and leaves as a SCRAM verifier: neither the script nor
 * the instance nor a log ever sees it. */
#include <string.h>

#include "base/str.h"
#include "net/crypto.h"
#include "operator/plugin_guard.h"

#define CONNECT_MS 2000
#define SQL_MS 12000
#define REPLY_MAX ((size_t)3 << 20)

static void
fail(struct mh_guarded *g, enum mh_code code, const char *what)
{
    mh_fail(&g->call->err, code, "sql in cluster %s: %s", mh_json_str(g->how, "cluster", NULL),
            what);
    mh_plugin_guarded_done(g);
}

/* --- to the primary --------------------------------------------------------------------------------- */

static enum mh_code
code_of(int status)
{
    switch (status) {
    case 400:
        return MH_E_INVALID;
    case 422:
        return MH_E_PG;
    default:
        return MH_E_UNAVAILABLE;
    }
}

static void
on_answer(struct mh_http_call *http)
{
    struct mh_guarded *g = http->arg;
    yyjson_val *reply = NULL;
    g->posting = false;
    if (http->err.code != MH_OK) {
        fail(g, http->err.code, http->err.msg);
        return;
    }
    (void)mh_json_parse(g->call->arena, http->body_text, http->body_text_len, &reply, NULL);
    const char *why = mh_json_str(reply, "error", "message", NULL);
    if (http->status != 200 || !yyjson_is_obj(reply)) {
        fail(g, http->status == 200 ? MH_E_UNAVAILABLE : code_of(http->status),
             why ? why : "its primary gave no reason");
        return;
    }
    g->call->reply = reply;
    g->call->status = 200;
    mh_plugin_guarded_done(g);
}

/* The body for the manager: what came, without what is ours alone. */
static const char *
body_of(struct mh_guarded *g, const char *uid, const char *verifier)
{
    static const char *const copied[] = { "database", "as", "sql", "args", "params", "read" };
    yyjson_mut_doc *doc = mh_json_doc(&g->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    if (!root)
        return NULL;
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        yyjson_val *v = yyjson_obj_get(g->how, copied[i]);
        if (v && !yyjson_is_null(v))
            yyjson_mut_obj_add_val(doc, root, copied[i], yyjson_val_mut_copy(doc, v));
    }
    yyjson_mut_obj_add_strcpy(doc, root, "clusterUID", uid);
    if (verifier)
        yyjson_mut_obj_add_strcpy(doc, root, "password", verifier);
    return mh_json_mut_text(&g->arena, root, NULL);
}

static void
post(struct mh_guarded *g, const char *verifier)
{
    struct mh_plugins *all = g->work->plugin->all;
    struct mh_instances *to = all->instances;
    struct mh_arena *a = &g->arena;
    const char *ns = mh_json_str(g->how, "namespace", NULL), *ip = NULL, *ca = NULL;
    const struct mh_kind *kind = mh_kind_find(all->kinds, "Cluster");
    yyjson_val *cluster =
        mh_cache_get(all->cache, a, kind, ns, mh_json_str(g->how, "cluster", NULL), NULL);
    const char *pod = mh_json_str(cluster, "status", "currentPrimary", NULL);
    const char *uid = mh_json_str(cluster, "metadata", "uid", NULL);
    if (!cluster || !pod || !uid || !to || !to->http ||
        !mh_instances_where(to, ns, pod, &ip, &ca)) {
        fail(g, MH_E_UNAVAILABLE, cluster ? "it has no primary now" : "there is no such cluster");
        return;
    }
    bool v6 = strchr(ip, ':') != NULL;
    const char *body = body_of(g, uid, verifier);
    g->tls = (struct mh_http_tls){ .ca_pem = mh_arena_strdup(a, ca),
                                   .cert_pem = to->cert_pem,
                                   .key_pem = to->key_pem,
                                   .any_name = true };
    g->http =
        (struct mh_http_call){ .method = "POST",
                               .url = mh_arena_printf(a, "https://%s%s%s:%d%s", v6 ? "[" : "", ip,
                                                      v6 ? "]" : "", to->port, MH_PLUGIN_SQL_PATH),
                               .content_type = "application/json",
                               .body = body,
                               .body_len = body ? strlen(body) : 0,
                               .tls = &g->tls,
                               .lane = MH_HTTP_BULK,
                               .connect_timeout_ms = CONNECT_MS,
                               .timeout_ms = SQL_MS,
                               .body_max = REPLY_MAX,
                               .arena = g->call->arena,
                               .done = on_answer,
                               .arg = g };
    if (!body || !g->tls.ca_pem || !g->http.url) {
        fail(g, MH_E_NOMEM, "no memory");
        return;
    }
    g->posting = true;
    mh_http_start(to->http, &g->http);
}

/* --- the password ------------------------------------------------------------------------------------- */

static void
on_secret(struct mh_api_call *call)
{
    struct mh_guarded *g = call->arg;
    const char *key = mh_json_str(g->how, "password", "key", NULL);
    size_t len = 0;
    g->reading = false;
    if (call->err.code != MH_OK) {
        fail(g, call->err.code, call->err.msg);
        return;
    }
    yyjson_val *value = mh_json_get(call->reply, "data", key, NULL);
    char *text = yyjson_is_str(value) ? mh_base64_decode(&g->arena, yyjson_get_str(value),
                                                         yyjson_get_len(value), &len)
                                      : NULL;
    const char *verifier = text && len && strlen(text) == len
                               ? mh_pg_scram(&g->arena, &g->work->plugin->all->rand, text)
                               : NULL;
    if (!verifier)
        fail(g, MH_E_INVALID,
             "its secret has no such key, or no password of ASCII characters in it");
    else
        post(g, verifier);
}

static void
read_secret(struct mh_guarded *g)
{
    struct mh_plugin *p = g->work->plugin;
    const char *ns = mh_json_str(g->how, "namespace", NULL);
    const char *name = mh_json_str(g->how, "password", "secret", NULL);
    const struct mh_kind *kind = mh_kind_find(p->all->kinds, "Secret");
    struct mh_need_wish wish = { "get", "", "secrets", NULL, ns, name };
    struct mh_err err = { .code = MH_OK };
    const char *path = name ? mh_kube_path(&g->arena, kind, ns, name, NULL) : NULL;
    if (!path) {
        fail(g, MH_E_INVALID, "password: want a handle, as in secret(name, key)");
        return;
    }
    if (mh_plugin_may(p, p->active, &wish, NULL, &err) != MH_OK) {
        fail(g, err.code, err.msg);
        return;
    }
    g->read = (struct mh_api_call){
        .method = "GET", .path = path, .arena = &g->arena, .done = on_secret, .arg = g
    };
    g->reading = true;
    p->all->api.start(p->all->api.self, &g->read);
}

/* --- both ------------------------------------------------------------------------------------------------ */

void
mh_plugin_sql_start(struct mh_guarded *g)
{
    struct mh_plugin *p = g->work->plugin;
    struct mh_api_call *call = g->call;
    if (mh_json_parse(&g->arena, call->body, call->body_len, &g->how, &call->err) != MH_OK) {
        mh_plugin_guarded_done(g);
        return;
    }
    if (!p->active)
        fail(g, MH_E_REFUSED, "no version of the plugin is in charge");
    else if (mh_plugin_may_sql(p, p->active, g->how, NULL, &call->err) != MH_OK)
        mh_plugin_guarded_done(g);
    else if (yyjson_obj_get(g->how, "password"))
        read_secret(g);
    else
        post(g, NULL);
}

void
mh_plugin_sql_cancel(struct mh_guarded *g)
{
    const struct mh_plugins *all = g->work->plugin->all;
    if (g->reading)
        all->api.cancel(all->api.self, &g->read);
    if (g->posting)
        mh_http_cancel(all->instances->http, &g->http);
    g->reading = g->posting = false;
}
