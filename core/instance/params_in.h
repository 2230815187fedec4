/* params_in.h - shared by params.c and params_cluster.c only. */
#ifndef MH_INSTANCE_PARAMS_IN_H
#define MH_INSTANCE_PARAMS_IN_H

#include "instance/params.h"

#define MH_PARAMS_MAX 1200

struct mh_params_build {
    struct mh_arena *a;
    const struct mh_params_in *in;
    struct mh_params out;
    bool failed; /* no memory */
};

/* Sets or replaces, names compared as PostgreSQL does (without case). value NULL: no memory. */
void mh_params_set(struct mh_params_build *b, const char *name, const char *value);
/* What follows from the Cluster beyond tables: libraries, archiving, tablespaces, extensions, slots. */
void mh_params_of_cluster(struct mh_params_build *b);
/* Whether a user may set it: a name, and none of those that are ours. */
bool mh_params_is_free(const char *name);
/* What the Cluster's annotation says of this instance alone: the answers of instance/v1. */
void mh_params_of_instance(struct mh_params_build *b);
/* "1h30m" in milliseconds; -1: no duration. */
int64_t mh_params_duration_ms(const char *text);

#endif
