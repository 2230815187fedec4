/* cel_string.c - functions on text. Positions count code points. */
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/cel_in.h"
#include "sandbox/regex.h"

typedef struct mh_sb_cel_value value;
typedef struct mh_sb_cel_eval eval;
typedef struct mh_sb_cel_call call;

/* Byte of code point n; the length where there is none. */
static size_t
byte_at(value v, int64_t n)
{
    size_t i = 0;
    for (; i < v.n; i++) {
        if (((unsigned char)v.s[i] & 0xc0) != 0x80 && n-- == 0)
            return i;
    }
    return i;
}

static int64_t
points_before(value v, size_t bytes)
{
    int64_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)v.s[i] & 0xc0) != 0x80;
    return n;
}

static value
part(value v, size_t from, size_t to)
{
    return mh_sb_cel_of_text(v.s + from, to - from);
}

static bool
at(value v, size_t i, value what)
{
    return i + what.n <= v.n && memcmp(v.s + i, what.s, what.n) == 0;
}

static bool
contains(call *c)
{
    bool yes = false;
    for (size_t i = 0; i + c->args[1].n <= c->args[0].n && !yes; i++)
        yes = at(c->args[0], i, c->args[1]);
    *c->out = mh_sb_cel_of_bool(yes);
    return true;
}

static bool
starts_with(call *c)
{
    *c->out = mh_sb_cel_of_bool(at(c->args[0], 0, c->args[1]));
    return true;
}

static bool
ends_with(call *c)
{
    size_t n = c->args[1].n;
    *c->out = mh_sb_cel_of_bool(n <= c->args[0].n && at(c->args[0], c->args[0].n - n, c->args[1]));
    return true;
}

/* The pattern of the call: that of the text, or one made now. NULL: error set. */
static struct mh_sb_regex *
pattern(call *c, value text)
{
    struct mh_sb_regex *re = c->node->regex;
    struct mh_err err;
    if (re)
        return re;
    if (!mh_sb_cel_charge(c->e, text.n))
        return NULL;
    if (mh_sb_regex_compile(c->e->arena, text.s, text.n, &re, &err)) {
        mh_sb_cel_fail(c->e, "%s", err.msg);
        return NULL;
    }
    return re;
}

static bool
matches(call *c)
{
    struct mh_sb_regex *re = pattern(c, c->args[1]);
    if (!re || !mh_sb_cel_charge(c->e, c->args[0].n / 10 * (c->args[1].n / 4 + 1)))
        return false;
    *c->out = mh_sb_cel_of_bool(mh_sb_regex_find(re, c->args[0].s, c->args[0].n, 0, NULL, NULL));
    return true;
}

static bool
find(call *c)
{
    struct mh_sb_regex *re = pattern(c, c->args[1]);
    size_t from = 0;
    size_t to = 0;
    if (!re || !mh_sb_cel_charge(c->e, c->args[0].n / 10 * (c->args[1].n / 4 + 1)))
        return false;
    if (!mh_sb_regex_find(re, c->args[0].s, c->args[0].n, 0, &from, &to))
        from = to = 0;
    *c->out = part(c->args[0], from, to);
    return true;
}

static bool
find_all(call *c)
{
    struct mh_sb_regex *re = pattern(c, c->args[1]);
    value v = c->args[0];
    int64_t limit = -1;
    if (c->nargs == 3) {
        if (c->args[2].type != MH_SB_CEL_INT)
            return mh_sb_cel_no_overload(c->e);
        limit = c->args[2].i;
    }
    if (!re || !mh_sb_cel_new_list(c->e, v.n + 1, c->out))
        return false;
    c->out->list->n = 0;
    for (size_t i = 0; i <= v.n && limit != 0; limit -= limit > 0) {
        size_t from = 0;
        size_t to = 0;
        if (!mh_sb_cel_charge(c->e, (v.n - i) / 10 + 1))
            return false;
        if (!mh_sb_regex_find(re, v.s, v.n, i, &from, &to))
            break;
        c->out->list->items[c->out->list->n++] = part(v, from, to);
        i = to > from ? to : to + 1;
    }
    return true;
}

static bool
char_at(call *c)
{
    value v = c->args[0];
    int64_t n = (int64_t)mh_sb_cel_size(v);
    if (c->args[1].type != MH_SB_CEL_INT)
        return mh_sb_cel_no_overload(c->e);
    int64_t i = c->args[1].i;
    if (i < 0 || i > n)
        return mh_sb_cel_fail(c->e, "index out of range: %lld", (long long)i);
    *c->out = part(v, byte_at(v, i), byte_at(v, i + 1));
    return true;
}

