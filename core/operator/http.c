/* http.c - what the operator answers over HTTP: webhooks and probes on 9443, metrics on 8080. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "net/x509.h"
#include "operator/foresee_plugin.h"
#include "operator/operator.h"
#include "operator/pages.h"

#define BODY_MAX ((size_t)8 << 20)

/* --- counters ---------------------------------------------------------------------------------- */

void
mh_operator_on_call(void *arg, const char *method, int status)
{
    struct mh_operator *op = arg;
    char labels[80];
    (void)snprintf(labels, sizeof(labels), "code=\"%d\",method=\"%s\"", status, method);
    mh_metrics_add(&op->metrics, "rest_client_requests_total", labels, 1);
}

void
mh_operator_on_pass(void *arg, const char *kind, const char *result, int64_t ns)
{
    struct mh_operator *op = arg;
    char labels[200];
    (void)snprintf(labels, sizeof(labels), "controller=\"%s\",result=\"%s\"", kind, result);
    mh_metrics_add(&op->metrics, "controller_runtime_reconcile_total", labels, 1);
    (void)snprintf(labels, sizeof(labels), "controller=\"%s\"", kind);
    mh_metrics_observe(&op->metrics, "controller_runtime_reconcile_time_seconds", labels,
                       (double)ns / 1e9);
}

void
mh_operator_foresee(void *arg, struct mh_foresee *f)
{
    struct mh_operator *op = arg;
    const struct mh_kind *kind = mh_kind_of(&op->kinds, f->object);
    f->planner = mh_scripts_planner(&op->scripts);
    f->clock = op->clock;
    f->kind = kind ? kind->key : "?";
    if (op->working && kind && mh_scripts_of(&op->scripts, kind)) {
        mh_foresee_start(f);
        return;
    }
    if (op->working) {
        mh_foresee_plugin(&op->plugins, f);
        return;
    }
    mh_fail(&f->err, MH_E_UNAVAILABLE, "this operator does not lead, or has only just begun");
    f->done(f);
}

/* What a pass said is kept beside its object. */
void
mh_operator_on_said(void *arg, const struct mh_pass_said *said)
{
    struct mh_operator *op = arg;
    struct mh_event_ref about = mh_event_ref_of(said->object);
    if (about.uid)
        mh_notebook_pass(&op->notebook, &about, said);
}

void
mh_operator_on_review(void *arg, const char *path, bool allowed, int64_t ns)
{
    struct mh_operator *op = arg;
    char labels[80];
    (void)snprintf(labels, sizeof(labels), "webhook=\"%s\",allowed=\"%s\"", path,
                   allowed ? "true" : "false");
    mh_metrics_add(&op->metrics, "moonherd_webhook_reviews_total", labels, 1);
    (void)snprintf(labels, sizeof(labels), "webhook=\"%s\"", path);
    mh_metrics_observe(&op->metrics, "moonherd_webhook_seconds", labels, (double)ns / 1e9);
}

/* A decision that is new is kept beside its object. */
static void
note_decision(struct mh_operator *op, const struct mh_decision *d, const struct mh_kind *kind,
              const char *name)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)16 << 20);
    yyjson_val *object = mh_cache_get(op->cache, &a, kind, d->namespace, name, NULL);
    struct mh_event_ref about = mh_event_ref_of(object);
    if (object && about.uid)
        mh_notebook_decision(&op->notebook, &about, d);
    mh_arena_release(&a);
}

void
mh_operator_on_decision(void *arg, const struct mh_decision *d, const struct mh_kind *kind,
                        const char *name)
{
    struct mh_operator *op = arg;
    char labels[160];
    bool built_in = d->by && strcmp(d->by, "built-in") == 0;
    (void)snprintf(labels, sizeof(labels), "point=\"%.40s\",by=\"%s\",failed=\"%s\"", d->point,
                   built_in ? "built-in" : "user", d->error ? "true" : "false");
    mh_metrics_add(&op->metrics, "moonherd_policy_decisions_total", labels, 1);
    (void)snprintf(labels, sizeof(labels), "point=\"%.40s\"", d->point);
    mh_metrics_observe(&op->metrics, "moonherd_policy_decision_seconds", labels,
                       (double)d->waited_us / 1e6);
    if (mh_policy_writer_decision(&op->writer, d, name))
        note_decision(op, d, kind, name);
}

/* An edit became active; arg is that of the news. */
void
mh_operator_on_active(void *writer, int64_t us)
{
    struct mh_operator *op = ((struct mh_policy_writer *)writer)->arg;
    mh_metrics_observe(&op->metrics, "moonherd_policy_activation_seconds", "", (double)us / 1e6);
    if (op->working) /* what it decides may be what passes already acted upon */
        mh_route_all(&op->router);
}

