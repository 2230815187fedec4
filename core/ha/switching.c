/* switching.c - a planned change: the holder stops cleanly in favour of the candidate. */
#include <string.h>

#include "base/str.h"
#include "ha/view_in.h"

bool
mh_ha_wants_switchover(const struct mh_ha_view *view)
{
    /* After a failover the mirror may still name the old primary twice: that is no wish. */
    return view->target && *view->target && strcmp(view->target, "pending") != 0 &&
           !mh_str_eq(view->target, view->lease.holder) && !mh_str_eq(view->target, view->current);
}

void
mh_ha_begin_switchover(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    int t = mh_ha_find(view, view->target);
    int h = mh_ha_find(view, view->lease.holder);
    const struct mh_ha_member *m = t < 0 ? NULL : &view->members[t];
    v->look_again_ms = 500;
    if (!m || !m->connected || !m->known || !m->pg_up || m->role != MH_HA_STANDBY ||
        !m->receiving) {
        mh_ha_say(v, MH_HA_ST_HEALTHY, "switchover to %s waits: it is no streaming standby",
                  view->target);
        return;
    }
    if (h < 0 || !view->members[h].connected) {
        mh_ha_say(v, MH_HA_ST_HEALTHY, "switchover to %s waits: %s does not answer", view->target,
                  view->lease.holder);
        return;
    }
    v->swap = true;
    v->to = (struct mh_ha_swap){ .term = view->lease.term + 1,
                                 .phase = MH_HA_SWITCHING,
                                 .candidate = m->name };
    mh_ha_say(v, MH_HA_ST_SWITCHING, "switchover from %s to %s", view->lease.holder, m->name);
}

void
mh_ha_assess_switching(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    const struct mh_ha_lease *l = &view->lease;
    int h = mh_ha_find(view, l->holder);
    int c = mh_ha_find(view, l->candidate);
    const struct mh_ha_member *old = h < 0 ? NULL : &view->members[h];
    const struct mh_ha_member *heir = c < 0 ? NULL : &view->members[c];
    v->look_again_ms = 200;
    if (old && old->connected && old->promise < l->term)
        v->tell |= 1u << h;
    if (!old || mh_ha_is_away(view, old, MH_HA_LOST_MS)) {
        /* It may have stopped or not: from here on it is a failover. */
        mh_ha_raise_term(view, v);
        mh_ha_say(v, MH_HA_ST_FENCING, "%s was lost while it handed over",
                  l->holder ? l->holder : "?");
        return;
    }
    bool down = old->connected && old->promise >= l->term && !old->pg_up && old->role == MH_HA_NONE;
    bool stopped = down && old->stopped_clean;
    bool caught_up = heir && heir->connected && heir->pg_up && heir->role == MH_HA_STANDBY &&
                     mh_ha_same_timeline(heir->timeline, heir->made, old->timeline, old->made) &&
                     heir->flush_lsn >= old->shutdown_lsn;
    if (stopped && caught_up) {
        mh_ha_elect(view, v, c);
        return;
    }
    bool late = view->lease_unchanged_ms > view->switchover_delay_ms ||
                (down && view->lease_unchanged_ms > 10000) || !heir || mh_ha_is_away(view, heir, 0);
    if (!late) {
        mh_ha_say(v, MH_HA_ST_SWITCHING,
                  stopped ? "%s stopped, %s fetches the end of its log"
                          : "%s stops in favour of %s",
                  old->name, l->candidate ? l->candidate : "?");
        return;
    }
    if (stopped) { /* F22: its log is the only complete one */
        v->swap = true;
        v->to = (struct mh_ha_swap){ .term = l->term + 1,
                                     .holder = old->name,
                                     .phase = MH_HA_PROMOTING,
                                     .address = old->address ? old->address : "",
                                     .candidate = "" };
        mh_ha_say(v, MH_HA_ST_PROMOTING, "switchover failed: %s takes over again", old->name);
        return;
    }
    mh_ha_raise_term(view, v);
    mh_ha_say(v, MH_HA_ST_FENCING, "switchover failed: %s did not stop in time", old->name);
}
