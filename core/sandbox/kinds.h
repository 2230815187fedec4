/* kinds.h - which resources the sandbox's API server has: the built-in ones, and those that
 * CustomResourceDefinitions add.
 *
 * A resource (group + plural) has one table of objects and one or more served versions. Pointers
 * to resources and versions stay valid until the registry is released; a removed CRD's resource is
 * only no longer found. */
#ifndef MH_SANDBOX_KINDS_H
#define MH_SANDBOX_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"
#include "sandbox/store.h"

#define MH_SB_RESOURCES_MAX 256
#define MH_SB_VERSIONS_MAX 8

/* What a resource's requests may do besides get, list, watch, create, update, patch, delete. */
enum mh_sb_trait {
    MH_SB_STATUS = 1,      /* has /status */
    MH_SB_SCALE = 2,       /* has /scale */
    MH_SB_GENERATION = 4,  /* metadata.generation counts changes of the spec */
    MH_SB_REVIEW = 8,      /* only create, answered by the review hook, nothing is stored */
    MH_SB_NO_COLLECT = 16, /* no deletecollection */
};

struct mh_sb_column {
    const char *name;
    const char *type;
    const char *format;
    const char *description;
    int priority;
    const char *path; /* JSONPath; built-in kinds have a function instead */
};

struct mh_sb_resource;
struct mh_sb_schema; /* schema.h */

struct mh_sb_version {
    struct mh_sb_resource *resource;
    const char *name;        /* "v1" */
    const char *api_version; /* "apps/v1" */
    const char *head;        /* {"kind":"Deployment","apiVersion":"apps/v1", */
    bool served;
    bool storage;
    bool deprecated;
    const char *deprecation;
    unsigned traits;
    /* of a CRD's version */
    yyjson_val *spec;   /* spec.versions[i] */
    yyjson_val *schema; /* openAPIV3Schema; of a built-in kind: its component, with $ref */
    const char *scale_spec, *scale_status, *scale_selector; /* ".spec.instances" */
    struct mh_sb_column *columns;
    int ncolumns;
    const struct mh_sb_schema *compiled; /* made on demand */
};

struct mh_sb_resource {
    const char *group;
    const char *plural;
    const char *singular;
    const char *kind;
    const char *list_kind;
    const char *short_names[8];
    const char *categories[8];
    bool namespaced;
    bool custom; /* made by a CRD */
    bool gone;   /* its CRD was removed */
    int busy;    /* writes under way */
    const char *crd_uid;
    const char *crd_spec; /* text of the CRD's spec it was made from */
    struct mh_sb_version versions[MH_SB_VERSIONS_MAX];
    int nversions;
    struct mh_sb_table *table;   /* events.k8s.io and core events share one */
    struct mh_sb_resource *twin; /* the other of those two */
    struct mh_arena *arena;      /* of a custom one: made anew when the CRD changes */
    struct mh_sb_watch *watches;
    bool dirty; /* has changes that watches were not told */
    uint64_t told;
};

struct mh_sb_kinds {
    struct mh_sb_resource *items[MH_SB_RESOURCES_MAX];
    int len;
    uint64_t generation; /* goes up whenever discovery changes */
    struct mh_arena arena;
    yyjson_val *schemas;   /* built-in components by name */
    struct mh_map by_name; /* the same, for lookups */
};

/* With the built-in ones. Fails NOMEM. */
enum mh_code mh_sb_kinds_init(struct mh_sb_kinds *k, struct mh_sb_store *s, struct mh_err *err);
void mh_sb_kinds_release(struct mh_sb_kinds *k, struct mh_sb_store *s);
/* By group and plural; NULL: none. */
struct mh_sb_resource *mh_sb_kinds_find(const struct mh_sb_kinds *k, const char *group,
                                        const char *plural);
/* By group, version and kind; NULL: none. */
struct mh_sb_version *mh_sb_kinds_by_kind(const struct mh_sb_kinds *k, const char *group,
                                          const char *version, const char *kind);
/* A served version by name; NULL: none. */
struct mh_sb_version *mh_sb_resource_version(struct mh_sb_resource *r, const char *version);
/* A built-in component by name; NULL: none. */
yyjson_val *mh_sb_kinds_component(const struct mh_sb_kinds *k, const char *name);
/* Releases an arena that is on the heap, and frees it. */
void mh_sb_arena_free(void *arena);
/* An empty slot for a resource of a CRD. NULL: full or no memory. */
struct mh_sb_resource *mh_sb_kinds_slot(struct mh_sb_kinds *k, struct mh_sb_store *s);

#endif
