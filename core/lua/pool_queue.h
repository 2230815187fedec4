/* pool_queue.h - inside core/lua: whose job is next. Pure. */
#ifndef MH_LUA_POOL_QUEUE_H
#define MH_LUA_POOL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define MH_TURNS 256

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

struct mh_turn mh_turn_of(const char *tenant, bool check);
/* May it run beside these n, where `most` can run at once? */
bool mh_turn_allowed(const struct mh_turn *t, const struct mh_turn *busy, int n, int most);
/* Is a, which came later, to run before b? Decisions first, then who has waited longer for a turn. */
bool mh_turn_before(const struct mh_turns *turns, const struct mh_turn *a, const struct mh_turn *b);
void mh_turn_taken(struct mh_turns *turns, const struct mh_turn *t);

#endif
