/* standby.c - following a primary, and standing still for a new term. */
#include "instance/standby.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/paths.h"

#define SILENT_NS (1500 * MH_NS_PER_MS)
/* An answer that takes longer is told of. */
#define PROVE_NS (3 * MH_NS_PER_S)

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
    mh_str_copy(g->standby.upstream, sizeof(g->standby.upstream), address ? address : "");
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

static void
leave(struct mh_agent *g, const char *why)
{
    mh_warn("standby", "rewinding", "why", why, "primary", g->order.follow);
    if (mh_rewind_mark(g))
        mh_postmaster_stop(g, MH_STOP_FAST, 10 * MH_NS_PER_S);
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
    struct mh_ha_line line = mh_peer_line(&s->peer);
    struct mh_ha_point end = { .timeline = g->pg.timeline,
                               .made = mh_ha_maker(&g->own.makers, g->pg.timeline),
                               .lsn = g->pg.flush_lsn };
    if (!mh_ha_is_ancestor(&end, &line))
        leave(g, "the log has left the primary's timeline");
}

/* --- is the log a part of the holder's? -------------------------------------------------------- */

static const char waits_for_answer[] = "waits for the primary's answer on port 8000: only it knows "
                                       "whether this log is a part of its own";

static bool
note_proof(struct mh_agent *g, enum mh_code stored, const struct mh_err *err)
{
    if (stored) {
        mh_agent_fail(g, err->msg);
        return false;
    }
    g->standby.proved_term = g->order.term;
    if (mh_str_starts(g->failure, waits_for_answer))
        g->failure[0] = '\0';
    return true;
}

/* By the primary's own word: no timeline of both has been made twice. */
static bool
compare(struct mh_agent *g, uint32_t timeline)
{
    struct mh_standby *s = &g->standby;
    struct mh_err err;
    struct mh_ha_line line = mh_peer_line(&s->peer);
    if (mh_ha_makers_conflict(&g->own.makers, timeline, &line)) {
        leave(g, "the primary's timeline of this number was made by another promotion");
        return false;
    }
    return note_proof(g, mh_term_adopt(g, &s->peer.makers, &err), &err);
}

/* F14: PostgreSQL compares numbers of timelines only, and would stream another history over this one.
 * Once in each term, before following: either the log that was elected ended on the same timeline, or
 * the primary says who made its own. */
static bool
is_proved(struct mh_agent *g)
{
    struct mh_standby *s = &g->standby;
    const struct mh_ha_lease *l = &g->know.lease;
    struct mh_err err;
    int64_t now = mh_agent_now(g);
    if (g->own.term >= g->order.term || s->proved_term == g->order.term)
        return true;
    if (s->proving_term != g->order.term) {
        s->proving_term = g->order.term;
        s->proving_ns = now;
    }
    uint32_t timeline = mh_agent_pg_up(g) ? g->pg.timeline : mh_paths_newest_timeline(g);
    if (timeline > 0 && l->phase == MH_HA_PROMOTING && l->has_lineage &&
        l->lineage.timeline == timeline && l->lineage.made == mh_ha_maker(&g->own.makers, timeline))
        return note_proof(g, mh_term_made(g, timeline, g->order.term, &err), &err);
    mh_peer_ask(g, g->order.address);
    if (s->peer.valid && s->peer.serving && s->peer.at_ns >= s->proving_ns &&
        mh_str_eq(g->order.address, s->peer.of))
        return compare(g, timeline);
    if (g->own.makers.n > 0 && now - s->proving_ns > PROVE_NS)
        mh_agent_fail(g, waits_for_answer);
    return g->own.makers.n == 0; /* nothing to compare */
}

static void
note_streaming(struct mh_agent *g)
{
    struct mh_err err;
    g->pm.hand_over = false; /* it serves again, as a standby */
    g->pm.halted = false;
    g->pm.crashes = 0;
    if (g->own.term < g->order.term && g->standby.proved_term == g->order.term &&
        mh_term_store(g, g->order.term, g->order.term, &err))
        mh_agent_fail(g, err.msg);
    mh_slots_follow(g);
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
    bool proved = is_proved(g) || mh_str_eq(g->standby.upstream, g->order.address);
    if (!proved && (g->pm.state != MH_PG_UP || mh_rewind_is_marked(g)))
        return;
    if (!stand_by(g, proved ? g->order.address : NULL) || !proved)
        return;
    if (g->pg.receiving && mh_agent_pg_up(g))
        note_streaming(g);
    check_ancestry(g);
}
