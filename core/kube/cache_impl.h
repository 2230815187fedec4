/* cache_impl.h - what the files of the cache share. */
#ifndef MH_KUBE_CACHE_IMPL_H
#define MH_KUBE_CACHE_IMPL_H

#include "base/map.h"
#include "kube/cache_entry.h"

#define MH_CACHE_OBJECTS_MAX 1000000
#define MH_CACHE_UNKNOWN_KEY (MH_CACHE_KEY + 160)

/* The objects of one kind. */
struct mh_cache_store {
    struct mh_cache_store *next;
    const struct mh_kind *kind;
    struct mh_map entries; /* by "namespace/name" */
    mh_cache_trim_fn trim;
    void *trim_arg;
    struct mh_cache_model *model; /* new entries are packed with */
};

struct mh_cache_feed {
    struct mh_cache_feed *next;
    struct mh_cache *cache;
    struct mh_cache_store *store;
    struct mh_watch *watch;
    char *ns;
    char *selector;
    char *path;
    struct mh_map staged; /* of the list under way, by key */
    uint32_t lists;       /* how many were begun */
    bool listing;
    bool synced;
    bool dirty; /* something could not be kept: list again as soon as memory allows */
};

/* The last objects that watches told us are gone. A reply to a write of ours may come after that
 * news; a uid does not come back. */
#define MH_CACHE_BURIED 128

struct mh_cache_buried {
    char uid[40];
    uint64_t version; /* of the deletion */
};

struct mh_cache {
    struct mh_api api;
    mh_cache_change_fn on_change;
    void *arg;
    struct mh_cache_store *stores;
    struct mh_cache_feed *sources;
    struct mh_map clusters; /* label cnpg.io/cluster -> first entry */
    struct mh_map unknown;  /* "kind key namespace/name" of writes with unknown outcome */
    size_t count;
    size_t bytes;
    struct mh_cache_buried buried[MH_CACHE_BURIED];
    size_t nburied; /* ever; the next place is the rest */
};

struct mh_cache_store *mh_cache_store_of(const struct mh_cache *c, const struct mh_kind *kind);
/* The key of an object in `unknown`; false: too long. */
bool mh_cache_unknown_key(char out[MH_CACHE_UNKNOWN_KEY], const struct mh_kind *kind,
                          const char *key);
/* The object's state is known (again). */
void mh_cache_known(struct mh_cache *c, const struct mh_kind *kind, const char *key);
/* What e says is from before the object's end. */
bool mh_cache_is_buried(const struct mh_cache *c, const struct mh_cache_entry *e);
/* Takes e in, in the place of what is there, and reports it. On failure e is freed. */
bool mh_cache_put(struct mh_cache *c, struct mh_cache_feed *s, struct mh_cache_entry *e);
void mh_cache_take_out(struct mh_cache *c, struct mh_cache_store *s, const char *key);
/* Something of this feed could not be kept. */
void mh_cache_spoiled(struct mh_cache_feed *s, const char *what);
void mh_cache_drop_staged(struct mh_cache_feed *s);
/* Begins the feed's watch (anew). False: no memory, all is as it was. */
bool mh_cache_begin_watch(struct mh_cache_feed *s);
/* Begins anew the watches whose objects could not all be kept. */
void mh_cache_repair(struct mh_cache *c);

#endif
