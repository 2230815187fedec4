/* main.c - variants, seeds. One line per variant; exit code 1 when the protocol violates
 * anything, or when a planted defect is not found.
 *
 *   sim_model [--seeds N] [--first SEED] [--variant NAME] [--trace SEED] [--part I --parts N]
 *
 * --part I of N: every Nth variant, so that each processor can have its part. */
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
    enum drivers drivers;
};

static const struct plan plans[] = {
    { "protocol n=3 W=1", V_GOOD, M_SYNC, 3, 1, 1200, 100, D_OPERATORS },
    { "protocol n=2 W=1", V_GOOD, M_SYNC, 2, 1, 1000, 50, D_OPERATORS },
    { "protocol n=3 W=2", V_GOOD, M_SYNC, 3, 2, 1200, 30, D_OPERATORS },
    { "protocol n=4 W=2", V_GOOD, M_SYNC, 4, 2, 1500, 50, D_OPERATORS },
    { "protocol n=5 W=1", V_GOOD, M_SYNC, 5, 1, 2000, 30, D_OPERATORS },
    { "protocol n=5 W=2", V_GOOD, M_SYNC, 5, 2, 2000, 50, D_OPERATORS },
    { "protocol n=5 W=3", V_GOOD, M_SYNC, 5, 3, 2000, 30, D_OPERATORS },
    { "protocol changing n=3", V_GOOD, M_CHANGING, 3, 1, 1500, 100, D_OPERATORS },
    { "protocol changing n=5", V_GOOD, M_CHANGING, 5, 2, 2000, 50, D_OPERATORS },
    { "protocol async n=2", V_GOOD, M_ASYNC, 2, 0, 1200, 30, D_OPERATORS },
    { "protocol async n=3", V_GOOD, M_ASYNC, 3, 0, 1500, 60, D_OPERATORS },
    { "protocol losing volumes n=3", V_GOOD, M_LOSS, 3, 1, 1500, 60, D_OPERATORS },
    { "protocol losing volumes n=5", V_GOOD, M_LOSS, 5, 2, 2000, 30, D_OPERATORS },
    { "protocol deputies alone n=3 W=1", V_GOOD, M_SYNC, 3, 1, 1500, 60, D_DEPUTIES },
    { "protocol deputies alone n=2 W=1", V_GOOD, M_SYNC, 2, 1, 1200, 20, D_DEPUTIES },
    { "protocol deputies alone n=5 W=2", V_GOOD, M_SYNC, 5, 2, 2500, 20, D_DEPUTIES },
    { "protocol deputies alone changing n=4", V_GOOD, M_CHANGING, 4, 1, 2000, 20, D_DEPUTIES },
    { "protocol deputies alone async n=3", V_GOOD, M_ASYNC, 3, 0, 1500, 40, D_DEPUTIES },
    { "protocol deputies alone losing n=3", V_GOOD, M_LOSS, 3, 1, 1500, 20, D_DEPUTIES },
    { "protocol deputies and operators n=3", V_GOOD, M_SYNC, 3, 1, 1500, 60, D_BOTH },
    { "protocol deputies and operators n=5", V_GOOD, M_CHANGING, 5, 2, 2500, 30, D_BOTH },
    { "protocol deputies and operators async", V_GOOD, M_ASYNC, 3, 0, 1500, 40, D_BOTH },
    { "protocol deputies and operators losing", V_GOOD, M_LOSS, 3, 1, 1500, 20, D_BOTH },
    { "fence quorum of 1", V_FENCE1, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "lsn-only ordering", V_LSNONLY, M_CHANGING, 5, 2, 3000, 0, D_OPERATORS },
    { "no gate", V_NOGATE, M_SYNC, 5, 2, 2000, 0, D_OPERATORS },
    { "restart without gate", V_RESTARTGATE, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "promise lost on crash", V_VOLATILE, M_SYNC, 3, 1, 2000, 0, D_OPERATORS },
    { "checked once, elected later", V_CHECKONCE, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "status check without fence", V_NOFENCE, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "switchover before the record", V_SWITCHEARLY, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "set used before the union", V_NOUNION, M_CHANGING, 4, 1, 1500, 0, D_OPERATORS },
    { "proof from a stale pod", V_STALEPOD, M_ASYNC, 3, 0, 2000, 0, D_OPERATORS },
    { "lost winner not in the set", V_HOLDEROUT, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "changes forget former sets", V_FORGETS, M_CHANGING, 4, 1, 1500, 0, D_OPERATORS },
    { "set drifts after the union", V_DRIFT, M_CHANGING, 4, 2, 2000, 0, D_OPERATORS },
    { "fenced before the log's end", V_EARLYEND, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "fence outlives postgres", V_FENCESTAYS, M_SYNC, 3, 1, 1200, 0, D_OPERATORS },
    { "rewind only to an open gate", V_OPENFIRST, M_SYNC, 3, 2, 1200, 0, D_OPERATORS },
    { "rewind only to an open gate, n=2", V_OPENFIRST, M_SYNC, 2, 1, 1000, 0, D_OPERATORS },
    { "hand-over without an end", V_GAVEUP, M_SYNC, 2, 1, 1000, 0, D_OPERATORS },
    { "standbys of standbys", V_CASCADES, M_SYNC, 5, 3, 2000, 0, D_OPERATORS },
    { "fenced standbys let all in", V_FENCEDSERVES, M_SYNC, 5, 3, 2000, 0, D_OPERATORS },
    { "same timeline twice", V_SAMETLI, M_SYNC, 5, 3, 2000, 0, D_OPERATORS },
    { "deputy writes blindly", V_DEPUTYBLIND, M_SYNC, 3, 1, 1500, 0, D_BOTH },
    { "deputy fenced before its promise", V_DEPUTYITSELF, M_SYNC, 3, 1, 1500, 0, D_DEPUTIES },
    { "deputy lets receivers be", V_DEPUTYPEERS, M_SYNC, 3, 1, 1500, 0, D_DEPUTIES },
    { "deputy waits for no lease bound", V_DEPUTYCLOCK, M_ASYNC, 3, 0, 1500, 0, D_DEPUTIES },
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
    s->drivers = p->drivers;
    s->n = p->n;
    s->w = p->w;
    s->trace = trace;
    s->now = 1000000;
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
    s->ver[1] =
        (struct mlease){ .term = 1, .served = 1, .session = 1, .candidate = -1, .known = true };
    s->nver = fresh ? 1 : 2;
    for (int k = 0; k < COORDS; k++) {
        s->coord[k].seen = s->nver - 1;
        s->coord[k].since = s->now;
    }
    for (int i = 0; i < p->n; i++)
        sim_deputy_forgets(s, i);
    s->patient = p->drivers != D_OPERATORS && sim_r(s, 2) == 0;
}

