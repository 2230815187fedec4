/* route.h - from a changed object to the objects whose pass depends on it.
 *
 * An object that has a controller: itself. A child: its owner, through at most three owners (a
 * job's pod), or by its cluster label if it has no owner (secrets of users). A kind that a
 * controller watches: all objects of that controller. Changes of bookkeeping alone (resource
 * version, renewals, heartbeats) are no change. */
#ifndef MH_OPERATOR_ROUTE_H
#define MH_OPERATOR_ROUTE_H

#include "kube/cache.h"
#include "operator/queue.h"
#include "operator/scripts.h"

struct mh_router {
    struct mh_cache *cache;
    struct mh_kinds *kinds;
    struct mh_scripts_env *scripts;
    struct mh_queue *queue;
};

/* own: the change is the reply to our own write. */
void mh_route_change(struct mh_router *r, const struct mh_kind *kind, yyjson_val *old,
                     yyjson_val *now, bool own);
/* Queues every object that has a controller. */
void mh_route_all(struct mh_router *r);
/* Differ two versions of an object in more than bookkeeping? */
bool mh_route_differs(yyjson_val *old, yyjson_val *now);

#endif
