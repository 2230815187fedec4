/* model_http.c - port 8000 of a modelled instance: probes, status, the stream, commands. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "net/crypto.h"
#include "net/http_server.h"
#include "sandbox/model_in.h"

#define PORT 8000
#define PUSH_NS (5 * MH_NS_PER_MS)
#define STATUS_MAX ((size_t)1 << 20)

/* --- the status ------------------------------------------------------------------------------ */

static bool
add_lsn(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, uint64_t lsn)
{
    char text[MH_LSN_TEXT];
    mh_lsn_text(text, lsn);
    yyjson_mut_val *k = yyjson_mut_str(d, key);
    return k && yyjson_mut_obj_add(o, k, yyjson_mut_strcpy(d, text));
}

static bool
add_history(const struct mh_sb_model_volume *v, yyjson_mut_doc *d, yyjson_mut_val *o)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, o, "history");
    for (int i = 0; list && i < v->nhistory; i++) {
        char text[MH_LSN_TEXT];
        yyjson_mut_val *pair = yyjson_mut_arr_add_arr(d, list);
        mh_lsn_text(text, v->history[i].end);
        if (!pair || !yyjson_mut_arr_add_uint(d, pair, v->history[i].timeline) ||
            !yyjson_mut_arr_add_strcpy(d, pair, text))
            return false;
    }
    return list != NULL;
}

static bool
add_ours(struct mh_sb_model_member *x, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    const struct mh_sb_model_volume *v = x->volume;
    yyjson_mut_val *m = yyjson_mut_obj_add_obj(d, root, "moonherd");
    const char *role = x->role == MH_HA_NONE      ? "none"
                       : x->role == MH_HA_PRIMARY ? "primary"
                                                  : "standby";
    const char *phase = x->role == MH_HA_NONE ? "stopped"
                        : !x->up              ? "starting"
                        : x->fenced           ? "fenced"
                                              : "running";
    const char *gate = x->role != MH_HA_PRIMARY ? "none" : x->gate ? "open" : "closed";
    bool clean = x->role == MH_HA_NONE && x->stopped_clean;
    return m && yyjson_mut_obj_add_str(d, m, "instance", x->name) &&
           yyjson_mut_obj_add_str(d, m, "podUID", x->uid) &&
           yyjson_mut_obj_add_str(d, m, "incarnation", v->own.incarnation) &&
           yyjson_mut_obj_add_str(d, m, "bootID", "modelled") &&
           yyjson_mut_obj_add_str(d, m, "address", x->ip) &&
           yyjson_mut_obj_add_str(d, m, "role", role) &&
           yyjson_mut_obj_add_str(d, m, "phase", phase) &&
           yyjson_mut_obj_add_str(d, m, "order", mh_ha_order_name(x->order.order)) &&
           yyjson_mut_obj_add_bool(d, m, "pgUp", x->up) &&
           yyjson_mut_obj_add_bool(d, m, "handOver", x->hand_over) &&
           yyjson_mut_obj_add_uint(d, m, "promise", v->own.promise) &&
           yyjson_mut_obj_add_uint(d, m, "term", v->own.term) &&
           yyjson_mut_obj_add_bool(d, m, "fenced", x->fenced) &&
           yyjson_mut_obj_add_str(d, m, "gate", gate) &&
           yyjson_mut_obj_add_bool(d, m, "receiverActive", x->up && x->receiving) &&
           yyjson_mut_obj_add_int(d, m, "receiverQuietMs", x->receiving ? 0 : -1) &&
           yyjson_mut_obj_add_bool(d, m, "stoppedClean", clean) &&
           add_lsn(d, m, "shutdownLsn", clean ? v->lsn : 0) && add_lsn(d, m, "flushLsn", v->lsn) &&
           yyjson_mut_obj_add_uint(d, m, "timeline", v->timeline) && add_history(v, d, m) &&
           yyjson_mut_obj_add_int(d, m, "crashes", 0) &&
           yyjson_mut_obj_add_bool(d, m, "initialized", v->has_data) &&
           yyjson_mut_obj_add_str(d, m, "failure", "") &&
           yyjson_mut_obj_add_uint(d, m, "seq", ++x->seq);
}

