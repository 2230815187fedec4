/* exec.c - pods/NAME/exec and attach over WebSocket, subprotocol v5.channel.k8s.io (and v4): the first
 * byte of a message is its channel: 0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize, 255 close.
 *
 * attach shows what the container writes from now on; its stdin is not there. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/connect_in.h"
#include "sandbox/loglines.h"

enum { STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 255 };

#define LOOK_NS (50 * MH_NS_PER_MS)
#define PIECE 32768
/* Clients before 1.33 may throw away what comes before they have made their streams. */
#define GRACE_NS (40 * MH_NS_PER_MS)

struct session {
    struct connect_any any;
    struct mh_sb_connect_env env;
    struct mh_sb_ws *ws;
    struct mh_sb_exec exec;
    struct event *reads[2]; /* stdout, stderr */
    struct event *write;    /* stdin */
    struct mh_buf input;    /* for stdin */
    bool input_ended;
    bool v5; /* knows the channel that closes others */
    bool tty;
    bool started;
    bool exited;
    bool full;              /* the client does not keep up, or is not asked to yet */
    struct mh_timer *timer; /* grace, or the next look */
    /* attach */
    bool attach;
    struct mh_sb_loglines lines;
    int log;
    char ns[64], pod[256], container[64];
};

static void look(void *arg);

/* --- the end ---------------------------------------------------------------------------------------------- */

static void
drop_event(struct event **e)
{
    if (*e)
        event_free(*e);
    *e = NULL;
}

static void
close_input(struct session *s)
{
    drop_event(&s->write);
    if (!s->tty && s->exec.fd[0] >= 0) {
        (void)close(s->exec.fd[0]);
        s->exec.fd[0] = -1;
    }
}

static void
free_session(struct session *s)
{
    s->env.clock.cancel(s->env.clock.self, s->timer);
    drop_event(&s->reads[0]);
    drop_event(&s->reads[1]);
    drop_event(&s->write);
    if (s->started && !s->exited)
        mh_sb_exec_cancel(&s->exec);
    for (int i = 0; s->started && i < 3; i++)
        if (s->exec.fd[i] >= 0)
            (void)close(s->exec.fd[i]);
    if (s->log >= 0)
        (void)close(s->log);
    if (s->attach)
        mh_sb_loglines_release(&s->lines);
    mh_buf_release(&s->input);
    mh_sb_connect_remove(&s->any);
    mh_free(s);
}

static void
end_session(struct connect_any *any)
{
    struct session *s = (struct session *)any;
    mh_sb_ws_close(s->ws, 1001);
    free_session(s);
}

static void
send_channel(struct session *s, int channel, const char *text, size_t len)
{
    unsigned char head = (unsigned char)channel;
    (void)mh_sb_ws_send(s->ws, &head, 1, text, len);
}

/* The last word on the error channel, and the end. */
static void
finish(struct session *s, int exit_code, const char *error)
{
    struct mh_buf b;
    mh_buf_init(&b, 4096);
    if (error) {
        (void)mh_buf_str(&b, "{\"metadata\":{},\"status\":\"Failure\",\"message\":");
        (void)mh_json_quote(&b, error, strlen(error));
        (void)mh_buf_str(&b, ",\"reason\":\"InternalError\",\"code\":500}");
    } else if (exit_code == 0) {
        (void)mh_buf_str(&b, "{\"metadata\":{},\"status\":\"Success\"}");
    } else {
        (void)mh_buf_printf(
            &b,
            "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated "
            "with exit code %d\",\"reason\":\"NonZeroExitCode\",\"details\":{"
            "\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"%d\"}]}}",
            exit_code, exit_code);
    }
    send_channel(s, ERROR, mh_buf_text(&b), b.len);
    mh_buf_release(&b);
    mh_sb_ws_close(s->ws, 1000);
    free_session(s);
}

/* --- output -------------------------------------------------------------------------------------------------- */

