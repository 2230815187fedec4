/* agent.c - looks at everything, asks core/ha what to do, and starts it. Each step is small and may
 * be repeated: the next look finds what is still missing. */
#include "instance/agent.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/paths.h"
#include "instance/standby.h"

#define LEASE_S 8
#define TICK_NS (200 * MH_NS_PER_MS)
#define WAKE_NS (1 * MH_NS_PER_MS)
#define BUSY_NS (30 * MH_NS_PER_MS)

int64_t
mh_agent_now(const struct mh_agent *g)
{
    return g->w.clock.mono_ns(g->w.clock.self);
}

int
mh_agent_instances(const struct mh_agent *g)
{
    return (int)mh_json_int(g->know.cluster, 1, "spec", "instances", NULL);
}

bool
mh_agent_pg_up(const struct mh_agent *g)
{
    return g->pm.state == MH_PG_UP && g->pg.valid;
}

bool
mh_agent_is_primary(const struct mh_agent *g)
{
    return g->pm.state != MH_PG_DOWN && g->pm.as_primary && !(g->pg.valid && g->pg.in_recovery);
}

void
mh_agent_fail(struct mh_agent *g, const char *text)
{
    if (strcmp(g->failure, text) == 0)
        return;
    mh_str_copy(g->failure, sizeof(g->failure), text);
    mh_status_changed(g);
}

void
mh_agent_give_up(struct mh_agent *g)
{
    if (g->pm.hand_over)
        return;
    g->pm.hand_over = true;
    g->pm.hand_over_term = g->know.lease.term;
    mh_status_changed(g);
}

/* --- orders ---------------------------------------------------------------------------------- */

/* Rule: the promise is durable before anything is done under it. */
static bool
promise(struct mh_agent *g)
{
    struct mh_err err;
    /* An asynchronous primary that cannot renew counts on the answers of its peers (rule 5): one
     * that answered lately keeps its word for the length of the lease. */
    int64_t since = mh_agent_now(g) - g->standby.confirmed_ns;
    int64_t lease_s =
        mh_json_int(g->know.cluster, LEASE_S, "spec", "primaryLease", "leaseDurationSeconds", NULL);
    if (g->order.term > g->own.promise && g->standby.confirmed_ns && g->know.lease.nconfigs == 0 &&
        g->order.order == MH_HA_FENCE && since < lease_s * MH_NS_PER_S)
        return false;
    if (mh_term_store(g, g->order.term, 0, &err)) {
        mh_log_err(MH_LOG_ERROR, "term", "a promise cannot be written", &err);
        mh_agent_fail(g, err.msg);
        return false;
    }
    return true;
}

static int64_t
seconds_of(const struct mh_agent *g, const char *key, int64_t absent)
{
    return mh_json_int(g->know.cluster, absent, "spec", key, NULL) * MH_NS_PER_S;
}

static void
serve(struct mh_agent *g)
{
    struct mh_err err;
    if (!g->know.certs_ready)
        return;
    if (mh_rewind_is_marked(g)) {
        mh_agent_fail(g, "the data folder is half rewound: it cannot be primary");
        mh_agent_give_up(g);
        return;
    }
    if (g->pm.state == MH_PG_DOWN) {
        bool changed;
        const struct mh_ha_lease *l = &g->know.lease;
        if (l->phase == MH_HA_STABLE &&
            (!mh_str_eq(l->address, g->id.address) ||
             !mh_str_eq(l->holder_uid ? l->holder_uid : "", g->id.pod_uid) ||
             !mh_str_eq(l->session ? l->session : "", g->id.session))) {
            /* Standbys must find this pod, an older pod of this name must find out, and the end of
             * an earlier life must not be taken for that of this one. */
            (void)mh_primary_swap(g, NULL, -1, NULL);
            return;
        }
        mh_gate_close(g);
        mh_sync_adopt(g);
        if (mh_conf_write(g, &changed, &err) == MH_OK)
            mh_postmaster_start(g, g->data_primary);
        else
            mh_agent_fail(g, err.msg);
        return;
    }
    mh_primary_tick(g);
}

/* Fenced by hand: the order is kept in the term file, nothing runs under it. */
static void
rest(struct mh_agent *g)
{
    bool under_term = g->order.order != MH_HA_WAIT && g->order.order != MH_HA_CLAIM;
    if (under_term)
        (void)promise(g);
    mh_postmaster_stop(g, MH_STOP_FAST, seconds_of(g, "switchoverDelay", 3600));
}

/* F2, D4: between two crashes the gate was closed for a start as primary that does not come any more. A
 * standby has none: it lets its clients in, and its configuration is its own. */