static bool
add_contract(const struct mh_sb_model_member *x, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    const struct mh_sb_model_volume *v = x->volume;
    bool primary = x->up && x->role == MH_HA_PRIMARY;
    yyjson_mut_val *pod = yyjson_mut_obj_add_obj(d, root, "pod");
    yyjson_mut_val *meta = pod ? yyjson_mut_obj_add_obj(d, pod, "metadata") : NULL;
    return meta && yyjson_mut_obj_add_str(d, meta, "name", x->name) &&
           yyjson_mut_obj_add_str(d, root, "node", x->node) &&
           yyjson_mut_obj_add_bool(d, root, "isPrimary", primary) &&
           add_lsn(d, root, "currentLsn", primary ? v->lsn : 0) &&
           add_lsn(d, root, "receivedLsn", v->lsn) && add_lsn(d, root, "replayLsn", v->lsn) &&
           yyjson_mut_obj_add_str(d, root, "systemID", v->system_id) &&
           yyjson_mut_obj_add_bool(d, root, "replayPaused", false) &&
           yyjson_mut_obj_add_bool(d, root, "pendingRestart", false) &&
           yyjson_mut_obj_add_bool(d, root, "pendingRestartForDecrease", false) &&
           yyjson_mut_obj_add_bool(d, root, "isWalReceiverActive", x->up && x->receiving) &&
           yyjson_mut_obj_add_bool(d, root, "isPgRewindRunning", false) &&
           yyjson_mut_obj_add_bool(d, root, "mightBeUnavailable", false) &&
           yyjson_mut_obj_add_bool(d, root, "isArchivingWAL", false) &&
           yyjson_mut_obj_add_uint(d, root, "timeLineID", v->timeline) &&
           yyjson_mut_obj_add_str(d, root, "loadedConfigurationHash", "") &&
           yyjson_mut_obj_add_str(d, root, "executableHash", "") &&
           yyjson_mut_obj_add_str(d, root, "instanceManagerVersion", MH_VERSION) &&
           yyjson_mut_obj_add_bool(d, root, "isInstanceManagerUpgrading", false) &&
           yyjson_mut_obj_add_str(d, root, "sessionID", x->session) &&
           yyjson_mut_obj_add_arr(d, root, "replicationInfo");
}

char *
mh_sb_model_status(struct mh_sb_model_member *x, struct mh_arena *a)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    if (!root || !x->volume || !add_contract(x, d, root) || !add_ours(x, d, root))
        return NULL;
    return mh_json_mut_text(a, root, NULL);
}

/* --- the stream ------------------------------------------------------------------------------ */

static void
send_line(struct mh_sb_model_member *x, struct mh_stream *only)
{
    struct mh_arena a;
    bool any = false;
    for (int i = 0; i < MH_SB_MODEL_STREAMS; i++)
        any = any || x->streams[i];
    if (!any)
        return;
    mh_arena_init(&a, STATUS_MAX);
    char *text = mh_sb_model_status(x, &a);
    char *line = text ? mh_arena_printf(&a, "%s\n", text) : NULL;
    for (int i = 0; line && i < MH_SB_MODEL_STREAMS; i++) {
        if (x->streams[i] && (!only || x->streams[i] == only))
            (void)mh_stream_send(x->streams[i], line, strlen(line));
    }
    mh_arena_release(&a);
}

static void
on_push(void *arg)
{
    struct mh_sb_model_member *x = arg;
    x->push = NULL;
    send_line(x, NULL);
}

void
mh_sb_model_changed(struct mh_sb_model_member *x)
{
    if (x->server && !x->push)
        x->push = x->m->clock.after(x->m->clock.self, PUSH_NS, on_push, x);
}

void
mh_sb_model_heartbeat(struct mh_sb_model_member *x)
{
    send_line(x, NULL);
}

static void
on_closed(void *arg)
{
    struct mh_stream **st = arg;
    *st = NULL;
}

/* --- routes ---------------------------------------------------------------------------------- */

static bool
is_operator(const struct mh_sb_model_member *x, struct mh_request *req)
{
    const char *want = x->cluster->fingerprint;
    if (!req->peer.present) {
        mh_reply_text(req, 401, "a client certificate is needed\n");
        return false;
    }
    if (!*want || strcmp(want, req->peer.spki_sha256) != 0) {
        mh_reply_text(req, 503, "this certificate is not the operator's in the Cluster's status\n");
        return false;
    }
    return true;
}

static void
healthz(struct mh_request *req, void *arg)
{
    (void)arg;
    mh_reply_text(req, 200, "OK");
}

static void
readyz(struct mh_request *req, void *arg)
{
    const struct mh_sb_model_member *x = arg;
    if (x->up && !x->ending)
        mh_reply_text(req, 200, "OK");
    else
        mh_reply_text(req, 500, "PostgreSQL does not accept connections\n");
}

