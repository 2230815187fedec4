/* http_server_in.h - the server's own structures, shared by http_server.c and http_stream.c. */
#ifndef MH_NET_HTTP_SERVER_IN_H
#define MH_NET_HTTP_SERVER_IN_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "net/http_server.h"
#include "net/ssl.h"

struct mh_route {
    struct mh_route *next;
    unsigned methods;
    size_t len;
    char *path;
    mh_route_fn fn;
    void *arg;
};

/* A TLS connection, from accept until OpenSSL frees its session. */
struct mh_conn {
    struct mh_server *server; /* NULL once the server is gone */
    struct mh_conn *next;
    struct mh_conn **at; /* what points here */
    struct bufferevent *bev;
    long idle_since; /* monotonic seconds */
    bool busy;       /* a request or a stream is under way */
    bool served;     /* a request was answered */
    bool prompt;     /* TCP_NODELAY is set */
};

/* A request without an answer yet. */
struct mh_pending {
    struct mh_request req;
    struct mh_arena arena;
    struct mh_server *server; /* NULL once the server is gone */
    struct evhttp_request *ev;
    struct mh_pending *next;
    struct mh_pending **at;
};

struct mh_server {
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct event *sweep;
    SSL_CTX *ctx;
    X509_STORE *clients;
    struct mh_server_limits limits;
    int port;
    int nconns;
    bool paused;
    struct mh_route *routes;
    struct mh_conn *conns;
    struct mh_pending *pending;
    struct mh_stream *streams;
    struct mh_pipe *pipes;
};

long mh_server_now_s(void);
/* The connection of a request; NULL for plain HTTP or when it is gone. */
struct mh_conn *mh_conn_of(struct evhttp_request *ev);
/* Frees what a request holds but its libevent part. */
void mh_pending_free(struct mh_pending *p);
/* Every stream gets its on_close now. */
void mh_streams_drop(struct mh_server *s);
/* The same for every pipe. */
void mh_pipes_drop(struct mh_server *s);

#endif
