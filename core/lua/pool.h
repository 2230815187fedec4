/* pool.h - the parent of policy workers: asks, watches the deadline, kills, answers.
 *
 * Lives on one event_base. A spare worker, locked down, always waits, so that a kill costs
 * nothing. Every job is answered once: by the worker, or with an error record at its deadline.
 * Workers' answers are hostile input and pass the guards of guard.h before anybody sees them.
 * Slow scripts of one tenant delay nobody else: a tenant has a second worker only while two more
 * are free, who was served longest ago is next, and checks leave half of the workers alone. */
#ifndef MH_LUA_POOL_H
#define MH_LUA_POOL_H

#include <event2/event.h>

#include "base/mem.h"
#include "lua/policy.h"

struct mh_pool;

struct mh_pool_options {
    const char *const *argv; /* NULL: {"/proc/self/exe", "policy-worker", NULL} */
    int workers;             /* most at once, 0: 6 */
    int deadline_ms;         /* of a decision and its wait, 0: 100; checks get ten times that */
    bool in_process;         /* no workers: scripts run here, for a debugger's eyes */
};
/* With no options at all: as above, and in_process when this variable is set. */
#define MH_POOL_IN_PROCESS "MOONHERD_POLICIES_IN_PROCESS"

struct mh_policy_call {
    /* set by the caller, who keeps it until done or cancel */
    struct mh_policy_job job; /* texts must live as long */
    const char *tenant;       /* whose script it is: a namespace; only read by start; may be NULL */
    struct mh_arena *arena;
    void (*done)(struct mh_policy_call *call);
    void *arg;
    /* set before done */
    struct mh_policy_result result;
    void *impl;
};

/* NULL: no memory. Workers are started on the loop's first turn. */
struct mh_pool *mh_pool_new(struct event_base *base, const struct mh_pool_options *opt);
/* Kills all workers; open calls are forgotten without done. */
void mh_pool_free(struct mh_pool *p);
/* done comes once and never from inside start. */
void mh_policy_start(struct mh_pool *p, struct mh_policy_call *call);
void mh_policy_cancel(struct mh_pool *p, struct mh_policy_call *call);
/* Workers alive, and killed since the start. */
int mh_pool_alive(const struct mh_pool *p);
int mh_pool_kills(const struct mh_pool *p);

#endif
