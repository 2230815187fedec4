/* primary.c - being primary: promotion, the lease, and what the world is told. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"

#define RENEW_NS (2 * MH_NS_PER_S)
#define RENEW_TIMEOUT_MS 1000
/* After a write that nobody answered, doubled each time: an API server that is away is not asked all
 * the time, whoever wants to write. */
#define SWAP_NS (20 * MH_NS_PER_MS)
#define SWAP_DOUBLINGS 5
/* A gate that has waited for so long needs standbys that have yet to be rewound. */
#define GATE_PATIENCE_NS (200 * MH_NS_PER_MS)

/* --- compare-and-swap of the Lease ----------------------------------------------------------- */

struct swap {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    int64_t began_ns;
    bool is_read;
    void (*done)(struct mh_agent *g, bool ok);
};

static void
end_swap(struct swap *s, bool ok)
{
    struct mh_agent *g = s->g;
    void (*done)(struct mh_agent *, bool) = s->done;
    g->primary.renewing = false;
    mh_arena_release(&s->arena);
    mh_free(s);
    if (done)
        done(g, ok);
    mh_agent_wake(g);
}

static void
on_read(struct mh_api_call *call)
{
    struct swap *s = call->arg;
    if (call->err.code == MH_OK)
        (void)mh_know_lease(s->g, call->reply, true);
    else if (call->err.code == MH_E_NOTFOUND)
        (void)mh_know_lease(s->g, NULL, true);
    end_swap(s, false);
}

/* After a conflict or an unknown outcome the Lease is read, not guessed (A4, A5). */
static void
read_back(struct swap *s)
{
    const char *path = s->call.path;
    s->call = (struct mh_api_call){ .method = "GET",
                                    .path = path,
                                    .timeout_ms = RENEW_TIMEOUT_MS,
                                    .arena = &s->arena,
                                    .done = on_read,
                                    .arg = s };
    s->g->api_urgent.start(s->g->api_urgent.self, &s->call);
}

static void
wait_for_api(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    p->next_swap_ns = mh_agent_now(g) + (SWAP_NS << p->swap_failures);
    p->swap_failures += p->swap_failures < SWAP_DOUBLINGS;
}

bool
mh_primary_may_swap(const struct mh_agent *g)
{
    return mh_agent_now(g) >= g->primary.next_swap_ns;
}

static void
on_swapped(struct mh_api_call *call)
{
    struct swap *s = call->arg;
    struct mh_agent *g = s->g;
    if (call->err.code != MH_OK) {
        mh_log_err(MH_LOG_WARNING, "lease", "not renewed", &call->err);
        if (mh_class_of(call->err.code) == MH_RETRY)
            wait_for_api(g);
        read_back(s);
        return;
    }
    g->primary.swap_failures = 0;
    bool taken = mh_know_lease(g, call->reply, true);
    const struct mh_ha_lease *l = &g->know.lease;
    bool ours = taken && g->know.lease_known && mh_str_eq(l->holder, g->id.name) &&
                l->phase == MH_HA_STABLE;
    if (ours)
        g->primary.renewed_ns = s->began_ns;
    end_swap(s, ours);
}

static bool
add_annotations(struct mh_agent *g, struct mh_arena *a, yyjson_mut_doc *d, yyjson_mut_val *meta,
                uint64_t term, const struct mh_ha_config *configs, int n)
{
    yyjson_mut_val *notes = yyjson_mut_obj_add_obj(d, meta, "annotations");
    char *served = mh_arena_printf(a, "%llu", (unsigned long long)term);
    char *text = n >= 0 ? mh_ha_configs_text(a, configs, n) : NULL;
    return notes && served && (n < 0 || text) &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/served", served) &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/phase", "stable") &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/incarnation", g->own.incarnation) &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/address", g->id.address) &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/holder-uid", g->id.pod_uid) &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/holder-boot", g->id.boot) &&
           yyjson_mut_obj_add_str(d, notes, "moonherd.io/session", g->id.session) &&
           yyjson_mut_obj_add_null(d, notes, "moonherd.io/candidate") &&
           (n < 0 || yyjson_mut_obj_add_str(d, notes, "moonherd.io/configs", text));
}

