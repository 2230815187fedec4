/* http_client_impl.h - what http_client.c and http_setup.c share. */
#ifndef MH_NET_HTTP_CLIENT_IMPL_H
#define MH_NET_HTTP_CLIENT_IMPL_H

#include <curl/curl.h>

#include "base/buf.h"
#include "io/loop.h"
#include "net/http_client.h"

#define MH_HTTP_SPARE_MAX 8

/* One connection pool: a curl multi handle. Each lane has one in use; one that is out of use lives
 * until its last call is gone. */
struct mh_pool {
    struct mh_pool *next;
    struct mh_http *http;
    CURLM *multi;
    struct event *timer; /* made with the pool: what fails inside curl breaks it for good */
    int calls;
    bool retired;
    bool broken; /* curl does nothing with it any more */
};

enum mh_xfer_state { QUEUED, ACTIVE, FINISHED };

struct mh_xfer {
    struct mh_xfer *next;
    struct mh_xfer *prev;
    struct mh_http *http;
    struct mh_http_call *call; /* NULL: cancelled, waits for its removal */
    struct mh_pool *pool;
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    struct mh_buf body;
    size_t sent; /* of the request's body */
    enum mh_xfer_state state;
    bool over;  /* the body is over its cap */
    bool quiet; /* our deadline passed */
    CURLcode result;
    int64_t deadline; /* INT64_MAX: none */
    int64_t last_byte;
    struct mh_timer *timer;
    char curl_error[CURL_ERROR_SIZE];
};

struct mh_http {
    struct event_base *base;
    struct mh_clock clock;
    struct event *work;
    struct mh_pool *lanes[MH_HTTP_LANES];
    struct mh_pool *pools;
    struct mh_xfer *xfers; /* in the order of their starts */
    struct mh_xfer *last;
    struct mh_http_call *failed; /* calls that found no memory, linked by impl */
    CURL *spare[MH_HTTP_SPARE_MAX];
    int nspare;
    int depth; /* inside curl */
    unsigned long connections;
};

/* Takes what the server sends (http_client.c). */
size_t mh_xfer_on_body(char *data, size_t size, size_t n, void *arg);
/* Sets all options of the transfer's handle from its call; false: no memory, or a bad url (then
 * x->result says so). */
bool mh_xfer_set_up(struct mh_xfer *x);

#endif
