#include "ha/deputy.h"

#include <string.h>

#include "base/str.h"
#include "ha/view_in.h"

/* The holder renews every 2 s. */
#define RENEWED_MS 5000
/* An operator that was here comes back within this, or starts anew. */
#define GONE_MS 3000
/* One whose connection stands and that does nothing: it hangs. */
#define HANGS_MS 10000
/* A policy may ask to wait for 30 s after failoverDelay (rule 9); the operator then writes nothing. */
#define HOLD_MS 35000
/* Between one deputy and the next. */
#define STAGGER_MS 500

static bool
is_at_rest(const struct mh_ha_lease *l)
{
    return l->phase == MH_HA_STABLE || l->phase == MH_HA_SUSPECT;
}

static bool
is_standby(const struct mh_ha_member *m)
{
    return m->connected && m->known && m->role == MH_HA_STANDBY && m->pg_up;
}

/* Some commit may have been acknowledged by it; or nobody's is needed. */
static bool
is_confirmer(const struct mh_ha_lease *l, const char *name)
{
    bool in = l->nconfigs == 0;
    for (int c = 0; c < l->nconfigs; c++)
        in = in || mh_ha_config_has(&l->configs[c], name);
    return in;
}

static int
place_in_order(const struct mh_ha_view *view, const char *name)
{
    for (int i = 0; i < view->norder; i++) {
        if (strcmp(view->order[i], name) == 0)
            return i;
    }
    return view->norder;
}

static bool
goes_before(const struct mh_ha_view *view, const struct mh_ha_member *a,
            const struct mh_ha_member *b)
{
    if (is_standby(a) != is_standby(b))
        return is_standby(a);
    int x = place_in_order(view, a->name);
    int y = place_in_order(view, b->name);
    if (x != y)
        return x < y;
    int c = mh_ha_log_compare(a, b);
    return c ? c > 0 : strcmp(a->name, b->name) < 0;
}

/* How many go before it, as far as it knows: so that mostly one writes. */
static int
rank(const struct mh_ha_view *view, const struct mh_ha_member *own)
{
    int n = 0;
    for (int i = 0; i < view->nmembers; i++) {
        const struct mh_ha_member *m = &view->members[i];
        bool may = !is_at_rest(&view->lease) || !mh_str_eq(m->name, view->lease.holder);
        n += m != own && may && m->connected && m->known && goes_before(view, m, own);
    }
    return n;
}

/* A new term in a cluster at rest. A holder that answers has said itself that it does not serve; one
 * that is silent must have stopped renewing, too, and nobody may have told it a moment ago that he
 * follows. */
static bool
may_begin(const struct mh_ha_view *view, const struct mh_ha_verdict *v,
          const struct mh_ha_member *own, const struct mh_ha_deputy *d)
{
    const struct mh_ha_lease *l = &view->lease;
    if (d->restrained || v->to.phase != MH_HA_FENCING || v->to.term != l->term + 1)
        return false; /* a wish of the user is the operator's work */
    if (mh_str_eq(own->name, l->holder) || !is_confirmer(l, own->name) || own->term < l->served)
        return false;
    int h = mh_ha_find(view, l->holder);
    if (h >= 0 && view->members[h].connected)
        return true; /* even if PostgreSQL here waits for a primary to prove its log */
    if (!is_standby(own))
        return false;
    bool word_kept = l->nconfigs > 0 || d->confirmed_ms < 0 || d->confirmed_ms >= view->lease_ms;
    return d->renewed_ms >= RENEWED_MS && word_kept;
}

static int64_t
patience(const struct mh_ha_view *view, const struct mh_ha_deputy *d)
{
    if (!d->operator_here)
        return d->operator_ms >= GONE_MS ? 0 : GONE_MS - d->operator_ms;
    if (view->lease.phase == MH_HA_FENCING)
        return d->began ? 0 : HOLD_MS + view->failover_delay_ms;
    return HANGS_MS;
}

bool
mh_ha_deputy_acts(const struct mh_ha_view *view, const struct mh_ha_verdict *verdict,
                  const struct mh_ha_deputy *d)
{
    const struct mh_ha_lease *l = &view->lease;
    int i = mh_ha_find(view, d->name);
    const struct mh_ha_member *own = i < 0 ? NULL : &view->members[i];
    /* An empty Lease, and one that went back in time, are for people and the operator. */
    if (!verdict->swap || !l->exists || !l->holder || l->term == 0 || !own || !own->connected ||
        !own->known || own->promise > l->term)
        return false;
    if (is_at_rest(l) && !may_begin(view, verdict, own, d))
        return false;
    return d->wanted_ms >= patience(view, d) + STAGGER_MS * (int64_t)rank(view, own);
}
