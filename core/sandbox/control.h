/* control.h - what a cluster's control plane does besides serving the API: scheduler, Deployments,
 * ReplicaSets, Jobs, endpoints, service addresses, volumes, accounts, node lifecycle, PDB status.
 *
 * All of it reads and writes through struct mh_api and is driven by watches; nothing polls. Each
 * object is looked at again when something that it depends on changed, and no object is looked at
 * while a write for it is under way. A refused write is tried again with back-off.
 * Owner: whoever starts it; stop ends all watches, calls, listeners and connections. Directories
 * of volumes stay. */
#ifndef MH_SANDBOX_CONTROL_H
#define MH_SANDBOX_CONTROL_H

#include "base/world.h"

struct event_base;
struct mh_sb_control;

struct mh_sb_control_config {
    int n;              /* the sandbox's addresses are 127.N.x.y */
    const char *data;   /* volumes are DATA/volumes/UID; NULL: no PVC is bound */
    const char *ca_pem; /* content of kube-root-ca.crt in every namespace */
    int api_port;       /* of the Service "kubernetes"; 0: MH_SB_API_PORT */
    /* A name or address of a Service changed: pods' hosts files are to be written again with
     * mh_sb_hosts (service.h). May be NULL. Never called from inside start. */
    void (*on_hosts)(void *arg);
    void *arg;
    /* 0: 5 s, 300 s */
    int64_t node_grace_ns; /* without a heartbeat for so long: NotReady */
    int64_t evict_ns;      /* default of tolerationSeconds for unreachable and not-ready */
};

/* Creates what every cluster has (namespaces, priority and storage classes, Service kubernetes)
 * and starts all controllers. Texts are copied. loop NULL: no forwarders are opened (unit tests on
 * a pretended clock). NULL with err: NOMEM, INVALID. */
struct mh_sb_control *mh_sb_control_start(struct mh_api api, struct mh_clock clock,
                                          struct event_base *loop,
                                          const struct mh_sb_control_config *config,
                                          struct mh_err *err);
/* NULL is allowed. */
void mh_sb_control_stop(struct mh_sb_control *c);
/* Have all kinds been listed and is nothing waiting, under way or to be tried again soon? */
bool mh_sb_control_idle(const struct mh_sb_control *c);

#endif
