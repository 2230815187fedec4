/* JSON types of built-in kinds: what Go's decoder would refuse. */
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/quantity.h"
#include "sandbox/rest_check.h"

#define REF "#/components/schemas/"
#define DEPTH_MAX 48

struct walk {
    struct mh_sb_api *api;
    struct mh_arena *a;
    bool converts;
};

/* The schema behind $ref and allOf; *name: its component, kept where there is none. */
static yyjson_val *
resolve(const struct walk *w, yyjson_val *s, const char **name)
{
    for (int i = 0; i < 8; i++) {
        const char *ref = mh_json_str(s, "$ref", NULL);
        yyjson_val *all = yyjson_obj_get(s, "allOf");
        if (ref && strncmp(ref, REF, sizeof(REF) - 1) == 0) {
            *name = ref + sizeof(REF) - 1;
            s = mh_sb_kinds_component(&w->api->kinds, *name);
        } else if (yyjson_arr_size(all) == 1) {
            s = yyjson_arr_get_first(all);
        } else {
            return s;
        }
    }
    return NULL;
}

static const char *
json_type(yyjson_val *v)
{
    if (yyjson_is_str(v))
        return "string";
    if (yyjson_is_bool(v))
        return "bool";
    if (yyjson_is_num(v))
        return "number";
    return yyjson_is_arr(v) ? "array" : "object";
}

static const char *
short_name(const char *component)
{
    const char *dot = component ? strrchr(component, '.') : NULL;
    return dot ? dot + 1 : component ? component : "";
}

/* Fields whose Go types are named strings. */
static const struct {
    const char *field;
    const char *type;
} named[] = { { "operations", "[]v1.OperationType" },
              { "validationActions", "[]v1.ValidationAction" },
              { "accessModes", "[]v1.PersistentVolumeAccessMode" },
              { "policyTypes", "[]v1.PolicyType" },
              { "sideEffects", "v1.SideEffectClass" },
              { "failurePolicy", "v1.FailurePolicyType" },
              { "restartPolicy", "v1.RestartPolicy" },
              { "imagePullPolicy", "v1.PullPolicy" } };

static const char *
named_type(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (strcmp(named[i].field, dot ? dot + 1 : path) == 0)
            return named[i].type;
    }
    return NULL;
}

/* "int32", "string", "v1.PodSpec", "[]v1.Container", "map[string]string" */
static const char *
go_type(const struct walk *w, yyjson_val *s)
{
    const char *name = NULL;
    yyjson_val *r = resolve(w, s, &name);
    const char *type = mh_json_str(r, "type", NULL);
    const char *format = mh_json_str(r, "format", NULL);
    const char *out = NULL;
    if (mh_str_eq(type, "array")) {
        out = mh_arena_printf(w->a, "[]%s", go_type(w, yyjson_obj_get(r, "items")));
    } else if (name) {
        out = mh_arena_printf(w->a, "v1.%s", short_name(name));
    } else if (mh_str_eq(type, "object")) {
        yyjson_val *more = yyjson_obj_get(r, "additionalProperties");
        const char *ref = NULL;
        (void)resolve(w, more, &ref);
        if (ref && strcmp(short_name(ref), "Quantity") == 0)
            return "v1.ResourceList";
        out = mh_arena_printf(w->a, "map[string]%s", more ? go_type(w, more) : "interface {}");
    } else if (mh_str_eq(type, "number")) {
        out = "float64";
    } else if (mh_str_eq(type, "integer")) {
        out = format ? format : "int64";
    } else if (mh_str_eq(type, "boolean")) {
        out = "bool";
    } else {
        out = type ? type : "string";
    }
    return out ? out : "";
}

/* What the converter of a strategic patch's result says: it knows no fields. */
static const char *
not_converted(const struct walk *w, yyjson_val *s, yyjson_val *v)
{
    const char *name = NULL;
    yyjson_val *r = resolve(w, s, &name);
    const char *type = mh_json_str(r, "type", NULL);
    const char *from = yyjson_is_str(v)    ? "string"
                       : yyjson_is_bool(v) ? "bool"
                       : yyjson_is_int(v)  ? "int64"
                       : yyjson_is_num(v)  ? "float64"
                       : yyjson_is_arr(v)  ? "slice"
                                           : "map";
    if (mh_str_eq(type, "array"))
        return mh_arena_printf(w->a, "cannot restore slice from %s", from);
    if (mh_str_eq(type, "object") && yyjson_obj_get(r, "additionalProperties"))
        return mh_arena_printf(w->a, "cannot restore map from %s", from);
    if (mh_str_eq(type, "object"))
        return mh_arena_printf(w->a, "cannot restore struct from: %s", from);
    if (yyjson_is_int(v) && mh_str_eq(type, "string"))
        return "cannot convert int64 to string";
    return mh_arena_printf(w->a, "unrecognized type: %s", go_type(w, s));
}

static const char *
mismatch(const struct walk *w, yyjson_val *schema, yyjson_val *v, const char *owner,
         const char *path)
{
    if (w->converts)
        return not_converted(w, schema, v);
    if (!*path)
        return mh_arena_printf(w->a, "json: cannot unmarshal %s into Go value of type %s",
                               json_type(v), go_type(w, schema));
    return mh_arena_printf(w->a, "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                           json_type(v), short_name(owner), path,
                           named_type(path) ? named_type(path) : go_type(w, schema));
}