/* 1: something came; 0: nothing now; -1: the end. */
static int
pump(struct session *s, int i)
{
    char piece[PIECE];
    int fd = s->exec.fd[s->tty ? 0 : i + 1];
    ssize_t n = fd >= 0 ? read(fd, piece, sizeof(piece)) : 0;
    if (n > 0) {
        send_channel(s, i == 0 ? STDOUT : STDERR, piece, (size_t)n);
        return 1;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* What is still in the pipes, then the end. */
static void
drain(struct session *s)
{
    for (int i = 0; i < (s->tty ? 1 : 2); i++)
        for (int n = 0; n < 256 && pump(s, i) > 0; n++)
            ;
    finish(s, s->exec.exit_code, s->exec.error[0] ? s->exec.error : NULL);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    int i = !s->tty && fd == s->exec.fd[2] ? 1 : 0;
    (void)what;
    if (pump(s, i) < 0) {
        (void)event_del(s->reads[i]);
    } else if (mh_sb_ws_queued(s->ws) > MH_SB_QUEUE_MAX) {
        s->full = true;
        for (int k = 0; k < 2; k++)
            if (s->reads[k])
                (void)event_del(s->reads[k]);
    }
}

static void
go_on(struct session *s)
{
    s->full = false;
    for (int k = 0; k < 2; k++)
        if (s->reads[k])
            (void)event_add(s->reads[k], NULL);
    if (s->exited)
        drain(s);
}

static void
on_drained(void *arg)
{
    struct session *s = arg;
    if (s->full && !s->timer)
        go_on(s);
}

static void
on_grace(void *arg)
{
    struct session *s = arg;
    s->timer = NULL;
    if (s->attach)
        look(s);
    else
        go_on(s);
}

static void
on_exit_process(struct mh_sb_exec *e)
{
    struct session *s = e->arg;
    s->exited = true;
    if (!s->full)
        drain(s);
}

/* --- input ------------------------------------------------------------------------------------------------------ */

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)what;
    ssize_t n = s->input.len ? write(fd, s->input.data, s->input.len) : 0;
    if (n > 0)
        mh_buf_drop(&s->input, (size_t)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        mh_buf_reset(&s->input);
        s->input_ended = true;
    }
    if (s->input.len < MH_SB_QUEUE_MAX)
        mh_sb_ws_pause(s->ws, false);
    if (s->input.len > 0)
        (void)event_add(s->write, NULL);
    else if (s->input_ended)
        close_input(s);
}

static void
take_input(struct session *s, const char *data, size_t len)
{
    if (!s->write || s->input_ended)
        return;
    (void)mh_buf_add(&s->input, data, len);
    (void)event_add(s->write, NULL);
    if (s->input.len >= MH_SB_QUEUE_MAX)
        mh_sb_ws_pause(s->ws, true);
}

static void
resize(struct session *s, const char *data, size_t len)
{
    struct mh_arena a;
    yyjson_val *v;
    mh_arena_init(&a, 64u << 10);
    if (s->started && s->tty && !s->exited && mh_json_parse(&a, data, len, &v, NULL) == MH_OK) {
        int64_t w = mh_json_int(v, 0, "Width", NULL), h = mh_json_int(v, 0, "Height", NULL);
        if (w > 0 && h > 0 && w < 10000 && h < 10000)
            mh_sb_exec_resize(&s->exec, (int)w, (int)h);
    }
    mh_arena_release(&a);
}

static void
on_message(void *arg, const char *data, size_t len)
{
    struct session *s = arg;
    if (len == 0)
        return;
    switch ((unsigned char)data[0]) {
    case STDIN:
        take_input(s, data + 1, len - 1);
        break;
    case RESIZE:
        resize(s, data + 1, len - 1);
        break;
    case CLOSE:
        if (s->v5 && len > 1 && data[1] == STDIN && s->write) {
            s->input_ended = true;
            (void)event_add(s->write, NULL);
        }
        break;
    default:
        break;
    }
}

static void
on_gone(void *arg)
{
    free_session(arg);
}

/* --- attach -------------------------------------------------------------------------------------------------------- */

static void
on_text(void *arg, int stream, const char *text, size_t len)
{
    send_channel(arg, stream, text, len);
}

static void
look(void *arg)
{
    struct session *s = arg;
    char piece[PIECE];
    ssize_t n = 0;
    s->timer = NULL;
    bool alive = mh_sb_node_running(s->env.nodes, s->ns, s->pod, s->container);
    if (mh_sb_ws_queued(s->ws) < MH_SB_QUEUE_MAX)
        while ((n = read(s->log, piece, sizeof(piece))) > 0)
            mh_sb_loglines_feed(&s->lines, piece, (size_t)n);
    if (!alive) {
        finish(s, 0, NULL);
        return;
    }
    s->timer = s->env.clock.after(s->env.clock.self, LOOK_NS, look, s);
    if (!s->timer)
        finish(s, 0, "no memory");
}

