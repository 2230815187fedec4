/* pull.h - answers that do not end, from many peers at once, at little memory each.
 *
 * One GET over TLS 1.3 and a connection of its own. All of a puller share one certificate of ours
 * and one TLS context; the peer's chain must lead to the CA that the pull names, names are not
 * compared. When the request is sent OpenSSL's connection is given up: the answer is decrypted by
 * tls_record.h and read strictly (answer.h). While nothing comes no buffer is kept.
 *
 * Owner: the caller owns the pull and its texts until `done` ran or `cancel` returned. `done` comes
 * exactly once and never from inside start; start and cancel are allowed inside every callback.
 *
 * Errors: UNREACHABLE: no connection, TLS failed, or the answer broke off. TIMEOUT: silence after the
 * request was sent. INVALID: address or CA, or what came is no answer. NOMEM. An answer of another
 * status than 2xx is MH_OK, its body is not read: look at status. */
#ifndef MH_NET_PULL_H
#define MH_NET_PULL_H

#include <event2/event_struct.h>

#include "base/world.h"
#include "net/answer.h"
#include "net/tls_record.h"

struct mh_puller;

struct mh_pull {
    /* set by the caller */
    struct mh_puller *puller;
    const char *address; /* IPv4 or IPv6 in digits */
    int port;
    const char *path;
    const char *ca_pem;     /* whom to trust; read inside start only */
    int connect_timeout_ms; /* until the request is sent; 0: 5 s */
    int idle_timeout_ms;    /* until the head is complete, then: no byte for so long; 0: none */
    void (*on_data)(struct mh_pull *p, const char *data, size_t len);
    void (*done)(struct mh_pull *p);
    void *arg;
    /* set before done */
    struct mh_err err;
    int status; /* 0: no answer */
    /* private */
    int state;
    struct event io;
    struct mh_timer *timer;
    int64_t deadline;   /* INT64_MAX: none */
    struct ssl_st *ssl; /* until the request is sent */
    struct mh_tls_hello *hello;
    struct mh_tls_record record;
    struct mh_answer answer;
    bool *gone; /* set when it ends inside a callback */
};

/* The certificate and key are copied. The clock and the loop outlive the puller. */
enum mh_code mh_puller_new(struct event_base *base, struct mh_clock clock, const char *cert_pem,
                           const char *key_pem, struct mh_puller **out, struct mh_err *err);
/* No pull is under way any more. */
void mh_puller_free(struct mh_puller *puller);
void mh_pull_start(struct mh_pull *p);
/* The connection is closed when this returns and done does not come. One that is not under way is
 * left alone. */
void mh_pull_cancel(struct mh_pull *p);

#endif
