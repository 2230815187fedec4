/* world.c - time, messages, the Lease, and the oracle that knows everything. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

const char *const sim_names[NODES] = { "n0", "n1", "n2", "n3", "n4" };
static const char *const addresses[NODES] = { "0", "1", "2", "3", "4" };

uint64_t
sim_rnd(struct sim *s)
{
    s->rnd ^= s->rnd << 13;
    s->rnd ^= s->rnd >> 7;
    s->rnd ^= s->rnd << 17;
    return s->rnd >> 11;
}

int
sim_r(struct sim *s, int n)
{
    return (int)(sim_rnd(s) % (uint64_t)n);
}

void
sim_note(struct sim *s, const char *fmt, ...)
{
    va_list ap;
    if (!s->trace)
        return;
    printf("  %8.3f ", (double)s->now / 1000);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

/* --- messages -------------------------------------------------------------------------------- */

/* A deputy is where its node is. */
static int
place(int at)
{
    return at >= AT_COORD + COORDS && at < AT_API ? at - AT_COORD - COORDS : at;
}

bool
sim_reaches(const struct sim *s, int from, int to)
{
    from = place(from);
    to = place(to);
    if (s->healing || from == to)
        return true;
    if (from >= AT_API || to >= AT_API) {
        int other = from >= AT_API ? to : from;
        return other >= AT_COORD ? !s->cut_coord_api[other - AT_COORD] : !s->cut_api[other];
    }
    if (from >= AT_COORD)
        return !s->cut_coord[from - AT_COORD][to];
    if (to >= AT_COORD)
        return !s->cut_coord[to - AT_COORD][from];
    return !s->cut_nodes[from][to];
}

/* A slot to fill; when the net is full the oldest message is lost. */
struct msg *
sim_send(struct sim *s, enum kind kind, int from, int to)
{
    struct msg *m = s->nmsg < MSGS ? &s->msg[s->nmsg++] : &s->msg[sim_r(s, MSGS)];
    m->kind = kind;
    m->from = from;
    m->to = to;
    return m;
}

/* --- logs ------------------------------------------------------------------------------------ */

uint32_t
sim_tli(const struct wal *w)
{
    return w->len ? w->e[w->len - 1].tli : 1;
}

int
sim_made(const struct wal *w)
{
    return w->len ? w->e[w->len - 1].made : 0;
}

int
sim_history(const struct wal *w, struct mh_ha_history *out)
{
    int n = 0;
    for (int i = 1; i < w->len && n < MH_HA_HISTORY_MAX; i++) {
        if (w->e[i].tli != w->e[i - 1].tli)
            out[n++] = (struct mh_ha_history){ .timeline = w->e[i - 1].tli,
                                               .end = (uint64_t)i,
                                               .made = (uint64_t)w->e[i - 1].made };
    }
    return n;
}

bool
sim_is_prefix(const struct wal *a, const struct wal *b)
{
    return a->len <= b->len && memcmp(a->e, b->e, (size_t)a->len * sizeof(a->e[0])) == 0;
}

void
sim_append(struct sim *s, int i, bool client)
{
    struct wal *w = &s->node[i].log;
    if (w->len >= LOG || s->nvalue >= VALUES)
        return;
    int val = s->nvalue++;
    s->value[val] = (struct value){ .pos = w->len, .issue = ++s->seq, .client = client };
    w->e[w->len] = (struct entry){ .tli = sim_tli(w), .made = sim_made(w), .val = val };
    w->len++;
}

/* --- the Lease ------------------------------------------------------------------------------- */

static const char *
volume_name(int volume)
{
    static char text[64][8];
    if (volume < 0)
        return NULL;
    (void)snprintf(text[volume % 64], sizeof(text[0]), "v%d", volume % 64);
    return text[volume % 64];
}

const char *
sim_session(int boot)
{
    static char text[VERSIONS][8];
    (void)snprintf(text[boot % VERSIONS], sizeof(text[0]), "s%d", boot % VERSIONS);
    return text[boot % VERSIONS];
}

static const char *
version_name(int version)
{
    static char text[VERSIONS][12];
    if (!text[version][0])
        (void)snprintf(text[version], sizeof(text[0]), "%d", version + 1);
    return text[version];
}

void
sim_lease(const struct sim *s, int version, struct mh_ha_lease *out)
{
    const struct mlease *l = &s->ver[version];
    *out = (struct mh_ha_lease){ .exists = true,
                                 .resource_version = version_name(version),
                                 .holder = l->holder < 0 ? NULL : sim_names[l->holder],
                                 .term = l->term,
                                 .served = l->served,
                                 .phase = l->phase,
                                 .incarnation = volume_name(l->volume),
                                 .address = l->address < 0 ? NULL : addresses[l->address],
                                 .candidate = l->candidate < 0 ? NULL : sim_names[l->candidate],
                                 .nconfigs = l->nsets,
                                 .configs_known = l->known };
    out->has_lineage = l->has_lineage;
    out->lineage =
        (struct mh_ha_point){ .timeline = l->lineage, .made = (uint64_t)l->lineage_made };
    out->session = l->session ? sim_session(l->session) : NULL;
    for (int c = 0; c < l->nsets; c++) {
        struct mh_ha_config *to = &out->configs[c];
        to->number = l->sets[c].number;
        for (int i = 0; i < s->n; i++) {
            if (l->sets[c].names & 1u << i)
                to->names[to->nnames++] = sim_names[i];
        }
    }
}

static bool
is_asynchronous(const struct mlease *l)
{
    bool yes = l->known && l->nsets == 0;
    for (int c = 0; c < l->nsets; c++)
        yes = yes || l->sets[c].number == 0;
    return yes;
}

