#include "lua/plugin_child.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "lua/frame.h"
#include "lua/plugin_worker.h"
#include "lua/spawn.h"

#define START_MS 5000
#define SLICE_MS 2000 /* the VM ends a script after 200 ms of its own time */
#define BACK_OFF_MS 1000
#define REAP_MS 20

enum state { NONE, STARTING, IDLE, BUSY, ASKING, DYING };

struct mh_plugin_child {
    struct event_base *base;
    const char *const *argv;
    enum state state;
    struct mh_spawned proc;
    struct bufferevent *io;
    struct event *deadline; /* of the start or of a slice */
    struct event *turn;     /* the next job, the reaping, the rest after a failed start */
    struct mh_plugin_job *jobs;
    struct mh_plugin_job *failed; /* answered, done not called yet */
    unsigned kills;
};

static const char *const default_argv[] = { "/proc/self/exe", "plugin-worker", NULL };

static void
after(struct event *e, int ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
    (void)evtimer_add(e, &tv);
}

static void
unlink_job(struct mh_plugin_job **at, const struct mh_plugin_job *job)
{
    while (*at && *at != job)
        at = &(*at)->next;
    if (*at)
        *at = job->next;
}

/* The first job is over; nothing of it is touched after done. */
static void
finish(struct mh_plugin_child *c)
{
    struct mh_plugin_job *job = c->jobs;
    c->jobs = job->next;
    mh_free(job->frame);
    job->frame = NULL;
    after(c->turn, 0);
    job->done(job);
}

/* Ends the process; the job that ran fails. */
static void
lose(struct mh_plugin_child *c, enum mh_code code, const char *why)
{
    enum state was = c->state;
    if (c->io)
        bufferevent_free(c->io);
    c->io = NULL;
    (void)evtimer_del(c->deadline);
    mh_spawn_kill(&c->proc);
    c->state = DYING;
    c->kills++;
    after(c->turn, was == STARTING ? BACK_OFF_MS : 1);
    if (was == STARTING)
        mh_warn("plugin", "child not ready", "error", why);
    if (c->jobs && (was == BUSY || was == ASKING)) {
        mh_fail(&c->jobs->err, code, "%s", why);
        finish(c);
    }
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    lose(arg, MH_E_LIMIT, "the plugin did not answer in time and was killed");
}

static void
on_lost(struct bufferevent *io, short what, void *arg)
{
    (void)io, (void)what;
    lose(arg, MH_E_LIMIT, "the plugin's process ended while it ran, likely for want of memory");
}

/* {"effect","args"}: the time that follows is ours. */
static void
take_question(struct mh_plugin_child *c, yyjson_val *v)
{
    struct mh_plugin_job *job = c->jobs;
    const char *name = mh_json_str(v, "effect", NULL);
    yyjson_val *args = yyjson_obj_get(v, "args");
    const char *const *known = mh_plugin_effects;
    while (*known && !mh_str_eq(*known, name))
        known++;
    if (!*known || !yyjson_is_arr(args) || !job->effect) {
        lose(c, MH_E_SCRIPT, "the plugin asked for what there is not");
    } else if (++job->asked > MH_PLUGIN_ASKS_MAX) {
        lose(c, MH_E_LIMIT, "the plugin asked more than 60 times in one observe");
    } else {
        c->state = ASKING;
        (void)evtimer_del(c->deadline);
        job->effect(job, *known, args);
    }
}

static void
take_answer(struct mh_plugin_child *c, yyjson_val *v)
{
    struct mh_plugin_job *job = c->jobs;
    const char *message = mh_json_str(v, "message", NULL);
    (void)evtimer_del(c->deadline);
    c->state = IDLE;
    job->value = yyjson_obj_get(v, "value");
    job->traceback = mh_json_str(v, "traceback", NULL);
    if (!mh_json_bool(v, false, "ok", NULL))
        mh_fail(&job->err, MH_E_SCRIPT, "%s", message ? message : "the plugin failed");
    else if (!job->value)
        mh_fail(&job->err, MH_E_SCRIPT, "the plugin returned nothing");
    finish(c);
}

static void
on_frame(struct mh_plugin_child *c, const char *data, size_t len)
{
    yyjson_val *v = NULL;
    if (c->state == STARTING) {
        (void)evtimer_del(c->deadline);
        c->state = IDLE;
        after(c->turn, 0);
    } else if (c->state != BUSY || !c->jobs) {
        lose(c, MH_E_SCRIPT, "the plugin spoke without being asked");
    } else if (mh_json_parse(c->jobs->arena, data, len, &v, NULL) != MH_OK || !yyjson_is_obj(v)) {
        lose(c, MH_E_LIMIT, "the plugin's answer is not readable or too large");
    } else if (yyjson_obj_get(v, "effect")) {
        take_question(c, v);
    } else {
        take_answer(c, v);
    }
}

static void
on_readable(struct bufferevent *io, void *arg)
{
    struct mh_plugin_child *c = arg;
    struct evbuffer *in = bufferevent_get_input(io);
    char head[4];
    if (evbuffer_copyout(in, head, 4) < 4)
        return;
    size_t len = mh_frame_length(head);
    if (len > MH_PLUGIN_FRAME_MAX) {
        lose(c, MH_E_LIMIT, "the plugin's answer is over 4 MiB");
        return;
    }
    if (evbuffer_get_length(in) < 4 + len)
        return;
    (void)evbuffer_drain(in, 4);
    char *data = mh_malloc(len + 1);
    if (!data) {
        lose(c, MH_E_NOMEM, "no memory for the plugin's answer");
        return;
    }
    (void)evbuffer_remove(in, data, len);
    if (evbuffer_get_length(in) > 0) /* who says more than it is asked is not asked again */
        lose(c, MH_E_SCRIPT, "the plugin spoke without being asked");
    else
        on_frame(c, data, len);
    mh_free(data);
}

