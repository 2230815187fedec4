/* schema_check.c - is the schema of a CustomResourceDefinition one that the API server takes? */
#include <string.h>

#include "base/str.h"
#include "sandbox/cel.h"
#include "sandbox/regex.h"
#include "sandbox/schema_validate.h"

enum level { ROOT, ITEM, FIELD, NESTED };

struct checker {
    struct mh_sb_causes *causes;
    struct mh_buf path;
    int depth;
};

static void check(struct checker *c, yyjson_val *s, enum level level);

static void MH_PRINTF(4, 5)
    complain(struct checker *c, const char *reason, const char *below, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mh_arena_vprintf(c->causes->arena, fmt, ap);
    va_end(ap);
    char *field = mh_arena_printf(c->causes->arena, "%s%s%s", mh_buf_text(&c->path),
                                  *below ? "." : "", below);
    if (!text || !field)
        c->causes->failed = true;
    else
        mh_sb_cause_add(c->causes, reason, field, "%s", text);
}

static void
forbidden(struct checker *c, const char *below, const char *why)
{
    complain(c, "FieldValueForbidden", below, "Forbidden: %s", why);
}

static void
required(struct checker *c, const char *below, const char *why)
{
    complain(c, "FieldValueRequired", below, "Required value: %s", why);
}

static void
invalid(struct checker *c, const char *below, yyjson_val *v, const char *why)
{
    char *text = mh_sb_value_text(c->causes->arena, v);
    complain(c, "FieldValueInvalid", below, "Invalid value: %s: %s", text ? text : "", why);
}

static bool
set(yyjson_val *s, const char *key)
{
    yyjson_val *v = yyjson_obj_get(s, key);
    return v && !yyjson_is_null(v) && !yyjson_is_false(v) &&
           !(yyjson_is_str(v) && yyjson_get_len(v) == 0) &&
           !(yyjson_is_arr(v) && yyjson_arr_size(v) == 0);
}

static void
check_unsupported(struct checker *c, yyjson_val *s)
{
    static const char *const names[] = { "id",          "additionalItems", "patternProperties",
                                         "definitions", "dependencies",    "$ref" };
    static const char *const types[] = {
        "array", "boolean", "integer", "number", "object", "string"
    };
    const char *type = mh_json_str(s, "type", NULL);
    bool known = !type || !*type;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && !known; i++)
        known = strcmp(types[i], type) == 0;
    if (!known)
        complain(c, "FieldValueNotSupported", "type",
                 "Unsupported value: \"%s\": supported values: \"array\", \"boolean\", "
                 "\"integer\", \"number\", \"object\", \"string\"",
                 type);
    if (mh_str_eq(type, "null"))
        forbidden(c, "type", "type cannot be set to null, use nullable as an alternative");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *why = mh_arena_printf(c->causes->arena, "%s is not supported", names[i]);
        if (set(s, names[i]))
            forbidden(c, names[i], why ? why : "");
    }
    if (yyjson_is_arr(yyjson_obj_get(s, "items")))
        forbidden(c, "items", "items must be a schema object and not an array");
    if (set(s, "uniqueItems"))
        forbidden(c, "uniqueItems",
                  "uniqueItems cannot be set to true since the runtime complexity becomes "
                  "quadratic");
    if (set(s, "additionalProperties") && yyjson_obj_size(yyjson_obj_get(s, "properties")))
        forbidden(c, "additionalProperties",
                  "additionalProperties and properties are mutual exclusive");
    if (yyjson_is_false(yyjson_obj_get(s, "x-kubernetes-preserve-unknown-fields")))
        invalid(c, "x-kubernetes-preserve-unknown-fields",
                yyjson_obj_get(s, "x-kubernetes-preserve-unknown-fields"),
                "must be true or undefined");
}

