#include "base/json.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* An arena cannot free, so a realloc copies; the old size comes from yyjson. */
static void *
alc_malloc(void *ctx, size_t size)
{
    return mh_arena_alloc(ctx, size);
}

static void *
alc_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
    if (size <= old_size)
        return p;
    void *q = mh_arena_alloc(ctx, size);
    return q && p ? memcpy(q, p, old_size) : q;
}

static void
alc_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

yyjson_alc
mh_json_alc(struct mh_arena *a)
{
    return (yyjson_alc){ alc_malloc, alc_realloc, alc_free, a };
}

/* What the look at a text before it is parsed stops at. */
static const unsigned char stops[256] = { ['"'] = 1, ['{'] = 1, ['['] = 1, ['}'] = 1, [']'] = 1 };
static const unsigned char string_stops[256] = { ['"'] = 1, ['\\'] = 1 };

/* The end of a string (its closing quote, or end); *nul is set if \u0000 is inside. */
static const char *
skip_string(const char *p, const char *end, bool *nul)
{
    for (;;) {
        while (p < end && !string_stops[(unsigned char)*p])
            p++;
        if (p >= end)
            return end;
        if (*p == '"')
            return p;
        if (end - p > 5 && memcmp(p, "\\u0000", 6) == 0)
            *nul = true;
        p += 2;
    }
}

/* Depth by brackets outside strings: yyjson itself does not recurse, what walks the value does. */
static bool
too_deep(const char *s, size_t n, bool *nul)
{
    int depth = 0;
    const char *end = s + n;
    for (const char *p = s; p < end; p++) {
        if (!stops[(unsigned char)*p])
            continue;
        if (*p == '"')
            p = skip_string(p + 1, end, nul);
        else if (*p == '}' || *p == ']')
            depth--;
        else if (++depth > MH_JSON_DEPTH_MAX)
            return true;
    }
    return false;
}

enum mh_code
mh_json_parse(struct mh_arena *a, const char *text, size_t len, yyjson_val **out,
              struct mh_err *err)
{
    if (len > MH_JSON_SIZE_MAX)
        return mh_fail(err, MH_E_INVALID, "JSON of %zu bytes is over the limit of %zu", len,
                       MH_JSON_SIZE_MAX);
    bool nul = false;
    if (too_deep(text, len, &nul))
        return mh_fail(err, MH_E_INVALID, "JSON is nested deeper than %d", MH_JSON_DEPTH_MAX);
    if (nul)
        return mh_fail(err, MH_E_INVALID, "JSON has a string with a NUL byte");
    yyjson_alc alc = mh_json_alc(a);
    yyjson_read_err e;
    /* Without INSITU it reads a copy that it makes itself. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text, len, YYJSON_READ_NOFLAG, &alc, &e);
    if (!doc && e.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return mh_fail(err, MH_E_NOMEM, "no memory for %zu bytes of JSON", len);
    if (!doc)
        return mh_fail(err, MH_E_INVALID, "not JSON: %s at byte %zu", e.msg, e.pos);
    *out = yyjson_doc_get_root(doc);
    return MH_OK;
}

yyjson_mut_doc *
mh_json_doc(struct mh_arena *a)
{
    yyjson_alc alc = mh_json_alc(a);
    return yyjson_mut_doc_new(&alc);
}

char *
mh_json_text(struct mh_arena *a, const yyjson_val *v, size_t *len)
{
    yyjson_alc alc = mh_json_alc(a);
    return yyjson_val_write_opts(v, YYJSON_WRITE_NOFLAG, &alc, len, NULL);
}

char *
mh_json_mut_text(struct mh_arena *a, const yyjson_mut_val *v, size_t *len)
{
    yyjson_alc alc = mh_json_alc(a);
    return yyjson_mut_val_write_opts(v, YYJSON_WRITE_NOFLAG, &alc, len, NULL);
}

static int
by_key(const void *x, const void *y)
{
    yyjson_val *const *a = x;
    yyjson_val *const *b = y;
    return strcmp(yyjson_get_str(*a), yyjson_get_str(*b));
}

static yyjson_mut_val *
sorted_copy(struct mh_arena *a, yyjson_mut_doc *doc, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (yyjson_is_arr(v)) {
        yyjson_mut_val *arr = yyjson_mut_arr(doc);
        yyjson_arr_foreach(v, i, max, item)
        {
            if (!yyjson_mut_arr_append(arr, sorted_copy(a, doc, item)))
                return NULL;
        }
        return arr;
    }
    if (!yyjson_is_obj(v))
        return yyjson_val_mut_copy(doc, v);
    size_t n = yyjson_obj_size(v);
    yyjson_val **keys = mh_arena_alloc(a, (n + 1) * sizeof(*keys));
    yyjson_mut_val *obj = yyjson_mut_obj(doc);
    if (!keys || !obj)
        return NULL;
    yyjson_obj_foreach(v, i, max, key, item)
    {
        (void)item;
        keys[i] = key;
    }
    qsort(keys, n, sizeof(*keys), by_key);
    for (i = 0; i < n; i++) {
        yyjson_mut_val *k = yyjson_mut_strn(doc, yyjson_get_str(keys[i]), yyjson_get_len(keys[i]));
        yyjson_mut_val *c = sorted_copy(a, doc, yyjson_obj_iter_get_val(keys[i]));
        if (!k || !c || !yyjson_mut_obj_add(obj, k, c))
            return NULL;
    }
    return obj;
}

char *
mh_json_canonical(struct mh_arena *a, const yyjson_val *v, size_t *len)
{
    yyjson_mut_doc *doc = mh_json_doc(a);
    /* yyjson's readers take a non-const value though they do not write. */
    yyjson_mut_val *copy = doc ? sorted_copy(a, doc, (yyjson_val *)(uintptr_t)v) : NULL;
    return copy ? mh_json_mut_text(a, copy, len) : NULL;
}