static bool
start_process(struct mh_plugin_child *c)
{
    struct mh_err err;
    if (mh_spawn(c->argv, &c->proc, &err) != MH_OK) {
        mh_log_err(MH_LOG_WARNING, "plugin", "no child", &err);
        return false;
    }
    c->state = STARTING;
    c->io = bufferevent_socket_new(c->base, c->proc.fd, 0);
    if (!c->io) {
        lose(c, MH_E_NOMEM, "no memory");
        return true;
    }
    bufferevent_setwatermark(c->io, EV_READ, 0, MH_PLUGIN_FRAME_MAX + 8);
    bufferevent_setcb(c->io, on_readable, NULL, on_lost, c);
    (void)bufferevent_enable(c->io, EV_READ | EV_WRITE);
    after(c->deadline, START_MS);
    return true;
}

static bool
write_frame(struct mh_plugin_child *c, const char *json, size_t len)
{
    char head[4] = { (char)(len & 0xff), (char)(len >> 8 & 0xff), (char)(len >> 16 & 0xff),
                     (char)(len >> 24 & 0xff) };
    c->state = BUSY;
    after(c->deadline, SLICE_MS);
    return bufferevent_write(c->io, head, 4) == 0 && bufferevent_write(c->io, json, len) == 0;
}

static void
tell_failed(struct mh_plugin_child *c)
{
    while (c->failed) {
        struct mh_plugin_job *job = c->failed;
        c->failed = job->next;
        job->done(job);
    }
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct mh_plugin_child *c = arg;
    (void)fd, (void)what;
    tell_failed(c);
    if (c->state == DYING) {
        if (!mh_spawn_reap(&c->proc)) {
            after(c->turn, REAP_MS);
            return;
        }
        c->state = NONE;
    }
    if (!c->jobs)
        return;
    if (c->state == NONE && !start_process(c))
        after(c->turn, BACK_OFF_MS);
    else if (c->state == IDLE && !write_frame(c, c->jobs->frame, c->jobs->frame_len))
        lose(c, MH_E_NOMEM, "no memory for a question to the plugin");
}

struct mh_plugin_child *
mh_plugin_child_new(struct event_base *base, const char *const *argv)
{
    struct mh_plugin_child *c = mh_calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->base = base;
    c->argv = argv ? argv : default_argv;
    c->proc = (struct mh_spawned){ .pidfd = -1, .fd = -1 };
    c->deadline = evtimer_new(base, on_deadline, c);
    c->turn = evtimer_new(base, on_turn, c);
    if (!c->deadline || !c->turn) {
        mh_plugin_child_free(c);
        return NULL;
    }
    return c;
}

void
mh_plugin_child_free(struct mh_plugin_child *c)
{
    if (!c)
        return;
    while (c->jobs) {
        mh_free(c->jobs->frame);
        c->jobs = c->jobs->next;
    }
    if (c->io)
        bufferevent_free(c->io);
    mh_spawn_kill(&c->proc);
    for (int i = 0; i < 100 && !mh_spawn_reap(&c->proc); i++)
        (void)usleep(2000);
    if (c->deadline)
        event_free(c->deadline);
    if (c->turn)
        event_free(c->turn);
    mh_free(c);
}

void
mh_plugin_child_start(struct mh_plugin_child *c, struct mh_plugin_job *job)
{
    struct mh_plugin_job **at = &c->jobs;
    job->err = (struct mh_err){ .code = MH_OK };
    job->child = c;
    job->next = NULL;
    job->asked = 0;
    job->value = NULL;
    job->traceback = NULL;
    job->frame = job->request_len <= MH_PLUGIN_FRAME_MAX ? mh_malloc(job->request_len + 1) : NULL;
    job->frame_len = job->request_len;
    if (job->frame)
        memcpy(job->frame, job->request, job->request_len);
    else
        at = &c->failed;
    while (*at)
        at = &(*at)->next;
    *at = job;
    if (!job->frame)
        mh_fail(&job->err, MH_E_LIMIT, "what the plugin is to see is over 4 MiB, or no memory");
    after(c->turn, 0);
}

void
mh_plugin_child_answer(struct mh_plugin_job *job, const char *json, size_t len)
{
    struct mh_plugin_child *c = job->child;
    if (c->state != ASKING || c->jobs != job)
        return;
    if (len > MH_PLUGIN_FRAME_MAX || !write_frame(c, json, len))
        lose(c, MH_E_LIMIT, "what the plugin asked for is over 4 MiB");
}

void
mh_plugin_child_cancel(struct mh_plugin_job *job)
{
    struct mh_plugin_child *c = job->child;
    bool runs = c->jobs == job && (c->state == BUSY || c->state == ASKING);
    unlink_job(&c->jobs, job);
    unlink_job(&c->failed, job);
    mh_free(job->frame);
    job->frame = NULL;
    if (runs) {
        c->state = IDLE; /* nobody is told */
        lose(c, MH_E_CANCELLED, "cancelled");
    }
}

int
mh_plugin_child_pid(const struct mh_plugin_child *c)
{
    return c->state == DYING ? 0 : (int)c->proc.pid;
}

unsigned
mh_plugin_child_kills(const struct mh_plugin_child *c)
{
    return c->kills;
}
