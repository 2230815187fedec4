/* status.c - what this instance says of itself: /pg/status, the stream, the peers' question.
 * Names and meaning: the contract's PostgresqlStatus, and ours under "moonherd". */
#include "instance/status.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#define PUSH_NS (5 * MH_NS_PER_MS)
#define HEARTBEAT_NS (1 * MH_NS_PER_S)
#define STREAMS_MAX 8

struct stream {
    struct mh_status *status;
    struct mh_stream *out;
};

struct mh_status {
    struct mh_agent *g;
    struct stream streams[STREAMS_MAX];
    struct mh_timer *push;
    struct mh_timer *beat;
    uint64_t seq;
};

static const char *
phase_of(const struct mh_agent *g)
{
    if (g->standby.rewinding)
        return "rewinding";
    switch (g->pm.state) {
    case MH_PG_STARTING:
        return "starting";
    case MH_PG_STOPPING:
        return "stopping";
    case MH_PG_UP:
        return g->standby.fenced ? "fenced" : "running";
    case MH_PG_DOWN:
        break;
    }
    return g->failure[0] ? "failed" : "stopped";
}

static const char *
gate_of(const struct mh_agent *g)
{
    return g->primary.gate == MH_GATE_NONE   ? "none"
           : g->primary.gate == MH_GATE_OPEN ? "open"
                                             : "closed";
}

static bool
add_lsn(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, uint64_t lsn)
{
    char text[MH_LSN_TEXT];
    mh_lsn_text(text, lsn);
    yyjson_mut_val *k = yyjson_mut_str(d, key);
    return k && yyjson_mut_obj_add(o, k, yyjson_mut_strcpy(d, text));
}

static bool
add_lineage(const struct mh_agent *g, yyjson_mut_doc *d, yyjson_mut_val *o)
{
    const struct mh_pgview *p = &g->pg;
    const struct mh_ha_makers *m = &g->own.makers;
    yyjson_mut_val *list = mh_ha_history_json(d, p->history, p->nhistory, m);
    return list && yyjson_mut_obj_add_uint(d, o, "timeline", p->timeline) &&
           yyjson_mut_obj_add_uint(d, o, "timelineTerm", mh_ha_maker(m, p->timeline)) &&
           yyjson_mut_obj_add_val(d, o, "history", list);
}

static int64_t
quiet_ms(const struct mh_agent *g)
{
    if (!g->pg.receiving || !g->pg.receipt_ns)
        return -1;
    return (mh_agent_now(g) - g->pg.receipt_ns) / MH_NS_PER_MS;
}

static bool
add_roles(const struct mh_agent *g, yyjson_mut_doc *d, yyjson_mut_val *m)
{
    bool up = mh_agent_pg_up(g);
    bool primary = mh_agent_is_primary(g);
    const char *role = g->pm.state == MH_PG_DOWN ? "none" : primary ? "primary" : "standby";
    bool clean = g->pm.state == MH_PG_DOWN && g->pm.clean && g->pm.shutdown_lsn > 0;
    return yyjson_mut_obj_add_str(d, m, "instance", g->id.name) &&
           (!*g->id.pod_uid || yyjson_mut_obj_add_str(d, m, "podUID", g->id.pod_uid)) &&
           yyjson_mut_obj_add_str(d, m, "clusterUID", g->own.cluster_uid) &&
           yyjson_mut_obj_add_str(d, m, "incarnation", g->own.incarnation) &&
           yyjson_mut_obj_add_str(d, m, "bootID", g->id.boot) &&
           yyjson_mut_obj_add_str(d, m, "address", g->id.address) &&
           yyjson_mut_obj_add_str(d, m, "role", role) &&
           yyjson_mut_obj_add_str(d, m, "phase", phase_of(g)) &&
           yyjson_mut_obj_add_str(d, m, "order", mh_ha_order_name(g->order.order)) &&
           yyjson_mut_obj_add_bool(d, m, "pgUp", up) &&
           yyjson_mut_obj_add_bool(d, m, "handOver", g->pm.hand_over) &&
           (!g->pm.disk_full || yyjson_mut_obj_add_bool(d, m, "diskFull", true)) &&
           yyjson_mut_obj_add_uint(d, m, "promise", g->own.promise) &&
           yyjson_mut_obj_add_uint(d, m, "term", g->own.term) &&
           yyjson_mut_obj_add_bool(d, m, "fenced", g->standby.fenced) &&
           yyjson_mut_obj_add_str(d, m, "gate", gate_of(g)) &&
           yyjson_mut_obj_add_bool(d, m, "receiverActive", up && g->pg.receiving) &&
           yyjson_mut_obj_add_int(d, m, "receiverQuietMs", quiet_ms(g)) &&
           yyjson_mut_obj_add_bool(d, m, "stoppedClean", clean) &&
           add_lsn(d, m, "shutdownLsn", clean ? g->pm.shutdown_lsn : 0);
}