static void
forget_role(struct mh_agent *g)
{
    if (g->pm.state == MH_PG_DOWN && g->primary.gate != MH_GATE_NONE)
        mh_primary_reset(g);
}

static void
carry_out(struct mh_agent *g)
{
    if (mh_user_fenced(g) && g->order.order != MH_HA_QUIT && g->order.order != MH_HA_HALT) {
        rest(g);
        return;
    }
    switch (g->order.order) {
    case MH_HA_WAIT:
        if (mh_agent_is_primary(g) && g->own.term > 0)
            mh_primary_tick(g); /* H4, A17: a running primary goes on */
        break;
    case MH_HA_HALT:
        mh_agent_fail(g, g->order.reason);
        mh_postmaster_stop(g, MH_STOP_IMMEDIATE, 0);
        break;
    case MH_HA_CLAIM:
        mh_primary_claim(g);
        break;
    case MH_HA_SERVE:
        if (promise(g))
            serve(g);
        break;
    case MH_HA_FOLLOW:
        forget_role(g);
        if (promise(g))
            mh_standby_follow(g);
        break;
    case MH_HA_FENCE:
        forget_role(g);
        if (promise(g))
            mh_standby_fence(g);
        break;
    case MH_HA_STEPDOWN:
        if (promise(g)) {
            mh_gate_close(g);
            mh_postmaster_stop(g, MH_STOP_FAST, seconds_of(g, "switchoverDelay", 3600));
        }
        break;
    case MH_HA_QUIT:
        /* Stop first: a disk that does not take the promise must not keep a deposed primary up. */
        mh_postmaster_stop(g, MH_STOP_IMMEDIATE, 0);
        (void)promise(g);
        break;
    }
}

/* The Lease that the order's texts come from is replaced at each renewal; the order outlives it. */
static void
keep_texts(struct mh_agent *g)
{
    struct mh_ha_self_out *o = &g->order;
    mh_str_copy(g->order_address, sizeof(g->order_address), o->address);
    mh_str_copy(g->order_follow, sizeof(g->order_follow), o->follow);
    o->address = o->address ? g->order_address : NULL;
    o->follow = o->follow ? g->order_follow : NULL;
}

/* Who must not run although the lease names it says so: else all would wait for it. A hand-over that
 * ended with the same instance is over. */
static void
note_hand_over(struct mh_agent *g, const struct mh_ha_self_out *out)
{
    struct mh_postmaster *p = &g->pm;
    const struct mh_ha_lease *l = &g->know.lease;
    /* H3: whose log served last does not ask for somebody else. */
    bool whole =
        l->served > 0 && g->own.term >= l->served && mh_str_eq(l->incarnation, g->own.incarnation);
    if (out->order == MH_HA_HALT && mh_str_eq(l->holder, g->id.name) && !whole) {
        p->halted = !p->hand_over || p->halted;
        mh_agent_give_up(g);
    } else if (out->order == MH_HA_SERVE && p->hand_over &&
               (p->halted || out->term > p->hand_over_term)) {
        p->hand_over = false;
        p->halted = false;
        p->crashes = 0;
        mh_status_changed(g);
    }
}

static void
decide(struct mh_agent *g)
{
    struct mh_ha_self_in in = {
        .name = g->id.name,
        .pod_uid = g->id.pod_uid,
        .cluster_uid = mh_json_str(g->know.cluster, "metadata", "uid", NULL),
        .lease = g->know.lease_known && !g->know.lease_bad ? &g->know.lease : NULL,
        .own = g->own,
        .has_data = g->has_data,
        .data_primary = g->data_primary,
        .running = g->pm.state != MH_PG_DOWN,
        .role = g->pm.state == MH_PG_DOWN ? MH_HA_NONE
                : mh_agent_is_primary(g)  ? MH_HA_PRIMARY
                                          : MH_HA_STANDBY,
    };
    struct mh_ha_self_out out;
    if (!in.cluster_uid)
        return;
    mh_ha_self(&in, &out);
    if (out.order != g->order.order || out.term != g->order.term) {
        char term[24];
        (void)snprintf(term, sizeof(term), "%llu", (unsigned long long)out.term);
        mh_info("agent", "new order", "order", mh_ha_order_name(out.order), "=term", term, "why",
                out.reason);
        mh_status_changed(g);
    }
    if (out.order != MH_HA_FENCE || out.term != g->order.term) {
        g->standby.fenced = false;
        g->pg.settled = 0;
    }
    if (out.order != MH_HA_HALT && out.order != g->order.order)
        g->failure[0] = '\0';
    note_hand_over(g, &out);
    g->order = out;
    keep_texts(g);
    carry_out(g);
}

