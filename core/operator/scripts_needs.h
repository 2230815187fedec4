/* scripts_needs.h - what a controller of the image declares, and what it is held to.
 *
 * Its declaration is that of a plugin, read by the same C and Lua (lua/declared.h, plugins/lib/host,
 * needs.h). Beyond a plugin it may name words under needs.core; what goes with one of them is in
 * the tables of scripts_needs.c and, for people, in scripts/meta/core.lua. What it did not declare
 * is refused, as to a plugin: a function of ctx is not there, a read or a plan is REFUSED. */
#ifndef MH_OPERATOR_SCRIPTS_NEEDS_H
#define MH_OPERATOR_SCRIPTS_NEEDS_H

#include "kube/kinds.h"
#include "lua/task.h"
#include "operator/needs.h"

#define MH_SCRIPTS_EFFECTS_MAX 12

struct mh_scripts_needs {
    struct mh_arena arena;
    struct mh_needs_set set;
    const struct mh_kinds *kinds;
    const char *kind;       /* that it serves */
    const char *group;      /* that it declares: it stands for all that are served */
    yyjson_val *groups;     /* served, of the settings */
    const char *name_space; /* the operator's */
    const char *name;       /* of the script, set by the caller */
    bool finalizes;
    struct mh_controller *host; /* finishes its plans as those of plugins; NULL: it has "plans" */
    struct mh_effect effects[MH_SCRIPTS_EFFECTS_MAX + 1]; /* that it may call */
};

/* Reads the declaration of c; all is the effects there are. On failure nothing is to be released.
 * What is set by the caller is set afterwards. */
enum mh_code mh_scripts_needs_init(struct mh_scripts_needs *n, const struct mh_controller *c,
                                   const struct mh_kinds *kinds, const char *settings,
                                   const struct mh_effect *all, struct mh_err *err);
void mh_scripts_needs_release(struct mh_scripts_needs *n);
/* Whether it has this word of needs.core. */
bool mh_scripts_has(const struct mh_scripts_needs *n, const char *word);
/* own_ns is the namespace of the object whose pass it is. */
enum mh_code mh_scripts_may(const struct mh_scripts_needs *n, const struct mh_need_wish *wish,
                            const char *own_ns, struct mh_err *err);
/* Every action of a plan; an action that is no word of the interface is REFUSED, too. */
enum mh_code mh_scripts_may_plan(const struct mh_scripts_needs *n, yyjson_val *plan,
                                 const char *own_ns, struct mh_err *err);
/* What is done of a plan that was REFUSED, on the arena: what stands before the first action that no
 * need covers, and every step of a failover in its object's namespace. NULL: nothing, for the
 * controller has no "failover" in needs.core; or there is no memory. */
const char *mh_scripts_rest(const struct mh_scripts_needs *n, struct mh_arena *a, yyjson_val *plan,
                            const char *own_ns, size_t *len);

#endif
