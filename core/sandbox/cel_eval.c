/* cel_eval.c - walks the tree. Errors are values that && and || and some macros may forgive. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_eval eval;
typedef struct mh_sb_cel_node node;

bool
mh_sb_cel_fail(eval *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    e->why = mh_arena_vprintf(e->arena, fmt, ap);
    va_end(ap);
    e->code = e->why ? MH_E_INVALID : MH_E_NOMEM;
    return false;
}

bool
mh_sb_cel_no_memory(eval *e)
{
    e->code = MH_E_NOMEM;
    e->why = "no memory for an expression";
    return false;
}

bool
mh_sb_cel_no_overload(eval *e)
{
    return mh_sb_cel_fail(e, "no such overload");
}

bool
mh_sb_cel_charge(eval *e, size_t cost)
{
    if ((int64_t)cost <= e->cost) {
        e->cost -= (int64_t)cost;
        return true;
    }
    e->cost = 0;
    e->code = MH_E_LIMIT;
    e->why = "operation cancelled: actual cost limit exceeded";
    return false;
}

/* --- names ----------------------------------------------------------------------------------- */

bool
mh_sb_cel_of_var(eval *e, struct mh_sb_cel_var *v, value *out)
{
    if (v->cache) {
        *out = *(value *)v->cache;
        return true;
    }
    if (v->map) {
        struct mh_sb_cel_map *m = mh_arena_alloc(e->arena, sizeof(*m));
        if (!m)
            return mh_sb_cel_no_memory(e);
        m->vars = v->map;
        *out = (value){ .type = MH_SB_CEL_MAP, .map = m };
        return true;
    }
    if (!v->expr)
        return mh_sb_cel_of_json(e, v->json, v->schema, out);
    struct mh_sb_cel_scope *scope = e->scope;
    value *cache = mh_arena_alloc(e->arena, sizeof(*cache));
    e->scope = NULL;
    bool ok = mh_sb_cel_eval(e, v->expr->root, out);
    e->scope = scope;
    if (ok && cache) {
        *cache = *out;
        v->cache = cache;
    }
    return ok;
}

static struct mh_sb_cel_var *
find_var(eval *e, const char *name)
{
    for (struct mh_sb_cel_var *v = e->run->vars; v; v = v->next) {
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

static const value *
find_scope(eval *e, const char *name)
{
    for (struct mh_sb_cel_scope *s = e->scope; s; s = s->up) {
        if (strcmp(s->name, name) == 0)
            return &s->value;
    }
    return NULL;
}

static bool
eval_ident(eval *e, const node *n, value *out)
{
    static const char *const types[] = { "int",    "uint",      "double",       "bool",
                                         "string", "bytes",     "list",         "map",
                                         "type",   "null_type", "optional_type" };
    const value *local = find_scope(e, n->name);
    if (local) {
        *out = *local;
        return true;
    }
    struct mh_sb_cel_var *v = find_var(e, n->name);
    if (v)
        return mh_sb_cel_of_var(e, v, out);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i], n->name) == 0) {
            *out = mh_sb_cel_of_text(types[i], strlen(types[i]));
            out->type = MH_SB_CEL_TYPE;
            return true;
        }
    }
    return mh_sb_cel_fail(e, "no such attribute(s): %s", n->name);
}

/* "google.protobuf.Timestamp" written as selections of names. */
static bool
eval_type_name(const node *n, value *out)
{
    const node *mid = n->a;
    bool google = mid && mid->kind == MH_SB_CEL_SELECT && mh_str_eq(mid->name, "protobuf") &&
                  mid->a->kind == MH_SB_CEL_IDENT && mh_str_eq(mid->a->name, "google");
    bool stamp = mh_str_eq(n->name, "Timestamp");
    if (!google || (!stamp && !mh_str_eq(n->name, "Duration")))
        return false;
    const char *name = stamp ? "google.protobuf.Timestamp" : "google.protobuf.Duration";
    *out = mh_sb_cel_of_text(name, strlen(name));
    out->type = MH_SB_CEL_TYPE;
    return true;
}

/* --- fields and items ------------------------------------------------------------------------ */

