/* deputy.c - what a manager does when the role must move and nobody moves it (B2): it asks the other
 * managers how they are, asks core/ha what is safe, and writes that step into the Lease. Whether it is
 * the one to do so, and how long the operator is waited for, is core/ha/deputy.h. Nothing here is
 * trusted more than by the operator: what others say counts only with their durable promise, and each
 * step is a compare-and-swap. There is no state that matters: it is freed when all is well. */
#include "ha/deputy.h"

#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "ha/facts.h"
#include "ha/ranking.h"
#include "ha/swap.h"
#include "instance/standby.h"
#include "instance/status.h"

/* The same silence that the protocol takes for agreement (stable.c). */
#define QUIET_NS (3500 * MH_NS_PER_MS)
/* With an operator there, others are not asked before it had this time. */
#define LEAVE_NS (5 * MH_NS_PER_S)
#define ASK_NS (300 * MH_NS_PER_MS)
#define ASK_SELDOM_NS (2 * MH_NS_PER_S)
#define LONG_NS (60 * MH_NS_PER_S)
#define ASK_MS 900
#define POD_NS (2 * MH_NS_PER_S)
#define POD_SELDOM_NS (20 * MH_NS_PER_S)
#define RETRY_NS (500 * MH_NS_PER_MS)
#define RESTART_GRACE_NS (30 * MH_NS_PER_S)
#define API_MS 2000

enum pod { POD_UNKNOWN, POD_THERE, POD_GONE };

struct peer {
    char name[64];
    char address[64];
    struct mh_arena arena;
    struct mh_ha_member last; /* as it said; its texts are in arena */
    bool asking, answers;
    int64_t asked_ns; /* the last question */
    int64_t heard_ns; /* the last answer; without any: the first question */
    /* Its pod, whose address changes when its node starts again and which nobody writes into the status
     * while the operator is away. */
    bool pod_asked;
    int64_t pod_ns;
    enum pod pod;
    char pod_address[64];
    bool pod_deleting, pod_disk_full;
};

struct mh_deputy {
    struct peer peers[MH_HA_MEMBERS_MAX];
    int npeers;
    int64_t since_ns; /* something is wrong */
    char wanted[64];  /* version of the Lease that a step is wanted of */
    enum mh_ha_phase wanted_phase;
    int64_t wanted_ns;
    bool writing;
    int64_t next_write_ns;
    uint64_t began; /* the last term that was begun here */
};

/* --- is anything wrong? ---------------------------------------------------------------------- */

static bool
hears_primary(const struct mh_agent *g)
{
    return mh_agent_pg_up(g) && g->pg.receiving && g->pg.receipt_ns &&
           mh_agent_now(g) - g->pg.receipt_ns < QUIET_NS;
}

static bool
is_troubled(const struct mh_agent *g)
{
    const struct mh_ha_lease *l = &g->know.lease;
    yyjson_val *names = mh_json_get(g->know.cluster, "status", "instanceNames", NULL);
    if (!g->know.lease_known || g->know.lease_bad || !l->exists || !l->holder || l->term == 0 ||
        !g->has_data || !g->know.certs_ready || yyjson_arr_size(names) < 2)
        return false;
    if (l->phase != MH_HA_STABLE && l->phase != MH_HA_SUSPECT)
        return true;
    return !mh_str_eq(l->holder, g->id.name) && !g->user_fenced && !hears_primary(g);
}

void
mh_deputy_release(struct mh_agent *g)
{
    struct mh_deputy *d = g->deputy;
    for (int i = 0; d && i < d->npeers; i++)
        mh_arena_release(&d->peers[i].arena);
    mh_free(d);
    g->deputy = NULL;
}

/* --- the others ------------------------------------------------------------------------------ */

static struct peer *
peer_of(struct mh_deputy *d, const char *name)
{
    for (int i = 0; i < d->npeers; i++) {
        if (strcmp(d->peers[i].name, name) == 0)
            return &d->peers[i];
    }
    if (d->npeers == MH_HA_MEMBERS_MAX - 1)
        return NULL;
    struct peer *p = &d->peers[d->npeers++];
    mh_str_copy(p->name, sizeof(p->name), name);
    mh_arena_init(&p->arena, 1 << 20);
    return p;
}

/* Another instance, or one of another cluster, may have got the address meanwhile. */
static bool
is_it(const struct mh_agent *g, const char *name, yyjson_val *status)
{
    const char *uid = mh_json_str(g->know.cluster, "metadata", "uid", NULL);
    return uid && mh_str_eq(mh_json_str(status, "moonherd", "instance", NULL), name) &&
           mh_str_eq(mh_json_str(status, "moonherd", "clusterUID", NULL), uid);
}

