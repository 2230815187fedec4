/* schema_in.h - a compiled schema from the inside: for prune, default, validate, fields, patch and
 * cel. Everything lives on the arena of compilation. */
#ifndef MH_SANDBOX_SCHEMA_IN_H
#define MH_SANDBOX_SCHEMA_IN_H

#include "sandbox/schema.h"

#define MH_SB_SCHEMA_DEPTH_MAX 128

struct mh_sb_regex;
struct mh_sb_cel;

enum mh_sb_type {
    MH_SB_T_OBJECT = 1,
    MH_SB_T_ARRAY = 2,
    MH_SB_T_STRING = 4,
    MH_SB_T_INTEGER = 8,
    MH_SB_T_NUMBER = 16,
    MH_SB_T_BOOLEAN = 32,
    MH_SB_T_NULL = 64
};

enum mh_sb_list_type { MH_SB_LIST_NONE, MH_SB_LIST_ATOMIC, MH_SB_LIST_SET, MH_SB_LIST_MAP };
enum mh_sb_map_type { MH_SB_MAP_NONE, MH_SB_MAP_ATOMIC, MH_SB_MAP_GRANULAR };

struct mh_sb_prop {
    const char *name;
    const struct mh_sb_schema *schema;
};

struct mh_sb_schemas {
    const struct mh_sb_schema **items;
    size_t count;
};

struct mh_sb_strings {
    const char **items;
    size_t count;
};

/* One of x-kubernetes-validations. */
struct mh_sb_rule {
    const char *text;
    struct mh_sb_cel *cel; /* NULL: does not compile (error) */
    struct mh_sb_cel *message_cel;
    const char *message;
    const char *reason;
    const char *field_path;
    const char *error;         /* why the rule does not compile */
    const char *message_error; /* why messageExpression does not */
    bool transition;           /* mentions oldSelf */
    bool optional_old;
    struct mh_sb_rule *next;
};

struct mh_sb_schema {
    const struct mh_sb_schema *ref; /* the component this stands for: all but what is set here */
    unsigned types;                 /* of enum mh_sb_type; 0: any */
    const char *type_text;          /* "string", "integer,string" */
    const char *format;             /* NULL: none */
    struct mh_sb_prop *props;       /* sorted by name */
    size_t nprops;
    const struct mh_sb_schema *extra; /* additionalProperties */
    bool extra_forbidden;             /* additionalProperties: false */
    bool extra_any;                   /* additionalProperties: true */
    const struct mh_sb_schema *items;
    struct mh_sb_strings required;
    yyjson_val *default_value;
    yyjson_val *enums;
    yyjson_val *maximum;
    yyjson_val *minimum;
    yyjson_val *multiple_of;
    bool exclusive_maximum;
    bool exclusive_minimum;
    int64_t max_length, min_length, max_items, min_items, max_props, min_props; /* -1: none */
    const char *pattern;
    struct mh_sb_regex *regex; /* NULL with a pattern: invalid, pattern_error says why */
    const char *pattern_error;
    bool unique_items;
    bool nullable;
    bool int_or_string;
    bool preserve; /* x-kubernetes-preserve-unknown-fields */
    bool embedded;
    bool root;    /* of a custom resource */
    bool native;  /* of a built-in kind: what Go's structs do */
    bool pointer; /* native: zero values stay */
    bool nulls;   /* native: written as null when empty */
    bool quantity;
    bool raw; /* a RawExtension: one value, whatever is in it */
    enum mh_sb_list_type list_type;
    enum mh_sb_map_type map_type;
    struct mh_sb_strings list_keys;
    struct mh_sb_schemas all_of, any_of, one_of;
    const struct mh_sb_schema *not_of;
    const char *merge_key;
    const char *patch_strategy; /* "merge", "retainKeys", "merge,retainKeys" */
    struct mh_sb_rule *rules;
    const struct mh_sb_schema *meta; /* of the root: schema of metadata */
};

/* The component behind a reference (s itself where there is none); NULL for NULL. */
static inline const struct mh_sb_schema *
mh_sb_shape(const struct mh_sb_schema *s)
{
    while (s && s->ref)
        s = s->ref;
    return s;
}

/* The property `name` of an object's schema (no additionalProperties); NULL: none. */
const struct mh_sb_schema *mh_sb_schema_prop(const struct mh_sb_schema *s, const char *name);
/* Default where the schema stands, else that of its component; NULL: none. */
yyjson_val *mh_sb_schema_default_of(const struct mh_sb_schema *s);
/* x-kubernetes-map-type where the schema stands, else of its component. */
enum mh_sb_map_type mh_sb_schema_map_type(const struct mh_sb_schema *s);
/* True if nothing is known of what may stand here (any value, unknown fields stay). */
bool mh_sb_schema_any(const struct mh_sb_schema *s);

#endif
