/* cel.c - compiling and running expressions. */
#include "sandbox/cel.h"

#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"

struct check {
    struct mh_arena *arena;
    const char *text;
    const char *const *vars;
    struct mh_err *err;
};

/* A name that a macro binds. */
struct bound {
    const char *name;
    const struct bound *up;
};

static bool
in_list(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(*list, name) == 0)
            return true;
    }
    return false;
}

static bool
known_name(const struct check *c, const struct bound *b, const char *name)
{
    static const char *const types[] = { "int",           "uint",   "double", "bool", "string",
                                         "bytes",         "list",   "map",    "type", "null_type",
                                         "optional_type", "google", NULL };
    for (; b; b = b->up) {
        if (b->name && strcmp(b->name, name) == 0)
            return true;
    }
    return in_list(name, c->vars) || in_list(name, types);
}

/* Every function and macro-free method of the language that rules may name. */
static const char functions[] =
    " size int uint double bool bytes string duration timestamp type dyn matches "
    "contains startsWith endsWith find findAll charAt indexOf lastIndexOf "
    "lowerAscii upperAscii replace split substring trim reverse format join sum "
    "min max isSorted slice distinct sort flatten quantity isQuantity isLessThan "
    "isGreaterThan compareTo add sub sign isInteger asInteger asApproximateFloat "
    "url isURL getScheme getHost getHostname getPort getEscapedPath getQuery ip "
    "isIP family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast "
    "isGlobalUnicast cidr isCIDR containsIP containsCIDR prefixLength masked "
    "getFullYear getMonth getDayOfMonth getDate getDayOfWeek getDayOfYear getHours "
    "getMinutes getSeconds getMilliseconds hasValue value or orValue validate ";

static bool
known_function(const char *name)
{
    char word[32];
    int n = snprintf(word, sizeof(word), " %s ", name);
    return n > 2 && (size_t)n < sizeof(word) && strstr(functions, word);
}

static bool
undeclared(struct check *c, const struct mh_sb_cel_node *n)
{
    char *why =
        mh_arena_printf(c->arena, "undeclared reference to '%s' (in container '')", n->name);
    mh_sb_cel_complain(c->arena, c->text, n->pos, c->err, why ? why : "no memory");
    return false;
}

static bool
is_namespace(const struct mh_sb_cel_node *n)
{
    static const char *const names[] = {
        "optional", "sets", "ip", "format", "math", "strings", NULL
    };
    return n && n->kind == MH_SB_CEL_IDENT && in_list(n->name, names);
}

static bool
check(struct check *c, const struct mh_sb_cel_node *n, const struct bound *b)
{
    struct bound first = { n ? n->var : NULL, b };
    struct bound second = { n ? n->var2 : NULL, &first };
    if (!n)
        return true;
    bool space = n->kind == MH_SB_CEL_CALL && is_namespace(n->a) && !known_name(c, b, n->a->name);
    if (n->kind == MH_SB_CEL_IDENT && !known_name(c, b, n->name))
        return undeclared(c, n);
    if (n->kind == MH_SB_CEL_CALL && !space && !known_function(n->name))
        return undeclared(c, n);
    if ((!space && !check(c, n->a, b)) || !check(c, n->b, b) || !check(c, n->c, b))
        return false;
    if (n->kind == MH_SB_CEL_MACRO)
        b = &second;
    for (size_t i = 0; i < n->nargs; i++) {
        if (!check(c, n->args[i], b))
            return false;
    }
    return true;
}

enum mh_code
mh_sb_cel_compile(struct mh_arena *a, const char *text, const char *const *vars,
                  struct mh_sb_cel **out, struct mh_err *err)
{
    struct mh_sb_cel *cel = mh_arena_alloc(a, sizeof(*cel));
    struct mh_err local = { 0 };
    struct mh_err *e = err ? err : &local;
    if (!cel)
        return mh_fail(e, MH_E_NOMEM, "no memory for an expression");
    cel->text = mh_arena_strdup(a, text);
    if (!cel->text)
        return mh_fail(e, MH_E_NOMEM, "no memory for an expression");
    enum mh_code code = mh_sb_cel_parse(a, cel->text, &cel->root, e);
    struct check c = { a, cel->text, vars, e };
    if (!code && vars && !check(&c, cel->root, NULL))
        code = e->code;
    if (code == MH_E_INVALID)
        return mh_wrap(e, "compilation failed");
    if (!code)
        *out = cel;
    return code;
}

static bool
uses(const struct mh_sb_cel_node *n, const char *var)
{
    if (!n)
        return false;
    if (n->kind == MH_SB_CEL_IDENT && strcmp(n->name, var) == 0)
        return true;
    if (uses(n->a, var) || uses(n->b, var) || uses(n->c, var))
        return true;
    for (size_t i = 0; i < n->nargs; i++) {
        if (uses(n->args[i], var))
            return true;
    }
    return false;
}

bool
mh_sb_cel_uses(const struct mh_sb_cel *c, const char *var)
{
    return uses(c->root, var);
}

static enum mh_code
run(const struct mh_sb_cel *c, struct mh_sb_cel_run *r, struct mh_sb_cel_eval *e,
    struct mh_sb_cel_value *out, struct mh_err *err)
{
    *e = (struct mh_sb_cel_eval){ .arena = r->arena, .run = r, .cost = r->cost };
    bool ok = mh_sb_cel_eval(e, c->root, out);
    r->cost = e->cost;
    if (ok && !e->code)
        return MH_OK;
    return mh_fail(err, e->code ? e->code : MH_E_INTERNAL, "%s", e->why ? e->why : "no reason");
}

enum mh_code
mh_sb_cel_bool(const struct mh_sb_cel *c, struct mh_sb_cel_run *r, bool *out, struct mh_err *err)
{
    struct mh_sb_cel_eval e;
    struct mh_sb_cel_value v = { .type = MH_SB_CEL_NULL };
    enum mh_code code = run(c, r, &e, &v, err);
    if (!code && v.type != MH_SB_CEL_BOOL)
        return mh_fail(err, MH_E_INVALID, "cel expression must evaluate to a bool");
    *out = !code && v.b;
    return code;
}

enum mh_code
mh_sb_cel_text(const struct mh_sb_cel *c, struct mh_sb_cel_run *r, const char **out,
               struct mh_err *err)
{
    struct mh_sb_cel_eval e;
    struct mh_sb_cel_value v = { .type = MH_SB_CEL_NULL };
    enum mh_code code = run(c, r, &e, &v, err);
    if (code)
        return code;
    if (v.type != MH_SB_CEL_STRING)
        return mh_fail(err, MH_E_INVALID, "cel expression must evaluate to a string");
    *out = mh_arena_strndup(r->arena, v.s, v.n);
    return *out ? MH_OK : mh_fail(err, MH_E_NOMEM, "no memory for a text");
}

enum mh_code
mh_sb_cel_json(const struct mh_sb_cel *c, struct mh_sb_cel_run *r, yyjson_mut_doc *doc,
               yyjson_mut_val **out, struct mh_err *err)
{
    struct mh_sb_cel_eval e;
    struct mh_sb_cel_value v = { .type = MH_SB_CEL_NULL };
    enum mh_code code = run(c, r, &e, &v, err);
    if (code)
        return code;
    *out = mh_sb_cel_to_json(&e, doc, v);
    if (!*out)
        return mh_fail(err, e.code ? e.code : MH_E_NOMEM, "%s", e.why ? e.why : "no memory");
    return MH_OK;
}
