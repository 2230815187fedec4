/* schema_validate.c - validates a value against a schema, in the order and the words of the
 * library behind the real server. */
#include "sandbox/schema_validate.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/quantity.h"
#include "sandbox/regex.h"
#include "sandbox/schema_in.h"

/* Something that is wrong; `same` tells equal ones apart as the real server does. */
struct problem {
    const char *reason;
    const char *field; /* NULL: of no field */
    const char *message;
    const char *same;
    struct problem *next;
};

/* What validating one value gives: problems, and how many checks went well (anyOf and oneOf report
 * the alternative with most of them). */
struct result {
    struct problem *first;
    struct problem **last;
    int matches;
};

struct walk {
    struct mh_arena *arena;
    struct mh_buf path;
    int depth;
    bool failed; /* no memory */
};

static void validate(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
                     struct result *out);

static void
start(struct result *r)
{
    *r = (struct result){ 0 };
    r->last = &r->first;
}

static void
append(struct result *r, struct problem *p)
{
    for (const struct problem *x = r->first; x; x = x->next) {
        if (strcmp(x->same, p->same) == 0)
            return;
    }
    p->next = NULL;
    *r->last = p;
    r->last = &p->next;
}

static void
merge(struct result *into, struct result *from)
{
    struct problem *next = NULL;
    for (struct problem *p = from->first; p; p = next) {
        next = p->next;
        append(into, p);
    }
    into->matches += from->matches;
}

static void
add(struct walk *w, struct result *r, struct problem p)
{
    struct problem *copy = mh_arena_alloc(w->arena, sizeof(*copy));
    if (!copy || !p.message || !p.same) {
        w->failed = true;
        return;
    }
    *copy = p;
    append(r, copy);
}

/* The path as a field, without the leading point that a root without a name gives it. */
static const char *
here(struct walk *w)
{
    const char *path = mh_buf_text(&w->path);
    return mh_arena_strdup(w->arena, *path == '.' ? path + 1 : path);
}

char *
mh_sb_value_text(struct mh_arena *a, yyjson_val *v)
{
    if (yyjson_is_str(v))
        return mh_sb_go_quote(a, yyjson_get_str(v));
    if (yyjson_is_real(v))
        return mh_sb_go_float(a, yyjson_get_real(v));
    return v ? mh_sb_go_json(a, v) : mh_arena_strdup(a, "null");
}

/* An "Invalid value" whose text starts with the path: value is shown, then "PATH in body TEXT". */
static void MH_PRINTF(4, 5)
    invalid(struct walk *w, struct result *r, const char *value, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mh_arena_vprintf(w->arena, fmt, ap);
    va_end(ap);
    char *same = mh_arena_printf(w->arena, "%s in body %s", mh_buf_text(&w->path), text);
    add(w, r,
        (struct problem){ .reason = "FieldValueInvalid",
                          .field = here(w),
                          .same = same,
                          .message = mh_arena_printf(w->arena, "Invalid value: %s: %s", value,
                                                     same ? same : "") });
}

static void
bad_type(struct walk *w, struct result *r, const char *want, const char *value)
{
    char *quoted = mh_sb_go_quote(w->arena, value);
    char *same = mh_arena_printf(w->arena, "%s in body must be of type %s: %s",
                                 mh_buf_text(&w->path), want, quoted);
    add(w, r,
        (struct problem){ .reason = "FieldValueTypeInvalid",
                          .field = here(w),
                          .same = same,
                          .message = mh_arena_printf(w->arena, "Invalid value: %s: %s", quoted,
                                                     same ? same : "") });
}

/* Of no field: "<nil>", as the real server has it. */
static void
composite(struct walk *w, struct result *r, const char *text)
{
    char *same =
        mh_arena_printf(w->arena, "%s %s", mh_sb_go_quote(w->arena, mh_buf_text(&w->path)), text);
    add(w, r,
        (struct problem){
            .reason = "FieldValueInvalid",
            .same = same,
            .message = mh_arena_printf(w->arena, "Invalid value: \"\": %s", same ? same : "") });
}

