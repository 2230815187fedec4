#include "operator/operator.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "io/loop.h"
#include "lua/policy_ring.h"
#include "operator/pages.h"

#define REQUESTS_PER_S 600 /* who has too many says so: 429 and Retry-After hold requests back */
#define SYNC_NS (20 * MH_NS_PER_MS)
#define MINUTE_NS (60 * MH_NS_PER_S)
#define STOP_NS (4 * MH_NS_PER_S)
#define NOTED_NS (3 * MH_NS_PER_S) /* so long passes wait for the records; plugins wait for them */
#define LEASE_NAME "db9c8771.cnpg.io"
#define HOOKS_PATH "/apis/admissionregistration.k8s.io/v1/"

static const char *const reviewed[] = { "cluster", NULL };
static const char *const controllers[] = { "cluster", NULL };

/* --- work: passes run while we lead and the caches are complete --------------------------------- */

/* With the records as they are now: a plugin of which an older text was in charge here would be taken
 * back to that, and of one that is in charge before they were read the record would be lost unread. */
static void
lead_plugins(struct mh_operator *op)
{
    if (op->working && op->noted && !op->rereads)
        mh_plugins_lead(&op->plugins, true);
}

/* Likewise: what is told is noted, too. */
static void
lead_policies(struct mh_operator *op)
{
    if (op->leading && !op->rereads)
        mh_policies_hold(op->policies, false);
}

static void
begin_work(struct mh_operator *op)
{
    if (op->working || !op->leading || !op->synced || op->stopping)
        return;
    op->passes = (struct mh_passes){ .env = &op->env,
                                     .planner = mh_scripts_planner(&op->scripts),
                                     .records = &op->records,
                                     .on_done = mh_operator_on_pass,
                                     .on_said = mh_operator_on_said,
                                     .arg = op,
                                     .limit = (unsigned)op->config.workers };
    mh_passes_init(&op->passes);
    op->working = true;
    lead_plugins(op);
    mh_instances_turn(&op->instances, true);
    mh_route_all(&op->router);
    char ms[24];
    (void)snprintf(
        ms, sizeof(ms), "%lld",
        (long long)((op->clock.mono_ns(op->clock.self) - op->started_ns) / MH_NS_PER_MS));
    mh_info("operator", "passes begin", "=ms_since_start", ms);
    mh_pages_drop();
}

static void
end_work(struct mh_operator *op)
{
    if (!op->working)
        return;
    op->working = false;
    mh_plugins_lead(&op->plugins, false);
    mh_instances_turn(&op->instances, false);
    mh_passes_release(&op->passes);
}

static void
on_sync_timer(void *arg)
{
    struct mh_operator *op = arg;
    op->sync_timer = NULL;
    int64_t age = op->clock.mono_ns(op->clock.self) - op->started_ns;
    if (mh_cache_synced(op->cache, NULL) && (op->noted || age > NOTED_NS)) {
        op->synced = true;
        begin_work(op);
        return;
    }
    op->sync_timer = op->clock.after(op->clock.self, SYNC_NS, on_sync_timer, op);
}

static void
on_minute(void *arg)
{
    struct mh_operator *op = arg;
    mh_pages_drop();
    if (op->synced)
        mh_needs_sweep(&op->needs);
    op->minute_timer = op->clock.after(op->clock.self, MINUTE_NS, on_minute, op);
}

static void
on_leading(void *arg)
{
    struct mh_operator *op = arg;
    mh_info("operator", "leading");
    op->leading = true;
    if (op->noted) { /* who led before may have rolled a policy back, or taken another text into charge */
        op->rereads = true;
        mh_notebook_read(&op->notebook);
        op->rereads = op->rereads && op->notebook.reading;
    }
    lead_policies(op);
    begin_work(op);
}

static void
on_leading_lost(void *arg)
{
    struct mh_operator *op = arg;
    mh_warn("operator", "not leading any more");
    op->leading = false;
    mh_policies_hold(op->policies, true);
    end_work(op);
}

static bool
may_write(void *arg)
{
    const struct mh_operator *op = arg;
    return op->leading;
}

/* --- records of an earlier life --------------------------------------------------------------- */

