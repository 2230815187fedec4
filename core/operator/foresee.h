/* foresee.h - what an edit of a Cluster would do: its passes are planned ahead, nothing is changed.
 *
 * The edited object is observed as in a pass (a dry one); then controllers/KIND/foresee plans round
 * after round in a world that does what it is told, one round a turn of the loop, so that nothing
 * else waits for long. The result is {"steps":[...],"rest":{"phase","reason"}}. */
#ifndef MH_OPERATOR_FORESEE_H
#define MH_OPERATOR_FORESEE_H

#include "base/world.h"
#include "lua/task.h"
#include "operator/planner.h"

#define MH_FORESEE_ROUNDS 100

struct mh_foresee {
    /* set by the caller, who keeps it until done or cancel */
    struct mh_planner planner;
    struct mh_clock clock;
    const char *kind; /* key of the kind */
    yyjson_val *object;
    yyjson_val *old; /* NULL: it is new */
    struct mh_arena *arena;
    void (*done)(struct mh_foresee *f);
    void *arg;
    /* set before done */
    struct mh_err err;
    const char *result; /* JSON on the arena */
    /* private */
    struct mh_planner_call call;
    struct mh_controller *scripts;
    struct mh_arena rounds[2]; /* in turn */
    yyjson_val *state;
    struct mh_timer *timer;
    int n;
};

/* done comes once; from inside only for want of memory. */
void mh_foresee_start(struct mh_foresee *f);
void mh_foresee_cancel(struct mh_foresee *f);

#endif
