#include "fake_server.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>

static void
on_request(struct evhttp_request *r, void *arg)
{
    struct fake *f = arg;
    size_t n = strlen(f->log);
    const char *auth = evhttp_find_header(evhttp_request_get_input_headers(r), "Authorization");
    static const struct {
        enum evhttp_cmd_type type;
        const char *name;
    } names[] = { { EVHTTP_REQ_GET, "GET" },
                  { EVHTTP_REQ_POST, "POST" },
                  { EVHTTP_REQ_PUT, "PUT" },
                  { EVHTTP_REQ_DELETE, "DELETE" },
                  { EVHTTP_REQ_PATCH, "PATCH" } };
    const char *name = "?";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].type == evhttp_request_get_command(r))
            name = names[i].name;
    }
    (void)snprintf(f->log + n, sizeof(f->log) - n, "%s %s\n", name, evhttp_request_get_uri(r));
    (void)snprintf(f->auth, sizeof(f->auth), "%s", auth ? auth : "");
    f->requests++;
    f->answer(f, r, evhttp_request_get_uri(r));
}

void
fake_open(struct fake *f, struct event_base *base,
          void (*answer)(struct fake *, struct evhttp_request *, const char *uri))
{
    *f = (struct fake){ .base = base, .answer = answer };
    f->http = evhttp_new(base);
    evhttp_set_allowed_methods(f->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                            EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(f->http, on_request, f);
    struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(f->http, "127.0.0.1", 0);
    struct sockaddr_in a = { 0 };
    socklen_t len = sizeof(a);
    (void)getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&a, &len);
    f->port = ntohs(a.sin_port);
    (void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", f->port);
}

void
fake_close(struct fake *f)
{
    evhttp_free(f->http); /* calls on_close for a held one */
    for (int i = 0; i < f->ndead && i < FAKE_DEAD; i++)
        evhttp_request_free(f->dead[i]);
}

void
fake_reply(struct evhttp_request *r, int status, const char *header, const char *body)
{
    struct evbuffer *b = evbuffer_new();
    evbuffer_add(b, body, strlen(body));
    if (header) {
        char name[64];
        const char *colon = strchr(header, ':');
        (void)snprintf(name, sizeof(name), "%.*s", (int)(colon - header), header);
        evhttp_add_header(evhttp_request_get_output_headers(r), name, colon + 2);
    }
    evhttp_send_reply(r, status, "Status", b);
    evbuffer_free(b);
}

static void
on_close(struct evhttp_connection *c, void *arg)
{
    struct fake *f = arg;
    (void)c;
    f->closed++;
    f->dead[f->ndead++ % FAKE_DEAD] = f->held;
    f->held = NULL;
}

void
fake_hold(struct fake *f, struct evhttp_request *r)
{
    f->held = r;
    evhttp_request_own(r); /* or it is lost when its connection goes */
    evhttp_connection_set_closecb(evhttp_request_get_connection(r), on_close, f);
    /* libevent notices a closed peer only while it reads. */
    bufferevent_enable(evhttp_connection_get_bufferevent(evhttp_request_get_connection(r)),
                       EV_READ);
}

void
fake_more(struct fake *f, const char *text)
{
    struct evbuffer *b = evbuffer_new();
    evbuffer_add(b, text, strlen(text));
    evhttp_send_reply_chunk(f->held, b);
    evbuffer_free(b);
}

void
fake_stream(struct fake *f, struct evhttp_request *r, const char *text)
{
    fake_hold(f, r);
    evhttp_send_reply_start(r, 200, "OK");
    if (*text)
        fake_more(f, text);
}

void
fake_end(struct fake *f)
{
    struct evhttp_request *r = f->held;
    f->held = NULL;
    evhttp_connection_set_closecb(evhttp_request_get_connection(r), NULL, NULL);
    evhttp_send_reply_end(r);
}

void
fake_cut(struct fake *f)
{
    struct evhttp_request *r = f->held;
    f->held = NULL;
    evhttp_connection_set_closecb(evhttp_request_get_connection(r), NULL, NULL);
    evhttp_connection_free(evhttp_request_get_connection(r));
    f->dead[f->ndead++ % FAKE_DEAD] = r;
}

static void
stop(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(int *)arg = 1;
}

int
fake_wait(struct fake *f, const int *what, int n, int ms)
{
    int late = 0;
    struct event *t = evtimer_new(f->base, stop, &late);
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
    evtimer_add(t, &tv);
    while (!late && *what < n)
        event_base_loop(f->base, EVLOOP_ONCE);
    event_free(t);
    return *what >= n;
}
