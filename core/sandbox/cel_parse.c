/* cel_parse.c - text to syntax tree. Macros become nodes of their own here. */
#include "sandbox/cel_parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/regex.h"

#define ARGS_MAX 256
#define TEXT_MAX 16384

static struct mh_sb_cel_node *parse_expr(struct mh_sb_cel_parser *p);

static struct mh_sb_cel_node *
unexpected(struct mh_sb_cel_parser *p)
{
    char *why = p->token == T_END
                    ? mh_arena_strdup(p->arena, "Syntax error: mismatched input '<EOF>' expecting "
                                                "{'[', '{', '(', '.', '-', '!', 'true', 'false', "
                                                "'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, "
                                                "BYTES, IDENTIFIER}")
                    : mh_arena_printf(p->arena, "Syntax error: extraneous input '%.*s'",
                                      (int)(p->s - p->text - (long)p->pos), p->text + p->pos);
    return mh_sb_cel_bad_at(p, p->pos, why ? why : "no memory");
}

static bool
is_op(struct mh_sb_cel_parser *p, const char *op)
{
    return p->token == T_OP && strcmp(p->word, op) == 0;
}

static bool
accept(struct mh_sb_cel_parser *p, const char *op)
{
    if (!is_op(p, op))
        return false;
    mh_sb_cel_next(p);
    return true;
}

static bool
expect(struct mh_sb_cel_parser *p, const char *op)
{
    if (p->failed)
        return false;
    if (!accept(p, op)) {
        unexpected(p);
        return false;
    }
    return !p->failed;
}

static struct mh_sb_cel_node *
new_node(struct mh_sb_cel_parser *p, enum mh_sb_cel_kind kind, size_t pos)
{
    struct mh_sb_cel_node *n = mh_arena_alloc(p->arena, sizeof(*n));
    if (!n) {
        p->failed = true;
        mh_fail(p->err, MH_E_NOMEM, "no memory for an expression");
        return NULL;
    }
    n->kind = kind;
    n->pos = pos;
    return n;
}

/* Expressions up to a closing token, with an optional mark before each. pairs: key : value. */
static bool
parse_items(struct mh_sb_cel_parser *p, struct mh_sb_cel_node *n, const char *close, bool pairs,
            bool marks)
{
    struct mh_sb_cel_node *items[ARGS_MAX];
    bool opts[ARGS_MAX];
    while (!p->failed && !is_op(p, close)) {
        if (n->nargs + 2 > ARGS_MAX) {
            mh_sb_cel_bad_at(p, p->pos, "too many items");
            return false;
        }
        opts[n->nargs] = marks && accept(p, "?");
        items[n->nargs++] = parse_expr(p);
        if (pairs) {
            if (!expect(p, ":"))
                return false;
            opts[n->nargs] = false;
            items[n->nargs++] = parse_expr(p);
        }
        if (!accept(p, ","))
            break;
        if (is_op(p, close) && strcmp(close, ")") == 0)
            unexpected(p);
    }
    if (!expect(p, close))
        return false;
    n->args = mh_arena_alloc(p->arena, (n->nargs + 1) * sizeof(*items));
    n->opts = mh_arena_alloc(p->arena, n->nargs + 1);
    if (!n->args || !n->opts) {
        p->failed = true;
        mh_fail(p->err, MH_E_NOMEM, "no memory for an expression");
        return false;
    }
    memcpy(n->args, items, n->nargs * sizeof(*items));
    memcpy(n->opts, opts, n->nargs);
    return true;
}

static struct mh_sb_cel_node *
literal(struct mh_sb_cel_parser *p)
{
    struct mh_sb_cel_node *n = new_node(p, MH_SB_CEL_LITERAL, p->pos);
    if (!n)
        return NULL;
    struct mh_sb_cel_value *v = &n->literal;
    switch (p->token) {
    case T_INT:
        if (p->u > INT64_MAX)
            return mh_sb_cel_bad_at(p, p->pos, "Syntax error: invalid int literal");
        *v = mh_sb_cel_of_int(p->i);
        break;
    case T_UINT:
        v->type = MH_SB_CEL_UINT;
        v->u = p->u;
        break;
    case T_FLOAT:
        v->type = MH_SB_CEL_DOUBLE;
        v->d = p->d;
        break;
    default:
        *v = mh_sb_cel_of_text(p->word, p->len);
        if (p->token == T_BYTES)
            v->type = MH_SB_CEL_BYTES;
    }
    mh_sb_cel_next(p);
    return n;
}

