/* sandbox.h - what the parts of the sandbox share: addresses and names.
 *
 * One sandbox uses 127.N.0.0/16 with an N that no other sandbox on the machine uses. */
#ifndef MH_SANDBOX_SANDBOX_H
#define MH_SANDBOX_SANDBOX_H

#include "base/mem.h"

#define MH_SB_API_PORT 6443
#define MH_SB_NODES_MAX 64

/* 127.N.0.1: the API server. On the arena; NULL: no memory. */
char *mh_sb_api_address(struct mh_arena *a, int n);
/* 127.N.1.y (1 <= y <= 254): a service. */
char *mh_sb_service_address(struct mh_arena *a, int n, int y);
/* 127.N.(16+node).y: a pod of this node (0 ..). */
char *mh_sb_pod_address(struct mh_arena *a, int n, int node, int y);

#endif
