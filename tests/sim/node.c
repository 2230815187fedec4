/* node.c - one instance: what its manager does with the orders of mh_ha_self, and its PostgreSQL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { KEEP_WORD_MS = 8000 };

void
sim_store(struct sim *s, int i, uint64_t promise, uint64_t term)
{
    struct node *x = &s->node[i];
    if (promise > x->promise)
        sim_note(s, "n%d promises term %d", i, (int)promise);
    x->promise = promise > x->promise ? promise : x->promise;
    x->term = term > x->term ? term : x->term;
}

void
sim_read(struct sim *s, int i)
{
    if (sim_reaches(s, i, AT_API))
        s->node[i].seen = s->nver - 1;
}

void
sim_stop(struct sim *s, int i, bool clean)
{
    struct node *x = &s->node[i];
    x->pg = false;
    x->primary = false;
    x->clients = false;
    x->gate = G_NONE;
    x->step = IDLE;
    x->nold = x->npossible = 0;
    x->conn = 0;
    x->upstream = -1;
    x->settled = 0;
    x->fenced = x->fenced && s->variant == V_FENCESTAYS;
    x->clean = clean;
    x->shutdown = clean ? x->log.len : 0;
    memset(x->row, 0, sizeof(x->row));
}

static void
start_standby(struct sim *s, int i, int upstream)
{
    struct node *x = &s->node[i];
    x->pg = true;
    x->primary = false;
    x->clean = false;
    x->upstream = upstream;
    x->conn = 0;
    x->settled = 0;
    x->received = false;
    x->replayed = x->log.len ? 1 + sim_r(s, x->log.len) : 0;
}

/* --- promise --------------------------------------------------------------------------------- */

static bool
promise(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    const struct mlease *l = &s->ver[x->seen];
    if (x->order.order == MH_HA_FENCE && x->order.term > x->promise && l->known && l->nsets == 0 &&
        s->now - x->confirmed < KEEP_WORD_MS)
        return false;
    sim_store(s, i, x->order.term, 0);
    return true;
}

/* --- replication ----------------------------------------------------------------------------- */

/* It was elected and promoted: whatever it has not was never acknowledged. If its gate had to be open
 * too, an old primary and a gate that needs it could wait for each other. */
static bool
is_serving(const struct sim *s, int i, int u)
{
    const struct node *x = u < 0 ? NULL : &s->node[u];
    return x && u != i && x->up && x->pg && x->primary && x->order.order == MH_HA_SERVE &&
           (x->gate == G_OPEN || s->variant != V_OPENFIRST) && sim_reaches(s, i, u);
}

static void
acknowledge(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    struct msg *m = sim_send(s, K_ACK, i, x->upstream);
    m->conn = x->conn;
    m->a = x->log.len;
}

/* A log as PostgreSQL sees it, which knows numbers only, or as the managers do. */
static bool
is_part(const struct wal *a, const struct wal *b, bool by_numbers)
{
    struct mh_ha_history history[MH_HA_HISTORY_MAX];
    struct mh_ha_point end = { .timeline = sim_tli(a),
                               .made = by_numbers ? 0 : (uint64_t)sim_made(a),
                               .lsn = (uint64_t)a->len };
    struct mh_ha_line line = { .timeline = sim_tli(b),
                               .made = (uint64_t)sim_made(b),
                               .history = history,
                               .nhistory = sim_history(b, history) };
    return mh_ha_is_ancestor(&end, &line);
}

/* F14: once in each term the managers find out whether the log is a part of the holder's: it ends on
 * the timeline that was elected, or the holder says so. */
