/* What discovery tells, as lists. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/discovery.h"

#define GUP "get,patch,update"

static const struct {
    const char *kind;
    struct mh_sb_sub sub;
} others[] = {
    { "Namespace", { "finalize", "", "", NULL, "update" } },
    { "Node", { "proxy", "", "", "NodeProxyOptions", "create,delete,get,patch,update" } },
    { "Pod", { "attach", "", "", "PodAttachOptions", "create,get" } },
    { "Pod", { "binding", "", "", "Binding", "create" } },
    { "Pod", { "ephemeralcontainers", "", "", NULL, GUP } },
    { "Pod", { "eviction", "policy", "v1", "Eviction", "create" } },
    { "Pod", { "exec", "", "", "PodExecOptions", "create,get" } },
    { "Pod", { "log", "", "", NULL, "get" } },
    { "Pod", { "portforward", "", "", "PodPortForwardOptions", "create,get" } },
    { "Pod", { "proxy", "", "", "PodProxyOptions", "create,delete,get,patch,update" } },
    { "Pod", { "resize", "", "", NULL, GUP } },
    { "Service", { "proxy", "", "", "ServiceProxyOptions", "create,delete,get,patch,update" } },
    { "ServiceAccount", { "token", "authentication.k8s.io", "v1", "TokenRequest", "create" } },
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct mh_sb_sub *)a)->name, ((const struct mh_sb_sub *)b)->name);
}

int
mh_sb_subs(const struct mh_sb_version *v, struct mh_sb_sub out[MH_SB_SUBS_MAX])
{
    int n = 0;
    if (v->traits & MH_SB_STATUS)
        out[n++] = (struct mh_sb_sub){ "status", "", "", NULL, GUP };
    if (v->traits & MH_SB_SCALE)
        out[n++] = (struct mh_sb_sub){ "scale", "autoscaling", "v1", "Scale", GUP };
    if (v->resource->custom)
        return n;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]) && n < MH_SB_SUBS_MAX; i++) {
        if (strcmp(others[i].kind, v->resource->kind) == 0)
            out[n++] = others[i].sub;
    }
    qsort(out, (size_t)n, sizeof(*out), by_name);
    return n;
}

const char *
mh_sb_verbs(const struct mh_sb_version *v)
{
    if (v->resource->custom)
        return "delete,deletecollection,get,list,patch,create,update,watch";
    if (v->traits & MH_SB_REVIEW)
        return "create";
    return v->traits & MH_SB_NO_COLLECT
               ? "create,delete,get,list,patch,update,watch"
               : "create,delete,deletecollection,get,list,patch,update,watch";
}

static bool
among(const char *const *list, int n, const char *s)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i], s) == 0)
            return true;
    }
    return false;
}

const char **
mh_sb_groups(const struct mh_sb_api *api, struct mh_arena *a, int *n)
{
    const char **out = mh_arena_alloc(a, (size_t)(api->kinds.len + 1) * sizeof(char *));
    *n = 0;
    for (int i = 0; out && i < api->kinds.len; i++) {
        const struct mh_sb_resource *r = api->kinds.items[i];
        if (!r->gone && !among(out, *n, r->group))
            out[(*n)++] = r->group;
    }
    return out;
}

/* v1 before v1beta2 before v1beta1 before v1alpha1 before anything else. */
static int
rank(const char *v, long *major, long *minor)
{
    char *end;
    *major = *minor = 0;
    if (*v != 'v' || !isdigit((unsigned char)v[1]))
        return 3;
    *major = strtol(v + 1, &end, 10);
    if (!*end)
        return 0;
    int kind = strncmp(end, "beta", 4) == 0 ? 1 : strncmp(end, "alpha", 5) == 0 ? 2 : 3;
    if (kind != 3)
        *minor = strtol(end + (kind == 1 ? 4 : 5), &end, 10);
    return *end ? 3 : kind;
}

static int
by_priority(const void *a, const void *b)
{
    const char *x = *(const char *const *)a;
    const char *y = *(const char *const *)b;
    long xm;
    long xn;
    long ym;
    long yn;
    int rx = rank(x, &xm, &xn);
    int ry = rank(y, &ym, &yn);
    if (rx != ry)
        return rx - ry;
    if (rx == 3)
        return strcmp(x, y);
    if (xm != ym)
        return xm > ym ? -1 : 1;
    return xn == yn ? 0 : xn > yn ? -1 : 1;
}

const char **
mh_sb_group_versions(const struct mh_sb_api *api, struct mh_arena *a, const char *group, int *n)
{
    size_t max = (size_t)api->kinds.len * MH_SB_VERSIONS_MAX + 1;
    const char **out = mh_arena_alloc(a, max * sizeof(char *));
    *n = 0;
    for (int i = 0; out && i < api->kinds.len; i++) {
        const struct mh_sb_resource *r = api->kinds.items[i];
        if (r->gone || strcmp(r->group, group) != 0)
            continue;
        for (int j = 0; j < r->nversions; j++) {
            if (r->versions[j].served && !among(out, *n, r->versions[j].name))
                out[(*n)++] = r->versions[j].name;
        }
    }
    if (out)
        qsort(out, (size_t)*n, sizeof(*out), by_priority);
    return out;
}

static int
by_plural(const void *a, const void *b)
{
    const struct mh_sb_version *const *x = a;
    const struct mh_sb_version *const *y = b;
    return strcmp((*x)->resource->plural, (*y)->resource->plural);
}

struct mh_sb_version **
mh_sb_group_resources(const struct mh_sb_api *api, struct mh_arena *a, const char *group,
                      const char *version, int *n)
{
    struct mh_sb_version **out =
        mh_arena_alloc(a, (size_t)(api->kinds.len + 1) * sizeof(struct mh_sb_version *));
    *n = 0;
    for (int i = 0; out && i < api->kinds.len; i++) {
        struct mh_sb_resource *r = api->kinds.items[i];
        struct mh_sb_version *v =
            !r->gone && strcmp(r->group, group) == 0 ? mh_sb_resource_version(r, version) : NULL;
        if (v)
            out[(*n)++] = v;
    }
    if (out)
        qsort(out, (size_t)*n, sizeof(struct mh_sb_version *), by_plural);
    return out;
}
