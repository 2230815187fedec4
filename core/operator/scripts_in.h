/* scripts_in.h - between scripts.c and scripts_read.c. */
#ifndef MH_OPERATOR_SCRIPTS_IN_H
#define MH_OPERATOR_SCRIPTS_IN_H

#include "operator/scripts.h"

/* One pass in the planner; on the pass's arena. */
struct mh_scripts_run {
    struct mh_scripts_env *env;
    struct mh_planner_call *call;
    struct mh_controller *controller;
    const struct mh_scripts_needs *needs;
    struct mh_observe observe;
    struct mh_timer *timer; /* the end, when observe never waited */
    uint64_t fleet;         /* version of what it was told of other clusters */
};

struct mh_scripts_env *mh_scripts_env_of(const struct mh_effect_call *e);
/* The answer is an error of the script's call. */
enum mh_effect_result mh_scripts_refuse(struct mh_effect_call *e, enum mh_code code,
                                        const char *what);

/* For a controller without "plans" in needs.core: its plan as that of a plugin is finished (NULL: what
 * goes before it is asked). True: call->plan is set; false: it is to be asked, or call->err says why
 * not (scripts_finish.c). */
bool mh_scripts_finish(struct mh_scripts_run *run, yyjson_val *plan);

/* ctx.list and ctx.get, held to the needs (scripts_read.c). */
enum mh_effect_result mh_scripts_list(struct mh_effect_call *e);
enum mh_effect_result mh_scripts_get(struct mh_effect_call *e);

#endif
