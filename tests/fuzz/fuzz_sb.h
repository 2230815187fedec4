/* fuzz_sb.h - what the targets of the sandbox's API share. */
#ifndef MH_TESTS_FUZZ_SB_H
#define MH_TESTS_FUZZ_SB_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "sandbox/shape.h"

/* Parses; objects have no field twice. NULL: too long, or no JSON. */
static yyjson_val *
without_duplicates(struct mh_arena *a, const uint8_t *data, size_t size)
{
    yyjson_val *v = NULL;
    yyjson_mut_doc *doc = mh_json_doc(a);
    if (!doc || size >= 16384 || mh_json_parse(a, (const char *)data, size, &v, NULL) != MH_OK)
        return NULL;
    yyjson_mut_val *copy = yyjson_val_mut_copy(doc, v);
    mh_sb_drop_duplicates(copy, NULL);
    return copy ? mh_sb_freeze(a, copy) : NULL;
}

#endif