static char *
swap_body(struct mh_agent *g, struct mh_arena *a, uint64_t term, const struct mh_ha_config *configs,
          int n)
{
    char *now = mh_arena_alloc(a, MH_TIME_TEXT);
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    yyjson_mut_val *meta = root ? yyjson_mut_obj_add_obj(d, root, "metadata") : NULL;
    yyjson_mut_val *spec = meta ? yyjson_mut_obj_add_obj(d, root, "spec") : NULL;
    if (!now || !spec)
        return NULL;
    mh_time_rfc3339_micro(now, g->w.clock.wall_us(g->w.clock.self));
    int64_t seconds =
        mh_json_int(g->know.cluster, 8, "spec", "primaryLease", "leaseDurationSeconds", NULL);
    bool fresh = g->know.lease.term != term || g->know.lease.phase != MH_HA_STABLE;
    if (!yyjson_mut_obj_add_str(d, meta, "resourceVersion", g->know.lease.resource_version) ||
        !add_annotations(g, a, d, meta, term, configs, n) ||
        !yyjson_mut_obj_add_str(d, spec, "holderIdentity", g->id.name) ||
        !yyjson_mut_obj_add_uint(d, spec, "leaseTransitions", term) ||
        !yyjson_mut_obj_add_int(d, spec, "leaseDurationSeconds", seconds) ||
        (fresh && !yyjson_mut_obj_add_str(d, spec, "acquireTime", now)) ||
        !yyjson_mut_obj_add_str(d, spec, "renewTime", now))
        return NULL;
    return mh_json_mut_text(a, root, NULL);
}

static bool
swap_to(struct mh_agent *g, uint64_t term, const struct mh_ha_config *configs, int n,
        void (*done)(struct mh_agent *g, bool ok))
{
    if (g->primary.renewing || !mh_primary_may_swap(g) || !g->know.lease.exists ||
        !g->know.lease.resource_version)
        return false;
    struct swap *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return false;
    mh_arena_init(&s->arena, 1 << 20);
    s->g = g;
    s->done = done;
    s->began_ns = mh_agent_now(g);
    s->call = (struct mh_api_call){ .method = "PATCH",
                                    .content_type = MH_PATCH_MERGE,
                                    .timeout_ms = RENEW_TIMEOUT_MS,
                                    .arena = &s->arena,
                                    .done = on_swapped,
                                    .arg = s };
    s->call.path = mh_arena_printf(
        &s->arena, "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s", g->id.ns, g->id.cluster);
    s->call.body = swap_body(g, &s->arena, term, configs, n);
    if (!s->call.path || !s->call.body) {
        mh_arena_release(&s->arena);
        mh_free(s);
        return false;
    }
    s->call.body_len = strlen(s->call.body);
    g->primary.renewing = true;
    g->api_urgent.start(g->api_urgent.self, &s->call);
    return true;
}

bool
mh_primary_swap(struct mh_agent *g, const struct mh_ha_config *configs, int n,
                void (*done)(struct mh_agent *g, bool ok))
{
    const struct mh_ha_lease *l = &g->know.lease;
    /* Only what is ours is renewed: not a Lease that is being fenced, was emptied, or came back from
     * the past, even if that arrived after the last look. */
    bool claimed = l->term == 1 && g->own.term == 0 && g->own.promise <= 1;
    if (g->know.lease_bad || g->order.order != MH_HA_SERVE || !mh_str_eq(l->holder, g->id.name) ||
        (l->term != g->own.term && !claimed) || l->phase == MH_HA_FENCING ||
        l->phase == MH_HA_SWITCHING)
        return false;
    return swap_to(g, l->term, configs, n, done);
}

/* --- first primary ever ---------------------------------------------------------------------- */

void
mh_primary_claim(struct mh_agent *g)
{
    struct mh_err err;
    if (!g->know.certs_ready || !g->know.lease.exists || g->primary.renewing)
        return;
    if (mh_term_store(g, 1, 0, &err)) {
        mh_agent_fail(g, err.msg);
        return;
    }
    /* If the swap's outcome stays unknown, reading the Lease tells whether this volume is the one
     * that it names; if it failed, the claim is repeated. */
    (void)swap_to(g, 1, NULL, 0, NULL);
}