static void
on_kept_policies(void *arg, const struct mh_record_of *of, yyjson_val *policies)
{
    struct mh_operator *op = arg;
    struct mh_err err;
    if (mh_plugins_is_record(policies))
        mh_plugins_restore(&op->plugins, of, policies);
    else if (mh_policies_restore(op->policies, of, policies, &err) != MH_OK)
        mh_warn("operator", "policies of a record are not taken", "namespace", of->namespace,
                "name", of->name, "error", err.msg);
}

/* They are replayed against edits, like those of this life. */
static void
on_kept_decisions(void *arg, const char *ns, const char *cluster, yyjson_val *decisions)
{
    struct mh_operator *op = arg;
    struct mh_arena a;
    yyjson_arr_iter i = yyjson_arr_iter_with(decisions);
    yyjson_val *d;
    mh_arena_init(&a, (size_t)4 << 20);
    while ((d = yyjson_arr_iter_next(&i))) {
        yyjson_val *input = yyjson_obj_get(d, "input"), *answer = yyjson_obj_get(d, "answer");
        const char *at = mh_json_str(d, "at", NULL);
        struct mh_taken like = { .ns = ns,
                                 .cluster = cluster,
                                 .point = mh_json_str(d, "point", NULL),
                                 .by = mh_json_str(d, "by", NULL),
                                 .error = mh_json_str(d, "error", NULL),
                                 .input = input ? mh_json_canonical(&a, input, NULL) : NULL,
                                 .answer = answer ? mh_json_canonical(&a, answer, NULL) : NULL };
        if (at && mh_time_parse(at, &like.at_us))
            mh_ring_add(mh_policies_ring(op->policies), &like);
    }
    mh_arena_release(&a);
}

static void
on_notebook_read(void *arg)
{
    struct mh_operator *op = arg;
    op->noted = true;
    op->rereads = false;
    mh_policies_restored(op->policies);
    lead_policies(op);
    lead_plugins(op);
}

/* --- changes ----------------------------------------------------------------------------------- */

static void
on_instance_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name,
                   bool urgent)
{
    struct mh_operator *op = arg;
    if (op->working)
        mh_queue_add(&op->passes.queue, kind->key, ns, name, urgent);
}

/* Another policy may be in charge: whatever passes asked it is asked again. */
static void
on_policy_news(void *writer, const struct mh_policy_news *news)
{
    struct mh_operator *op = ((struct mh_policy_writer *)writer)->arg;
    mh_policy_writer_news(writer, news);
    if (op->working && (news->annotation || news->reason))
        mh_route_all(&op->router);
}

static void
on_event(void *arg, yyjson_val *object, const char *type, const char *reason, const char *note)
{
    struct mh_operator *op = arg;
    mh_notify_event(&op->notify, object, type, reason, note);
}

static void
plugin_changed(struct mh_operator *op, const char *ns, const char *name, yyjson_val *now)
{
    if (now)
        mh_plugins_update(&op->plugins, now);
    else
        mh_plugins_remove(&op->plugins, ns, name);
}

/* A wrong setting costs its targets, not the operator. */
static void
start_notify(struct mh_operator *op)
{
    struct mh_err err;
    op->notify = (struct mh_notify){ .clock = op->clock,
                                     .api = op->api,
                                     .http = op->http,
                                     .policies = op->policies,
                                     .name_space = op->config.name_space,
                                     .on_decision = mh_operator_on_told,
                                     .on_post = mh_operator_on_post,
                                     .arg = op };
    if (mh_notify_init(&op->notify, &err) != MH_OK)
        mh_log_err(MH_LOG_ERROR, "notify", "not all targets are taken", &err);
}

static void
policy_changed(struct mh_operator *op, const char *ns, const char *name, yyjson_val *now)
{
    struct mh_err err;
    if (!now)
        mh_policies_remove(op->policies, ns, name);
    else if (mh_policies_update(op->policies, now, &err) != MH_OK)
        mh_warn("operator", "policies of an object are not read", "namespace", ns, "name", name,
                "error", err.msg);
}

