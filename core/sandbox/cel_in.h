/* cel_in.h - the inside of cel: syntax tree, values, and what the parts of the evaluator share.
 *
 * A value is a small struct passed by value; lists and maps point to the arena of the run, and
 * those that come from JSON are wrapped when they are looked into. */
#ifndef MH_SANDBOX_CEL_IN_H
#define MH_SANDBOX_CEL_IN_H

#include "sandbox/cel.h"
#include "sandbox/quantity.h"
#include "sandbox/schema_in.h"

#define MH_SB_CEL_DEPTH_MAX 200
#define MH_SB_CEL_TEXT_MAX ((size_t)1 << 20)

enum mh_sb_cel_type {
    MH_SB_CEL_NULL,
    MH_SB_CEL_BOOL,
    MH_SB_CEL_INT,
    MH_SB_CEL_UINT,
    MH_SB_CEL_DOUBLE,
    MH_SB_CEL_STRING,
    MH_SB_CEL_BYTES,
    MH_SB_CEL_LIST,
    MH_SB_CEL_MAP,
    MH_SB_CEL_DURATION,
    MH_SB_CEL_TIMESTAMP,
    MH_SB_CEL_TYPE,
    MH_SB_CEL_OPTIONAL,
    MH_SB_CEL_QUANTITY,
    MH_SB_CEL_IP,
    MH_SB_CEL_CIDR,
    MH_SB_CEL_URL,
    MH_SB_CEL_FORMAT
};

struct mh_sb_cel_list;
struct mh_sb_cel_map;

/* An address with the length of its prefix. */
struct mh_sb_cel_net {
    unsigned char bytes[16];
    int family; /* 4, 6 */
    int bits;
};

struct mh_sb_cel_url {
    const char *scheme, *host, *hostname, *port, *path, *query, *all;
};

struct mh_sb_cel_value {
    enum mh_sb_cel_type type;
    union {
        bool b;
        int64_t i; /* INT; DURATION: ns; TIMESTAMP: microseconds since 1970 */
        uint64_t u;
        double d;
        struct {
            const char *s; /* STRING, BYTES, TYPE, FORMAT (its name) */
            size_t n;
        };
        struct mh_sb_cel_list *list;
        struct mh_sb_cel_map *map;
        struct mh_sb_cel_value *some; /* OPTIONAL; NULL: none */
        struct mh_sb_quantity *quantity;
        struct mh_sb_cel_net *net; /* IP, CIDR */
        struct mh_sb_cel_url *url;
    };
};

struct mh_sb_cel_list {
    struct mh_sb_cel_value *items; /* NULL with a json: not looked into yet */
    size_t n;
    yyjson_val *json;
    const struct mh_sb_schema *schema; /* of the list; NULL: plain */
};

struct mh_sb_cel_map {
    struct mh_sb_cel_value *keys;
    struct mh_sb_cel_value *values;
    size_t n;
    size_t size;
    yyjson_val *json;                  /* instead of keys and values */
    const struct mh_sb_schema *schema; /* of json */
    struct mh_sb_cel_var *vars;        /* instead of either */
};

enum mh_sb_cel_kind {
    MH_SB_CEL_LITERAL,
    MH_SB_CEL_IDENT,
    MH_SB_CEL_SELECT,  /* a.name; opt: a.?name */
    MH_SB_CEL_INDEX,   /* a[b]; opt: a[?b] */
    MH_SB_CEL_CALL,    /* name(args), a.name(args) with a */
    MH_SB_CEL_NEWLIST, /* [args]; opts say which are optional */
    MH_SB_CEL_NEWMAP,  /* {args[0]: args[1], ...} */
    MH_SB_CEL_NOT,
    MH_SB_CEL_NEGATE,
    MH_SB_CEL_BINARY, /* name is the operator */
    MH_SB_CEL_AND,
    MH_SB_CEL_OR,
    MH_SB_CEL_COND,
    MH_SB_CEL_HAS,   /* has(a.name) */
    MH_SB_CEL_MACRO, /* a.name(var[, var2], args...) */
};

struct mh_sb_cel_node {
    enum mh_sb_cel_kind kind;
    size_t pos; /* byte in the text */
    const char *name;
    struct mh_sb_cel_node *a, *b, *c;
    struct mh_sb_cel_node **args;
    size_t nargs;
    bool opt;
    bool *opts;       /* of list items and map entries */
    const char *var;  /* macro */
    const char *var2; /* macro with two variables; NULL: one */
    struct mh_sb_cel_value literal;
    struct mh_sb_regex *regex; /* of matches() with a literal */
};

struct mh_sb_cel {
    const char *text;
    struct mh_sb_cel_node *root;
};

/* A variable of a macro. */
struct mh_sb_cel_scope {
    const char *name;
    struct mh_sb_cel_value value;
    struct mh_sb_cel_scope *up;
};

/* One evaluation. Functions return false with `code` and `why` set. */
struct mh_sb_cel_eval {
    struct mh_arena *arena;
    struct mh_sb_cel_run *run;
    struct mh_sb_cel_scope *scope;
    int64_t cost;
    int depth;
    enum mh_code code;
    const char *why;
};

/* cel_parse.c */
enum mh_code mh_sb_cel_parse(struct mh_arena *a, const char *text, struct mh_sb_cel_node **out,
                             struct mh_err *err);
/* "ERROR: <input>:LINE:COL: why" with the line and a mark below it. */
enum mh_code mh_sb_cel_complain(struct mh_arena *a, const char *text, size_t pos,
                                struct mh_err *err, const char *why);

/* cel_eval.c */
bool mh_sb_cel_eval(struct mh_sb_cel_eval *e, const struct mh_sb_cel_node *n,
                    struct mh_sb_cel_value *out);
