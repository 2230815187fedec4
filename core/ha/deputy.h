/* deputy.h - when an instance manager carries out a step of the protocol itself (B2).
 *
 * What may be done is mh_ha_assess's answer, whoever asks: each step is a compare-and-swap on what
 * was seen, so that any number of deciders is as safe as one. Here is only who is to do it and how
 * long the operator is waited for. Pure: what it needs is measured by the manager, on its own clock. */
#ifndef MH_HA_DEPUTY_H
#define MH_HA_DEPUTY_H

#include "ha/view.h"

struct mh_ha_deputy {
    const char *name;    /* of this instance, one of the view's members */
    bool operator_here;  /* the operator's connection to this manager is open */
    int64_t operator_ms; /* since it ended, or since the manager began */
    int64_t renewed_ms;  /* since the holder was last seen to write the Lease */
    int64_t
        confirmed_ms; /* since this instance told its primary that it follows, -1: never (rule 5) */
    int64_t wanted_ms; /* since the protocol wants a step and nobody has written the Lease */
    bool began;        /* this manager wrote the step before */
    bool restrained;   /* the Cluster says that nothing shall begin: fenced by hand, hibernated */
};

/* This manager carries out verdict->to now. */
bool mh_ha_deputy_acts(const struct mh_ha_view *view, const struct mh_ha_verdict *verdict,
                       const struct mh_ha_deputy *d);

#endif
