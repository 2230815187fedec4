/* service_forward.c - a Service's address accepts, and bytes go to and fro.
 *
 * A connection is two sockets with a buffer each way. The one who reads less is not overrun: at
 * most HIGH bytes wait. The end of one direction is passed on, the other goes on. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/service_in.h"

#define HIGH ((size_t)256 << 10)

struct mh_sb_forward {
    struct mh_sb_control *c;
    struct mh_sb_forward *next, *prev;
    struct mh_sb_front *front;
    struct evconnlistener *listener;
};

/* One connection through the forwarder. */
struct mh_sb_pipe {
    struct mh_sb_services *s;
    struct mh_sb_pipe *next, *prev;
    struct bufferevent *end[2]; /* client, pod */
    bool eof[2];                /* this end sends no more */
    bool connected;
};

static void
free_pipe(struct mh_sb_pipe *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        p->s->pipes = p->next;
    if (p->next)
        p->next->prev = p->prev;
    for (int i = 0; i < 2; i++) {
        if (p->end[i])
            bufferevent_free(p->end[i]);
    }
    mh_free(p);
}

/* The client shall see a reset, as from an address where nobody listens. */
static void
reset(struct mh_sb_pipe *p)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(bufferevent_getfd(p->end[0]), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    free_pipe(p);
}

static int
side(const struct mh_sb_pipe *p, const struct bufferevent *b)
{
    return b == p->end[1];
}

/* All that one end sent has gone to the other: that one hears of the end too. */
static void
pass_end(struct mh_sb_pipe *p, int from)
{
    struct bufferevent *to = p->end[!from];
    if (evbuffer_get_length(bufferevent_get_output(to)) > 0)
        return;
    (void)shutdown(bufferevent_getfd(to), SHUT_WR);
    if (p->eof[!from] && evbuffer_get_length(bufferevent_get_output(p->end[from])) == 0)
        free_pipe(p);
}

static void
on_read(struct bufferevent *b, void *arg)
{
    struct mh_sb_pipe *p = arg;
    int from = side(p, b);
    struct evbuffer *out = bufferevent_get_output(p->end[!from]);
    if (from == 0 && !p->connected)
        return;
    (void)evbuffer_add_buffer(out, bufferevent_get_input(b));
    if (evbuffer_get_length(out) >= HIGH)
        (void)bufferevent_disable(b, EV_READ);
}

static void
on_drained(struct bufferevent *b, void *arg)
{
    struct mh_sb_pipe *p = arg;
    int to = side(p, b);
    if (p->eof[!to])
        pass_end(p, !to);
    else
        (void)bufferevent_enable(p->end[!to], EV_READ);
}

static void
on_event(struct bufferevent *b, short what, void *arg)
{
    struct mh_sb_pipe *p = arg;
    int from = side(p, b);
    if (what & BEV_EVENT_CONNECTED) {
        p->connected = true;
        on_read(p->end[0], p);
        if (p->eof[0])
            pass_end(p, 0);
    } else if ((what & BEV_EVENT_EOF) && p->connected) {
        on_read(b, p);
        p->eof[from] = true;
        (void)bufferevent_disable(b, EV_READ);
        pass_end(p, from);
    } else if ((what & BEV_EVENT_EOF) && from == 0) {
        p->eof[0] = true;
        (void)bufferevent_disable(b, EV_READ);
    } else if (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)) {
        reset(p);
    }
}

static struct bufferevent *
wrap(struct mh_sb_pipe *p, struct event_base *loop, int fd)
{
    int one = 1;
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct bufferevent *b = bufferevent_socket_new(loop, fd, BEV_OPT_CLOSE_ON_FREE);
    if (b) {
        bufferevent_setcb(b, on_read, on_drained, on_event, p);
        bufferevent_setwatermark(b, EV_READ, 0, HIGH);
    }
    return b;
}

/* A socket to the pod that has the client's address, if that is one of the sandbox: the pod sees who
 * connects, as behind kube-proxy. */
static int
socket_as(const struct sockaddr *client)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in from;
    if (fd < 0 || client->sa_family != AF_INET)
        return fd;
    memcpy(&from, client, sizeof(from));
    from.sin_port = 0;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    (void)bind(fd, (const struct sockaddr *)&from, sizeof(from));
    return fd;
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
    struct mh_sb_forward *f = arg;
    struct event_base *loop = evconnlistener_get_base(l);
    const struct mh_sb_backend *to = mh_sb_front_next(f->front);
    struct sockaddr_in sin = { .sin_family = AF_INET };
    struct mh_sb_pipe *p = to ? mh_calloc(1, sizeof(*p)) : NULL;
    (void)len;
    if (!p) {
        close(fd);
        return;
    }
    p->s = f->c->services;
    p->next = p->s->pipes;
    if (p->next)
        p->next->prev = p;
    p->s->pipes = p;
    p->end[0] = wrap(p, loop, fd);
    if (!p->end[0]) {
        close(fd);
        free_pipe(p);
        return;
    }
    int out = socket_as(addr);
    p->end[1] = out >= 0 ? wrap(p, loop, out) : NULL;
    sin.sin_port = htons((uint16_t)to->port);
    if (!p->end[1] || inet_pton(AF_INET, to->address, &sin.sin_addr) != 1 ||
        bufferevent_enable(p->end[1], EV_READ | EV_WRITE) != 0 ||
        bufferevent_enable(p->end[0], EV_READ | EV_WRITE) != 0) {
        if (out >= 0 && !p->end[1])
            close(out);
        reset(p);
        return;
    }
    /* A refusal at once comes as an event too; then p is gone. */
    (void)bufferevent_socket_connect(p->end[1], (struct sockaddr *)&sin, (int)sizeof(sin));
}

struct mh_sb_forward *
mh_sb_forward_open(struct mh_sb_control *c, struct mh_sb_front *front)
{
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)front->port) };
    struct mh_sb_forward *f = mh_calloc(1, sizeof(*f));
    if (!f || inet_pton(AF_INET, front->svc->address, &sin.sin_addr) != 1) {
        mh_free(f);
        return NULL;
    }
    f->c = c;
    f->front = front;
    f->listener = evconnlistener_new_bind(
        c->loop, on_accept, f, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        -1, (struct sockaddr *)&sin, (int)sizeof(sin));
    if (!f->listener) {
        char port[16];
        (void)snprintf(port, sizeof(port), "%d", front->port);
        mh_log(errno == EACCES ? MH_LOG_DEBUG : MH_LOG_WARNING, "sandbox",
               "no forwarder for a service", "service", front->svc->key, "address",
               front->svc->address, "=port", port, "error", strerror(errno));
        mh_free(f);
        return NULL;
    }
    f->next = c->services->forwards;
    if (f->next)
        f->next->prev = f;
    c->services->forwards = f;
    return f;
}

void
mh_sb_forward_move(struct mh_sb_forward *f, struct mh_sb_front *front)
{
    f->front = front;
}

void
mh_sb_forward_close(struct mh_sb_forward *f)
{
    if (!f)
        return;
    if (f->prev)
        f->prev->next = f->next;
    else
        f->c->services->forwards = f->next;
    if (f->next)
        f->next->prev = f->prev;
    evconnlistener_free(f->listener);
    mh_free(f);
}

void
mh_sb_forward_release(struct mh_sb_control *c)
{
    while (c->services->pipes)
        free_pipe(c->services->pipes);
    while (c->services->forwards)
        mh_sb_forward_close(c->services->forwards);
}
