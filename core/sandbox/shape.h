/* shape.h - what schema, patch, fields and cel share.
 *
 * All of them are pure functions on JSON values and an arena. Values that exist (stored objects,
 * request bodies, schemas) are immutable yyjson_val; what a function makes is a yyjson_mut_val of
 * the document the caller gives, and shares nothing with its inputs. mh_sb_freeze makes it
 * immutable again. */
#ifndef MH_SANDBOX_SHAPE_H
#define MH_SANDBOX_SHAPE_H

#include "base/json.h"

struct mh_buf;

/* One entry of Status.details.causes. All texts live on the arena of the list. */
struct mh_sb_cause {
    const char *reason;  /* "FieldValueInvalid", "FieldValueRequired", ... */
    const char *field;   /* "spec.instances" */
    const char *message; /* what stands in the cause: "Invalid value: 0: ..." */
    struct mh_sb_cause *next;
};

/* Causes in the order they were found. */
struct mh_sb_causes {
    struct mh_arena *arena;
    struct mh_sb_cause *first;
    struct mh_sb_cause **last;
    size_t count;
    bool failed; /* no memory: the list is not whole */
};

void mh_sb_causes_init(struct mh_sb_causes *c, struct mh_arena *a);
/* Appends; texts are copied to the arena. The message is "FIELD-independent" (see mh_sb_cause). */
void mh_sb_cause_add(struct mh_sb_causes *c, const char *reason, const char *field, const char *fmt,
                     ...) MH_PRINTF(4, 5);
/* What follows `KIND "NAME" is invalid: ` : "field: message", or "[a, b]" when there are several
 * (equal texts once). NULL: no memory. */
char *mh_sb_causes_text(const struct mh_sb_causes *c);

/* A list of texts in the order they were found (dropped paths, warnings). */
struct mh_sb_texts {
    struct mh_arena *arena;
    const char **items;
    size_t count;
    size_t size;
    bool failed; /* no memory: the list is not whole */
};

void mh_sb_texts_init(struct mh_sb_texts *t, struct mh_arena *a);
void mh_sb_texts_add(struct mh_sb_texts *t, const char *text);

/* v, or an empty object where v is NULL: yyjson's foreach wants something to go through. */
yyjson_val *mh_sb_obj_or_none(yyjson_val *v);
/* An immutable copy on the arena; NULL: no memory. */
yyjson_val *mh_sb_freeze(struct mh_arena *a, const yyjson_mut_val *v);
/* Of fields that an object has twice the last stays, as when Go decodes it; their paths ("spec.a",
 * "list[0].b") go to `found` (may be NULL). */
void mh_sb_drop_duplicates(yyjson_mut_val *v, struct mh_sb_texts *found);
/* Equal as JSON values (without duplicate fields); the order of keys does not matter, 1 equals 1.0. NULL equals only NULL. */
bool mh_sb_equal(yyjson_val *a, yyjson_val *b);
/* Text as Go's encoding/json writes a value: keys sorted, <, > and & escaped. NULL: no memory. */
char *mh_sb_go_json(struct mh_arena *a, yyjson_val *v);
/* A double as Go's fmt prints it with %v. NULL: no memory. */
char *mh_sb_go_float(struct mh_arena *a, double f);
/* Text in double quotes as Go's %q. NULL: no memory. */
char *mh_sb_go_quote(struct mh_arena *a, const char *s);

/* "left" "between" "right"; NULL: no memory. */
char *mh_sb_join(struct mh_arena *a, const char *left, char between, const char *right);

/* Cuts a path back to what it was. */
static inline void
mh_sb_path_cut(struct mh_buf *path, size_t len)
{
    if (path->data) {
        path->len = len;
        path->data[len] = 0;
    }
}

/* What Go's %v prints of a decoded JSON value: map[a:1 b:[x y]]. */
void mh_sb_go_print(struct mh_arena *a, struct mh_buf *b, yyjson_val *v);

#endif
