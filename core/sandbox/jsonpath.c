/* jsonpath.c - a path is a list of steps; each step maps a list of values to another. */
#include "sandbox/jsonpath.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/time.h"

#define STEPS_MAX 64
#define VALUES_MAX 100000

enum step_kind { JP_FIELD, JP_INDEX, JP_SLICE, JP_ALL, JP_DEEP, JP_FILTER };
enum op { OP_EXISTS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

/* One side of a comparison: a path below @, or a literal. */
struct side {
    struct mh_sb_jsonpath *path;
    yyjson_val *literal;
};

struct step {
    enum step_kind kind;
    const char *name;
    long from;
    long to;
    long by;
    bool has_to;
    enum op op;
    struct side left;
    struct side right;
};

struct mh_sb_jsonpath {
    struct step steps[STEPS_MAX];
    size_t n;
};

struct parser {
    struct mh_arena *arena;
    const char *s;
    const char *all;
    struct mh_err *err;
    int depth;
};

struct values {
    yyjson_val **items;
    size_t n;
    size_t size;
};

static enum mh_code parse_path(struct parser *p, struct mh_sb_jsonpath **out);

static enum mh_code
bad(struct parser *p, const char *why)
{
    return mh_fail(p->err, MH_E_INVALID, "invalid JSONPath \"%s\": %s", p->all, why);
}

static void
spaces(struct parser *p)
{
    p->s += strspn(p->s, " ");
}

static char *
quoted(struct parser *p)
{
    char quote = *p->s++;
    size_t n = 0;
    char *out = mh_arena_alloc(p->arena, strlen(p->s) + 1);
    for (; out && *p->s && *p->s != quote; p->s++) {
        if (*p->s == '\\' && p->s[1])
            p->s++;
        out[n++] = *p->s;
    }
    if (!out || *p->s != quote)
        return NULL;
    p->s++;
    return out;
}

/* A name behind a point; a backslash takes the next character as it is. */
static char *
name(struct parser *p)
{
    size_t n = 0;
    char *out = mh_arena_alloc(p->arena, strlen(p->s) + 1);
    while (out && *p->s && !strchr(" .[]()!=<>?@,{}", *p->s)) {
        if (*p->s == '\\' && p->s[1])
            p->s++;
        out[n++] = *p->s++;
    }
    return out && n ? out : NULL;
}

static enum mh_code
parse_side(struct parser *p, struct side *out)
{
    spaces(p);
    if (*p->s == '@') {
        p->s++;
        return parse_path(p, &out->path);
    }
    size_t n = strcspn(p->s, " )=!<>&|");
    char *text = NULL;
    if (*p->s == '"' || *p->s == '\'') {
        char *value = quoted(p);
        struct mh_buf b;
        mh_buf_init(&b, 65536);
        if (value)
            mh_json_quote(&b, value, strlen(value));
        text = value && !b.failed ? mh_arena_strdup(p->arena, mh_buf_text(&b)) : NULL;
        mh_buf_release(&b);
    } else {
        text = mh_arena_strndup(p->arena, p->s, n);
        p->s += n;
    }
    if (!text || mh_json_parse(p->arena, text, strlen(text), &out->literal, NULL))
        return bad(p, "neither a path nor a value in a filter");
    return MH_OK;
}

static enum mh_code
parse_filter(struct parser *p, struct step *st)
{
    static const struct {
        const char *text;
        enum op op;
    } ops[] = { { "==", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE },
                { ">=", OP_GE }, { "<", OP_LT },  { ">", OP_GT } };
    st->kind = JP_FILTER;
    if (++p->depth > 8)
        return bad(p, "filters are nested too deeply");
    enum mh_code c = parse_side(p, &st->left);
    p->depth--;
    spaces(p);
    for (size_t i = 0; !c && i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (mh_str_starts(p->s, ops[i].text)) {
            p->s += strlen(ops[i].text);
            st->op = ops[i].op;
            c = parse_side(p, &st->right);
            break;
        }
    }
    spaces(p);
    if (!c && (p->s[0] != ')' || p->s[1] != ']'))
        return bad(p, "a filter does not end with )]");
    p->s += 2;
    return c;
}

static bool
number(struct parser *p, long *out)
{
    char *end = NULL;
    if (!*p->s || !strchr("-0123456789", *p->s))
        return false;
    *out = strtol(p->s, &end, 10);
    bool ok = end != p->s && *out < 1000000000 && *out > -1000000000;
    p->s = end;
    return ok;
}

static enum mh_code
parse_index(struct parser *p, struct step *st)
{
    bool has_from = number(p, &st->from);
    st->kind = JP_INDEX;
    st->by = 1;
    if (*p->s == ':') {
        st->kind = JP_SLICE;
        p->s++;
        st->has_to = number(p, &st->to);
        if (*p->s == ':') {
            p->s++;
            number(p, &st->by);
        }
    } else if (!has_from) {
        return bad(p, "no index, name, filter or * in brackets");
    }
    if (*p->s++ != ']')
        return bad(p, "] is missing");
    return MH_OK;
}

static enum mh_code
parse_bracket(struct parser *p, struct step *st)
{
    p->s++;
    if (p->s[0] == '?' && p->s[1] == '(') {
        p->s += 2;
        return parse_filter(p, st);
    }
    if (p->s[0] == '*' && p->s[1] == ']') {
        p->s += 2;
        st->kind = JP_ALL;
        return MH_OK;
    }
    if (*p->s == '"' || *p->s == '\'') {
        st->kind = JP_FIELD;
        st->name = quoted(p);
        if (!st->name || *p->s++ != ']')
            return bad(p, "] is missing");
        return MH_OK;
    }
    return parse_index(p, st);
}

static enum mh_code
parse_step(struct parser *p, struct step *st)
{
    if (*p->s == '[')
        return parse_bracket(p, st);
    p->s++;
    if (*p->s == '.') {
        st->kind = JP_DEEP;
        return MH_OK;
    }
    if (*p->s == '[')
        return parse_bracket(p, st);
    if (*p->s == '*') {
        p->s++;
        st->kind = JP_ALL;
        return MH_OK;
    }
    st->kind = JP_FIELD;
    st->name = name(p);
    return st->name ? MH_OK : bad(p, "a name is missing");
}

static enum mh_code
parse_path(struct parser *p, struct mh_sb_jsonpath **out)
{
    struct mh_sb_jsonpath *jp = mh_arena_alloc(p->arena, sizeof(*jp));
    if (!jp)
        return mh_fail(p->err, MH_E_NOMEM, "no memory for a JSONPath");
    while (*p->s == '.' || *p->s == '[') {
        if (jp->n == STEPS_MAX)
            return bad(p, "too many steps");
        if (p->s[0] == '.' && !p->s[1] && !jp->n) {
            p->s++; /* "." is the value itself */
            break;
        }
        enum mh_code c = parse_step(p, &jp->steps[jp->n++]);
        if (c)
            return c;
    }
    *out = jp;
    return MH_OK;
}

enum mh_code
mh_sb_jsonpath_compile(struct mh_arena *a, const char *text, struct mh_sb_jsonpath **out,
                       struct mh_err *err)
{
    struct parser p = { .arena = a, .s = text, .all = text, .err = err };
    if (*p.s == '$')
        p.s++;
    enum mh_code c = parse_path(&p, out);
    return !c && *p.s ? bad(&p, "what does not belong there at its end") : c;
}

static bool
push(struct mh_arena *a, struct values *v, yyjson_val *item)
{
    if (!item || v->n == VALUES_MAX)
        return true;
    if (v->n == v->size) {
        size_t size = v->size ? v->size * 2 : 8;
        yyjson_val **items = mh_arena_alloc(a, size * sizeof(*items));
        if (!items)
            return false;
        if (v->n)
            memcpy(items, v->items, v->n * sizeof(*items));
        v->items = items;
        v->size = size;
    }
    v->items[v->n++] = item;
    return true;
}

static bool run(const struct mh_sb_jsonpath *p, struct mh_arena *a, yyjson_val *obj,
                struct values *out);

static bool
push_children(struct mh_arena *a, struct values *out, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    bool ok = true;
    yyjson_arr_foreach(v, i, max, item)
    {
        ok = ok && push(a, out, item);
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        ok = ok && push(a, out, item);
    }
    return ok;
}

static bool
push_deep(struct mh_arena *a, struct values *out, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    bool ok = push(a, out, v);
    yyjson_arr_foreach(v, i, max, item)
    {
        ok = ok && push_deep(a, out, item);
    }
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        ok = ok && push_deep(a, out, item);
    }
    return ok;
}

