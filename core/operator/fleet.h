/* fleet.h - restarts under way, cluster by cluster: what policies of rollout/v1 are told of others.
 *
 * One for each cluster at most: the instance that the last decision named. It is over when its
 * cluster says so (it is steady again), is gone from the cache, or after an hour. An operator that
 * begins knows none. A policy decides in a worker; `version` tells whether another cluster was faster. */
#ifndef MH_OPERATOR_FLEET_H
#define MH_OPERATOR_FLEET_H

#include "kube/cache.h"

struct mh_restart;

/* All zero is an empty one. */
struct mh_fleet {
    struct mh_restart *first;
    size_t n;
    uint64_t version; /* changes with each restart that begins */
};

struct mh_fleet_key {
    const struct mh_kind *kind;
    const char *ns;
    const char *name;
};

void mh_fleet_release(struct mh_fleet *f);
/* A restart begins; takes the place of the cluster's former one. zone may be NULL. Without memory it
 * is not told to others. */
void mh_fleet_begin(struct mh_fleet *f, const struct mh_fleet_key *of, const char *pod,
                    const char *zone, int64_t now_ns);
/* The cluster's restart is over. */
void mh_fleet_over(struct mh_fleet *f, const struct mh_fleet_key *of);
/* [{"namespace","cluster","name","zone"}] of the other clusters, on the arena; NULL: no memory. */
const char *mh_fleet_json(struct mh_fleet *f, struct mh_arena *a, struct mh_cache *cache,
                          const struct mh_fleet_key *of, int64_t now_ns);

#endif
