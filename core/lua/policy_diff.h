/* policy_diff.h - two answers of a policy, and how people read what differs. Pure. */
#ifndef MH_LUA_POLICY_DIFF_H
#define MH_LUA_POLICY_DIFF_H

#include "base/json.h"

/* Appends "order: [pg-2, pg-3] -> [pg-3, pg-2]; target: pg-2 -> pg-3", at most five differences.
 * Nothing is appended where the two are equal. False: no room. */
bool mh_policy_diff(struct mh_buf *out, yyjson_val *was, yyjson_val *is);

#endif
