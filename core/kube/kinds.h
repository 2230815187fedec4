/* kinds.h - which kinds there are and where they are served.
 *
 * A kind's key is its name ("Pod", "Cluster"), or "Name.group" where a second group serves a kind
 * of that name. The table is filled at start and then fixed: pointers into it stay valid until
 * release. */
#ifndef MH_KUBE_KINDS_H
#define MH_KUBE_KINDS_H

#include <stdbool.h>

#include "base/json.h"
#include "base/mem.h"

#define MH_KINDS_MAX 64

struct mh_kind {
    const char *key;     /* "Cluster" or "Cluster.postgresql.k8s.enterprisedb.io" */
    const char *group;   /* "" for the core group */
    const char *version; /* "v1" */
    const char *kind;    /* "Cluster" */
    const char *plural;  /* "clusters" */
    bool namespaced;
};

struct mh_kinds {
    struct mh_kind *items[MH_KINDS_MAX];
    int len;
    struct mh_arena arena;
};

/* With the built-in kinds of Kubernetes. False: no memory. */
bool mh_kinds_init(struct mh_kinds *kinds);
void mh_kinds_release(struct mh_kinds *kinds);
/* Adds one; the key is `kind` if that is free, else "kind.group". The same group and kind again
 * returns the one that is there. NULL: no memory or full. */
const struct mh_kind *mh_kinds_add(struct mh_kinds *kinds, const char *group, const char *version,
                                   const char *kind, const char *plural, bool namespaced);
/* By key; "Name.group" always works. NULL: unknown. */
const struct mh_kind *mh_kind_find(const struct mh_kinds *kinds, const char *key);
/* The kind of an object by its apiVersion and kind; NULL: unknown. */
const struct mh_kind *mh_kind_of(const struct mh_kinds *kinds, yyjson_val *object);
/* Its objects hold values that are shown to nobody. */
bool mh_kind_is_secret(const struct mh_kind *kind);
/* By its apiVersion and kind. */
bool mh_object_is_secret(yyjson_val *object);
/* "v1", "apps/v1" */
char *mh_kind_api_version(struct mh_arena *a, const struct mh_kind *kind);
/* "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUB"; ns, name and sub may be NULL (ns NULL on a
 * namespaced kind: all namespaces; ns is left out for kinds without). NULL: no memory, or a part
 * that is no name of Kubernetes (slash, dots only, control characters, '?', '%', '#'). */
char *mh_kube_path(struct mh_arena *a, const struct mh_kind *kind, const char *ns, const char *name,
                   const char *sub);
/* The parts of such a path, cut out of it in place; NULL: not there. */
struct mh_kube_parts {
    const char *group, *ns, *plural, *name, *sub;
};
/* False: the path is neither that of an object nor of a collection. */
bool mh_kube_path_split(char *path, struct mh_kube_parts *parts);
/* Appends "?key=value" or "&key=value", percent-encoded. NULL: no memory. */
char *mh_kube_query(struct mh_arena *a, const char *path, const char *key, const char *value);

#endif
