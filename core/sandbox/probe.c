#include "sandbox/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "net/http_client.h"

#define EAGER_MS 100
#define EAGER_TIMES 100
#define ARGS_MAX 64

struct mh_sb_probe {
    struct mh_sb_probe_spec spec;
    struct mh_arena arena; /* of the texts */
    enum { HTTP, TCP, EXEC } handler;
    const char *url;
    const char *headers[20];
    const char *argv[ARGS_MAX + 1];
    int port;
    int64_t period_ns, timeout_ns;
    int need_good, need_bad;
    /* state */
    int good, bad;
    int tries;
    bool said; /* on_result was called */
    bool is;
    int64_t counted_at; /* when the last regular one was begun */
    bool counts;
    struct mh_timer *timer;
    /* under way */
    bool busy;
    bool hurry;
    struct mh_http_call call;
    struct mh_http_tls tls;
    struct mh_arena call_arena;
    int fd;
    struct event *connecting;
    struct mh_timer *deadline;
    void *command;
};

static void attempt(void *arg);

static int64_t
now(const struct mh_sb_probe *p)
{
    return p->spec.clock.mono_ns(p->spec.clock.self);
}

static void
stop_timer(struct mh_sb_probe *p, struct mh_timer **t)
{
    if (*t)
        p->spec.clock.cancel(p->spec.clock.self, *t);
    *t = NULL;
}

static void
abandon(struct mh_sb_probe *p)
{
    stop_timer(p, &p->deadline);
    if (p->busy && p->handler == HTTP)
        mh_http_cancel(p->spec.http, &p->call);
    if (p->connecting)
        event_free(p->connecting);
    p->connecting = NULL;
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    if (p->command)
        p->spec.exec_stop(p->spec.arg, p->command);
    p->command = NULL;
    p->busy = false;
    mh_arena_release(&p->call_arena);
}

static void
next(struct mh_sb_probe *p)
{
    int64_t wait = p->counted_at + p->period_ns - now(p);
    bool eager = p->spec.kind != MH_SB_LIVENESS && !p->is && p->tries < EAGER_TIMES;
    if (p->hurry)
        wait = 0;
    else if (eager && wait > EAGER_MS * MH_NS_PER_MS)
        wait = EAGER_MS * MH_NS_PER_MS;
    p->hurry = false;
    stop_timer(p, &p->timer);
    p->timer = p->spec.clock.after(p->spec.clock.self, wait > 0 ? wait : 0, attempt, p);
}

static void
say(struct mh_sb_probe *p, bool good, const char *note)
{
    if (p->said && p->is == good)
        return;
    p->said = true;
    p->is = good;
    p->spec.on_result(p->spec.arg, p->spec.kind, good, note);
}

/* Whoever hears of it may free the probe only later: the pod looks after the return. */
static void
finish(struct mh_sb_probe *p, bool good, const char *note)
{
    p->tries++;
    if (good) {
        p->bad = 0;
        p->good++;
    } else if (p->counts) {
        p->good = 0;
        p->bad++;
        if (p->spec.on_failure)
            p->spec.on_failure(p->spec.arg, p->spec.kind, note);
    }
    next(p);
    if (good && p->good >= p->need_good)
        say(p, true, "");
    else if (!good && p->bad >= p->need_bad)
        say(p, false, note);
}

static void
on_http(struct mh_http_call *call)
{
    struct mh_sb_probe *p = call->arg;
    char note[768];
    bool good = call->err.code == MH_OK && call->status >= 200 && call->status < 400;
    if (call->err.code)
        (void)snprintf(note, sizeof(note), "Get \"%s\": %s", p->url, call->err.msg);
    else
        (void)snprintf(note, sizeof(note), "HTTP probe failed with statuscode: %d", call->status);
    p->busy = false;
    mh_arena_release(&p->call_arena);
    finish(p, good, note);
}

static void
on_deadline(void *arg)
{
    struct mh_sb_probe *p = arg;
    p->deadline = NULL;
    abandon(p);
    finish(p, false, p->handler == EXEC ? "command timed out" : "i/o timeout");
}

static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct mh_sb_probe *p = arg;
    int error = 0;
    socklen_t len = sizeof(error);
    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    abandon(p);
    finish(p, error == 0, strerror(error));
}

static void
on_command(void *arg, int code)
{
    struct mh_sb_probe *p = arg;
    p->command = NULL;
    abandon(p);
    finish(p, code == 0, code < 0 ? "command could not be run" : "command failed");
}

static void
begin_http(struct mh_sb_probe *p)
{
    p->tls = (struct mh_http_tls){ .insecure = true };
    p->call = (struct mh_http_call){
        .method = "GET",
        .url = p->url,
        .headers = p->headers[0] ? p->headers : NULL,
        .tls = &p->tls,
        .lane = MH_HTTP_PEERS,
        .connect_timeout_ms = (int)(p->timeout_ns / MH_NS_PER_MS),
        .timeout_ms = (int)(p->timeout_ns / MH_NS_PER_MS),
        .arena = &p->call_arena,
        .done = on_http,
        .arg = p,
    };
    mh_http_start(p->spec.http, &p->call);
}

static void
begin_tcp(struct mh_sb_probe *p)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->port) };
    (void)inet_pton(AF_INET, p->spec.address, &in.sin_addr);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd >= 0 &&
        (connect(p->fd, (const struct sockaddr *)&in, sizeof(in)) == 0 || errno == EINPROGRESS))
        p->connecting = event_new(p->spec.base, p->fd, EV_WRITE, on_connected, p);
    if (p->connecting && event_add(p->connecting, NULL) == 0)
        return;
    abandon(p);
    finish(p, false, strerror(errno));
}

