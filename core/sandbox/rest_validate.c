/* Checks of built-in kinds, and of metadata. */
#include <string.h>

#include "sandbox/rest_in.h"

void
mh_sb_check_meta(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes)
{
    const char *name = mh_json_str(obj, "metadata", "name", NULL);
    (void)op;
    if (!name || !*name)
        mh_sb_cause_add(causes, "FieldValueRequired", "metadata.name",
                        "Required value: name or generateName is required");
}

void
mh_sb_check(struct mh_sb_op *op, yyjson_val *obj, struct mh_sb_causes *causes)
{
    (void)op, (void)obj, (void)causes;
}
