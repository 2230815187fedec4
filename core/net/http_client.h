/* http_client.h - HTTP calls and streams on the loop: libcurl's multi interface.
 *
 * HTTP/2 where the server offers it over TLS: calls to one server share a connection. Calls of
 * different lanes never share one, so that a stalled connection of one lane cannot hold the other.
 * When a call times out without an answer its connections are not used for later calls.
 * Redirects are not followed, proxies from the environment are not used.
 *
 * Owner: the caller owns the call and everything it points at until `done` ran or `cancel`
 * returned; the reply is on call->arena. `done` comes exactly once and never from inside start;
 * start and cancel are allowed inside every callback.
 *
 * Errors: UNREACHABLE: the server did not get the request (no connection, TLS failed), or the
 * answer to a GET broke off. TIMEOUT: a deadline passed after the request was sent, or the answer
 * to anything else than a GET broke off: the outcome is unknown. LIMIT: body over body_max. NOMEM,
 * INVALID (url). A reply with any HTTP status is MH_OK here: look at status. */
#ifndef MH_NET_HTTP_CLIENT_H
#define MH_NET_HTTP_CLIENT_H

#include <event2/event.h>

#include "moonherd/err.h"

#include "base/mem.h"

struct mh_http;

enum mh_http_lane { MH_HTTP_BULK, MH_HTTP_URGENT, MH_HTTP_PEERS, MH_HTTP_LANES };

/* NULL where not given; texts in PEM, or names of files that hold them. */
struct mh_http_tls {
    const char *ca_pem; /* whom to trust; neither this nor ca_file: the system's list */
    const char *ca_file;
    const char *cert_pem; /* our own certificate (chain) and key */
    const char *key_pem;
    const char *cert_file;
    const char *key_file;
    const char
        *server_name; /* expected instead of the name or address in the url (SNI, Host too) */
    bool any_name;    /* trust the chain, do not compare the name */
    bool insecure;    /* trust anybody: only for a user's explicit wish */
};

struct mh_http_call {
    /* set by the caller */
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL; may be NULL */
    const char *content_type;   /* of the body */
    const char *body;
    size_t body_len;
    const struct mh_http_tls *tls; /* NULL: the system's trust */
    enum mh_http_lane lane;
    int connect_timeout_ms; /* 0: 5 s */
    int timeout_ms;         /* for the whole call; 0: 10 s, for a stream none */
    int idle_timeout_ms;    /* no byte for so long is TIMEOUT; 0: none */
    size_t body_max;        /* 0: 4 MiB */
    struct mh_arena *arena;
    /* Makes the call a stream: gets the body piece by piece if the status is 2xx (call->status is
     * set by then); the body of another status is collected as usual (64 KiB of it). NULL: the
     * whole body is collected. */
    void (*on_data)(struct mh_http_call *call, const char *data, size_t len);
    void (*done)(struct mh_http_call *call);
    void *arg;
    /* set before done */
    struct mh_err err;
    int status;         /* 0: no answer */
    int retry_after_ms; /* Retry-After in seconds or as a date; 0 without; at most an hour */
    char *body_text;    /* NUL-terminated, "" when empty, NULL on failure */
    size_t body_text_len;
    int http_version; /* 1 or 2 */
    void *impl;
};

/* NULL: no memory. */
struct mh_http *mh_http_new(struct event_base *base);
/* Cancels all calls (their done does not come) and closes the connections. */
void mh_http_free(struct mh_http *http);
void mh_http_start(struct mh_http *http, struct mh_http_call *call);
/* The call is gone when this returns: its stream is reset and done does not come. A call that is
 * not under way is left alone. */
void mh_http_cancel(struct mh_http *http, struct mh_http_call *call);
/* Later calls of this lane use new connections; calls under way go on. */
void mh_http_refresh(struct mh_http *http, enum mh_http_lane lane);
/* Connections opened since the start, for tests and metrics. */
unsigned long mh_http_connections(const struct mh_http *http);

#endif
