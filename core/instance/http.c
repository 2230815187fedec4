/* http.c - port 8000: probes, status, the stream, commands; port 9187: metrics. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/sql.h" /* of plugins */
#include "instance/status.h"
#include "net/http_server.h"

#define STATUS_PORT 8000
#define METRICS_PORT 9187

/* --- who may --------------------------------------------------------------------------------- */

/* The operator proves itself by the key whose fingerprint it wrote into this Cluster's status: so it
 * is bound to the cluster, and a new operator is let in as soon as it has written there. */
static bool
is_operator(const struct mh_agent *g, struct mh_request *req)
{
    const char *want =
        mh_json_str(g->know.cluster, "status", "operatorCertificateFingerprint", NULL);
    if (!req->peer.present) {
        mh_reply_text(req, 401, "a client certificate is needed\n");
        return false;
    }
    if (!want || !*want || strcmp(want, req->peer.spki_sha256) != 0) {
        mh_reply_text(req, 503, "this certificate is not the operator's in the Cluster's status\n");
        return false;
    }
    return true;
}

static bool
is_peer(const struct mh_agent *g, struct mh_request *req)
{
    if (req->peer.verified && mh_str_eq(req->peer.cn, "streaming_replica"))
        return true;
    return is_operator(g, req);
}

/* --- probes ---------------------------------------------------------------------------------- */

/* The manager answers, so the container lives. A primary that must not go on stops PostgreSQL
 * itself, in less time than a liveness probe needs (rule 5, rule 6). */
static void
healthz(struct mh_request *req, void *arg)
{
    (void)arg;
    mh_reply_text(req, 200, "OK");
}

static void
readyz(struct mh_request *req, void *arg)
{
    const struct mh_agent *g = arg;
    const char *why = mh_probe_fails(g, "readiness");
    if (g->terminating)
        why = "this instance is ending\n";
    mh_reply_text(req, why ? 500 : 200, why ? why : "OK");
}

static void
startupz(struct mh_request *req, void *arg)
{
    const struct mh_agent *g = arg;
    /* Waiting for a role, rewinding and fencing are no failures to start. */
    bool skipped = g->pm.state == MH_PG_DOWN || g->standby.rewinding || g->user_fenced;
    const char *why = skipped ? NULL : mh_probe_fails(g, "startup");
    mh_reply_text(req, why ? 500 : 200, why ? why : skipped ? "Skipped" : "OK");
}

/* --- status ---------------------------------------------------------------------------------- */

static void
pg_status(struct mh_request *req, void *arg)
{
    mh_details_serve(arg, req);
}

static void
stream(struct mh_request *req, void *arg)
{
    struct mh_agent *g = arg;
    if (is_operator(g, req))
        mh_status_stream(g, req);
}

