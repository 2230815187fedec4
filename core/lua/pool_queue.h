/* pool_queue.h - inside core/lua: whose job is next. Pure. */
#ifndef MH_LUA_POOL_QUEUE_H
#define MH_LUA_POOL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define MH_TURNS 256
#define MH_KNOWN 8 /* scripts that a worker has ready */

/* What counts of a job, waiting or running. */
struct mh_turn {
    uint64_t tenant; /* hash of its name; 0: nobody's */
    bool check;      /* else a decision, for which somebody waits */
};

/* When tenants were served last; two may share a place, which only mixes up their order. */
struct mh_turns {
    uint64_t clock;
    uint64_t last[MH_TURNS];
};

/* Which scripts a worker was asked last: those are ready in it. A guess, and no harm if it is wrong. */
struct mh_known {
    uint64_t scripts[MH_KNOWN];
    unsigned next;
};

/* What is idle and may take a job. */
struct mh_seat {
    const struct mh_known *known;
    uint64_t rested; /* the lower the longer */
    int64_t rest_ms;
};

void mh_known_add(struct mh_known *k, uint64_t script);
/* Which of n seats (at least one) takes a job with this script: one that has it ready, unless it has
 * answered only now and is not done with making it ready; else that which rests longest. */
int mh_seat_best(const struct mh_seat *seats, int n, uint64_t script);

struct mh_turn mh_turn_of(const char *tenant, bool check);
/* May it run beside these n, where `most` can run at once? */
bool mh_turn_allowed(const struct mh_turn *t, const struct mh_turn *busy, int n, int most);
/* Is a, which came later, to run before b? Decisions first, then who has waited longer for a turn. */
bool mh_turn_before(const struct mh_turns *turns, const struct mh_turn *a, const struct mh_turn *b);
void mh_turn_taken(struct mh_turns *turns, const struct mh_turn *t);

#endif