static void
on_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name, yyjson_val *old,
          yyjson_val *now)
{
    struct mh_operator *op = arg;
    if (kind == op->pod_kind)
        mh_instances_pod(&op->instances, ns, name, now);
    if (kind == op->policy_kind)
        policy_changed(op, ns, name, now);
    if (kind == op->policy_kind)
        plugin_changed(op, ns, name, now);
    mh_needs_changed(&op->needs, kind, old, now);
    if (!now)
        mh_applied_forget(op->applied, kind->key, ns, name);
    if (!op->working)
        return;
    if (!now)
        mh_passes_forget(&op->passes, kind->key, ns, name);
    if (!now && mh_scripts_of(&op->scripts, kind))
        mh_ring_forget(mh_policies_ring(op->policies), ns ? ns : "", name);
    mh_route_change(&op->router, kind, old, now, op->env.writing);
}

static void
on_certificate(void *arg, const char *cert, const char *key)
{
    struct mh_operator *op = arg;
    struct mh_err err;
    struct mh_server_tls tls = { .cert_pem = cert, .key_pem = key };
    mh_webhook_set_key(op->webhook, key);
    if (mh_server_set_tls(op->webhook_server, &tls, &err) != MH_OK)
        mh_error("operator", "certificate of the webhooks not taken", "error", err.msg);
    else
        mh_info("operator", "certificate of the webhooks in place");
}

/* --- start ------------------------------------------------------------------------------------- */

static enum mh_code
connect_api(struct mh_operator *op, struct mh_err *err)
{
    op->base = mh_loop_new();
    if (!op->base)
        return mh_fail(err, MH_E_NOMEM, "no memory for the event loop");
    op->clock = mh_clock_real(op->base);
    op->fs = mh_fs_real();
    op->rand = mh_rand_real();
    op->http = mh_http_new(op->base);
    if (!op->clock.self || !op->http)
        return mh_fail(err, MH_E_NOMEM, "no memory for the HTTP client");
    op->started_ns = op->clock.mono_ns(op->clock.self);
    if (mh_kube_config_load(&op->kube_config, op->config.kubeconfig, err) != MH_OK)
        return err->code;
    op->kube = mh_kube_new(op->base, op->http, &op->kube_config);
    if (!op->kube)
        return mh_fail(err, MH_E_NOMEM, "no memory for the API client");
    mh_kube_set_rate(op->kube, REQUESTS_PER_S, 2 * REQUESTS_PER_S);
    op->api = mh_kube_api(op->kube);
    return MH_OK;
}

static void
prepare_needs(struct mh_operator *op)
{
    op->needs = (struct mh_needs){ .api = op->api,
                                   .clock = op->clock,
                                   .cache = op->cache,
                                   .kind = mh_kind_find(&op->kinds, "ClusterRecord"),
                                   .map_kind = op->policy_kind,
                                   .name_space = op->config.name_space,
                                   .may_write = may_write,
                                   .arg = op };
    mh_needs_init(&op->needs);
}

static enum mh_code
load_scripts(struct mh_operator *op, struct mh_err *err)
{
    op->instances = (struct mh_instances){ .clock = op->clock,
                                           .api = op->api,
                                           .base = op->base,
                                           .http = op->http,
                                           .kinds = &op->kinds,
                                           .cache = op->cache,
                                           .secrets = &op->secrets,
                                           .secret_kind = mh_kind_find(&op->kinds, "Secret"),
                                           .on_change = on_instance_change,
                                           .arg = op,
                                           .port = op->config.instance_port };
    if (mh_instances_init(&op->instances, err) != MH_OK)
        return err->code;
    op->settings = mh_config_settings(&op->config, op->instances.fingerprint);
    op->pool = mh_pool_new(op->base, NULL);
    op->policies = op->pool ? mh_policies_new(op->base, op->pool, op->config.name_space,
                                              on_policy_news, &op->writer)
                            : NULL;
    if (!op->settings || !op->policies)
        return mh_fail(err, MH_E_NOMEM, "no memory for the policies");
    op->writer.policies = op->policies;
    mh_policies_hold(op->policies, true); /* until we lead */
    start_notify(op);
    mh_policies_set_clock(op->policies, &op->clock);
    mh_policies_set_match(op->policies, mh_selector_match);
    mh_policies_on_active(op->policies, mh_operator_on_active);
    op->scripts = (struct mh_scripts_env){ .clock = op->clock,
                                           .api = op->api,
                                           .kinds = &op->kinds,
                                           .cache = op->cache,
                                           .instances = &op->instances,
                                           .policies = op->policies,
                                           .tracker = &op->tracker,
                                           .settings = op->settings,
                                           .on_decision = mh_operator_on_decision,
                                           .arg = op };
    for (const char *const *name = controllers; *name; name++)
        if (mh_scripts_load(&op->scripts, *name, err) != MH_OK)
            return err->code;
    struct mh_webhook_conf hooks = { .groups = op->config.groups,
                                     .names = reviewed,
                                     .env = op->settings,
                                     .policies = op->policies,
                                     .needs = &op->needs,
                                     .plugins = &op->plugins,
                                     .foresee = mh_operator_foresee,
                                     .on_review = mh_operator_on_review,
                                     .mono_ns = op->clock.mono_ns,
                                     .clock = op->clock.self,
                                     .arg = op };
    return mh_webhook_new(&hooks, &op->webhook, err);
}

