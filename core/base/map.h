/* map.h - text keys to pointers, open hashing with a cap on entries.
 *
 * Owner: the map copies keys; values are the caller's. Iteration order is that of insertion
 * (until a removal moves the last entry into the gap). Not for order that reaches an output. */
#ifndef MH_BASE_MAP_H
#define MH_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mh_map_entry {
    char *key;
    void *value;
    uint32_t hash;
};

struct mh_map {
    struct mh_map_entry *entries; /* [0, len) */
    uint32_t *slots;              /* index + 1, 0 is free */
    size_t len;
    size_t size; /* allocated entries */
    size_t nslots;
    size_t cap; /* len never passes this */
};

void mh_map_init(struct mh_map *m, size_t cap);
/* Frees keys and table, not values. */
void mh_map_release(struct mh_map *m);
void *mh_map_get(const struct mh_map *m, const char *key);
/* Sets or replaces; *old (may be NULL) gets the former value or NULL. False: no memory or full. */
bool mh_map_put(struct mh_map *m, const char *key, void *value, void **old);
/* The removed value, NULL if there was none. */
void *mh_map_remove(struct mh_map *m, const char *key);

#endif