static void
check_map_keys(struct checker *c, yyjson_val *s)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *items = yyjson_obj_get(s, "items");
    yyjson_val *keys = yyjson_obj_get(s, "x-kubernetes-list-map-keys");
    if (!yyjson_arr_size(keys))
        required(c, "x-kubernetes-list-map-keys",
                 "must not be empty if x-kubernetes-list-type is map");
    if (!items)
        required(c, "items", "must have a schema if x-kubernetes-list-type is map");
    if (items && !mh_str_eq(mh_json_str(items, "type", NULL), "object"))
        invalid(c, "items.type", yyjson_obj_get(items, "type"),
                "must be object if parent array's x-kubernetes-list-type is map");
    yyjson_arr_foreach(keys, i, max, key)
    {
        const char *name = yyjson_get_str(key);
        yyjson_val *prop = mh_json_get(items, "properties", name ? name : "", NULL);
        bool is_required = false;
        size_t k;
        size_t kmax;
        yyjson_val *r;
        yyjson_arr_foreach(yyjson_obj_get(items, "required"), k, kmax, r)
        {
            is_required = is_required || mh_sb_equal(r, key);
        }
        char *at = mh_arena_printf(c->causes->arena, "items.properties[%s]", name ? name : "");
        if (!prop) {
            invalid(c, "x-kubernetes-list-map-keys", keys,
                    "entries must all be names of item properties");
        } else if (!yyjson_obj_get(prop, "default") && !is_required && at) {
            at = mh_arena_printf(c->causes->arena, "%s.default", at);
            required(c, at ? at : "",
                     "this property is in x-kubernetes-list-map-keys, so it must have a default or "
                     "be a required property");
        } else if (set(prop, "nullable") && at) {
            at = mh_arena_printf(c->causes->arena, "%s.nullable", at);
            forbidden(c, at ? at : "",
                      "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
        }
    }
}

static void
check_extensions(struct checker *c, yyjson_val *s)
{
    const char *type = mh_json_str(s, "type", NULL);
    yyjson_val *list = yyjson_obj_get(s, "x-kubernetes-list-type");
    yyjson_val *map = yyjson_obj_get(s, "x-kubernetes-map-type");
    const char *kind = yyjson_get_str(list);
    if (map && !mh_str_eq(type, "object"))
        invalid(c, "type", yyjson_obj_get(s, "type"),
                "must be object if x-kubernetes-map-type is specified");
    if (list && !mh_str_eq(type, "array"))
        invalid(c, "type", yyjson_obj_get(s, "type"),
                "must be array if x-kubernetes-list-type is specified");
    if (map && !mh_str_eq(yyjson_get_str(map), "atomic") &&
        !mh_str_eq(yyjson_get_str(map), "granular"))
        complain(c, "FieldValueNotSupported", "x-kubernetes-map-type",
                 "Unsupported value: %s: supported values: \"atomic\", \"granular\"",
                 mh_sb_value_text(c->causes->arena, map));
    if (list && !mh_str_eq(kind, "atomic") && !mh_str_eq(kind, "set") && !mh_str_eq(kind, "map"))
        complain(c, "FieldValueNotSupported", "x-kubernetes-list-type",
                 "Unsupported value: %s: supported values: \"atomic\", \"set\", \"map\"",
                 mh_sb_value_text(c->causes->arena, list));
    if (yyjson_arr_size(yyjson_obj_get(s, "x-kubernetes-list-map-keys")) &&
        !mh_str_eq(kind, "map")) {
        if (list)
            invalid(c, "x-kubernetes-list-type", list,
                    "must be map if x-kubernetes-list-map-keys is non-empty");
        else
            required(c, "x-kubernetes-list-type",
                     "must be map if x-kubernetes-list-map-keys is non-empty");
    }
    if (mh_str_eq(kind, "map"))
        check_map_keys(c, s);
    if ((mh_str_eq(kind, "map") || mh_str_eq(kind, "set")) &&
        set(yyjson_obj_get(s, "items"), "nullable"))
        complain(c, "FieldValueForbidden", "items.nullable",
                 "Forbidden: cannot be nullable when x-kubernetes-list-type is %s", kind);
}

static void
check_rule(struct checker *c, yyjson_val *rule, size_t i)
{
    struct mh_sb_rule *compiled = NULL;
    struct mh_arena *a = c->causes->arena;
    const char *text = mh_json_str(rule, "rule", NULL);
    const char *message = mh_json_str(rule, "message", NULL);
    char *at = mh_arena_printf(a, "x-kubernetes-validations[%zu].rule", i);
    char *at_message = mh_arena_printf(a, "x-kubernetes-validations[%zu].message", i);
    if (!at || !at_message)
        return;
    if (!text || strspn(text, " \t\r\n") == strlen(text)) {
        required(c, at, "rule is not specified");
        return;
    }
    if (message && strspn(message, " \t\r\n") == strlen(message) && *message)
        invalid(c, at_message, yyjson_obj_get(rule, "message"), "must be non-empty if specified");
    else if (message && strchr(message, '\n'))
        invalid(c, at_message, yyjson_obj_get(rule, "message"), "must not contain line breaks");
    else if ((!message || !*message) && strchr(text, '\n'))
        required(c, at_message, "message must be specified if rule contains line breaks");
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *schema = doc ? yyjson_mut_obj(doc) : NULL;
    yyjson_mut_val *list =
        schema ? yyjson_mut_obj_add_arr(doc, schema, "x-kubernetes-validations") : NULL;
    if (!list || !yyjson_mut_arr_append(list, yyjson_val_mut_copy(doc, rule)) ||
        mh_sb_rules_compile(a, mh_sb_freeze(a, schema), &compiled, NULL)) {
        c->causes->failed = true;
        return;
    }
    if (compiled && compiled->error)
        invalid(c, at, rule, compiled->error);
    if (compiled && compiled->message_error) {
        at = mh_arena_printf(a, "x-kubernetes-validations[%zu].messageExpression", i);
        invalid(c, at ? at : "", rule, compiled->message_error);
    }
    if (compiled && compiled->optional_old && !compiled->transition) {
        at = mh_arena_printf(a, "x-kubernetes-validations[%zu].optionalOldSelf", i);
        invalid(c, at ? at : "", yyjson_obj_get(rule, "optionalOldSelf"),
                "may not be set if oldSelf is not used in rule");
    }
}