static bool
push_slice(struct mh_arena *a, struct values *out, const struct step *st, yyjson_val *v)
{
    long n = (long)yyjson_arr_size(v);
    long from = st->from < 0 ? st->from + n : st->from;
    long to = !st->has_to ? n : st->to < 0 ? st->to + n : st->to;
    long by = st->by > 0 ? st->by : 1;
    bool ok = true;
    if (!yyjson_is_arr(v))
        return true;
    if (st->kind == JP_INDEX)
        return from < 0 || from >= n || push(a, out, yyjson_arr_get(v, (size_t)from));
    for (long i = from < 0 ? 0 : from; ok && i < to && i < n; i += by)
        ok = push(a, out, yyjson_arr_get(v, (size_t)i));
    return ok;
}

static yyjson_val *
side_value(struct mh_arena *a, const struct side *s, yyjson_val *v, bool *ok)
{
    struct values found = { 0 };
    if (s->literal)
        return s->literal;
    if (s->path && !run(s->path, a, v, &found))
        *ok = false;
    return found.n ? found.items[0] : NULL;
}

static int
compare(yyjson_val *a, yyjson_val *b, bool *comparable)
{
    *comparable = true;
    if (yyjson_is_num(a) && yyjson_is_num(b)) {
        double x = yyjson_get_num(a);
        double y = yyjson_get_num(b);
        return x < y ? -1 : x > y;
    }
    if (yyjson_is_str(a) && yyjson_is_str(b))
        return strcmp(yyjson_get_str(a), yyjson_get_str(b));
    *comparable = mh_sb_equal(a, b);
    return 0;
}