static bool
add_ours(const struct mh_agent *g, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    yyjson_mut_val *m = yyjson_mut_obj_add_obj(d, root, "moonherd");
    return m && add_roles(g, d, m) && add_lsn(d, m, "flushLsn", g->pg.flush_lsn) &&
           add_lineage(g, d, m) && yyjson_mut_obj_add_int(d, m, "crashes", g->pm.crashes) &&
           yyjson_mut_obj_add_bool(d, m, "initialized", g->has_data) &&
           yyjson_mut_obj_add_str(d, m, "configRead", g->conf_read) &&
           yyjson_mut_obj_add_int(d, m, "startedAt", g->pm.started_at) &&
           yyjson_mut_obj_add_str(d, m, "failure", g->failure) &&
           yyjson_mut_obj_add_uint(d, m, "seq", ++g->status->seq);
}

static bool
add_contract(const struct mh_agent *g, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    const struct mh_pgview *p = &g->pg;
    bool up = mh_agent_pg_up(g);
    yyjson_mut_val *pod = yyjson_mut_obj_add_obj(d, root, "pod");
    yyjson_mut_val *meta = pod ? yyjson_mut_obj_add_obj(d, pod, "metadata") : NULL;
    const char *node = g->id.node ? g->id.node : "";
    bool away = g->user_fenced || (g->pm.state == MH_PG_STOPPING && g->pm.wanted_stop);
    return meta && yyjson_mut_obj_add_str(d, meta, "name", g->id.name) &&
           yyjson_mut_obj_add_str(d, root, "node", node) &&
           yyjson_mut_obj_add_bool(d, root, "isPrimary", up && !p->in_recovery) &&
           add_lsn(d, root, "currentLsn", p->current_lsn) &&
           add_lsn(d, root, "receivedLsn",
                   p->receive_lsn > p->replay_lsn ? p->receive_lsn : p->replay_lsn) &&
           add_lsn(d, root, "replayLsn", p->replay_lsn) &&
           yyjson_mut_obj_add_str(d, root, "systemID", p->system_id) &&
           yyjson_mut_obj_add_bool(d, root, "replayPaused", p->replay_paused) &&
           yyjson_mut_obj_add_bool(d, root, "pendingRestart", mh_limits_pending_restart(g)) &&
           yyjson_mut_obj_add_bool(d, root, "pendingRestartForDecrease",
                                   p->pending_restart && p->pending_decrease) &&
           yyjson_mut_obj_add_bool(d, root, "isWalReceiverActive", up && p->has_receiver) &&
           yyjson_mut_obj_add_bool(d, root, "isPgRewindRunning", g->standby.rewinding) &&
           yyjson_mut_obj_add_bool(d, root, "mightBeUnavailable", away) &&
           yyjson_mut_obj_add_str(d, root, "mightBeUnavailableMaskedError",
                                  away ? g->failure : "") &&
           yyjson_mut_obj_add_uint(d, root, "timeLineID", p->timeline) &&
           yyjson_mut_obj_add_str(d, root, "loadedConfigurationHash", p->config_hash) &&
           yyjson_mut_obj_add_str(d, root, "executableHash", g->id.executable_hash) &&
           yyjson_mut_obj_add_str(d, root, "instanceManagerVersion", MH_VERSION) &&
           yyjson_mut_obj_add_str(d, root, "instanceArch", MH_ARCH) &&
           yyjson_mut_obj_add_bool(d, root, "isInstanceManagerUpgrading", false) &&
           yyjson_mut_obj_add_str(d, root, "sessionID", g->id.session);
}

