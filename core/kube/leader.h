/* leader.h - leader election on a Lease, compare-and-swap with resourceVersion.
 *
 * Time is our own clock only: another holder's lease has run out when its record did not change
 * for lease_ms as seen here. on_lost comes before that time is over for others (renew_ms after the
 * last success), or at once when somebody else holds it. Being leader is an optimisation: decisive
 * writes are guarded by themselves. */
#ifndef MH_KUBE_LEADER_H
#define MH_KUBE_LEADER_H

#include "base/world.h"

struct mh_leader;

struct mh_leader_spec {
    const char *name_space;
    const char *name;     /* of the Lease */
    const char *identity; /* unique: pod name and a random part */
    int lease_ms;         /* 0: 15 s */
    int renew_ms;         /* 0: 10 s */
    int retry_ms;         /* 0: 2 s */
    void (*on_started)(void *arg);
    void (*on_lost)(void *arg);
    void *arg;
};

/* Begins; the spec is copied. api should be the urgent one. NULL: no memory. */
struct mh_leader *mh_leader_new(struct mh_api api, struct mh_clock clock,
                                const struct mh_leader_spec *spec);
bool mh_leader_is(const struct mh_leader *leader);
/* Gives the lease up so that the next one need not wait; on_lost comes if we held it, then
 * done(arg), at once or after at most retry_ms. Then only free is allowed. */
void mh_leader_resign(struct mh_leader *leader, void (*done)(void *arg), void *arg);
void mh_leader_free(struct mh_leader *leader);

#endif
