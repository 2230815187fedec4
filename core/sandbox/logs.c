/* logs.c - pods/NAME/log: the log of a container, whole or its end, once or as it grows. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/connect_in.h"
#include "sandbox/loglines.h"

#define LOOK_NS (50 * MH_NS_PER_MS)
#define PIECE 65536
#define TURN_MAX (16 * PIECE)

struct log {
    struct connect_any any;
    struct mh_sb_connect_env env;
    struct mh_stream *stream;
    struct mh_timer *timer;
    struct mh_sb_loglines lines;
    int fd;
    bool follow;
    char ns[64], pod[256], container[64];
};

static void
free_log(struct log *l)
{
    l->env.clock.cancel(l->env.clock.self, l->timer);
    mh_sb_connect_remove(&l->any);
    mh_sb_loglines_release(&l->lines);
    if (l->fd >= 0)
        (void)close(l->fd);
    mh_free(l);
}

static void
end_log(struct connect_any *any)
{
    struct log *l = (struct log *)any;
    mh_stream_close(l->stream);
    free_log(l);
}

static void
on_gone(void *arg)
{
    free_log(arg);
}

static void
on_text(void *arg, int stream, const char *text, size_t len)
{
    struct log *l = arg;
    (void)stream;
    (void)mh_stream_send(l->stream, text, len);
}

/* Reads what is there; false: the end of the file. */
static bool
read_some(struct log *l)
{
    char piece[PIECE];
    for (int n = 0; n < TURN_MAX; n += PIECE) {
        ssize_t got = read(l->fd, piece, sizeof(piece));
        if (got <= 0)
            return false;
        mh_sb_loglines_feed(&l->lines, piece, (size_t)got);
    }
    return true;
}

static void
look(void *arg)
{
    struct log *l = arg;
    bool more = true, alive;
    l->timer = NULL;
    /* asked before reading: what was written before the end is read */
    alive = l->follow && mh_sb_node_running(l->env.nodes, l->ns, l->pod, l->container);
    if (mh_stream_queued(l->stream) < MH_SB_QUEUE_MAX)
        more = read_some(l);
    if ((!more && !alive) || l->lines.limit == 0) {
        end_log(&l->any);
        return;
    }
    l->timer = l->env.clock.after(l->env.clock.self, more ? MH_NS_PER_MS : LOOK_NS, look, l);
    if (!l->timer)
        end_log(&l->any);
}

/* --- the request --------------------------------------------------------------------------------------------- */

static bool
number(struct connect_ask *k, const char *name, int64_t absent, int64_t *out)
{
    const char *s = mh_sb_connect_query(k, name, 0);
    *out = absent;
    if (!s || mh_str_int(s, 0, INT64_MAX, out))
        return true;
    mh_sb_connect_refuse(k, 400, "BadRequest",
                         mh_arena_printf(k->req->arena, "invalid value for %s", name));
    return false;
}

static bool
since(struct connect_ask *k, int64_t *us)
{
    int64_t seconds = 0;
    const char *s = mh_sb_connect_query(k, "sinceTime", 0);
    *us = 0;
    if (!number(k, "sinceSeconds", 0, &seconds))
        return false;
    if (seconds > 0)
        *us = k->env->clock.wall_us(k->env->clock.self) - seconds * 1000000;
    if (s && !mh_time_parse(s, us)) {
        mh_sb_connect_refuse(k, 400, "BadRequest", "invalid value for sinceTime");
        return false;
    }
    return true;
}

/* Why there is no log: the container waits, or had no run before. */
static void
refuse_missing(struct connect_ask *k, const char *container, bool previous)
{
    struct mh_arena *a = k->req->arena;
    size_t i, n;
    yyjson_val *c;
    const char *why = "ContainerCreating";
    if (previous) {
        mh_sb_connect_refuse(
            k, 400, "BadRequest",
            mh_arena_printf(a, "previous terminated container \"%s\" in pod \"%s\" not found",
                            container, k->at->name));
        return;
    }
    yyjson_arr_foreach(mh_json_get(k->pod, "status", "containerStatuses", NULL), i, n, c)
    {
        const char *s = mh_json_str(c, "state", "waiting", "reason", NULL);
        if (s && mh_str_eq(mh_json_str(c, "name", NULL), container))
            why = s;
    }
    mh_sb_connect_refuse(k, 400, "BadRequest",
                         mh_arena_printf(a,
                                         "container \"%s\" in pod \"%s\" is waiting to start: %s",
                                         container, k->at->name, why));
}

static void
start(struct connect_ask *k, struct log *l, int64_t tail)
{
    struct stat st;
    if (tail >= 0 && fstat(l->fd, &st) == 0)
        (void)lseek(l->fd, mh_sb_loglines_tail(l->fd, st.st_size, tail), SEEK_SET);
    l->stream = mh_stream_start(mh_sb_door_http(k->req), "text/plain");
    mh_sb_door_taken(k->req);
    if (!l->stream) {
        mh_sb_loglines_release(&l->lines);
        (void)close(l->fd);
        mh_free(l);
        return;
    }
    mh_sb_connect_add(&l->any, end_log);
    mh_stream_on_close(l->stream, on_gone, l);
    look(l);
}

void
mh_sb_logs(struct connect_ask *k)
{
    char path[MH_SB_PATH];
    struct mh_err err;
    int64_t tail, limit, from;
    bool previous = mh_sb_connect_flag(k, "previous");
    if (!number(k, "tailLines", -1, &tail) || !number(k, "limitBytes", -1, &limit) ||
        !since(k, &from))
        return;
    const char *container = mh_sb_connect_container(k);
    if (!container)
        return;
    if (mh_sb_node_log(k->env->nodes, k->at->ns, k->at->name, container, previous, path, &err)) {
        refuse_missing(k, container, previous);
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct log *l = fd >= 0 ? mh_calloc(1, sizeof(*l)) : NULL;
    if (!l) {
        if (fd >= 0)
            (void)close(fd);
        refuse_missing(k, container, previous);
        return;
    }
    l->env = *k->env;
    l->fd = fd;
    l->follow = mh_sb_connect_flag(k, "follow") && !previous;
    l->lines = (struct mh_sb_loglines){ .timestamps = mh_sb_connect_flag(k, "timestamps"),
                                        .since_us = from,
                                        .limit = limit,
                                        .on_text = on_text,
                                        .arg = l };
    mh_sb_loglines_init(&l->lines);
    mh_str_copy(l->ns, sizeof(l->ns), k->at->ns);
    mh_str_copy(l->pod, sizeof(l->pod), k->at->name);
    mh_str_copy(l->container, sizeof(l->container), container);
    start(k, l, tail);
}
