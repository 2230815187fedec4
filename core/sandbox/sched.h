/* sched.h - on which node a pod runs: a pure function of what is there.
 *
 * As the real scheduler: first which nodes can (filters, in its order), then which is best (scores
 * of 0..100 with its default weights). Equal scores: the first by name. */
#ifndef MH_SANDBOX_SCHED_H
#define MH_SANDBOX_SCHED_H

#include "base/json.h"
#include "base/mem.h"

struct mh_sb_placed {
    yyjson_val *pod;
    const char *node;
    int64_t cpu;    /* its requests: thousandths */
    int64_t memory; /* bytes */
};

struct mh_sb_sched {
    yyjson_val *const *nodes; /* sorted by name */
    size_t nnodes;
    const struct mh_sb_placed *pods; /* all that have a node and are not finished */
    size_t npods;
    yyjson_val *const *namespaces; /* for namespaceSelector; may be empty */
    size_t nnamespaces;
    /* A claim of the pod's namespace, and a volume, by name; NULL: not there. */
    yyjson_val *(*claim)(void *arg, const char *ns, const char *name);
    yyjson_val *(*volume)(void *arg, const char *name);
    /* Is this claim one that is bound once its pod has a node? */
    bool (*waits)(void *arg, yyjson_val *claim);
    void *arg;
};

/* The node's name, or NULL with *why "0/3 nodes are available: ..." as the real scheduler says it
 * (or, before nodes were looked at, why the pod cannot be scheduled). On the arena; both NULL: no
 * memory. */
const char *mh_sb_sched_pick(const struct mh_sb_sched *s, struct mh_arena *a, yyjson_val *pod,
                             const char **why);

/* What a pod asks for of "cpu" or "memory": the sum of its containers, at least the largest of its
 * init containers. */
int64_t mh_sb_sched_request(yyjson_val *pod, const char *what, int64_t scale);
/* Does a toleration of this list let a pod stand a taint? */
bool mh_sb_tolerates(yyjson_val *tolerations, yyjson_val *taint);
/* Does a label selector object (matchLabels, matchExpressions) match? A NULL selector matches
 * nothing, an empty one everything. */
bool mh_sb_selects(yyjson_val *selector, yyjson_val *labels);
/* "1500m", "2Gi", 2: value times `scale` (1 or 1000), rounded up; -1: no quantity. */
int64_t mh_sb_amount(yyjson_val *quantity, int64_t scale);

#endif
