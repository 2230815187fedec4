/* pages.h - gives the memory of code that is not running back to the kernel. */
#ifndef MH_OPERATOR_PAGES_H
#define MH_OPERATOR_PAGES_H

#include <stdint.h>

#include "base/world.h"

/* Drops the read-only pages of the program; what is needed faults in again. Gives free pages of the
 * heap back where the C library does not do that. */
void mh_pages_drop(void);
/* Resident and anonymous bytes of this process, 0 if unknown. */
void mh_pages_resident(const struct mh_fs *fs, int64_t *resident, int64_t *anonymous);

#endif