static bool
keep(struct peer *p, yyjson_val *status)
{
    struct mh_arena fresh;
    yyjson_val *copy = NULL;
    struct mh_ha_member m = { .lost_ms = -1, .quiet_ms = -1 };
    mh_arena_init(&fresh, 1 << 20);
    size_t len = 0;
    char *text = mh_json_text(&fresh, status, &len);
    if (!text || mh_json_parse(&fresh, text, len, &copy, NULL) || !mh_ha_member_read(copy, &m)) {
        mh_arena_release(&fresh);
        return false;
    }
    mh_arena_release(&p->arena);
    p->arena = fresh;
    p->last = m;
    return true;
}

static void
on_member(struct mh_question *q, yyjson_val *reply)
{
    struct mh_agent *g = q->g;
    struct peer *p = g->deputy ? peer_of(g->deputy, q->instance) : NULL;
    if (!p)
        return; /* all is well again */
    p->asking = false;
    p->answers = reply && is_it(g, q->instance, reply) && keep(p, reply);
    if (p->answers)
        p->heard_ns = q->began_ns; /* it can only be younger */
}

static const char *
address_of(const struct mh_agent *g, const struct peer *p)
{
    const char *name = p->name;
    if (*p->pod_address)
        return p->pod_address;
    const struct mh_ha_lease *l = &g->know.lease;
    const char *ip =
        mh_json_str(g->know.cluster, "status", "instancesReportedState", name, "ip", NULL);
    return mh_str_eq(l->holder, name) && l->phase != MH_HA_FENCING && l->address ? l->address : ip;
}

static void
ask_all(struct mh_agent *g)
{
    struct mh_deputy *d = g->deputy;
    size_t i;
    size_t max;
    yyjson_val *item;
    int64_t now = mh_agent_now(g);
    int64_t pause = now - d->since_ns < LONG_NS ? ASK_NS : ASK_SELDOM_NS;
    yyjson_arr_foreach(mh_json_get(g->know.cluster, "status", "instanceNames", NULL), i, max, item)
    {
        const char *name = yyjson_get_str(item);
        struct peer *p = name && strcmp(name, g->id.name) != 0 ? peer_of(d, name) : NULL;
        if (!p || p->asking || (p->asked_ns && now - p->asked_ns < pause))
            continue;
        const char *ip = address_of(g, p);
        mh_str_copy(p->address, sizeof(p->address), ip ? ip : "");
        p->asked_ns = now;
        if (!p->heard_ns)
            p->heard_ns = now;
        p->answers = p->answers && *p->address;
        p->asking =
            *p->address && mh_peer_question(g, p->address, "member", p->name, ASK_MS, on_member);
    }
}

/* --- their pods ------------------------------------------------------------------------------ */

struct pod_get {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    char name[64];
};

/* It ended, and its last words to the kubelet were that there is no space. */
static bool
ended_disk_full(yyjson_val *pod)
{
    size_t i;
    size_t max;
    yyjson_val *c;
    yyjson_arr_foreach(mh_json_get(pod, "status", "containerStatuses", NULL), i, max, c)
    {
        if (!mh_str_eq(mh_json_str(c, "name", NULL), "postgres"))
            continue;
        yyjson_val *ended = mh_json_get(c, "state", "terminated", NULL);
        if (!ended && !mh_json_get(c, "state", "running", NULL))
            ended = mh_json_get(c, "lastState", "terminated", NULL);
        return mh_json_int(ended, 0, "exitCode", NULL) == MH_EXIT_DISK_FULL;
    }
    return false;
}

static void
on_pod(struct mh_api_call *call)
{
    struct pod_get *r = call->arg;
    struct peer *p = r->g->deputy ? peer_of(r->g->deputy, r->name) : NULL;
    if (p) {
        const char *ip = mh_json_str(call->reply, "status", "podIP", NULL);
        p->pod_asked = false;
        if (call->err.code == MH_OK)
            p->pod = POD_THERE;
        else if (call->err.code == MH_E_NOTFOUND)
            p->pod = POD_GONE;
        if (call->err.code == MH_OK)
            mh_str_copy(p->pod_address, sizeof(p->pod_address), ip);
        p->pod_deleting = mh_json_str(call->reply, "metadata", "deletionTimestamp", NULL) != NULL;
        p->pod_disk_full = ended_disk_full(call->reply);
    }
    mh_agent_wake(r->g);
    mh_arena_release(&r->arena);
    mh_free(r);
}

