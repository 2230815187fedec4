/* cache_pack.h - the cache's texts in little memory: deflate, against one object of the same kind.
 *
 * Objects of a kind are much alike. A model is the text of one of them, counted by those packed
 * with it; a kind takes a newer model when the one it has serves badly. For cache_entry.c only; one
 * thread, the compressor's state is the process's. */
#ifndef MH_KUBE_CACHE_PACK_H
#define MH_KUBE_CACHE_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct mh_cache_model;

/* Packs text on the arena, with the model of the kind (*model, may be NULL at first, may be changed).
 * NULL: it is not worth it, or no memory; else the packer's caller holds *with. */
const char *mh_cache_pack(struct mh_arena *a, struct mh_cache_model **model, const char *text,
                          size_t len, size_t *packed, struct mh_cache_model **with);
/* The text, NUL-terminated, on the arena. NULL: no memory. */
char *mh_cache_unpack(struct mh_arena *a, const struct mh_cache_model *with, const char *data,
                      size_t packed, size_t len);
void mh_cache_model_unref(struct mh_cache_model *model);

#endif
