/* serve_who.c - who stands at the door: the token, and whom he may act as. */
#include <string.h>

#include "base/str.h"
#include "sandbox/serve_in.h"

#define GROUPS_MAX 64

static void
set_who(struct door_req *r)
{
    r->req.user = r->who.user;
    r->req.uid = r->who.uid;
    r->req.groups = r->who.groups;
}

bool
mh_sb_door_known(struct door_req *r)
{
    const char *h = mh_request_header(r->http, "Authorization");
    if (!h || strncasecmp(h, "Bearer ", 7) != 0)
        return false;
    for (h += 7; *h == ' '; h++)
        ;
    if (!mh_sb_auth_check(r->door->config.auth, &r->arena, h, NULL, &r->who))
        return false;
    set_who(r);
    return true;
}

/* May he act as that one? false: answered. */
static bool
may(struct door_req *r, const char *group, const char *resource, const char *ns, const char *name)
{
    struct mh_sb_attrs at = { .user = r->req.user,
                              .uid = r->req.uid ? r->req.uid : "",
                              .groups = r->req.groups,
                              .verb = "impersonate",
                              .group = group,
                              .version = "v1",
                              .resource = resource,
                              .subresource = "",
                              .ns = ns,
                              .name = name,
                              .path = r->http->path,
                              .is_resource = true };
    return mh_sb_may(r->door->config.api, &r->req, &at);
}

static bool
may_be(struct door_req *r, const char *user)
{
    static const char prefix[] = "system:serviceaccount:";
    const char *rest = mh_str_starts(user, prefix) ? user + sizeof(prefix) - 1 : NULL;
    const char *colon = rest ? strchr(rest, ':') : NULL;
    if (!colon)
        return may(r, "", "users", "", user);
    const char *ns = mh_arena_strndup(&r->arena, rest, (size_t)(colon - rest));
    return may(r, "", "serviceaccounts", ns ? ns : "", colon + 1);
}

bool
mh_sb_door_impersonate(struct door_req *r)
{
    const char *groups[GROUPS_MAX + 1] = { NULL };
    const char *user = mh_request_header(r->http, "Impersonate-User");
    const char *uid = mh_request_header(r->http, "Impersonate-Uid");
    size_t n = mh_request_headers(r->http, "Impersonate-Group", groups, GROUPS_MAX);
    if (!user && (n || uid)) {
        mh_sb_refuse(&r->req, 500, "InternalError",
                     "requested impersonation of a group or uid without a user");
        return false;
    }
    if (!user)
        return true;
    if (!may_be(r, user))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!may(r, "", "groups", "", groups[i]))
            return false;
    if (uid && !may(r, "authentication.k8s.io", "uids", "", uid))
        return false;
    if (!mh_sb_auth_groups(&r->arena, user, groups, &r->who)) {
        mh_sb_refuse(&r->req, 500, "InternalError", "no memory");
        return false;
    }
    r->who.uid = uid;
    set_who(r);
    return true;
}
