/* {"live", "applied"}: applying the same again and again comes to rest. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_sb.h"
#include "sandbox/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"l\":{\"type\":\"array\","
    "\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":"
    "\"object\",\"properties\":{\"k\":{\"type\":\"string\",\"default\":\"d\"},\"v\":{\"type\":"
    "\"integer\"}}}},\"s\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":"
    "{\"type\":\"string\"}},\"m\":{\"type\":\"object\",\"additionalProperties\":{\"type\":"
    "\"string\"}},\"o\":{\"type\":\"object\",\"x-kubernetes-map-type\":\"atomic\"},"
    "\"x\":{\"x-kubernetes-preserve-unknown-fields\":true}}}";

static void
try_apply(struct mh_arena *a, yyjson_val *live, yyjson_val *applied)
{
    struct mh_err err;
    struct mh_sb_causes conflicts;
    yyjson_val *source = NULL;
    yyjson_mut_val *out = NULL;
    bool changed = true;
    struct mh_sb_write w = { .arena = a,
                             .doc = mh_json_doc(a),
                             .api_version = "t/v1",
                             .kind = "K",
                             .manager = "m",
                             .subresource = "",
                             .now = "2026-01-01T00:00:00Z",
                             .force = true,
                             .live = live };
    mh_sb_causes_init(&conflicts, a);
    if (!w.doc || mh_json_parse(a, schema_text, strlen(schema_text), &source, &err) != MH_OK ||
        mh_sb_schema_crd(a, source, NULL, &w.schema, &err) != MH_OK)
        return;
    /* items that nobody owns may go first and an empty list come next: then it is at rest */
    for (int i = 0; i < 3; i++) {
        if (mh_sb_fields_apply(&w, applied, &out, &changed, &conflicts, &err) != MH_OK)
            return;
        w.live = mh_sb_freeze(a, out);
        w.now = "2027-01-01T00:00:00Z";
        if (!w.live)
            return;
    }
    /* without owners the next apply first gives one to all that is there */
    if (changed && mh_json_get(w.live, "metadata", "managedFields", NULL))
        abort();
    mh_sb_fields_update(&w, out, &err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)64 << 20);
    yyjson_val *v = without_duplicates(&a, data, size);
    if (yyjson_is_obj(yyjson_obj_get(v, "applied"))) {
        yyjson_val *live = yyjson_obj_get(v, "live");
        try_apply(&a, yyjson_is_obj(live) ? live : NULL, yyjson_obj_get(v, "applied"));
    }
    mh_arena_release(&a);
    return 0;
}
