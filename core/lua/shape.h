/* shape.h - inside core/lua: what inputs and answers of decision points look like.
 *
 * The tables are made from scripts/policies/points when this is built (points.lua). Unknown keys,
 * wrong types and values out of bounds are errors that name the path. Pure. */
#ifndef MH_LUA_SHAPE_H
#define MH_LUA_SHAPE_H

#include "moonherd/err.h"

#include "base/json.h"

enum mh_shape_kind {
    MH_SHAPE_TEXT,     /* one line */
    MH_SHAPE_LINES,    /* may have line breaks */
    MH_SHAPE_REASON,   /* "NoEligibleReplica" */
    MH_SHAPE_LABEL,    /* value of a label; may be empty */
    MH_SHAPE_QUANTITY, /* "500m", "16Gi" */
    MH_SHAPE_INT,
    MH_SHAPE_NUMBER,
    MH_SHAPE_FLAG,
    MH_SHAPE_SCALAR, /* text, number or flag */
    MH_SHAPE_CHOICE,
    MH_SHAPE_LIST,
    MH_SHAPE_MAP,
    MH_SHAPE_RECORD
};

struct mh_field;

struct mh_shape {
    enum mh_shape_kind kind;
    int64_t min; /* of numbers, of bytes, of elements */
    int64_t max;
    const char *const *options;    /* of a choice, NULL-ended */
    const struct mh_shape *of;     /* of lists and maps */
    const struct mh_field *fields; /* of a record, ended by a NULL name */
};

struct mh_field {
    const char *name;
    int optional;
    struct mh_shape shape;
};

#define MH_ANSWERS_MAX 5

struct mh_point {
    const char *name; /* "failover/v1" */
    const struct mh_field *input;
    const char *words;    /* what an answer may be, for messages */
    const char *built_in; /* answer of the built-in policy where it is always the same; or NULL */
    int64_t wait_max_s;   /* how far wait(...) may reach */
    struct mh_answer {
        const char *action; /* NULL: the answer that has none */
        const struct mh_field *fields;
    } answers[MH_ANSWERS_MAX];
};

extern const struct mh_point mh_points[]; /* ended by a NULL name */
/* Parameters that instance/v1 may set: what may differ between instances. NULL-ended. */
extern const char *const mh_instance_parameters[];

/* NULL: there is no such decision point. */
const struct mh_point *mh_point_find(const char *name);
/* REFUSED with the path in the message. */
enum mh_code mh_shape_input(const struct mh_point *p, const char *what, yyjson_val *input,
                            struct mh_err *err);
enum mh_code mh_shape_answer(const struct mh_point *p, yyjson_val *answer, struct mh_err *err);

#endif
