/* served.c - which kinds the operator serves and watches. Tables only: what a kind means is Lua. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "operator/operator.h"

/* Of each API group. */
static const struct {
    const char *kind, *plural;
    bool namespaced;
} served[] = {
    { "Cluster", "clusters", true },
    { "FailoverQuorum", "failoverquorums", true },
    { "ImageCatalog", "imagecatalogs", true },
    { "ClusterImageCatalog", "clusterimagecatalogs", false },
};

/* What an object is shortened by before the cache keeps it. */
static bool
trim_machine(void *arg, yyjson_mut_doc *doc, yyjson_mut_val *object)
{
    static const char *const drop[] = { "images", "volumesInUse", "volumesAttached",
                                        "daemonEndpoints", NULL };
    (void)arg, (void)doc;
    yyjson_mut_val *status = yyjson_mut_obj_get(object, "status");
    for (const char *const *p = drop; *p; p++)
        yyjson_mut_obj_remove_key(status, *p);
    return true;
}

static const struct {
    const char *kind;
    mh_cache_trim_fn trim;
} trims[] = {
    { "Secret", mh_secrets_trim },
    { "Node", trim_machine },
};

bool
mh_operator_add_kinds(struct mh_operator *op)
{
    if (!mh_kinds_init(&op->kinds))
        return false;
    for (const char *const *g = op->config.groups; *g; g++)
        for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
            if (!mh_kinds_add(&op->kinds, *g, "v1", served[i].kind, served[i].plural,
                              served[i].namespaced))
                return false;
    if (!mh_kinds_add(&op->kinds, "moonherd.io", "v1alpha1", "ClusterRecord", "clusterrecords",
                      true))
        return false;
    op->pod_kind = mh_kind_find(&op->kinds, "Pod");
    op->policy_kind = mh_kind_find(&op->kinds, "ConfigMap");
    return true;
}

/* Watches one kind in every namespace that the settings name. */
static bool
add_source(struct mh_operator *op, const struct mh_kind *kind, const char *selector)
{
    struct mh_cache_source source = { .kind = kind, .selector = selector };
    for (size_t i = 0; i < sizeof(trims) / sizeof(trims[0]); i++)
        if (kind && mh_str_eq(trims[i].kind, kind->kind)) {
            source.trim = trims[i].trim;
            source.trim_arg = &op->secrets;
        }
    if (!kind)
        return false;
    if (!op->config.namespaces[0] || !kind->namespaced)
        return mh_cache_add(op->cache, &source);
    for (const char *const *ns = op->config.namespaces; *ns; ns++) {
        source.name_space = *ns;
        if (!mh_cache_add(op->cache, &source))
            return false;
    }
    return true;
}

/* All kinds of this name, one for each API group that has it. */
static bool
add_named(struct mh_operator *op, const char *name, const char *selector)
{
    bool found = false;
    for (int i = 0; i < op->kinds.len; i++) {
        if (!mh_str_eq(op->kinds.items[i]->kind, name))
            continue;
        found = true;
        if (!add_source(op, op->kinds.items[i], selector))
            return false;
    }
    if (!found)
        mh_error("operator", "a controller names an unknown kind", "kind", name);
    return found;
}

static bool
add_list(struct mh_operator *op, const char *const *kinds, const char *selector)
{
    for (; kinds && *kinds; kinds++)
        if (!add_named(op, *kinds, selector))
            return false;
    return true;
}

/* What is in our own namespace beside the Clusters there: the secret for pulling images. */
static bool
add_pull_secret(struct mh_operator *op)
{
    struct mh_cache_source source = { .kind = op->instances.secret_kind,
                                      .name_space = op->config.name_space,
                                      .selector = "!" MH_LABEL_CLUSTER,
                                      .trim = mh_secrets_trim,
                                      .trim_arg = &op->secrets };
    return mh_cache_add(op->cache, &source);
}

/* Plugins; and who granted them what they need. */
static bool
add_plugins(struct mh_operator *op)
{
    struct mh_cache_source source = { .kind = op->needs.kind,
                                      .name_space = op->config.name_space,
                                      .selector = MH_NEEDS_SELECTOR };
    return mh_cache_add(op->cache, &source) &&
           add_source(op, op->policy_kind, MH_PLUGIN_LABEL ",!" MH_POLICY_LABEL);
}

bool
mh_operator_add_sources(struct mh_operator *op)
{
    for (int i = 0; i < op->scripts.ncontrollers; i++) {
        const struct mh_controller *c = op->scripts.controllers[i];
        if (!add_named(op, mh_controller_kind(c), NULL) ||
            !add_list(op, mh_controller_owns(c), MH_LABEL_CLUSTER) ||
            !add_list(op, mh_controller_watches(c), NULL))
            return false;
    }
    return add_pull_secret(op) && add_source(op, op->policy_kind, MH_POLICY_LABEL) &&
           add_plugins(op);
}
