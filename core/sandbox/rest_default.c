/* What built-in kinds get by default, have from the beginning, and keep on update. */
#include "sandbox/rest_default.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

bool
mh_sb_is_kind(const struct mh_sb_op *op, const char *kind)
{
    return !op->t.r->custom && strcmp(op->t.r->kind, kind) == 0;
}

yyjson_mut_val *
mh_sb_mjson(struct mh_sb_op *op, const char *json)
{
    yyjson_val *v = NULL;
    struct mh_err err;
    if (mh_json_parse(op->arena, json, strlen(json), &v, &err) != MH_OK)
        return NULL;
    return yyjson_val_mut_copy(op->doc, v);
}

bool
mh_sb_updates_unseen(const struct mh_sb_resource *r)
{
    static const char *const bound[] = { "PodDisruptionBudget",
                                         "Lease",
                                         "CustomResourceDefinition",
                                         "MutatingWebhookConfiguration",
                                         "ValidatingWebhookConfiguration",
                                         "ValidatingAdmissionPolicy",
                                         "ValidatingAdmissionPolicyBinding",
                                         "CSIDriver",
                                         "CSINode",
                                         "VolumeAttachment" };
    for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
        if (strcmp(bound[i], r->kind) == 0)
            return false;
    }
    return !r->custom;
}

const char *
mh_sb_pod_path(const struct mh_sb_resource *r)
{
    static const char *const templated[] = { "Deployment", "ReplicaSet", "StatefulSet", "Job" };
    if (r->custom)
        return NULL;
    if (strcmp(r->kind, "Pod") == 0)
        return "spec";
    if (strcmp(r->kind, "CronJob") == 0)
        return "spec.jobTemplate.spec.template.spec";
    for (size_t i = 0; i < sizeof(templated) / sizeof(templated[0]); i++) {
        if (strcmp(r->kind, templated[i]) == 0)
            return "spec.template.spec";
    }
    return NULL;
}

/* --- the table ------------------------------------------------------------------------------- */

static bool set_at(struct mh_sb_op *op, yyjson_mut_val *v, const char *path, const char *json);

static bool
set_in_all(struct mh_sb_op *op, yyjson_mut_val *list, const char *path, const char *json)
{
    size_t i;
    size_t max;
    yyjson_mut_val *v;
    bool ok = true;
    yyjson_mut_arr_foreach(list, i, max, v)
    {
        ok = ok && set_at(op, v, path, json);
    }
    return ok;
}

static bool
set_in_each(struct mh_sb_op *op, yyjson_mut_val *v, const char *const *keys, const char *path,
            const char *json)
{
    bool ok = true;
    for (; *keys && ok; keys++) {
        yyjson_mut_val *c = yyjson_mut_obj_get(v, *keys);
        ok = yyjson_mut_is_arr(c) ? set_in_all(op, c, path, json)
             : c                  ? set_at(op, c, path, json)
                                  : true;
    }
    return ok;
}

static bool
set_at(struct mh_sb_op *op, yyjson_mut_val *v, const char *path, const char *json)
{
    static const char *const containers[] = { "initContainers", "containers", "ephemeralContainers",
                                              NULL };
    static const char *const probes[] = { "livenessProbe", "readinessProbe", "startupProbe", NULL };
    static const char *const hooks[] = { "postStart", "preStop", NULL };
    char key[64];
    if (!yyjson_mut_is_obj(v))
        return true;
    size_t n = strcspn(path, ".");
    const char *rest = path[n] ? path + n + 1 : NULL;
    if (*path == '@')
        return set_in_each(op, v, containers, rest, json);
    if (*path == '%')
        return set_in_each(op, v, probes, rest, json);
    if (*path == '$')
        return set_in_each(op, v, probes, rest, json) &&
               set_in_each(op, yyjson_mut_obj_get(v, "lifecycle"), hooks, rest, json);
    bool list = n > 2 && path[n - 1] == ']';
    bool make = path[n - 1] == '+';
    size_t len = n - (list ? 2 : make ? 1 : 0);
    memcpy(key, path, len);
    key[len] = '\0';
    yyjson_mut_val *member = yyjson_mut_obj_get(v, key);
    if (!rest) {
        yyjson_mut_val *value = NULL;
        if (member && !yyjson_mut_is_null(member))
            return true;
        value = mh_sb_mjson(op, json);
        return value && mh_sb_mset(op->doc, v, key, value);
    }
    if (list)
        return set_in_all(op, member, rest, json);
    if (make && !yyjson_mut_is_obj(member))
        member = mh_sb_mobj(op->doc, v, key);
    return set_at(op, member, rest, json);
}

static yyjson_mut_val *
at_path(yyjson_mut_val *v, const char *path)
{
    while (v && path && *path) {
        size_t n = strcspn(path, ".");
        v = yyjson_mut_obj_getn(v, path, n);
        path += n + (path[n] == '.');
    }
    return v;
}

