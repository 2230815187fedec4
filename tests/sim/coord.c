/* coord.c - a coordinator (an operator; two compete): what it believes goes into mh_ha_assess, the
 * verdict goes out as one compare-and-swap or as news to instances. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { CONNECTED_MS = 1000, STALE_MS = 60000 };

void
sim_coord_gets(struct sim *s, int k, const struct msg *m)
{
    struct coord *c = &s->coord[k];
    struct status *st = &c->st[m->from];
    if (m->kind != K_STATUS || m->status.boot < st->boot ||
        (m->status.boot == st->boot && m->status.seq <= st->seq))
        return;
    *st = m->status;
    c->heard[m->from] = s->now;
}

/* --- deputies -------------------------------------------------------------------------------- */

static bool
is_deputy(int k)
{
    return k >= COORDS;
}

bool
sim_is_driver(const struct sim *s, int k)
{
    return is_deputy(k) ? s->drivers != D_OPERATORS : s->drivers != D_DEPUTIES;
}

int
sim_driver(struct sim *s)
{
    switch (s->drivers) {
    case D_OPERATORS:
        break;
    case D_BOTH:
        return sim_r(s, COORDS + s->n);
    case D_DEPUTIES:
        return COORDS + sim_r(s, s->n);
    }
    return sim_r(s, COORDS);
}

void
sim_deputy_forgets(struct sim *s, int i)
{
    struct coord *c = &s->coord[COORDS + i];
    memset(c, 0, sizeof(*c));
    c->seen = c->wanted = -1;
    c->since = c->renewed = s->now;
}

void
sim_deputy_looks(struct sim *s, int i)
{
    struct coord *c = &s->coord[COORDS + i];
    const struct node *x = &s->node[i];
    if (x->seen < 0 || c->seen == x->seen)
        return;
    const struct mlease *l = &s->ver[x->seen];
    c->seen = x->seen;
    c->since = s->now;
    if (l->phase == MH_HA_STABLE)
        c->renewed = s->now;
}

/* The same questions that core/instance/deputy.c answers. */
static bool
deputy_acts(struct sim *s, int k, const struct mh_ha_view *v, const struct mh_ha_verdict *d)
{
    struct coord *c = &s->coord[k];
    int i = k - COORDS;
    if (!d->swap) {
        c->wanted = -1;
        return false;
    }
    if (c->wanted != c->seen || c->wanted_phase != d->to.phase) {
        c->wanted = c->seen;
        c->wanted_phase = d->to.phase;
        c->wanted_at = s->now;
    }
    struct mh_ha_deputy in = { .name = sim_names[i],
                               .operator_here = s->drivers == D_BOTH && !s->healing &&
                                                sim_reaches(s, AT_COORD, i),
                               .operator_ms = 60000,
                               .renewed_ms = s->now - c->renewed,
                               .confirmed_ms = s->now - s->node[i].confirmed,
                               .wanted_ms = s->now - c->wanted_at,
                               .began = c->began == v->lease.term };
    if (!s->patient && !s->healing) {
        in.operator_here = false;
        in.renewed_ms = in.confirmed_ms = in.wanted_ms = 3600000;
    }
    return mh_ha_deputy_acts(v, d, &in);
}

/* --- what is believed ------------------------------------------------------------------------- */

static void
fill_member(struct sim *s, int k, int i, struct mh_ha_member *m)
{
    struct coord *c = &s->coord[k];
    const struct status *st = &c->st[i];
    static char volumes[64][8];
    *m = (struct mh_ha_member){ .name = sim_names[i], .lost_ms = -1, .quiet_ms = -1 };
    m->address = &sim_names[i][1];
    /* The kubelet's word may be late; it is known of which life it is. */
    bool now = !s->node[i].up && s->node[i].kubelet && sim_reaches(s, AT_COORD + k, AT_API);
    if (!is_deputy(k) && sim_r(s, now || s->healing ? 2 : 100) == 0) {
        c->pod_stopped[i] = now;
        c->pod_session[i] = s->node[i].boot;
    }
    m->stopped_for_kubelet = c->pod_stopped[i];
    m->ended_session = sim_session(c->pod_session[i]);
    if (!st->boot)
        return;
    m->known = true;
    m->connected = s->now - c->heard[i] < CONNECTED_MS;
    m->lost_ms = m->connected ? 0 : s->now - c->heard[i];
    (void)snprintf(volumes[st->volume % 64], sizeof(volumes[0]), "v%d", st->volume % 64);
    m->incarnation = volumes[st->volume % 64];
    m->role = st->role;
    m->pg_up = st->pg_up;
    m->halted = st->halted;
    m->gave_up = st->gave_up;
    m->promise = st->promise;
    m->term = st->term;
    m->fenced = st->fenced;
    m->receiving = st->receiving;
    m->quiet_ms = st->receiving ? s->now - st->heard_ms : -1;
    m->stopped_clean = st->clean;
    m->shutdown_lsn = (uint64_t)st->shutdown;
    m->flush_lsn = (uint64_t)st->flush;
    m->timeline = st->tli;
    m->made = s->variant == V_SAMETLI ? 0 : (uint64_t)st->made;
    m->nhistory = st->nhistory;
    memcpy(m->history, st->history, sizeof(m->history));
}

static void
plant_deputy(const struct sim *s, int k, struct mh_ha_view *v)
{
    for (int i = 0; i < v->nmembers; i++) {
        struct mh_ha_member *m = &v->members[i];
        if (s->variant == V_DEPUTYITSELF && i == k - COORDS && m->role == MH_HA_STANDBY) {
            m->promise = v->lease.term;
            m->fenced = true;
        }
        if (s->variant == V_DEPUTYPEERS && m->promise >= v->lease.term)
            m->fenced = true;
    }
    if (s->variant == V_DEPUTYCLOCK)
        v->lease_unchanged_ms = 3600000;
}