static void
get_pod(struct mh_agent *g, struct peer *p)
{
    struct pod_get *r = mh_calloc(1, sizeof(*r));
    if (!r)
        return;
    mh_arena_init(&r->arena, 8u << 20);
    r->g = g;
    mh_str_copy(r->name, sizeof(r->name), p->name);
    r->call =
        (struct mh_api_call){ .method = "GET",
                              .path = mh_arena_printf(&r->arena, "/api/v1/namespaces/%s/pods/%s",
                                                      g->id.ns, p->name),
                              .timeout_ms = API_MS,
                              .arena = &r->arena,
                              .done = on_pod,
                              .arg = r };
    if (!r->call.path) {
        mh_arena_release(&r->arena);
        mh_free(r);
        return;
    }
    p->pod_asked = true;
    p->pod_ns = mh_agent_now(g);
    g->api_urgent.start(g->api_urgent.self, &r->call);
}

/* Of the holder, and of who does not answer. */
static void
look_at_pods(struct mh_agent *g)
{
    struct mh_deputy *d = g->deputy;
    int64_t now = mh_agent_now(g);
    int64_t pause = now - d->since_ns < LONG_NS ? POD_NS : POD_SELDOM_NS;
    for (int i = 0; i < d->npeers; i++) {
        struct peer *p = &d->peers[i];
        bool wanted = !p->answers || mh_str_eq(p->name, g->know.lease.holder);
        if (wanted && !p->pod_asked && (!p->pod_ns || now - p->pod_ns >= pause))
            get_pod(g, p);
    }
}

/* --- the view -------------------------------------------------------------------------------- */

static void
add_own(struct mh_agent *g, struct mh_arena *a, struct mh_ha_view *view)
{
    yyjson_val *status = NULL;
    char *text = mh_status_line(g, a);
    struct mh_ha_member *m = &view->members[view->nmembers];
    *m = (struct mh_ha_member){ .quiet_ms = -1 };
    if (!text || mh_json_parse(a, text, strlen(text), &status, NULL) ||
        !mh_ha_member_read(status, m))
        return;
    m->name = g->id.name;
    m->address = g->id.address;
    m->connected = true;
    view->nmembers++;
}

static void
add_peer(const struct mh_agent *g, const struct peer *p, struct mh_ha_view *view)
{
    int64_t ago_ms = (mh_agent_now(g) - p->heard_ns) / MH_NS_PER_MS;
    if (p->pod == POD_GONE && !p->answers)
        return;
    struct mh_ha_member *m = &view->members[view->nmembers++];
    *m = p->last;
    m->name = p->name;
    m->address = *p->address ? p->address : NULL;
    m->connected = p->answers;
    m->lost_ms = p->answers ? 0 : ago_ms;
    m->quiet_ms = m->quiet_ms < 0 ? -1 : m->quiet_ms + ago_ms;
    m->deleting = p->pod_deleting;
}

static int64_t
spec_ms(const struct mh_agent *g, const char *key, int64_t absent_s)
{
    return mh_json_int(g->know.cluster, absent_s, "spec", key, NULL) * 1000;
}

static void
make_view(struct mh_agent *g, struct mh_arena *a, struct mh_ha_view *view)
{
    struct mh_deputy *d = g->deputy;
    int64_t now = mh_agent_now(g);
    *view = (struct mh_ha_view){
        .cluster = g->id.cluster,
        .lease = g->know.lease,
        .lease_unchanged_ms = (now - g->know.version_ns) / MH_NS_PER_MS,
        .failover_delay_ms = spec_ms(g, "failoverDelay", 0),
        .switchover_delay_ms = spec_ms(g, "switchoverDelay", 3600),
        .lease_ms =
            mh_json_int(g->know.cluster, 8, "spec", "primaryLease", "leaseDurationSeconds", NULL) *
            1000,
    };
    if (mh_str_eq(mh_json_str(g->know.cluster, "status", "phase", NULL),
                  "Primary instance is being restarted without a switchover") &&
        now - d->since_ns < RESTART_GRACE_NS)
        view->restart_hold_ms = (RESTART_GRACE_NS - (now - d->since_ns)) / MH_NS_PER_MS;
    add_own(g, a, view);
    for (int i = 0; i < d->npeers; i++)
        add_peer(g, &d->peers[i], view);
    struct mh_ha_ranking ranking;
    if (mh_ha_ranking_read(a, g->know.lease.ranking, &ranking))
        mh_ha_ranking_use(&ranking, (now - g->know.ranking_ns) / MH_NS_PER_MS,
                          (now - d->since_ns) / MH_NS_PER_MS, view);
}

/* The Cluster, or the holder's disk, says that the role stays where it is. */
static bool
is_restrained(struct mh_agent *g)
{
    yyjson_val *notes = mh_json_get(g->know.cluster, "metadata", "annotations", NULL);
    const char *holder = g->know.lease.holder;
    const struct peer *p = strcmp(holder, g->id.name) == 0 ? NULL : peer_of(g->deputy, holder);
    return !p || p->pod_disk_full || p->pod == POD_UNKNOWN ||
           mh_str_eq(mh_json_str(notes, "cnpg.io/hibernation", NULL), "on") ||
           mh_user_fences(g, holder);
}