static void
pg_status(struct mh_request *req, void *arg)
{
    char *text = mh_sb_model_status(arg, req->arena);
    if (text)
        mh_reply(req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory for the status\n");
}

static void
stream(struct mh_request *req, void *arg)
{
    struct mh_sb_model_member *x = arg;
    if (!is_operator(x, req))
        return;
    for (int i = 0; i < MH_SB_MODEL_STREAMS; i++) {
        if (x->streams[i])
            continue;
        x->streams[i] = mh_stream_start(req, "application/x-ndjson");
        if (x->streams[i]) {
            mh_stream_on_close(x->streams[i], on_closed, &x->streams[i]);
            send_line(x, x->streams[i]);
        }
        return;
    }
    mh_reply_text(req, 503, "too many streams\n");
}

static void
command(struct mh_request *req, void *arg)
{
    static const char ok[] = "{\"ok\":true}";
    struct mh_sb_model_member *x = arg;
    yyjson_val *body = NULL;
    struct mh_err err;
    if (!is_operator(x, req))
        return;
    if (mh_json_parse(req->arena, req->body, req->body_len, &body, &err) != MH_OK) {
        mh_reply_text(req, 400, "the body is no JSON\n");
        return;
    }
    const char *what = mh_json_str(body, "command", NULL);
    yyjson_val *lease = mh_json_get(body, "lease", NULL);
    if (!mh_str_eq(mh_json_str(body, "clusterUID", NULL), x->cluster->uid)) {
        mh_reply_text(req, 403, "the command names another cluster's UID\n");
        return;
    }
    mh_reply(req, 200, "application/json", ok, sizeof(ok) - 1);
    if (mh_str_eq(what, "restart"))
        mh_sb_model_stop_pg(x, true);
    if (mh_str_eq(what, "lease") && lease)
        mh_sb_model_lease(x->cluster, lease);
    mh_sb_model_decide(x);
}

static bool
add_routes(struct mh_server *s, struct mh_sb_model_member *x)
{
    return mh_server_route(s, MH_GET, "/healthz", healthz, x) &&
           mh_server_route(s, MH_GET, "/readyz", readyz, x) &&
           mh_server_route(s, MH_GET, "/startupz", healthz, x) &&
           mh_server_route(s, MH_GET, "/pg/status", pg_status, x) &&
           mh_server_route(s, MH_GET, "/moonherd/v1/stream", stream, x) &&
           mh_server_route(s, MH_POST, "/moonherd/v1/command", command, x);
}

/* --- certificates ---------------------------------------------------------------------------- */

static void
listen_now(struct mh_sb_model_member *x)
{
    struct mh_err err = { 0 };
    struct mh_server_tls tls = { .cert_pem = x->cert,
                                 .key_pem = x->key_pem,
                                 .client_ca_pem = x->ca };
    if (x->server) {
        if (mh_server_set_tls(x->server, &tls, &err) != MH_OK)
            mh_log_err(MH_LOG_WARNING, "model", "the old certificate stays", &err, "pod", x->key);
        return;
    }
    x->server = mh_server_new(x->m->loop, x->ip, PORT, &tls, &err);
    if (x->server && !add_routes(x->server, x)) {
        mh_server_free(x->server);
        x->server = NULL;
    }
    if (!x->server)
        mh_log_err(MH_LOG_WARNING, "model", "an instance does not listen", &err, "pod", x->key);
    mh_sb_model_decide(x);
}

static bool
take(struct mh_api_call *call, const char *key, char **to)
{
    const char *b64 = mh_json_str(call->reply, "data", key, NULL);
    char *text = b64 ? mh_base64_decode(call->arena, b64, strlen(b64), NULL) : NULL;
    char *copy = text ? mh_strdup(text) : NULL;
    if (!copy)
        return false;
    mh_free(*to);
    *to = copy;
    return true;
}

static void
on_ca(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    x->asking = false;
    if (call->err.code == MH_OK && take(call, "ca.crt", &x->ca))
        listen_now(x);
}

static void
on_server_secret(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    char path[400];
    bool ok = call->err.code == MH_OK && take(call, "tls.crt", &x->cert) &&
              take(call, "tls.key", &x->key_pem);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets/%s", x->ns,
                   x->cluster->client_ca);
    x->asking = ok && mh_sb_model_ask(x, "GET", path, NULL, NULL, on_ca);
}

void
mh_sb_model_serve(struct mh_sb_model_member *x)
{
    char path[400];
    if (x->asking || x->is_job || x->ending || !x->cluster || !x->cluster->uid[0] || !x->m->loop)
        return;
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/secrets/%s", x->ns,
                   x->cluster->server_secret);
    x->asking = mh_sb_model_ask(x, "GET", path, NULL, NULL, on_server_secret);
}

void
mh_sb_model_hush(struct mh_sb_model_member *x)
{
    if (x->server)
        mh_server_free(x->server);
    x->server = NULL;
}