static void
prepare_passes(struct mh_operator *op)
{
    op->env = (struct mh_act_env){ .clock = op->clock,
                                   .rand = op->rand,
                                   .api = op->api,
                                   .urgent_api = mh_kube_api_urgent(op->kube),
                                   .kinds = &op->kinds,
                                   .cache = op->cache,
                                   .events = op->events,
                                   .applied = op->applied,
                                   .instance = mh_instances_sender(&op->instances),
                                   .certificate_s = op->config.certificate_s,
                                   .on_call = mh_operator_on_call,
                                   .on_event = on_event,
                                   .arg = op };
    op->router = (struct mh_router){ op->cache, &op->kinds, &op->scripts, &op->passes.queue };
    mh_records_init(&op->records, op->config.record, op->fs);
}

static void
on_plugin_granted(void *arg, const char *ns, const char *name)
{
    struct mh_operator *op = arg;
    mh_plugins_granted(&op->plugins, ns, name);
}

static enum mh_code
prepare_plugins(struct mh_operator *op, struct mh_err *err)
{
    op->plugins = (struct mh_plugins){ .base = op->base,
                                       .clock = op->clock,
                                       .rand = op->rand,
                                       .api = op->api,
                                       .kinds = &op->kinds,
                                       .cache = op->cache,
                                       .events = op->events,
                                       .needs = &op->needs,
                                       .instances = &op->instances,
                                       .writer = &op->writer,
                                       .name_space = op->config.name_space,
                                       .namespaces = op->config.namespaces,
                                       .groups = op->config.groups,
                                       .records = &op->records,
                                       .on_done = mh_operator_on_pass,
                                       .on_said = mh_operator_on_said,
                                       .metrics = &op->metrics,
                                       .arg = op };
    op->needs.on_change = on_plugin_granted;
    return mh_plugins_init(&op->plugins, err);
}

static enum mh_code
start_certs(struct mh_operator *op, struct mh_err *err)
{
    struct mh_arena *a = &op->config.arena;
    const char *suffix = op->config.webhook_suffix ? "-" : "";
    const char *ns = op->config.webhook_suffix ? op->config.name_space : "";
    op->hooks[0] = mh_arena_printf(
        a, HOOKS_PATH "mutatingwebhookconfigurations/cnpg-mutating-webhook-configuration%s%s",
        suffix, ns);
    op->hooks[1] = mh_arena_printf(
        a, HOOKS_PATH "validatingwebhookconfigurations/cnpg-validating-webhook-configuration%s%s",
        suffix, ns);
    if (!op->hooks[0] || !op->hooks[1])
        return mh_fail(err, MH_E_NOMEM, "no memory for the names of webhooks");
    op->certs = (struct mh_certs){ .clock = op->clock,
                                   .api = op->api,
                                   .fs = op->fs,
                                   .kinds = &op->kinds,
                                   .name_space = op->config.name_space,
                                   .service = "cnpg-webhook-service",
                                   .ca_name = "cnpg-ca-secret",
                                   .cert_name = "cnpg-webhook-cert",
                                   .dir = op->config.webhook_cert_dir,
                                   .hooks = op->config.manage_webhooks ? op->hooks : NULL,
                                   .duration_s = op->config.certificate_s,
                                   .renew_s = op->config.renew_before_s,
                                   .on_ready = on_certificate,
                                   .arg = op };
    mh_certs_start(&op->certs);
    return MH_OK;
}