static void
other(struct walk *w, struct result *r, const char *reason, const char *message)
{
    add(w, r,
        (struct problem){ .reason = reason,
                          .field = here(w),
                          .message = message,
                          .same = mh_arena_printf(w->arena, "%s %s %s", mh_buf_text(&w->path),
                                                  reason, message ? message : "") });
}

static unsigned
type_of(yyjson_val *v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_OBJ:
        return MH_SB_T_OBJECT;
    case YYJSON_TYPE_ARR:
        return MH_SB_T_ARRAY;
    case YYJSON_TYPE_STR:
        return MH_SB_T_STRING;
    case YYJSON_TYPE_BOOL:
        return MH_SB_T_BOOLEAN;
    case YYJSON_TYPE_NUM:
        return yyjson_is_real(v) ? MH_SB_T_NUMBER : MH_SB_T_INTEGER;
    default:
        return MH_SB_T_NULL;
    }
}

static const char *
type_name(unsigned type)
{
    switch (type) {
    case MH_SB_T_OBJECT:
        return "object";
    case MH_SB_T_ARRAY:
        return "array";
    case MH_SB_T_STRING:
        return "string";
    case MH_SB_T_BOOLEAN:
        return "boolean";
    case MH_SB_T_NUMBER:
        return "number";
    case MH_SB_T_INTEGER:
        return "integer";
    default:
        return "null";
    }
}

static void
check_type(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    unsigned type = type_of(v);
    unsigned numbers = MH_SB_T_NUMBER | MH_SB_T_INTEGER;
    bool whole = type == MH_SB_T_NUMBER && floor(yyjson_get_real(v)) >= yyjson_get_real(v);
    if (type == MH_SB_T_NULL) {
        if (s->types && !s->nullable)
            bad_type(w, r, s->type_text, "null");
        else
            r->matches++;
        return;
    }
    bool fits = (s->types & type) || (whole && (s->types & MH_SB_T_INTEGER)) ||
                (type == MH_SB_T_INTEGER && (s->types & MH_SB_T_NUMBER));
    bool by_format = s->format && mh_sb_format_known(s->format) && !(s->types & numbers) &&
                     (type == MH_SB_T_STRING || type == MH_SB_T_ARRAY);
    if (fits || by_format || !s->types)
        r->matches++;
    else
        bad_type(w, r, s->type_text, type_name(type));
}

static void
any_of(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    struct result best;
    start(&best);
    for (size_t i = 0; i < s->any_of.count; i++) {
        struct result one;
        start(&one);
        validate(w, s->any_of.items[i], v, NULL, &one);
        if (!one.first) {
            r->matches += one.matches;
            return;
        }
        if (i == 0 || one.matches > best.matches)
            best = one;
    }
    if (!s->any_of.count)
        return;
    composite(w, r, "must validate at least one schema (anyOf)");
    merge(r, &best);
}

static void
one_of(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    struct result best;
    struct result success;
    size_t valid = 0;
    start(&best);
    start(&success);
    for (size_t i = 0; i < s->one_of.count; i++) {
        struct result one;
        start(&one);
        validate(w, s->one_of.items[i], v, NULL, &one);
        if (!one.first) {
            if (valid++ == 0)
                success = one;
            start(&best);
        } else if (valid == 0 && (!best.first || one.matches > best.matches)) {
            best = one;
        }
    }
    if (!s->one_of.count)
        return;
    if (valid == 1) {
        r->matches += success.matches;
        return;
    }
    composite(
        w, r,
        valid ? mh_arena_printf(w->arena,
                                "must validate one and only one schema (oneOf). Found %zu valid "
                                "alternatives",
                                valid)
              : "must validate one and only one schema (oneOf). Found none valid");
    if (best.first)
        merge(r, &best);
}

