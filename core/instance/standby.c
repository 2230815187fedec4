/* standby.c - following a primary, and standing still for a new term. */
#include "instance/standby.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/paths.h"

#define SILENT_NS (1500 * MH_NS_PER_MS)

/* Writes the files of a standby of `address` (NULL: of nobody) and loads or starts. */
static bool
stand_by(struct mh_agent *g, const char *address)
{
    struct mh_err err;
    bool files = false;
    bool upstream = false;
    if (mh_conf_standby(g, address, &upstream, &err) || mh_conf_write(g, &files, &err)) {
        mh_agent_fail(g, err.msg);
        return false;
    }
    if (upstream)
        g->pg.settled = 0;
    if (g->pm.state == MH_PG_DOWN)
        mh_postmaster_start(g, false);
    else if (files || upstream)
        mh_postmaster_reload(g);
    return true;
}

/* wal-restore refuses while this file stands (rule 10). */
static void
fence_file(struct mh_agent *g, bool on)
{
    char path[MH_PATH];
    (void)snprintf(path, sizeof(path), "%s/fence", g->id.state_dir);
    if (on)
        (void)g->w.fs.write(g->w.fs.self, path, "fenced\n", 7, 0600, true, NULL, NULL);
    else if (g->w.fs.exists(g->w.fs.self, path))
        (void)g->w.fs.remove(g->w.fs.self, path, NULL);
}

void
mh_standby_fence(struct mh_agent *g)
{
    struct mh_standby *s = &g->standby;
    if (!g->has_data || !g->know.certs_ready)
        return;
    if (g->pm.state == MH_PG_DOWN && (g->data_primary || mh_rewind_is_marked(g)))
        return; /* the old primary: its log ends where it ends, it only promises */
    fence_file(g, true);
    /* Once fenced, a preferred candidate may fetch the rest from another fenced standby. */
    const char *address = s->fenced ? g->order.address : NULL;
    if (mh_str_eq(address, g->id.address))
        address = NULL;
    if (!stand_by(g, address) || s->fenced)
        return;
    if (mh_agent_pg_up(g) && g->pg.in_recovery && g->pg.settled >= 2) {
        s->fenced = true;
        mh_info("standby", "fenced: no receiver, the log is at its end");
        mh_status_changed(g);
    }
}

/* A log that has left the primary's line never streams: it is found out here (F16). */
static void
check_ancestry(struct mh_agent *g)
{
    struct mh_standby *s = &g->standby;
    int64_t now = mh_agent_now(g);
    if (g->pg.receiving || !mh_agent_pg_up(g)) {
        s->not_receiving_ns = 0;
        return;
    }
    if (!s->not_receiving_ns)
        s->not_receiving_ns = now;
    if (now - s->not_receiving_ns < SILENT_NS)
        return;
    mh_peer_ask(g, g->order.address);
    if (!s->peer.valid || !s->peer.serving || s->peer.at_ns < s->not_receiving_ns)
        return;
    if (mh_ha_is_ancestor(g->pg.timeline, g->pg.flush_lsn, s->peer.timeline, s->peer.history,
                          s->peer.nhistory))
        return;
    mh_warn("standby", "the log has left the primary's timeline: rewinding", "primary",
            g->order.follow);
    if (mh_rewind_mark(g))
        mh_postmaster_stop(g, MH_STOP_FAST, 10 * MH_NS_PER_S);
}

void
mh_standby_follow(struct mh_agent *g)
{
    if (!g->know.certs_ready)
        return;
    if (!g->has_data && !mh_rewind_is_marked(g)) {
        mh_agent_fail(g, "the volume holds no database system. HINT: delete the instance's PVC, it "
                         "is made anew");
        return;
    }
    if (g->pm.state == MH_PG_STOPPING)
        return;
    if (g->pm.state == MH_PG_DOWN && (!g->has_data || g->data_primary || mh_rewind_is_marked(g))) {
        mh_rewind_tick(g);
        return;
    }
    fence_file(g, false);
    if (!stand_by(g, g->order.address))
        return;
    if (g->pg.receiving && mh_agent_pg_up(g)) {
        struct mh_err err;
        g->pm.hand_over = false; /* it serves again, as a standby */
        g->pm.halted = false;
        g->pm.crashes = 0;
        if (g->own.term < g->order.term && mh_term_store(g, g->order.term, g->order.term, &err))
            mh_agent_fail(g, err.msg);
        mh_slots_follow(g);
    }
    check_ancestry(g);
}