/* A field or an item; *found false: there is none. */
static bool
member(eval *e, value of, value key, value *out, bool *found)
{
    *found = false;
    if (of.type == MH_SB_CEL_MAP)
        return mh_sb_cel_lookup(e, of, key, out, found);
    if (of.type != MH_SB_CEL_LIST)
        return true;
    int64_t i = key.type == MH_SB_CEL_INT      ? key.i
                : key.type == MH_SB_CEL_UINT   ? (int64_t)key.u
                : key.type == MH_SB_CEL_DOUBLE ? (int64_t)key.d
                                               : -1;
    if (key.type == MH_SB_CEL_STRING)
        return true;
    if (!mh_sb_cel_fill(e, of))
        return false;
    *found = i >= 0 && (size_t)i < of.list->n;
    if (*found)
        *out = of.list->items[i];
    return true;
}

static bool
get_member(eval *e, value of, value key, bool opt, value *out)
{
    bool found = false;
    value got = { .type = MH_SB_CEL_NULL };
    value text;
    if (of.type == MH_SB_CEL_OPTIONAL) {
        if (!of.some)
            return mh_sb_cel_optional(e, NULL, out);
        of = *of.some;
        opt = true;
    }
    if (!member(e, of, key, &got, &found))
        return false;
    if (opt)
        return mh_sb_cel_optional(e, found ? &got : NULL, out);
    if (found) {
        *out = got;
        return true;
    }
    if (!mh_sb_cel_to_text(e, key, &text))
        return false;
    if (of.type == MH_SB_CEL_LIST && key.type != MH_SB_CEL_STRING)
        return mh_sb_cel_fail(e, "index out of bounds: %.*s", (int)text.n, text.s);
    return mh_sb_cel_fail(e, "no such key: %.*s", (int)text.n, text.s);
}

static bool
eval_select(eval *e, const node *n, value *out)
{
    value of;
    if (eval_type_name(n, out))
        return true;
    return mh_sb_cel_eval(e, n->a, &of) &&
           get_member(e, of, mh_sb_cel_of_text(n->name, strlen(n->name)), n->opt, out);
}

static bool
eval_has(eval *e, const node *n, value *out)
{
    value of;
    value got;
    bool found = false;
    if (!mh_sb_cel_eval(e, n->a, &of))
        return false;
    if (of.type == MH_SB_CEL_OPTIONAL) {
        if (!of.some) {
            *out = mh_sb_cel_of_bool(false);
            return true;
        }
        of = *of.some;
    }
    if (!member(e, of, mh_sb_cel_of_text(n->name, strlen(n->name)), &got, &found))
        return false;
    *out = mh_sb_cel_of_bool(found);
    return true;
}

/* --- literals of lists and maps -------------------------------------------------------------- */

static bool
unwrap(eval *e, bool opt, value *v, bool *there)
{
    *there = true;
    if (!opt)
        return true;
    if (v->type != MH_SB_CEL_OPTIONAL)
        return mh_sb_cel_no_overload(e);
    *there = v->some != NULL;
    if (*there)
        *v = *v->some;
    return true;
}

static bool
eval_list(eval *e, const node *n, value *out)
{
    bool there = false;
    if (!mh_sb_cel_new_list(e, n->nargs, out))
        return false;
    out->list->n = 0;
    for (size_t i = 0; i < n->nargs; i++) {
        value v;
        if (!mh_sb_cel_eval(e, n->args[i], &v) || !unwrap(e, n->opts[i], &v, &there))
            return false;
        if (there)
            out->list->items[out->list->n++] = v;
    }
    return true;
}

static bool
eval_map(eval *e, const node *n, value *out)
{
    bool there = false;
    if (!mh_sb_cel_new_map(e, n->nargs / 2, out))
        return false;
    for (size_t i = 0; i + 1 < n->nargs; i += 2) {
        value k;
        value v;
        value old;
        bool found = false;
        if (!mh_sb_cel_eval(e, n->args[i], &k) || !mh_sb_cel_eval(e, n->args[i + 1], &v) ||
            !unwrap(e, n->opts[i], &v, &there) || !mh_sb_cel_lookup(e, *out, k, &old, &found))
            return false;
        if (found)
            return mh_sb_cel_fail(e, "Failed with repeated key");
        if (there)
            mh_sb_cel_put(*out, k, v);
    }
    return true;
}

/* --- operators ------------------------------------------------------------------------------- */