static void
attempt(void *arg)
{
    struct mh_sb_probe *p = arg;
    p->timer = NULL;
    if (p->busy)
        return;
    int64_t at = now(p);
    p->counts = at - p->counted_at >= p->period_ns;
    if (p->counts)
        p->counted_at = at;
    p->busy = true;
    mh_arena_init(&p->call_arena, (size_t)1 << 20);
    if (p->handler == HTTP) {
        begin_http(p);
        return;
    }
    p->deadline = p->spec.clock.after(p->spec.clock.self, p->timeout_ns, on_deadline, p);
    if (p->handler == TCP) {
        begin_tcp(p);
        return;
    }
    p->command = p->spec.exec(p->spec.arg, p->argv, on_command, p);
    if (!p->command)
        on_command(p, -1);
}

void
mh_sb_probe_hurry(struct mh_sb_probe *p)
{
    if (!p)
        return;
    p->hurry = p->busy;
    if (!p->busy) {
        stop_timer(p, &p->timer);
        p->timer = p->spec.clock.after(p->spec.clock.self, 0, attempt, p);
    }
}

/* --- what the probe says --------------------------------------------------------------------- */

static int
port_of(const struct mh_sb_probe_spec *s, yyjson_val *port)
{
    int64_t n = 0;
    size_t i;
    size_t max;
    yyjson_val *item;
    if (yyjson_is_int(port))
        return (int)yyjson_get_int(port);
    const char *name = yyjson_get_str(port);
    if (name && mh_str_int(name, 1, 65535, &n))
        return (int)n;
    yyjson_arr_foreach(s->ports, i, max, item)
    {
        if (name && mh_str_eq(mh_json_str(item, "name", NULL), name))
            return (int)mh_json_int(item, 0, "containerPort", NULL);
    }
    return 0;
}

static bool
read_http(struct mh_sb_probe *p, yyjson_val *get)
{
    const char *scheme = mh_json_str(get, "scheme", NULL);
    const char *host = mh_json_str(get, "host", NULL);
    const char *path = mh_json_str(get, "path", NULL);
    bool tls = scheme && strcmp(scheme, "HTTPS") == 0;
    yyjson_val *header;
    size_t i;
    size_t max;
    size_t n = 0;
    p->handler = HTTP;
    p->port = port_of(&p->spec, yyjson_obj_get(get, "port"));
    p->url = mh_arena_printf(&p->arena, "%s://%s:%d%s%s", tls ? "https" : "http",
                             host ? host : p->spec.address, p->port,
                             path && *path == '/' ? "" : "/", path ? path : "");
    yyjson_arr_foreach(yyjson_obj_get(get, "httpHeaders"), i, max, header)
    {
        const char *name = mh_json_str(header, "name", NULL);
        const char *value = mh_json_str(header, "value", NULL);
        if (n < 18 && name && value)
            p->headers[n++] = mh_arena_printf(&p->arena, "%s: %s", name, value);
    }
    return p->url != NULL;
}

static bool
read_handler(struct mh_sb_probe *p, yyjson_val *probe)
{
    yyjson_val *get = yyjson_obj_get(probe, "httpGet");
    yyjson_val *tcp = yyjson_obj_get(probe, "tcpSocket");
    yyjson_val *command = mh_json_get(probe, "exec", "command", NULL);
    yyjson_val *word;
    size_t i;
    size_t max;
    if (get)
        return read_http(p, get);
    if (tcp) {
        p->handler = TCP;
        p->port = port_of(&p->spec, yyjson_obj_get(tcp, "port"));
        return true;
    }
    if (!command || yyjson_arr_size(command) == 0)
        return false;
    p->handler = EXEC;
    yyjson_arr_foreach(command, i, max, word)
    {
        if (i < ARGS_MAX && !(p->argv[i] = mh_arena_strdup(&p->arena, yyjson_get_str(word))))
            return false;
    }
    return true;
}

struct mh_sb_probe *
mh_sb_probe_new(const struct mh_sb_probe_spec *spec)
{
    struct mh_sb_probe *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    yyjson_val *v = spec->probe;
    p->spec = *spec;
    p->fd = -1;
    mh_arena_init(&p->arena, (size_t)64 << 10);
    mh_arena_init(&p->call_arena, (size_t)1 << 20);
    p->spec.address = mh_arena_strdup(&p->arena, spec->address);
    p->period_ns = mh_json_int(v, 10, "periodSeconds", NULL) * MH_NS_PER_S;
    p->timeout_ns = mh_json_int(v, 1, "timeoutSeconds", NULL) * MH_NS_PER_S;
    p->need_good = (int)mh_json_int(v, 1, "successThreshold", NULL);
    p->need_bad = (int)mh_json_int(v, 3, "failureThreshold", NULL);
    if (!p->spec.address || !read_handler(p, v)) {
        mh_sb_probe_free(p);
        return NULL;
    }
    p->spec.probe = p->spec.ports = NULL;
    p->counted_at = now(p) - p->period_ns;
    p->timer = p->spec.clock.after(p->spec.clock.self,
                                   mh_json_int(v, 0, "initialDelaySeconds", NULL) * MH_NS_PER_S,
                                   attempt, p);
    return p;
}

void
mh_sb_probe_free(struct mh_sb_probe *p)
{
    if (!p)
        return;
    abandon(p);
    stop_timer(p, &p->timer);
    mh_arena_release(&p->arena);
    mh_free(p);
}
