/* limits.c - a standby that has less of five parameters than its primary had would not start, or stop
 * replaying: custom.conf never has less than pg_control says. Lower values come with the log of a
 * primary that has them; until then pg_control is read again every few seconds. */
#include <string.h>

#include "base/log.h"
#include "base/time.h"
#include "instance/agent.h"
#include "instance/paths.h"

#define AGAIN_NS (5 * MH_NS_PER_S)
/* Better a start that may fail than none. */
#define PATIENCE_NS (3 * MH_NS_PER_S)

bool
mh_limits_ready(struct mh_agent *g)
{
    struct mh_limits *l = &g->limits;
    int64_t now = mh_agent_now(g);
    if (l->known)
        return true;
    if (!l->reading)
        mh_control_read(g);
    if (l->known)
        return true;
    if (l->reading && now - l->asked_ns < PATIENCE_NS)
        return false;
    if (l->reading)
        mh_warn("limits", "pg_controldata does not answer: a standby starts without its word");
    l->known = true;
    return true;
}

static bool
lowers(const struct mh_agent *g)
{
    return g->pm.state == MH_PG_UP && g->pg.valid && g->pg.in_recovery && g->pg.pending_decrease;
}

/* The log came to where its primary had more: PostgreSQL has stopped replaying and goes on after a
 * restart. Nobody need be asked. */
static bool
is_stuck(const struct mh_agent *g)
{
    return g->limits.lifted && g->pg.replay_paused && g->pg.pending_restart &&
           !g->pg.pending_decrease;
}

void
mh_limits_tick(struct mh_agent *g)
{
    struct mh_limits *l = &g->limits;
    int64_t now = mh_agent_now(g);
    bool replays = g->pm.state == MH_PG_UP && g->pg.valid && g->pg.in_recovery;
    bool doubtful = lowers(g) && !l->confirmed;
    bool waits = l->lifted || g->pg.replay_paused;
    if (!lowers(g))
        l->confirmed = false;
    if (!replays || l->reading)
        return;
    if (is_stuck(g)) {
        mh_warn("limits", "replay waits for higher limits: PostgreSQL is started again");
        mh_postmaster_stop(g, MH_STOP_FAST, 60 * MH_NS_PER_S);
        return;
    }
    if (!doubtful && (!waits || now < l->next_ns))
        return;
    l->next_ns = now + AGAIN_NS;
    mh_control_read(g);
}

bool
mh_limits_pending_restart(const struct mh_agent *g)
{
    return g->pg.pending_restart && (!lowers(g) || g->limits.confirmed);
}