static bool
is_proved(struct sim *s, int i, int u)
{
    struct node *x = &s->node[i];
    const struct mlease *l = &s->ver[x->seen];
    if (s->variant == V_SAMETLI || x->term >= x->order.term || x->proved == x->order.term)
        return true;
    bool elected = l->phase == MH_HA_PROMOTING && l->has_lineage &&
                   l->lineage == sim_tli(&x->log) && l->lineage_made == sim_made(&x->log);
    if (!elected && !is_serving(s, i, u))
        return false;
    if (!elected && !is_part(&x->log, &s->node[u].log, false)) {
        sim_stop(s, i, false);
        x->half = true;
        return false;
    }
    x->proved = x->order.term;
    return true;
}

/* A standby lets in nobody: it may be on another history by now. But the one with the newest log lets
 * in the candidate of its term, who fetches the rest; others may hold it for the primary it was. */
static bool
is_source_for(const struct sim *s, int u, int i)
{
    const struct mlease *l = &s->ver[s->node[u].seen];
    return s->variant == V_FENCEDSERVES ||
           (l->phase == MH_HA_FENCING && l->candidate == i && l->address == u);
}

/* Connects to the upstream if PostgreSQL there would let it. */
static bool
connect(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    int u = x->upstream;
    if (u < 0 || u == i)
        return false;
    struct node *up = &s->node[u];
    if (x->conn && up->up && up->pg && up->row[i] == x->conn)
        return true;
    x->conn = 0;
    bool admits = up->primary || s->variant == V_CASCADES ||
                  (up->order.order == MH_HA_FENCE && is_source_for(s, u, i));
    if (!up->up || !up->pg || !admits || !sim_reaches(s, i, u) || !is_part(&x->log, &up->log, true))
        return false;
    if (x->log.len > up->log.len)
        return true; /* same timeline, not there yet: no rewind, no stream */
    if (!sim_is_prefix(&x->log, &up->log))
        sim_violates(s, &s->broken, "n%d streams from n%d with another history (I5)", i, u);
    x->conn = ++s->conns;
    x->heard = s->now;
    x->received = true;
    up->row[i] = x->conn;
    up->acked[i] = 0;
    acknowledge(s, i);
    return true;
}

/* pg_rewind in two steps, a crash may come between (F17). */
static void
rewind_log(struct sim *s, int i, int u)
{
    struct node *x = &s->node[i];
    if (!is_serving(s, i, u))
        return;
    if (!x->half) {
        x->half = true;
        return;
    }
    x->log = s->node[u].log;
    x->half = false;
    x->data_primary = false;
    sim_note(s, "n%d was rewound to n%d, log %d", i, u, x->log.len);
}

static int
address_of(const struct node *x)
{
    return x->order.address ? atoi(x->order.address) : -1;
}

static void
follow(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    int u = address_of(x);
    if (!x->has_data) {
        if (is_serving(s, i, u)) {
            x->log = s->node[u].log;
            x->has_data = true;
            x->data_primary = false;
        }
        return;
    }
    if (!x->pg && (x->data_primary || x->half)) {
        rewind_log(s, i, u);
        return;
    }
    if (!is_proved(s, i, u)) {
        x->upstream = -1; /* nor from the former one */
        x->conn = 0;
        return;
    }
    if (!x->pg) {
        start_standby(s, i, u);
        return;
    }
    if (x->upstream != u) {
        x->upstream = u;
        x->conn = 0;
    }
    if (!connect(s, i)) {
        if (is_serving(s, i, u) && !is_part(&x->log, &s->node[u].log, s->variant == V_SAMETLI)) {
            sim_stop(s, i, false);
            x->half = true;
        }
        return;
    }
    if (x->conn) {
        x->gave_up = false;
        sim_store(s, i, 0, x->order.term);
    }
}

static void
fence(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->has_data || (!x->pg && (x->data_primary || x->half)))
        return;
    if (!x->pg) {
        start_standby(s, i, -1);
        return;
    }
    int u = x->fenced ? address_of(x) : -1;
    if (x->upstream != u) {
        x->upstream = u;
        x->conn = 0;
        x->settled = 0;
        return;
    }
    if (u >= 0)
        (void)connect(s, i);
    bool at_end = x->received || x->replayed >= x->log.len || s->variant == V_EARLYEND;
    if (!x->fenced && at_end && ++x->settled >= 2) {
        x->fenced = true;
        sim_note(s, "n%d is fenced for term %d, log %d", i, (int)x->promise, x->log.len);
    }
}