/* Rows of pg_stat_replication as the replication question brought them last. */
static bool
add_replicas(const struct mh_agent *g, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, root, "replicationInfo");
    for (int i = 0; list && mh_agent_is_primary(g) && i < g->primary.nreplicas; i++) {
        const struct mh_replica *r = &g->primary.replicas[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(d, list);
        char priority[16];
        (void)snprintf(priority, sizeof(priority), "%d", r->sync_priority);
        if (!o || !yyjson_mut_obj_add_str(d, o, "applicationName", r->name) ||
            !yyjson_mut_obj_add_str(d, o, "state", r->state) ||
            !add_lsn(d, o, "receivedLsn", r->sent_lsn) ||
            !add_lsn(d, o, "writeLsn", r->write_lsn) || !add_lsn(d, o, "flushLsn", r->flush_lsn) ||
            !add_lsn(d, o, "replayLsn", r->replay_lsn) ||
            !yyjson_mut_obj_add_str(d, o, "syncState", r->sync_state) ||
            !yyjson_mut_obj_add_strcpy(d, o, "syncPriority", priority))
            return false;
    }
    return list != NULL;
}

/* What details.c asked for, as it came. */
static bool
add_details(yyjson_mut_doc *d, yyjson_mut_val *root, yyjson_val *details)
{
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(details, i, max, key, value)
    {
        yyjson_mut_val *k = yyjson_val_mut_copy(d, key);
        yyjson_mut_val *v = yyjson_val_mut_copy(d, value);
        if (!k || !v || !yyjson_mut_obj_add(root, k, v))
            return false;
    }
    return true;
}

/* Without them: PostgreSQL does not run, or did not answer. */
static bool
add_no_details(const struct mh_agent *g, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    static const char *const texts[] = { "lastArchivedWAL", "lastArchivedWALTime", "lastFailedWAL",
                                         "lastFailedWALTime", "currentWAL" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (!yyjson_mut_obj_add_str(d, root, texts[i], ""))
            return false;
    }
    return add_replicas(g, d, root) && yyjson_mut_obj_add_arr(d, root, "replicationSlotsInfo") &&
           yyjson_mut_obj_add_arr(d, root, "pgStatBasebackupsInfo") &&
           yyjson_mut_obj_add_bool(d, root, "isArchivingWAL", false) &&
           yyjson_mut_obj_add_int(d, root, "readyWalFiles", 0);
}

static char *
text_of(struct mh_agent *g, struct mh_arena *a, bool full, yyjson_val *details)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    if (!root || !add_contract(g, d, root))
        return NULL;
    bool ok = !full     ? add_replicas(g, d, root)
              : details ? add_details(d, root, details)
                        : add_no_details(g, d, root);
    return ok && add_ours(g, d, root) ? mh_json_mut_text(a, root, NULL) : NULL;
}

char *
mh_status_line(struct mh_agent *g, struct mh_arena *a)
{
    return text_of(g, a, false, NULL);
}

char *
mh_status_text(struct mh_agent *g, struct mh_arena *a, yyjson_val *details)
{
    return text_of(g, a, true, details);
}

/* Rule 5: an answer that confirms is a promise to take part in no higher term for the length of the
 * lease, kept in agent.c.
 * Serving does not ask for an open gate: whoever was elected and has left recovery has all that was
 * ever acknowledged, and its gate may need those who are to be rewound to it. */
