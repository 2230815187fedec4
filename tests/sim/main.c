/* main.c - schedules, variants, seeds. One line per variant; exit code 1 when the protocol violates
 * anything, or when a planted defect is not found.
 *
 *   sim_model [--seeds N] [--first SEED] [--variant NAME] [--trace SEED] */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { PLANTED_SEEDS = 40000 };

struct plan {
    const char *name;
    enum variant variant;
    enum mode mode;
    int n, w, steps;
    int share; /* of --seeds, in percent */
};

static const struct plan plans[] = {
    { "protocol n=3 W=1", V_GOOD, M_SYNC, 3, 1, 1200, 100 },
    { "protocol n=3 W=2", V_GOOD, M_SYNC, 3, 2, 1200, 30 },
    { "protocol n=4 W=2", V_GOOD, M_SYNC, 4, 2, 1500, 50 },
    { "protocol n=5 W=1", V_GOOD, M_SYNC, 5, 1, 2000, 30 },
    { "protocol n=5 W=2", V_GOOD, M_SYNC, 5, 2, 2000, 50 },
    { "protocol n=5 W=3", V_GOOD, M_SYNC, 5, 3, 2000, 30 },
    { "protocol changing n=3", V_GOOD, M_CHANGING, 3, 1, 1500, 100 },
    { "protocol changing n=5", V_GOOD, M_CHANGING, 5, 2, 2000, 50 },
    { "protocol async n=2", V_GOOD, M_ASYNC, 2, 0, 1200, 30 },
    { "protocol async n=3", V_GOOD, M_ASYNC, 3, 0, 1500, 60 },
    { "protocol losing volumes n=3", V_GOOD, M_LOSS, 3, 1, 1500, 60 },
    { "protocol losing volumes n=5", V_GOOD, M_LOSS, 5, 2, 2000, 30 },
    { "fence quorum of 1", V_FENCE1, M_SYNC, 3, 1, 1200, 0 },
    { "lsn-only ordering", V_LSNONLY, M_SYNC, 5, 2, 3000, 0 },
    { "no gate", V_NOGATE, M_SYNC, 5, 2, 2000, 0 },
    { "restart without gate", V_RESTARTGATE, M_SYNC, 3, 1, 1200, 0 },
    { "promise lost on crash", V_VOLATILE, M_SYNC, 3, 1, 2000, 0 },
    { "checked once, elected later", V_CHECKONCE, M_SYNC, 3, 1, 1200, 0 },
    { "status check without fence", V_NOFENCE, M_SYNC, 3, 1, 1200, 0 },
    { "switchover before the record", V_SWITCHEARLY, M_SYNC, 3, 1, 1200, 0 },
    { "set used before the union", V_NOUNION, M_CHANGING, 4, 1, 1500, 0 },
    { "proof from a stale pod", V_STALEPOD, M_ASYNC, 3, 0, 2000, 0 },
    { "lost winner not in the set", V_HOLDEROUT, M_SYNC, 3, 1, 1200, 0 },
    { "set drifts after the union", V_DRIFT, M_CHANGING, 4, 1, 1500, 0 },
    { "fenced before the log's end", V_EARLYEND, M_SYNC, 3, 1, 1200, 0 },
    { "fence outlives postgres", V_FENCESTAYS, M_SYNC, 3, 1, 1200, 0 },
    { "rewind only to an open gate", V_OPENFIRST, M_SYNC, 3, 2, 1200, 0 },
    { "same timeline twice", V_SAMETLI, M_SYNC, 5, 3, 2000, 0 },
};

/* --- one run --------------------------------------------------------------------------------- */

static struct sim sim;

