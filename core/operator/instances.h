/* instances.h - what every instance says about itself, over streams that stay open.
 *
 * For each instance pod (label cnpg.io/podRole=instance, an owner, an address) one
 * GET https://POD_IP:8000/moonherd/v1/stream, with our client certificate, the server verified by
 * the owner's server CA. One JSON line is one status; the last good one is kept. A change of what
 * matters is reported; 3 s without a line is a loss; reconnects after 200 ms .. 2 s,
 * 64 at a time, who was lost last first.
 * Everything an instance sends is hostile: lines are capped, parsed with limits, never trusted. */
#ifndef MH_OPERATOR_INSTANCES_H
#define MH_OPERATOR_INSTANCES_H

#include "base/map.h"
#include "net/http_client.h"
#include "net/pull.h"
#include "operator/actions.h"
#include "operator/owner.h"
#include "operator/secrets.h"

#define MH_INSTANCE_PORT 8000
#define MH_INSTANCE_LINE_MAX ((size_t)256 << 10)
#define MH_INSTANCE_LOST_NS (3LL * 1000000000LL)

struct mh_instance;

struct mh_instances {
    /* set by the caller */
    struct mh_clock clock;
    struct mh_api api;
    struct event_base *base; /* of the streams; NULL: nothing is dialled (tests feed lines) */
    struct mh_http *http;    /* for orders */
    struct mh_kinds *kinds;
    struct mh_cache *cache;
    struct mh_secrets *secrets;
    const struct mh_kind *secret_kind;
    /* Something about an instance of this object changed. */
    void (*on_change)(void *arg, const struct mh_kind *kind, const char *ns, const char *name,
                      bool urgent);
    void *arg;
    int port; /* 0: 8000 */
    /* private */
    struct mh_puller *puller;
    struct mh_order *orders; /* under way */
    struct mh_map pods;      /* "ns/pod" -> struct mh_instance */
    char *cert_pem;
    char *key_pem;
    char fingerprint[65];
    unsigned dialling;
    bool on;
};

/* Makes our client certificate. The fields above are set. Fails: INTERNAL, NOMEM. */
enum mh_code mh_instances_init(struct mh_instances *all, struct mh_err *err);
void mh_instances_release(struct mh_instances *all);
/* Dial or hang up: only the leader dials. */
void mh_instances_turn(struct mh_instances *all, bool on);
/* A pod came, changed or (now NULL) went. */
void mh_instances_pod(struct mh_instances *all, const char *ns, const char *name, yyjson_val *now);
/* {"POD":{"connected":bool,"lost_s":n,"status":{...}}} of one owner, sorted by pod; on the arena,
 * NULL without memory. lost_s is absent while connected, status if none ever came. */
const char *mh_instances_json(struct mh_instances *all, struct mh_arena *a,
                              const struct mh_kind *kind, const char *ns, const char *name);
/* Orders go to the instance manager of a pod that is dialled; at most one of each command is under
 * way to a pod, a newer one replaces it. Failures are logged. */
struct mh_instance_sender mh_instances_sender(struct mh_instances *all);
/* Address and server CA (PEM) of a pod; false if one is unknown. Valid until it changes. */
bool mh_instances_where(const struct mh_instances *all, const char *ns, const char *pod,
                        const char **ip, const char **ca);
/* Streams that are open, and all. */
size_t mh_instances_connected(const struct mh_instances *all, size_t *total);

/* Orders under way are dropped. */
void mh_instances_drop_orders(struct mh_instances *all);

/* Bytes of a pod's stream; for tests. */
void mh_instances_feed(struct mh_instances *all, const char *ns, const char *pod, const char *data,
                       size_t len);

#endif
