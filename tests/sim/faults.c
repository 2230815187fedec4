/* faults.c - what goes wrong: processes, hosts, links, volumes, wishes. */
#include <string.h>

#include "model.h"

static void
manager_dies(struct sim *s, int i, bool host)
{
    struct node *x = &s->node[i];
    if (!x->up)
        return;
    sim_note(s, host ? "host of n%d is lost" : "n%d: PID 1 is killed", i);
    if (!x->primary || !x->pg)
        x->clean = false;
    sim_stop(s, i, false);
    x->up = false;
    x->kubelet = !host;
    if (s->variant == V_VOLATILE)
        x->promise = x->term;
    sim_deputy_forgets(s, i);
    for (int k = 0; k < COORDS + s->n;
         k++) { /* its connections are reset, unless the host is silent */
        if (!host && sim_reaches(s, i, AT_COORD + k) && s->coord[k].st[i].boot)
            s->coord[k].heard[i] = s->now - 1000;
    }
}

void
sim_give_up(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->gave_up)
        x->gave_up_term = x->seen < 0 ? 0 : s->ver[x->seen].term;
    x->gave_up = true;
}

void
sim_manager_starts(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (x->up)
        return;
    sim_note(s, "n%d starts again", i);
    x->up = true;
    x->kubelet = true;
    x->boot++;
    x->seq = 0;
    x->seen = -1;
    x->order = (struct mh_ha_self_out){ 0 };
    x->fenced = x->gave_up = false;
    x->proved = 0;
    x->crashes = 0;
    x->pending = 0;
    x->renewed = 0;
    memset(x->confirmed_at, 0, sizeof(x->confirmed_at));
    /* What it confirmed before is not known any more: it keeps its word all the same. */
    x->confirmed = s->now;
    sim_deputy_forgets(s, i);
}

static void
postgres_dies(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (!x->pg)
        return;
    sim_note(s, "n%d: the postmaster dies", i);
    bool serving = x->primary;
    sim_stop(s, i, false);
    if (serving && ++x->crashes >= 3)
        sim_give_up(s, i);
}

static void
change_links(struct sim *s, int i)
{
    int j = sim_r(s, s->n);
    int k = sim_r(s, COORDS);
    bool cut = sim_r(s, 4) == 0;
    switch (sim_r(s, 9)) {
    case 6: /* only the API server can be reached */
        sim_note(s, "n%d reaches the API server only", i);
        for (int x = 0; x < s->n; x++)
            s->cut_nodes[i][x] = s->cut_nodes[x][i] = x != i;
        for (int x = 0; x < COORDS; x++)
            s->cut_coord[x][i] = true;
        break;
    case 7: /* only its peers (C2) */
        sim_note(s, "n%d reaches its peers only", i);
        s->cut_api[i] = true;
        for (int x = 0; x < COORDS; x++)
            s->cut_coord[x][i] = true;
        break;
    case 8: /* all instances only each other (A1) */
        for (int x = 0; x < s->n; x++) {
            s->cut_api[x] = sim_r(s, 4) > 0;
            for (int y = 0; y < COORDS; y++)
                s->cut_coord[y][x] = sim_r(s, 4) > 0;
        }
        break;
    case 0:
        s->cut_nodes[i][j] = s->cut_nodes[j][i] = cut && i != j;
        break;
    case 1:
        s->cut_nodes[i][j] = cut && i != j; /* one way (C4) */
        break;
    case 2:
        s->cut_api[i] = cut;
        break;
    case 3:
        s->cut_coord_api[k] = cut;
        break;
    case 4:
        s->cut_coord[k][i] = cut;
        break;
    default: /* isolated from all (C1), or back */
        cut = sim_r(s, 3) == 0;
        sim_note(s, cut ? "n%d is isolated" : "n%d is connected again", i);
        s->cut_api[i] = cut;
        for (int x = 0; x < s->n; x++)
            s->cut_nodes[i][x] = s->cut_nodes[x][i] = cut && x != i;
        for (int x = 0; x < COORDS; x++)
            s->cut_coord[x][i] = cut;
        break;
    }
}

static void
heal_links(struct sim *s)
{
    memset(s->cut_nodes, 0, sizeof(s->cut_nodes));
    memset(s->cut_api, 0, sizeof(s->cut_api));
    memset(s->cut_coord_api, 0, sizeof(s->cut_coord_api));
    memset(s->cut_coord, 0, sizeof(s->cut_coord));
}

/* The user, or health under `preferred`, asks for another set. */
void
sim_wish_set(struct sim *s)
{
    s->wanted.number = 1 + sim_r(s, s->n - 1);
    s->wanted.names = (unsigned)sim_r(s, 1 << s->n);
    if (sim_r(s, 4) == 0)
        s->wanted.number = s->w;
    if (sim_r(s, 4) == 0 || __builtin_popcount(s->wanted.names) <= s->wanted.number)
        s->wanted = (struct set){ .names = (1u << s->n) - 1, .number = sim_r(s, 12) ? s->w : 0 };
}

void
sim_fault(struct sim *s)
{
    int holder = s->ver[s->nver - 1].holder;
    int i = holder >= 0 && sim_r(s, 3) == 0 ? holder : sim_r(s, s->n);
    int k = sim_r(s, COORDS);
    switch (sim_r(s, 14)) {
    case 0:
    case 1:
    case 6:
        postgres_dies(s, i);
        break;
    case 2:
        manager_dies(s, i, false);
        break;
    case 3:
    case 7:
        manager_dies(s, i, true);
        break;
    case 4:
    case 5:
        heal_links(s);
        break;
    case 8:
        memset(&s->coord[k], 0, sizeof(s->coord[k])); /* a new operator, behind (A9) */
        s->coord[k].seen = s->nver - 1 - sim_r(s, s->nver < 3 ? s->nver : 3);
        s->coord[k].since = s->now;
        break;
    case 9:
        if (sim_r(s, 2))
            s->target = sim_r(s, 4) ? sim_r(s, s->n) : -1;
        break;
    case 10:
        s->now += sim_r(s, 10) ? 500 + sim_r(s, 3000) : sim_r(s, 15000);
        break;
    default:
        change_links(s, i);
        break;
    }
}

/* Once in a run: somebody raises the term in the Lease (H3); and a volume is lost with what its node
 * had promised (E12), or somebody removes the Lease (H4). Then the cluster may have to wait for a human, but nothing is lost. */
void
sim_disaster(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (s->lost_once || s->nver > VERSIONS - 80)
        return;
    if (sim_r(s, 3) == 0) { /* H3: then nothing may be waited for */
        struct mlease next = s->ver[s->nver - 1];
        if (s->edited || next.holder < 0)
            return;
        sim_note(s, "somebody raises the term in the Lease");
        s->edited = true;
        next.term += 1 + (uint64_t)sim_r(s, 3);
        s->ver[s->nver++] = next;
        return;
    }
    s->lost_once = true;
    if (sim_r(s, 3) == 0) {
        sim_note(s, "the Lease is removed");
        s->ver[s->nver++] =
            (struct mlease){ .holder = -1, .volume = -1, .address = -1, .candidate = -1 };
        return;
    }
    manager_dies(s, i, true);
    sim_note(s, "the volume of n%d is lost", i);
    x->log.len = 0;
    x->has_data = x->data_primary = x->half = false;
    x->promise = x->term = 0;
    x->volume = s->volumes++;
    x->fresh = true;
}
