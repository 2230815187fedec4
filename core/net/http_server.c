#include "net/http_server.h"

#include <event2/bufferevent_ssl.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "net/http_server_in.h"

#define ARENA_MAX ((size_t)16 << 20)
#define ONE_PIECE ((size_t)16 << 10) /* a TLS record */

static int conn_index = -1;

long
mh_server_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec;
}

/* --- connections ------------------------------------------------------------------------------ */

static void
conn_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    struct mh_conn *c = ptr;
    if (!c)
        return;
    if (c->next)
        c->next->at = c->at;
    *c->at = c->next;
    struct mh_server *s = c->server;
    if (s && --s->nconns < s->limits.max_connections && s->paused) {
        s->paused = false;
        (void)evconnlistener_enable(evhttp_bound_socket_get_listener(s->bound));
    }
    mh_free(c);
}

static struct bufferevent *
accept_tls(struct event_base *base, void *arg)
{
    struct mh_server *s = arg;
    SSL *ssl = SSL_new(s->ctx);
    struct mh_conn *c = ssl ? mh_calloc(1, sizeof(*c)) : NULL;
    if (!c || SSL_set_ex_data(ssl, conn_index, c) != 1) {
        mh_free(c);
        SSL_free(ssl);
        return NULL; /* libevent then makes a plain connection: on_request refuses it */
    }
    c->server = s;
    c->idle_since = mh_server_now_s();
    c->next = s->conns;
    c->at = &s->conns;
    if (c->next)
        c->next->at = &c->next;
    s->conns = c;
    if (++s->nconns >= s->limits.max_connections && !s->paused) {
        s->paused = true;
        (void)evconnlistener_disable(evhttp_bound_socket_get_listener(s->bound));
    }
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    c->bev = bev;
    return bev;
}

static SSL *
ssl_of(struct evhttp_request *ev)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
    return bev ? bufferevent_openssl_get_ssl(bev) : NULL;
}

struct mh_conn *
mh_conn_of(struct evhttp_request *ev)
{
    SSL *ssl = ssl_of(ev);
    return ssl ? SSL_get_ex_data(ssl, conn_index) : NULL;
}

/* 0 stands for idle_s, whatever that becomes. */
static int
keep_s(const struct mh_server *s)
{
    return s->limits.keep_s ? s->limits.keep_s : s->limits.idle_s;
}

