#include "kube/kinds.h"

#include <string.h>

#include "base/str.h"

static const struct mh_kind builtin[] = {
    { NULL, "", "v1", "Pod", "pods", true },
    { NULL, "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true },
    { NULL, "", "v1", "Service", "services", true },
    { NULL, "", "v1", "Secret", "secrets", true },
    { NULL, "", "v1", "ConfigMap", "configmaps", true },
    { NULL, "", "v1", "ServiceAccount", "serviceaccounts", true },
    { NULL, "", "v1", "Event", "events", true },
    { NULL, "", "v1", "Endpoints", "endpoints", true },
    { NULL, "", "v1", "Node", "nodes", false },
    { NULL, "", "v1", "Namespace", "namespaces", false },
    { NULL, "", "v1", "PersistentVolume", "persistentvolumes", false },
    { NULL, "apps", "v1", "Deployment", "deployments", true },
    { NULL, "apps", "v1", "StatefulSet", "statefulsets", true },
    { NULL, "batch", "v1", "Job", "jobs", true },
    { NULL, "batch", "v1", "CronJob", "cronjobs", true },
    { NULL, "rbac.authorization.k8s.io", "v1", "Role", "roles", true },
    { NULL, "rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true },
    { NULL, "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false },
    { NULL, "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false },
    { NULL, "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true },
    { NULL, "coordination.k8s.io", "v1", "Lease", "leases", true },
    { NULL, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true },
    { NULL, "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true },
    { NULL, "storage.k8s.io", "v1", "StorageClass", "storageclasses", false },
    { NULL, "snapshot.storage.k8s.io", "v1", "VolumeSnapshot", "volumesnapshots", true },
    { NULL, "monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", true },
    { NULL, "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
      false },
    { NULL, "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration",
      "mutatingwebhookconfigurations", false },
    { NULL, "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration",
      "validatingwebhookconfigurations", false },
    { NULL, "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy",
      "validatingadmissionpolicies", false },
    { NULL, "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding",
      "validatingadmissionpolicybindings", false },
};

static const struct mh_kind *
find(const struct mh_kinds *kinds, const char *group, const char *kind)
{
    for (int i = 0; i < kinds->len; i++) {
        if (strcmp(kinds->items[i]->group, group) == 0 && strcmp(kinds->items[i]->kind, kind) == 0)
            return kinds->items[i];
    }
    return NULL;
}

static const struct mh_kind *
by_key(const struct mh_kinds *kinds, const char *key)
{
    for (int i = 0; i < kinds->len; i++) {
        if (strcmp(kinds->items[i]->key, key) == 0)
            return kinds->items[i];
    }
    return NULL;
}

const struct mh_kind *
mh_kinds_add(struct mh_kinds *kinds, const char *group, const char *version, const char *kind,
             const char *plural, bool namespaced)
{
    const struct mh_kind *there = find(kinds, group, kind);
    if (there)
        return there;
    if (kinds->len == MH_KINDS_MAX)
        return NULL;
    struct mh_arena *a = &kinds->arena;
    struct mh_kind *k = mh_arena_alloc(a, sizeof(*k));
    if (!k)
        return NULL;
    *k = (struct mh_kind){
        .key = by_key(kinds, kind) ? mh_arena_printf(a, "%s.%s", kind, group)
                                   : mh_arena_strdup(a, kind),
        .group = mh_arena_strdup(a, group),
        .version = mh_arena_strdup(a, version),
        .kind = mh_arena_strdup(a, kind),
        .plural = mh_arena_strdup(a, plural),
        .namespaced = namespaced,
    };
    if (!k->key || !k->group || !k->version || !k->kind || !k->plural)
        return NULL;
    kinds->items[kinds->len++] = k;
    return k;
}

bool
mh_kinds_init(struct mh_kinds *kinds)
{
    *kinds = (struct mh_kinds){ 0 };
    mh_arena_init(&kinds->arena, 64 << 10);
    for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
        const struct mh_kind *b = &builtin[i];
        if (!mh_kinds_add(kinds, b->group, b->version, b->kind, b->plural, b->namespaced)) {
            mh_kinds_release(kinds);
            return false;
        }
    }
    return true;
}

void
mh_kinds_release(struct mh_kinds *kinds)
{
    mh_arena_release(&kinds->arena);
    kinds->len = 0;
}

const struct mh_kind *
mh_kind_find(const struct mh_kinds *kinds, const char *key)
{
    const struct mh_kind *k = by_key(kinds, key);
    const char *dot = strchr(key, '.');
    char name[64];
    if (k || !dot || (size_t)(dot - key) >= sizeof(name))
        return k;
    memcpy(name, key, (size_t)(dot - key));
    name[dot - key] = '\0';
    return find(kinds, dot + 1, name);
}

const struct mh_kind *
mh_kind_of(const struct mh_kinds *kinds, yyjson_val *object)
{
    const char *version = mh_json_str(object, "apiVersion", NULL);
    const char *kind = mh_json_str(object, "kind", NULL);
    if (!version || !kind)
        return NULL;
    const char *slash = strchr(version, '/');
    char group[256] = "";
    if (slash && (size_t)(slash - version) < sizeof(group)) {
        memcpy(group, version, (size_t)(slash - version));
        group[slash - version] = '\0';
    }
    return find(kinds, group, kind);
}

char *
mh_kind_api_version(struct mh_arena *a, const struct mh_kind *kind)
{
    return kind->group[0] ? mh_arena_printf(a, "%s/%s", kind->group, kind->version)
                          : mh_arena_strdup(a, kind->version);
}

#define PART_MAX 253 /* a DNS subdomain */

/* One part of a path: what an object can be called, which leaves no way out of the path. */
static bool
is_part(const char *s)
{
    if (!*s || strcmp(s, ".") == 0 || strcmp(s, "..") == 0 || strnlen(s, PART_MAX + 1) > PART_MAX)
        return false;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= 0x20 || c >= 0x7f || strchr("/?#%\\\"<>", c))
            return false;
    }
    return true;
}

char *
mh_kube_path(struct mh_arena *a, const struct mh_kind *kind, const char *ns, const char *name,
             const char *sub)
{
    if (!kind->namespaced)
        ns = NULL;
    if ((ns && !is_part(ns)) || (name && !is_part(name)) || (sub && !is_part(sub)))
        return NULL;
    return mh_arena_printf(a, "%s%s/%s%s%s/%s%s%s%s%s", kind->group[0] ? "/apis/" : "/api",
                           kind->group, kind->version, ns ? "/namespaces/" : "", ns ? ns : "",
                           kind->plural, name ? "/" : "", name ? name : "", sub ? "/" : "",
                           sub ? sub : "");
}

#define PARTS 9

bool
mh_kube_path_split(char *path, struct mh_kube_parts *out)
{
    char *parts[PARTS + 1] = { NULL };
    char *save = NULL;
    size_t n = 0;
    path[strcspn(path, "?")] = '\0';
    for (char *s = strtok_r(path, "/", &save); s && n < PARTS; s = strtok_r(NULL, "/", &save))
        parts[n++] = s;
    *out = (struct mh_kube_parts){ .group = "" };
    char **at = parts + 2;
    if (n >= 4 && strcmp(parts[0], "apis") == 0) {
        out->group = parts[1];
        at++;
    } else if (n < 3 || strcmp(parts[0], "api") != 0) {
        return false;
    }
    /* "/api/v1/namespaces/NAME" is a namespace, what goes on is in it. */
    if (at + 2 < parts + n && strcmp(at[0], "namespaces") == 0) {
        out->ns = at[1];
        at += 2;
    }
    if (parts + n - at > 3)
        return false;
    out->plural = at[0];
    out->name = at[1];
    out->sub = at[1] ? at[2] : NULL;
    return true;
}

bool
mh_kind_is_secret(const struct mh_kind *kind)
{
    /* by the path, too: a plugin may call them something else */
    return !*kind->group &&
           (strcmp(kind->kind, "Secret") == 0 || strcmp(kind->plural, "secrets") == 0);
}

bool
mh_object_is_secret(yyjson_val *object)
{
    return mh_str_eq(mh_json_str(object, "apiVersion", NULL), "v1") &&
           mh_str_eq(mh_json_str(object, "kind", NULL), "Secret");
}

char *
mh_kube_query(struct mh_arena *a, const char *path, const char *key, const char *value)
{
    static const char hex[] = "0123456789ABCDEF";
    char *encoded = mh_arena_alloc(a, strlen(value) * 3 + 1);
    if (!path || !encoded)
        return NULL;
    char *out = encoded;
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
            strchr("-_.~", *p)) {
            *out++ = (char)*p;
        } else {
            *out++ = '%';
            *out++ = hex[*p >> 4];
            *out++ = hex[*p & 15];
        }
    }
    return mh_arena_printf(a, "%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', key, encoded);
}