/* --- the step -------------------------------------------------------------------------------- */

struct step {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    enum mh_ha_phase phase;
    const char *why;
};

static void
on_written(struct mh_api_call *call)
{
    struct step *s = call->arg;
    struct mh_agent *g = s->g;
    if (call->err.code == MH_OK) {
        (void)mh_know_lease(g, call->reply, true);
        mh_deputy_news(g, s->phase, s->why);
    } else {
        mh_log_err(MH_LOG_WARNING, "deputy", "the step was not written", &call->err);
    }
    if (g->deputy) {
        g->deputy->writing = false;
        g->deputy->next_write_ns = mh_agent_now(g) + (call->err.code ? RETRY_NS : 0);
    }
    mh_agent_wake(g);
    mh_arena_release(&s->arena);
    mh_free(s);
}

static void
write_step(struct mh_agent *g, const struct mh_ha_verdict *v)
{
    struct mh_deputy *d = g->deputy;
    const struct mh_ha_lease *l = &g->know.lease;
    struct step *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return;
    mh_arena_init(&s->arena, 1 << 20);
    s->g = g;
    s->phase = v->to.phase;
    s->why = mh_arena_strdup(&s->arena, v->reason);
    s->call = (struct mh_api_call){ .method = "PATCH",
                                    .content_type = MH_PATCH_MERGE,
                                    .body = mh_ha_swap_patch(&s->arena, l, &v->to),
                                    .timeout_ms = API_MS,
                                    .arena = &s->arena,
                                    .done = on_written,
                                    .arg = s };
    s->call.path = mh_arena_printf(
        &s->arena, "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s", g->id.ns, g->id.cluster);
    if (!s->call.path || !s->call.body || !s->why) {
        mh_arena_release(&s->arena);
        mh_free(s);
        return;
    }
    s->call.body_len = strlen(s->call.body);
    d->writing = true;
    d->began = v->to.term ? v->to.term : l->term;
    mh_warn("deputy", "nobody else moves the role: this manager does", "why", v->reason, "step",
            mh_ha_phase_name(v->to.phase));
    g->api_urgent.start(g->api_urgent.self, &s->call);
}

/* How long this very step is wanted. */
static int64_t
wanted_ms(struct mh_agent *g, const struct mh_ha_verdict *v)
{
    struct mh_deputy *d = g->deputy;
    int64_t now = mh_agent_now(g);
    if (!v->swap) {
        d->wanted[0] = '\0';
        return 0;
    }
    if (strcmp(d->wanted, g->know.lease_version) != 0 || d->wanted_phase != v->to.phase) {
        mh_str_copy(d->wanted, sizeof(d->wanted), g->know.lease_version);
        d->wanted_phase = v->to.phase;
        d->wanted_ns = now;
    }
    return (now - d->wanted_ns) / MH_NS_PER_MS;
}

static void
decide(struct mh_agent *g)
{
    struct mh_deputy *d = g->deputy;
    int64_t now = mh_agent_now(g);
    struct mh_arena a;
    struct mh_ha_verdict v;
    mh_arena_init(&a, 4u << 20);
    struct mh_ha_view *view = mh_arena_alloc(&a, sizeof(*view));
    if (!view) {
        mh_arena_release(&a);
        return;
    }
    make_view(g, &a, view);
    mh_ha_assess(view, &v);
    struct mh_ha_deputy in = {
        .name = g->id.name,
        .operator_here = mh_status_is_watched(g),
        .operator_ms = (now - g->operator_ns) / MH_NS_PER_MS,
        .renewed_ms = (now - g->know.renewed_ns) / MH_NS_PER_MS,
        .confirmed_ms =
            g->standby.confirmed_ns ? (now - g->standby.confirmed_ns) / MH_NS_PER_MS : -1,
        .wanted_ms = wanted_ms(g, &v),
        .began = d->began == g->know.lease.term,
        .restrained = is_restrained(g),
    };
    if (!d->writing && now >= d->next_write_ns && mh_ha_deputy_acts(view, &v, &in))
        write_step(g, &v);
    mh_arena_release(&a);
}

void
mh_deputy_tick(struct mh_agent *g)
{
    int64_t now = mh_agent_now(g);
    if (!is_troubled(g)) {
        mh_deputy_release(g);
        return;
    }
    if (!g->deputy) {
        g->deputy = mh_calloc(1, sizeof(*g->deputy));
        if (!g->deputy)
            return;
        g->deputy->since_ns = now;
    }
    if (mh_status_is_watched(g) && now - g->deputy->since_ns < LEAVE_NS)
        return;
    ask_all(g);
    look_at_pods(g);
    decide(g);
}