static yyjson_val *
walk(yyjson_val *v, va_list ap)
{
    const char *key;
    while (v && (key = va_arg(ap, const char *)))
        v = yyjson_obj_get(v, key);
    return v;
}

yyjson_val *
mh_json_get(yyjson_val *v, ...)
{
    va_list ap;
    va_start(ap, v);
    v = walk(v, ap);
    va_end(ap);
    return v;
}

const char *
mh_json_str(yyjson_val *v, ...)
{
    va_list ap;
    va_start(ap, v);
    v = walk(v, ap);
    va_end(ap);
    return yyjson_get_str(v);
}

int64_t
mh_json_int(yyjson_val *v, int64_t absent, ...)
{
    va_list ap;
    va_start(ap, absent);
    v = walk(v, ap);
    va_end(ap);
    if (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX)
        return absent;
    return yyjson_is_int(v) ? yyjson_get_sint(v) : absent;
}

bool
mh_json_bool(yyjson_val *v, int absent, ...)
{
    va_list ap;
    va_start(ap, absent);
    v = walk(v, ap);
    va_end(ap);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : absent != 0;
}

/* Length of the valid UTF-8 sequence at s, 0 if there is none. */
static size_t
utf8_len(const unsigned char *s, size_t n)
{
    size_t want = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (want == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < want)
        return 0;
    for (size_t i = 1; i < want; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return want;
}

/* How many bytes from s on stand for themselves. */
static size_t
plain_run(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\')
        i++;
    return i;
}

/* Appends what stands for the first character; how many bytes that was. */
static size_t
quote_one(struct mh_buf *b, const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s;
    size_t len = utf8_len((const unsigned char *)s, n);
    if (c == '"' || c == '\\')
        mh_buf_printf(b, "\\%c", c);
    else if (c == '\n')
        mh_buf_str(b, "\\n");
    else if (c == '\t')
        mh_buf_str(b, "\\t");
    else if (c == '\r')
        mh_buf_str(b, "\\r");
    else if (c < 0x20 || c == 0x7f)
        mh_buf_printf(b, "\\u%04x", c);
    else if (len == 0)
        mh_buf_str(b, "\xef\xbf\xbd");
    else
        mh_buf_add(b, s, len);
    return len ? len : 1;
}

bool
mh_json_quote(struct mh_buf *b, const char *s, size_t n)
{
    mh_buf_char(b, '"');
    while (n) {
        size_t done = plain_run(s, n);
        if (done)
            mh_buf_add(b, s, done);
        else
            done = quote_one(b, s, n);
        s += done;
        n -= done;
    }
    return mh_buf_char(b, '"');
}