static void
run(struct sim *s, const struct plan *p, uint64_t seed, bool trace)
{
    set_up(s, p, seed, trace);
    for (int t = 0; t < p->steps && !sim_bad(s) && s->nver < VERSIONS - 60; t++)
        sim_step(s);
    if (!sim_bad(s) &&
        (p->variant == V_GOOD || p->variant == V_OPENFIRST || p->variant == V_GAVEUP))
        sim_heal(s);
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
        if (sim_bad(&sim) && first_bad < 0) {
            first_bad = seed;
            (void)snprintf(why, sizeof(why), "%s", sim.why);
        }
        if (sim_bad(&sim) && stop_early)
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
    size_t part = 0;
    size_t parts = 1;
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
        else if (strcmp(argv[i], "--part") == 0 && i + 1 < argc)
            part = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--parts") == 0 && i + 1 < argc)
            parts = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--all") == 0)
            all = true;
        else {
            fprintf(stderr, "usage: sim_model [--seeds N] [--first SEED] [--variant NAME] [--all] "
                            "[--trace SEED] [--part I --parts N]\n");
            return 2;
        }
    }
    for (size_t i = 0; i < sizeof(plans) / sizeof(*plans); i++) {
        const struct plan *p = &plans[i];
        if ((only && !strstr(p->name, only)) || i % (parts ? parts : 1) != part)
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
