/* planner.h - who observes and plans for an object: the controllers' scripts, or a test. */
#ifndef MH_OPERATOR_PLANNER_H
#define MH_OPERATOR_PLANNER_H

#include <stdbool.h>

#include "base/json.h"

struct mh_planner_call {
    /* set by the caller, who keeps it until done or cancel */
    const char *kind; /* key of the kind */
    const char *ns;
    const char *name;
    yyjson_val *object;
    struct mh_arena *arena;
    bool dry; /* only asked: nothing of it is remembered */
    void (*done)(struct mh_planner_call *call);
    void *arg;
    /* set before done */
    struct mh_err err;
    const char *by;   /* which version planned, where that is not ours; NULL else */
    const char *seen; /* canonical JSON; may be there on failure of plan too */
    size_t seen_len;
    const char *plan; /* canonical JSON */
    size_t plan_len;
    struct mh_err left_out; /* not MH_OK: why the plan is not all that the script wanted */
    void *impl;
};

struct mh_planner {
    /* done comes once; from inside only for want of memory. */
    void (*start)(void *self, struct mh_planner_call *call);
    void (*cancel)(void *self, struct mh_planner_call *call);
    void *self;
};

#endif
