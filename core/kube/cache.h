/* cache.h - what the API server holds, as far as passes read it: kept by watches.
 *
 * Objects are kept as compact JSON without metadata.managedFields and after the kind's trim;
 * readers get a fresh value on their own arena, so it stays whatever happens to the cache.
 * All unknown fields and 64-bit integers survive. An event that is older than what is kept (same
 * uid, lower resourceVersion) is ignored. A relist replaces a source's objects at once when it is
 * complete, with changes and deletions reported then.
 * Owner: whoever made it; free ends the watches. Failure of memory drops the one object, logs, and
 * has the source listed again. */
#ifndef MH_KUBE_CACHE_H
#define MH_KUBE_CACHE_H

#include "base/world.h"
#include "kube/kinds.h"

#define MH_LABEL_CLUSTER "cnpg.io/cluster"

struct mh_cache;

/* Something changed: old is NULL for a new object, new for one that is gone. Both live until the
 * function returns. The cache may be read inside, not freed. Own writes are reported too. */
typedef void (*mh_cache_change_fn)(void *arg, const struct mh_kind *kind, const char *ns,
                                   const char *name, yyjson_val *old, yyjson_val *now);
/* Shortens an object before it is kept; false: no memory. */
typedef bool (*mh_cache_trim_fn)(void *arg, yyjson_mut_doc *doc, yyjson_mut_val *object);

struct mh_cache_source {
    const struct mh_kind *kind;
    const char *name_space; /* NULL: all */
    const char *selector;   /* "a=b,c,!d,e!=f" or NULL */
    mh_cache_trim_fn trim;  /* of the kind: the first source's one is used */
    void *trim_arg;
};

/* NULL: no memory. on_change may be NULL. */
struct mh_cache *mh_cache_new(struct mh_api api, mh_cache_change_fn on_change, void *arg);
void mh_cache_free(struct mh_cache *cache);
/* Starts a watch; the source is copied (kind by reference). Sources of one kind must not overlap.
 * False: no memory. */
bool mh_cache_add(struct mh_cache *cache, const struct mh_cache_source *source);
/* Has this kind (NULL: have all) been listed once? */
bool mh_cache_synced(struct mh_cache *cache, const struct mh_kind *kind);

/* NULL: not there, or no memory (then *err, which may be NULL, is NOMEM, else NOTFOUND). */
yyjson_val *mh_cache_get(struct mh_cache *cache, struct mh_arena *a, const struct mh_kind *kind,
                         const char *ns, const char *name, struct mh_err *err);

/* What to list; NULL fields do not restrict. */
struct mh_cache_query {
    const struct mh_kind *kind;
    const char *name_space;
    const char *cluster;   /* value of the label cnpg.io/cluster (indexed) */
    const char *owner_uid; /* one of metadata.ownerReferences */
    const char *label;     /* this label ... */
    const char *value;     /* ... has this value (NULL: any) */
};
/* Sorted by namespace, then name. Returns the number, *out on the arena; -1: no memory. */
int mh_cache_list(struct mh_cache *cache, struct mh_arena *a, const struct mh_cache_query *query,
                  yyjson_val ***out);

/* The reply to one of our writes or reads: kept at once if newer than what is there. Objects that
 * no source of the kind covers are ignored. */
void mh_cache_wrote(struct mh_cache *cache, const struct mh_kind *kind, yyjson_val *object);
/* One of our deletes found it gone (uid may be NULL: whatever is there). */
void mh_cache_gone(struct mh_cache *cache, const struct mh_kind *kind, const char *ns,
                   const char *name, const char *uid);
/* The outcome of a write is unknown (TIMEOUT): the object is "behind" until it is written, read
 * back (mh_cache_wrote, mh_cache_gone), heard of, or listed. */
void mh_cache_unknown(struct mh_cache *cache, const struct mh_kind *kind, const char *ns,
                      const char *name);
/* Is the cache older than one of our own writes to this object, or may it be? */
bool mh_cache_is_behind(struct mh_cache *cache, const struct mh_kind *kind, const char *ns,
                        const char *name);
/* Number of objects and their bytes, for metrics. */
size_t mh_cache_count(const struct mh_cache *cache, size_t *bytes);

/* Does a label selector match these labels (an object or NULL)? False for one it cannot read. */
bool mh_selector_match(const char *selector, yyjson_val *labels);

#endif
