/* primary.c - a node as primary: gate, lease, commits, changes of the synchronous set, self-stop. */
#include <string.h>

#include "model.h"

/* Deadline 6 s and a second to stop; a taker waits 8 s. */
enum { RENEW_MS = 2000, ASK_MS = 3000, STOP_MS = 7000, SWAP_MS = 1000 };

static struct set
wanted(const struct sim *s, int i)
{
    struct set c = s->wanted;
    c.names &= ~(1u << i);
    if (c.number == 0)
        c.names = 0;
    return c;
}

static bool
same(struct set a, struct set b)
{
    return a.names == b.names && a.number == b.number;
}

static bool
past(const struct sim *s, const struct node *x, struct set c, int pos)
{
    int n = 0;
    for (int i = 0; i < s->n; i++)
        n += (c.names & 1u << i) && x->row[i] && x->acked[i] >= pos;
    return n >= c.number;
}

/* By the set in force, or by one that some walsender still uses. */
static bool
acked(const struct sim *s, const struct node *x, int pos)
{
    bool yes = past(s, x, x->sync, pos);
    for (int c = 0; c < x->nold; c++)
        yes = yes || past(s, x, x->old[c], pos);
    return yes;
}

static int
append(struct set *list, int n, struct set c)
{
    for (int i = 0; i < n; i++) {
        if (same(list[i], c))
            return n;
    }
    if (n < MH_HA_CONFIGS_MAX)
        list[n] = c;
    return n + 1;
}

/* All that is possible, the set in force last. */
static int
all_sets(const struct sim *s, const struct node *x, struct set *out)
{
    int n = s->variant == V_FORGETS ? 0 : x->npossible;
    memcpy(out, x->possible, (size_t)n * sizeof(*out));
    return append(out, n, x->sync);
}

/* --- commits --------------------------------------------------------------------------------- */

void
sim_commit(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->up || !x->pg || !x->primary || !x->clients)
        return;
    int pos = x->log.len;
    while (pos > x->committed && !acked(s, x, pos))
        pos--;
    bool sync = x->sync.number > 0;
    for (int c = 0; c < x->nold; c++)
        sync = sync && x->old[c].number > 0;
    for (; x->committed < pos; x->committed++)
        sim_ack(s, i, x->committed, sync);
}

/* --- compare-and-swaps ----------------------------------------------------------------------- */

static void
swap(struct sim *s, int i, enum swap_kind kind, const struct set *sets, int n)
{
    struct node *x = &s->node[i];
    const struct mlease *seen = &s->ver[x->seen];
    struct msg *m = sim_send(s, K_CAS, i, AT_API);
    x->pending = ++s->ids;
    x->pending_kind = kind;
    x->pending_at = s->now;
    m->id = x->pending;
    m->a = x->seen;
    m->lease = *seen;
    m->lease.holder = i;
    m->lease.term = kind == S_CLAIM ? 1 : seen->term;
    m->lease.phase = MH_HA_STABLE;
    m->lease.volume = x->volume;
    m->lease.address = i;
    m->lease.candidate = -1;
    m->lease.served = m->lease.term;
    m->lease.session = x->boot;
    if (n < 0)
        return;
    m->lease.known = true;
    m->lease.nsets = n;
    for (int c = 0; c < n; c++)
        m->lease.sets[c] = sets[c];
}

static void
open_gate(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    x->gate = G_OPEN;
    x->serve_term = x->gate_term;
    x->clients = true;
    x->committed = x->marker;
    sim_gate_opens(s, i);
}

static void
swapped(struct sim *s, int i, bool ok)
{
    struct node *x = &s->node[i];
    enum swap_kind kind = x->pending_kind;
    const struct mlease *l = x->seen >= 0 ? &s->ver[x->seen] : NULL;
    bool ours = ok && l && l->holder == i && l->phase == MH_HA_STABLE;
    x->pending = 0;
    if (ours)
        x->renewed = x->pending_at;
    if (kind == S_GATE && x->gate == G_READ) {
        x->gate = G_WAIT;
        if (ours && x->order.order == MH_HA_SERVE && l->term == x->gate_term)
            open_gate(s, i);
    } else if (kind == S_UNION && x->step == UNION) {
        x->step = x->back;
        if (ours && x->pg && x->primary) {
            x->nold = append(x->old, x->nold, x->sync);
            x->npossible = append(x->possible, x->npossible, x->sync);
            x->sync = s->variant == V_DRIFT ? wanted(s, i) : x->next;
            x->step = LOADED;
        }
    } else if (kind == S_CLOSE && x->step == CLOSING) {
        x->step = ours ? IDLE : MARKED;
        if (ours)
            x->npossible = 0;
    }
}

void
sim_reply(struct sim *s, int i, const struct msg *m)
{
    struct node *x = &s->node[i];
    if (!x->up || x->pending != m->id)
        return;
    if (m->a > x->seen)
        x->seen = (int)m->a;
    swapped(s, i, m->ok);
}

/* An unknown outcome: the Lease is read, not guessed (A5). */
void
sim_timeouts(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->pending || s->now - x->pending_at < SWAP_MS)
        return;
    sim_read(s, i);
    swapped(s, i, false);
}

void
sim_sign(struct sim *s, int i)
{
    if (!s->node[i].pending)
        swap(s, i, S_RENEW, NULL, -1);
}

void
sim_claim(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (x->pending)
        return;
    sim_store(s, i, 1, 0);
    swap(s, i, S_CLAIM, NULL, 0);
}

