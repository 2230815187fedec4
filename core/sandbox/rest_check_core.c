/* Checks of ConfigMaps, Secrets, Services, claims, leases, roles and the smaller kinds. */
#include <string.h>

#include "base/str.h"
#include "sandbox/quantity.h"
#include "sandbox/rest_check.h"

#define DATA_MAX 1048576

/* --- ConfigMap, Secret ----------------------------------------------------------------------- */

static size_t
check_keys(struct mh_sb_check *c, const char *field)
{
    size_t i;
    size_t max;
    size_t total = 0;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(yyjson_obj_get(c->obj, field), i, max, k, v)
    {
        const char *why = mh_sb_name_config_key(c->a, yyjson_get_str(k));
        if (why)
            mh_sb_bad_text(c, mh_sb_check_at(c, "%s[%s]", field, yyjson_get_str(k)),
                           yyjson_get_str(k), why);
        total += yyjson_get_len(v);
    }
    return total;
}

static bool
equal(yyjson_val *a, yyjson_val *b)
{
    return a == b || (a && b && mh_sb_equal(a, b)) ||
           (!a && yyjson_obj_size(b) == 0 && yyjson_is_obj(b)) ||
           (!b && yyjson_obj_size(a) == 0 && yyjson_is_obj(a));
}

/* Nothing changes once `immutable` is true. */
static void
check_sealed(struct mh_sb_check *c, const char *const *fields)
{
    static const char why[] = "field is immutable when `immutable` is set";
    if (!mh_json_bool(c->old, false, "immutable", NULL))
        return;
    if (!mh_json_bool(c->obj, false, "immutable", NULL))
        mh_sb_forbid(c, "immutable", why);
    for (; *fields; fields++) {
        if (!equal(yyjson_obj_get(c->obj, *fields), yyjson_obj_get(c->old, *fields)))
            mh_sb_forbid(c, *fields, why);
    }
}

void
mh_sb_check_config_map(struct mh_sb_check *c)
{
    static const char *const fields[] = { "data", "binaryData", NULL };
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_val *binary = yyjson_obj_get(c->obj, "binaryData");
    check_sealed(c, fields);
    yyjson_obj_foreach(yyjson_obj_get(c->obj, "data"), i, max, k, v)
    {
        if (yyjson_obj_get(binary, yyjson_get_str(k)))
            mh_sb_bad_text(c, mh_sb_check_at(c, "data[%s]", yyjson_get_str(k)), yyjson_get_str(k),
                           "duplicate of key present in binaryData");
    }
    size_t total = check_keys(c, "data") + check_keys(c, "binaryData") * 3 / 4;
    if (total > DATA_MAX)
        mh_sb_cause_add(c->causes, "FieldValueTooLong", "",
                        "Too long: may not be more than %d bytes", DATA_MAX);
}

static void
need_key(struct mh_sb_check *c, const char *key)
{
    if (!yyjson_obj_get(yyjson_obj_get(c->obj, "data"), key))
        mh_sb_required(c, mh_sb_check_at(c, "data[%s]", key), "");
}

void
mh_sb_check_secret(struct mh_sb_check *c)
{
    static const char *const fields[] = { "data", NULL };
    const char *type = mh_json_str(c->obj, "type", NULL);
    yyjson_val *data = yyjson_obj_get(c->obj, "data");
    mh_sb_immutable(c, "type");
    check_sealed(c, fields);
    if (check_keys(c, "data") * 3 / 4 > DATA_MAX)
        mh_sb_cause_add(c->causes, "FieldValueTooLong", "data",
                        "Too long: may not be more than %d bytes", DATA_MAX);
    if (mh_str_eq(type, "kubernetes.io/tls")) {
        need_key(c, "tls.crt");
        need_key(c, "tls.key");
    } else if (mh_str_eq(type, "kubernetes.io/basic-auth") && !yyjson_obj_get(data, "username") &&
               !yyjson_obj_get(data, "password")) {
        need_key(c, "username");
        need_key(c, "password");
    } else if (mh_str_eq(type, "kubernetes.io/ssh-auth")) {
        need_key(c, "ssh-privatekey");
    } else if (mh_str_eq(type, "kubernetes.io/dockerconfigjson")) {
        need_key(c, ".dockerconfigjson");
    }
}

/* --- Service --------------------------------------------------------------------------------- */

