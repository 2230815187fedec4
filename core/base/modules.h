/* modules.h - the native modules of this build (include/moonherd/module.h), and their checks.
 *
 * Set once, at the start, before anything else runs; kept by reference. */
#ifndef MH_BASE_MODULES_H
#define MH_BASE_MODULES_H

#include "moonherd/module.h"

#include "base/json.h"

#define MH_MODULES_MAX 32
#define MH_MODULE_FAULTS 32 /* of one object; more are not told */

/* The list ends with NULL. INVALID: another version, a name that is none, taken or there twice. */
enum mh_code mh_modules_set(const struct mh_module *const *list, struct mh_err *err);
/* Never NULL. */
const struct mh_module *const *mh_modules(void);
/* What the checks for now's kind say: [{"path","message"}] on the arena. NULL: nothing is wrong, or
 * no memory (it is asked again at every pass). */
yyjson_val *mh_modules_check(struct mh_arena *a, yyjson_val *now, yyjson_val *old);
/* {"interface":1,"modules":[...]} of `version -o json`, as a part of an object in the making. */
bool mh_modules_describe(yyjson_mut_doc *doc, yyjson_mut_val *out);

#endif