static const char *
bad_quantity(yyjson_val *v)
{
    struct mh_sb_quantity q;
    return mh_sb_quantity_parse(yyjson_get_str(v), &q)
               ? NULL
               : "quantities must match the regular expression "
                 "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
}

static const char *
bad_time(const struct walk *w, yyjson_val *v, bool micro)
{
    int64_t us = 0;
    const char *s = yyjson_get_str(v);
    if (mh_time_parse(s, &us) && (!micro || strchr(s, '.')))
        return NULL;
    if (mh_time_parse(s, &us))
        return mh_arena_printf(w->a,
                               "parsing time \"%s\" as \"2006-01-02T15:04:05.000000Z07:00\": "
                               "cannot parse \"%s\" as \".000000\"",
                               s, s + strcspn(s, "Z+"));
    return mh_arena_printf(w->a,
                           "parsing time \"%s\" as \"2006-01-02T15:04:05%sZ07:00\": cannot "
                           "parse \"%s\" as \"2006\"",
                           s, micro ? ".000000" : "", s);
}

static const char *
bad_base64(const struct walk *w, const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n");
    size_t pad = strspn(s + n, "=");
    if (!s[n + pad] && (n + pad) % 4 == 0 && pad <= 2)
        return NULL;
    size_t at = s[n + pad] ? n : n / 4 * 4;
    return mh_arena_printf(w->a, "illegal base64 data at input byte %zu", at);
}

static const char *check(const struct walk *w, yyjson_val *schema, yyjson_val *v, const char *owner,
                         const char *path, int depth);

static const char *
check_members(const struct walk *w, yyjson_val *s, yyjson_val *v, const char *owner,
              const char *path, int depth)
{
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *member;
    yyjson_val *properties = yyjson_obj_get(s, "properties");
    yyjson_val *more = yyjson_obj_get(s, "additionalProperties");
    yyjson_obj_foreach(v, i, max, k, member)
    {
        const char *key = yyjson_get_str(k);
        yyjson_val *ms = yyjson_obj_get(properties, key);
        bool entry = !ms; /* of a map: its key is no part of the path */
        if (!ms)
            ms = yyjson_is_obj(more) ? more : NULL;
        if (!ms)
            continue;
        const char *at = entry ? path : !*path ? key : mh_sb_join(w->a, path, '.', key);
        const char *why = at ? check(w, ms, member, owner, at, depth + 1) : NULL;
        if (why)
            return why;
    }
    return NULL;
}

/* Types that are read from more than one form, or by themselves. */
static bool
is_special(const char *name, yyjson_val *s)
{
    static const char *const names[] = { "Quantity",
                                         "IntOrString",
                                         "Time",
                                         "MicroTime",
                                         "FieldsV1",
                                         "RawExtension",
                                         "JSON",
                                         "JSONSchemaPropsOrArray",
                                         "JSONSchemaPropsOrBool",
                                         "JSONSchemaPropsOrStringArray" };
    for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(short_name(name), names[i]) == 0)
            return true;
    }
    return yyjson_obj_get(s, "oneOf") || yyjson_obj_get(s, "x-kubernetes-int-or-string") ||
           yyjson_obj_get(s, "x-kubernetes-preserve-unknown-fields");
}

static const char *
check(const struct walk *w, yyjson_val *schema, yyjson_val *v, const char *owner, const char *path,
      int depth)
{
    const char *name = NULL;
    yyjson_val *s = resolve(w, schema, &name);
    const char *type = mh_json_str(s, "type", NULL);
    if (name && yyjson_is_str(v) && strcmp(short_name(name), "Quantity") == 0)
        return bad_quantity(v);
    if (name && yyjson_is_str(v) && mh_str_ends(name, "Time"))
        return bad_time(w, v, mh_str_ends(name, "MicroTime"));
    if (!s || yyjson_is_null(v) || depth > DEPTH_MAX || is_special(name, s) || !type)
        return NULL;
    if (yyjson_is_str(v) && mh_str_eq(mh_json_str(s, "format", NULL), "byte"))
        return bad_base64(w, yyjson_get_str(v));
    bool ok = strcmp(type, "string") == 0    ? yyjson_is_str(v)
              : strcmp(type, "boolean") == 0 ? yyjson_is_bool(v)
              : strcmp(type, "integer") == 0 ? yyjson_is_int(v)
              : strcmp(type, "number") == 0  ? yyjson_is_num(v)
              : strcmp(type, "array") == 0   ? yyjson_is_arr(v)
              : strcmp(type, "object") == 0  ? yyjson_is_obj(v)
                                             : true;
    if (!ok)
        return mismatch(w, schema, v, owner, path);
    if (yyjson_is_obj(v))
        return check_members(w, s, v, name ? name : owner, path, depth);
    if (!yyjson_is_arr(v))
        return NULL;
    size_t i;
    size_t max;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, max, item)
    {
        const char *why = check(w, yyjson_obj_get(s, "items"), item, owner, path, depth + 1);
        if (why)
            return why;
    }
    return NULL;
}

const char *
mh_sb_type_error(struct mh_sb_api *api, struct mh_arena *a, yyjson_val *schema, const char *kind,
                 yyjson_val *obj, bool converts)
{
    struct walk w = { api, a, converts };
    if (!schema)
        return NULL;
    return check_members(&w, schema, obj, kind, "", 0);
}