static void
combinations(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    size_t valid = 0;
    any_of(w, s, v, r);
    one_of(w, s, v, r);
    for (size_t i = 0; i < s->all_of.count; i++) {
        struct result one;
        start(&one);
        validate(w, s->all_of.items[i], v, NULL, &one);
        valid += !one.first;
        merge(r, &one);
    }
    if (valid != s->all_of.count)
        composite(w, r,
                  valid ? "must validate all the schemas (allOf)"
                        : "must validate all the schemas (allOf). None validated");
    if (s->not_of) {
        struct result one;
        start(&one);
        validate(w, s->not_of, v, NULL, &one);
        if (!one.first)
            composite(w, r, "must not validate the schema (not)");
    }
    r->matches++;
}

static void
check_string(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    const char *text = yyjson_get_str(v);
    size_t len = yyjson_get_len(v);
    int64_t runes = 0;
    for (size_t i = 0; i < len; i++)
        runes += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (s->max_length >= 0 && runes > s->max_length) {
        other(w, r, "FieldValueTooLong",
              mh_arena_printf(w->arena, "Too long: may not be more than %lld %s",
                              (long long)s->max_length, s->max_length == 1 ? "byte" : "bytes"));
    } else if (s->min_length >= 0 && runes < s->min_length) {
        invalid(w, r, mh_sb_value_text(w->arena, v), "should be at least %lld chars long",
                (long long)s->min_length);
    } else if (s->pattern_error) {
        invalid(w, r, mh_sb_value_text(w->arena, v),
                "should match '%s, but pattern is invalid: %s'", s->pattern, s->pattern_error);
    } else if (s->regex && !mh_sb_regex_find(s->regex, text, len, 0, NULL, NULL)) {
        invalid(w, r, mh_sb_value_text(w->arena, v), "should match '%s'", s->pattern);
    }
}

/* A limit as it is printed beside this number: whole beside integers. */
static char *
limit_text(struct walk *w, yyjson_val *v, yyjson_val *limit)
{
    if (yyjson_is_real(v))
        return mh_sb_go_float(w->arena, yyjson_get_num(limit));
    return mh_arena_printf(w->arena, "%lld",
                           yyjson_is_real(limit) ? (long long)yyjson_get_real(limit)
                                                 : (long long)yyjson_get_sint(limit));
}

static int
compare(yyjson_val *v, yyjson_val *limit)
{
    if (yyjson_is_real(v) || yyjson_is_uint(v) != yyjson_is_uint(limit)) {
        double a = yyjson_get_num(v);
        double b = yyjson_is_real(v) ? yyjson_get_num(limit) : trunc(yyjson_get_num(limit));
        return a < b ? -1 : a > b;
    }
    int64_t a = yyjson_get_sint(v);
    int64_t b = yyjson_get_sint(limit);
    return a < b ? -1 : a > b;
}

static void
check_multiple(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    double factor = yyjson_get_num(s->multiple_of);
    bool real = yyjson_is_real(v);
    if (!real)
        factor = trunc(factor);
    char *shown = limit_text(w, v, s->multiple_of);
    if (factor <= 0) {
        other(w, r, "FieldValueInvalid",
              mh_arena_printf(w->arena,
                              "Invalid value: %s: factor MultipleOf declared for %s must be "
                              "positive: %s",
                              shown, mh_buf_text(&w->path), shown));
        return;
    }
    double times = factor < 1 ? 1 / factor * yyjson_get_num(v) : yyjson_get_num(v) / factor;
    bool fits =
        real ? fabs(times - round(times)) < 1e-9 : yyjson_get_sint(v) % (int64_t)factor == 0;
    if (!fits)
        invalid(w, r, mh_sb_value_text(w->arena, v), "should be a multiple of %s", shown);
}

static void
check_number(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    if (s->multiple_of)
        check_multiple(w, s, v, r);
    if (s->minimum) {
        int c = compare(v, s->minimum);
        if (c < 0 || (c == 0 && s->exclusive_minimum))
            invalid(w, r, mh_sb_value_text(w->arena, v), "should be greater than %s%s",
                    s->exclusive_minimum ? "" : "or equal to ", limit_text(w, v, s->minimum));
    }
    if (s->maximum) {
        int c = compare(v, s->maximum);
        if (c > 0 || (c == 0 && s->exclusive_maximum))
            invalid(w, r, mh_sb_value_text(w->arena, v), "should be less than %s%s",
                    s->exclusive_maximum ? "" : "or equal to ", limit_text(w, v, s->maximum));
    }
    r->matches++;
}

