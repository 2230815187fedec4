/* swap.h - what the protocol wants of the Lease, as the API server takes it. */
#ifndef MH_HA_SWAP_H
#define MH_HA_SWAP_H

#include "ha/view.h"

/* The annotations of a swap; null removes one. False: no memory. */
bool mh_ha_swap_notes(yyjson_mut_doc *d, yyjson_mut_val *notes, const struct mh_ha_lease *lease,
                      const struct mh_ha_swap *to);
/* The whole swap as a merge patch that holds for the version that was read only. NULL: no memory, or
 * the Lease has no version. */
char *mh_ha_swap_patch(struct mh_arena *a, const struct mh_ha_lease *lease,
                       const struct mh_ha_swap *to);

#endif
