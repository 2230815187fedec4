/* plugin_case.h - a plugin's own cases: how a failure is told, by the operator and where no cluster is.
 * Pure. What a case means is in scripts/plugins/lib/cases.lua. */
#ifndef MH_LUA_PLUGIN_CASE_H
#define MH_LUA_PLUGIN_CASE_H

#include "base/json.h"

/* Case number `at` (from 0) of a declaration; NULL: there are not so many. */
yyjson_val *mh_plugin_case(yyjson_val *declaration, size_t at);
/* Its name, or "2". */
const char *mh_plugin_case_name(struct mh_arena *a, yyjson_val *one, size_t at);
/* The argument of host.case: {case, api, kind, spec} and the plan (NULL: there is none yet). NULL: no
 * memory. */
yyjson_val *mh_plugin_case_arg(struct mh_arena *a, yyjson_val *declaration, yyjson_val *one,
                               yyjson_val *plan);
/* Wraps *err as "greeting.lua:12: ... (in case 'NAME')": the line is where the text names the case, else
 * that of the declaration. A line that *err has already stays. */
void mh_plugin_case_failed(struct mh_err *err, const char *key, const char *script,
                           yyjson_val *declaration, const char *name);

#endif
