#include "instance/pglog.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define LINE_CAP ((size_t)60 << 10)
#define READ_BYTES ((size_t)64 << 10)
#define READS_A_TURN 16 /* then others on the loop get their turn */

enum kind { PIPE_CSV, PIPE_TEXT, PIPE_JSON, PIPES };

struct pipe_in {
    struct mh_pglog *owner;
    enum kind kind;
    int fd;
    struct event *event;
    struct mh_buf line; /* PIPE_TEXT, PIPE_JSON */
    bool skipping;      /* the rest of a line that was too long */
};

struct mh_pglog {
    struct pipe_in in[PIPES];
    struct mh_csv csv;
    char buffer[READ_BYTES];
};

/* --- output ----------------------------------------------------------------------------------- */

static void
on_record(void *arg, const char *const *fields, int nfields, bool cut)
{
    struct mh_buf b;
    (void)arg;
    mh_buf_init(&b, (size_t)400 << 10);
    const char *logger = mh_pglog_record(&b, fields, nfields);
    const char *flag = cut ? "true" : NULL;
    if (!logger)
        mh_info("postgres", "unreadable record", "source", fields[0]);
    else if (strcmp(logger, "pgaudit") == 0)
        mh_info("pgaudit", "record", "=record", b.data, "=cut", flag);
    else
        mh_info("postgres", "record", "=record", b.data, "=cut", flag);
    mh_buf_release(&b);
}

static bool
is_json_object(const char *line, size_t len)
{
    struct mh_arena a;
    yyjson_val *v = NULL;
    if (len < 2 || line[0] != '{')
        return false;
    mh_arena_init(&a, (size_t)4 << 20);
    bool ok = mh_json_parse(&a, line, len, &v, NULL) == MH_OK && yyjson_is_obj(v);
    mh_arena_release(&a);
    return ok;
}

static void
put_line(struct pipe_in *in)
{
    const char *text = mh_buf_text(&in->line);
    if (in->line.len == 0)
        return;
    if (in->kind == PIPE_JSON && !in->skipping && is_json_object(text, in->line.len))
        mh_log_raw(text, in->line.len);
    else
        mh_info("postgres", "text", "source", text, "=cut", in->skipping ? "true" : NULL);
}

static void
lines(struct pipe_in *in, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            put_line(in);
            mh_buf_reset(&in->line);
            in->skipping = false;
        } else if (in->line.len >= LINE_CAP) {
            in->skipping = true;
        } else {
            (void)mh_buf_char(&in->line, p[i] ? p[i] : '?');
        }
    }
}

/* --- input ------------------------------------------------------------------------------------ */

static void
take_in(struct pipe_in *in, int reads)
{
    struct mh_pglog *p = in->owner;
    while (reads-- > 0) {
        ssize_t n = read(in->fd, p->buffer, sizeof(p->buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        if (in->kind == PIPE_CSV)
            mh_csv_feed(&p->csv, p->buffer, (size_t)n);
        else
            lines(in, p->buffer, (size_t)n);
    }
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    take_in(arg, READS_A_TURN);
}

static enum mh_code
open_pipe(struct pipe_in *in, struct event_base *base, const char *dir, struct mh_err *err)
{
    static const char *const names[PIPES] = { "postgres.csv", "postgres", "postgres.json" };
    char path[512];
    struct stat st;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, names[in->kind]) >= sizeof(path))
        return mh_fail(err, MH_E_INVALID, "log pipe: the folder's name is too long");
    if (lstat(path, &st) == 0 && !S_ISFIFO(st.st_mode) && unlink(path) != 0)
        return mh_fail(err, MH_E_IO, "log pipe %s: cannot replace what is there: %s", path,
                       strerror(errno));
    if (mkfifo(path, 0600) != 0 && errno != EEXIST)
        return mh_fail(err, MH_E_IO, "log pipe %s: %s", path, strerror(errno));
    in->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (in->fd < 0)
        return mh_fail(err, MH_E_IO, "log pipe %s: %s", path, strerror(errno));
    (void)fcntl(in->fd, F_SETPIPE_SZ, 1 << 20);
    in->event = event_new(base, in->fd, EV_READ | EV_PERSIST, on_readable, in);
    if (!in->event || event_add(in->event, NULL) != 0)
        return mh_fail(err, MH_E_NOMEM, "log pipe: no memory");
    return MH_OK;
}

struct mh_pglog *
mh_pglog_new(struct event_base *base, const char *dir, struct mh_err *err)
{
    struct mh_pglog *p = mh_calloc(1, sizeof(*p));
    if (!p) {
        (void)mh_fail(err, MH_E_NOMEM, "log pipe: no memory");
        return NULL;
    }
    mh_csv_init(&p->csv, on_record, p);
    for (int i = 0; i < PIPES; i++) {
        p->in[i] = (struct pipe_in){ .owner = p, .kind = (enum kind)i, .fd = -1 };
        mh_buf_init(&p->in[i].line, LINE_CAP);
    }
    enum mh_code code = MH_OK;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        code = mh_fail(err, MH_E_IO, "log folder %s: %s", dir, strerror(errno));
    for (int i = 0; !code && i < PIPES; i++)
        code = open_pipe(&p->in[i], base, dir, err);
    if (!code)
        return p;
    mh_pglog_free(p);
    return NULL;
}

void
mh_pglog_drain(struct mh_pglog *p)
{
    for (int i = 0; i < PIPES; i++)
        take_in(&p->in[i], READS_A_TURN * 4);
}

void
mh_pglog_restarted(struct mh_pglog *p)
{
    mh_pglog_drain(p);
    mh_csv_reset(&p->csv);
}

void
mh_pglog_free(struct mh_pglog *p)
{
    if (!p)
        return;
    for (int i = 0; i < PIPES; i++) {
        if (p->in[i].event)
            event_free(p->in[i].event);
        if (p->in[i].fd >= 0)
            (void)close(p->in[i].fd);
        mh_buf_release(&p->in[i].line);
    }
    mh_csv_release(&p->csv);
    mh_free(p);
}