static enum mh_code
start_leading(struct mh_operator *op, struct mh_err *err)
{
    struct mh_leader_spec spec = { .name_space = op->config.name_space,
                                   .name = LEASE_NAME,
                                   .identity = op->config.pod,
                                   .lease_ms = op->config.lease_s * 1000,
                                   .renew_ms = op->config.renew_s * 1000,
                                   .on_started = on_leading,
                                   .on_lost = on_leading_lost,
                                   .arg = op };
    if (!op->config.leader_elect) {
        on_leading(op);
        return MH_OK;
    }
    op->leader = mh_leader_new(mh_kube_api_urgent(op->kube), op->clock, &spec);
    return op->leader ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for the leader election");
}

static enum mh_code
start(struct mh_operator *op, struct mh_err *err)
{
    if (connect_api(op, err) != MH_OK)
        return err->code;
    mh_secrets_init(&op->secrets);
    mh_metrics_init(&op->metrics);
    mh_ha_tracker_init(&op->tracker);
    if (!mh_operator_add_kinds(op))
        return mh_fail(err, MH_E_NOMEM, "no memory for the kinds, or too many API groups");
    op->cache = mh_cache_new(op->api, on_change, op);
    op->events = mh_events_new(op->api, op->clock, "moonherd", op->config.pod);
    op->applied = mh_applied_new();
    op->writer = (struct mh_policy_writer){ .api = op->api,
                                            .kind = op->policy_kind,
                                            .events = op->events,
                                            .may_write = may_write,
                                            .notebook = &op->notebook,
                                            .arg = op };
    mh_policy_writer_init(&op->writer);
    op->notebook = (struct mh_notebook){ .api = op->api,
                                         .clock = op->clock,
                                         .kind = mh_kind_find(&op->kinds, "ClusterRecord"),
                                         .namespaces = op->config.namespaces,
                                         .may_write = may_write,
                                         .on_policies = on_kept_policies,
                                         .on_decisions = on_kept_decisions,
                                         .on_read = on_notebook_read,
                                         .arg = op };
    mh_notebook_init(&op->notebook);
    if (!op->cache || !op->events || !op->applied)
        return mh_fail(err, MH_E_NOMEM, "no memory for the cache");
    prepare_needs(op);
    if (load_scripts(op, err) != MH_OK)
        return err->code;
    prepare_passes(op);
    if (prepare_plugins(op, err) != MH_OK)
        return err->code;
    if (!mh_crash_init(&op->env.crash, op->config.crash_at))
        return mh_fail(err, MH_E_INVALID, "MOONHERD_CRASH_AT is no op:kind:n[:before|after]");
    if (mh_operator_listen(op, err) != MH_OK || start_certs(op, err) != MH_OK)
        return err->code;
    if (!mh_operator_add_sources(op))
        return mh_fail(err, MH_E_NOMEM, "no memory for the watches, or an unknown kind");
    mh_notebook_read(&op->notebook);
    on_sync_timer(op);
    on_minute(op);
    return start_leading(op, err);
}

/* --- stop -------------------------------------------------------------------------------------- */

static void
leave(void *arg)
{
    struct mh_operator *op = arg;
    event_base_loopexit(op->base, NULL);
}

static void
on_stop_timer(void *arg)
{
    struct mh_operator *op = arg;
    op->stop_timer = NULL;
    leave(op);
}

/* Lets the passes that run come to their end, then gives the lease up. */
static void
on_drain(void *arg)
{
    struct mh_operator *op = arg;
    static int rounds;
    op->stop_timer = NULL;
    if (op->working && mh_passes_busy(&op->passes) && ++rounds < 100) {
        op->stop_timer = op->clock.after(op->clock.self, SYNC_NS, on_drain, op);
        return;
    }
    op->stop_timer = op->clock.after(op->clock.self, STOP_NS, on_stop_timer, op);
    if (op->leader)
        mh_leader_resign(op->leader, leave, op);
    else
        leave(op);
}