static void
peer(struct mh_request *req, void *arg)
{
    struct mh_agent *g = arg;
    int64_t term = 0;
    if (!is_peer(g, req))
        return;
    (void)mh_str_int(mh_request_query(req, "term"), 0, INT64_MAX, &term);
    char *text = mh_peer_text(g, req->arena, mh_request_query(req, "from"), (uint64_t)term);
    if (text)
        mh_reply(req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory\n");
}

/* What a manager tells another that decides in the operator's place. */
static void
member(struct mh_request *req, void *arg)
{
    struct mh_agent *g = arg;
    if (!is_peer(g, req))
        return;
    char *text = mh_status_line(g, req->arena);
    if (text)
        mh_reply(req, 200, "application/json", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory\n");
}

/* --- commands -------------------------------------------------------------------------------- */

static void
refuse(struct mh_request *req, int status, const char *code, const char *message)
{
    char *text = mh_arena_printf(req->arena, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
                                 code, message);
    if (text)
        mh_reply(req, status, "application/json", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory\n");
}

static void
accept_command(struct mh_request *req)
{
    static const char ok[] = "{\"ok\":true}";
    mh_reply(req, 200, "application/json", ok, sizeof(ok) - 1);
}

static void
stop_for_restart(struct mh_agent *g, bool ok)
{
    (void)ok; /* the checkpoint only makes the stop shorter */
    g->restarting = false;
    if (mh_agent_is_primary(g))
        mh_gate_close(g);
    mh_postmaster_stop(g, MH_STOP_FAST, 60 * MH_NS_PER_S);
}

/* The look starts it again, as whatever the Lease says then. */
static void
restart(struct mh_agent *g)
{
    if (g->restarting || g->pm.state != MH_PG_UP)
        return; /* it is about to be, or has just been */
    g->restarting = true;
    if (mh_agent_is_primary(g))
        mh_slow_sql(g, "checkpoint", stop_for_restart);
    else
        stop_for_restart(g, true);
}

/* Bound to the cluster's UID (S9). Whatever is commanded, the Lease decides: "lease" only brings a
 * newer one to an instance that cannot reach the API server itself. */
static void
command(struct mh_request *req, void *arg)
{
    struct mh_agent *g = arg;
    struct mh_err err;
    yyjson_val *body = NULL;
    if (!is_operator(g, req))
        return;
    if (mh_json_parse(req->arena, req->body, req->body_len, &body, &err)) {
        refuse(req, 400, "BAD_REQUEST", "the body is no JSON");
        return;
    }
    const char *what = mh_json_str(body, "command", NULL);
    if (!mh_str_eq(mh_json_str(body, "clusterUID", NULL),
                   mh_json_str(g->know.cluster, "metadata", "uid", NULL))) {
        refuse(req, 403, "OTHER_CLUSTER", "the command names another cluster's UID");
    } else if (mh_str_eq(what, "lease")) {
        yyjson_val *lease = mh_json_get(body, "lease", NULL);
        if (mh_str_eq(mh_json_str(lease, "metadata", "name", NULL), g->id.cluster))
            (void)mh_know_lease(g, lease, false);
        accept_command(req);
    } else if (mh_str_eq(what, "reload")) {
        g->conf_dirty = true;
        mh_postmaster_reload(g);
        mh_agent_wake(g);
        accept_command(req);
    } else if (mh_str_eq(what, "restart")) {
        restart(g);
        accept_command(req);
    } else {
        refuse(req, 400, "UNKNOWN_COMMAND", "known are: lease, reload, restart");
    }
}

/* A statement of a plugin; the operator has held it against what the plugin was granted. */
static void
plugin_sql(struct mh_request *req, void *arg)
{
    struct mh_agent *g = arg;
    yyjson_val *body = NULL;
    if (!is_operator(g, req))
        return;
    if (mh_json_parse(req->arena, req->body, req->body_len, &body, NULL))
        refuse(req, 400, "BAD_REQUEST", "the body is no JSON");
    else if (!mh_str_eq(mh_json_str(body, "clusterUID", NULL),
                        mh_json_str(g->know.cluster, "metadata", "uid", NULL)))
        refuse(req, 403, "OTHER_CLUSTER", "the statement names another cluster's UID");
    else
        mh_sql_serve(g, req, body);
}

/* --- metrics --------------------------------------------------------------------------------- */

static void
metrics(struct mh_request *req, void *arg)
{
    const struct mh_agent *g = arg;
    bool primary = mh_agent_is_primary(g);
    char *text = mh_arena_printf(
        req->arena,
        "# HELP cnpg_collector_up 1 if PostgreSQL is up, 0 otherwise.\n"
        "# TYPE cnpg_collector_up gauge\n"
        "cnpg_collector_up{cluster=\"%s\"} %d\n"
        "# HELP cnpg_collector_fencing_on 1 if the instance is fenced, 0 otherwise.\n"
        "# TYPE cnpg_collector_fencing_on gauge\n"
        "cnpg_collector_fencing_on %d\n"
        "# HELP moonherd_instance_primary 1 if this instance is primary.\n"
        "# TYPE moonherd_instance_primary gauge\n"
        "moonherd_instance_primary %d\n"
        "# HELP moonherd_instance_gate_open 1 if clients are let in by the primary's gate.\n"
        "# TYPE moonherd_instance_gate_open gauge\n"
        "moonherd_instance_gate_open %d\n"
        "# HELP moonherd_instance_term The term that this instance serves or follows.\n"
        "# TYPE moonherd_instance_term gauge\n"
        "moonherd_instance_term %llu\n"
        "# HELP moonherd_instance_crashes_total Unexpected ends of PostgreSQL.\n"
        "# TYPE moonherd_instance_crashes_total counter\n"
        "moonherd_instance_crashes_total %d\n",
        g->id.cluster, mh_agent_pg_up(g), g->user_fenced, primary, mh_gate_is_open(g),
        (unsigned long long)g->own.term, g->pm.crashes);
    if (text)
        mh_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", text, strlen(text));
    else
        mh_reply_text(req, 500, "no memory\n");
}

/* --- servers --------------------------------------------------------------------------------- */

static struct mh_server_tls
tls_of(const struct mh_agent *g)
{
    return (struct mh_server_tls){ .cert_pem = g->know.server_cert,
                                   .key_pem = g->know.server_key,
                                   .client_ca_pem = g->know.client_ca };
}

static enum mh_code
first_time(struct mh_agent *g, struct mh_err *err)
{
    struct mh_server_tls tls = tls_of(g);
    const char *address = g->id.bind ? g->id.bind : "0.0.0.0";
    struct mh_server *s = mh_server_new(g->base, address, STATUS_PORT, &tls, err);
    if (!s)
        return err->code;
    if (!mh_server_route(s, MH_GET, "/healthz", healthz, g) ||
        !mh_server_route(s, MH_GET, "/readyz", readyz, g) ||
        !mh_server_route(s, MH_GET, "/startupz", startupz, g) ||
        !mh_server_route(s, MH_GET, "/failsafe", healthz, g) ||
        !mh_server_route(s, MH_GET, "/pg/status", pg_status, g) ||
        !mh_server_route(s, MH_GET, "/moonherd/v1/stream", stream, g) ||
        !mh_server_route(s, MH_GET, "/moonherd/v1/peer", peer, g) ||
        !mh_server_route(s, MH_GET, "/moonherd/v1/member", member, g) ||
        !mh_server_route(s, MH_POST, "/moonherd/v1/sql", plugin_sql, g) ||
        !mh_server_route(s, MH_POST, "/moonherd/v1/command", command, g)) {
        mh_server_free(s);
        return mh_fail(err, MH_E_NOMEM, "no memory for the routes");
    }
    struct mh_server *m = mh_server_new(g->base, address, METRICS_PORT, NULL, err);
    if (!m || !mh_server_route(m, MH_GET, "/metrics", metrics, g)) {
        mh_server_free(m);
        mh_server_free(s);
        return m ? mh_fail(err, MH_E_NOMEM, "no memory for the routes") : err->code;
    }
    g->server = s;
    return MH_OK;
}

enum mh_code
mh_http_serve(struct mh_agent *g, struct mh_err *err)
{
    if (!g->server)
        return first_time(g, err);
    struct mh_server_tls tls = tls_of(g);
    return mh_server_set_tls(g->server, &tls, err);
}
