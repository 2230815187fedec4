/* service.h - Services as addresses and names.
 *
 * Every Service that is not headless has an address of its own (spec.clusterIP, 127.N.1..15.y). A
 * forwarder listens there on each TCP port while at least one ready pod is behind it (a port that
 * may not be bound, below 1024 without root, is left out) and connects each client to one of
 * them in turn. Connections live until an end closes them, whatever becomes of the endpoints;
 * without endpoints the address refuses. */
#ifndef MH_SANDBOX_SERVICE_H
#define MH_SANDBOX_SERVICE_H

#include "base/mem.h"
#include "sandbox/control.h"

struct mh_sb_target {
    char address[48]; /* of a ready pod, or of the API server */
    int port;
    char ns[64]; /* of the pod; "" if it is none */
    char pod[254];
};

/* Where a new connection to a Service's address goes now, the pods in turn. For whoever sees
 * connections before they are made (the node's relay) and so needs no forwarder. False: no Service
 * has this address and port, or it has no ready endpoint (*known tells: it is a Service's address).
 * known may be NULL. */
bool mh_sb_service_route(struct mh_sb_control *c, const char *address, int port,
                         struct mh_sb_target *out, bool *known);
/* The same by name and service port, as an admission webhook's clientConfig.service names it. */
bool mh_sb_service_find(struct mh_sb_control *c, const char *ns, const char *name, int port,
                        struct mh_sb_target *out);
/* Lines "ADDRESS NAME NAME..." for the hosts file of a pod in namespace ns: every Service as
 * NAME.NS, NAME.NS.svc and NAME.NS.svc.cluster.local, those of ns as NAME too; headless ones name
 * their ready pods' addresses (all pods' with publishNotReadyAddresses), and HOSTNAME.NAME... where
 * the pod has a hostname and this subdomain. "kubernetes" in "default" is among them. On the arena;
 * NULL: no memory. */
const char *mh_sb_hosts(struct mh_sb_control *c, struct mh_arena *a, const char *ns);

#endif