static void
set_up(struct sim *s, const struct plan *p, uint64_t seed, bool trace)
{
    size_t fixed = offsetof(struct sim, msg);
    memset(s, 0, fixed);
    memset((char *)s + offsetof(struct sim, nmsg), 0, sizeof(*s) - offsetof(struct sim, nmsg));
    s->rnd = 0x9E3779B97F4A7C15ULL * (seed + 1) + 12345;
    for (int i = 0; i < 8; i++)
        (void)sim_rnd(s);
    s->variant = p->variant;
    s->mode = p->mode;
    s->n = p->n;
    s->w = p->w;
    s->trace = trace;
    s->now = 1000000;
    s->tli = 1;
    s->nvalue = 1;
    s->target = -1;
    s->wanted = (struct set){ .names = (1u << p->n) - 1, .number = p->w };
    s->temper = 1 + sim_r(s, 3);
    bool fresh = sim_r(s, 4) == 0; /* from the claim on */
    for (int i = 0; i < p->n; i++) {
        struct node *x = &s->node[i];
        *x = (struct node){ .volume = s->volumes++,
                            .has_data = true,
                            .up = true,
                            .kubelet = true,
                            .boot = 1,
                            .seen = fresh ? 0 : 1,
                            .confirmed = -100000,
                            .upstream = -1 };
        x->data_primary = i == 0;
        x->log.e[0] = (struct entry){ .tli = 1, .val = 0 };
        x->log.len = 1;
        if (!fresh)
            x->promise = x->term = 1;
    }
    s->ver[0] = (struct mlease){ .holder = -1, .volume = -1, .address = -1, .candidate = -1 };
    s->ver[1] = (struct mlease){ .term = 1, .candidate = -1, .known = true };
    s->nver = fresh ? 1 : 2;
    for (int k = 0; k < COORDS; k++) {
        s->coord[k].seen = s->nver - 1;
        s->coord[k].since = s->now;
    }
}

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
    if (!s->node[i].up)
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

/* --- faults ---------------------------------------------------------------------------------- */

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
    for (int k = 0; k < COORDS; k++) { /* its connections are reset, unless the host is silent */
        if (!host && sim_reaches(s, i, AT_COORD + k) && s->coord[k].st[i].boot)
            s->coord[k].heard[i] = s->now - 1000;
    }
}

static void
manager_starts(struct sim *s, int i)
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
    x->crashes = 0;
    x->pending = 0;
    x->renewed = 0;
    memset(x->confirmed_at, 0, sizeof(x->confirmed_at));
    /* What it confirmed before is not known any more: it keeps its word all the same. */
    x->confirmed = s->now;
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
        x->gave_up = true;
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
static void
wish_set(struct sim *s)
{
    s->wanted.number = 1 + sim_r(s, s->n - 1);
    s->wanted.names = (unsigned)sim_r(s, 1 << s->n);
    if (sim_r(s, 4) == 0)
        s->wanted.number = s->w;
    if (sim_r(s, 4) == 0 || __builtin_popcount(s->wanted.names) <= s->wanted.number)
        s->wanted = (struct set){ .names = (1u << s->n) - 1, .number = sim_r(s, 12) ? s->w : 0 };
}

static void
fault(struct sim *s)
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

/* Once in a run: a volume is lost with what its node had promised (E12), or somebody removes the
 * Lease (H4). Then the cluster may have to wait for a human, but nothing is lost. */