static void
check_port(struct mh_sb_check *c, yyjson_val *list, size_t i)
{
    static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };
    yyjson_val *p = yyjson_arr_get(list, i);
    const char *name = mh_json_str(p, "name", NULL);
    const char *protocol = mh_json_str(p, "protocol", NULL);
    int64_t port = mh_json_int(p, 0, "port", NULL);
    if (!name || !*name) {
        if (yyjson_arr_size(list) > 1)
            mh_sb_required(c, mh_sb_check_at(c, "spec.ports[%zu].name", i), "");
    } else {
        const char *why = mh_sb_name_label(c->a, name);
        if (why)
            mh_sb_bad_text(c, mh_sb_check_at(c, "spec.ports[%zu].name", i), name, why);
        for (size_t j = 0; j < i; j++) {
            if (mh_str_eq(mh_json_str(yyjson_arr_get(list, j), "name", NULL), name)) {
                mh_sb_cause_add(c->causes, "FieldValueDuplicate",
                                mh_sb_check_at(c, "spec.ports[%zu].name", i),
                                "Duplicate value: \"%s\"", name);
                break;
            }
        }
    }
    if (port < 1 || port > 65535)
        mh_sb_bad(c, mh_sb_check_at(c, "spec.ports[%zu].port", i), yyjson_obj_get(p, "port"),
                  "must be between 1 and 65535, inclusive");
    if (protocol && strcmp(protocol, "TCP") != 0 && strcmp(protocol, "UDP") != 0 &&
        strcmp(protocol, "SCTP") != 0)
        mh_sb_unsupported(c, mh_sb_check_at(c, "spec.ports[%zu].protocol", i), protocol, protocols);
    yyjson_val *target = yyjson_obj_get(p, "targetPort");
    if (yyjson_is_int(target) && (yyjson_get_sint(target) < 1 || yyjson_get_sint(target) > 65535))
        mh_sb_bad(c, mh_sb_check_at(c, "spec.ports[%zu].targetPort", i), target,
                  "must be between 1 and 65535, inclusive");
}

static bool
one_of(const char *s, const char *const *list)
{
    for (; s && *list; list++) {
        if (strcmp(*list, s) == 0)
            return true;
    }
    return false;
}

void
mh_sb_check_service(struct mh_sb_check *c)
{
    static const char *const types[] = { "ClusterIP", "ExternalName", "LoadBalancer", "NodePort",
                                         NULL };
    static const char *const affinities[] = { "ClientIP", "None", NULL };
    const char *type = mh_json_str(c->obj, "spec", "type", NULL);
    const char *ip = mh_json_str(c->obj, "spec", "clusterIP", NULL);
    const char *affinity = mh_json_str(c->obj, "spec", "sessionAffinity", NULL);
    yyjson_val *ports = mh_json_get(c->obj, "spec", "ports", NULL);
    bool headless = mh_str_eq(ip, "None");
    bool external = mh_str_eq(type, "ExternalName");
    if (yyjson_arr_size(ports) == 0 && !headless && !external)
        mh_sb_required(c, "spec.ports", "");
    for (size_t i = 0; i < yyjson_arr_size(ports); i++)
        check_port(c, ports, i);
    if (affinity && !one_of(affinity, affinities))
        mh_sb_unsupported(c, "spec.sessionAffinity", affinity, affinities);
    if (type && !one_of(type, types))
        mh_sb_unsupported(c, "spec.type", type, types);
    const char *before = mh_json_str(c->old, "spec", "clusterIP", NULL);
    if (c->old && before && *before && !external && !mh_str_eq(before, ip))
        mh_sb_bad(c, "spec.clusterIPs[0]", mh_json_get(c->obj, "spec", "clusterIPs", NULL),
                  "may not change once set");
}

/* --- claims ---------------------------------------------------------------------------------- */

/* Is less asked for than before, and not more than there is? */
static bool
shrinks(struct mh_sb_check *c)
{
    struct mh_sb_quantity before, now, have;
    const char *old = mh_json_str(c->old, "spec", "resources", "requests", "storage", NULL);
    const char *new = mh_json_str(c->obj, "spec", "resources", "requests", "storage", NULL);
    const char *is = mh_json_str(c->old, "status", "capacity", "storage", NULL);
    return old && new &&is &&mh_sb_quantity_parse(old, &before) &&
           mh_sb_quantity_parse(new, &now) && mh_sb_quantity_parse(is, &have) &&
           mh_sb_quantity_cmp(&now, &before) < 0 && mh_sb_quantity_cmp(&now, &have) <= 0;
}

