/* http_pipe.c - a connection that leaves HTTP: its bufferevent is taken over, while libevent's
 * connection and request stay as they are until the end. */
#include <event2/keyvalq_struct.h>

#include "net/http_server_in.h"

#define LINGER_S 5
#define READ_MAX ((size_t)64 << 10)

struct mh_pipe {
    struct mh_server *server;
    struct evhttp_connection *evcon;
    struct bufferevent *bev;
    struct event *kick; /* tells the owner from the loop */
    struct mh_pipe *next;
    struct mh_pipe **at;
    struct mh_pipe_fns fns;
    bool ended;   /* the client is gone; what it sent may still be unread */
    bool dead;    /* as `ended`, and nobody reads */
    bool closing; /* the owner is gone */
    bool paused;
};

static void
unlink_free(struct mh_pipe *p)
{
    if (p->next)
        p->next->at = p->at;
    *p->at = p->next;
    event_free(p->kick);
    mh_free(p);
}

static void
cut(struct mh_pipe *p)
{
    bufferevent_setcb(p->bev, NULL, NULL, NULL, NULL);
    evhttp_connection_free(p->evcon); /* frees the request too */
    unlink_free(p);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct mh_pipe *p = arg;
    struct mh_pipe_fns fns = p->fns;
    struct timeval patience = { LINGER_S, 0 };
    bool late = (what & EV_TIMEOUT) != 0;
    if (p->closing && !p->dead && !p->ended && !late && mh_pipe_queued(p) > 0 &&
        event_add(p->kick, &patience) == 0)
        return; /* until it is sent */
    if (!p->dead && !p->closing) {
        struct evbuffer *in = bufferevent_get_input(p->bev);
        char piece[16 << 10];
        int n = p->paused ? 0 : evbuffer_remove(in, piece, sizeof(piece));
        if (n > 0) {
            event_active(p->kick, 0, 0); /* for the rest, or the end */
            fns.on_data(fns.arg, piece, (size_t)n);
            return;
        }
        if (!p->ended || p->paused)
            return;
    }
    bool closing = p->closing;
    cut(p);
    if (!closing && fns.on_close)
        fns.on_close(fns.arg);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct mh_pipe *p = arg;
    event_active(p->kick, 0, 0);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct mh_pipe *p = arg;
    if (p->closing)
        event_active(p->kick, 0, 0);
    else if (!p->dead && p->fns.on_drained)
        p->fns.on_drained(p->fns.arg);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev, (void)what;
    struct mh_pipe *p = arg;
    p->ended = true;
    event_active(p->kick, 0, 0);
}

/* The answer's head, by hand: libevent 2.1 knows no 101. */
static bool
send_head(struct bufferevent *bev, struct evhttp_request *ev, const char *protocol)
{
    struct evbuffer *out = bufferevent_get_output(bev);
    bool ok = evbuffer_add_printf(out,
                                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n"
                                  "Connection: Upgrade\r\n",
                                  protocol) > 0;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);
    for (struct evkeyval *h = headers->tqh_first; h; h = h->next.tqe_next)
        ok = ok && evbuffer_add_printf(out, "%s: %s\r\n", h->key, h->value) > 0;
    return ok && evbuffer_add(out, "\r\n", 2) == 0;
}

struct mh_pipe *
mh_upgrade(struct mh_request *req, const char *protocol, const struct mh_pipe_fns *fns)
{
    struct mh_pending *pending = req->impl;
    struct mh_server *s = pending->server;
    struct evhttp_request *ev = pending->ev;
    struct evhttp_connection *evcon = ev ? evhttp_request_get_connection(ev) : NULL;
    struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
    struct mh_pipe *p = bev && s ? mh_calloc(1, sizeof(*p)) : NULL;
    if (p)
        p->kick = event_new(s->base, -1, 0, on_kick, p);
    if (!p || !p->kick || !send_head(bev, ev, protocol)) {
        if (p && p->kick)
            event_free(p->kick);
        mh_free(p);
        mh_reply_text(req, 503, "no memory");
        return NULL;
    }
    mh_pending_free(pending);
    p->server = s;
    p->evcon = evcon;
    p->bev = bev;
    p->fns = *fns;
    p->next = s->pipes;
    p->at = &s->pipes;
    if (p->next)
        p->next->at = &p->next;
    s->pipes = p;
    evhttp_connection_set_closecb(evcon, NULL, NULL);
    bufferevent_setcb(bev, on_read, on_write, on_event, p);
    (void)bufferevent_set_timeouts(bev, NULL, NULL);
    bufferevent_setwatermark(bev, EV_READ, 0, READ_MAX);
    (void)bufferevent_enable(bev, EV_READ | EV_WRITE);
    event_active(p->kick, 0, 0); /* what came with the head */
    return p;
}

size_t
mh_pipe_queued(const struct mh_pipe *p)
{
    return evbuffer_get_length(bufferevent_get_output(p->bev));
}

bool
mh_pipe_send(struct mh_pipe *p, const void *data, size_t len)
{
    size_t max = p->server->limits.stream_max;
    if (p->dead || p->ended)
        return false;
    if (len > max || mh_pipe_queued(p) > max - len || bufferevent_write(p->bev, data, len) != 0) {
        p->dead = true;
        event_active(p->kick, 0, 0);
        return false;
    }
    return true;
}

void
mh_pipe_pause(struct mh_pipe *p, bool paused)
{
    p->paused = paused;
    if (!paused)
        event_active(p->kick, 0, 0);
}

void
mh_pipe_close(struct mh_pipe *p)
{
    if (!p)
        return;
    p->closing = true;
    event_active(p->kick, 0, 0);
}

void
mh_pipes_drop(struct mh_server *s)
{
    while (s->pipes) {
        struct mh_pipe *p = s->pipes;
        p->dead = true;
        on_kick(-1, 0, p);
    }
}
