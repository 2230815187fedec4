/* claim_in.h - what claims and volumes share. */
#ifndef MH_SANDBOX_CLAIM_IN_H
#define MH_SANDBOX_CLAIM_IN_H

#include "sandbox/control_in.h"

#define MH_SB_PROVISIONER "moonherd.io/sandbox"

/* The claim behind a pod's volume: named, or the pod's own (ephemeral); NULL: none. */
const char *mh_sb_volume_claim(struct mh_arena *a, yyjson_val *pod, yyjson_val *volume);
/* Takes a finalizer away, if it is there. */
void mh_sb_unprotect(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *o,
                     const char *finalizer);

#endif