static void
too_many(struct walk *w, struct result *r, size_t n, int64_t max)
{
    other(w, r, "FieldValueTooMany",
          mh_arena_printf(w->arena, "Too many: %zu: must have at most %lld %s", n, (long long)max,
                          max == 1 ? "item" : "items"));
}

yyjson_val *
mh_sb_same_item(const struct mh_sb_schema *list, yyjson_val *old, yyjson_val *item)
{
    size_t i;
    size_t max;
    yyjson_val *x;
    const struct mh_sb_schema *shape = mh_sb_shape(list);
    if (shape->list_type != MH_SB_LIST_MAP || !yyjson_is_obj(item))
        return NULL;
    yyjson_arr_foreach(old, i, max, x)
    {
        bool same = yyjson_is_obj(x) && shape->list_keys.count > 0;
        for (size_t k = 0; same && k < shape->list_keys.count; k++) {
            const char *key = shape->list_keys.items[k];
            same = mh_sb_equal(yyjson_obj_get(x, key), yyjson_obj_get(item, key));
        }
        if (same)
            return x;
    }
    return NULL;
}

static void
check_list(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
           struct result *r)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    size_t n = yyjson_arr_size(v);
    yyjson_arr_foreach(v, i, max, item)
    {
        if (!s->items)
            break;
        struct result one;
        size_t len = w->path.len;
        start(&one);
        mh_buf_printf(&w->path, "[%zu]", i);
        validate(w, s->items, item, mh_sb_same_item(s, old, item), &one);
        mh_sb_path_cut(&w->path, len);
        merge(r, &one);
    }
    if (s->min_items >= 0 && (int64_t)n < s->min_items)
        invalid(w, r, mh_arena_printf(w->arena, "%zu", n), "should have at least %lld items",
                (long long)s->min_items);
    if (s->max_items >= 0 && (int64_t)n > s->max_items)
        too_many(w, r, n, s->max_items);
    r->matches++;
}

static void
check_enum(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, struct result *r)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    struct mh_buf b;
    if (!yyjson_arr_size(s->enums))
        return;
    yyjson_arr_foreach(s->enums, i, max, item)
    {
        if (!yyjson_is_null(v) && mh_sb_equal(item, v))
            return;
    }
    mh_buf_init(&b, (size_t)1 << 20);
    mh_buf_printf(&b, "Unsupported value: %s: supported values: ", mh_sb_value_text(w->arena, v));
    yyjson_arr_foreach(s->enums, i, max, item)
    {
        const char *text =
            yyjson_is_str(item) ? yyjson_get_str(item) : mh_sb_go_json(w->arena, item);
        mh_buf_printf(&b, "%s%s", i ? ", " : "", mh_sb_go_quote(w->arena, text ? text : ""));
    }
    other(w, r, "FieldValueNotSupported",
          b.failed ? NULL : mh_arena_strdup(w->arena, mh_buf_text(&b)));
    mh_buf_release(&b);
}

static void
check_field(struct walk *w, const struct mh_sb_schema *sub, const char *key, yyjson_val *item,
            yyjson_val *old, struct result *r)
{
    struct result one;
    size_t len = w->path.len;
    start(&one);
    mh_buf_printf(&w->path, "%s%s", len ? "." : "", key);
    validate(w, sub, item, old, &one);
    mh_sb_path_cut(&w->path, len);
    merge(r, &one);
}

static void
check_fields(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
             struct result *r)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        const char *name = yyjson_get_str(key);
        bool known = mh_sb_schema_prop(s, name) != NULL;
        if (!known && s->extra)
            check_field(w, s->extra, name, item, yyjson_obj_get(old, name), r);
        if (!known && s->extra_forbidden)
            invalid(w, r, mh_sb_go_quote(w->arena, name), ".%s in body is a forbidden property",
                    name);
    }
    for (i = 0; i < s->nprops; i++) {
        const char *name = s->props[i].name;
        item = yyjson_obj_get(v, name);
        bool typed =
            s->root && !w->path.len && (mh_str_eq(name, "kind") || mh_str_eq(name, "apiVersion"));
        if (item)
            check_field(w, s->props[i].schema, name, item, typed ? NULL : yyjson_obj_get(old, name),
                        r);
    }
}

