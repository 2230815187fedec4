/* store.h - the objects of the sandbox's API server: one sorted table a kind, one resourceVersion
 * for all, and the last changes of each kind for watches.
 *
 * An object is immutable: its JSON text without kind and apiVersion ({"metadata":...}), shared by
 * the table, the changes and whoever holds a reference. Nobody but the files of rest, list, watch,
 * gc and disk includes this; all others ask through rest.h.
 * Owner: the store owns its tables; an object belongs to its references. Every failure is NOMEM. */
#ifndef MH_SANDBOX_STORE_H
#define MH_SANDBOX_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/map.h"

#define MH_SB_OWNERS_MAX 8
#define MH_SB_CHANGES 1024 /* changes a kind remembers, unless told otherwise */

struct mh_sb_obj {
    uint32_t refs;
    uint32_t len;     /* of the text */
    uint64_t version; /* resourceVersion */
    const char *key;  /* "namespace/name", or "name" */
    const char *text; /* JSON, ends with NUL */
    uint64_t uid;     /* hash of metadata.uid */
    uint8_t nowners;
    bool deleting;     /* has a deletionTimestamp */
    bool rewritten;    /* not by a client: an update that changes nothing is one */
    uint64_t owners[]; /* hashes of ownerReferences[].uid */
};

struct mh_sb_change {
    uint64_t version;
    struct mh_sb_obj *now;    /* of a removal: the last state with the removal's resourceVersion */
    struct mh_sb_obj *before; /* NULL: it was created */
    bool removed;
};

struct mh_sb_table {
    struct mh_sb_obj **items; /* sorted by key */
    size_t len;
    size_t size;
    uint64_t changed; /* resourceVersion of its last change */
    /* ring: changes[(first + i) % size], oldest first */
    struct mh_sb_change *changes;
    size_t nchanges;
    size_t first;
    size_t ring;
    uint64_t compacted; /* changes up to this resourceVersion are forgotten */
};

struct mh_sb_store {
    uint64_t version; /* the last resourceVersion given */
    size_t objects;
    size_t bytes;
    size_t ring;
    struct mh_map
        dependents; /* hash of an owner's uid, as text -> number of objects that name it */
};

void mh_sb_store_init(struct mh_sb_store *s, size_t ring);
void mh_sb_store_release(struct mh_sb_store *s);
void mh_sb_table_init(struct mh_sb_table *t, struct mh_sb_store *s);
/* Drops its objects and changes. */
void mh_sb_table_release(struct mh_sb_table *t, struct mh_sb_store *s);

/* What the store must know of an object besides its text. */
struct mh_sb_facts {
    const char *key;
    const char *uid;
    const char *owners[MH_SB_OWNERS_MAX];
    int nowners;
    bool deleting;
};
/* One reference, the caller's. */
struct mh_sb_obj *mh_sb_obj_new(const struct mh_sb_facts *f, uint64_t version, const char *text,
                                size_t len);
struct mh_sb_obj *mh_sb_obj_ref(struct mh_sb_obj *o);
void mh_sb_obj_unref(struct mh_sb_obj *o);
uint64_t mh_sb_hash(const char *s);

/* NULL: not there. Borrowed. */
struct mh_sb_obj *mh_sb_table_get(const struct mh_sb_table *t, const char *key);
/* Index of the first key that is not before `key`. */
size_t mh_sb_table_seek(const struct mh_sb_table *t, const char *key);
/* Puts it in, instead of one with that key, and remembers the change. The reference goes over to
 * the table on success. */
bool mh_sb_table_put(struct mh_sb_table *t, struct mh_sb_store *s, struct mh_sb_obj *o);
/* The same object written otherwise, at the same version, in place of item i: no change. The
 * reference goes over on success. */
bool mh_sb_table_rewrite(struct mh_sb_table *t, struct mh_sb_store *s, size_t i,
                         struct mh_sb_obj *o);
/* Takes away the one with last->key; `last` is its last state, whose version is the removal's. The
 * reference goes over on success. */
bool mh_sb_table_remove(struct mh_sb_table *t, struct mh_sb_store *s, struct mh_sb_obj *last);
/* Change i, the oldest is 0. */
const struct mh_sb_change *mh_sb_table_change(const struct mh_sb_table *t, size_t i);
/* Index of the first change after `version`; false when changes after it are forgotten. */
bool mh_sb_table_since(const struct mh_sb_table *t, uint64_t version, size_t *i);
/* Forgets all changes: watches and pages from before get 410. */
void mh_sb_table_compact(struct mh_sb_table *t, const struct mh_sb_store *s);
/* The table as it was at `version`, sorted, each with a reference of the array's owner. False: no
 * memory or forgotten (*gone says which). */
bool mh_sb_table_at(const struct mh_sb_table *t, uint64_t version, struct mh_sb_obj ***items,
                    size_t *len, bool *gone);
/* Does any object name this owner? */
bool mh_sb_has_dependents(const struct mh_sb_store *s, uint64_t uid);

#endif