static bool
start_attach(struct connect_ask *k, struct session *s, struct mh_err *err)
{
    char path[MH_SB_PATH];
    if (mh_sb_node_log(k->env->nodes, s->ns, s->pod, s->container, false, path, err) != MH_OK)
        return false;
    s->log = open(path, O_RDONLY | O_CLOEXEC);
    if (s->log < 0 || lseek(s->log, 0, SEEK_END) < 0) {
        (void)mh_fail(err, MH_E_NOTFOUND, "container %s has written nothing yet", s->container);
        return false;
    }
    s->lines = (struct mh_sb_loglines){ .limit = -1, .on_text = on_text, .arg = s };
    mh_sb_loglines_init(&s->lines);
    s->attach = true;
    return true;
}

/* --- start ---------------------------------------------------------------------------------------------------------- */

static bool
start_process(struct connect_ask *k, struct session *s, struct mh_err *err)
{
    const char **argv = mh_arena_alloc(k->req->arena, (MH_SB_ARGS_MAX + 1) * sizeof(*argv));
    int n = 0;
    const char *word;
    while (argv && n < MH_SB_ARGS_MAX && (word = mh_sb_connect_query(k, "command", n)))
        argv[n++] = word;
    if (n == 0) {
        (void)mh_fail(err, MH_E_INVALID, "you must specify at least 1 command for the container");
        return false;
    }
    s->exec = (struct mh_sb_exec){ .ns = s->ns,
                                   .pod = s->pod,
                                   .container = s->container,
                                   .argv = argv,
                                   .tty = s->tty,
                                   .want_stdin = mh_sb_connect_flag(k, "stdin"),
                                   .on_exit = on_exit_process,
                                   .arg = s,
                                   .fd = { -1, -1, -1 } };
    if (mh_sb_exec_start(k->env->nodes, &s->exec, err) != MH_OK)
        return false;
    s->exec.argv = NULL; /* the request's */
    s->started = true;
    return true;
}

static bool
add_events(struct session *s)
{
    int out[2] = { s->tty ? s->exec.fd[0] : s->exec.fd[1], s->tty ? -1 : s->exec.fd[2] };
    for (int i = 0; i < 2; i++) {
        if (out[i] < 0)
            continue;
        s->reads[i] = event_new(s->env.base, out[i], EV_READ | EV_PERSIST, on_readable, s);
        if (!s->reads[i])
            return false;
    }
    if (s->exec.fd[0] < 0)
        return true;
    if (!s->exec.want_stdin) {
        close_input(s);
        return true;
    }
    s->write = event_new(s->env.base, s->exec.fd[0], EV_WRITE, on_writable, s);
    return s->write != NULL;
}

void
mh_sb_exec(struct connect_ask *k, bool attach)
{
    static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io", NULL };
    struct mh_request *http = mh_sb_door_http(k->req);
    struct mh_err err = { 0 };
    int chosen = 0;
    const char *container = mh_sb_connect_container(k);
    if (!container)
        return;
    if (!mh_sb_ws_wanted(http)) {
        mh_sb_connect_refuse(k, 400, "BadRequest", "the sandbox speaks WebSocket here only");
        return;
    }
    struct session *s = mh_calloc(1, sizeof(*s));
    if (!s) {
        mh_sb_connect_refuse(k, 500, "InternalError", "no memory");
        return;
    }
    s->env = *k->env;
    s->log = -1;
    s->tty = mh_sb_connect_flag(k, "tty") && !attach;
    mh_buf_init(&s->input, (size_t)8 << 20);
    mh_str_copy(s->ns, sizeof(s->ns), k->at->ns);
    mh_str_copy(s->pod, sizeof(s->pod), k->at->name);
    mh_str_copy(s->container, sizeof(s->container), container);
    mh_sb_connect_add(&s->any, end_session);
    if (attach ? !start_attach(k, s, &err) : !start_process(k, s, &err)) {
        mh_sb_connect_error(k, &err);
        free_session(s);
        return;
    }
    struct mh_sb_ws_fns fns = { on_message, on_drained, on_gone, s };
    s->ws = mh_sb_ws_accept(http, protocols, &chosen, &fns);
    mh_sb_door_taken(k->req);
    if (!s->ws) {
        free_session(s);
        return;
    }
    s->v5 = chosen == 0;
    s->full = true;
    s->timer = s->env.clock.after(s->env.clock.self, GRACE_NS, on_grace, s);
    if (!s->timer || (!attach && !add_events(s)))
        finish(s, 0, "no memory");
}