static void
take_policies(struct mh_operator *op)
{
    struct mh_metrics *m = &op->metrics;
    struct mh_policy_figures f;
    char labels[40];
    mh_policies_figures(op->policies, &f);
    for (int i = 0; i < MH_POLICY_STATES; i++) {
        (void)snprintf(labels, sizeof(labels), "state=\"%s\"", mh_policy_states[i]);
        mh_metrics_set(m, "moonherd_policies", labels, f.states[i]);
    }
    mh_metrics_set(m, "moonherd_policy_activations_total", "", (double)f.activations);
    mh_metrics_set(m, "moonherd_policy_rejections_total", "", (double)f.rejections);
    mh_metrics_set(m, "moonherd_policy_rollbacks_total", "", (double)f.rollbacks);
    mh_metrics_set(m, "moonherd_policy_errors_total", "", (double)f.errors);
    mh_metrics_set(m, "moonherd_policy_violations_total", "", (double)f.violations);
    mh_metrics_set(m, "moonherd_policy_replayed_total", "", (double)f.replayed);
    mh_metrics_set(m, "moonherd_policy_recorded_bytes", "", (double)f.ring_bytes);
    mh_metrics_set(m, "moonherd_policy_workers", "", mh_pool_alive(op->pool));
    mh_metrics_set(m, "moonherd_policy_workers_killed", "", mh_pool_kills(op->pool));
}

void
mh_operator_on_post(void *arg, const char *target, bool ok)
{
    struct mh_operator *op = arg;
    char labels[120];
    (void)snprintf(labels, sizeof(labels), "target=\"%.63s\",ok=\"%s\"", target,
                   ok ? "true" : "false");
    mh_metrics_add(&op->metrics, "moonherd_notifications_total", labels, 1);
}

void
mh_operator_on_told(void *arg, const struct mh_decision *d)
{
    struct mh_operator *op = arg;
    const struct mh_kind *kind = mh_kind_of(&op->kinds, d->object);
    if (kind)
        mh_operator_on_decision(arg, d, kind, d->cluster);
}

/* Gauges, as they are now. */
static void
take_gauges(struct mh_operator *op)
{
    struct mh_metrics *m = &op->metrics;
    int64_t resident, anonymous;
    size_t bytes, total;
    struct mh_kube_stats api = mh_kube_stats(op->kube);
    mh_pages_resident(&op->fs, &resident, &anonymous);
    mh_metrics_set(m, "process_resident_memory_bytes", "", (double)resident);
    mh_metrics_set(m, "moonherd_anonymous_memory_bytes", "", (double)anonymous);
    mh_metrics_set(m, "moonherd_build_info", "version=\"" MH_VERSION "\"", 1);
    mh_metrics_set(m, "leader_election_master_status", "name=\"moonherd\"", op->leading);
    mh_metrics_set(m, "moonherd_cache_objects", "", (double)mh_cache_count(op->cache, &bytes));
    mh_metrics_set(m, "moonherd_cache_bytes", "", (double)bytes);
    mh_metrics_set(m, "moonherd_instances_connected", "",
                   (double)mh_instances_connected(&op->instances, &total));
    mh_metrics_set(m, "moonherd_instances", "", (double)total);
    take_policies(op);
    mh_metrics_set(m, "moonherd_api_requests", "", (double)api.requests);
    mh_metrics_set(m, "moonherd_api_failures", "", (double)api.failures);
    mh_metrics_set(m, "moonherd_api_throttled", "", (double)api.throttled);
    mh_metrics_set(m, "moonherd_api_waiting", "", (double)api.waiting);
    mh_metrics_set(m, "moonherd_watch_relists", "", (double)api.relists);
    mh_metrics_set(m, "moonherd_watch_lost", "", (double)api.lost);
    mh_metrics_set(m, "moonherd_events_dropped", "", (double)mh_events_dropped(op->events));
    for (int i = 0; i < op->scripts.ncontrollers; i++) {
        char labels[128];
        const struct mh_controller *c = op->scripts.controllers[i];
        (void)snprintf(labels, sizeof(labels), "controller=\"%.60s\"", mh_controller_kind(c));
        mh_metrics_set(m, "moonherd_controller_heap_bytes", labels, (double)mh_controller_heap(c));
    }
    const struct mh_queue *q = &op->passes.queue;
    mh_metrics_set(m, "workqueue_depth", "name=\"passes\"",
                   op->working ? (double)mh_queue_depth(q) : 0);
    mh_metrics_set(m, "controller_runtime_active_workers", "controller=\"all\"",
                   op->working ? (double)q->running + q->running_lane : 0);
    mh_metrics_set(m, "moonherd_urgent_passes", "", op->working ? (double)q->running_lane : 0);
}

