/* policy_host.h - inside core/lua: what scripts/policies/lib gets from C, and no script of a user. */
#ifndef MH_LUA_POLICY_HOST_H
#define MH_LUA_POLICY_HOST_H

#include <lua.h>

#include "lua/policy.h"

struct mh_policy_run {
    const struct mh_policy_job *job;
    struct mh_arena *arena;
    yyjson_val *params;
    yyjson_val *beside;      /* cases of a file; NULL: none */
    yyjson_val *input;       /* of the decision, or of the case that runs */
    const char *params_file; /* "failover.params.yaml" */
    const char *declared;    /* decision point of the script */
    int line;                /* where it says policy "..." */
    int cases;
    char step[120]; /* "case 'x'" while it runs */
    int64_t fuel;   /* of the steps before */
    const char *answer;
    size_t answer_len;
    struct mh_policy_step *steps; /* of a check with `all` */
    struct mh_policy_step **last_step;
    int failed_steps;
};

/* Notes how the step that runs ended; no memory: it is lost. */
void mh_policy_told(struct mh_policy_run *run, bool ok, const char *message);

/* order(list): of { name =, key = } of rank the names, in their order; nil where its own comparison has to
 * say what is wrong, or has more to look at. In policy_order.c. */
int mh_policy_order(lua_State *L);

/* Pushes the host table; of the run only the address is taken. Raises. */
void mh_policy_push_host(lua_State *L, struct mh_policy_run *run);
/* Tells the host table, on the top, what the run is about. Raises. */
void mh_policy_tell_host(lua_State *L, const struct mh_policy_run *run);

#endif