/* The user has given up synchrony: nothing that was acknowledged so far is guaranteed any more. */
static void
forget_promises(struct sim *s)
{
    for (int k = 0; k < s->nacked; k++)
        s->value[s->acked[k]].acked = false;
    s->nacked = 0;
    s->ngates = 0;
}

/* A compare-and-swap arrives at the API server: atomic, as etcd makes it. */
void
sim_apply(struct sim *s, const struct msg *m)
{
    struct mlease before = s->ver[s->nver - 1];
    bool blind = s->variant == V_DEPUTYBLIND && m->from >= AT_COORD + COORDS;
    bool ok = (m->a == s->nver - 1 || blind) && s->nver < VERSIONS;
    int from = m->from;
    int id = m->id;
    if (ok) {
        struct mlease to = m->lease;
        if (to.term < before.term && to.holder >= 0)
            sim_violates(s, &s->broken, "the Lease's term went back");
        sim_note(s, "lease #%d: %s of term %d, holder n%d, by %d", s->nver + 1,
                 mh_ha_phase_name(to.phase), (int)to.term, to.holder, from);
        s->ver[s->nver++] = to;
        if (is_asynchronous(&to))
            forget_promises(s);
        if (to.phase == MH_HA_PROMOTING && before.phase != MH_HA_PROMOTING)
            sim_elected(s, &before, &to);
    }
    if (from < AT_COORD) {
        struct msg *r = sim_send(s, K_REPLY, AT_API, from);
        r->id = id;
        r->ok = ok;
        r->a = s->nver - 1;
    }
}

/* --- oracle ---------------------------------------------------------------------------------- */

void
sim_violates(struct sim *s, bool *which, const char *fmt, ...)
{
    va_list ap;
    if (s->lost || s->dual || s->broken || s->stuck)
        return;
    *which = true;
    va_start(ap, fmt);
    (void)vsnprintf(s->why, sizeof(s->why), fmt, ap);
    va_end(ap);
    sim_note(s, "VIOLATION: %s", s->why);
}

static bool
holds(const struct sim *s, const struct wal *w, int val)
{
    int pos = s->value[val].pos;
    return pos < w->len && w->e[pos].val == val;
}

/* Entry at pos of node i's log is acknowledged; sync: it must never be lost. */
void
sim_ack(struct sim *s, int i, int pos, bool sync)
{
    const struct node *x = &s->node[i];
    int val = x->log.e[pos].val;
    struct value *v = &s->value[val];
    uint64_t term = x->serve_term;
    s->seq++;
    if (v->client && !v->counted) {
        v->counted = true;
        s->commits++;
        for (uint64_t t = term + 1; t < 256; t++) {
            if (s->first_ack[t] && s->first_ack[t] < v->issue)
                sim_violates(s, &s->dual,
                             "n%d acknowledges in term %d what was written after term %d had "
                             "acknowledged",
                             i, (int)term, (int)t);
        }
        if (term < 256 && !s->first_ack[term])
            s->first_ack[term] = s->seq;
    }
    if (!sync || v->acked)
        return;
    v->acked = true;
    v->term = term;
    s->acked[s->nacked++] = val;
    for (int g = 0; g < s->ngates; g++) {
        if (s->gates[g].term > term && !holds(s, &s->gates[g].log, val))
            sim_violates(s, &s->lost, "n%d acknowledges value %d in term %d, which term %d has not",
                         i, val, (int)term, (int)s->gates[g].term);
    }
}

/* Node i lets clients in: what it shows from here on is as good as acknowledged (I2, I3). */
void
sim_gate_opens(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    sim_note(s, "n%d opens its gate in term %d", i, (int)x->serve_term);
    for (int k = 0; k < s->nacked; k++) {
        int val = s->acked[k];
        if (s->value[val].term <= x->serve_term && !holds(s, &x->log, val))
            sim_violates(s, &s->lost, "n%d of term %d has lost value %d of term %d", i,
                         (int)x->serve_term, val, (int)s->value[val].term);
    }
    if (s->ngates < GATES) {
        s->gates[s->ngates].term = x->serve_term;
        s->gates[s->ngates++].log = x->log;
    }
    for (int p = 0; p < x->marker && p < x->log.len; p++)
        sim_ack(s, i, p, x->sync.number > 0);
}

/* I6, with the eyes of the oracle: could the old primary still acknowledge, and has the winner all
 * that it did? */
void
sim_elected(struct sim *s, const struct mlease *before, const struct mlease *to)
{
    const struct node *w = &s->node[to->holder];
    const struct node *old = &s->node[before->holder < 0 ? to->holder : before->holder];
    bool stopped = before->holder < 0 ||
                   !old->clients; /* behind a closed gate only a swap of the Lease lets it go on */
    bool quorum = before->known && before->nsets > 0;
    if (to->holder != before->holder)
        s->failovers++;
    for (int c = 0; c < before->nsets; c++) {
        int have = 0;
        for (int i = 0; i < s->n; i++) {
            const struct node *x = &s->node[i];
            bool fed = x->pg && x->conn && x->upstream == before->holder;
            have += (before->sets[c].names & 1u << i) && x->promise >= to->term && !fed;
        }
        quorum = quorum &&
                 have >= __builtin_popcount(before->sets[c].names) - before->sets[c].number + 1;
    }
    if (!stopped && !quorum)
        sim_violates(s, &s->broken, "n%d is elected for term %d while n%d can acknowledge",
                     to->holder, (int)to->term, before->holder);
    for (int k = 0; k < s->nacked; k++) {
        if (w->volume == to->volume && !holds(s, &w->log, s->acked[k]))
            sim_violates(s, &s->lost, "n%d is elected for term %d without value %d of term %d",
                         to->holder, (int)to->term, s->acked[k], (int)s->value[s->acked[k]].term);
    }
}
