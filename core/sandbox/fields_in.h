/* fields_in.h - field sets and typed values: the inside of fields.h.
 *
 * A set is a tree: members are fields of it, children lead to sets below (being a child says
 * nothing about being a member). Sets are values: every operation makes a new one on the arena and
 * may share parts of its inputs. Only mh_sb_set_insert changes a set, while it is being made. */
#ifndef MH_SANDBOX_FIELDS_IN_H
#define MH_SANDBOX_FIELDS_IN_H

#include "sandbox/fields.h"
#include "sandbox/schema_in.h"

#define MH_SB_FIELDS_DEPTH_MAX 256

enum mh_sb_pe_kind { MH_SB_PE_FIELD, MH_SB_PE_KEY, MH_SB_PE_VALUE, MH_SB_PE_INDEX };

struct mh_sb_pe_key {
    const char *name;
    yyjson_val *value;
};

/* One step of a path. */
struct mh_sb_pe {
    enum mh_sb_pe_kind kind;
    const char *name;          /* FIELD */
    struct mh_sb_pe_key *keys; /* KEY: sorted by name */
    size_t nkeys;
    yyjson_val *value; /* VALUE */
    int64_t index;     /* INDEX */
};

struct mh_sb_set;

struct mh_sb_set_node {
    struct mh_sb_pe pe;
    struct mh_sb_set *set;
};

struct mh_sb_set {
    struct mh_sb_pe *members; /* sorted */
    size_t nmembers;
    size_t members_size;
    struct mh_sb_set_node *children; /* sorted */
    size_t nchildren;
    size_t children_size;
};

/* What an operation needs; failed: no memory, results are not to be used. */
struct mh_sb_fields {
    struct mh_arena *arena;
    yyjson_mut_doc *doc;
    bool failed;
    struct mh_sb_texts errors; /* of typed values: "PATH: what" */
};

int mh_sb_pe_cmp(const struct mh_sb_pe *a, const struct mh_sb_pe *b);
/* ".name", "[name=\"x\"]", "[=1]": as in messages. */
void mh_sb_pe_text(struct mh_sb_fields *f, const struct mh_sb_pe *pe, struct mh_buf *out);

struct mh_sb_set *mh_sb_set_new(struct mh_sb_fields *f);
void mh_sb_set_insert(struct mh_sb_fields *f, struct mh_sb_set *s, const struct mh_sb_pe *path,
                      size_t n);
bool mh_sb_set_empty(const struct mh_sb_set *s);
bool mh_sb_set_has(const struct mh_sb_set *s, const struct mh_sb_pe *pe);
const struct mh_sb_set *mh_sb_set_below(const struct mh_sb_set *s, const struct mh_sb_pe *pe);
bool mh_sb_set_equal(const struct mh_sb_set *a, const struct mh_sb_set *b);
struct mh_sb_set *mh_sb_set_union(struct mh_sb_fields *f, const struct mh_sb_set *a,
                                  const struct mh_sb_set *b);
struct mh_sb_set *mh_sb_set_common(struct mh_sb_fields *f, const struct mh_sb_set *a,
                                   const struct mh_sb_set *b);
/* Members of a that are not members of b. */
struct mh_sb_set *mh_sb_set_minus(struct mh_sb_fields *f, const struct mh_sb_set *a,
                                  const struct mh_sb_set *b);
/* The same without all that is below members of b. */
struct mh_sb_set *mh_sb_set_without(struct mh_sb_fields *f, const struct mh_sb_set *a,
                                    const struct mh_sb_set *b);
/* fieldsV1 as JSON, and back (NULL: malformed or no memory). */
yyjson_mut_val *mh_sb_set_json(struct mh_sb_fields *f, const struct mh_sb_set *s);
struct mh_sb_set *mh_sb_set_read(struct mh_sb_fields *f, yyjson_val *v);
/* Calls fn for the text of each member's path, members of a level before what is below. */
void mh_sb_set_each(struct mh_sb_fields *f, const struct mh_sb_set *s,
                    void (*fn)(void *arg, const char *path), void *arg);

enum mh_sb_kind_of_type { MH_SB_TYPED, MH_SB_DEDUCED, MH_SB_UNTYPED, MH_SB_UNDECLARED };

/* What is known of a value: a schema, or how values without one are treated. */
struct mh_sb_typing {
    const struct mh_sb_schema *schema;
    enum mh_sb_kind_of_type kind;
    bool preserve; /* an ancestor keeps unknown fields */
};

struct mh_sb_comparison {
    struct mh_sb_set *removed;
    struct mh_sb_set *modified;
    struct mh_sb_set *added;
};

struct mh_sb_typing mh_sb_typing_of(const struct mh_sb_schema *schema);
/* Adds errors to f->errors where v does not fit (duplicates in lists unless allowed). */
void mh_sb_typed_check(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                       bool allow_duplicates);
struct mh_sb_set *mh_sb_typed_set(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v);
struct mh_sb_comparison mh_sb_typed_compare(struct mh_sb_fields *f, struct mh_sb_typing t,
                                            yyjson_val *left, yyjson_val *right);
/* right merged into left; NULL: nothing is left, or no memory (f->failed). */
yyjson_val *mh_sb_typed_merge(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *left,
                              yyjson_val *right);
yyjson_val *mh_sb_typed_remove(struct mh_sb_fields *f, struct mh_sb_typing t, yyjson_val *v,
                               const struct mh_sb_set *remove);
/* With the declared fields on the way to members as members themselves. */
struct mh_sb_set *mh_sb_typed_ensure(struct mh_sb_fields *f, struct mh_sb_typing t,
                                     const struct mh_sb_set *s);

#endif
