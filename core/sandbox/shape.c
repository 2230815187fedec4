/* shape.c - lists of causes and texts, and JSON values as Go's libraries see them. */
#include "sandbox/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW_KEYS 16

void
mh_sb_causes_init(struct mh_sb_causes *c, struct mh_arena *a)
{
    *c = (struct mh_sb_causes){ .arena = a };
    c->last = &c->first;
}

void
mh_sb_cause_add(struct mh_sb_causes *c, const char *reason, const char *field, const char *fmt, ...)
{
    struct mh_sb_cause *n = mh_arena_alloc(c->arena, sizeof(*n));
    va_list ap;
    va_start(ap, fmt);
    char *message = mh_arena_vprintf(c->arena, fmt, ap);
    va_end(ap);
    char *at = mh_arena_strdup(c->arena, field);
    char *why = mh_arena_strdup(c->arena, reason);
    if (!n || !message || !at || !why) {
        c->failed = true;
        return;
    }
    *n = (struct mh_sb_cause){ .reason = why, .field = at, .message = message };
    *c->last = n;
    c->last = &n->next;
    c->count++;
}

static bool
said_before(const struct mh_sb_causes *c, const struct mh_sb_cause *n)
{
    for (const struct mh_sb_cause *x = c->first; x != n; x = x->next) {
        if (strcmp(x->field, n->field) == 0 && strcmp(x->message, n->message) == 0)
            return true;
    }
    return false;
}

char *
mh_sb_causes_text(const struct mh_sb_causes *c)
{
    struct mh_buf b;
    size_t said = 0;
    mh_buf_init(&b, (size_t)1 << 20);
    for (const struct mh_sb_cause *n = c->first; n; n = n->next) {
        if (said_before(c, n))
            continue;
        if (said++)
            mh_buf_str(&b, ", ");
        if (n->field[0])
            mh_buf_printf(&b, "%s: ", n->field);
        mh_buf_str(&b, n->message);
    }
    char *out = NULL;
    if (!b.failed && !c->failed)
        out = said == 1 ? mh_arena_strdup(c->arena, mh_buf_text(&b))
                        : mh_arena_printf(c->arena, "[%s]", mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

void
mh_sb_texts_init(struct mh_sb_texts *t, struct mh_arena *a)
{
    *t = (struct mh_sb_texts){ .arena = a };
}

void
mh_sb_texts_add(struct mh_sb_texts *t, const char *text)
{
    if (t->count == t->size) {
        size_t size = t->size ? t->size * 2 : 8;
        const char **items = mh_arena_alloc(t->arena, size * sizeof(*items));
        if (!items) {
            t->failed = true;
            return;
        }
        if (t->count)
            memcpy(items, t->items, t->count * sizeof(*items));
        t->items = items;
        t->size = size;
    }
    char *copy = mh_arena_strdup(t->arena, text);
    if (copy)
        t->items[t->count++] = copy;
    else
        t->failed = true;
}

yyjson_val *
mh_sb_obj_or_none(yyjson_val *v)
{
    static yyjson_val none = { .tag = YYJSON_TYPE_OBJ };
    return v ? v : &none;
}

yyjson_val *
mh_sb_freeze(struct mh_arena *a, const yyjson_mut_val *v)
{
    yyjson_alc alc = mh_json_alc(a);
    /* yyjson's readers take a non-const value though they do not write. */
    yyjson_doc *doc = yyjson_mut_val_imut_copy((yyjson_mut_val *)(uintptr_t)v, &alc);
    return yyjson_doc_get_root(doc);
}

struct seen {
    yyjson_mut_val *key;
    size_t at;
};

static int
by_name_and_place(const void *x, const void *y)
{
    const struct seen *a = x;
    const struct seen *b = y;
    int c = strcmp(yyjson_mut_get_str(a->key), yyjson_mut_get_str(b->key));
    return c ? c : a->at < b->at ? -1 : a->at > b->at;
}

char *
mh_sb_join(struct mh_arena *a, const char *left, char between, const char *right)
{
    size_t n = strlen(left);
    size_t m = strlen(right);
    char *out = mh_arena_alloc(a, n + m + 2);
    if (!out)
        return NULL;
    memcpy(out, left, n);
    out[n] = between;
    memcpy(out + n + 1, right, m + 1);
    return out;
}

/* The keys of an object that come again later, in a sorted list; NULL: none, or no memory. */
static struct seen *
duplicates_of(yyjson_mut_val *v, size_t *count)
{
    size_t n = yyjson_mut_obj_size(v);
    struct seen *all = n > 1 ? mh_malloc(n * sizeof(*all)) : NULL;
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    size_t i = 0;
    *count = 0;
    yyjson_mut_obj_iter_init(v, &it);
    while (all && (key = yyjson_mut_obj_iter_next(&it)) && i < n) {
        all[i] = (struct seen){ key, i };
        i++;
    }
    if (!all)
        return NULL;
    qsort(all, n, sizeof(*all), by_name_and_place);
    for (i = 0; i + 1 < n; i++) {
        if (strcmp(yyjson_mut_get_str(all[i].key), yyjson_mut_get_str(all[i + 1].key)) == 0)
            all[(*count)++] = all[i];
    }
    return all;
}

static bool
is_one_of(const struct seen *list, size_t n, const yyjson_mut_val *key)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].key == key)
            return true;
    }
    return false;
}