/* --- promotion ------------------------------------------------------------------------------- */

static void
on_promoted(struct mh_agent *g, bool ok)
{
    if (!ok)
        g->primary.promoting = false; /* tried again at the next look */
    mh_agent_wake(g);
}

/* Read-only sessions of before must not become writers. */
static void
on_sessions_ended(struct mh_agent *g, bool ok)
{
    if (ok && g->order.order == MH_HA_SERVE && mh_agent_pg_up(g))
        mh_local_sql(g, "select pg_promote(false)", on_promoted);
    else
        on_promoted(g, false);
}

static void
on_confirmed(struct mh_api_call *call)
{
    struct swap *s = call->arg;
    struct mh_agent *g = s->g;
    bool read = call->err.code == MH_OK && mh_know_lease(g, call->reply, true);
    if (read)
        g->primary.swap_failures = 0;
    else
        wait_for_api(g);
    mh_arena_release(&s->arena);
    mh_free(s);
    const struct mh_ha_lease *l = &g->know.lease;
    if (!read || l->phase != MH_HA_PROMOTING || !mh_str_eq(l->holder, g->id.name) ||
        l->term != g->order.term || g->order.order != MH_HA_SERVE || !mh_agent_pg_up(g)) {
        g->primary.promoting = false;
        mh_agent_wake(g);
        return;
    }
    /* F14: whoever takes the same number knows by this that it was another promotion. */
    struct mh_err err;
    if (mh_term_made(g, g->pg.timeline, g->order.term, &err)) {
        mh_agent_fail(g, err.msg);
        g->primary.promoting = false;
        return;
    }
    mh_info("primary", "promotion begins");
    mh_local_sql(g, mh_end_sessions_sql, on_sessions_ended);
}

/* A quorum read of the Lease right before (3.2 step 5); gate and synchronous names are in the files
 * and loaded before PostgreSQL leaves recovery. */
static void
promote(struct mh_agent *g)
{
    struct mh_err err;
    bool changed = false;
    if (g->primary.promoting || !mh_primary_may_swap(g))
        return;
    struct swap *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return;
    mh_gate_close(g);
    mh_sync_adopt(g);
    if (mh_conf_write(g, &changed, &err)) {
        mh_agent_fail(g, err.msg);
        mh_free(s);
        return;
    }
    mh_postmaster_reload(g);
    g->primary.promoting = true;
    mh_arena_init(&s->arena, 1 << 20);
    s->g = g;
    s->call = (struct mh_api_call){
        .method = "GET", .timeout_ms = 2000, .arena = &s->arena, .done = on_confirmed, .arg = s
    };
    s->call.path = mh_arena_printf(
        &s->arena, "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s", g->id.ns, g->id.cluster);
    g->api_urgent.start(g->api_urgent.self, &s->call);
}

/* --- what the world is told ------------------------------------------------------------------ */

struct patch {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
};

static void
on_patched(struct mh_api_call *call)
{
    struct patch *p = call->arg;
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND) {
        mh_log_err(MH_LOG_WARNING, "primary", "not published, tried again", &call->err, "path",
                   call->path);
        p->g->primary.published = false;
    }
    mh_arena_release(&p->arena);
    mh_free(p);
}

static void MH_PRINTF(3, 4) send_patch(struct mh_agent *g, const char *path, const char *fmt, ...)
{
    struct patch *p = mh_calloc(1, sizeof(*p));
    va_list ap;
    if (!p)
        return;
    mh_arena_init(&p->arena, 8u << 20);
    p->g = g;
    va_start(ap, fmt);
    p->call = (struct mh_api_call){ .method = "PATCH",
                                    .path = mh_arena_strdup(&p->arena, path),
                                    .content_type = MH_PATCH_MERGE,
                                    .body = mh_arena_vprintf(&p->arena, fmt, ap),
                                    .timeout_ms = 3000,
                                    .arena = &p->arena,
                                    .done = on_patched,
                                    .arg = p };
    va_end(ap);
    if (!p->call.path || !p->call.body) {
        mh_arena_release(&p->arena);
        mh_free(p);
        return;
    }
    p->call.body_len = strlen(p->call.body);
    g->api_urgent.start(g->api_urgent.self, &p->call);
}