char *
mh_peer_text(struct mh_agent *g, struct mh_arena *a, const char *from, uint64_t term)
{
    yyjson_mut_doc *d = mh_json_doc(a);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    yyjson_mut_val *makers = root ? mh_ha_makers_json(d, &g->own.makers) : NULL;
    bool serving = mh_agent_pg_up(g) && !g->pg.in_recovery && g->order.order == MH_HA_SERVE;
    bool confirms = from && term > 0 && g->order.order == MH_HA_FOLLOW && g->own.promise <= term &&
                    mh_str_eq(g->order.follow, from);
    if (confirms)
        g->standby.confirmed_ns = mh_agent_now(g);
    if (!root || !yyjson_mut_obj_add_str(d, root, "instance", g->id.name) ||
        !yyjson_mut_obj_add_uint(d, root, "promise", g->own.promise) ||
        !yyjson_mut_obj_add_uint(d, root, "term", g->own.term) ||
        !yyjson_mut_obj_add_bool(d, root, "confirms", confirms) ||
        !yyjson_mut_obj_add_bool(d, root, "serving", serving) || !add_lineage(g, d, root) ||
        !makers || !yyjson_mut_obj_add_val(d, root, "timelines", makers) ||
        !yyjson_mut_obj_add_uint(d, root, "controlTimeline", g->pg.control_timeline) ||
        !add_lsn(d, root, "flushLsn", g->pg.flush_lsn))
        return NULL;
    return mh_json_mut_text(a, root, NULL);
}

/* --- streams --------------------------------------------------------------------------------- */

static void
send_to(struct mh_status *s, struct stream *only)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    char *text = mh_status_line(s->g, &a);
    char *line = text ? mh_arena_printf(&a, "%s\n", text) : NULL;
    for (int i = 0; line && i < STREAMS_MAX; i++) {
        struct stream *st = &s->streams[i];
        if (st->out && (!only || st == only))
            (void)mh_stream_send(st->out, line, strlen(line));
    }
    mh_arena_release(&a);
}

static void on_heartbeat(void *arg);

/* Without memory for it the next change arms it again. */
static bool
arm(struct mh_status *s)
{
    if (!s->beat)
        s->beat = s->g->w.clock.after(s->g->w.clock.self, HEARTBEAT_NS, on_heartbeat, s);
    return s->beat != NULL;
}

static void
on_push(void *arg)
{
    struct mh_status *s = arg;
    s->push = NULL;
    send_to(s, NULL);
    (void)arm(s);
}

void
mh_status_changed(struct mh_agent *g)
{
    struct mh_status *s = g->status;
    if (s && !s->push)
        s->push = g->w.clock.after(g->w.clock.self, PUSH_NS, on_push, s);
}

static void
on_heartbeat(void *arg)
{
    struct mh_status *s = arg;
    s->beat = NULL;
    send_to(s, NULL);
    (void)arm(s);
}

static void
on_closed(void *arg)
{
    struct stream *st = arg;
    st->status->g->operator_ns = mh_agent_now(st->status->g);
    st->out = NULL;
}

bool
mh_status_is_watched(const struct mh_agent *g)
{
    for (int i = 0; g->status && i < STREAMS_MAX; i++) {
        if (g->status->streams[i].out)
            return true;
    }
    return false;
}

void
mh_status_stream(struct mh_agent *g, struct mh_request *req)
{
    struct mh_status *s = g->status;
    for (int i = 0; i < STREAMS_MAX; i++) {
        struct stream *st = &s->streams[i];
        if (st->out)
            continue;
        st->status = s;
        st->out = mh_stream_start(req, "application/x-ndjson");
        if (st->out) {
            mh_stream_on_close(st->out, on_closed, st);
            send_to(s, st);
        }
        return;
    }
    mh_reply_text(req, 503, "too many streams\n");
}

bool
mh_status_init(struct mh_agent *g)
{
    struct mh_status *s = mh_calloc(1, sizeof(*s));
    if (!s)
        return false;
    s->g = g;
    g->status = s;
    return arm(s);
}
