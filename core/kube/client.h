/* client.h - the Kubernetes API, for real: world.h's mh_api over HTTP/2.
 *
 * Requests: errors are mapped from the HTTP status and the reason in the Status object; a 401 is
 * tried once more with the token file read again. Nothing else is repeated here: TIMEOUT means
 * that the outcome is unknown, the caller reads back. Requests wait in a token bucket, and after a
 * 429 for its Retry-After; urgent ones never wait and have a connection of their own. Urgent are
 * all on Leases, PATCH of pods and pod status, and everything through mh_kube_api_urgent.
 *
 * Watches: a consistent list in pages, then a stream with bookmarks, for ever: RELIST, ADDED...,
 * SYNCED, events. 410 lists again, and so does every tenth minute. A stream without a byte for 75 s
 * (bookmarks come each minute) is LOST and resumed. Errors back off from 100 ms to 10 s. Objects of
 * a list carry no apiVersion and kind where the server leaves them out (built-in kinds); the cache
 * puts them in. */
#ifndef MH_KUBE_CLIENT_H
#define MH_KUBE_CLIENT_H

#include <event2/event.h>

#include "base/world.h"
#include "kube/config.h"
#include "net/http_client.h"

struct mh_kube;

/* Of this client, for metrics. */
struct mh_kube_stats {
    uint64_t requests;
    uint64_t failures;
    uint64_t throttled; /* answers 429 */
    uint64_t relists;
    uint64_t lost;   /* streams that broke */
    int64_t waiting; /* requests in the bucket now */
};

/* config and http stay the caller's and outlive the client. NULL: no memory. */
struct mh_kube *mh_kube_new(struct event_base *base, struct mh_http *http,
                            struct mh_kube_config *config);
/* Cancels all calls and watches; their callbacks do not come. */
void mh_kube_free(struct mh_kube *kube);
struct mh_api mh_kube_api(struct mh_kube *kube);
/* The same, all requests urgent. A call is cancelled through either. */
struct mh_api mh_kube_api_urgent(struct mh_kube *kube);
/* Default 50 a second, bursts of 100. */
void mh_kube_set_rate(struct mh_kube *kube, int per_second, int burst);
/* Default 75 s and 600 s; for tests. */
void mh_kube_set_watch_times(struct mh_kube *kube, int idle_ms, int relist_ms);
struct mh_kube_stats mh_kube_stats(const struct mh_kube *kube);
/* The namespace of the configuration. */
const char *mh_kube_namespace(const struct mh_kube *kube);

/* What an HTTP answer means: fills *err (MH_OK for 2xx) from status and the Status object (may be
 * NULL), as the client does. what: "PATCH /api/v1/..." for the message. */
enum mh_code mh_kube_error(int status, yyjson_val *reply, const char *what, struct mh_err *err);

#endif
