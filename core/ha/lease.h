/* lease.h - the cluster's Lease as the protocol reads it.
 *
 * The Lease (name = cluster) is the only place where a change of role is decided: every change is a
 * compare-and-swap on resourceVersion, so terms are unique without a vote (reliability.md 3.1).
 *   spec.holderIdentity     pod name of the primary (in phase fencing and switching: of the old one)
 *   spec.leaseTransitions   the term
 *   annotations moonherd.io/... phase, incarnation, address, candidate, configs, served, session,
 *   ranking, lineage (of the log that was elected: "timeline:term that made it:term of the election")
 * Values live as long as the JSON they were read from. */
#ifndef MH_HA_LEASE_H
#define MH_HA_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "ha/lineage.h"

#define MH_HA_MEMBERS_MAX 32
#define MH_HA_CONFIGS_MAX 6

enum mh_ha_phase {
    MH_HA_STABLE,    /* the holder serves this term */
    MH_HA_SUSPECT,   /* asynchronous only: the holder must answer by renewing, within the lease */
    MH_HA_FENCING,   /* promises for this term are collected; nobody may serve it yet */
    MH_HA_SWITCHING, /* the holder is asked to stop cleanly in favour of the candidate */
    MH_HA_PROMOTING  /* the holder is elected and makes itself primary */
};

/* A set of synchronous standbys of which `number` acknowledge each commit. */
struct mh_ha_config {
    const char *names[MH_HA_MEMBERS_MAX];
    int nnames;
    int number;
    bool first; /* FIRST instead of ANY */
};

struct mh_ha_lease {
    bool exists;
    const char *resource_version;
    const char *holder; /* NULL: nobody yet */
    uint64_t term;      /* 0: nobody was ever primary */
    enum mh_ha_phase phase;
    const char *incarnation; /* of the holder's volume */
    const char *address;     /* of the holder; NULL if unknown */
    const char *holder_uid;  /* of the holder's pod; NULL if unknown */
    const char *session;     /* of the manager that wrote it as holder last; NULL if unknown */
    uint64_t served;         /* the last term in which the holder opened its gate, 0: unknown */
    bool has_lineage;        /* promoting: the log that was elected */
    struct mh_ha_point lineage;
    const char *ranking;   /* what a policy said ahead of time (ranking.h); NULL: nothing */
    const char *candidate; /* switching: who is to take over; fencing: whom the policy prefers */
    struct mh_ha_config configs
        [MH_HA_CONFIGS_MAX]; /* the possible ones: a write may have been acknowledged by any */
    int nconfigs;
    bool configs_known; /* false: the annotation is absent, which is not the same as asynchronous */
};

/* Reads a Lease object; NULL gives exists = false. What the annotations hold as JSON is parsed into
 * the arena. Fails INVALID when an annotation of ours cannot be read: then nobody may decide
 * anything. */
enum mh_code mh_ha_lease_read(struct mh_arena *a, yyjson_val *object, struct mh_ha_lease *out,
                              struct mh_err *err);
const char *mh_ha_phase_name(enum mh_ha_phase phase);
/* How many of a configuration must have promised a new term before it may elect: |S| - W + 1. */
int mh_ha_fence_quorum(const struct mh_ha_config *c);
bool mh_ha_config_has(const struct mh_ha_config *c, const char *name);
bool mh_ha_config_equal(const struct mh_ha_config *a, const struct mh_ha_config *b);
/* The value of annotation moonherd.io/configs. NULL: no memory. */
char *mh_ha_configs_text(struct mh_arena *a, const struct mh_ha_config *configs, int n);

#endif