/* --- the end --------------------------------------------------------------------------------- */

/* The operator deletes this pod to make it anew: nobody shall take over. */
static bool
restarts_without_switchover(const struct mh_agent *g)
{
    return mh_str_eq(mh_json_str(g->know.cluster, "status", "phase", NULL),
                     "Primary instance is being restarted without a switchover");
}

/* SIGTERM: a primary with standbys stops cleanly, says so, and lingers until somebody else holds the
 * lease (or nobody will). */
static void
terminate(struct mh_agent *g)
{
    struct mh_postmaster *p = &g->pm;
    int64_t now = mh_agent_now(g);
    if (p->state != MH_PG_DOWN) {
        if (mh_agent_is_primary(g) && mh_agent_instances(g) > 1 && !restarts_without_switchover(g))
            mh_agent_give_up(g);
        bool deposed = g->know.lease_known && (g->know.lease.phase == MH_HA_FENCING ||
                                               !mh_str_eq(g->know.lease.holder, g->id.name));
        if (mh_agent_is_primary(g) && deposed)
            mh_postmaster_stop(g, MH_STOP_IMMEDIATE, 0);
        else
            mh_postmaster_stop(g, MH_STOP_FAST, seconds_of(g, "stopDelay", 1800));
        g->terminate_ns = now;
        return;
    }
    bool heir_wanted = p->hand_over && !restarts_without_switchover(g) &&
                       mh_str_eq(g->know.lease.holder, g->id.name) &&
                       now - g->terminate_ns < 10 * MH_NS_PER_S;
    if (heir_wanted && g->know.lease.term > g->own.promise)
        (void)mh_term_store(g, g->know.lease.term, 0, NULL);
    if (!heir_wanted) {
        mh_info("agent", "instance manager ends");
        g->end(g);
    }
}

/* --- ticks ----------------------------------------------------------------------------------- */

static void
look(struct mh_agent *g)
{
    struct mh_err err;
    bool changed = false;
    if (g->terminating) {
        terminate(g);
        return;
    }
    if (!g->know.cluster || !g->ready)
        return;
    if (mh_selfstop_due(g)) {
        mh_postmaster_stop(g, MH_STOP_IMMEDIATE, 0);
        return;
    }
    if (g->standby.rewinding || g->standby.joining)
        return;
    decide(g);
    mh_know_lease_tick(g);
    mh_deputy_tick(g);
    mh_limits_tick(g);
    mh_ldap_tick(g);
    if (g->conf_dirty && g->has_data && g->know.certs_ready) {
        g->conf_dirty = false;
        bool renewed = g->know.certs_version != g->certs_loaded;
        if (mh_conf_write(g, &changed, &err)) {
            mh_agent_fail(g, err.msg);
            g->conf_dirty = true;
        } else if (changed || renewed) {
            g->certs_loaded = g->know.certs_version;
            mh_postmaster_reload(g);
        }
    }
}

static void arm(struct mh_agent *g);

static void
on_wake(void *arg)
{
    struct mh_agent *g = arg;
    g->wake_armed = false;
    g->wake_timer = NULL;
    look(g);
    arm(g);
}

void
mh_agent_wake(struct mh_agent *g)
{
    if (g->wake_armed)
        return;
    g->wake_timer = g->w.clock.after(g->w.clock.self, WAKE_NS, on_wake, g);
    g->wake_armed = g->wake_timer != NULL;
}

static bool
is_busy(const struct mh_agent *g)
{
    if (g->pm.state == MH_PG_STARTING)
        return true;
    if (g->order.order == MH_HA_FENCE)
        return true;
    return g->order.order == MH_HA_SERVE && g->primary.gate != MH_GATE_OPEN;
}

/* The regular look; arms itself. */
static void
tick(void *arg)
{
    struct mh_agent *g = arg;
    g->tick_timer = NULL;
    mh_monitor_tick(g);
    look(g);
    arm(g);
}

/* Without memory for it the next answer of anybody arms it again. */
static void
arm(struct mh_agent *g)
{
    if (!g->tick_timer && g->ready)
        g->tick_timer = g->w.clock.after(g->w.clock.self, is_busy(g) ? BUSY_NS : TICK_NS, tick, g);
}

void
mh_agent_begin(struct mh_agent *g)
{
    g->ready = true;
    g->operator_ns = mh_agent_now(g);
    /* What it confirmed in an earlier life is forgotten, not taken back. */
    if (g->own.promise > 0)
        g->standby.confirmed_ns = mh_agent_now(g);
    mh_paths_look(g);
    tick(g);
}
