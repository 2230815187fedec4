/* stable.c - somebody holds the Lease: is it well, and does its promotion end? */
#include <string.h>

#include "base/str.h"
#include "ha/view_in.h"

/* A standby that has heard nothing for this long does not see the primary (wal_sender_timeout is
 * 5 s, a walsender without work sends a keepalive after half of it). */
#define QUIET_MS 3500
/* How long a winner may take from its election to the open gate before somebody else is tried. */
#define PROMOTE_MS 60000

/* Do the standbys still hear the primary? I18: nobody is promoted while it gets W acknowledgements. */
static bool
standbys_agree(const struct mh_ha_view *view, int *silent, int *hearing)
{
    const struct mh_ha_lease *l = &view->lease;
    *silent = 0;
    *hearing = 0;
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        if (mh_str_eq(m->name, l->holder) || !m->connected || !m->known)
            continue;
        if (m->receiving && m->quiet_ms >= 0 && m->quiet_ms < QUIET_MS)
            (*hearing)++;
        else if (m->pg_up)
            (*silent)++;
    }
    if (l->nconfigs == 0)
        return *silent > 0 && *hearing == 0;
    for (int c = 0; c < l->nconfigs; c++) {
        int n = 0;
        for (int i = 0; i < view->nmembers; i++) {
            const struct mh_ha_member *m = &view->members[i];
            if (!mh_ha_config_has(&l->configs[c], m->name))
                continue;
            n += m->connected && m->known && m->pg_up &&
                 !(m->receiving && m->quiet_ms >= 0 && m->quiet_ms < QUIET_MS);
        }
        if (n < mh_ha_fence_quorum(&l->configs[c]) || n == 0)
            return false;
    }
    return true;
}

struct failure {
    const char *why;
    int64_t since_ms;
    bool certain; /* the holder itself says that it cannot serve: nobody has to agree */
    bool away;    /* it may come back as it was: its pod, its manager or PostgreSQL is stopped */
};

/* H3: somebody has raised leaseTransitions; the volume is the one that served. */
static bool
raised_by_hand(const struct mh_ha_lease *l, const struct mh_ha_member *m)
{
    return l->served > 0 && l->term > l->served && m->term == l->served && !m->pg_up;
}

/* The holder says that it does not serve any more, or does not say anything. */
static bool
holder_failed(const struct mh_ha_view *view, struct failure *f)
{
    const struct mh_ha_lease *l = &view->lease;
    int h = mh_ha_find(view, l->holder);
    *f = (struct failure){ .since_ms = INT64_MAX, .why = "its pod is gone", .away = true };
    if (h < 0)
        return true;
    const struct mh_ha_member *m = &view->members[h];
    if (m->connected && m->known) {
        f->certain = m->halted && !m->pg_up;
        f->away = false;
        f->why = "it has another volume than the one that served this term";
        if (mh_ha_other_volume(l, m))
            return true;
        if (raised_by_hand(l, m))
            f->why =
                "its term was raised by hand. HINT: leave the Lease alone now, a new term elects "
                "a primary";
        /* Claimed and not yet started is term 1 with data of term 0. */
        if (l->term > 1 && m->term < l->term)
            return true;
        f->why =
            f->certain ? "it must not run under this Lease" : "its manager asks for a hand-over";
        f->away = !f->certain;
        return f->certain || m->gave_up || (m->stopped_clean && !m->pg_up);
    }
    f->since_ms = m->lost_ms < 0 ? view->lease_unchanged_ms : m->lost_ms;
    f->why = "its manager does not answer";
    return !m->connected && f->since_ms >= MH_HA_LOST_MS;
}

static void
assess_failure(const struct mh_ha_view *view, struct mh_ha_verdict *v, const struct failure *f)
{
    const char *holder = view->lease.holder;
    int silent = 0;
    int hearing = 0;
    v->look_again_ms = 200;
    if (view->restart_hold_ms > 0 && f->away) {
        int h = mh_ha_find(view, holder);
        const struct mh_ha_member *m = h < 0 ? NULL : &view->members[h];
        bool runs = m && m->deleting && m->connected && m->pg_up;
        /* Its time begins when it has stopped. */
        if (runs)
            mh_ha_say(v, MH_HA_ST_HEALTHY, "%s stops, to be restarted", holder);
        else
            mh_ha_say(v, MH_HA_ST_SUSPECTED, "%s is restarted, %lld ms are left for it", holder,
                      (long long)view->restart_hold_ms);
        return;
    }
    if (view->failover_delay_ms > 0 && f->since_ms < view->failover_delay_ms) {
        mh_ha_say(v, MH_HA_ST_SUSPECTED, "%s failed, %s; failoverDelay has %lld ms left", holder,
                  f->why, (long long)(view->failover_delay_ms - f->since_ms));
        return;
    }
    if (!standbys_agree(view, &silent, &hearing) && !f->certain) {
        mh_ha_say(v, MH_HA_ST_SUSPECTED,
                  "%s is suspected, %s; %d standbys still hear it, %d do not: too few agree",
                  holder, f->why, hearing, silent);
        return;
    }
    mh_ha_raise_term(view, v);
    mh_ha_say(v, MH_HA_ST_FENCING, "%s failed, %s; %d standbys do not hear it either", holder,
              f->why, silent);
}

void
mh_ha_assess_promoting(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    const struct mh_ha_lease *l = &view->lease;
    int h = mh_ha_find(view, l->holder);
    const struct mh_ha_member *m = h < 0 ? NULL : &view->members[h];
    v->look_again_ms = 500;
    mh_ha_tell_all(view, v, true);
    bool lost = !m || mh_ha_is_away(view, m, 3001) || (m->connected && m->known && m->gave_up);
    /* A gate that waits for standbys is no failure. */
    bool working = m && m->connected && m->pg_up && m->role == MH_HA_PRIMARY;
    if (lost || (!working && view->lease_unchanged_ms > PROMOTE_MS)) {
        mh_ha_raise_term(view, v);
        mh_ha_say(v, MH_HA_ST_FENCING, "%s did not finish its promotion",
                  l->holder ? l->holder : "?");
        return;
    }
    mh_ha_say(v, MH_HA_ST_PROMOTING, "%s makes itself primary of term %llu", m->name,
              (unsigned long long)l->term);
}

void
mh_ha_assess_stable(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    struct failure failure;
    if (holder_failed(view, &failure)) {
        assess_failure(view, v, &failure);
        return;
    }
    if (mh_ha_wants_switchover(view)) {
        mh_ha_begin_switchover(view, v);
        return;
    }
    mh_ha_say(v, MH_HA_ST_HEALTHY, "%s is primary of term %llu", view->lease.holder,
              (unsigned long long)view->lease.term);
    int h = mh_ha_find(view, view->lease.holder);
    if (h >= 0 && !view->members[h].connected)
        v->look_again_ms = 200;
}