void
mh_sb_check_claim(struct mh_sb_check *c)
{
    static const char *const sealed[] = { "accessModes", "selector",   "storageClassName",
                                          "volumeMode",  "dataSource", "dataSourceRef" };
    yyjson_val *spec = yyjson_obj_get(c->obj, "spec");
    if (yyjson_arr_size(yyjson_obj_get(spec, "accessModes")) == 0)
        mh_sb_required(c, "spec.accessModes", "at least 1 access mode is required");
    if (!mh_json_get(spec, "resources", "requests", "storage", NULL))
        mh_sb_required(c, "spec.resources[storage]", "");
    bool changed = false;
    for (size_t i = 0; c->old && i < sizeof(sealed) / sizeof(sealed[0]); i++) {
        yyjson_val *old = mh_json_get(c->old, "spec", sealed[i], NULL);
        changed = changed || (old && !equal(yyjson_obj_get(spec, sealed[i]), old));
    }
    bool bound = mh_str_eq(mh_json_str(c->old, "status", "phase", NULL), "Bound");
    if (c->old && !bound &&
        !equal(yyjson_obj_get(spec, "resources"), mh_json_get(c->old, "spec", "resources", NULL)))
        changed = true;
    const char *volume = mh_json_str(c->old, "spec", "volumeName", NULL);
    if (volume && *volume && !mh_str_eq(volume, mh_json_str(spec, "volumeName", NULL)))
        changed = true;
    if (changed)
        mh_sb_forbid(c, "spec",
                     "spec is immutable after creation except resources.requests and "
                     "volumeAttributesClassName for bound claims");
    if (c->old && shrinks(c))
        mh_sb_forbid(c, "spec.resources.requests.storage",
                     "field can not be less than status.capacity");
    yyjson_val *mode = mh_json_get(c->old, "spec", "volumeMode", NULL);
    if (mode && !equal(yyjson_obj_get(spec, "volumeMode"), mode))
        mh_sb_bad(c, "volumeMode", yyjson_obj_get(spec, "volumeMode"), "field is immutable");
}

/* --- leases, budgets, classes ---------------------------------------------------------------- */

void
mh_sb_check_lease(struct mh_sb_check *c)
{
    yyjson_val *duration = mh_json_get(c->obj, "spec", "leaseDurationSeconds", NULL);
    if (yyjson_is_int(duration) && yyjson_get_sint(duration) <= 0)
        mh_sb_bad(c, "spec.leaseDurationSeconds", duration, "must be greater than 0");
    mh_sb_not_negative(c, "spec.leaseTransitions",
                       mh_json_get(c->obj, "spec", "leaseTransitions", NULL));
}

void
mh_sb_check_budget(struct mh_sb_check *c)
{
    yyjson_val *min = mh_json_get(c->obj, "spec", "minAvailable", NULL);
    yyjson_val *max = mh_json_get(c->obj, "spec", "maxUnavailable", NULL);
    if (min && max) {
        yyjson_val *selector = mh_json_get(c->obj, "spec", "selector", NULL);
        yyjson_val *policy = mh_json_get(c->obj, "spec", "unhealthyPodEvictionPolicy", NULL);
        mh_sb_cause_add(
            c->causes, "FieldValueInvalid", "spec",
            "Invalid value: {\"MinAvailable\":%s,\"Selector\":%s,\"MaxUnavailable\":%s,"
            "\"UnhealthyPodEvictionPolicy\":%s}: minAvailable and maxUnavailable cannot "
            "be both set",
            mh_sb_go_json(c->a, min), selector ? mh_sb_go_json(c->a, selector) : "null",
            mh_sb_go_json(c->a, max), policy ? mh_sb_go_json(c->a, policy) : "null");
    }
    mh_sb_not_negative(c, "spec.minAvailable", min);
    mh_sb_not_negative(c, "spec.maxUnavailable", max);
}

void
mh_sb_check_webhooks(struct mh_sb_check *c)
{
    yyjson_val *list = yyjson_obj_get(c->obj, "webhooks");
    for (size_t i = 1; i < yyjson_arr_size(list); i++) {
        const char *name = mh_json_str(yyjson_arr_get(list, i), "name", NULL);
        size_t j = 0;
        while (j < i && !mh_str_eq(mh_json_str(yyjson_arr_get(list, j), "name", NULL), name))
            j++;
        if (name && j < i)
            mh_sb_cause_add(c->causes, "FieldValueDuplicate",
                            mh_sb_check_at(c, "webhooks[%zu].name", i), "Duplicate value: \"%s\"",
                            name);
    }
}

