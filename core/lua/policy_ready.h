/* policy_ready.h - inside core/lua: the fresh VM of a decision, made ready before it is asked for.
 *
 * A process that calls mh_policy_prepare keeps one VM in which our own files have run, and one for
 * each of the scripts that it was asked last, in which the script has run too: up to the point where
 * the input is needed. Each serves one decision and is thrown away. What it costs to run a script
 * that far is part of the budget of the decision, as if it had been done then. */
#ifndef MH_LUA_POLICY_READY_H
#define MH_LUA_POLICY_READY_H

#include "lua/policy_host.h"

struct mh_ready {
    struct mh_vm *vm;
    struct mh_policy_run run; /* host functions of the VM point to it */
    bool loaded;              /* the script of `job` has run */
    struct mh_policy_job job; /* whose script: copies on `own` */
    struct mh_arena own;
    uint64_t used; /* when the script was last asked */
};

/* A VM for the job, its run is reset to the arena and the job; NULL with the error in the result. */
struct mh_ready *mh_ready_take(struct mh_arena *a, const struct mh_policy_job *job,
                               struct mh_policy_result *r);
/* Runs the script up to the input, with the parameters of its run, unless that was done ahead. */
enum mh_code mh_ready_load(struct mh_ready *w, struct mh_policy_result *r);
/* The decision is over; again: the next one is likely to be as quick, and made ready for. */
void mh_ready_give(struct mh_ready *w, const struct mh_policy_job *asked, bool again);
/* Inside a protected call, after load: pushes what the script returned and the table of our own. */
void mh_ready_push(lua_State *L);

/* In policy.c: finds the text of a built-in policy, checks that it is text, and reads parameters; false
 * with the error in the result. */
bool mh_policy_read(struct mh_policy_run *run, struct mh_policy_job *job,
                    struct mh_policy_result *r);

#endif