static void
disaster(struct sim *s, int i)
{
    struct node *x = &s->node[i];
    if (s->lost_once || s->nver > VERSIONS - 80)
        return;
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

/* --- schedules ------------------------------------------------------------------------------- */

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

static void
step(struct sim *s)
{
    int r = sim_r(s, 200);
    int i = sim_r(s, s->n);
    s->now += sim_r(s, 20);
    sim_self_stop(s);
    if (s->mode == M_CHANGING && sim_r(s, 50) == 0)
        wish_set(s);
    if (s->mode == M_LOSS && s->now > 1003000 && sim_r(s, 400) == 0)
        disaster(s, i);
    one_message(s);
    if (r < 22)
        client_writes(s, i);
    else if (r < 80)
        sim_tick(s, i);
    else if (r < 110)
        send_wal(s, i, sim_r(s, s->n));
    else if (r < 140)
        send_status(s, i, sim_r(s, COORDS));
    else if (r < 163)
        sim_coord_acts(s, sim_r(s, COORDS));
    else if (r < 194)
        watch(s, sim_r(s, 3) ? i : AT_COORD + sim_r(s, COORDS));
    else if (r < 197)
        manager_starts(s, i);
    else if (sim_r(s, 3) < s->temper)
        fault(s);
    sim_self_stop(s);
}

static bool
bad(const struct sim *s)
{
    return s->lost || s->dual || s->broken || s->stuck;
}

/* I13: all faults end; the cluster must serve again. */
static void
heal(struct sim *s)
{
    int before = s->commits;
    s->healing = true;
    s->target = -1;
    s->wanted = (struct set){ .names = (1u << s->n) - 1, .number = s->w };
    for (int i = 0; i < s->n; i++)
        manager_starts(s, i);
    for (int round = 0; round < 1500 && !bad(s); round++) {
        s->now += 50;
        sim_self_stop(s);
        for (int i = 0; i < s->n; i++) {
            if (round % 200 == 0)
                s->node[i].gave_up = false;
            watch(s, i);
            sim_tick(s, i);
            for (int j = 0; j < s->n; j++)
                send_wal(s, i, j);
            for (int k = 0; round % 4 == 0 && k < COORDS; k++)
                send_status(s, i, k);
        }
        for (int k = 0; k < COORDS; k++) {
            watch(s, AT_COORD + k);
            if (round % 2 == 0)
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

static void
run(struct sim *s, const struct plan *p, uint64_t seed, bool trace)
{
    set_up(s, p, seed, trace);
    for (int t = 0; t < p->steps && !bad(s) && s->nver < VERSIONS - 60; t++)
        step(s);
    if (!bad(s) && (p->variant == V_GOOD || p->variant == V_OPENFIRST))
        heal(s);
}

/* --- variants -------------------------------------------------------------------------------- */

static bool
run_plan(const struct plan *p, long first, long seeds, bool stop_early)
{
    long lost = 0, dual = 0, broken = 0, stuck = 0, ran = 0, first_bad = -1;
    double commits = 0, failovers = 0, switchovers = 0;
    char why[sizeof(sim.why)] = "";
    for (long seed = first; seed < first + seeds; seed++) {
        run(&sim, p, (uint64_t)seed, false);
        ran++;
        lost += sim.lost;
        dual += sim.dual;
        broken += sim.broken;
        stuck += sim.stuck;
        commits += sim.commits;
        failovers += sim.failovers > 0;
        switchovers += sim.switchovers > 0;
        if (bad(&sim) && first_bad < 0) {
            first_bad = seed;
            (void)snprintf(why, sizeof(why), "%s", sim.why);
        }
        if (bad(&sim) && stop_early)
            break;
    }
    bool good = p->variant == V_GOOD;
    bool ok = good ? first_bad < 0 : first_bad >= 0;
    printf("%s %-30s seeds=%ld steps=%d violating=%ld (lost=%ld dual=%ld unproved=%ld stuck=%ld) "
           "first_seed=%ld avg_commits=%.1f failovers_in=%.0f%% switchovers_in=%.0f%%%s%s\n",
           ok ? "ok  " : "FAIL", p->name, ran, p->steps, lost + dual + broken + stuck, lost, dual,
           broken, stuck, first_bad, commits / (double)ran, 100 * failovers / (double)ran,
           100 * switchovers / (double)ran, *why ? ": " : "", why);
    (void)fflush(stdout);
    return ok;
}

int
main(int argc, char **argv)
{
    long seeds = 20000;
    long first = 1;
    long trace = -1;
    bool all = false;
    const char *only = NULL;
    bool ok = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
            seeds = atol(argv[++i]);
        else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc)
            first = atol(argv[++i]);
        else if (strcmp(argv[i], "--variant") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--trace") == 0 && i + 1 < argc)
            trace = atol(argv[++i]);
        else if (strcmp(argv[i], "--all") == 0)
            all = true;
        else {
            fprintf(stderr, "usage: sim_model [--seeds N] [--first SEED] [--variant NAME] [--all] "
                            "[--trace SEED]\n");
            return 2;
        }
    }
    for (size_t i = 0; i < sizeof(plans) / sizeof(*plans); i++) {
        const struct plan *p = &plans[i];
        if (only && !strstr(p->name, only))
            continue;
        if (trace >= 0) {
            run(&sim, p, (uint64_t)trace, true);
            continue;
        }
        /* A planted defect ends at its first violation: all are known within some thousands. */
        long n = p->variant == V_GOOD ? seeds * p->share / 100 : PLANTED_SEEDS;
        ok = run_plan(p, first, n > 0 ? n : 1, p->variant != V_GOOD && !all) && ok;
    }
    return ok ? 0 : 1;
}