/* Annotations of audit events are qualified by the policy's name. */
void
mh_sb_check_policy(struct mh_sb_check *c)
{
    const char *name = mh_json_str(c->obj, "metadata", "name", NULL);
    yyjson_val *list = mh_json_get(c->obj, "spec", "auditAnnotations", NULL);
    for (size_t i = 0; name && i < yyjson_arr_size(list); i++) {
        const char *key = mh_json_str(yyjson_arr_get(list, i), "key", NULL);
        const char *whole = mh_arena_printf(c->a, "%s/%s", name, key ? key : "");
        const char *why = whole ? mh_sb_name_qualified(c->a, whole) : NULL;
        if (why)
            mh_sb_bad_text(c, mh_sb_check_at(c, "spec.auditAnnotations[%zu].key", i), whole, why);
    }
}

void
mh_sb_check_node(struct mh_sb_check *c)
{
    const char *id = mh_json_str(c->old, "spec", "providerID", NULL);
    yyjson_val *before = mh_json_get(c->old, "spec", "podCIDRs", NULL);
    yyjson_val *now = mh_json_get(c->obj, "spec", "podCIDRs", NULL);
    if (id && *id && !mh_str_eq(id, mh_json_str(c->obj, "spec", "providerID", NULL)))
        mh_sb_forbid(c, "spec.providerID",
                     "node updates may not change providerID except from \"\" to valid");
    if (yyjson_arr_size(before) && !equal(before, now))
        mh_sb_forbid(c, "spec.podCIDRs",
                     "node updates may not change podCIDR except from \"\" to valid");
}

static void
sealed_field(struct mh_sb_check *c, const char *field, const char *why)
{
    if (c->old && !equal(yyjson_obj_get(c->obj, field), yyjson_obj_get(c->old, field)))
        mh_sb_forbid(c, field, why);
}

void
mh_sb_check_class(struct mh_sb_check *c)
{
    static const char *const modes[] = { "Immediate", "WaitForFirstConsumer", NULL };
    static const char *const policies[] = { "Delete", "Retain", NULL };
    const char *provisioner = mh_json_str(c->obj, "provisioner", NULL);
    const char *mode = mh_json_str(c->obj, "volumeBindingMode", NULL);
    const char *policy = mh_json_str(c->obj, "reclaimPolicy", NULL);
    if (!provisioner || !*provisioner)
        mh_sb_required(c, "provisioner", "");
    if (policy && !one_of(policy, policies))
        mh_sb_unsupported(c, "reclaimPolicy", policy, policies);
    if (mode && !one_of(mode, modes))
        mh_sb_unsupported(c, "volumeBindingMode", mode, modes);
    sealed_field(c, "parameters", "updates to parameters are forbidden.");
    sealed_field(c, "provisioner", "updates to provisioner are forbidden.");
    sealed_field(c, "reclaimPolicy", "updates to reclaimPolicy are forbidden.");
    mh_sb_immutable(c, "volumeBindingMode");
}

void
mh_sb_check_priority(struct mh_sb_check *c)
{
    sealed_field(c, "value", "may not be changed in an update.");
    mh_sb_immutable(c, "preemptionPolicy");
}

void
mh_sb_check_slice(struct mh_sb_check *c)
{
    static const char *const types[] = { "FQDN", "IPv4", "IPv6", NULL };
    const char *type = mh_json_str(c->obj, "addressType", NULL);
    yyjson_val *list = yyjson_obj_get(c->obj, "endpoints");
    if (!type || !*type)
        mh_sb_required(c, "addressType", "");
    else if (!one_of(type, types))
        mh_sb_unsupported(c, "addressType", type, types);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        if (yyjson_arr_size(yyjson_obj_get(yyjson_arr_get(list, i), "addresses")) == 0)
            mh_sb_required(c, mh_sb_check_at(c, "endpoints[%zu].addresses", i),
                           "must contain at least 1 address");
    }
    mh_sb_immutable(c, "addressType");
}

void
mh_sb_check_event(struct mh_sb_check *c)
{
    yyjson_val *o = yyjson_obj_get(c->obj, "involvedObject");
    const char *ns = mh_json_str(o, "namespace", NULL);
    const char *own = mh_json_str(c->obj, "metadata", "namespace", NULL);
    if (!o)
        return;
    if ((!ns || !*ns) && !mh_str_eq(own, "default") && !mh_str_eq(own, "kube-system"))
        mh_sb_bad_text(c, "involvedObject.namespace", "", "does not match event.namespace");
    else if (ns && *ns && !mh_str_eq(ns, own))
        mh_sb_bad_text(c, "involvedObject.namespace", ns, "does not match event.namespace");
}

