/* schema.h - a compiled OpenAPI v3 schema: prune, default, validate.
 *
 * Two sources: the openAPIV3Schema of a CRD version (structural, no $ref) and the components of the
 * real server's /openapi/v3 for built-in kinds ($ref through a set, recursive types allowed).
 * A compiled schema is immutable and lives as long as the arena it was made on.
 * Order for a custom resource as the real server has it: prune, default, (admission), validate. */
#ifndef MH_SANDBOX_SCHEMA_H
#define MH_SANDBOX_SCHEMA_H

#include "sandbox/shape.h"

struct mh_sb_schema;
struct mh_sb_schema_set;

/* Looks up "#/components/schemas/NAME" by NAME; NULL: unknown. */
typedef yyjson_val *(*mh_sb_schema_lookup)(void *arg, const char *name);

/* Components that refer to each other by name; each is compiled once, when first asked for.
 * Lives on the arena (so do all of its schemas). NULL: no memory. */
struct mh_sb_schema_set *mh_sb_schema_set_new(struct mh_arena *a, mh_sb_schema_lookup lookup,
                                              void *arg);
/* Component NAME of the set. Fails: NOTFOUND, INVALID (malformed schema), NOMEM. */
enum mh_code mh_sb_schema_component(struct mh_sb_schema_set *set, const char *name,
                                    const struct mh_sb_schema **out, struct mh_err *err);
/* A CRD's schema (openAPIV3Schema; NULL value: preserve everything). The root is an embedded
 * resource: apiVersion, kind and metadata are known. `meta`: the schema of ObjectMeta (for fields
 * and pruning of metadata), may be NULL. Fails: INVALID, NOMEM. */
enum mh_code mh_sb_schema_crd(struct mh_arena *a, yyjson_val *source,
                              const struct mh_sb_schema *meta, const struct mh_sb_schema **out,
                              struct mh_err *err);
/* Checks a CRD's openAPIV3Schema as the API server does when the CRD is created (structural rules,
 * bad patterns, CEL that does not compile); `field` is the path of the schema, for instance
 * "spec.versions[0].schema.openAPIV3Schema". Adds causes. */
void mh_sb_schema_check(yyjson_val *source, const char *field, struct mh_sb_causes *causes);

/* Removes fields that the schema does not know. The path of each ("spec.foo", "spec.list[0].x") is
 * added to `dropped` (may be NULL), in the order of the real server (sorted by path). */
void mh_sb_schema_prune(const struct mh_sb_schema *s, yyjson_mut_val *obj,
                        struct mh_sb_texts *dropped);
/* Sets defaults where a field is absent, or null and not nullable. False: no memory. */
bool mh_sb_schema_default(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *obj);
/* Takes nulls away that are not nullable and have no default: before defaults are set, but not of
 * what was applied. */
void mh_sb_schema_drop_nulls(const struct mh_sb_schema *s, yyjson_mut_val *obj);
/* What decoding into a Go struct and encoding it again does to an object of a built-in kind: nulls
 * go, empty values of optional fields go, structs and fields that are always there are added
 * (their schema has `default: {}`, "" or 0). Unknown fields must be pruned before. Zero values of
 * pointer fields stay: their schema has "x-moonherd-pointer": true. False: no memory. */
bool mh_sb_schema_native(const struct mh_sb_schema *s, yyjson_mut_doc *doc, yyjson_mut_val *obj);

/* What storing adds to that: empty lists at the top become null where nulls are written. */
void mh_sb_schema_stored(const struct mh_sb_schema *s, yyjson_mut_val *obj);

/* How much mh_sb_schema_validate looks at. */
struct mh_sb_validate {
    struct mh_arena *arena;      /* for scratch and texts */
    struct mh_sb_causes *causes; /* gets what is wrong */
    bool skip_rules;             /* no x-kubernetes-validations */
    bool skip_types;             /* only embedded objects, lists and rules */
    int64_t now_us;              /* for CEL; not looked at unless rules ask */
};
/* Validates a custom resource (types, required, limits, patterns, formats, combinations, lists as
 * sets and maps, CEL rules); its metadata is the caller's. s: of the whole object. old: NULL on
 * create; with it transition rules run and what did not change since is not complained about
 * (ratcheting). part: "" for create and update, "status" for the status subresource (types and
 * limits of that field only, lists and rules of the whole, as on the real server). Words and order
 * are the real server's, except that fields come in sorted order where that has none. False: no
 * memory. */
bool mh_sb_schema_validate(const struct mh_sb_schema *s, yyjson_val *obj, yyjson_val *old,
                           const char *part, struct mh_sb_validate *v);

/* The schema of field `key` of an object (property, or of every value of a map), NULL if unknown;
 * of the items of a list. Both take NULL. */
const struct mh_sb_schema *mh_sb_schema_field(const struct mh_sb_schema *s, const char *key);
const struct mh_sb_schema *mh_sb_schema_items(const struct mh_sb_schema *s);

#endif