/* The planted defects that are lies to the decision. */
static void
plant(const struct sim *s, int k, struct mh_ha_view *v)
{
    if (is_deputy(k))
        plant_deputy(s, k, v);
    for (int c = 0; c < v->lease.nconfigs; c++) {
        struct mh_ha_config *set = &v->lease.configs[c];
        if (s->variant == V_FENCE1)
            set->number = set->nnames;
        for (int j = 0; s->variant == V_HOLDEROUT && j < set->nnames; j++) {
            if (v->lease.holder && strcmp(set->names[j], v->lease.holder) == 0)
                set->names[j--] = set->names[--set->nnames];
        }
    }
    for (int i = 0; i < v->nmembers; i++) {
        struct mh_ha_member *m = &v->members[i];
        if (s->variant == V_STALEPOD)
            m->ended_session = v->lease.session;
        if (s->variant == V_LSNONLY)
            m->timeline = 1, m->made = 0;
        if (s->variant == V_SWITCHEARLY)
            m->shutdown_lsn = m->shutdown_lsn ? 1 : 0;
        if (s->variant == V_NOFENCE && m->connected && m->role == MH_HA_STANDBY) {
            m->promise = v->lease.term;
            m->fenced = true;
        }
    }
}

static void
fill_view(struct sim *s, int k, struct mh_ha_view *v)
{
    struct coord *c = &s->coord[k];
    v->cluster = "db";
    sim_lease(s, c->seen, &v->lease);
    v->lease_unchanged_ms = s->now - c->since;
    v->lease_ms = 8000;
    v->failover_delay_ms = 0;
    v->switchover_delay_ms = 3600000;
    v->nmembers = s->n;
    v->target = s->target < 0 || is_deputy(k) ? NULL : sim_names[s->target];
    v->current = NULL;
    v->norder = 0;
    v->hold = !is_deputy(k) && !s->healing && sim_r(s, 20) == 0;
    for (int i = 0; i < s->n; i++)
        fill_member(s, k, i, &v->members[i]);
    if (sim_r(s, 3) == 0) { /* a policy; it may name anybody */
        for (int i = 0; i < 3; i++)
            v->order[v->norder++] = sim_names[sim_r(s, NODES)];
    }
}

static int
index_of(const char *name)
{
    return name && *name ? name[1] - '0' : -1;
}

static void
send_swap(struct sim *s, int k, const struct mh_ha_swap *to)
{
    struct coord *c = &s->coord[k];
    struct mlease next = s->ver[c->seen];
    if (to->holder)
        next.holder = index_of(to->holder);
    if (to->term)
        next.term = to->term;
    next.phase = to->phase;
    if (to->address)
        next.address = *to->address ? atoi(to->address) : -1;
    if (to->candidate)
        next.candidate = index_of(to->candidate);
    next.has_lineage = to->has_lineage;
    next.lineage = to->lineage.timeline;
    next.lineage_made = (int)to->lineage.made;
    if (to->served)
        next.served = 0;
    if (to->incarnation)
        next.volume = *to->incarnation ? atoi(to->incarnation + 1) : -1;
    if (to->phase == MH_HA_SWITCHING)
        s->switchovers++;
    struct msg *m = sim_send(s, K_CAS, AT_COORD + k, AT_API);
    m->a = c->seen;
    m->id = 0;
    m->lease = next;
}

/* Two steps as a defect: the quorum is seen, then all is asked again and whoever answers first is
 * enough. */
static bool
checks_once(struct sim *s, int k, struct mh_ha_view *v, struct mh_ha_verdict *d)
{
    struct coord *c = &s->coord[k];
    if (s->variant != V_CHECKONCE || v->lease.phase != MH_HA_FENCING)
        return false;
    if (c->passed == v->lease.term) {
        for (int j = 0; j < v->lease.nconfigs; j++)
            v->lease.configs[j].number = v->lease.configs[j].nnames;
        mh_ha_assess(v, d);
        return false;
    }
    if (!d->swap || d->to.phase != MH_HA_PROMOTING)
        return false;
    c->passed = v->lease.term;
    memset(c->heard, 0, sizeof(c->heard));
    for (int i = 0; i < s->n; i++)
        c->heard[i] = s->now - STALE_MS;
    return true;
}

void
sim_coord_acts(struct sim *s, int k)
{
    static struct mh_ha_view v;
    struct mh_ha_verdict d;
    if (is_deputy(k)) {
        struct coord *c = &s->coord[k];
        int i = k - COORDS;
        if (!s->node[i].up || s->node[i].seen < 0)
            return;
        sim_deputy_looks(s, i);
        sim_status(s, i, &c->st[i]);
        c->heard[i] = s->now;
    }
    fill_view(s, k, &v);
    plant(s, k, &v);
    mh_ha_assess(&v, &d);
    if (checks_once(s, k, &v, &d))
        return;
    if (is_deputy(k)) {
        if (deputy_acts(s, k, &v, &d)) {
            s->coord[k].began = d.to.term ? d.to.term : v.lease.term;
            send_swap(s, k, &d.to);
        }
        return; /* it tells nobody: all watch the Lease */
    }
    if (d.swap)
        send_swap(s, k, &d.to);
    for (int i = 0; i < s->n; i++) {
        if (d.tell & 1u << i) {
            struct msg *m = sim_send(s, K_TELL, AT_COORD + k, i);
            m->a = s->coord[k].seen;
        }
    }
    if (s->target >= 0 && s->ver[s->nver - 1].holder == s->target)
        s->target = -1;
}
