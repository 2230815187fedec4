/* declared.h - what a script says that it needs, found by running its top and nothing else of it.
 *
 * For a worker: the text is that of a user whom nobody has judged yet. Names that are not of the
 * basic libraries stand for something that can be called, indexed and reckoned with and is empty, so
 * that the words of every kind of script will do. Who lies here gains nothing: what is granted is
 * what was said here. */
#ifndef MH_LUA_DECLARED_H
#define MH_LUA_DECLARED_H

#include <lua.h>

#include "lua/policy.h"

#define MH_DECLARED_MAX ((size_t)8 << 10)

/* A job of MH_POLICY_DECLARED: the answer is the field `needs` of the table that the script returns,
 * as canonical JSON, "null" where it has none. */
void mh_declared_run(struct mh_arena *a, const struct mh_policy_job *job,
                     struct mh_policy_result *r);

/* --- controller "Kind" { ... } ---------------------------------------------------------------- */

/* Inside a protected call: takes the value on the top, which becomes `observe` where a declaration
 * has none (nil: it stays without), and pushes the function `controller` of plugins and of the
 * controllers of the image. It refuses functions that nobody would call, and wants `plan`. */
void mh_declared_push(lua_State *L);

#endif