static bool
holds(const struct step *st, yyjson_val *l, yyjson_val *r)
{
    bool comparable = false;
    if (st->op == OP_EXISTS)
        return l != NULL;
    if (!l || !r)
        return false;
    int c = compare(l, r, &comparable);
    switch (st->op) {
    case OP_EQ:
        return comparable && c == 0;
    case OP_NE:
        return !comparable || c != 0;
    case OP_LT:
        return comparable && c < 0;
    case OP_LE:
        return comparable && c <= 0;
    case OP_GT:
        return comparable && c > 0;
    default:
        return comparable && c >= 0;
    }
}

static bool
push_filtered(struct mh_arena *a, struct values *out, const struct step *st, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    bool ok = true;
    yyjson_arr_foreach(v, i, max, item)
    {
        yyjson_val *l = side_value(a, &st->left, item, &ok);
        yyjson_val *r = side_value(a, &st->right, item, &ok);
        if (ok && holds(st, l, r))
            ok = push(a, out, item);
    }
    return ok;
}

static bool
run(const struct mh_sb_jsonpath *p, struct mh_arena *a, yyjson_val *obj, struct values *out)
{
    struct values now = { 0 };
    bool ok = push(a, &now, obj);
    for (size_t k = 0; ok && k < p->n; k++) {
        const struct step *st = &p->steps[k];
        struct values next = { 0 };
        for (size_t i = 0; ok && i < now.n; i++) {
            yyjson_val *v = now.items[i];
            if (st->kind == JP_FIELD)
                ok = push(a, &next, yyjson_obj_get(v, st->name));
            else if (st->kind == JP_ALL)
                ok = push_children(a, &next, v);
            else if (st->kind == JP_DEEP)
                ok = push_deep(a, &next, v);
            else if (st->kind == JP_FILTER)
                ok = push_filtered(a, &next, st, v);
            else
                ok = push_slice(a, &next, st, v);
        }
        now = next;
    }
    *out = now;
    return ok;
}

yyjson_val *
mh_sb_jsonpath_first(const struct mh_sb_jsonpath *p, struct mh_arena *scratch, yyjson_val *obj)
{
    struct values found = { 0 };
    return run(p, scratch, obj, &found) && found.n ? found.items[0] : NULL;
}

