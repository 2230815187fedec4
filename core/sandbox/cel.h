/* cel.h - the Common Expression Language as Kubernetes uses it.
 *
 * Used for x-kubernetes-validations (through schema.h), ValidatingAdmissionPolicy and match
 * conditions of webhooks. Compiled once, evaluated many times; evaluation has a cost limit and
 * allocates on the caller's arena. Types are checked when values meet (a few errors that the real
 * server finds at compile time are found at evaluation). */
#ifndef MH_SANDBOX_CEL_H
#define MH_SANDBOX_CEL_H

#include "sandbox/schema.h"
#include "sandbox/shape.h"

#define MH_SB_CEL_COST 1000000

struct mh_sb_cel;

/* A variable of the environment. Exactly one of json, expr and map is used. */
struct mh_sb_cel_var {
    const char *name;                  /* "object", "oldObject", "request", "self", ... */
    yyjson_val *json;                  /* NULL (and no expr, no map): null */
    const struct mh_sb_schema *schema; /* of json: typed as the server types it; NULL: plain JSON */
    const struct mh_sb_cel *expr;      /* evaluated when first used (variables of a policy) */
    struct mh_sb_cel_var *map; /* an object of further variables: {"variables", .map = ...} */
    void *cache;               /* of the evaluator; NULL before each mh_sb_cel_* call series */
    struct mh_sb_cel_var *next;
};

struct mh_sb_cel_run {
    struct mh_arena *arena;
    struct mh_sb_cel_var *vars; /* cached values live on the arena */
    int64_t cost;   /* what is left; set to MH_SB_CEL_COST first; each run takes from it */
    int64_t now_us; /* unused by Kubernetes' environments today */
};

/* Compiles text. Lives on the arena. Fails: INVALID (err->msg as the real server words it:
 * "compilation failed: ERROR: <input>:1:5: ..."), NOMEM. `vars` (NULL-ended names, may be NULL for
 * "do not check") are the variables there are: others are undeclared references. */
enum mh_code mh_sb_cel_compile(struct mh_arena *a, const char *text, const char *const *vars,
                               struct mh_sb_cel **out, struct mh_err *err);
/* True if the expression mentions this variable (`oldSelf`). */
bool mh_sb_cel_uses(const struct mh_sb_cel *c, const char *var);

/* Evaluates to a bool or a text; any other type is INVALID. Fails: INVALID (err->msg: "no such key:
 * x", "index out of bounds: 3", ...), LIMIT (cost), NOMEM. */
enum mh_code mh_sb_cel_bool(const struct mh_sb_cel *c, struct mh_sb_cel_run *run, bool *out,
                            struct mh_err *err);
enum mh_code mh_sb_cel_text(const struct mh_sb_cel *c, struct mh_sb_cel_run *run, const char **out,
                            struct mh_err *err);
/* Evaluates to anything, as JSON in doc (audit annotations, tests; null for a null value). */
enum mh_code mh_sb_cel_json(const struct mh_sb_cel *c, struct mh_sb_cel_run *run,
                            yyjson_mut_doc *doc, yyjson_mut_val **out, struct mh_err *err);

#endif