/* Who brings no whole request in time is cut off, however slowly he goes on sending. */
static void
sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct mh_server *s = arg;
    long now = mh_server_now_s();
    for (struct mh_conn *c = s->conns; c; c = c->next) {
        int patience = c->served ? keep_s(s) : s->limits.idle_s;
        if (!c->busy && c->bev && now - c->idle_since > patience)
            (void)shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

void
mh_pending_free(struct mh_pending *p)
{
    if (p->next)
        p->next->at = p->at;
    if (p->at)
        *p->at = p->next;
    struct mh_arena arena = p->arena;
    mh_free(p);
    mh_arena_release(&arena);
}

static const struct mh_route *
find_route(const struct mh_server *s, unsigned method, const char *path, bool *path_known)
{
    const struct mh_route *best = NULL;
    size_t known = 0;
    *path_known = false;
    for (const struct mh_route *r = s->routes; r; r = r->next) {
        bool prefix = r->path[r->len - 1] == '/';
        if (prefix ? strncmp(path, r->path, r->len) != 0 : strcmp(path, r->path) != 0)
            continue;
        if (r->len > known)
            known = r->len;
        *path_known = true;
        if ((r->methods & method) && (!best || r->len > best->len))
            best = r;
    }
    return best && best->len == known ? best : NULL;
}

static unsigned
method_of(struct evhttp_request *ev)
{
    switch (evhttp_request_get_command(ev)) {
    case EVHTTP_REQ_GET:
        return MH_GET;
    case EVHTTP_REQ_POST:
        return MH_POST;
    case EVHTTP_REQ_PUT:
        return MH_PUT;
    case EVHTTP_REQ_DELETE:
        return MH_DELETE;
    case EVHTTP_REQ_PATCH:
        return MH_PATCH;
    default:
        return 0;
    }
}

static void
refuse(struct evhttp_request *ev, int status, const char *text)
{
    struct evbuffer *b = evbuffer_new();
    struct mh_conn *c = mh_conn_of(ev);
    if (c)
        c->idle_since = mh_server_now_s();
    (void)evhttp_add_header(evhttp_request_get_output_headers(ev), "Content-Type", "text/plain");
    if (b)
        (void)evbuffer_add(b, text, strlen(text));
    evhttp_send_reply(ev, status, text, b);
    if (b)
        evbuffer_free(b);
}

static bool
fill(struct mh_pending *p, struct evhttp_request *ev, unsigned method, const char *path)
{
    struct mh_request *req = &p->req;
    struct evbuffer *in = evhttp_request_get_input_buffer(ev);
    size_t n = evbuffer_get_length(in);
    char *body = mh_arena_alloc(&p->arena, n + 1);
    char *address = NULL;
    ev_uint16_t port;
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    evhttp_connection_get_peer(evcon, &address, &port);
    if (!body || (n > 0 && evbuffer_copyout(in, body, n) != (ev_ssize_t)n))
        return false;
    req->method = (enum mh_method)method;
    req->path = mh_arena_strdup(&p->arena, path);
    req->uri = mh_arena_strdup(&p->arena, evhttp_request_get_uri(ev));
    req->body = body;
    req->body_len = n;
    req->remote = mh_arena_strdup(&p->arena, address ? address : "");
    req->arena = &p->arena;
    req->impl = p;
    mh_tls_peer(&p->arena, ssl_of(ev), p->server->clients, &req->peer);
    int one = 1;
    struct mh_conn *c = mh_conn_of(ev);
    evutil_socket_t fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
    if (!c || !c->prompt)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (c)
        c->prompt = true;
    return req->path && req->uri && req->remote;
}

static void
on_request(struct evhttp_request *ev, void *arg)
{
    struct mh_server *s = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ev);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    unsigned method = method_of(ev);
    bool known = false;
    if (s->ctx && !ssl_of(ev)) {
        refuse(ev, 503, "no memory");
        return;
    }
    if (!path || path[0] != '/' || !method) {
        refuse(ev, 400, "bad request");
        return;
    }
    const struct mh_route *r = find_route(s, method, path, &known);
    if (!r) {
        refuse(ev, known ? 405 : 404, known ? "method not allowed" : "not found");
        return;
    }
    struct mh_pending *p = mh_calloc(1, sizeof(*p));
    if (!p) {
        refuse(ev, 503, "no memory");
        return;
    }
    mh_arena_init(&p->arena, ARENA_MAX);
    p->server = s;
    p->ev = ev;
    if (!fill(p, ev, method, path)) {
        mh_pending_free(p);
        refuse(ev, 503, "no memory");
        return;
    }
    p->next = s->pending;
    p->at = &s->pending;
    if (p->next)
        p->next->at = &p->next;
    s->pending = p;
    struct mh_conn *c = mh_conn_of(ev);
    if (c)
        c->busy = true;
    r->fn(&p->req, r->arg);
}

const char *
mh_request_query(struct mh_request *req, const char *name)
{
    struct mh_pending *p = req->impl;
    const struct evhttp_uri *uri = p->ev ? evhttp_request_get_evhttp_uri(p->ev) : NULL;
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    struct evkeyvalq q;
    if (!query || evhttp_parse_query_str(query, &q) != 0)
        return NULL;
    const char *v = evhttp_find_header(&q, name);
    const char *copy = v ? mh_arena_strdup(req->arena, v) : NULL;
    evhttp_clear_headers(&q);
    return copy;
}

const char *
mh_request_header(struct mh_request *req, const char *name)
{
    struct mh_pending *p = req->impl;
    struct evkeyval *h = p->ev ? evhttp_request_get_input_headers(p->ev)->tqh_first : NULL;
    for (; h; h = h->next.tqe_next) {
        if (((h->key[0] ^ name[0]) & ~0x20) == 0 && strcasecmp(h->key, name) == 0)
            return h->value;
    }
    return NULL;
}

size_t
mh_request_headers(struct mh_request *req, const char *name, const char **values, size_t max)
{
    struct mh_pending *p = req->impl;
    size_t n = 0;
    struct evkeyval *h = p->ev ? evhttp_request_get_input_headers(p->ev)->tqh_first : NULL;
    for (; h && n < max; h = h->next.tqe_next)
        if (strcasecmp(h->key, name) == 0)
            values[n++] = h->value;
    return n;
}