/* --- start, promotion ------------------------------------------------------------------------ */

static void
close_gate(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    x->gate = G_CLOSED;
    x->clients = false;
    x->committed = 0;
    x->sync = wanted(s, i);
    x->nold = x->npossible = 0;
    x->step = IDLE;
    memset(x->row, 0, sizeof(x->row));
    memset(x->acked, 0, sizeof(x->acked));
}

static void
gate_left_open(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    x->marker = x->log.len;
    x->gate_term = x->order.term;
    sim_store(s, i, x->order.term, x->order.term);
    open_gate(s, i);
    x->renewed = s->now;
}

void
sim_start_primary(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    x->pg = true;
    x->primary = true;
    x->upstream = -1;
    x->conn = 0;
    x->clean = false;
    close_gate(s, i);
    sim_note(s, "n%d starts as primary, log %d", i, x->log.len);
    if (s->variant == V_RESTARTGATE && x->term == x->order.term)
        gate_left_open(s, i);
}

void
sim_promote(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    uint32_t next = 1;
    if (x->log.len >= LOG - 4 || s->nvalue >= VALUES - 4)
        return;
    for (int k = 0; k < x->log.len; k++)
        next = x->log.e[k].tli >= next ? x->log.e[k].tli + 1 : next;
    x->primary = true;
    x->data_primary = true;
    x->upstream = -1;
    x->conn = 0;
    close_gate(s, i);
    sim_append(s, i, false);
    x->log.e[x->log.len - 1].tli = next; /* others may have taken it */
    x->log.e[x->log.len - 1].made = (int)x->order.term;
    sim_note(s, "n%d is promoted, log %d, timeline %u", i, x->log.len, sim_tli(&x->log));
    if (s->variant == V_NOGATE)
        gate_left_open(s, i);
}

/* --- the look -------------------------------------------------------------------------------- */

static void
gate_tick(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (x->gate == G_OPEN && x->gate_term != x->order.term && x->order.adopt)
        x->gate = G_WAIT;
    if (x->gate == G_CLOSED && x->log.len < LOG - 2) {
        sim_append(s, i, false);
        x->marker = x->log.len;
        x->gate = G_WAIT;
    }
    if (x->gate != G_WAIT || x->pending)
        return;
    x->gate_term = x->order.term;
    if (!past(s, x, x->sync, x->marker))
        return;
    struct set all[MH_HA_CONFIGS_MAX];
    int n = all_sets(s, x, all);
    x->gate = G_READ;
    swap(s, i, S_GATE, all, n > 1 || x->sync.number > 0 ? n : 0);
}

/* Between the union and LOADED's end each walsender may use the old rule or the new one; then all
 * use the new one (simplification of F9). */
static void
sync_tick(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    struct set all[MH_HA_CONFIGS_MAX];
    struct set want = wanted(s, i);
    bool stuck = (x->step == LOADED || x->step == MARKED) && sim_r(s, 4) == 0;
    int n = append(all, all_sets(s, x, all), want);
    if ((x->step == IDLE || stuck) && !same(x->sync, want) && n <= MH_HA_CONFIGS_MAX) {
        x->next = want;
        if (s->variant == V_NOUNION) {
            x->sync = x->next;
            x->step = LOADED;
        } else if (!x->pending) {
            x->back = x->step;
            x->step = UNION;
            swap(s, i, S_UNION, all, n);
        }
    } else if (x->step == IDLE && s->ver[x->seen].nsets > 1) { /* an unknown outcome */
        x->sync_marker = 0;
        x->step = MARKED;
    } else if (x->step == LOADED) {
        x->nold = 0;
        x->sync_marker = x->log.len;
        x->step = MARKED;
    } else if (x->step == MARKED && !x->pending && past(s, x, x->sync, x->sync_marker)) {
        x->step = CLOSING;
        swap(s, i, S_CLOSE, &x->sync, x->sync.number > 0);
    }
}

void
sim_primary_tick(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (x->term < x->order.term)
        sim_store(s, i, x->order.term, x->order.term);
    gate_tick(s, i);
    if (x->gate != G_OPEN)
        return;
    if (!x->pending && s->now >= x->next_renew) {
        x->next_renew = s->now + RENEW_MS;
        swap(s, i, S_RENEW, &x->sync, s->variant == V_NOGATE ? x->sync.number > 0 : -1);
    }
    sync_tick(s, i);
    if (x->sync.number > 0 || s->now - x->renewed < ASK_MS)
        return;
    for (int j = 0; j < s->n; j++) {
        if (j == i)
            continue;
        struct msg *m = sim_send(s, K_ASK, i, j);
        m->a = s->now;
        m->id = (int)x->serve_term;
    }
}

/* Rule 5, on time: the watchdog does not depend on the schedule. */
void
sim_self_stop(struct sim *s)
{
    for (int i = 0; i < s->n; i++) {
        struct node *x = &s->node[i];
        int64_t all = INT64_MAX;
        if (!x->pg || !x->primary || !x->clients || x->sync.number > 0)
            continue;
        for (int j = 0; j < s->n; j++) {
            if (j != i && x->confirmed_at[j] < all)
                all = x->confirmed_at[j];
        }
        if (s->now - x->renewed >= STOP_MS && s->now - all >= STOP_MS) {
            sim_note(s, "n%d stops itself", i);
            sim_stop(s, i, false);
        }
    }
}
