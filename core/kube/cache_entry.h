/* cache_entry.h - one object of the cache, for cache.c only. */
#ifndef MH_KUBE_CACHE_ENTRY_H
#define MH_KUBE_CACHE_ENTRY_H

#include "kube/cache.h"
#include "kube/cache_pack.h"

struct mh_cache_store;

/* One block of memory: the structure, then its texts, then the JSON. Immutable but for the links. */
struct mh_cache_entry {
    const struct mh_kind *kind;
    struct mh_cache_feed *source;
    struct mh_cache_entry *next; /* of the same value of cnpg.io/cluster */
    struct mh_cache_entry *prev;
    uint64_t version;   /* resourceVersion, 0: not a number */
    uint32_t own_write; /* the source's list count when we wrote it, 0: the server told us */
    uint32_t listed;    /* the source's list count when it was last in a list */
    uint32_t json_len;
    uint32_t kept_len;            /* of json as it is kept */
    struct mh_cache_model *model; /* it is packed with this; NULL: it is kept as it is */
    const char *key;              /* "namespace/name" */
    const char *ns;
    const char *name;
    const char *uid;
    const char *cluster; /* NULL: no such label */
    const char *owners;  /* ",uid,uid," */
    const char *json;
};

/* Builds one from an object as the server sends it, for the store of its kind. NULL: no memory, or it
 * has no name. */
struct mh_cache_entry *mh_cache_entry_new(struct mh_cache_store *store, yyjson_val *object);
/* NULL is allowed. */
void mh_cache_entry_free(struct mh_cache_entry *e);
/* Its value, on the arena; NULL: no memory. */
yyjson_val *mh_cache_entry_value(const struct mh_cache_entry *e, struct mh_arena *a);
/* Is a of the same object as b, and not newer? */
bool mh_cache_entry_same_or_older(const struct mh_cache_entry *a, const struct mh_cache_entry *b);
bool mh_cache_entry_matches(const struct mh_cache_entry *e, const struct mh_cache_query *q);
/* "namespace/name"; false: too long. */
#define MH_CACHE_KEY 520
bool mh_cache_key(char out[MH_CACHE_KEY], const struct mh_kind *kind, const char *ns,
                  const char *name);

#endif
