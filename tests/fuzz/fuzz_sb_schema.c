/* {"schema", "obj", "old"}: what is pruned and defaulted stays as it is when that is done again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_sb.h"
#include "sandbox/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static yyjson_val *
prepare(struct mh_arena *a, const struct mh_sb_schema *s, yyjson_val *obj)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *v = doc ? yyjson_val_mut_copy(doc, obj) : NULL;
    if (!v)
        return NULL;
    mh_sb_schema_prune(s, v, NULL);
    mh_sb_schema_drop_nulls(s, v);
    return mh_sb_schema_default(s, doc, v) ? mh_sb_freeze(a, v) : NULL;
}

static void
try_schema(struct mh_arena *a, yyjson_val *in)
{
    struct mh_err err;
    struct mh_sb_causes causes;
    struct mh_sb_validate v = { .arena = a, .causes = &causes };
    const struct mh_sb_schema *s = NULL;
    yyjson_val *schema = yyjson_obj_get(in, "schema");
    mh_sb_causes_init(&causes, a);
    mh_sb_schema_check(schema, "s", &causes);
    bool sound = causes.count == 0 && !causes.failed;
    if (mh_sb_schema_crd(a, schema, NULL, &s, &err) != MH_OK)
        return;
    yyjson_val *once = prepare(a, s, yyjson_obj_get(in, "obj"));
    yyjson_val *twice = once ? prepare(a, s, once) : NULL;
    if (sound && twice && !mh_sb_equal(once, twice))
        abort();
    if (once)
        mh_sb_schema_validate(s, once, yyjson_obj_get(in, "old"), "", &v);
    mh_sb_causes_text(&causes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)64 << 20);
    yyjson_val *v = without_duplicates(&a, data, size);
    if (yyjson_is_obj(yyjson_obj_get(v, "schema")) && yyjson_is_obj(yyjson_obj_get(v, "obj")))
        try_schema(&a, v);
    mh_arena_release(&a);
    return 0;
}
