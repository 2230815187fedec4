#include "lua/policy_diff.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define MOST 5
#define DEPTH 6
#define SHOWN 120 /* bytes of one value */

struct walk {
    struct mh_buf *out;
    int n;
};

/* Bytes of s that fit into most without cutting a letter. */
static int
fit(const char *s, size_t most)
{
    size_t n = strnlen(s, most + 1);
    if (n <= most)
        return (int)n;
    for (n = most; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
        n--;
    return (int)n;
}

static void
show_scalar(struct mh_buf *out, yyjson_val *v)
{
    if (!v)
        mh_buf_str(out, "nothing");
    else if (yyjson_is_str(v))
        mh_buf_printf(out, "%.*s", fit(yyjson_get_str(v), SHOWN), yyjson_get_str(v));
    else if (yyjson_is_bool(v))
        mh_buf_str(out, yyjson_get_bool(v) ? "true" : "false");
    else if (yyjson_is_uint(v))
        mh_buf_printf(out, "%llu", (unsigned long long)yyjson_get_uint(v));
    else if (yyjson_is_sint(v))
        mh_buf_printf(out, "%lld", (long long)yyjson_get_sint(v));
    else if (yyjson_is_real(v))
        mh_buf_printf(out, "%.17g", yyjson_get_real(v));
    else
        mh_buf_str(out, "null");
}

static void
show(struct mh_buf *out, yyjson_val *v, int depth)
{
    size_t start = out->len;
    bool list = yyjson_is_arr(v);
    size_t i, max;
    yyjson_val *k, *x;
    if (!yyjson_is_ctn(v)) {
        show_scalar(out, v);
        return;
    }
    mh_buf_char(out, list ? '[' : '{');
    if (depth > DEPTH || yyjson_get_len(v) == 0)
        mh_buf_str(out, yyjson_get_len(v) ? "..." : "");
    else if (list)
        yyjson_arr_foreach(v, i, max, x)
        {
            mh_buf_str(out, i ? ", " : "");
            if (out->len - start > SHOWN) {
                mh_buf_str(out, "...");
                break;
            }
            show(out, x, depth + 1);
        }
    else
        yyjson_obj_foreach(v, i, max, k, x)
        {
            mh_buf_str(out, i ? ", " : "");
            if (out->len - start > SHOWN) {
                mh_buf_str(out, "...");
                break;
            }
            mh_buf_printf(out, "%.*s: ", fit(yyjson_get_str(k), 40), yyjson_get_str(k));
            show(out, x, depth + 1);
        }
    mh_buf_char(out, list ? ']' : '}');
}

static bool
plain_list(yyjson_val *v)
{
    size_t i, max;
    yyjson_val *x;
    if (!yyjson_is_arr(v))
        return false;
    yyjson_arr_foreach(v, i, max, x) if (yyjson_is_ctn(x)) return false;
    return true;
}

static void differ(struct walk *w, const char *path, yyjson_val *was, yyjson_val *is, int depth);

static void
add(struct walk *w, const char *path, yyjson_val *was, yyjson_val *is)
{
    if (w->n++ >= MOST) {
        if (w->n == MOST + 1)
            mh_buf_str(w->out, "; ...");
        return;
    }
    mh_buf_printf(w->out, "%s%s%s", w->n > 1 ? "; " : "", path, *path ? ": " : "");
    show(w->out, was, 0);
    mh_buf_str(w->out, " -> ");
    show(w->out, is, 0);
}

static void
differ_objects(struct walk *w, const char *path, yyjson_val *was, yyjson_val *is, int depth)
{
    char below[200];
    size_t i, max;
    yyjson_val *k, *x;
    yyjson_obj_foreach(was, i, max, k, x)
    {
        (void)snprintf(below, sizeof(below), "%.120s%s%.60s", path, *path ? "." : "",
                       yyjson_get_str(k));
        differ(w, below, x, yyjson_obj_get(is, yyjson_get_str(k)), depth + 1);
    }
    yyjson_obj_foreach(is, i, max, k, x)
    {
        (void)snprintf(below, sizeof(below), "%.120s%s%.60s", path, *path ? "." : "",
                       yyjson_get_str(k));
        if (!yyjson_obj_get(was, yyjson_get_str(k)))
            differ(w, below, NULL, x, depth + 1);
    }
}

static void
differ_lists(struct walk *w, const char *path, yyjson_val *was, yyjson_val *is, int depth)
{
    char below[200];
    size_t n = yyjson_arr_size(was), m = yyjson_arr_size(is);
    for (size_t i = 0; (i < n || i < m) && w->n <= MOST; i++) {
        (void)snprintf(below, sizeof(below), "%.160s[%zu]", path, i + 1);
        differ(w, below, i < n ? yyjson_arr_get(was, i) : NULL,
               i < m ? yyjson_arr_get(is, i) : NULL, depth + 1);
    }
}

static void
differ(struct walk *w, const char *path, yyjson_val *was, yyjson_val *is, int depth)
{
    if (was && is && yyjson_equals(was, is))
        return;
    bool plain = plain_list(was) || plain_list(is);
    if (depth < DEPTH && yyjson_is_obj(was) && yyjson_is_obj(is))
        differ_objects(w, path, was, is, depth);
    else if (depth < DEPTH && yyjson_is_arr(was) && yyjson_is_arr(is) && !plain)
        differ_lists(w, path, was, is, depth);
    else
        add(w, path, was, is);
}

bool
mh_policy_diff(struct mh_buf *out, yyjson_val *was, yyjson_val *is)
{
    struct walk w = { .out = out };
    differ(&w, "", was, is, 0);
    return !out->failed;
}