static void
label_pod(struct mh_agent *g, const char *pod, const char *role)
{
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", g->id.ns, pod);
    send_patch(g, path,
               "{\"metadata\":{\"labels\":{\"cnpg.io/instanceRole\":\"%s\",\"role\":\"%s\"}}}",
               role, role);
}

/* Rule 7: both pods in one breath, so that kube-proxy syncs once; then the status, which is only a
 * mirror of the Lease. */
void
mh_primary_publish(struct mh_agent *g)
{
    char now[MH_TIME_TEXT];
    char path[MH_PATH];
    const char *before = mh_json_str(g->know.cluster, "status", "currentPrimary", NULL);
    if (mh_agent_now(g) < g->primary.next_publish_ns)
        return;
    g->primary.published = true;
    g->primary.next_publish_ns = mh_agent_now(g) + MH_NS_PER_S;
    label_pod(g, g->id.name, "primary");
    if (before && *before && strcmp(before, g->id.name) != 0)
        label_pod(g, before, "replica");
    if (mh_str_eq(before, g->id.name) &&
        mh_str_eq(mh_json_str(g->know.cluster, "status", "targetPrimary", NULL), g->id.name))
        return;
    mh_time_rfc3339_micro(now, g->w.clock.wall_us(g->w.clock.self));
    (void)snprintf(path, sizeof(path), "/apis/%s/v1/namespaces/%s/clusters/%s/status", g->id.group,
                   g->id.ns, g->id.cluster);
    send_patch(g, path,
               "{\"status\":{\"currentPrimary\":\"%s\",\"currentPrimaryTimestamp\":\"%s\","
               "\"targetPrimary\":\"%s\",\"targetPrimaryTimestamp\":\"%s\"}}",
               g->id.name, now, g->id.name, now);
}

/* --- the look -------------------------------------------------------------------------------- */

void
mh_primary_reset(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    p->gate = MH_GATE_NONE;
    mh_login_forget(g);
    p->promoting = false;
    p->roles_done = false;
    p->roles_asked = false;
    p->sync_step = 0;
    p->adopting = false;
    p->nreplicas = 0;
    p->asking = false;
    p->checkpointed = false;
    p->next_checkpoint_ns = 0;
    p->next_publish_ns = 0;
    p->barrier = false;
    p->barrier_asked = false;
    p->strict_health = false;
    p->wait_ns = 0;
}

static void
checkpointed(struct mh_agent *g, bool ok)
{
    g->primary.checkpointed = ok;
    g->primary.next_checkpoint_ns = mh_agent_now(g) + 10 * MH_NS_PER_S;
}

/* pg_rewind goes by the timeline in the control file, which only a checkpoint moves. */
static void
checkpoint(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    if (p->checkpointed || g->pg.control_timeline == g->pg.timeline ||
        mh_agent_now(g) < p->next_checkpoint_ns)
        return;
    p->checkpointed = true;
    mh_slow_sql(g, "checkpoint", checkpointed);
}

void
mh_primary_tick(struct mh_agent *g)
{
    struct mh_primary *p = &g->primary;
    struct mh_err err;
    int64_t now = mh_agent_now(g);
    if (!mh_agent_pg_up(g))
        return;
    if (g->pg.in_recovery) {
        promote(g);
        return;
    }
    p->promoting = false;
    if (g->own.term < g->order.term && g->order.order == MH_HA_SERVE &&
        mh_term_store(g, g->order.term, g->order.term, &err)) {
        mh_agent_fail(g, err.msg);
        return;
    }
    mh_gate_tick(g);
    if (p->gate != MH_GATE_OPEN) {
        if (p->wait_ns && now - p->wait_ns >= GATE_PATIENCE_NS)
            checkpoint(g);
        return;
    }
    if (!p->published)
        mh_primary_publish(g);
    if (now >= p->next_renew_ns && mh_primary_swap(g, NULL, -1, NULL))
        p->next_renew_ns = now + RENEW_NS;
    mh_replication_look(g, MH_NS_PER_S);
    mh_sync_tick(g);
    mh_slots_tick(g);
    mh_accounts_tick(g);
    checkpoint(g);
}
