/* rbac.h - roles and bindings as they are written: who may do what.
 *
 * Reads through mh_sb_get and mh_sb_each; what belongs to no namespace is kept until it changes.
 * system:masters may do everything. Owner: the caller's structure. */
#ifndef MH_SANDBOX_RBAC_H
#define MH_SANDBOX_RBAC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "sandbox/rest.h"

#define MH_SB_RBAC_GROUP "rbac.authorization.k8s.io"

struct mh_sb_rbac {
    struct mh_sb_api *api;
    /* private */
    struct mh_arena arena;
    struct mh_map roles; /* name -> ClusterRole */
    yyjson_val **bindings;
    size_t nbindings;
    uint64_t roles_at, bindings_at;
    bool loaded;
};

void mh_sb_rbac_init(struct mh_sb_rbac *r, struct mh_sb_api *api);
void mh_sb_rbac_release(struct mh_sb_rbac *r);

/* *reason (may be NULL) says which binding allowed it, as the real server does; on the arena. */
bool mh_sb_rbac_may(struct mh_sb_rbac *r, struct mh_arena *a, const struct mh_sb_attrs *at,
                    const char **reason);
/* Every rule that holds for this user in ns ("" for none), until fn returns false. */
void mh_sb_rbac_rules(struct mh_sb_rbac *r, struct mh_arena *a, const char *user,
                      const char *const *groups, const char *ns,
                      bool (*fn)(void *arg, yyjson_val *rule, const char *source), void *arg);
/* May who is at->user write this Role, ClusterRole or binding without getting more than he has?
 * NULL: yes; else the sentence of the refusal, on the arena. */
const char *mh_sb_rbac_escalates(struct mh_sb_rbac *r, struct mh_arena *a,
                                 const struct mh_sb_attrs *at, yyjson_val *object);

/* The roles and bindings that every cluster begins with: JSON objects, ends with NULL. */
extern const char *const mh_sb_rbac_defaults[];

#endif