/* Sets the error; false. */
bool mh_sb_cel_fail(struct mh_sb_cel_eval *e, const char *fmt, ...) MH_PRINTF(2, 3);
bool mh_sb_cel_no_memory(struct mh_sb_cel_eval *e);
bool mh_sb_cel_no_overload(struct mh_sb_cel_eval *e);
/* Takes cost; false when nothing is left. */
bool mh_sb_cel_charge(struct mh_sb_cel_eval *e, size_t cost);

/* True if the error is one of the expression, which other parts of it may make good. */
static inline bool
mh_sb_cel_forgivable(const struct mh_sb_cel_eval *e)
{
    return e->code == MH_E_INVALID;
}

static inline void
mh_sb_cel_forgive(struct mh_sb_cel_eval *e)
{
    e->code = MH_OK;
    e->why = NULL;
}

/* cel_macro.c */
bool mh_sb_cel_macro(struct mh_sb_cel_eval *e, const struct mh_sb_cel_node *n,
                     struct mh_sb_cel_value *out);

/* cel_value.c */
struct mh_sb_cel_value mh_sb_cel_of_text(const char *s, size_t n);
struct mh_sb_cel_value mh_sb_cel_of_bool(bool b);
struct mh_sb_cel_value mh_sb_cel_of_int(int64_t i);
bool mh_sb_cel_of_json(struct mh_sb_cel_eval *e, yyjson_val *v, const struct mh_sb_schema *s,
                       struct mh_sb_cel_value *out);
/* A variable of the environment, evaluated when it has to be. */
bool mh_sb_cel_of_var(struct mh_sb_cel_eval *e, struct mh_sb_cel_var *v,
                      struct mh_sb_cel_value *out);
bool mh_sb_cel_new_list(struct mh_sb_cel_eval *e, size_t n, struct mh_sb_cel_value *out);
bool mh_sb_cel_new_map(struct mh_sb_cel_eval *e, size_t size, struct mh_sb_cel_value *out);
bool mh_sb_cel_optional(struct mh_sb_cel_eval *e, const struct mh_sb_cel_value *v,
                        struct mh_sb_cel_value *out);
/* Makes the items (keys and values) of a wrapped list (map) there. */
bool mh_sb_cel_fill(struct mh_sb_cel_eval *e, struct mh_sb_cel_value v);
size_t mh_sb_cel_size(struct mh_sb_cel_value v);
/* *found false: no such key (field). */
bool mh_sb_cel_field(struct mh_sb_cel_eval *e, struct mh_sb_cel_value v, const char *name,
                     struct mh_sb_cel_value *out, bool *found);
bool mh_sb_cel_lookup(struct mh_sb_cel_eval *e, struct mh_sb_cel_value map,
                      struct mh_sb_cel_value key, struct mh_sb_cel_value *out, bool *found);
bool mh_sb_cel_put(struct mh_sb_cel_value map, struct mh_sb_cel_value key,
                   struct mh_sb_cel_value value);
bool mh_sb_cel_equal(struct mh_sb_cel_eval *e, struct mh_sb_cel_value a, struct mh_sb_cel_value b);
/* False: not comparable. */
bool mh_sb_cel_compare(struct mh_sb_cel_value a, struct mh_sb_cel_value b, int *out);
const char *mh_sb_cel_type_name(struct mh_sb_cel_value v);
yyjson_mut_val *mh_sb_cel_to_json(struct mh_sb_cel_eval *e, yyjson_mut_doc *doc,
                                  struct mh_sb_cel_value v);
/* As string() shows it; NULL: has no text (error set). */
bool mh_sb_cel_to_text(struct mh_sb_cel_eval *e, struct mh_sb_cel_value v,
                       struct mh_sb_cel_value *out);
bool mh_sb_cel_printf(struct mh_sb_cel_eval *e, struct mh_sb_cel_value *out, const char *fmt, ...)
    MH_PRINTF(3, 4);

/* A call: of nargs values, args[0] being the receiver of a method. */
struct mh_sb_cel_call {
    struct mh_sb_cel_eval *e;
    const struct mh_sb_cel_node *node;
    const char *name;
    bool method;
    struct mh_sb_cel_value *args;
    size_t nargs;
    struct mh_sb_cel_value *out;
};

/* Each library: true if it knows the call (then *ok is the result), false if not. */
typedef bool (*mh_sb_cel_library)(struct mh_sb_cel_call *c, bool *ok);
bool mh_sb_cel_lib_base(struct mh_sb_cel_call *c, bool *ok);
bool mh_sb_cel_lib_string(struct mh_sb_cel_call *c, bool *ok);
bool mh_sb_cel_lib_list(struct mh_sb_cel_call *c, bool *ok);
bool mh_sb_cel_lib_time(struct mh_sb_cel_call *c, bool *ok);
bool mh_sb_cel_lib_net(struct mh_sb_cel_call *c, bool *ok);
bool mh_sb_cel_lib_quantity(struct mh_sb_cel_call *c, bool *ok);
/* An address (with its prefix for a CIDR) as text. */
bool mh_sb_cel_net_text(struct mh_sb_cel_eval *e, struct mh_sb_cel_value v,
                        struct mh_sb_cel_value *out);
/* Operators on two values: + - * / % */
bool mh_sb_cel_arithmetic(struct mh_sb_cel_eval *e, char op, struct mh_sb_cel_value a,
                          struct mh_sb_cel_value b, struct mh_sb_cel_value *out);
/* "%d items of %s" with a list of values. */
bool mh_sb_cel_format(struct mh_sb_cel_eval *e, struct mh_sb_cel_value text,
                      struct mh_sb_cel_value args, struct mh_sb_cel_value *out);

#endif