bool
mh_reply_header(struct mh_request *req, const char *name, const char *value)
{
    struct mh_pending *p = req->impl;
    return p->ev && evhttp_add_header(evhttp_request_get_output_headers(p->ev), name, value) == 0;
}

static const char *
reason_of(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = { { 200, "OK" },
                  { 201, "Created" },
                  { 204, "No Content" },
                  { 400, "Bad Request" },
                  { 401, "Unauthorized" },
                  { 403, "Forbidden" },
                  { 404, "Not Found" },
                  { 409, "Conflict" },
                  { 413, "Payload Too Large" },
                  { 418, "I'm a teapot" },
                  { 422, "Unprocessable" },
                  { 429, "Too Many Requests" },
                  { 500, "Internal Server Error" },
                  { 503, "Service Unavailable" } };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status)
            return known[i].text;
    }
    return "Status";
}

void
mh_reply(struct mh_request *req, int status, const char *content_type, const char *text, size_t len)
{
    struct mh_pending *p = req->impl;
    struct evhttp_request *ev = p->ev;
    if (!ev) {
        mh_pending_free(p);
        return;
    }
    struct mh_conn *c = mh_conn_of(ev);
    if (c) {
        c->busy = false;
        c->served = true;
        c->idle_since = mh_server_now_s();
    }
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
    struct evbuffer *b = evbuffer_new();
    bool ok = b && evbuffer_add(b, text, len) == 0;
    (void)evhttp_add_header(evhttp_request_get_output_headers(ev), "Content-Type",
                            content_type ? content_type : "text/plain");
    (void)evhttp_add_header(evhttp_request_get_output_headers(ev), "X-Content-Type-Options",
                            "nosniff");
    mh_pending_free(p);
    evhttp_send_reply(ev, ok ? status : 503, reason_of(ok ? status : 503), ok ? b : NULL);
    if (b)
        evbuffer_free(b);
    /* Each piece would be a TLS record and a packet of its own. */
    struct evbuffer *out = bev ? bufferevent_get_output(bev) : NULL;
    if (out && evbuffer_get_length(out) <= ONE_PIECE)
        (void)evbuffer_pullup(out, -1);
}

void
mh_reply_text(struct mh_request *req, int status, const char *text)
{
    mh_reply(req, status, "text/plain", text, strlen(text));
}

void
mh_drop(struct mh_request *req)
{
    struct mh_pending *p = req->impl;
    struct evhttp_connection *evcon = p->ev ? evhttp_request_get_connection(p->ev) : NULL;
    struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
    if (bev)
        (void)shutdown(bufferevent_getfd(bev), SHUT_RDWR);
    mh_reply_text(req, 503, "");
}

/* --- the server ------------------------------------------------------------------------------- */

enum mh_code
mh_server_set_tls(struct mh_server *s, const struct mh_server_tls *tls, struct mh_err *err)
{
    SSL_CTX *ctx = NULL;
    X509_STORE *store = NULL;
    enum mh_code code = mh_tls_store(tls->client_ca_pem, &store, err);
    if (!code)
        code = mh_tls_server_ctx(tls, &ctx, err);
    if (code) {
        X509_STORE_free(store);
        return code;
    }
    SSL_CTX_free(s->ctx); /* open connections hold their own reference */
    X509_STORE_free(s->clients);
    s->ctx = ctx;
    s->clients = store;
    return MH_OK;
}

void
mh_server_limit(struct mh_server *s, const struct mh_server_limits *l)
{
    struct mh_server_limits *mine = &s->limits;
    mine->header_max = l->header_max ? l->header_max : mine->header_max;
    mine->body_max = l->body_max ? l->body_max : mine->body_max;
    mine->idle_s = l->idle_s ? l->idle_s : mine->idle_s;
    mine->keep_s = l->keep_s                     ? l->keep_s
                   : mine->keep_s > mine->idle_s ? mine->keep_s
                                                 : mine->idle_s;
    mine->max_connections = l->max_connections ? l->max_connections : mine->max_connections;
    mine->stream_max = l->stream_max ? l->stream_max : mine->stream_max;
    evhttp_set_max_headers_size(s->http, (ev_ssize_t)mine->header_max);
    evhttp_set_max_body_size(s->http, (ev_ssize_t)mine->body_max);
    evhttp_set_timeout(s->http, keep_s(s)); /* the sweep is stricter where it has to be */
}