/* or: a || b, else a && b. One side that decides makes an error of the other good. */
static bool
eval_logic(eval *e, const node *n, bool or, value *out)
{
    value v;
    const char *why = NULL;
    bool failed = !mh_sb_cel_eval(e, n->a, &v);
    if (failed && !mh_sb_cel_forgivable(e))
        return false;
    if (!failed && v.type == MH_SB_CEL_BOOL && v.b == or) {
        *out = v;
        return true;
    }
    if (!failed && v.type != MH_SB_CEL_BOOL)
        failed = !mh_sb_cel_no_overload(e);
    if (failed) {
        why = e->why;
        mh_sb_cel_forgive(e);
    }
    if (!mh_sb_cel_eval(e, n->b, out)) {
        if (why && mh_sb_cel_forgivable(e))
            e->why = why;
        return false;
    }
    if (out->type != MH_SB_CEL_BOOL)
        return mh_sb_cel_no_overload(e);
    if (out->b == or || !why)
        return true;
    e->code = MH_E_INVALID;
    e->why = why;
    return false;
}

static bool
eval_in(eval *e, value a, value b, value *out)
{
    value got;
    bool found = false;
    if (b.type == MH_SB_CEL_MAP) {
        if (!mh_sb_cel_lookup(e, b, a, &got, &found))
            return false;
    } else if (b.type == MH_SB_CEL_LIST) {
        if (!mh_sb_cel_fill(e, b) || !mh_sb_cel_charge(e, b.list->n))
            return false;
        for (size_t i = 0; i < b.list->n && !found; i++)
            found = mh_sb_cel_equal(e, a, b.list->items[i]);
    } else {
        return mh_sb_cel_no_overload(e);
    }
    *out = mh_sb_cel_of_bool(found);
    return !e->code;
}

static bool
eval_binary(eval *e, const node *n, value *out)
{
    value a;
    value b;
    int c = 0;
    const char *op = n->name;
    if (!mh_sb_cel_eval(e, n->a, &a) || !mh_sb_cel_eval(e, n->b, &b))
        return false;
    if (strcmp(op, "in") == 0)
        return eval_in(e, a, b, out);
    if (strcmp(op, "==") == 0 || strcmp(op, "!=") == 0) {
        *out = mh_sb_cel_of_bool(mh_sb_cel_equal(e, a, b) == (op[0] == '='));
        return !e->code;
    }
    if (!strchr("<>", op[0]))
        return mh_sb_cel_arithmetic(e, op[0], a, b, out);
    if (!mh_sb_cel_charge(e, (a.type == MH_SB_CEL_STRING ? a.n : 0) / 10))
        return false;
    if (!mh_sb_cel_compare(a, b, &c))
        return mh_sb_cel_no_overload(e);
    bool equal = op[1] == '=';
    *out =
        mh_sb_cel_of_bool(op[0] == '<' ? c < 0 || (equal && c == 0) : c > 0 || (equal && c == 0));
    return true;
}

static bool
eval_negate(eval *e, const node *n, value *out)
{
    if (!mh_sb_cel_eval(e, n->a, out))
        return false;
    if (out->type == MH_SB_CEL_DOUBLE)
        out->d = -out->d;
    else if ((out->type == MH_SB_CEL_INT || out->type == MH_SB_CEL_DURATION) && out->i != INT64_MIN)
        out->i = -out->i;
    else
        return out->type == MH_SB_CEL_INT ? mh_sb_cel_fail(e, "integer overflow")
                                          : mh_sb_cel_no_overload(e);
    return true;
}

static bool
eval_cond(eval *e, const node *n, value *out)
{
    value c;
    if (!mh_sb_cel_eval(e, n->a, &c))
        return false;
    if (c.type != MH_SB_CEL_BOOL)
        return mh_sb_cel_no_overload(e);
    return mh_sb_cel_eval(e, c.b ? n->b : n->c, out);
}

/* --- calls ----------------------------------------------------------------------------------- */

/* optional.of(x): the name before the point is no value. */
static bool
is_namespace(eval *e, const node *n)
{
    static const char *const names[] = { "optional", "sets", "ip", "format", "math", "strings" };
    if (n->kind != MH_SB_CEL_IDENT || find_scope(e, n->name) || find_var(e, n->name))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], n->name) == 0)
            return true;
    }
    return false;
}