static bool
index_of(call *c)
{
    value v = c->args[0];
    int64_t from = c->nargs == 3 ? c->args[2].i : 0;
    if (c->nargs == 3 && c->args[2].type != MH_SB_CEL_INT)
        return mh_sb_cel_no_overload(c->e);
    if (from < 0 || from > (int64_t)mh_sb_cel_size(v))
        return mh_sb_cel_fail(c->e, "index out of range: %lld", (long long)from);
    for (size_t i = byte_at(v, from); i + c->args[1].n <= v.n; i++) {
        if (at(v, i, c->args[1])) {
            *c->out = mh_sb_cel_of_int(points_before(v, i));
            return true;
        }
    }
    *c->out = mh_sb_cel_of_int(-1);
    return true;
}

static bool
last_index_of(call *c)
{
    value v = c->args[0];
    int64_t size = (int64_t)mh_sb_cel_size(v);
    int64_t from = c->nargs == 3 ? c->args[2].i : size;
    if (c->nargs == 3 && c->args[2].type != MH_SB_CEL_INT)
        return mh_sb_cel_no_overload(c->e);
    if (from < 0 || from > size)
        return mh_sb_cel_fail(c->e, "index out of range: %lld", (long long)from);
    *c->out = mh_sb_cel_of_int(-1);
    for (size_t i = byte_at(v, from) + 1; i-- > 0;) {
        if (at(v, i, c->args[1])) {
            *c->out = mh_sb_cel_of_int(points_before(v, i));
            return true;
        }
    }
    return true;
}

static bool
change_case(call *c, bool lower)
{
    char *s = mh_arena_strndup(c->e->arena, c->args[0].s, c->args[0].n);
    if (!s)
        return mh_sb_cel_no_memory(c->e);
    for (size_t i = 0; i < c->args[0].n; i++) {
        if (lower && s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] + 32);
        if (!lower && s[i] >= 'a' && s[i] <= 'z')
            s[i] = (char)(s[i] - 32);
    }
    *c->out = mh_sb_cel_of_text(s, c->args[0].n);
    return true;
}

static bool
lower_ascii(call *c)
{
    return change_case(c, true);
}

static bool
upper_ascii(call *c)
{
    return change_case(c, false);
}

static bool
of_buf(call *c, struct mh_buf *b)
{
    char *s = b->failed ? NULL : mh_arena_strndup(c->e->arena, mh_buf_text(b), b->len);
    *c->out = mh_sb_cel_of_text(s, b->len);
    mh_buf_release(b);
    return s ? mh_sb_cel_charge(c->e, c->out->n / 10) : mh_sb_cel_no_memory(c->e);
}

static bool
replace(call *c)
{
    struct mh_buf b;
    value v = c->args[0];
    value from = c->args[1];
    int64_t limit = c->nargs == 4 ? c->args[3].i : -1;
    if (c->args[2].type != MH_SB_CEL_STRING || (c->nargs == 4 && c->args[3].type != MH_SB_CEL_INT))
        return mh_sb_cel_no_overload(c->e);
    mh_buf_init(&b, MH_SB_CEL_TEXT_MAX);
    for (size_t i = 0; i <= v.n;) {
        bool here = limit != 0 && at(v, i, from);
        if (here) {
            mh_buf_add(&b, c->args[2].s, c->args[2].n);
            i += from.n;
            limit -= limit > 0;
        }
        if (!here || !from.n) {
            if (i < v.n)
                mh_buf_char(&b, v.s[i]);
            i++;
        }
    }
    return of_buf(c, &b);
}

static bool
split(call *c)
{
    value v = c->args[0];
    value sep = c->args[1];
    int64_t limit = c->nargs == 3 ? c->args[2].i : -1;
    if (c->nargs == 3 && c->args[2].type != MH_SB_CEL_INT)
        return mh_sb_cel_no_overload(c->e);
    if (!mh_sb_cel_new_list(c->e, v.n + 1, c->out))
        return false;
    struct mh_sb_cel_list *l = c->out->list;
    l->n = 0;
    if (limit == 0 || (!sep.n && !v.n))
        return true;
    size_t start = 0;
    for (size_t i = 0; i < v.n && (limit < 0 || (int64_t)l->n + 1 < limit);) {
        if (sep.n ? at(v, i, sep) : i > start && ((unsigned char)v.s[i] & 0xc0) != 0x80) {
            l->items[l->n++] = part(v, start, i);
            i += sep.n;
            start = i;
            if (!sep.n)
                i++;
        } else {
            i++;
        }
    }
    l->items[l->n++] = part(v, start, v.n);
    return true;
}