yyjson_val **
mh_sb_jsonpath_all(const struct mh_sb_jsonpath *p, struct mh_arena *a, yyjson_val *obj, size_t *n)
{
    static yyjson_val *none[1];
    struct values found = { 0 };
    bool ok = run(p, a, obj, &found);
    *n = ok ? found.n : 0;
    return !ok ? NULL : found.n ? found.items : none;
}

char *
mh_sb_human_duration(struct mh_arena *a, int64_t s)
{
    int64_t m = s / 60;
    int64_t h = s / 3600;
    int64_t d = h / 24;
    if (s < -1)
        return mh_arena_strdup(a, "<invalid>");
    if (s < 60 * 2)
        return mh_arena_printf(a, "%llds", (long long)(s < 0 ? 0 : s));
    if (m < 10)
        return s % 60 ? mh_arena_printf(a, "%lldm%llds", (long long)m, (long long)(s % 60))
                      : mh_arena_printf(a, "%lldm", (long long)m);
    if (m < 60 * 3)
        return mh_arena_printf(a, "%lldm", (long long)m);
    if (h < 8)
        return m % 60 ? mh_arena_printf(a, "%lldh%lldm", (long long)h, (long long)(m % 60))
                      : mh_arena_printf(a, "%lldh", (long long)h);
    if (h < 48)
        return mh_arena_printf(a, "%lldh", (long long)h);
    if (h < 24 * 8)
        return h % 24 ? mh_arena_printf(a, "%lldd%lldh", (long long)d, (long long)(h % 24))
                      : mh_arena_printf(a, "%lldd", (long long)d);
    if (d < 365 * 2)
        return mh_arena_printf(a, "%lldd", (long long)d);
    if (d < 365 * 8)
        return d % 365
                   ? mh_arena_printf(a, "%lldy%lldd", (long long)(d / 365), (long long)(d % 365))
                   : mh_arena_printf(a, "%lldy", (long long)(d / 365));
    return mh_arena_printf(a, "%lldy", (long long)(d / 365));
}

/* As the real server prints a value: texts bare, maps and lists as JSON. */
static yyjson_mut_val *
text_cell(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *v)
{
    if (yyjson_is_str(v))
        return yyjson_mut_strncpy(doc, yyjson_get_str(v), yyjson_get_len(v));
    char *text = yyjson_is_null(v)   ? mh_arena_strdup(a, "<nil>")
                 : yyjson_is_real(v) ? mh_sb_go_float(a, yyjson_get_real(v))
                                     : mh_sb_go_json(a, v);
    return text ? yyjson_mut_strcpy(doc, text) : NULL;
}

yyjson_mut_val *
mh_sb_jsonpath_cell(const struct mh_sb_jsonpath *p, const char *type, struct mh_arena *a,
                    yyjson_mut_doc *doc, yyjson_val *obj, int64_t now)
{
    yyjson_val *v = mh_sb_jsonpath_first(p, a, obj);
    if (!v)
        return yyjson_mut_null(doc);
    if (mh_str_eq(type, "string"))
        return text_cell(a, doc, v);
    if (mh_str_eq(type, "integer") && yyjson_is_num(v))
        return yyjson_mut_sint(doc, yyjson_is_real(v) ? (int64_t)yyjson_get_real(v)
                                                      : yyjson_get_sint(v));
    if (mh_str_eq(type, "number") && yyjson_is_num(v))
        return yyjson_is_real(v) ? yyjson_mut_real(doc, yyjson_get_real(v))
                                 : yyjson_mut_sint(doc, yyjson_get_sint(v));
    if (mh_str_eq(type, "boolean") && yyjson_is_bool(v))
        return yyjson_mut_bool(doc, yyjson_get_bool(v));
    if (mh_str_eq(type, "date") && yyjson_is_str(v)) {
        int64_t us = 0;
        if (!mh_time_parse(yyjson_get_str(v), &us))
            return yyjson_mut_str(doc, "<invalid>");
        char *text = mh_sb_human_duration(a, now - us / 1000000);
        return text ? yyjson_mut_strcpy(doc, text) : NULL;
    }
    return yyjson_mut_null(doc);
}
