#include "lua/shape.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define PATH_MAX_LEN 160

struct step {
    const char *key; /* NULL: an element of a list */
    size_t at;
};

struct checker {
    const char *what;
    struct step steps[MH_JSON_DEPTH_MAX + 1];
    size_t depth;
    char path[PATH_MAX_LEN]; /* made when somebody is told */
    struct mh_err *err;
};

static enum mh_code value(struct checker *c, const struct mh_shape *s, yyjson_val *v);

static size_t
enter(struct checker *c, const char *key, size_t at)
{
    size_t before = c->depth;
    if (c->depth < sizeof(c->steps) / sizeof(*c->steps))
        c->steps[c->depth++] = (struct step){ .key = key, .at = at };
    return before;
}

static void
leave(struct checker *c, size_t before)
{
    c->depth = before;
}

/* "decision.order[3]" */
static const char *
path_of(struct checker *c)
{
    size_t n = (size_t)snprintf(c->path, sizeof(c->path), "%s", c->what);
    for (size_t i = 0; i < c->depth && n < sizeof(c->path); i++) {
        const struct step *s = &c->steps[i];
        int more = s->key ? snprintf(c->path + n, sizeof(c->path) - n, ".%.60s", s->key)
                          : snprintf(c->path + n, sizeof(c->path) - n, "[%zu]", s->at);
        n += more > 0 ? (size_t)more : 0;
    }
    return c->path;
}

static enum mh_code
want(struct checker *c, const char *what)
{
    return mh_fail(c->err, MH_E_REFUSED, "%s: want %s", path_of(c), what);
}

/* --- single values ---------------------------------------------------------------------------- */

static enum mh_code
text(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    const char *p = yyjson_get_str(v);
    int64_t n = (int64_t)yyjson_get_len(v);
    if (!p || n < s->min || n > s->max)
        return mh_fail(c->err, MH_E_REFUSED, "%s: want a text of %lld to %lld bytes", path_of(c),
                       (long long)s->min, (long long)s->max);
    for (; *p; p++) {
        bool is_break = s->kind == MH_SHAPE_LINES && (*p == '\n' || *p == '\t');
        if (!is_break && ((unsigned char)*p < 0x20 || *p == 0x7f))
            return mh_fail(c->err, MH_E_REFUSED, "%s: has a control character", path_of(c));
    }
    return MH_OK;
}

/* As Kubernetes writes reasons. */
static enum mh_code
reason(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    const char *p = yyjson_get_str(v);
    size_t n = p ? strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") : 0;
    if (!p || n != yyjson_get_len(v) || n == 0 || (int64_t)n > s->max || *p < 'A' || *p > 'Z')
        return want(c, "one word that begins with a capital, at most 64 letters");
    return MH_OK;
}

/* 100m, 1.5, 2Gi: digits, at most one point, a suffix. */
static enum mh_code
quantity(struct checker *c, yyjson_val *v)
{
    static const char *const suffixes[] = { "",   "m",  "k",  "M",  "G", "T",
                                            "Ki", "Mi", "Gi", "Ti", NULL };
    const char *p = yyjson_get_str(v);
    size_t whole = p ? strspn(p, "0123456789") : 0;
    size_t part = whole && p[whole] == '.' ? strspn(p + whole + 1, "0123456789") : 0;
    const char *rest = p ? p + whole + (part ? part + 1 : 0) : NULL;
    if (yyjson_is_int(v))
        return yyjson_get_sint(v) >= 0 ? MH_OK : want(c, "an amount as in \"500m\" or \"2Gi\"");
    for (const char *const *s = suffixes; whole && whole <= 15 && part <= 9 && *s; s++) {
        if (strcmp(rest, *s) == 0)
            return MH_OK;
    }
    return want(c, "an amount as in \"500m\" or \"2Gi\"");
}

static enum mh_code
number(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    bool is_int = s->kind == MH_SHAPE_INT;
    double d = yyjson_get_num(v);
    if (!(is_int ? yyjson_is_int(v) : yyjson_is_num(v)))
        return want(c, is_int ? "an integer" : "a number");
    if ((yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX) || !(d >= (double)s->min) ||
        !(d <= (double)s->max))
        return mh_fail(c->err, MH_E_REFUSED, "%s: want %lld to %lld", path_of(c), (long long)s->min,
                       (long long)s->max);
    return MH_OK;
}

static enum mh_code
choice(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    char list[160] = "";
    size_t n = 0;
    for (const char *const *o = s->options; *o; o++) {
        if (mh_str_eq(yyjson_get_str(v), *o))
            return MH_OK;
        const char *between = o == s->options ? "" : o[1] ? ", " : " or ";
        if (n < sizeof(list))
            n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", between, *o);
    }
    return want(c, list);
}

/* --- lists, maps, records --------------------------------------------------------------------- */