static bool
apply_table(struct mh_sb_op *op, yyjson_mut_val *pod)
{
    bool hooks = mh_sb_is_kind(op, "MutatingWebhookConfiguration") ||
                 mh_sb_is_kind(op, "ValidatingWebhookConfiguration");
    bool ok = true;
    for (size_t i = 0; ok && i < mh_sb_ndefault_rules; i++) {
        const struct mh_sb_default_rule *d = &mh_sb_default_rules[i];
        if (strcmp(d->kind, "POD") == 0)
            ok = !pod || set_at(op, pod, d->path, d->json);
        else if (strcmp(d->kind, op->t.r->kind) == 0 || (hooks && strcmp(d->kind, "WEBHOOKS") == 0))
            ok = set_at(op, op->obj, d->path, d->json);
    }
    return ok;
}

/* --- defaults that depend on other fields ---------------------------------------------------- */

static bool
namespace_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *meta = mh_sb_mobj(op->doc, op->obj, "metadata");
    if (!*op->t.at.name || op->generated)
        return true;
    return mh_sb_mset_str(op->doc, mh_sb_mobj(op->doc, meta, "labels"),
                          "kubernetes.io/metadata.name", op->t.at.name);
}

static bool
deployment_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *strategy = mh_sb_mget(op->obj, "spec", "strategy", NULL);
    const char *type = mh_sb_mstr(strategy, "type", NULL);
    if (!mh_str_eq(type, "RollingUpdate"))
        return true;
    return set_at(op, strategy, "rollingUpdate+.maxUnavailable", "\"25%\"") &&
           set_at(op, strategy, "rollingUpdate+.maxSurge", "\"25%\"");
}

static bool
stateful_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *strategy = mh_sb_mget(op->obj, "spec", "updateStrategy", NULL);
    if (!mh_str_eq(mh_sb_mstr(strategy, "type", NULL), "RollingUpdate"))
        return true;
    return set_at(op, strategy, "rollingUpdate+.partition", "0");
}

static bool
job_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = yyjson_mut_obj_get(op->obj, "spec");
    yyjson_mut_val *meta = mh_sb_mobj(op->doc, op->obj, "metadata");
    yyjson_mut_val *labels = mh_sb_mget(spec, "template", "metadata", "labels", NULL);
    if (yyjson_mut_obj_size(yyjson_mut_obj_get(meta, "labels")) == 0 && labels) {
        op->shared_labels = true;
        if (!mh_sb_mset(op->doc, meta, "labels", yyjson_mut_val_mut_copy(op->doc, labels)))
            return false;
    }
    if (spec && !yyjson_mut_obj_get(spec, "completions") &&
        !yyjson_mut_obj_get(spec, "parallelism"))
        return set_at(op, spec, "completions", "1") && set_at(op, spec, "parallelism", "1");
    return set_at(op, spec, "parallelism", "1");
}

static bool
service_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = yyjson_mut_obj_get(op->obj, "spec");
    size_t i;
    size_t max;
    yyjson_mut_val *p;
    bool ok = true;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(spec, "ports"), i, max, p)
    {
        yyjson_mut_val *target = yyjson_mut_obj_get(p, "targetPort");
        bool none = !target || (yyjson_mut_is_int(target) && yyjson_mut_get_sint(target) == 0) ||
                    (yyjson_mut_is_str(target) && !*yyjson_mut_get_str(target));
        yyjson_mut_val *port = yyjson_mut_obj_get(p, "port");
        if (none && port)
            ok = ok && mh_sb_mset(op->doc, p, "targetPort", yyjson_mut_val_mut_copy(op->doc, port));
    }
    const char *type = mh_sb_mstr(spec, "type", NULL);
    if (mh_str_eq(mh_sb_mstr(spec, "sessionAffinity", NULL), "None"))
        mh_sb_mdel(spec, "sessionAffinityConfig");
    if (mh_str_eq(mh_sb_mstr(spec, "sessionAffinity", NULL), "ClientIP"))
        ok = ok && set_at(op, spec, "sessionAffinityConfig+.clientIP+.timeoutSeconds", "10800");
    if (type && strcmp(type, "ExternalName") != 0)
        ok = ok && set_at(op, spec, "internalTrafficPolicy", "\"Cluster\"");
    if (mh_str_eq(type, "NodePort") || mh_str_eq(type, "LoadBalancer"))
        ok = ok && set_at(op, spec, "externalTrafficPolicy", "\"Cluster\"");
    if (mh_str_eq(type, "LoadBalancer"))
        ok = ok && set_at(op, spec, "allocateLoadBalancerNodePorts", "true");
    return ok;
}

static char *
base64(struct mh_arena *a, const char *s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(s);
    char *out = mh_arena_alloc(a, n * 4 / 3 + 5);
    char *o = out;
    for (size_t i = 0; out && i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)s[i] << 16;
        v |= i + 1 < n ? (unsigned)(unsigned char)s[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned char)s[i + 2] : 0;
        *o++ = digits[v >> 18];
        *o++ = digits[v >> 12 & 63];
        *o++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *o++ = i + 2 < n ? digits[v & 63] : '=';
    }
    return out;
}