static void drop_duplicates(struct mh_buf *path, yyjson_mut_val *v, struct mh_sb_texts *found);

static void
drop_in_object(struct mh_buf *path, yyjson_mut_val *v, struct mh_sb_texts *found)
{
    size_t n = 0;
    size_t len = path->len;
    struct seen *again = duplicates_of(v, &n);
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    yyjson_mut_obj_iter_init(v, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        mh_buf_printf(path, "%s%s", len ? "." : "", yyjson_mut_get_str(key));
        if (is_one_of(again, n, key)) {
            if (found)
                mh_sb_texts_add(found, mh_buf_text(path));
            yyjson_mut_obj_iter_remove(&it);
        } else {
            drop_duplicates(path, yyjson_mut_obj_iter_get_val(key), found);
        }
        mh_sb_path_cut(path, len);
    }
    mh_free(again);
}

static void
drop_duplicates(struct mh_buf *path, yyjson_mut_val *v, struct mh_sb_texts *found)
{
    size_t i;
    size_t max;
    yyjson_mut_val *item;
    size_t len = path->len;
    if (yyjson_mut_is_obj(v))
        drop_in_object(path, v, found);
    yyjson_mut_arr_foreach(v, i, max, item)
    {
        mh_buf_printf(path, "[%zu]", i);
        drop_duplicates(path, item, found);
        mh_sb_path_cut(path, len);
    }
}

/* Nearly always not, and then nothing need be remembered on the way. Many keys: maybe. */
static bool
may_have_duplicates(yyjson_mut_val *v)
{
    yyjson_mut_val *seen[FEW_KEYS];
    yyjson_mut_obj_iter it;
    yyjson_mut_val *key;
    size_t n = 0;
    size_t i;
    size_t max;
    yyjson_mut_val *item;
    if (yyjson_mut_obj_size(v) > FEW_KEYS)
        return true;
    yyjson_mut_obj_iter_init(v, &it);
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        for (i = 0; i < n; i++) {
            if (yyjson_mut_equals_strn(seen[i], yyjson_mut_get_str(key), yyjson_mut_get_len(key)))
                return true;
        }
        seen[n++] = key;
        if (may_have_duplicates(yyjson_mut_obj_iter_get_val(key)))
            return true;
    }
    yyjson_mut_arr_foreach(v, i, max, item)
    {
        if (may_have_duplicates(item))
            return true;
    }
    return false;
}

void
mh_sb_drop_duplicates(yyjson_mut_val *v, struct mh_sb_texts *found)
{
    struct mh_buf path;
    if (!may_have_duplicates(v))
        return;
    mh_buf_init(&path, (size_t)1 << 16);
    drop_duplicates(&path, v, found);
    mh_buf_release(&path);
}

static bool
same_object(yyjson_val *a, yyjson_val *b)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (yyjson_obj_size(a) != yyjson_obj_size(b))
        return false;
    yyjson_obj_foreach(mh_sb_obj_or_none(a), i, max, key, item)
    {
        yyjson_val *other = yyjson_obj_getn(b, yyjson_get_str(key), yyjson_get_len(key));
        if (!other || !mh_sb_equal(item, other))
            return false;
    }
    return true;
}

static bool
same_list(yyjson_val *a, yyjson_val *b)
{
    yyjson_arr_iter x = yyjson_arr_iter_with(a);
    yyjson_arr_iter y = yyjson_arr_iter_with(b);
    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return false;
    for (;;) {
        yyjson_val *p = yyjson_arr_iter_next(&x);
        yyjson_val *q = yyjson_arr_iter_next(&y);
        if (!p || !q)
            return !p && !q;
        if (!mh_sb_equal(p, q))
            return false;
    }
}