/* The default fits the schema that it stands in. */
static void
check_default(struct checker *c, yyjson_val *s)
{
    const struct mh_sb_schema *schema = NULL;
    yyjson_val *value = yyjson_obj_get(s, "default");
    struct mh_arena *a = c->causes->arena;
    struct mh_sb_validate v = { .arena = a, .causes = c->causes };
    char *at = mh_arena_printf(a, "%s.default", mh_buf_text(&c->path));
    if (!value || yyjson_is_null(value) || !at)
        return;
    /* as part of an object: it is no resource */
    if (mh_sb_schema_crd(a, s, NULL, &schema, NULL) == MH_OK)
        mh_sb_validate_part(schema, value, NULL, at, &v);
}

static void
below(struct checker *c, yyjson_val *s, enum level level, const char *fmt, const char *name)
{
    size_t len = c->path.len;
    /* both formats take one text */
    mh_buf_str(&c->path, fmt);
    if (name)
        mh_buf_printf(&c->path, "[%s]", name);
    check(c, s, level);
    mh_sb_path_cut(&c->path, len);
}

/* Inside anyOf and the like only values are restricted. */
static void
check_nested(struct checker *c, yyjson_val *s)
{
    static const struct {
        const char *name;
        const char *why;
    } bans[] = { { "type", "must be empty to be structural" },
                 { "additionalProperties", "must be undefined to be structural" },
                 { "default", "must be undefined to be structural" },
                 { "title", "must be empty to be structural" },
                 { "description", "must be empty to be structural" },
                 { "nullable", "must be false to be structural" },
                 { "x-kubernetes-preserve-unknown-fields", "must be false to be structural" },
                 { "x-kubernetes-embedded-resource", "must be false to be structural" },
                 { "x-kubernetes-int-or-string", "must be false to be structural" },
                 { "x-kubernetes-list-map-keys", "must be empty to be structural" },
                 { "x-kubernetes-list-type", "must be undefined to be structural" },
                 { "x-kubernetes-map-type", "must be undefined to be structural" },
                 { "x-kubernetes-validations", "must be empty to be structural" } };
    for (size_t i = 0; i < sizeof(bans) / sizeof(bans[0]); i++) {
        if (set(s, bans[i].name))
            forbidden(c, bans[i].name, bans[i].why);
    }
}

static void
check_type(struct checker *c, yyjson_val *s, enum level level)
{
    static const char *const where[] = { "must not be empty at the root",
                                         "must not be empty for specified array items",
                                         "must not be empty for specified object fields" };
    const char *type = mh_json_str(s, "type", NULL);
    bool embedded = set(s, "x-kubernetes-embedded-resource");
    if (embedded && !mh_str_eq(type, "object")) {
        if (!type || !*type)
            required(c, "type", "must be object if x-kubernetes-embedded-resource is true");
        else
            invalid(c, "type", yyjson_obj_get(s, "type"),
                    "must be object if x-kubernetes-embedded-resource is true");
    } else if ((!type || !*type) && !set(s, "x-kubernetes-int-or-string") &&
               !set(s, "x-kubernetes-preserve-unknown-fields")) {
        required(c, "type", where[level]);
    }
    if (level == ROOT && type && *type && strcmp(type, "object") != 0)
        invalid(c, "type", yyjson_obj_get(s, "type"), "must be object at the root");
    if (level == ROOT && set(s, "additionalProperties"))
        forbidden(c, "additionalProperties", "must not be used at the root");
    if (level == ROOT && set(s, "nullable"))
        forbidden(c, "nullable", "nullable cannot be true at the root");
    if (mh_str_eq(type, "array") && !yyjson_is_obj(yyjson_obj_get(s, "items")))
        required(c, "items", "must be specified");
    if (embedded && !set(s, "x-kubernetes-preserve-unknown-fields") &&
        !yyjson_obj_size(yyjson_obj_get(s, "properties")))
        required(c, "properties",
                 "must not be empty if x-kubernetes-embedded-resource is true without "
                 "x-kubernetes-preserve-unknown-fields");
}

