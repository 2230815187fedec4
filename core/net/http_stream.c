#include <event2/http.h>
#include <event2/http_struct.h>
#include <stdio.h>
#include <string.h>

#include "net/http_server_in.h"

#define PIECE ((size_t)16000)

struct mh_stream {
    struct mh_server *server;
    struct evhttp_request *ev;
    struct event *kick; /* tells the owner from the loop */
    struct mh_stream *next;
    struct mh_stream **at;
    void (*on_close)(void *arg);
    void *arg;
    size_t room; /* in the last piece of what is queued */
    bool dead;   /* nothing is sent any more */
};

static struct bufferevent *
bev_of(const struct mh_stream *st)
{
    struct evhttp_connection *evcon = st->ev ? evhttp_request_get_connection(st->ev) : NULL;
    return evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
}

static void
unlink_free(struct mh_stream *st)
{
    if (st->next)
        st->next->at = st->at;
    *st->at = st->next;
    event_free(st->kick);
    mh_free(st);
}

/* Lets go of libevent's request; cut: the connection too. */
static void
detach(struct mh_stream *st, bool cut)
{
    struct evhttp_request *ev = st->ev;
    st->ev = NULL;
    if (!ev)
        return;
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    if (evcon)
        evhttp_connection_set_closecb(evcon, NULL, NULL);
    if (evcon && cut)
        evhttp_connection_free(evcon); /* frees ev */
    else
        evhttp_send_reply_end(ev); /* frees ev at once when its connection is gone */
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct mh_stream *st = arg;
    void (*fn)(void *) = st->on_close;
    void *fn_arg = st->arg;
    detach(st, true);
    unlink_free(st);
    if (fn)
        fn(fn_arg);
}

static void
die(struct mh_stream *st)
{
    st->dead = true;
    event_active(st->kick, 0, 0);
}

/* libevent is about to free the connection. */
static void
on_gone(struct evhttp_connection *evcon, void *arg)
{
    (void)evcon;
    struct mh_stream *st = arg;
    if (st->ev && evhttp_request_get_connection(st->ev))
        st->ev = NULL; /* still queued there: freed with it */
    die(st);
}

struct mh_stream *
mh_stream_start(struct mh_request *req, const char *content_type)
{
    struct mh_pending *p = req->impl;
    struct mh_server *s = p->server;
    struct evhttp_request *ev = p->ev;
    struct evhttp_connection *evcon = ev ? evhttp_request_get_connection(ev) : NULL;
    struct mh_stream *st = evcon && s ? mh_calloc(1, sizeof(*st)) : NULL;
    if (st)
        st->kick = event_new(s->base, -1, 0, on_kick, st);
    if (!st || !st->kick) {
        mh_free(st);
        mh_reply_text(req, 503, "no memory");
        return NULL;
    }
    mh_pending_free(p);
    st->server = s;
    st->ev = ev;
    st->next = s->streams;
    st->at = &s->streams;
    if (st->next)
        st->next->at = &st->next;
    s->streams = st;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);
    (void)evhttp_add_header(headers, "Content-Type", content_type);
    (void)evhttp_add_header(headers, "Connection", "close");
    evhttp_connection_set_closecb(evcon, on_gone, st);
    evhttp_send_reply_start(ev, 200, "OK");
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
    struct timeval patience = { s->limits.idle_s, 0 };
    (void)bufferevent_set_timeouts(bev, NULL, &patience); /* the client need not say anything */
    bufferevent_setwatermark(bev, EV_READ, 0, 64u << 10); /* and cannot fill our memory */
    return st;
}

void
mh_stream_on_close(struct mh_stream *st, void (*fn)(void *arg), void *arg)
{
    st->on_close = fn;
    st->arg = arg;
}

size_t
mh_stream_queued(const struct mh_stream *st)
{
    struct bufferevent *bev = bev_of(st);
    return bev ? evbuffer_get_length(bufferevent_get_output(bev)) : 0;
}

/* As evhttp_send_reply_chunk would, but what is sent in one turn of the loop lies in one piece: each
 * piece is a TLS record and a packet of its own. */
static bool
add_chunk(struct mh_stream *st, const char *text, size_t len)
{
    char head[24];
    struct evbuffer *out = bufferevent_get_output(bev_of(st));
    struct evbuffer_iovec v;
    int n = st->ev->chunked ? snprintf(head, sizeof(head), "%zx\r\n", len) : 0;
    size_t end = n ? 2 : 0;
    size_t total = (size_t)n + len + end;
    bool fits = evbuffer_get_length(out) && st->room >= total;
    if (evbuffer_reserve_space(out, (ev_ssize_t)(fits || total > PIECE ? total : PIECE), &v, 1) !=
        1)
        return false;
    char *at = v.iov_base;
    memcpy(at, head, (size_t)n);
    memcpy(at + n, text, len);
    memcpy(at + (size_t)n + len, "\r\n", end);
    st->room = v.iov_len - total;
    v.iov_len = total;
    return evbuffer_commit_space(out, &v, 1) == 0;
}

bool
mh_stream_send(struct mh_stream *st, const char *text, size_t len)
{
    if (st->dead)
        return false;
    size_t max = st->server->limits.stream_max;
    if (!bev_of(st) || len > max || mh_stream_queued(st) > max - len) {
        die(st);
        return false;
    }
    if (len && !add_chunk(st, text, len))
        die(st); /* a line lost in the middle would be worse */
    return !st->dead;
}

void
mh_stream_close(struct mh_stream *st)
{
    if (!st)
        return;
    detach(st, st->dead);
    unlink_free(st);
}

void
mh_streams_drop(struct mh_server *s)
{
    while (s->streams)
        on_kick(-1, 0, s->streams);
}