static void
on_signal(void *arg, int sig)
{
    struct mh_operator *op = arg;
    (void)sig;
    if (op->stopping) {
        leave(op);
        return;
    }
    mh_info("operator", "stopping");
    op->stopping = true;
    if (op->working)
        mh_passes_stop(&op->passes);
    on_drain(op);
}

static void
release(struct mh_operator *op)
{
    end_work(op);
    if (op->base && op->clock.self) {
        op->clock.cancel(op->clock.self, op->sync_timer);
        op->clock.cancel(op->clock.self, op->minute_timer);
        op->clock.cancel(op->clock.self, op->stop_timer);
        mh_certs_release(&op->certs);
        mh_notebook_release(&op->notebook);
    }
    mh_leader_free(op->leader);
    mh_server_free(op->webhook_server);
    mh_server_free(op->metrics_server);
    mh_webhook_free(op->webhook);
    mh_plugins_release(&op->plugins);
    mh_scripts_release(&op->scripts);
    mh_policy_writer_release(&op->writer);
    mh_instances_release(&op->instances);
    if (op->policies)
        mh_notify_release(&op->notify);
    if (op->needs.kind)
        mh_needs_release(&op->needs);
    mh_policies_free(op->policies);
    mh_pool_free(op->pool);
    mh_events_free(op->events);
    mh_cache_free(op->cache);
    mh_applied_free(op->applied);
    mh_records_release(&op->records);
    mh_kube_free(op->kube);
    mh_http_free(op->http);
    mh_secrets_release(&op->secrets);
    mh_metrics_release(&op->metrics);
    mh_ha_tracker_release(&op->tracker);
    mh_kinds_release(&op->kinds);
    mh_kube_config_release(&op->kube_config);
    mh_loop_off_signal(op->signals[0]);
    mh_loop_off_signal(op->signals[1]);
    if (op->base) {
        mh_clock_release(&op->clock);
        event_base_free(op->base);
    }
    mh_config_release(&op->config);
}

static int
print_usage(void)
{
    (void)fputs(mh_config_usage, stdout);
    return 0;
}

static int
list_crash_points(void)
{
    (void)puts(
        "MOONHERD_CRASH_AT=OP:KIND:N[:before|after] kills the operator at the N-th such action,\n"
        "before it is sent or (the default) after its answer. KIND \"*\" is any; the kind of an\n"
        "order to an instance is \"-\". Points:");
    for (const char *const *op = mh_act_ops(); *op; op++)
        printf("%s:KIND:N:before\n%s:KIND:N:after\n", *op, *op);
    return 0;
}

static int
fail_start(struct mh_operator *op, const struct mh_err *err)
{
    mh_error("operator", "start failed", "error", err->msg, "code", mh_code_name(err->code),
             "where", err->where);
    release(op);
    return 1;
}

int
mh_operator_main(int argc, char **argv)
{
    static struct mh_operator operator; /* large, and one a process */
    struct mh_operator *op = &operator;
    struct mh_err err = { .code = MH_OK };
    if (mh_config_read(&op->config, argc, argv, &err) != MH_OK) {
        (void)fprintf(stderr, "moonherd operator: %s\n", err.msg);
        return 2;
    }
    if (op->config.help || op->config.list_crash_points) {
        mh_config_release(&op->config);
        return op->config.help ? print_usage() : list_crash_points();
    }
    mh_log_set_pod(op->config.pod);
    mh_info("operator", "starting", "version", MH_VERSION, "namespace", op->config.name_space,
            "image", op->config.image);
    if (start(op, &err) != MH_OK)
        return fail_start(op, &err);
    op->signals[0] = mh_loop_on_signal(op->base, SIGTERM, on_signal, op);
    op->signals[1] = mh_loop_on_signal(op->base, SIGINT, on_signal, op);
    event_base_dispatch(op->base);
    mh_info("operator", "stopped");
    release(op);
    return 0;
}