static void
check_object(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
             struct result *r)
{
    size_t n = yyjson_obj_size(v);
    if (s->min_props >= 0 && (int64_t)n < s->min_props)
        invalid(w, r, mh_arena_printf(w->arena, "%zu", n), "should have at least %lld properties",
                (long long)s->min_props);
    if (s->max_props >= 0 && (int64_t)n > s->max_props)
        too_many(w, r, n, s->max_props);
    /* an atomic map has no fields of its own to compare with */
    check_fields(w, s, v, mh_sb_schema_map_type(s) == MH_SB_MAP_ATOMIC ? NULL : old, r);
    for (size_t i = 0; i < s->required.count; i++) {
        const char *name = s->required.items[i];
        if (yyjson_obj_get(v, name))
            continue;
        size_t len = w->path.len;
        mh_buf_printf(&w->path, ".%s", name);
        other(w, r, "FieldValueRequired", "Required value");
        mh_sb_path_cut(&w->path, len);
    }
}

static void
check_kind(struct walk *w, const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old,
           struct result *r)
{
    const char *format = s->format && mh_sb_format_known(s->format) ? s->format : NULL;
    if (yyjson_is_str(v)) {
        check_string(w, s, v, r);
        r->matches++;
        if (format) {
            if (!mh_sb_format_ok(format, yyjson_get_str(v)))
                bad_type(w, r, format, yyjson_get_str(v));
            r->matches++;
        }
    } else if (yyjson_is_num(v)) {
        check_number(w, s, v, r);
        r->matches++;
    } else if (yyjson_is_arr(v)) {
        check_list(w, s, v, old, r);
        r->matches++;
    }
    check_enum(w, s, v, r);
    r->matches++;
    if (yyjson_is_obj(v)) {
        check_object(w, s, v, old, r);
        r->matches++;
    }
}

/* One value; out is empty before. old: what stood here before, NULL if that cannot be said. */
static void
validate(struct walk *w, const struct mh_sb_schema *schema, yyjson_val *v, yyjson_val *old,
         struct result *out)
{
    const struct mh_sb_schema *s = mh_sb_shape(schema);
    if (!s || w->failed || ++w->depth > MH_SB_SCHEMA_DEPTH_MAX * 2) {
        w->failed = w->failed || w->depth > MH_SB_SCHEMA_DEPTH_MAX * 2;
        return;
    }
    if (s->types || (s->format && mh_sb_format_known(s->format))) {
        check_type(w, s, v, out);
        out->matches += !yyjson_is_null(v);
    }
    if (yyjson_is_null(v)) {
        check_enum(w, s, v, out);
    } else {
        combinations(w, s, v, out);
        out->matches++;
        check_kind(w, s, v, old, out);
        out->matches++;
    }
    w->depth--;
    if (out->first && old && mh_sb_equal(v, old)) { /* it was as wrong before */
        out->first = NULL;
        out->last = &out->first;
    }
}

bool
mh_sb_validate_part(const struct mh_sb_schema *s, yyjson_val *v, yyjson_val *old, const char *part,
                    struct mh_sb_validate *ctx)
{
    struct walk w = { .arena = ctx->arena };
    struct result r;
    start(&r);
    mh_buf_init(&w.path, (size_t)1 << 16);
    validate(&w, s, v, old, &r);
    mh_buf_release(&w.path);
    for (const struct problem *p = r.first; p; p = p->next) {
        const char *field = part;
        if (p->field && *p->field)
            field = *part ? mh_arena_printf(ctx->arena, "%s.%s", part, p->field) : p->field;
        mh_sb_cause_add(ctx->causes, p->reason, field && *field ? field : "<nil>", "%s",
                        p->message);
    }
    return !w.failed && !ctx->causes->failed;
}