/* stringData is written into data. */
static bool
secret_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *text = yyjson_mut_obj_get(op->obj, "stringData");
    size_t i;
    size_t max;
    yyjson_mut_val *k;
    yyjson_mut_val *v;
    bool ok = true;
    if (yyjson_mut_obj_size(text)) {
        yyjson_mut_val *data = mh_sb_mobj(op->doc, op->obj, "data");
        yyjson_mut_obj_foreach(text, i, max, k, v)
        {
            const char *s = yyjson_mut_get_str(v);
            char *coded = s ? base64(op->arena, s) : NULL;
            ok = ok && coded && mh_sb_mset_str(op->doc, data, yyjson_mut_get_str(k), coded);
        }
    }
    mh_sb_mdel(op->obj, "stringData");
    return ok;
}

static bool
binding_defaults(struct mh_sb_op *op)
{
    size_t i;
    size_t max;
    yyjson_mut_val *s;
    bool ok = true;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(op->obj, "subjects"), i, max, s)
    {
        const char *kind = mh_sb_mstr(s, "kind", NULL);
        const char *group = mh_sb_mstr(s, "apiGroup", NULL);
        if ((!group || !*group) && (mh_str_eq(kind, "User") || mh_str_eq(kind, "Group")))
            ok = ok && mh_sb_mset_str(op->doc, s, "apiGroup", "rbac.authorization.k8s.io");
    }
    return ok;
}

static bool
crd_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *names = mh_sb_mget(op->obj, "spec", "names", NULL);
    const char *kind = mh_sb_mstr(names, "kind", NULL);
    if (!kind || !*kind)
        return true;
    char *small = mh_arena_strdup(op->arena, kind);
    char *list = mh_arena_printf(op->arena, "\"%sList\"", kind);
    for (char *p = small; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    char *quoted = small ? mh_arena_printf(op->arena, "\"%s\"", small) : NULL;
    return quoted && list && set_at(op, names, "singular", quoted) &&
           set_at(op, names, "listKind", list);
}

static bool
policy_defaults(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = yyjson_mut_obj_get(op->obj, "spec");
    bool egress = yyjson_mut_arr_size(yyjson_mut_obj_get(spec, "egress")) > 0;
    return set_at(op, spec, "policyTypes", egress ? "[\"Ingress\",\"Egress\"]" : "[\"Ingress\"]");
}

/* On the host's network the ports are the host's. */
static bool
host_ports(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = yyjson_mut_obj_get(op->obj, "spec");
    static const char *const lists[] = { "containers", "initContainers" };
    bool ok = true;
    if (!yyjson_mut_is_true(yyjson_mut_obj_get(spec, "hostNetwork")))
        return true;
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        yyjson_mut_val *containers = yyjson_mut_obj_get(spec, lists[l]);
        for (size_t i = 0; i < yyjson_mut_arr_size(containers); i++) {
            yyjson_mut_val *ports = yyjson_mut_obj_get(yyjson_mut_arr_get(containers, i), "ports");
            for (size_t k = 0; k < yyjson_mut_arr_size(ports); k++) {
                yyjson_mut_val *p = yyjson_mut_arr_get(ports, k);
                yyjson_mut_val *port = yyjson_mut_obj_get(p, "containerPort");
                if (port && !yyjson_mut_get_uint(yyjson_mut_obj_get(p, "hostPort")))
                    ok = ok &&
                         mh_sb_mset(op->doc, p, "hostPort", yyjson_mut_val_mut_copy(op->doc, port));
            }
        }
    }
    return ok;
}

bool
mh_sb_defaults(struct mh_sb_op *op)
{
    static const struct {
        const char *kind;
        bool (*fn)(struct mh_sb_op *op);
    } more[] = { { "Namespace", namespace_defaults },
                 { "Pod", host_ports },
                 { "Deployment", deployment_defaults },
                 { "StatefulSet", stateful_defaults },
                 { "Job", job_defaults },
                 { "Service", service_defaults },
                 { "Secret", secret_defaults },
                 { "RoleBinding", binding_defaults },
                 { "ClusterRoleBinding", binding_defaults },
                 { "CustomResourceDefinition", crd_defaults },
                 { "NetworkPolicy", policy_defaults } };
    const char *path = mh_sb_pod_path(op->t.r);
    yyjson_mut_val *pod = path ? at_path(op->obj, path) : NULL;
    bool ok = apply_table(op, pod) && (!pod || mh_sb_pod_defaults(op, pod));
    for (size_t i = 0; ok && i < sizeof(more) / sizeof(more[0]); i++) {
        if (mh_sb_is_kind(op, more[i].kind))
            ok = more[i].fn(op);
    }
    return ok;
}