static bool
reserved(const char *word)
{
    static const char *const words[] = { "as",   "break",    "const",     "continue", "else",
                                         "for",  "function", "if",        "import",   "let",
                                         "loop", "package",  "namespace", "return",   "var",
                                         "void", "while",    "in" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    return false;
}

/* has(a.b) */
static struct mh_sb_cel_node *
has_macro(struct mh_sb_cel_parser *p, struct mh_sb_cel_node *call)
{
    struct mh_sb_cel_node *arg = call->nargs == 1 ? call->args[0] : NULL;
    if (!arg || arg->kind != MH_SB_CEL_SELECT || arg->opt)
        return mh_sb_cel_bad_at(p, call->pos, "invalid argument to has() macro");
    call->kind = MH_SB_CEL_HAS;
    call->a = arg->a;
    call->name = arg->name;
    return call;
}

static struct mh_sb_cel_node *
ident_or_call(struct mh_sb_cel_parser *p)
{
    size_t pos = p->pos;
    const char *word = p->word;
    bool quoted = p->quoted;
    mh_sb_cel_next(p);
    if (!quoted && (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)) {
        struct mh_sb_cel_node *n = new_node(p, MH_SB_CEL_LITERAL, pos);
        if (n)
            n->literal = mh_sb_cel_of_bool(word[0] == 't');
        return n;
    }
    if (!quoted && strcmp(word, "null") == 0)
        return new_node(p, MH_SB_CEL_LITERAL, pos);
    if (!quoted && reserved(word)) {
        char *why = mh_arena_printf(p->arena, "reserved identifier: %s", word);
        return mh_sb_cel_bad_at(p, pos, why ? why : "no memory");
    }
    bool call = is_op(p, "(");
    struct mh_sb_cel_node *n = new_node(p, call ? MH_SB_CEL_CALL : MH_SB_CEL_IDENT, pos);
    if (!n)
        return NULL;
    n->name = word;
    if (!call)
        return n;
    mh_sb_cel_next(p);
    if (!parse_items(p, n, ")", false, false))
        return NULL;
    return strcmp(word, "has") == 0 ? has_macro(p, n) : n;
}

static struct mh_sb_cel_node *
parse_primary(struct mh_sb_cel_parser *p)
{
    struct mh_sb_cel_node *n = NULL;
    size_t pos = p->pos;
    if (p->token == T_INT || p->token == T_UINT || p->token == T_FLOAT || p->token == T_STRING ||
        p->token == T_BYTES)
        return literal(p);
    if (p->token == T_IDENT)
        return ident_or_call(p);
    if (accept(p, ".")) /* a name from the root */
        return p->token == T_IDENT ? ident_or_call(p) : unexpected(p);
    if (accept(p, "(")) {
        n = parse_expr(p);
        return expect(p, ")") ? n : NULL;
    }
    if (is_op(p, "[?")) { /* a list whose first item is optional: give the mark back */
        p->s--;
        p->token = T_OP;
        p->word = "[";
    }
    if (accept(p, "[")) {
        n = new_node(p, MH_SB_CEL_NEWLIST, pos);
        return n && parse_items(p, n, "]", false, true) ? n : NULL;
    }
    if (accept(p, "{")) {
        n = new_node(p, MH_SB_CEL_NEWMAP, pos);
        return n && parse_items(p, n, "}", true, true) ? n : NULL;
    }
    return unexpected(p);
}

/* How many arguments (without variables) each macro takes. */
static bool
macro_of(struct mh_sb_cel_node *n)
{
    static const struct {
        const char *name;
        size_t min;
        size_t max;
        bool two; /* may have two variables */
        bool only_two;
    } macros[] = { { "all", 1, 1, true, false },
                   { "exists", 1, 1, true, false },
                   { "exists_one", 1, 1, true, false },
                   { "existsOne", 1, 1, true, true },
                   { "map", 1, 2, false, false },
                   { "filter", 1, 1, false, false },
                   { "optMap", 1, 1, false, false },
                   { "optFlatMap", 1, 1, false, false },
                   { "transformList", 1, 2, true, true },
                   { "transformMap", 1, 2, true, true },
                   { "transformMapEntry", 1, 2, true, true } };
    for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++) {
        if (strcmp(macros[i].name, n->name) != 0)
            continue;
        bool two = macros[i].only_two || (macros[i].two && n->nargs == macros[i].max + 2);
        size_t vars = two ? 2 : 1;
        if (n->nargs < vars + macros[i].min || n->nargs > vars + macros[i].max)
            return false;
        for (size_t k = 0; k < vars; k++) {
            if (n->args[k]->kind != MH_SB_CEL_IDENT)
                return false;
        }
        n->kind = MH_SB_CEL_MACRO;
        n->var = n->args[0]->name;
        n->var2 = two ? n->args[1]->name : NULL;
        n->args += vars;
        n->nargs -= vars;
        return true;
    }
    return false;
}

