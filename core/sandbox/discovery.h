/* discovery.h - inside of discovery: the documents that say what the server has. */
#ifndef MH_SANDBOX_DISCOVERY_H
#define MH_SANDBOX_DISCOVERY_H

#include "sandbox/rest_in.h"

#define MH_SB_DOCUMENT_MAX ((size_t)32 << 20)

/* A subresource as discovery lists it. */
struct mh_sb_sub {
    const char *name;
    const char *group; /* of its kind; "": that of the resource */
    const char *version;
    const char *kind;  /* NULL: that of the resource */
    const char *verbs; /* "get,patch,update" */
};
/* Those of a version, in the order of their names; the number. */
#define MH_SB_SUBS_MAX 12
int mh_sb_subs(const struct mh_sb_version *v, struct mh_sb_sub out[MH_SB_SUBS_MAX]);
/* Verbs of the resource itself. */
const char *mh_sb_verbs(const struct mh_sb_version *v);
/* Groups in the order of discovery, "" first; *n of them, on the arena. */
const char **mh_sb_groups(const struct mh_sb_api *api, struct mh_arena *a, int *n);
/* Served versions of a group, the preferred one first. */
const char **mh_sb_group_versions(const struct mh_sb_api *api, struct mh_arena *a,
                                  const char *group, int *n);
/* Versions of resources of group/version, sorted by plural. */
struct mh_sb_version **mh_sb_group_resources(const struct mh_sb_api *api, struct mh_arena *a,
                                             const char *group, const char *version, int *n);

/* --- discovery_openapi.c --- */
/* /openapi/v3 and below; false: not there. */
bool mh_sb_openapi(struct mh_sb_api *api, struct mh_arena *a, const char *path, struct mh_buf *out);

#endif