/* --- orders ---------------------------------------------------------------------------------- */

static void
serve(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->pg) {
        const struct mlease *l = &s->ver[x->seen];
        if (x->half)
            return;
        if (l->phase == MH_HA_STABLE && l->session != x->boot) {
            sim_sign(s, i); /* who serves is known by its life */
            return;
        }
        if (x->data_primary)
            sim_start_primary(s, i);
        else
            start_standby(s, i, -1);
        return;
    }
    if (x->primary) {
        sim_primary_tick(s, i);
        return;
    }
    if (!sim_reaches(s, i, AT_API))
        return;
    sim_read(s, i); /* a quorum read right before (3.2 step 5) */
    const struct mlease *l = &s->ver[x->seen];
    if (l->phase == MH_HA_PROMOTING && l->holder == i && l->term == x->order.term &&
        x->replayed >= x->log.len)
        sim_promote(s, i);
}

/* Clean: walsenders send what there is to those who are connected and can be reached. */
static void
step_down(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    x->clients = false;
    x->gate = x->pg ? G_CLOSED : G_NONE;
    if (!x->pg || sim_r(s, 8) == 0 || x->log.len >= LOG)
        return;
    if (!x->primary) {
        sim_stop(s, i, true);
        return;
    }
    sim_append(s, i, false);
    for (int j = 0; j < s->n; j++) {
        struct node *y = &s->node[j];
        if (j != i && y->up && y->pg && y->conn && x->row[j] == y->conn && sim_reaches(s, i, j) &&
            (s->healing || sim_r(s, 4)))
            y->log = x->log;
    }
    sim_note(s, "n%d stopped cleanly, log %d", i, x->log.len);
    sim_stop(s, i, true);
}

static void
carry_out(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    switch (x->order.order) {
    case MH_HA_WAIT:
        break;
    case MH_HA_HALT:
        sim_stop(s, i, false);
        break;
    case MH_HA_CLAIM:
        sim_claim(s, i);
        break;
    case MH_HA_SERVE:
        if (promise(s, i))
            serve(s, i);
        break;
    case MH_HA_FOLLOW:
        if (promise(s, i))
            follow(s, i);
        break;
    case MH_HA_FENCE:
        if (s->variant != V_NOFENCE && promise(s, i))
            fence(s, i);
        break;
    case MH_HA_STEPDOWN:
        if (promise(s, i))
            step_down(s, i);
        break;
    case MH_HA_QUIT:
        if (x->pg)
            sim_stop(s, i, false);
        (void)promise(s, i);
        break;
    }
}

void
sim_tick(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    struct mh_ha_lease l;
    struct mh_ha_self_out out;
    if (!x->up)
        return;
    sim_timeouts(s, i);
    sim_deputy_looks(s, i);
    if (x->pg && !x->primary && x->replayed < x->log.len)
        x->replayed += x->received || s->healing ? x->log.len : sim_r(s, 3);
    if (x->seen < 0)
        return;
    sim_lease(s, x->seen, &l);
    struct mh_ha_self_in in = {
        .name = sim_names[i],
        .cluster_uid = "u",
        .lease = &l,
        .own = { .promise = x->promise, .term = x->term, .cluster_uid = "u" },
        .has_data = x->has_data,
        .data_primary = x->data_primary,
        .running = x->pg,
        .role = !x->pg       ? MH_HA_NONE
                : x->primary ? MH_HA_PRIMARY
                             : MH_HA_STANDBY
    };
    (void)snprintf(in.own.incarnation, sizeof(in.own.incarnation), "v%d", x->volume % 64);
    mh_ha_self(&in, &out);
    if (out.order != MH_HA_FENCE || out.term != x->order.term)
        x->fenced = false;
    x->order = out;
    bool whole = l.incarnation && strcmp(l.incarnation, in.own.incarnation) == 0 && l.served &&
                 x->term >= l.served;
    if (out.order == MH_HA_HALT && !whole && l.holder && strcmp(l.holder, sim_names[i]) == 0)
        sim_give_up(s, i);
    else if (out.order == MH_HA_SERVE && out.term > x->gave_up_term && s->variant != V_GAVEUP)
        x->gave_up = false;
    carry_out(s, i);
    sim_commit(s, i);
}

