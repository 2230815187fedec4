/* fields_managers.h - metadata.managedFields taken apart. */
#ifndef MH_SANDBOX_FIELDS_MANAGERS_H
#define MH_SANDBOX_FIELDS_MANAGERS_H

#include "sandbox/fields_in.h"

/* One entry. */
struct mh_sb_manager {
    const char *name;
    const char *subresource; /* "" for none */
    const char *version;
    const char *time; /* NULL: none */
    bool applied;
    struct mh_sb_set *set;
};

struct mh_sb_managers {
    struct mh_sb_manager *items;
    size_t n;
    size_t size;
};

/* Reads managedFields (NULL: none); false: malformed, `out` is empty. */
bool mh_sb_managers_read(struct mh_sb_fields *f, yyjson_val *list, struct mh_sb_managers *out);
/* The list in the real server's order; NULL: there are none. */
yyjson_mut_val *mh_sb_managers_json(struct mh_sb_fields *f, struct mh_sb_managers *m);
/* The entry of the same owner (an update's owner includes the version); NULL: none. */
struct mh_sb_manager *mh_sb_managers_find(struct mh_sb_managers *m,
                                          const struct mh_sb_manager *who);
void mh_sb_managers_put(struct mh_sb_fields *f, struct mh_sb_managers *m,
                        const struct mh_sb_manager *who);
void mh_sb_managers_drop_empty(struct mh_sb_managers *m);
/* Merges the oldest updaters into "ancient-changes" until at most ten are left. */
void mh_sb_managers_cap(struct mh_sb_fields *f, struct mh_sb_managers *m);
/* The JSON that the real server knows an owner by (the order of conflicts). */
char *mh_sb_manager_id(struct mh_sb_fields *f, const struct mh_sb_manager *m);
/* "kubectl" using apps/v1 */
char *mh_sb_manager_text(struct mh_sb_fields *f, const struct mh_sb_manager *m);

#endif
