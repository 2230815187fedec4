/* guard.h - the policy proposes, the core disposes: what an answer may be. Pure C.
 *
 * failover/v1: an order of the candidates' own names, or a hold of at most 30 s.
 * placement/v1: bounded lists of node terms and spread rules, or a refusal with a reason.
 * Unknown keys are errors, so that a typing mistake is never ignored. */
#ifndef MH_LUA_GUARD_H
#define MH_LUA_GUARD_H

#include "moonherd/err.h"

#include "base/json.h"

#define MH_HOLD_MAX_S 30

/* REFUSED with the path in the message when the answer is not allowed for this input. */
enum mh_code mh_guard_answer(const char *point, yyjson_val *input, yyjson_val *answer,
                             struct mh_err *err);

#endif
