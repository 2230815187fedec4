/* slab.h - inside core/lua: small blocks for a VM that lives for one decision.
 *
 * A VM makes and frees thousands of small blocks; from here each costs a few instructions and no page
 * is given back to the kernel between two decisions. Larger blocks are malloc's, and noted, so that a VM
 * that is not needed any more goes in one step. Not under AddressSanitizer, which shall see each block.
 * Chunks go back to the process when the VM is gone. */
#ifndef MH_LUA_SLAB_H
#define MH_LUA_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#define MH_SLAB_MOST 512 /* bytes; what is larger is no small block */
#define MH_SLAB_STEP 16

struct mh_slab_chunk;
struct mh_slab_block;
struct mh_slab_large;

/* Zeroed is empty. */
struct mh_slab {
    struct mh_slab_chunk *chunks;
    char *at; /* what is left of the newest */
    char *end;
    struct mh_slab_large *large; /* those that are in use */
    struct mh_slab_block *free[MH_SLAB_MOST / MH_SLAB_STEP];
};

/* Whether this build has them. */
bool mh_slab_wanted(void);
/* As realloc, where the caller knows the old size (0 and NULL: none) and a new size of 0 frees. NULL:
 * no memory, and the old block stays. */
void *mh_slab_resize(struct mh_slab *s, void *p, size_t old, size_t size);
/* All blocks are gone. */
void mh_slab_release(struct mh_slab *s);

#endif
