#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void
mh_buf_init(struct mh_buf *b, size_t cap)
{
    *b = (struct mh_buf){ .cap = cap };
}

void
mh_buf_release(struct mh_buf *b)
{
    mh_free(b->data);
    *b = (struct mh_buf){ .cap = b->cap };
}

void
mh_buf_reset(struct mh_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

static bool
reserve(struct mh_buf *b, size_t n)
{
    if (b->failed || n > b->cap - b->len) {
        b->failed = true;
        return false;
    }
    size_t want = b->len + n + 1;
    if (want <= b->size)
        return true;
    size_t size = b->size ? b->size : 64;
    while (size < want)
        size *= 2;
    char *p = mh_realloc(b->data, size);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->data = p;
    b->size = size;
    return true;
}

bool
mh_buf_add(struct mh_buf *b, const void *p, size_t n)
{
    if (!reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
    return true;
}

bool
mh_buf_str(struct mh_buf *b, const char *s)
{
    return mh_buf_add(b, s, strlen(s));
}

bool
mh_buf_char(struct mh_buf *b, char c)
{
    return mh_buf_add(b, &c, 1);
}

bool
mh_buf_printf(struct mh_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = vsnprintf(NULL, 0, fmt, ap);
    bool ok = n >= 0 && reserve(b, (size_t)n);
    if (ok) {
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
#pragma GCC diagnostic pop
    va_end(again);
    va_end(ap);
    return ok;
}

void
mh_buf_drop(struct mh_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
    if (b->data)
        b->data[b->len] = '\0';
}

const char *
mh_buf_text(const struct mh_buf *b)
{
    return b->data ? b->data : "";
}