/* x.orValue(y) and x.or(y) look at y only if they must. */
static bool
eval_or(eval *e, const node *n, value *out, bool *done)
{
    bool or_value = strcmp(n->name, "orValue") == 0;
    *done = n->a && n->nargs == 1 && (or_value || strcmp(n->name, "or") == 0);
    if (!*done)
        return true;
    if (!mh_sb_cel_eval(e, n->a, out))
        return false;
    if (out->type != MH_SB_CEL_OPTIONAL)
        return mh_sb_cel_no_overload(e);
    if (!out->some)
        return mh_sb_cel_eval(e, n->args[0], out);
    if (or_value)
        *out = *out->some;
    return true;
}

static bool
eval_call(eval *e, const node *n, value *out)
{
    static const mh_sb_cel_library libraries[] = { mh_sb_cel_lib_base, mh_sb_cel_lib_string,
                                                   mh_sb_cel_lib_list, mh_sb_cel_lib_time,
                                                   mh_sb_cel_lib_net,  mh_sb_cel_lib_quantity };
    value args[8];
    bool space = n->a && is_namespace(e, n->a);
    bool done = false;
    struct mh_sb_cel_call c = {
        .e = e, .node = n, .name = n->name, .method = n->a && !space, .args = args, .out = out
    };
    if (!eval_or(e, n, out, &done) || done)
        return !e->code;
    if (space) {
        c.name = mh_arena_printf(e->arena, "%s.%s", n->a->name, n->name);
        if (!c.name)
            return mh_sb_cel_no_memory(e);
    }
    if (n->nargs + c.method > sizeof(args) / sizeof(args[0]))
        return mh_sb_cel_no_overload(e);
    if (c.method && !mh_sb_cel_eval(e, n->a, &args[c.nargs++]))
        return false;
    for (size_t i = 0; i < n->nargs; i++) {
        if (!mh_sb_cel_eval(e, n->args[i], &args[c.nargs++]))
            return false;
    }
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        bool ok = true;
        if (libraries[i](&c, &ok))
            return ok;
    }
    return mh_sb_cel_no_overload(e);
}

static bool
eval_not(eval *e, const node *n, value *out)
{
    if (!mh_sb_cel_eval(e, n->a, out))
        return false;
    if (out->type != MH_SB_CEL_BOOL)
        return mh_sb_cel_no_overload(e);
    out->b = !out->b;
    return true;
}

static bool
eval_index(eval *e, const node *n, value *out)
{
    value of;
    value key;
    return mh_sb_cel_eval(e, n->a, &of) && mh_sb_cel_eval(e, n->b, &key) &&
           get_member(e, of, key, n->opt, out);
}

static bool
dispatch(eval *e, const node *n, value *out)
{
    switch (n->kind) {
    case MH_SB_CEL_LITERAL:
        *out = n->literal;
        return true;
    case MH_SB_CEL_IDENT:
        return eval_ident(e, n, out);
    case MH_SB_CEL_SELECT:
        return eval_select(e, n, out);
    case MH_SB_CEL_INDEX:
        return eval_index(e, n, out);
    case MH_SB_CEL_CALL:
        return eval_call(e, n, out);
    case MH_SB_CEL_NEWLIST:
        return eval_list(e, n, out);
    case MH_SB_CEL_NEWMAP:
        return eval_map(e, n, out);
    case MH_SB_CEL_NOT:
        return eval_not(e, n, out);
    case MH_SB_CEL_NEGATE:
        return eval_negate(e, n, out);
    case MH_SB_CEL_BINARY:
        return eval_binary(e, n, out);
    case MH_SB_CEL_AND:
        return eval_logic(e, n, false, out);
    case MH_SB_CEL_OR:
        return eval_logic(e, n, true, out);
    case MH_SB_CEL_COND:
        return eval_cond(e, n, out);
    case MH_SB_CEL_HAS:
        return eval_has(e, n, out);
    default:
        return mh_sb_cel_macro(e, n, out);
    }
}

bool
mh_sb_cel_eval(eval *e, const node *n, value *out)
{
    if (!mh_sb_cel_charge(e, 1))
        return false;
    if (++e->depth > 4 * MH_SB_CEL_DEPTH_MAX) {
        e->depth--;
        return mh_sb_cel_fail(e, "expression is nested too deeply");
    }
    bool ok = dispatch(e, n, out);
    e->depth--;
    return ok;
}
