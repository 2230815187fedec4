/* schema_validate.h - the parts of validation: types and limits, lists as sets and maps, rules.
 * All are called through mh_sb_schema_validate. */
#ifndef MH_SANDBOX_SCHEMA_VALIDATE_H
#define MH_SANDBOX_SCHEMA_VALIDATE_H

#include "sandbox/schema_in.h"

/* A value as it stands in "Invalid value: ...". NULL: no memory. */
char *mh_sb_value_text(struct mh_arena *a, yyjson_val *v);
/* The item of the old list with the same keys; NULL: none, or the list is no map. */
yyjson_val *mh_sb_same_item(const struct mh_sb_schema *list, yyjson_val *old, yyjson_val *item);
/* Types, required fields, limits, patterns, formats. part: prefix of the fields. */
bool mh_sb_validate_part(const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
                         const char *part, struct mh_sb_validate *ctx);
/* Lists that are sets or maps have no duplicates. */
bool mh_sb_validate_lists(const struct mh_sb_schema *s, yyjson_val *v, struct mh_arena *a,
                          struct mh_sb_causes *causes);
/* x-kubernetes-validations, at every depth. */
bool mh_sb_validate_rules(const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
                          struct mh_sb_validate *ctx);

/* Compiles x-kubernetes-validations of a schema; *out gets the list. */
enum mh_code mh_sb_rules_compile(struct mh_arena *a, yyjson_val *source, struct mh_sb_rule **out,
                                 struct mh_err *err);

#endif