static bool
substring(call *c)
{
    value v = c->args[0];
    int64_t n = (int64_t)mh_sb_cel_size(v);
    if (c->args[1].type != MH_SB_CEL_INT || (c->nargs == 3 && c->args[2].type != MH_SB_CEL_INT))
        return mh_sb_cel_no_overload(c->e);
    int64_t from = c->args[1].i;
    int64_t to = c->nargs == 3 ? c->args[2].i : n;
    if (from < 0 || from > n)
        return mh_sb_cel_fail(c->e, "index out of range: %lld", (long long)from);
    if (to < 0 || to > n)
        return mh_sb_cel_fail(c->e, "index out of range: %lld", (long long)to);
    if (from > to)
        return mh_sb_cel_fail(c->e, "invalid substring range. start: %lld, end: %lld",
                              (long long)from, (long long)to);
    *c->out = part(v, byte_at(v, from), byte_at(v, to));
    return true;
}

static bool
trim(call *c)
{
    value v = c->args[0];
    size_t from = 0;
    size_t to = v.n;
    while (from < to && isspace((unsigned char)v.s[from]))
        from++;
    while (to > from && isspace((unsigned char)v.s[to - 1]))
        to--;
    *c->out = part(v, from, to);
    return true;
}

static bool
reverse(call *c)
{
    value v = c->args[0];
    char *s = mh_arena_alloc(c->e->arena, v.n + 1);
    size_t end = v.n;
    if (!s)
        return mh_sb_cel_no_memory(c->e);
    for (size_t i = 0; i < v.n;) {
        size_t n = 1;
        while (i + n < v.n && ((unsigned char)v.s[i + n] & 0xc0) == 0x80)
            n++;
        end -= n;
        memcpy(s + end, v.s + i, n);
        i += n;
    }
    *c->out = mh_sb_cel_of_text(s, v.n);
    return true;
}

static bool
quote(call *c)
{
    char *s = mh_arena_strndup(c->e->arena, c->args[0].s, c->args[0].n);
    char *q = s ? mh_sb_go_quote(c->e->arena, s) : NULL;
    if (!q)
        return mh_sb_cel_no_memory(c->e);
    *c->out = mh_sb_cel_of_text(q, strlen(q));
    return true;
}

static bool
format(call *c)
{
    return mh_sb_cel_format(c->e, c->args[0], c->args[1], c->out);
}

bool
mh_sb_cel_lib_string(call *c, bool *ok)
{
    static const struct {
        const char *name;
        bool (*run)(call *);
        size_t min; /* arguments with the receiver */
        size_t max;
        bool second; /* the first argument is a text too */
    } all[] = { { "contains", contains, 2, 2, true },
                { "startsWith", starts_with, 2, 2, true },
                { "endsWith", ends_with, 2, 2, true },
                { "matches", matches, 2, 2, true },
                { "find", find, 2, 2, true },
                { "findAll", find_all, 2, 3, true },
                { "charAt", char_at, 2, 2, false },
                { "indexOf", index_of, 2, 3, true },
                { "lastIndexOf", last_index_of, 2, 3, true },
                { "lowerAscii", lower_ascii, 1, 1, false },
                { "upperAscii", upper_ascii, 1, 1, false },
                { "replace", replace, 3, 4, true },
                { "split", split, 2, 3, true },
                { "substring", substring, 2, 3, false },
                { "trim", trim, 1, 1, false },
                { "reverse", reverse, 1, 1, false },
                { "strings.quote", quote, 1, 1, false },
                { "format", format, 2, 2, false } };
    if (!c->nargs || c->args[0].type != MH_SB_CEL_STRING)
        return false;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].name, c->name) != 0 || c->nargs < all[i].min || c->nargs > all[i].max ||
            (all[i].second && c->args[1].type != MH_SB_CEL_STRING))
            continue;
        bool free_form = strcmp(c->name, "matches") == 0 || strcmp(c->name, "strings.quote") == 0;
        if (!c->method && !free_form)
            continue;
        *ok = mh_sb_cel_charge(c->e, c->args[0].n / 10) && all[i].run(c);
        return true;
    }
    return false;
}
