#include "sandbox/loglines.h"

#include <string.h>
#include <unistd.h>

#include "base/time.h"

#define LINE_MAX_LEN ((size_t)1 << 20)
#define BLOCK 65536

void
mh_sb_loglines_init(struct mh_sb_loglines *l)
{
    mh_buf_init(&l->part, LINE_MAX_LEN);
    l->inside = false;
    l->left_out = false;
}

void
mh_sb_loglines_release(struct mh_sb_loglines *l)
{
    mh_buf_release(&l->part);
}

static void
give(struct mh_sb_loglines *l, int stream, const char *text, size_t len)
{
    if (l->limit >= 0 && (int64_t)len > l->limit)
        len = (size_t)l->limit;
    if (len > 0)
        l->on_text(l->arg, stream, text, len);
    if (l->limit >= 0)
        l->limit -= (int64_t)len;
}

static bool
too_old(const struct mh_sb_loglines *l, const char *time, size_t n)
{
    char text[64];
    int64_t us;
    if (!l->since_us || n >= sizeof(text))
        return false;
    memcpy(text, time, n);
    text[n] = '\0';
    return mh_time_parse(text, &us) && us < l->since_us;
}

/* "TIME stdout F text", without the newline. */
static void
line(struct mh_sb_loglines *l, const char *p, size_t n)
{
    const char *end = p + n;
    const char *stream = memchr(p, ' ', n);
    const char *flag = stream ? memchr(stream + 1, ' ', (size_t)(end - stream - 1)) : NULL;
    const char *text = flag ? memchr(flag + 1, ' ', (size_t)(end - flag - 1)) : NULL;
    if (!text)
        return;
    int fd = strncmp(stream + 1, "stderr", 6) == 0 ? 2 : 1;
    bool whole = flag[1] != 'P';
    if (!l->inside)
        l->left_out = too_old(l, p, (size_t)(stream - p));
    if (!l->left_out) {
        if (l->timestamps && !l->inside)
            give(l, fd, p, (size_t)(stream - p) + 1);
        give(l, fd, text + 1, (size_t)(end - text - 1));
        if (whole)
            give(l, fd, "\n", 1);
    }
    l->inside = !whole;
}

void
mh_sb_loglines_feed(struct mh_sb_loglines *l, const char *data, size_t len)
{
    while (len > 0) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) : len;
        if (!nl) {
            (void)mh_buf_add(&l->part, data, n);
            return;
        }
        if (l->part.len > 0) {
            (void)mh_buf_add(&l->part, data, n);
            line(l, l->part.data, l->part.len);
            mh_buf_reset(&l->part);
        } else {
            line(l, data, n);
        }
        data += n + 1;
        len -= n + 1;
    }
}

int64_t
mh_sb_loglines_tail(int fd, int64_t size, int64_t n)
{
    char block[BLOCK];
    int64_t at = size, lines = 0;
    if (n <= 0)
        return size;
    while (at > 0) {
        int64_t from = at > BLOCK ? at - BLOCK : 0;
        ssize_t got = pread(fd, block, (size_t)(at - from), from);
        if (got != at - from)
            return 0;
        for (int64_t i = got - 1; i >= 0; i--)
            if (block[i] == '\n' && from + i + 1 < size && ++lines == n)
                return from + i + 1;
        at = from;
    }
    return 0;
}