/* Metadata is known: a schema may say something of names only. */
static void
check_metadata(struct checker *c, yyjson_val *s)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_val *meta = mh_json_get(s, "properties", "metadata", NULL);
    bool other = false;
    if (!meta)
        return;
    if (!mh_str_eq(mh_json_str(meta, "type", NULL), "object"))
        invalid(c, "properties[metadata].type", yyjson_obj_get(meta, "type"), "must be object");
    yyjson_obj_foreach(mh_sb_obj_or_none(meta), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        other = other || (strcmp(name, "type") != 0 && strcmp(name, "properties") != 0 &&
                          strcmp(name, "description") != 0);
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(yyjson_obj_get(meta, "properties")), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        other = other || (strcmp(name, "name") != 0 && strcmp(name, "generateName") != 0);
    }
    if (other)
        forbidden(c, "properties[metadata]",
                  "must not specify anything other than name and generateName, but metadata is "
                  "implicitly specified");
}

static void
check_children(struct checker *c, yyjson_val *s, enum level level)
{
    static const char *const lists[] = { "allOf", "anyOf", "oneOf" };
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    enum level field = level == NESTED ? NESTED : FIELD;
    bool alternatives = set(s, "x-kubernetes-int-or-string");
    if (yyjson_is_obj(yyjson_obj_get(s, "items")))
        below(c, yyjson_obj_get(s, "items"), level == NESTED ? NESTED : ITEM, ".items", NULL);
    yyjson_obj_foreach(mh_sb_obj_or_none(yyjson_obj_get(s, "properties")), i, max, key, item)
    {
        below(c, item, field, ".properties", yyjson_get_str(key));
    }
    if (yyjson_is_obj(yyjson_obj_get(s, "additionalProperties")) && level != NESTED)
        below(c, yyjson_obj_get(s, "additionalProperties"), FIELD, ".additionalProperties", NULL);
    for (size_t k = 0; k < 3; k++) {
        /* int-or-string names its two types there */
        if (alternatives && k < 2)
            continue;
        yyjson_arr_foreach(yyjson_obj_get(s, lists[k]), i, max, item)
        {
            char *at = mh_arena_printf(c->causes->arena, ".%s[%zu]", lists[k], i);
            below(c, item, NESTED, at ? at : "", NULL);
        }
    }
    if (yyjson_obj_get(s, "not"))
        below(c, yyjson_obj_get(s, "not"), NESTED, ".not", NULL);
}

static void
check(struct checker *c, yyjson_val *s, enum level level)
{
    struct mh_sb_regex *re = NULL;
    struct mh_err err;
    size_t i;
    size_t max;
    yyjson_val *rule;
    const char *pattern = mh_json_str(s, "pattern", NULL);
    if (++c->depth > MH_SB_SCHEMA_DEPTH_MAX || c->causes->failed) {
        c->depth--;
        return;
    }
    check_unsupported(c, s);
    if (level == NESTED) {
        check_nested(c, s);
    } else {
        check_extensions(c, s);
        check_type(c, s, level);
        check_default(c, s);
        yyjson_arr_foreach(yyjson_obj_get(s, "x-kubernetes-validations"), i, max, rule)
        {
            check_rule(c, rule, i);
        }
    }
    if (level == ROOT)
        check_metadata(c, s);
    if (pattern && *pattern &&
        mh_sb_regex_compile(c->causes->arena, pattern, strlen(pattern), &re, &err)) {
        char *why = mh_arena_printf(c->causes->arena,
                                    "must be a valid regular expression, but isn't: %s", err.msg);
        invalid(c, "pattern", yyjson_obj_get(s, "pattern"), why ? why : "");
    }
    check_children(c, s, level);
    c->depth--;
}

void
mh_sb_schema_check(yyjson_val *source, const char *field, struct mh_sb_causes *causes)
{
    struct checker c = { .causes = causes };
    mh_buf_init(&c.path, (size_t)1 << 16);
    mh_buf_str(&c.path, field);
    check(&c, source, ROOT);
    mh_buf_release(&c.path);
}
