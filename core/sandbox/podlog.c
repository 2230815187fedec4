#include "sandbox/podlog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"

#define LINE_MAX_ ((size_t)16 << 10)
#define OUT_MAX ((size_t)1 << 20)

struct stream {
    struct mh_sb_podlog *log;
    struct event *event;
    int fd;
    const char *name;
    struct mh_buf buf;
};

struct mh_sb_podlog {
    struct mh_clock clock;
    int file;
    struct stream streams[2];
};

static void
put(struct mh_sb_podlog *l, struct mh_buf *out, const struct stream *s, size_t len, bool full)
{
    char at[MH_TIME_TEXT];
    mh_time_rfc3339_micro(at, l->clock.wall_us(l->clock.self));
    (void)mh_buf_str(out, at);
    (void)mh_buf_char(out, ' ');
    (void)mh_buf_str(out, s->name);
    (void)mh_buf_str(out, full ? " F " : " P ");
    (void)mh_buf_add(out, s->buf.data, len);
    (void)mh_buf_char(out, '\n');
}

static void
write_out(const struct mh_sb_podlog *l, const struct mh_buf *out)
{
    size_t at = 0;
    while (at < out->len) {
        ssize_t n = write(l->file, out->data + at, out->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        at += (size_t)n;
    }
}

/* Writes the whole lines that are there; at the end also what is left. */
static void
cut(struct stream *s, bool end)
{
    struct mh_buf out;
    char *nl;
    mh_buf_init(&out, OUT_MAX);
    while (s->buf.len > 0) {
        nl = memchr(s->buf.data, '\n', s->buf.len);
        size_t len = nl ? (size_t)(nl - s->buf.data) : s->buf.len;
        if (!nl && !end && len < LINE_MAX_)
            break;
        size_t piece = len < LINE_MAX_ ? len : LINE_MAX_;
        bool full = (nl || end) && piece == len;
        put(s->log, &out, s, piece, full);
        mh_buf_drop(&s->buf, piece + (full && nl ? 1 : 0));
        if (out.len > OUT_MAX / 2) {
            write_out(s->log, &out);
            mh_buf_reset(&out);
        }
    }
    write_out(s->log, &out);
    mh_buf_release(&out);
}

static bool
take(struct stream *s, int rounds)
{
    char chunk[16384];
    while (rounds-- > 0) {
        ssize_t n = read(s->fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        (void)mh_buf_add(&s->buf, chunk, (size_t)n);
        cut(s, false);
    }
    return true;
}

static void
end(struct stream *s)
{
    if (s->fd < 0)
        return;
    cut(s, true);
    mh_buf_release(&s->buf);
    if (s->event)
        event_free(s->event);
    s->event = NULL;
    (void)close(s->fd);
    s->fd = -1;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    if (!take(arg, 8))
        end(arg);
}

static bool
begin(struct mh_sb_podlog *l, int i, struct event_base *base, int *write_end)
{
    int fds[2];
    struct stream *s = &l->streams[i];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    *s = (struct stream){ .log = l, .fd = fds[0], .name = i ? "stderr" : "stdout" };
    *write_end = fds[1];
    mh_buf_init(&s->buf, 4 * LINE_MAX_);
    (void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->event = event_new(base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    return s->event && event_add(s->event, NULL) == 0;
}

struct mh_sb_podlog *
mh_sb_podlog_open(struct event_base *base, const struct mh_clock *clock, const char *path,
                  int fds[2], struct mh_err *err)
{
    struct mh_sb_podlog *l = mh_calloc(1, sizeof(*l));
    fds[0] = fds[1] = -1;
    if (!l) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for a log");
        return NULL;
    }
    l->clock = *clock;
    l->streams[0].fd = l->streams[1].fd = -1;
    l->file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (l->file >= 0 && begin(l, 0, base, &fds[0]) && begin(l, 1, base, &fds[1]))
        return l;
    (void)mh_fail(err, MH_E_IO, "cannot write the log %s: %s", path, strerror(errno));
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
        fds[i] = -1;
    }
    mh_sb_podlog_close(l);
    return NULL;
}

void
mh_sb_podlog_close(struct mh_sb_podlog *l)
{
    if (!l)
        return;
    for (int i = 0; i < 2; i++) {
        if (l->streams[i].fd >= 0 && l->streams[i].event)
            (void)take(&l->streams[i], 2 + (1 << 20) / 16384);
        end(&l->streams[i]);
    }
    if (l->file >= 0)
        (void)close(l->file);
    mh_free(l);
}

const char *
mh_sb_podlog_tail(struct mh_arena *a, const char *path, size_t max)
{
    struct mh_buf out;
    size_t raw = 2 * max + 4096; /* with the stamps */
    char *text = mh_arena_alloc(a, raw + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n = 0;
    if (fd >= 0 && text)
        n = pread(fd, text, raw, size > (off_t)raw ? size - (off_t)raw : 0);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return "";
    text[n] = '\0';
    mh_buf_init(&out, raw + 16);
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        const char *body = line;
        for (int i = 0; i < 3 && body < line + len; i++) {
            const char *space = memchr(body, ' ', (size_t)(line + len - body));
            body = space ? space + 1 : line + len;
        }
        (void)mh_buf_add(&out, body, (size_t)(line + len - body));
        (void)mh_buf_char(&out, '\n');
        line += len + (line[len] == '\n');
    }
    size_t skip = out.len > max ? out.len - max : 0;
    const char *tail = mh_arena_strdup(a, mh_buf_text(&out) + skip);
    mh_buf_release(&out);
    return tail ? tail : "";
}
