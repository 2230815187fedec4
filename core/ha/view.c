#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "ha/view_in.h"

static const char *const state_names[] = { "bootstrapping", "healthy",   "suspect", "fencing",
                                           "promoting",     "switching", "blocked" };

const char *
mh_ha_state_name(enum mh_ha_state state)
{
    return state_names[state];
}

void
mh_ha_say(struct mh_ha_verdict *v, enum mh_ha_state state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
#pragma GCC diagnostic pop
    va_end(ap);
    v->state = state;
}

static struct mh_ha_point
end_of(const struct mh_ha_member *m)
{
    return (struct mh_ha_point){ .timeline = m->timeline, .made = m->made, .lsn = m->flush_lsn };
}

int
mh_ha_log_compare(const struct mh_ha_member *a, const struct mh_ha_member *b)
{
    struct mh_ha_point x = end_of(a);
    struct mh_ha_point y = end_of(b);
    return mh_ha_point_compare(&x, &y);
}

int
mh_ha_find(const struct mh_ha_view *view, const char *name)
{
    for (int i = 0; name && i < view->nmembers; i++) {
        if (strcmp(view->members[i].name, name) == 0)
            return i;
    }
    return -1;
}

bool
mh_ha_is_away(const struct mh_ha_view *view, const struct mh_ha_member *m, int64_t ms)
{
    if (m->connected)
        return false;
    if (m->known && m->lost_ms >= 0)
        return m->lost_ms >= ms;
    int64_t since = m->lost_ms < 0 ? view->lease_unchanged_ms : m->lost_ms;
    return since >= MH_HA_FIRST_MS;
}

bool
mh_ha_other_volume(const struct mh_ha_lease *l, const struct mh_ha_member *m)
{
    /* An old snapshot of the volume has its name too, but has missed a term (E10). Data of term 1 is
     * of term 0 until its first start. */
    if (l->served > 1 && m->known && m->term < l->served)
        return true;
    return l->incarnation && *l->incarnation && m->incarnation &&
           strcmp(l->incarnation, m->incarnation) != 0;
}

/* --- steps ----------------------------------------------------------------------------------- */

void
mh_ha_tell_all(const struct mh_ha_view *view, struct mh_ha_verdict *v, bool only_below_term)
{
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        if (m->connected && (!only_below_term || m->promise < view->lease.term))
            v->tell |= 1u << i;
    }
}

void
mh_ha_raise_term(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    v->swap = true;
    v->to = (struct mh_ha_swap){ .term = view->lease.term + 1,
                                 .phase = MH_HA_FENCING,
                                 .candidate = "" };
}

void
mh_ha_elect(const struct mh_ha_view *view, struct mh_ha_verdict *v, int winner)
{
    const struct mh_ha_member *m = &view->members[winner];
    v->swap = true;
    v->to = (struct mh_ha_swap){ .holder = m->name,
                                 .phase = MH_HA_PROMOTING,
                                 .address = m->address ? m->address : "",
                                 .candidate = "",
                                 .incarnation = m->incarnation ? m->incarnation : "",
                                 .served = mh_str_eq(m->name, view->lease.holder) ? NULL : "",
                                 .has_lineage = true,
                                 .lineage = end_of(m) };
    mh_ha_say(v, MH_HA_ST_PROMOTING, "%s is elected for term %llu", m->name,
              (unsigned long long)view->lease.term);
}

/* --- the whole ------------------------------------------------------------------------------- */

/* H4: somebody removed or emptied the Lease. The running primary of the highest term gets it back. */
static void
assess_empty_lease(const struct mh_ha_view *view, struct mh_ha_verdict *v)
{
    uint64_t top = 0;
    int owner = -1;
    bool all = true;
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        all = all && m->connected && m->known;
        if (!m->known)
            continue;
        if (m->promise > top)
            top = m->promise;
        if (m->term > top)
            top = m->term;
        if (m->connected && m->role == MH_HA_PRIMARY && m->pg_up)
            owner = owner < 0 ? i : -2;
    }
    if (top == 0) {
        mh_ha_say(v, MH_HA_ST_BOOTSTRAPPING, "no instance was primary yet");
        return;
    }
    if (owner < 0 || view->members[owner].term < top || !view->lease.exists || !all) {
        mh_ha_say(v, MH_HA_ST_BLOCKED, "the Lease is empty but instances have seen term %llu: %s",
                  (unsigned long long)top,
                  all ? "no single running primary of it answers. HINT: the instance with the "
                        "newest data as spec.holderIdentity, a higher spec.leaseTransitions and "
                        "moonherd.io/phase=promoting make it primary"
                      : "all must answer before one of them gets it back");
        v->look_again_ms = 2000;
        return;
    }
    v->swap = true;
    v->to = (struct mh_ha_swap){ .holder = view->members[owner].name,
                                 .term = top + 1,
                                 .phase = MH_HA_PROMOTING,
                                 .address = view->members[owner].address,
                                 .incarnation = view->members[owner].incarnation };
    mh_ha_say(v, MH_HA_ST_PROMOTING, "the Lease was lost: %s gets it back",
              view->members[owner].name);
}

void
mh_ha_assess(const struct mh_ha_view *view, struct mh_ha_verdict *out)
{
    *out = (struct mh_ha_verdict){ 0 };
    const struct mh_ha_lease *l = &view->lease;
    for (int i = 0; i < view->nmembers; i++) {
        /* A17: etcd came back from a backup; nobody decides before a human has looked. */
        if (l->exists && l->term > 0 && view->members[i].known &&
            view->members[i].promise > l->term) {
            mh_ha_say(
                out, MH_HA_ST_BLOCKED,
                "%s has promised term %llu, the Lease says %llu: it went back in time. HINT: raise "
                "spec.leaseTransitions of the Lease above it; the holder then stops, and a primary "
                "is elected anew",
                view->members[i].name, (unsigned long long)view->members[i].promise,
                (unsigned long long)l->term);
            out->look_again_ms = 2000;
            return;
        }
    }
    if (!l->exists || !l->holder || l->term == 0) {
        assess_empty_lease(view, out);
        return;
    }
    switch (l->phase) {
    case MH_HA_STABLE:
    case MH_HA_SUSPECT:
        mh_ha_assess_stable(view, out);
        break;
    case MH_HA_FENCING:
        mh_ha_assess_fencing(view, out);
        break;
    case MH_HA_SWITCHING:
        mh_ha_assess_switching(view, out);
        break;
    case MH_HA_PROMOTING:
        mh_ha_assess_promoting(view, out);
        break;
    }
    /* I6: nobody is elected but from a fence of this term, or after a clean stop. */
    assert(!out->swap || out->to.phase != MH_HA_PROMOTING || l->phase == MH_HA_FENCING ||
           l->phase == MH_HA_SWITCHING);
}