static struct mh_sb_cel_node *
parse_select(struct mh_sb_cel_parser *p, struct mh_sb_cel_node *of, bool opt)
{
    struct mh_sb_cel_node *n = new_node(p, MH_SB_CEL_SELECT, p->pos);
    if (!n)
        return NULL;
    if (p->token != T_IDENT)
        return unexpected(p);
    n->a = of;
    n->name = p->word;
    n->opt = opt;
    mh_sb_cel_next(p);
    if (opt || !is_op(p, "("))
        return n;
    n->pos = p->pos;
    mh_sb_cel_next(p);
    n->kind = MH_SB_CEL_CALL;
    if (!parse_items(p, n, ")", false, false))
        return NULL;
    macro_of(n);
    return n;
}

static struct mh_sb_cel_node *
parse_member(struct mh_sb_cel_parser *p)
{
    struct mh_sb_cel_node *n = parse_primary(p);
    while (n && !p->failed) {
        bool opt = is_op(p, ".?") || is_op(p, "[?");
        size_t pos = p->pos;
        if (accept(p, ".") || accept(p, ".?")) {
            n = parse_select(p, n, opt);
        } else if (accept(p, "[") || accept(p, "[?")) {
            struct mh_sb_cel_node *i = new_node(p, MH_SB_CEL_INDEX, pos);
            if (!i)
                return NULL;
            i->a = n;
            i->b = parse_expr(p);
            i->opt = opt;
            n = expect(p, "]") ? i : NULL;
        } else {
            break;
        }
    }
    return p->failed ? NULL : n;
}

static struct mh_sb_cel_node *
parse_unary(struct mh_sb_cel_parser *p)
{
    size_t pos = p->pos;
    bool not = is_op(p, "!");
    if (!not &&!is_op(p, "-"))
        return parse_member(p);
    if (++p->depth > MH_SB_CEL_DEPTH_MAX)
        return mh_sb_cel_bad_at(p, pos, "expression recursion limit exceeded");
    mh_sb_cel_next(p);
    struct mh_sb_cel_node *n = NULL;
    if (!not &&(p->token == T_INT || p->token == T_FLOAT)) { /* one literal with its sign */
        p->d = -p->d;
        if (p->token == T_INT) {
            p->i = (int64_t)(0 - p->u);
            p->u = 0;
        }
        n = parse_member(p);
    } else {
        n = new_node(p, not ? MH_SB_CEL_NOT : MH_SB_CEL_NEGATE, pos);
        if (n)
            n->a = parse_unary(p);
    }
    p->depth--;
    return p->failed ? NULL : n;
}

static int
precedence(struct mh_sb_cel_parser *p)
{
    if (p->token == T_IDENT && !p->quoted && strcmp(p->word, "in") == 0)
        return 1;
    if (p->token != T_OP)
        return 0;
    static const char *const rel[] = { "<", "<=", ">", ">=", "==", "!=" };
    for (size_t i = 0; i < sizeof(rel) / sizeof(rel[0]); i++) {
        if (strcmp(p->word, rel[i]) == 0)
            return 1;
    }
    if (is_op(p, "+") || is_op(p, "-"))
        return 2;
    return is_op(p, "*") || is_op(p, "/") || is_op(p, "%") ? 3 : 0;
}

