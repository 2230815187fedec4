/* syncnames.h - who must acknowledge commits: synchronous_standby_names from the Cluster. Pure. */
#ifndef MH_INSTANCE_SYNCNAMES_H
#define MH_INSTANCE_SYNCNAMES_H

#include "base/json.h"

struct mh_sync_instance {
    const char *name;
    bool healthy;     /* streams and is ready */
    bool same_domain; /* in the primary's failure domain: not eligible while domain keys are set */
    bool streams;     /* as the primary says; only who a policy chose is asked for it */
};

struct mh_sync_in {
    yyjson_val *cluster;
    const char *primary;
    const struct mh_sync_instance *instances; /* all of the cluster, the primary too, any order */
    int ninstances;
    /* Whom a policy chose, the best first; nchosen 0: nobody was asked. Only they count, as long as
     * enough of them stream: else everybody does, they first. */
    const char *const *chosen;
    int nchosen;
};

struct mh_sync_names {
    const char *text;     /* value of the parameter; "" when replication is asynchronous */
    const char *metadata; /* {"method","number","standbyNames"}, NULL when asynchronous or legacy */
    const char *method;   /* "ANY" or "FIRST"; "" when asynchronous */
    const char *const *names; /* S: who can acknowledge; without the primary and the placeholder */
    int nnames;
    int number;     /* W; 0 when asynchronous. May exceed nnames: then commits wait */
    bool preferred; /* may shrink to what is healthy */
};

/* MH_E_NOMEM only. */
enum mh_code mh_sync_names(struct mh_arena *a, const struct mh_sync_in *in,
                           struct mh_sync_names *out, struct mh_err *err);

#endif