static enum mh_code
listen_on(struct mh_server *s, const char *addr, int port, struct mh_err *err)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t n = sizeof(sa);
    unsigned char bin[16];
    if (port < 0 || port > 65535 ||
        (evutil_inet_pton(AF_INET, addr, bin) != 1 && evutil_inet_pton(AF_INET6, addr, bin) != 1))
        return mh_fail(err, MH_E_INVALID, "server: %s:%d is no address to listen on", addr, port);
    s->bound = evhttp_bind_socket_with_handle(s->http, addr, (ev_uint16_t)port);
    if (!s->bound)
        return mh_fail(err, MH_E_IO, "server: cannot listen on %s:%d: %s", addr, port,
                       evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    if (getsockname(evhttp_bound_socket_get_fd(s->bound), (struct sockaddr *)&sa, &n) == 0) {
        if (sa.ss_family == AF_INET6)
            s->port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port); /* NOLINT: set above */
        else
            s->port = ntohs(((struct sockaddr_in *)&sa)->sin_port); /* NOLINT: set above */
    }
    return MH_OK;
}

static enum mh_code
start(struct mh_server *s, const char *addr, int port, const struct mh_server_tls *tls,
      struct mh_err *err)
{
    struct timeval second = { 1, 0 };
    if (tls) {
        if (conn_index < 0)
            conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_freed);
        enum mh_code code = mh_server_set_tls(s, tls, err);
        if (code)
            return code;
        evhttp_set_bevcb(s->http, accept_tls, s);
        s->sweep = event_new(s->base, -1, EV_PERSIST, sweep, s);
        if (conn_index < 0 || !s->sweep || event_add(s->sweep, &second) != 0)
            return mh_fail(err, MH_E_NOMEM, "server: no memory");
    }
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                            EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(s->http, on_request, s);
    mh_server_limit(s, &(struct mh_server_limits){ .header_max = 16u << 10,
                                                   .body_max = 3u << 20,
                                                   .idle_s = 20,
                                                   .max_connections = 256,
                                                   .stream_max = 1u << 20 });
    return listen_on(s, addr, port, err);
}

struct mh_server *
mh_server_new(struct event_base *base, const char *addr, int port, const struct mh_server_tls *tls,
              struct mh_err *err)
{
    struct mh_server *s = mh_calloc(1, sizeof(*s));
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    if (s) {
        s->base = base;
        s->http = evhttp_new(base);
    }
    if (!s || !s->http) {
        mh_free(s);
        (void)mh_fail(err, MH_E_NOMEM, "server: no memory");
        return NULL;
    }
    if (start(s, addr, port, tls, err) == MH_OK)
        return s;
    mh_server_free(s);
    return NULL;
}

void
mh_server_free(struct mh_server *s)
{
    if (!s)
        return;
    mh_streams_drop(s);
    mh_pipes_drop(s);
    while (s->pending) {
        struct mh_pending *p = s->pending;
        s->pending = p->next;
        p->ev = NULL;
        p->server = NULL;
        p->next = NULL;
        p->at = NULL;
    }
    while (s->conns) { /* libevent frees their sessions from the loop, after us */
        struct mh_conn *c = s->conns;
        s->conns = c->next;
        c->server = NULL;
        c->next = NULL;
        c->at = &c->next;
    }
    evhttp_free(s->http);
    if (s->sweep)
        event_free(s->sweep);
    while (s->routes) {
        struct mh_route *r = s->routes;
        s->routes = r->next;
        mh_free(r->path);
        mh_free(r);
    }
    SSL_CTX_free(s->ctx);
    X509_STORE_free(s->clients);
    mh_free(s);
}

int
mh_server_port(const struct mh_server *s)
{
    return s->port;
}

bool
mh_server_route(struct mh_server *s, unsigned methods, const char *path, mh_route_fn fn, void *arg)
{
    struct mh_route *r = mh_calloc(1, sizeof(*r));
    char *copy = r ? mh_strdup(path) : NULL;
    if (!copy || !*path) {
        mh_free(copy);
        mh_free(r);
        return false;
    }
    *r = (struct mh_route){ s->routes, methods, strlen(path), copy, fn, arg };
    s->routes = r;
    return true;
}
