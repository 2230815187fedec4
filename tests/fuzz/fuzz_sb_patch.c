/* {"obj", "patch"}: all three patches; a merge patch comes to rest. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_sb.h"
#include "sandbox/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{\"l\":{\"type\":\"array\",\"x-kubernetes-patch-"
    "strategy\":"
    "\"merge,retainKeys\",\"x-kubernetes-patch-merge-key\":\"k\",\"items\":{\"type\":\"object\"}},"
    "\"p\":{\"type\":\"array\",\"x-kubernetes-patch-strategy\":\"merge\",\"items\":{\"type\":"
    "\"string\"}}}}";

static void
try_patches(struct mh_arena *a, yyjson_val *obj, yyjson_val *patch)
{
    struct mh_err err;
    yyjson_val *source = NULL;
    yyjson_mut_val *out = NULL;
    const struct mh_sb_schema *s = NULL;
    yyjson_mut_doc *doc = mh_json_doc(a);
    if (!doc || mh_json_parse(a, schema_text, strlen(schema_text), &source, &err) != MH_OK ||
        mh_sb_schema_crd(a, source, NULL, &s, &err) != MH_OK)
        return;
    if (mh_sb_patch_json(doc, obj, patch, &out, &err) == MH_OK)
        mh_json_mut_text(a, out, NULL);
    if (mh_sb_patch_strategic(doc, s, obj, patch, &out, &err) == MH_OK)
        mh_json_mut_text(a, out, NULL);
    /* the first time nulls inside of lists may stay, as on the real server: not the second */
    yyjson_val *was = NULL;
    for (int i = 0; i < 3; i++) {
        if (mh_sb_patch_merge(doc, obj, patch, &out, &err) != MH_OK)
            return;
        was = obj;
        obj = mh_sb_freeze(a, out);
        if (!obj)
            return;
    }
    if (!mh_sb_equal(was, obj))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)64 << 20);
    yyjson_val *v = without_duplicates(&a, data, size);
    if (yyjson_is_obj(yyjson_obj_get(v, "obj")) && yyjson_obj_get(v, "patch"))
        try_patches(&a, yyjson_obj_get(v, "obj"), yyjson_obj_get(v, "patch"));
    mh_arena_release(&a);
    return 0;
}