static bool
same_number(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_real(a) || yyjson_is_real(b))
        return yyjson_get_num(a) <= yyjson_get_num(b) && yyjson_get_num(a) >= yyjson_get_num(b);
    bool big_a = yyjson_is_uint(a) && yyjson_get_uint(a) > INT64_MAX;
    bool big_b = yyjson_is_uint(b) && yyjson_get_uint(b) > INT64_MAX;
    return big_a == big_b && yyjson_get_uint(a) == yyjson_get_uint(b);
}

bool
mh_sb_equal(yyjson_val *a, yyjson_val *b)
{
    if (!a || !b)
        return a == b;
    if (a == b)
        return true;
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_OBJ:
        return same_object(a, b);
    case YYJSON_TYPE_ARR:
        return same_list(a, b);
    case YYJSON_TYPE_STR:
        return yyjson_get_len(a) == yyjson_get_len(b) &&
               memcmp(yyjson_get_str(a), yyjson_get_str(b), yyjson_get_len(a)) == 0;
    case YYJSON_TYPE_NUM:
        return same_number(a, b);
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(a) == yyjson_get_bool(b);
    default:
        return true;
    }
}

/* The shortest digits that read back as f (f > 0), and the decimal exponent of the first. */
static int
shortest(double f, char digits[32], int *exponent)
{
    char text[40];
    int n = 0;
    for (int p = 0; p <= 16; p++) {
        snprintf(text, sizeof(text), "%.*e", p, f);
        double back = strtod(text, NULL);
        if (back <= f && back >= f)
            break;
    }
    for (const char *s = text; *s && *s != 'e'; s++) {
        if (*s != '.')
            digits[n++] = *s;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = 0;
    *exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    return n;
}

/* Digits with a point; at: how many stand before it. */
static char *
fixed(struct mh_arena *a, const char *sign, const char *digits, int n, int at)
{
    if (at <= 0)
        return mh_arena_printf(a, "%s0.%.*s%s", sign, -at, "0000000000", digits);
    if (at >= n)
        return mh_arena_printf(a, "%s%s%.*s", sign, digits, at - n, "00000000000000000000000");
    return mh_arena_printf(a, "%s%.*s.%s", sign, at, digits, digits + at);
}

static char *
float_text(struct mh_arena *a, double f, int low, bool long_exponent)
{
    char digits[32];
    int e = 0;
    const char *sign = f < 0 ? "-" : "";
    if (f != f)
        return mh_arena_strdup(a, "NaN");
    if (isinf(f))
        return mh_arena_strdup(a, f > 0 ? "+Inf" : "-Inf");
    if (f <= 0 && f >= 0)
        return mh_arena_strdup(a, "0");
    int n = shortest(f < 0 ? -f : f, digits, &e);
    if (e >= low && e < 21)
        return fixed(a, sign, digits, n, e + 1);
    int width = long_exponent ? 2 : 1;
    return mh_arena_printf(a, "%s%c%s%se%c%0*d", sign, digits[0], n > 1 ? "." : "", digits + 1,
                           e < 0 ? '-' : '+', width, e < 0 ? -e : e);
}

char *
mh_sb_go_float(struct mh_arena *a, double f)
{
    return float_text(a, f, -4, true);
}

char *
mh_sb_go_quote(struct mh_arena *a, const char *s)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)8 << 20);
    mh_buf_char(&b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        const char *named = strchr("\aa\bb\ff\nn\rr\tt\vv\\\\\"\"", c);
        /* pairs: the odd places are what is written, so only even ones count */
        if (named && (c < 0x20 || c == '"' || c == '\\')) {
            mh_buf_char(&b, '\\');
            mh_buf_char(&b, c == '"' || c == '\\' ? (char)c : named[1]);
        } else if (c < 0x20 || c == 0x7f) {
            mh_buf_printf(&b, "\\x%02x", c);
        } else {
            mh_buf_char(&b, (char)c);
        }
    }
    mh_buf_char(&b, '"');
    char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static void
go_string(struct mh_buf *b, const char *s, size_t n)
{
    mh_buf_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            mh_buf_printf(b, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f')
            mh_buf_printf(b, "\\%c",
                          c == '\n'   ? 'n'
                          : c == '\r' ? 'r'
                          : c == '\t' ? 't'
                          : c == '\b' ? 'b'
                                      : 'f');
        else if (c < 0x20 || c == '<' || c == '>' || c == '&')
            mh_buf_printf(b, "\\u%04x", c);
        else
            mh_buf_char(b, (char)c);
    }
    mh_buf_char(b, '"');
}

