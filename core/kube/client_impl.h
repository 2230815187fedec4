/* client_impl.h - what client.c and watch.c share. */
#ifndef MH_KUBE_CLIENT_IMPL_H
#define MH_KUBE_CLIENT_IMPL_H

#include "kube/client.h"

struct mh_kube {
    struct event_base *base;
    struct mh_http *http;
    struct mh_kube_config *config;
    struct mh_clock clock;
    struct mh_rand rand;
    struct event *work; /* hands out what failed inside start */
    struct mh_kube_stats stats;
    struct kube_request *requests; /* all of them */
    struct kube_request *first;    /* waiting in the bucket, in order */
    struct kube_request *last;
    struct mh_api_call *failed; /* no memory in start; linked by impl */
    struct mh_timer *timer;     /* for the bucket */
    int64_t tokens_ns;          /* the bucket, as time: a request costs 1 s / rate */
    int64_t filled_at;
    int64_t hold_until; /* Retry-After */
    int per_second;
    int burst;
    struct mh_watch *watches;
    int idle_ms;
    int relist_ms;
};

/* "Authorization: Bearer ...", "" without a token; on a; NULL: no memory. */
const char *mh_kube_auth(struct mh_kube *kube, struct mh_arena *a, bool fresh);
/* Sets url, headers, tls of an HTTP call for path; false: no memory. */
bool mh_kube_prepare(struct mh_kube *kube, struct mh_http_call *call, struct mh_arena *a,
                     const char *path, bool fresh);

struct mh_watch *mh_kube_watch(void *self, const struct mh_watch_spec *spec);
void mh_kube_unwatch(void *self, struct mh_watch *w);

#endif
