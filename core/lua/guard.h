/* guard.h - the policy proposes, the core disposes: what an answer may be. Pure C.
 *
 * The shape comes first (shape.h: unknown keys, types, bounds), then what the safe set of the
 * decision point demands; the words for people stand in scripts/policies/points. */
#ifndef MH_LUA_GUARD_H
#define MH_LUA_GUARD_H

#include "moonherd/err.h"

#include "base/json.h"

#define MH_HOLD_MAX_S 30

/* REFUSED with the path in the message when the answer is not allowed for this input. */
enum mh_code mh_guard_answer(const char *point, yyjson_val *input, yyjson_val *answer,
                             struct mh_err *err);
/* Whether instance/v1 may set this parameter of PostgreSQL. */
bool mh_guard_parameter(const char *name);

/* --- between guard.c and guard_more.c --- */

struct mh_guard {
    yyjson_val *input;
    yyjson_val *answer;
    int64_t wait_max_s;
    struct mh_err *err;
};

/* The element of input.LIST whose field is this text, or NULL. */
yyjson_val *mh_guard_find(const struct mh_guard *g, const char *list, const char *field,
                          const char *text);
/* decision.PATH: each a name of an element of input.LIST, and each once. `what`: "candidate". */
enum mh_code mh_guard_names(const struct mh_guard *g, const char *path, const char *list,
                            const char *what);
/* A wait within its bounds, counted from `from`. */
enum mh_code mh_guard_wait(const struct mh_guard *g, int64_t from);

enum mh_code mh_guard_retention(const struct mh_guard *g);
enum mh_code mh_guard_rollout(const struct mh_guard *g);
enum mh_code mh_guard_sync(const struct mh_guard *g);
enum mh_code mh_guard_instance(const struct mh_guard *g);
enum mh_code mh_guard_backup(const struct mh_guard *g);
enum mh_code mh_guard_heal(const struct mh_guard *g);
enum mh_code mh_guard_notify(const struct mh_guard *g);

#endif