/* --- roles ----------------------------------------------------------------------------------- */

void
mh_sb_check_role(struct mh_sb_check *c)
{
    yyjson_val *rules = yyjson_obj_get(c->obj, "rules");
    bool cluster = strcmp(c->op->t.r->kind, "ClusterRole") == 0;
    for (size_t i = 0; i < yyjson_arr_size(rules); i++) {
        yyjson_val *r = yyjson_arr_get(rules, i);
        if (yyjson_arr_size(yyjson_obj_get(r, "verbs")) == 0)
            mh_sb_required(c, mh_sb_check_at(c, "rules[%zu].verbs", i),
                           "verbs must contain at least one value");
        if (yyjson_arr_size(yyjson_obj_get(r, "nonResourceURLs"))) {
            if (!cluster)
                mh_sb_bad(c, mh_sb_check_at(c, "rules[%zu].nonResourceURLs", i),
                          yyjson_obj_get(r, "nonResourceURLs"),
                          "namespaced rules cannot apply to non-resource URLs");
            continue;
        }
        if (yyjson_arr_size(yyjson_obj_get(r, "apiGroups")) == 0)
            mh_sb_required(c, mh_sb_check_at(c, "rules[%zu].apiGroups", i),
                           "resource rules must supply at least one api group");
        if (yyjson_arr_size(yyjson_obj_get(r, "resources")) == 0)
            mh_sb_required(c, mh_sb_check_at(c, "rules[%zu].resources", i),
                           "resource rules must supply at least one resource");
    }
}

void
mh_sb_check_binding(struct mh_sb_check *c)
{
    static const char *const cluster_kinds[] = { "ClusterRole", NULL };
    static const char *const kinds[] = { "Role", "ClusterRole", NULL };
    static const char *const subject_kinds[] = { "ServiceAccount", "User", "Group", NULL };
    bool cluster = strcmp(c->op->t.r->kind, "ClusterRoleBinding") == 0;
    const char *const *allowed = cluster ? cluster_kinds : kinds;
    const char *kind = mh_json_str(c->obj, "roleRef", "kind", NULL);
    const char *name = mh_json_str(c->obj, "roleRef", "name", NULL);
    yyjson_val *subjects = yyjson_obj_get(c->obj, "subjects");
    static const char *const groups[] = { "rbac.authorization.k8s.io", NULL };
    const char *group = mh_json_str(c->obj, "roleRef", "apiGroup", NULL);
    if (!one_of(group, groups))
        mh_sb_unsupported(c, "roleRef.apiGroup", group ? group : "", groups);
    if (!one_of(kind, allowed))
        mh_sb_unsupported(c, "roleRef.kind", kind ? kind : "", allowed);
    if (!name || !*name)
        mh_sb_required(c, "roleRef.name", "");
    for (size_t i = 0; i < yyjson_arr_size(subjects); i++) {
        yyjson_val *s = yyjson_arr_get(subjects, i);
        const char *what = mh_json_str(s, "kind", NULL);
        const char *ns = mh_json_str(s, "namespace", NULL);
        const char *who = mh_json_str(s, "name", NULL);
        if (!who || !*who)
            mh_sb_required(c, mh_sb_check_at(c, "subjects[%zu].name", i), "");
        if (!one_of(what, subject_kinds))
            mh_sb_unsupported(c, mh_sb_check_at(c, "subjects[%zu].kind", i), what ? what : "",
                              subject_kinds);
        else if (cluster && strcmp(what, "ServiceAccount") == 0 && (!ns || !*ns))
            mh_sb_required(c, mh_sb_check_at(c, "subjects[%zu].namespace", i), "");
    }
    if (c->old && !equal(yyjson_obj_get(c->obj, "roleRef"), yyjson_obj_get(c->old, "roleRef")))
        mh_sb_cause_add(c->causes, "FieldValueInvalid", "roleRef",
                        "Invalid value: {\"APIGroup\":\"%s\",\"Kind\":\"%s\",\"Name\":\"%s\"}: "
                        "cannot change roleRef",
                        group ? group : "", kind ? kind : "", name ? name : "");
}
