/* chaos_in.h - what chaos.c and chaos_effects.c share. */
#ifndef MH_BIND_CHAOS_IN_H
#define MH_BIND_CHAOS_IN_H

#include "bind/chaos.h"

/* One coroutine of a scenario. */
struct mh_chaos_fiber {
    struct mh_chaos *c;
    struct mh_chaos_fiber *next;
    struct mh_observe o;
    struct mh_arena arena; /* as long as the fiber */
    struct mh_arena fx;    /* of the effect in flight */
    struct event *turn;    /* it goes on in the next turn of the loop */
    struct mh_effect_call *ready;
    bool started;
    bool ended;
};

/* A further fiber, for function `id` of the script; begins in the next turn. False: no memory. */
bool mh_chaos_spawn(struct mh_chaos *c, int64_t id);
/* The answer of a waiting effect is there; its fiber goes on in the next turn. */
void mh_chaos_ready(struct mh_effect_call *call);

extern const struct mh_effect mh_chaos_effects[];

#endif
