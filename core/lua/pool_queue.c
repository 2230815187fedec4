#include "lua/pool_queue.h"

#include <stddef.h>

#define READY_MS 2 /* after an answer, until a worker is ready for the same again */
#define SPARE 2    /* workers that a tenant leaves free when it takes more than one */

struct mh_turn
mh_turn_of(const char *tenant, bool check)
{
    struct mh_turn t = { .tenant = 0, .check = check };
    if (tenant)
        t.tenant = UINT64_C(14695981039346656037);
    for (; tenant && *tenant; tenant++)
        t.tenant = (t.tenant ^ (unsigned char)*tenant) * UINT64_C(1099511628211);
    return t;
}

bool
mh_turn_allowed(const struct mh_turn *t, const struct mh_turn *busy, int n, int most)
{
    int own = 0;
    int checks = 0;
    for (int i = 0; i < n; i++) {
        own += busy[i].tenant == t->tenant;
        checks += busy[i].check;
    }
    if (own > 0 && most - n - 1 < SPARE)
        return false;
    return !t->check || checks < (most > 1 ? most / 2 : 1);
}

bool
mh_turn_before(const struct mh_turns *turns, const struct mh_turn *a, const struct mh_turn *b)
{
    if (a->check != b->check)
        return b->check;
    return turns->last[a->tenant % MH_TURNS] < turns->last[b->tenant % MH_TURNS];
}

void
mh_turn_taken(struct mh_turns *turns, const struct mh_turn *t)
{
    turns->last[t->tenant % MH_TURNS] = ++turns->clock;
}

static bool
knows(const struct mh_known *k, uint64_t script)
{
    for (int i = 0; i < MH_KNOWN; i++) {
        if (k->scripts[i] == script)
            return true;
    }
    return false;
}

void
mh_known_add(struct mh_known *k, uint64_t script)
{
    if (!knows(k, script))
        k->scripts[k->next++ % MH_KNOWN] = script;
}

int
mh_seat_best(const struct mh_seat *seats, int n, uint64_t script)
{
    int longest = 0;
    int ready = -1;
    for (int i = 0; i < n; i++) {
        if (seats[i].rested < seats[longest].rested)
            longest = i;
        if (knows(seats[i].known, script) && (ready < 0 || seats[i].rested < seats[ready].rested))
            ready = i;
    }
    return ready >= 0 && seats[ready].rest_ms >= READY_MS ? ready : longest;
}
