/* schedule.c - one seed: random steps with faults, then all is well again and the cluster must serve. */
#include <string.h>

#include "model.h"

static void
deliver(struct sim *s, int at, bool keep)
{
    static struct msg m;
    m = s->msg[at];
    if (!keep) {
        s->nmsg--;
        if (at != s->nmsg)
            s->msg[at] = s->msg[s->nmsg];
    }
    if (!sim_reaches(s, m.from, m.to))
        return;
    if (m.to == AT_API)
        sim_apply(s, &m);
    else if (m.to >= AT_COORD)
        sim_coord_gets(s, m.to - AT_COORD, &m);
    else
        sim_node_gets(s, &m);
}

static void
send_wal(struct sim *s, int i, int j)
{
    struct node *x = &s->node[i];
    if (i == j || !x->up || !x->pg || !x->row[j])
        return;
    struct msg *m = sim_send(s, K_WAL, i, j);
    m->conn = x->row[j];
    m->wal = x->log;
}

static void
send_status(struct sim *s, int i, int k)
{
    if (!s->node[i].up || k == COORDS + i)
        return;
    struct msg *m = sim_send(s, K_STATUS, i, AT_COORD + k);
    sim_status(s, i, &m->status);
}

static void
watch(struct sim *s, int who)
{
    int newest = s->nver - 1;
    bool lag = !s->healing && sim_r(s, 3) == 0;
    if (who < AT_COORD) {
        struct node *x = &s->node[who];
        if (!x->up || !sim_reaches(s, who, AT_API))
            return;
        if (x->seen <
            0) /* the first read may reach a stale server (A9); without a promise it must not */
            x->seen = sim_r(s, 2) && !s->healing && !x->fresh
                          ? newest - sim_r(s, newest < 6 ? newest + 1 : 6)
                          : newest;
        else if (x->seen < newest)
            x->seen = lag ? x->seen + 1 : newest;
        return;
    }
    struct coord *c = &s->coord[who - AT_COORD];
    if (c->seen >= newest || !sim_reaches(s, who, AT_API))
        return;
    c->seen = lag ? c->seen + 1 : newest;
    c->since = s->now;
}

static void
client_writes(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->up || !x->pg || !x->primary || !x->clients || x->log.len > LOG - 12 ||
        s->nvalue > VALUES - 12)
        return;
    sim_append(s, i, true);
    sim_commit(s, i);
}

static void
one_message(struct sim *s)
{
    if (!s->nmsg)
        return;
    int at = sim_r(s, s->nmsg);
    int luck = sim_r(s, 100);
    if (luck < 5)
        s->msg[at] = s->msg[--s->nmsg];
    else
        deliver(s, at, luck < 9);
}

void
sim_step(struct sim *s)
{
    int r = sim_r(s, 200);
    int i = sim_r(s, s->n);
    s->now += sim_r(s, 20);
    sim_self_stop(s);
    if (s->mode == M_CHANGING && sim_r(s, 50) == 0)
        sim_wish_set(s);
    if (s->mode == M_LOSS && s->now > 1003000 && sim_r(s, 400) == 0)
        sim_disaster(s, i);
    one_message(s);
    if (r < 22)
        client_writes(s, i);
    else if (r < 80)
        sim_tick(s, i);
    else if (r < 110)
        send_wal(s, i, sim_r(s, s->n));
    else if (r < 140)
        send_status(s, i, sim_driver(s));
    else if (r < 163)
        sim_coord_acts(s, sim_driver(s));
    else if (r < 194)
        watch(s, sim_r(s, 3) ? i : AT_COORD + sim_r(s, COORDS));
    else if (r < 197)
        sim_manager_starts(s, i);
    else if (sim_r(s, 3) < s->temper)
        sim_fault(s);
    sim_self_stop(s);
}

bool
sim_bad(const struct sim *s)
{
    return s->lost || s->dual || s->broken || s->stuck;
}

/* I13: all faults end; the cluster must serve again. */
void
sim_heal(struct sim *s)
{
    int before = s->commits;
    s->healing = true;
    s->target = -1;
    s->wanted = (struct set){ .names = (1u << s->n) - 1, .number = s->w };
    for (int i = 0; i < s->n; i++)
        sim_manager_starts(s, i);
    for (int round = 0; round < 1500 && !sim_bad(s); round++) {
        s->now += 50;
        sim_self_stop(s);
        for (int i = 0; i < s->n; i++) {
            watch(s, i);
            sim_tick(s, i);
            for (int j = 0; j < s->n; j++)
                send_wal(s, i, j);
            for (int k = 0; round % 4 == 0 && k < COORDS + s->n; k++) {
                if (sim_is_driver(s, k))
                    send_status(s, i, k);
            }
        }
        for (int k = 0; k < COORDS + s->n; k++) {
            if (k < COORDS)
                watch(s, AT_COORD + k);
            if (round % 2 == 0 && sim_is_driver(s, k))
                sim_coord_acts(s, k);
        }
        for (int left = s->nmsg * 2; left > 0 && s->nmsg; left--)
            deliver(s, sim_r(s, s->nmsg), false);
        for (int i = 0; round > 200 && i < s->n; i++)
            client_writes(s, i);
        if (s->commits > before + 3 || s->lost_once)
            return;
        bool full = s->nvalue > VALUES - 20 || s->nver > VERSIONS - 20;
        for (int i = 0; i < s->n; i++)
            full = full || s->node[i].log.len > LOG - 14;
        if (full)
            return; /* the model's paper is used up */
    }
    const struct mlease *l = &s->ver[s->nver - 1];
    sim_violates(s, &s->stuck, "no commit 75 s after the last fault: %s of term %d, holder n%d",
                 mh_ha_phase_name(l->phase), (int)l->term, l->holder);
}
