/* Checks of CustomResourceDefinitions. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_check.h"

static bool
is_established(yyjson_val *crd)
{
    yyjson_val *list = mh_json_get(crd, "status", "conditions", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *c = yyjson_arr_get(list, i);
        if (mh_str_eq(mh_json_str(c, "type", NULL), "Established"))
            return mh_str_eq(mh_json_str(c, "status", NULL), "True");
    }
    return false;
}

static void
check_versions(yyjson_val *spec, struct mh_sb_causes *causes)
{
    yyjson_val *list = yyjson_obj_get(spec, "versions");
    int storage = 0;
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *v = yyjson_arr_get(list, i);
        yyjson_val *schema = mh_json_get(v, "schema", "openAPIV3Schema", NULL);
        char *at = mh_arena_printf(causes->arena, "spec.versions[%zu].schema.openAPIV3Schema", i);
        storage += mh_json_bool(v, false, "storage", NULL);
        if (!at)
            causes->failed = true;
        else if (!schema)
            mh_sb_cause_add(causes, "FieldValueRequired", at,
                            "Required value: schemas are required");
        else
            mh_sb_schema_check(schema, at, causes);
    }
    if (storage != 1) {
        char *text = list ? mh_sb_go_json(causes->arena, list) : NULL;
        mh_sb_cause_add(
            causes, "FieldValueInvalid", "spec.versions",
            "Invalid value: %s: must have exactly one version marked as storage version",
            text ? text : "null");
    }
}

static void
check_sealed(yyjson_val *crd, yyjson_val *old, const char *field, struct mh_sb_causes *causes)
{
    const char *now = yyjson_get_str(mh_sb_val(crd, field));
    const char *before = yyjson_get_str(mh_sb_val(old, field));
    if (before && !mh_str_eq(now, before))
        mh_sb_cause_add(causes, "FieldValueInvalid", field,
                        "Invalid value: \"%s\": field is immutable", now ? now : "");
}

void
mh_sb_crd_validate(struct mh_sb_api *api, yyjson_val *crd, yyjson_val *old,
                   struct mh_sb_causes *causes)
{
    static const char *const needed[] = { "spec.group", "spec.scope", "spec.names.plural",
                                          "spec.names.kind" };
    yyjson_val *spec = yyjson_obj_get(crd, "spec");
    const char *name = mh_json_str(crd, "metadata", "name", NULL);
    const char *group = mh_json_str(spec, "group", NULL);
    const char *plural = mh_json_str(spec, "names", "plural", NULL);
    char *want = group && plural ? mh_arena_printf(causes->arena, "%s.%s", plural, group) : NULL;
    (void)api;
    const char *scope = mh_json_str(spec, "scope", NULL);
    if (scope && strcmp(scope, "Cluster") != 0 && strcmp(scope, "Namespaced") != 0)
        mh_sb_cause_add(causes, "FieldValueNotSupported", "spec.scope",
                        "Unsupported value: \"%s\": supported values: \"Cluster\", \"Namespaced\"",
                        scope);
    if (want && !old && !mh_str_eq(name, want))
        mh_sb_cause_add(causes, "FieldValueInvalid", "metadata.name",
                        "Invalid value: \"%s\": must be spec.names.plural+\".\"+spec.group",
                        name ? name : "");
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        const char *text = yyjson_get_str(mh_sb_val(crd, needed[i]));
        if (!text || !*text)
            mh_sb_cause_add(causes, "FieldValueRequired", needed[i], "Required value");
    }
    check_versions(spec, causes);
    if (!old)
        return;
    check_sealed(crd, old, "spec.group", causes);
    check_sealed(crd, old, "spec.names.plural", causes);
    if (is_established(old)) {
        check_sealed(crd, old, "spec.scope", causes);
        check_sealed(crd, old, "spec.names.kind", causes);
    }
}
