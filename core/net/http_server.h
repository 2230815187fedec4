/* http_server.h - an HTTP/1.1 server on the loop, with or without TLS 1.3.
 *
 * Routes call a function with a request; it answers now or later with exactly one of mh_reply and
 * mh_stream_start. The server owns requests and streams. A client certificate is asked for, never
 * required: who may do what is the route's business (see struct mh_peer). Nothing blocks.
 *
 * Limits (struct mh_server_limits) hold for every connection; a client over one gets 4xx or is
 * dropped. Unknown methods and paths without a route are answered here. The process ignores SIGPIPE
 * from the first server on. */
#ifndef MH_NET_HTTP_SERVER_H
#define MH_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "moonherd/err.h"

#include "base/mem.h"

struct event_base;
struct mh_server;
struct mh_stream;

enum mh_method { MH_GET = 1, MH_POST = 2, MH_PUT = 4, MH_DELETE = 8, MH_PATCH = 16 };

/* PEM texts, NUL-terminated; copied or parsed before the call returns. */
struct mh_server_tls {
    const char *cert_pem; /* leaf, then intermediates */
    const char *key_pem;
    const char *client_ca_pem; /* one or more CAs; NULL: nobody is `verified` */
};

/* Who is at the other end. All false or empty without TLS or without a client certificate. */
struct mh_peer {
    bool present;  /* sent a certificate and proved that it has the key (maybe of an unknown CA) */
    bool verified; /* chain leads to client_ca_pem as it is now, dates and clientAuth hold */
    const char *cn;
    char spki_sha256[65]; /* hex of the public key (DER SubjectPublicKeyInfo), "" without */
};

struct mh_request {
    enum mh_method method;
    const char *path; /* without query, not decoded: "/pg/status" */
    const char *uri;  /* with query, as it was sent */
    const char *body; /* NUL-terminated; "" without */
    size_t body_len;
    struct mh_peer peer;
    const char *remote;     /* "10.0.0.7", of the client; "" if unknown */
    struct mh_arena *arena; /* lives until the reply or the stream's start; cap 16 MiB */
    void *impl;
};

typedef void (*mh_route_fn)(struct mh_request *req, void *arg);

struct mh_server_limits {
    size_t header_max;   /* default 16 KiB */
    size_t body_max;     /* default 3 MiB */
    int idle_s;          /* no whole request for so long: closed (not streams); default 20 */
    int keep_s;          /* the same after the first answered request (TLS only); default idle_s */
    int max_connections; /* further ones wait in the kernel's queue (TLS only); default 256 */
    size_t stream_max;   /* queued bytes after which a stream's client is dropped; default 1 MiB */
};

/* Listens on addr ("0.0.0.0", "::", "127.0.0.1"); port 0 takes a free one. tls NULL: plain HTTP.
 * NULL with err: INVALID (bad address or PEM), IO (the port is taken), NOMEM. */
struct mh_server *mh_server_new(struct event_base *base, const char *addr, int port,
                                const struct mh_server_tls *tls, struct mh_err *err);
/* Closes everything. Requests not answered yet may still be answered (to nobody); streams get
 * their on_close first. NULL is allowed. */
void mh_server_free(struct mh_server *s);
/* The port it listens on. */
int mh_server_port(const struct mh_server *s);
/* Zero fields keep what they are. */
void mh_server_limit(struct mh_server *s, const struct mh_server_limits *limits);
/* methods: enum mh_method or-ed. path: exact, or a prefix when it ends with '/' ("/" is all).
 * The longest path wins. False: no memory. Path known, method not: 405; else 404. */
bool mh_server_route(struct mh_server *s, unsigned methods, const char *path, mh_route_fn fn,
                     void *arg);
/* Takes new certificates for new connections (open ones go on); client_ca_pem holds at once for
 * every later request. On failure the old ones stay. INVALID, NOMEM. */
enum mh_code mh_server_set_tls(struct mh_server *s, const struct mh_server_tls *tls,
                               struct mh_err *err);

/* The first value of a query parameter, decoded; NULL if absent. On req->arena. */
const char *mh_request_query(struct mh_request *req, const char *name);
/* The value of a header, NULL if absent. Lives as long as the request. */
const char *mh_request_header(struct mh_request *req, const char *name);
/* All values of a header that is given several times, at most max of them; how many. */
size_t mh_request_headers(struct mh_request *req, const char *name, const char **values,
                          size_t max);

/* Adds a header to the coming reply or stream; false for no memory or a bad value. */
bool mh_reply_header(struct mh_request *req, const char *name, const char *value);
/* Answers and ends the request: req is gone. text is copied. content_type NULL: text/plain. */
void mh_reply(struct mh_request *req, int status, const char *content_type, const char *text,
              size_t len);
/* mh_reply of a NUL-terminated plain text. */
void mh_reply_text(struct mh_request *req, int status, const char *text);

/* Ends the connection without an answer: req is gone. */
void mh_drop(struct mh_request *req);

/* Begins an endless answer (status 200, chunked); req is gone. NULL when the client is gone. */
struct mh_stream *mh_stream_start(struct mh_request *req, const char *content_type);
/* fn(arg) once, when the client is gone or was dropped or the server is freed; the stream is
 * invalid from then on. Never called from inside mh_stream_send or mh_stream_close. */
void mh_stream_on_close(struct mh_stream *st, void (*fn)(void *arg), void *arg);
/* Queues text at once. False: the client is too slow or gone (on_close follows from the loop). */
bool mh_stream_send(struct mh_stream *st, const char *text, size_t len);
/* Bytes queued that the client's kernel has not taken yet. */
size_t mh_stream_queued(const struct mh_stream *st);
/* Ends it; on_close is not called any more. st is gone. NULL is allowed. */
void mh_stream_close(struct mh_stream *st);

/* --- connections that leave HTTP (WebSocket) ---------------------------------------------------- */

struct mh_pipe;

struct mh_pipe_fns {
    /* Bytes of the client; never from inside another call of the pipe. */
    void (*on_data)(void *arg, const char *data, size_t len);
    /* What was queued is with the kernel. May be NULL. */
    void (*on_drained)(void *arg);
    /* Once, when the client is gone or was dropped or the server is freed; the pipe is invalid from
     * then on. Never called from inside a call of the pipe. */
    void (*on_close)(void *arg);
    void *arg;
};

/* Answers 101 with "Upgrade: protocol" (and the headers added before) and gives the bare connection;
 * req is gone. There is no idle limit, stream_max holds. NULL (and 503 was answered): the client is
 * gone, no memory. */
struct mh_pipe *mh_upgrade(struct mh_request *req, const char *protocol,
                           const struct mh_pipe_fns *fns);
/* Queues bytes. False: the client is too slow or gone (on_close follows from the loop). */
bool mh_pipe_send(struct mh_pipe *p, const void *data, size_t len);
size_t mh_pipe_queued(const struct mh_pipe *p);
/* While paused no on_data comes, and the client cannot send more than fits the buffers. */
void mh_pipe_pause(struct mh_pipe *p, bool paused);
/* Ends it after what is queued is sent (5 s at most); no callback comes any more. p is gone. NULL is
 * allowed. */
void mh_pipe_close(struct mh_pipe *p);

#endif