static int
by_key(const void *x, const void *y)
{
    yyjson_val *const *a = x;
    yyjson_val *const *b = y;
    return strcmp(yyjson_get_str(*a), yyjson_get_str(*b));
}

static void go_value(struct mh_arena *a, struct mh_buf *b, yyjson_val *v);

/* The keys of an object in order; NULL: no memory. */
static yyjson_val **
sorted_keys(struct mh_arena *a, yyjson_val *v, size_t *n)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    *n = yyjson_obj_size(v);
    yyjson_val **keys = mh_arena_alloc(a, (*n + 1) * sizeof(*keys));
    if (!keys)
        return NULL;
    yyjson_obj_foreach(mh_sb_obj_or_none(v), i, max, key, item)
    {
        (void)item;
        keys[i] = key;
    }
    qsort(keys, *n, sizeof(*keys), by_key);
    return keys;
}

static void
go_object(struct mh_arena *a, struct mh_buf *b, yyjson_val *v)
{
    size_t n = 0;
    yyjson_val **keys = sorted_keys(a, v, &n);
    if (!keys) {
        b->failed = true;
        return;
    }
    mh_buf_char(b, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            mh_buf_char(b, ',');
        go_string(b, yyjson_get_str(keys[i]), yyjson_get_len(keys[i]));
        mh_buf_char(b, ':');
        go_value(a, b, yyjson_obj_iter_get_val(keys[i]));
    }
    mh_buf_char(b, '}');
}

static void
go_value(struct mh_arena *a, struct mh_buf *b, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_OBJ:
        go_object(a, b, v);
        break;
    case YYJSON_TYPE_ARR:
        mh_buf_char(b, '[');
        yyjson_arr_foreach(v, i, max, item)
        {
            if (i)
                mh_buf_char(b, ',');
            go_value(a, b, item);
        }
        mh_buf_char(b, ']');
        break;
    case YYJSON_TYPE_STR:
        go_string(b, yyjson_get_str(v), yyjson_get_len(v));
        break;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_uint(v))
            mh_buf_printf(b, "%llu", (unsigned long long)yyjson_get_uint(v));
        else if (yyjson_is_sint(v))
            mh_buf_printf(b, "%lld", (long long)yyjson_get_sint(v));
        else
            mh_buf_str(b, float_text(a, yyjson_get_real(v), -6, false));
        break;
    case YYJSON_TYPE_BOOL:
        mh_buf_str(b, yyjson_get_bool(v) ? "true" : "false");
        break;
    default:
        mh_buf_str(b, "null");
    }
}

char *
mh_sb_go_json(struct mh_arena *a, yyjson_val *v)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)16 << 20);
    go_value(a, &b, v);
    char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

/* Keys in order. */
static void
print_object(struct mh_arena *a, struct mh_buf *b, yyjson_val *v)
{
    size_t n = 0;
    yyjson_val **keys = sorted_keys(a, v, &n);
    mh_buf_str(b, "map[");
    for (size_t i = 0; keys && i < n; i++) {
        mh_buf_printf(b, "%s%s:", i ? " " : "", yyjson_get_str(keys[i]));
        mh_sb_go_print(a, b, yyjson_obj_iter_get_val(keys[i]));
    }
    mh_buf_char(b, ']');
}

void
mh_sb_go_print(struct mh_arena *a, struct mh_buf *b, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    if (yyjson_is_arr(v)) {
        mh_buf_char(b, '[');
        yyjson_arr_foreach(v, i, max, item)
        {
            if (i)
                mh_buf_char(b, ' ');
            mh_sb_go_print(a, b, item);
        }
        mh_buf_char(b, ']');
    } else if (yyjson_is_obj(v)) {
        print_object(a, b, v);
    } else if (yyjson_is_str(v)) {
        mh_buf_str(b, yyjson_get_str(v));
    } else if (yyjson_is_bool(v)) {
        mh_buf_str(b, yyjson_get_bool(v) ? "true" : "false");
    } else if (yyjson_is_null(v) || !v) {
        mh_buf_str(b, "<nil>");
    } else if (yyjson_is_real(v)) {
        mh_buf_str(b, mh_sb_go_float(a, yyjson_get_real(v)));
    } else {
        mh_buf_printf(b, "%lld", (long long)yyjson_get_sint(v));
    }
}