static void
on_metrics(struct mh_request *req, void *arg)
{
    struct mh_operator *op = arg;
    struct mh_buf b;
    mh_buf_init(&b, BODY_MAX);
    take_gauges(op);
    if (mh_metrics_text(&op->metrics, &b))
        mh_reply(req, 200, "text/plain; version=0.0.4", mh_buf_text(&b), b.len);
    else
        mh_reply_text(req, 500, "no memory for the metrics");
    mh_buf_release(&b);
}

/* The last passes: ?kind=&namespace=&name= for those of one object. */
static void
on_passes(struct mh_request *req, void *arg)
{
    struct mh_operator *op = arg;
    const char *kind = mh_request_query(req, "kind"), *ns = mh_request_query(req, "namespace");
    const char *name = mh_request_query(req, "name");
    const char *key =
        kind && name ? mh_arena_printf(req->arena, "%s\n%s\n%s", kind, ns ? ns : "", name) : NULL;
    struct mh_buf b;
    mh_buf_init(&b, BODY_MAX);
    if (mh_records_json(&op->records, key, false, &b))
        mh_reply(req, 200, "application/json", mh_buf_text(&b), b.len);
    else
        mh_reply_text(req, 500, "no memory for the passes");
    mh_buf_release(&b);
}

/* --- servers ----------------------------------------------------------------------------------- */

static void
on_healthz(struct mh_request *req, void *arg)
{
    (void)arg;
    mh_reply_text(req, 200, "ok");
}

static void
on_readyz(struct mh_request *req, void *arg)
{
    const struct mh_operator *op = arg;
    if (op->synced)
        mh_reply_text(req, 200, "ok");
    else
        mh_reply_text(req, 503, "the caches are not complete yet");
}

/* Serves with a certificate of its own until the real one is there. */
static enum mh_code
first_certificate(struct mh_operator *op, struct mh_arena *a, struct mh_server_tls *tls,
                  struct mh_err *err)
{
    int64_t now = op->clock.wall_us(op->clock.self) / 1000000;
    struct mh_x509_spec spec = { .cn = "moonherd-operator",
                                 .usage = MH_X509_SERVER,
                                 .not_before = now - 300,
                                 .not_after = now + 86400 };
    *tls = (struct mh_server_tls){ 0 };
    return mh_x509_issue(a, &spec, &tls->cert_pem, &tls->key_pem, err);
}

enum mh_code
mh_operator_listen(struct mh_operator *op, struct mh_err *err)
{
    struct mh_arena a;
    struct mh_server_tls tls;
    mh_arena_init(&a, (size_t)1 << 20);
    enum mh_code code = first_certificate(op, &a, &tls, err);
    if (code == MH_OK) {
        op->webhook_server = mh_server_new(op->base, "::", op->config.webhook_port, &tls, err);
        if (!op->webhook_server) /* no IPv6 here */
            op->webhook_server =
                mh_server_new(op->base, "0.0.0.0", op->config.webhook_port, &tls, err);
        code = op->webhook_server ? MH_OK : err->code;
    }
    mh_arena_release(&a);
    if (code != MH_OK)
        return code;
    /* An API server keeps its connection for 90 s: it shall be the one that closes it. */
    struct mh_server_limits limits = { .body_max = 2 * MH_WEBHOOK_BODY_MAX, .keep_s = 120 };
    mh_server_limit(op->webhook_server, &limits);
    if (op->config.metrics_port) {
        op->metrics_server =
            mh_server_new(op->base, op->config.metrics_addr, op->config.metrics_port, NULL, err);
        if (!op->metrics_server)
            return err->code;
    }
    bool ok = mh_webhook_route(op->webhook, op->webhook_server) &&
              mh_server_route(op->webhook_server, MH_GET, "/readyz", on_readyz, op) &&
              mh_server_route(op->webhook_server, MH_GET, "/healthz", on_healthz, op);
    if (ok && op->metrics_server)
        ok = mh_server_route(op->metrics_server, MH_GET, "/metrics", on_metrics, op) &&
             mh_server_route(op->metrics_server, MH_GET, "/healthz", on_healthz, op) &&
             mh_server_route(op->metrics_server, MH_GET, "/moonherd/v1/passes", on_passes, op);
    return ok ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for the servers");
}