static enum mh_code
list(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    if (!yyjson_is_arr(v) || (int64_t)yyjson_arr_size(v) > s->max)
        return mh_fail(c->err, MH_E_REFUSED, "%s: want a list of at most %lld", path_of(c),
                       (long long)s->max);
    yyjson_arr_foreach(v, i, max, item)
    {
        size_t before = enter(c, NULL, i + 1);
        enum mh_code code = value(c, s->of, item);
        leave(c, before);
        if (code != MH_OK)
            return code;
    }
    return MH_OK;
}

static enum mh_code
map(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!yyjson_is_obj(v) || (int64_t)yyjson_obj_size(v) > s->max)
        return mh_fail(c->err, MH_E_REFUSED, "%s: want a table of at most %lld names and values",
                       path_of(c), (long long)s->max);
    yyjson_obj_foreach(v, i, max, key, item)
    {
        if (yyjson_get_len(key) == 0 || yyjson_get_len(key) > 317)
            return mh_fail(c->err, MH_E_REFUSED, "%s: '%.60s' is no name", path_of(c),
                           yyjson_get_str(key));
        size_t before = enter(c, yyjson_get_str(key), 0);
        enum mh_code code = value(c, s->of, item);
        leave(c, before);
        if (code != MH_OK)
            return code;
    }
    return MH_OK;
}

static bool
has_field(const struct mh_field *fields, const char *name)
{
    for (; fields->name; fields++) {
        if (strcmp(fields->name, name) == 0)
            return true;
    }
    return false;
}

static enum mh_code
record(struct checker *c, const struct mh_field *fields, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (!yyjson_is_obj(v))
        return want(c, "a table with named fields");
    yyjson_obj_foreach(v, i, max, key, item)
    {
        (void)item;
        if (!has_field(fields, yyjson_get_str(key)))
            return mh_fail(c->err, MH_E_REFUSED, "%s: unknown key '%.60s'", path_of(c),
                           yyjson_get_str(key));
    }
    for (const struct mh_field *f = fields; f->name; f++) {
        yyjson_val *inner = yyjson_obj_get(v, f->name);
        if (!inner && f->optional)
            continue;
        size_t before = enter(c, f->name, 0);
        enum mh_code code = inner ? value(c, &f->shape, inner)
                                  : mh_fail(c->err, MH_E_REFUSED, "%s is missing", path_of(c));
        leave(c, before);
        if (code != MH_OK)
            return code;
    }
    return MH_OK;
}

static enum mh_code
value(struct checker *c, const struct mh_shape *s, yyjson_val *v)
{
    switch (s->kind) {
    case MH_SHAPE_TEXT:
    case MH_SHAPE_LINES:
    case MH_SHAPE_LABEL:
        return text(c, s, v);
    case MH_SHAPE_REASON:
        return reason(c, s, v);
    case MH_SHAPE_QUANTITY:
        return quantity(c, v);
    case MH_SHAPE_INT:
    case MH_SHAPE_NUMBER:
        return number(c, s, v);
    case MH_SHAPE_FLAG:
        return yyjson_is_bool(v) ? MH_OK : want(c, "true or false");
    case MH_SHAPE_SCALAR:
        if (yyjson_is_num(v) || yyjson_is_bool(v))
            return MH_OK;
        return text(c, s, v);
    case MH_SHAPE_CHOICE:
        return choice(c, s, v);
    case MH_SHAPE_LIST:
        return list(c, s, v);
    case MH_SHAPE_MAP:
        return map(c, s, v);
    case MH_SHAPE_RECORD:
        return record(c, s->fields, v);
    }
    return mh_fail(c->err, MH_E_INTERNAL, "%s: no such shape", path_of(c));
}

/* --- decision points -------------------------------------------------------------------------- */

const struct mh_point *
mh_point_find(const char *name)
{
    for (const struct mh_point *p = mh_points; name && p->name; p++) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static enum mh_code
whole(const char *what, const struct mh_field *fields, yyjson_val *v, struct mh_err *err)
{
    struct checker c;
    c.what = what;
    c.depth = 0;
    c.err = err;
    return record(&c, fields, v);
}

enum mh_code
mh_shape_input(const struct mh_point *p, const char *what, yyjson_val *input, struct mh_err *err)
{
    return whole(what, p->input, input, err);
}

enum mh_code
mh_shape_answer(const struct mh_point *p, yyjson_val *answer, struct mh_err *err)
{
    yyjson_val *action = yyjson_obj_get(answer, "action");
    for (int i = 0; i < MH_ANSWERS_MAX && p->answers[i].fields; i++) {
        const char *name = p->answers[i].action;
        if (name ? mh_str_eq(yyjson_get_str(action), name) : !action)
            return whole("decision", p->answers[i].fields, answer, err);
    }
    if (!yyjson_is_obj(answer))
        return mh_fail(err, MH_E_REFUSED, "decision: want a table with named fields");
    if (!p->answers[0].action && !p->answers[1].fields)
        return mh_fail(err, MH_E_REFUSED, "decision: unknown key 'action'");
    return mh_fail(err, MH_E_REFUSED, "decision.action: want %s", p->words);
}
