/* model.h - modelled instances: pods annotated moonherd.io/modelled="true" run no process.
 *
 * Once such a pod has a node, the sandbox gives it an address of its own (127.N.128..255.y),
 * writes its status as a kubelet would, and answers for its instance manager: HTTPS on port 8000
 * with the Cluster's server certificate (probes, status, stream, peer, commands), roles and the
 * Lease as the real one keeps them. Jobs' pods with the annotation succeed at once. PostgreSQL
 * itself is not there: no port 5432. */
#ifndef MH_SANDBOX_MODEL_H
#define MH_SANDBOX_MODEL_H

#include "base/json.h"
#include "base/world.h"

#define MH_SB_MODELLED "moonherd.io/modelled"

struct event_base;
struct mh_sb_model;

struct mh_sb_model_config {
    int n;          /* addresses 127.N.128..255.y */
    int start_ms;   /* from its node to a running pod; 0: at once */
    int promote_ms; /* from the role to a promoted primary */
    int renew_ms;   /* 0: as the Lease's duration asks */
};

/* Is this pod (its object) one that is modelled? Whoever runs pods leaves these alone. */
bool mh_sb_is_modelled(yyjson_val *pod);

/* NULL with err: NOMEM. loop NULL: nothing is served (tests). */
struct mh_sb_model *mh_sb_model_start(struct mh_api api, struct mh_clock clock,
                                      struct event_base *loop,
                                      const struct mh_sb_model_config *config, struct mh_err *err);
void mh_sb_model_stop(struct mh_sb_model *m);
/* Number of modelled pods that answer. */
size_t mh_sb_model_count(const struct mh_sb_model *m);

#endif