static struct mh_sb_cel_node *
parse_binary(struct mh_sb_cel_parser *p, int level)
{
    struct mh_sb_cel_node *left = level == 3 ? parse_unary(p) : parse_binary(p, level + 1);
    while (left && !p->failed && precedence(p) == level) {
        struct mh_sb_cel_node *n = new_node(p, MH_SB_CEL_BINARY, p->pos);
        if (!n)
            return NULL;
        n->name = p->word;
        mh_sb_cel_next(p);
        n->a = left;
        n->b = level == 3 ? parse_unary(p) : parse_binary(p, level + 1);
        left = n;
    }
    return p->failed ? NULL : left;
}

static struct mh_sb_cel_node *
parse_logic(struct mh_sb_cel_parser *p, bool or)
{
    struct mh_sb_cel_node *left = or ? parse_logic(p, false) : parse_binary(p, 1);
    while (left && !p->failed && is_op(p, or ? "||" : "&&")) {
        struct mh_sb_cel_node *n = new_node(p, or ? MH_SB_CEL_OR : MH_SB_CEL_AND, p->pos);
        if (!n)
            return NULL;
        mh_sb_cel_next(p);
        n->a = left;
        n->b = or ? parse_logic(p, false) : parse_binary(p, 1);
        left = n;
    }
    return p->failed ? NULL : left;
}

static struct mh_sb_cel_node *
parse_expr(struct mh_sb_cel_parser *p)
{
    if (++p->depth > MH_SB_CEL_DEPTH_MAX)
        return mh_sb_cel_bad_at(p, p->pos, "expression recursion limit exceeded: 250");
    struct mh_sb_cel_node *n = p->failed ? NULL : parse_logic(p, true);
    if (n && is_op(p, "?")) {
        struct mh_sb_cel_node *c = new_node(p, MH_SB_CEL_COND, p->pos);
        mh_sb_cel_next(p);
        if (c) {
            c->a = n;
            c->b = parse_logic(p, true);
            if (expect(p, ":"))
                c->c = parse_expr(p);
        }
        n = c;
    }
    p->depth--;
    return p->failed ? NULL : n;
}

/* Patterns that stand in the text are compiled with it. */
static bool
compile_pattern(struct mh_sb_cel_parser *p, struct mh_sb_cel_node *n)
{
    static const char *const names[] = { "matches", "find", "findAll" };
    for (size_t i = 0; n->kind == MH_SB_CEL_CALL && i < 3; i++) {
        size_t at = n->a ? 0 : 1;
        if (strcmp(n->name, names[i]) != 0 || n->nargs <= at)
            continue;
        const struct mh_sb_cel_node *arg = n->args[at];
        struct mh_err err;
        if (arg->kind != MH_SB_CEL_LITERAL || arg->literal.type != MH_SB_CEL_STRING)
            continue;
        if (mh_sb_regex_compile(p->arena, arg->literal.s, arg->literal.n, &n->regex, &err)) {
            mh_sb_cel_bad_at(p, arg->pos, err.msg);
            return false;
        }
    }
    return true;
}

static bool
finish(struct mh_sb_cel_parser *p, struct mh_sb_cel_node *n)
{
    if (!n)
        return true;
    bool ok = compile_pattern(p, n) && finish(p, n->a) && finish(p, n->b) && finish(p, n->c);
    for (size_t i = 0; ok && i < n->nargs; i++)
        ok = finish(p, n->args[i]);
    return ok;
}

enum mh_code
mh_sb_cel_parse(struct mh_arena *a, const char *text, struct mh_sb_cel_node **out,
                struct mh_err *err)
{
    struct mh_sb_cel_parser p = { .arena = a, .err = err, .text = text, .s = text };
    if (strlen(text) > TEXT_MAX)
        return mh_fail(err, MH_E_INVALID,
                       "expression code point size exceeds limit: size: %zu, "
                       "limit %d",
                       strlen(text), TEXT_MAX);
    mh_sb_cel_next(&p);
    *out = parse_expr(&p);
    if (!p.failed && p.token != T_END)
        unexpected(&p);
    if (!p.failed)
        finish(&p, *out);
    return p.failed ? err->code : MH_OK;
}
