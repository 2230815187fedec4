/* jsonpath.h - JSONPath as printer columns and label selectors of scale subresources use it:
 * .a.b, ['a'], [0], [-1], [1:3], [*], .*, ..name, [?(@.type=="Ready")] with == != < <= > >=. */
#ifndef MH_SANDBOX_JSONPATH_H
#define MH_SANDBOX_JSONPATH_H

#include "sandbox/shape.h"

struct mh_sb_jsonpath;

/* Compiles ".spec.replicas" (without braces). Lives on the arena. Fails: INVALID, NOMEM. */
enum mh_code mh_sb_jsonpath_compile(struct mh_arena *a, const char *text,
                                    struct mh_sb_jsonpath **out, struct mh_err *err);
/* The first value found; NULL: none. */
yyjson_val *mh_sb_jsonpath_first(const struct mh_sb_jsonpath *p, struct mh_arena *scratch,
                                 yyjson_val *obj);
/* All values found, in order, on the arena; NULL only if there is no memory (*n is 0 too). */
yyjson_val **mh_sb_jsonpath_all(const struct mh_sb_jsonpath *p, struct mh_arena *a, yyjson_val *obj,
                                size_t *n);
/* The cell of a CRD's printer column of this type (string, integer, number, boolean, date) as the
 * real server puts it into a Table row; JSON null where there is no value. now: unix seconds. NULL:
 * no memory. */
yyjson_mut_val *mh_sb_jsonpath_cell(const struct mh_sb_jsonpath *p, const char *type,
                                    struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *obj,
                                    int64_t now);
/* "5m", "3h21m", "2d": how old something is, as in Tables (duration.HumanDuration). */
char *mh_sb_human_duration(struct mh_arena *a, int64_t seconds);

#endif