/* --- messages -------------------------------------------------------------------------------- */

static void
gets_wal(struct sim *s, int i, const struct msg *m)
{
    struct node *x = &s->node[i];
    if (!x->pg || x->primary || x->conn != m->conn || x->upstream != m->from)
        return;
    x->heard = s->now;
    if (m->wal.len > x->log.len) {
        if (memcmp(x->log.e, m->wal.e, (size_t)x->log.len * sizeof(x->log.e[0])) != 0)
            sim_violates(s, &s->broken, "n%d mixes two histories (I5)", i);
        memcpy(x->log.e + x->log.len, m->wal.e + x->log.len,
               (size_t)(m->wal.len - x->log.len) * sizeof(x->log.e[0]));
        x->log.len = m->wal.len;
    }
    acknowledge(s, i);
}

void
sim_node_gets(struct sim *s, struct msg *m)
{
    int i = m->to;
    struct node *x = &s->node[i];
    if (!x->up)
        return;
    switch (m->kind) {
    case K_WAL:
        gets_wal(s, i, m);
        break;
    case K_ACK:
        if (x->pg && x->row[m->from] == m->conn && m->a > x->acked[m->from])
            x->acked[m->from] = (int)m->a;
        sim_commit(s, i);
        break;
    case K_TELL:
        if (m->a > x->seen)
            x->seen = (int)m->a;
        break;
    case K_REPLY:
        sim_reply(s, i, m);
        break;
    case K_ASK: {
        if (x->order.order != MH_HA_FOLLOW || x->promise > (uint64_t)m->id || !x->order.follow ||
            strcmp(x->order.follow, sim_names[m->from]) != 0)
            break;
        int64_t asked = m->a;
        int from = m->from;
        int term = m->id;
        x->confirmed = s->now;
        struct msg *r = sim_send(s, K_CONFIRM, i, from);
        r->a = asked;
        r->id = term;
        break;
    }
    case K_CONFIRM:
        if (x->clients && (uint64_t)m->id == x->serve_term && m->a > x->confirmed_at[m->from])
            x->confirmed_at[m->from] = m->a;
        break;
    default:
        break;
    }
}

void
sim_status(struct sim *s, int i, struct status *out)
{
    struct node *x = &s->node[i];
    *out =
        (struct status){ .boot = x->boot,
                         .seq = ++x->seq,
                         .role = !x->pg       ? MH_HA_NONE
                                 : x->primary ? MH_HA_PRIMARY
                                              : MH_HA_STANDBY,
                         .pg_up = x->pg,
                         .halted = x->order.order == MH_HA_HALT,
                         .gave_up = x->gave_up,
                         .fenced = x->fenced,
                         .receiving = x->pg && x->conn,
                         .clean = !x->pg && x->clean,
                         .promise = x->promise,
                         .term = x->term,
                         .heard_ms = x->heard,
                         .shutdown = x->shutdown,
                         .flush = x->pg && !x->primary && !x->received ? x->replayed : x->log.len,
                         .volume = x->volume,
                         .tli = sim_tli(&x->log),
                         .made = sim_made(&x->log) };
    if (out->flush > x->log.len)
        out->flush = x->log.len;
    out->nhistory = sim_history(&x->log, out->history);
}
