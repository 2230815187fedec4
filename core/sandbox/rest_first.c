/* The first state of built-in kinds, and what they keep on update. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/quantity.h"
#include "sandbox/rest_default.h"

static bool
set_status(struct mh_sb_op *op, const char *json)
{
    yyjson_mut_val *v = mh_sb_mjson(op, json);
    return v && mh_sb_mset(op->doc, op->obj, "status", v);
}

static bool
namespace_first(struct mh_sb_op *op)
{
    yyjson_mut_val *list = mh_sb_marr(op->doc, mh_sb_mobj(op->doc, op->obj, "spec"), "finalizers");
    size_t i;
    size_t max;
    yyjson_mut_val *f;
    bool has = false;
    yyjson_mut_arr_foreach(list, i, max, f)
    {
        has = has || yyjson_mut_equals_str(f, "kubernetes");
    }
    yyjson_mut_val *labels =
        mh_sb_mobj(op->doc, mh_sb_mobj(op->doc, op->obj, "metadata"), "labels");
    return list && (has || yyjson_mut_arr_add_str(op->doc, list, "kubernetes")) &&
           mh_sb_mset_str(op->doc, labels, "kubernetes.io/metadata.name", op->t.at.name) &&
           set_status(op, "{\"phase\":\"Active\"}");
}

static bool
volume_first(struct mh_sb_op *op)
{
    char now[40];
    mh_sb_now(op->api, now);
    return set_status(op, "{\"phase\":\"Pending\"}") &&
           mh_sb_mset_str(op->doc, yyjson_mut_obj_get(op->obj, "status"), "lastPhaseTransitionTime",
                          now);
}

/* The name of the default StorageClass; NULL: none. */
static bool
find_default(void *arg, yyjson_val *sc)
{
    const char **name = arg;
    yyjson_val *notes = mh_json_get(sc, "metadata", "annotations", NULL);
    if (yyjson_equals_str(yyjson_obj_get(notes, "storageclass.kubernetes.io/is-default-class"),
                          "true"))
        *name = mh_json_str(sc, "metadata", "name", NULL);
    return !*name;
}

static bool
claim_first(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    const char *name = NULL;
    if (!set_status(op, "{\"phase\":\"Pending\"}"))
        return false;
    if (yyjson_mut_obj_get(spec, "storageClassName"))
        return true;
    mh_sb_each(op->api, op->arena, "storage.k8s.io", "storageclasses", NULL, find_default, &name);
    return !name || mh_sb_mset_str(op->doc, spec, "storageClassName", name);
}

/* --- services -------------------------------------------------------------------------------- */

static bool
address_taken(const struct mh_sb_table *t, const char *address)
{
    char needle[80];
    int n = snprintf(needle, sizeof(needle), "\"clusterIP\":\"%s\"", address);
    for (size_t i = 0; i < t->len; i++) {
        if (memmem(t->items[i]->text, t->items[i]->len, needle, (size_t)n))
            return true;
    }
    return false;
}

/* A free one of 127.N.1.2 .. 127.N.15.254; empty: none, or the sandbox has no addresses. */
static void
free_address(struct mh_sb_op *op, char out[32])
{
    unsigned net = 0;
    out[0] = '\0';
    if (sscanf(op->api->address, "127.%u.", &net) != 1) /* NOLINT: our own text */
        return;
    for (unsigned tries = 0; tries < 15 * 253; tries++) {
        unsigned at = op->api->next_service++ % (15 * 253);
        (void)snprintf(out, 32, "127.%u.%u.%u", net, 1 + at / 253, 2 + at % 253);
        if (!address_taken(op->t.r->table, out))
            return;
    }
    out[0] = '\0';
}

static bool
port_taken(struct mh_sb_op *op, unsigned port)
{
    char needle[32];
    const struct mh_sb_table *t = op->t.r->table;
    int n = snprintf(needle, sizeof(needle), "\"nodePort\":%u", port);
    for (size_t i = 0; i < t->len; i++) {
        if (memmem(t->items[i]->text, t->items[i]->len, needle, (size_t)n))
            return true;
    }
    return false;
}

/* Every port of a NodePort or LoadBalancer gets one of 30000 .. 32767. */
static bool
node_ports(struct mh_sb_op *op, yyjson_mut_val *spec)
{
    const char *type = mh_sb_mstr(spec, "type", NULL);
    size_t i;
    size_t max;
    yyjson_mut_val *p;
    if (!mh_str_eq(type, "NodePort") && !mh_str_eq(type, "LoadBalancer"))
        return true;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(spec, "ports"), i, max, p)
    {
        if (yyjson_mut_get_uint(yyjson_mut_obj_get(p, "nodePort")))
            continue;
        unsigned port = 0;
        for (unsigned tries = 0; tries < 2768 && (!port || port_taken(op, port)); tries++)
            port = 30000 + op->api->next_port++ % 2768;
        if (!mh_sb_mset(op->doc, p, "nodePort", yyjson_mut_uint(op->doc, port)))
            return false;
    }
    return true;
}

/* Whose endpoints nobody here chooses, they may be of both families. */
static bool
service_families(struct mh_sb_op *op, yyjson_mut_val *spec)
{
    const char *policy = mh_sb_mstr(spec, "ipFamilyPolicy", NULL);
    bool both = mh_str_eq(mh_sb_mstr(spec, "clusterIP", NULL), "None") &&
                yyjson_mut_obj_size(yyjson_mut_obj_get(spec, "selector")) == 0 &&
                !mh_str_eq(policy, "SingleStack");
    yyjson_mut_val *list = yyjson_mut_obj_get(spec, "ipFamilies");
    if (!list) {
        list = mh_sb_mjson(op, "[\"IPv4\"]");
        if (!list || !mh_sb_mset(op->doc, spec, "ipFamilies", list))
            return false;
    }
    if (both && yyjson_mut_arr_size(list) == 1) {
        bool four = yyjson_mut_equals_str(yyjson_mut_arr_get_first(list), "IPv4");
        if (!yyjson_mut_arr_add_str(op->doc, list, four ? "IPv6" : "IPv4"))
            return false;
    }
    return policy || mh_sb_mset_str(op->doc, spec, "ipFamilyPolicy",
                                    both ? "RequireDualStack" : "SingleStack");
}

/* The address and what goes with it, where there is none yet. */
static bool
service_address(struct mh_sb_op *op, yyjson_mut_val *spec)
{
    const char *given = mh_sb_mstr(spec, "clusterIP", NULL);
    char address[32];
    mh_str_copy(address, sizeof(address), given && *given ? given : "");
    if (!*address)
        free_address(op, address);
    yyjson_mut_val *ips = mh_sb_mjson(op, "[]");
    if (!ips || !service_families(op, spec))
        return false;
    if (!*address)
        return true;
    return yyjson_mut_arr_add_strcpy(op->doc, ips, address) &&
           mh_sb_mset_str(op->doc, spec, "clusterIP", address) &&
           mh_sb_mset(op->doc, spec, "clusterIPs", ips);
}

static bool
service_first(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    if (!set_status(op, "{\"loadBalancer\":{}}"))
        return false;
    if (mh_str_eq(mh_sb_mstr(spec, "type", NULL), "ExternalName")) {
        mh_sb_mdel(spec, "internalTrafficPolicy");
        return true;
    }
    return node_ports(op, spec) && service_address(op, spec);
}

/* --- jobs ------------------------------------------------------------------------------------ */

/* The selector and the labels that tie pods to this job. */
static bool
job_first(struct mh_sb_op *op)
{
    const char *uid = mh_sb_mstr(op->obj, "metadata", "uid", NULL);
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    yyjson_mut_val *meta = mh_sb_mobj(op->doc, mh_sb_mobj(op->doc, spec, "template"), "metadata");
    yyjson_mut_val *labels = mh_sb_mobj(op->doc, meta, "labels");
    if (!set_status(op, "{}") || !labels || !uid)
        return false;
    if (yyjson_mut_is_true(yyjson_mut_obj_get(spec, "manualSelector")))
        return true;
    yyjson_mut_val *match =
        mh_sb_mobj(op->doc, mh_sb_mobj(op->doc, spec, "selector"), "matchLabels");
    return mh_sb_mset_str(op->doc, labels, "controller-uid", uid) &&
           mh_sb_mset_str(op->doc, labels, "job-name", op->t.at.name) &&
           mh_sb_mset_str(op->doc, labels, "batch.kubernetes.io/controller-uid", uid) &&
           mh_sb_mset_str(op->doc, labels, "batch.kubernetes.io/job-name", op->t.at.name) &&
           (!op->shared_labels || mh_sb_mset(op->doc, mh_sb_mobj(op->doc, op->obj, "metadata"),
                                             "labels", yyjson_mut_val_mut_copy(op->doc, labels))) &&
           mh_sb_mset_str(op->doc, match, "batch.kubernetes.io/controller-uid", uid);
}

static bool
budget_first(struct mh_sb_op *op)
{
    return set_status(op, "{\"disruptionsAllowed\":0,\"currentHealthy\":0,\"desiredHealthy\":0,"
                          "\"expectedPods\":0}");
}

static bool
set_first(struct mh_sb_op *op)
{
    return set_status(op, "{\"replicas\":0}");
}

static bool
stateful_first(struct mh_sb_op *op)
{
    return set_status(op, "{\"replicas\":0,\"availableReplicas\":0}");
}

/* A new node is not ready: nothing is to be scheduled there. */
static bool
node_first(struct mh_sb_op *op)
{
    static const char key[] = "node.kubernetes.io/not-ready";
    yyjson_mut_val *list = mh_sb_marr(op->doc, mh_sb_mobj(op->doc, op->obj, "spec"), "taints");
    size_t i;
    size_t max;
    yyjson_mut_val *t;
    yyjson_mut_arr_foreach(list, i, max, t)
    {
        if (mh_str_eq(mh_sb_mstr(t, "key", NULL), key) &&
            mh_str_eq(mh_sb_mstr(t, "effect", NULL), "NoSchedule"))
            return true;
    }
    return yyjson_mut_arr_append(
        list,
        mh_sb_mjson(op, "{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoSchedule\"}"));
}

/* Fields that the real server drops by default. */
static bool
lease_first(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = yyjson_mut_obj_get(op->obj, "spec");
    mh_sb_mdel(spec, "strategy");
    mh_sb_mdel(spec, "preferredHolder");
    return true;
}

static bool
plain_first(struct mh_sb_op *op)
{
    return set_status(op, "{}");
}

bool
mh_sb_first_status(struct mh_sb_op *op)
{
    static const struct {
        const char *kind;
        bool (*fn)(struct mh_sb_op *op);
    } first[] = { { "Namespace", namespace_first },
                  { "Pod", mh_sb_pod_first },
                  { "Node", node_first },
                  { "Lease", lease_first },
                  { "PersistentVolume", volume_first },
                  { "PersistentVolumeClaim", claim_first },
                  { "Service", service_first },
                  { "Job", job_first },
                  { "PodDisruptionBudget", budget_first },
                  { "ReplicaSet", set_first },
                  { "StatefulSet", stateful_first },
                  { "Deployment", plain_first },
                  { "CronJob", plain_first },
                  { "ResourceQuota", plain_first },
                  { "ValidatingAdmissionPolicy", plain_first },
                  { "CustomResourceDefinition", mh_sb_crd_status } };
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        if (mh_sb_is_kind(op, first[i].kind))
            return first[i].fn(op);
    }
    return true;
}

/* --- update ---------------------------------------------------------------------------------- */

/* spec.FIELD as it was, where the client left it out. */
static bool
keep_if_absent(struct mh_sb_op *op, const char *field)
{
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    yyjson_val *old = mh_json_get(op->old, "spec", field, NULL);
    yyjson_mut_val *now = yyjson_mut_obj_get(spec, field);
    bool absent = !now || (yyjson_mut_is_str(now) && !*yyjson_mut_get_str(now));
    return !old || !absent || mh_sb_mset(op->doc, spec, field, yyjson_val_mut_copy(op->doc, old));
}

static bool
same(struct mh_sb_op *op, const char *field)
{
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    yyjson_val *old = mh_json_get(op->old, "spec", field, NULL);
    if (!old) {
        mh_sb_mdel(spec, field);
        return true;
    }
    return mh_sb_mset(op->doc, spec, field, yyjson_val_mut_copy(op->doc, old));
}

static bool
keep_type(struct mh_sb_op *op)
{
    const char *type = mh_sb_mstr(op->obj, "type", NULL);
    const char *old = mh_json_str(op->old, "type", NULL);
    return (type && *type) || !old || mh_sb_mset_str(op->doc, op->obj, "type", old);
}

/* When a volume's phase changes, the server notes when, unless the client does. */
static bool
phase_changed(struct mh_sb_op *op)
{
    static const char field[] = "lastPhaseTransitionTime";
    char now[40];
    yyjson_mut_val *status = yyjson_mut_obj_get(op->obj, "status");
    const char *given = mh_sb_mstr(status, field, NULL);
    const char *before = mh_json_str(op->old, "status", field, NULL);
    if (!status || (given && !mh_str_eq(given, before)))
        return true;
    if (mh_str_eq(mh_sb_mstr(status, "phase", NULL), mh_json_str(op->old, "status", "phase", NULL)))
        return given || !before || mh_sb_mset_str(op->doc, status, field, before);
    mh_sb_now(op->api, now);
    return mh_sb_mset_str(op->doc, status, field, now);
}

static bool
keep_class(struct mh_sb_op *op)
{
    yyjson_mut_val *status = mh_sb_mobj(op->doc, op->obj, "status");
    const char *old = mh_json_str(op->old, "status", "qosClass", NULL);
    return !old || yyjson_mut_obj_get(status, "qosClass") ||
           mh_sb_mset_str(op->doc, status, "qosClass", old);
}

/* What only NodePort and LoadBalancer have goes with the type, unless the client changed it. */
static void
drop_node_ports(struct mh_sb_op *op)
{
    static const char *const fields[] = { "externalTrafficPolicy", "allocateLoadBalancerNodePorts",
                                          "healthCheckNodePort" };
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    const char *old = mh_json_str(op->old, "spec", "type", NULL);
    if (!mh_str_eq(mh_sb_mstr(spec, "type", NULL), "LoadBalancer") &&
        mh_str_eq(old, "LoadBalancer"))
        mh_sb_mdel(spec, "allocateLoadBalancerNodePorts");
    if (!mh_str_eq(mh_sb_mstr(spec, "type", NULL), "ClusterIP") || mh_str_eq(old, "ClusterIP") ||
        mh_str_eq(old, "ExternalName"))
        return;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        mh_sb_mdel(spec, fields[i]);
    yyjson_mut_val *ports = yyjson_mut_obj_get(spec, "ports");
    for (size_t i = 0; i < yyjson_mut_arr_size(ports); i++)
        mh_sb_mdel(yyjson_mut_arr_get(ports, i), "nodePort");
}

/* A claim grows only where its class lets it. */
static bool
may_grow(struct mh_sb_op *op)
{
    struct mh_sb_quantity before, now;
    yyjson_mut_val *want = mh_sb_mget(op->obj, "spec", "resources", "requests", "storage", NULL);
    const char *have = mh_json_str(op->old, "spec", "resources", "requests", "storage", NULL);
    const char *class = mh_sb_mstr(op->obj, "spec", "storageClassName", NULL);
    if (!have || !yyjson_mut_is_str(want) || !mh_sb_quantity_parse(have, &before) ||
        !mh_sb_quantity_parse(yyjson_mut_get_str(want), &now) ||
        mh_sb_quantity_cmp(&now, &before) <= 0)
        return true;
    yyjson_val *sc = class && *class ? mh_sb_get(op->api, op->arena, "storage.k8s.io",
                                                 "storageclasses", NULL, class)
                                     : NULL;
    if (mh_json_bool(sc, false, "allowVolumeExpansion", NULL))
        return true;
    mh_sb_forbidden(op->req, op->t.r, op->t.at.name,
                    "only dynamically provisioned pvc can be resized and the storageclass that "
                    "provisions the pvc must support resize");
    return false;
}

bool
mh_sb_advise(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = yyjson_mut_obj_get(op->obj, "spec");
    const char *affinity = mh_sb_mstr(spec, "sessionAffinity", NULL);
    if (mh_sb_is_kind(op, "Service") && !op->status &&
        mh_str_eq(mh_sb_mstr(spec, "clusterIP", NULL), "None") && affinity &&
        strcmp(affinity, "None") != 0)
        mh_sb_warn(op->req, "spec.SessionAffinity is ignored for headless services");
    const char *other = mh_sb_mstr(spec, "externalName", NULL);
    if (mh_sb_is_kind(op, "Service") && !op->status && other && *other &&
        !mh_str_eq(mh_sb_mstr(spec, "type", NULL), "ExternalName"))
        mh_sb_warn(op->req, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    if (mh_sb_is_kind(op, "PersistentVolumeClaim") && op->updating && !op->status)
        return may_grow(op);
    return true;
}

/* Of the secrets of an account only the names stay. */
static bool
account_secrets(struct mh_sb_op *op)
{
    yyjson_mut_val *list = yyjson_mut_obj_get(op->obj, "secrets");
    for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
        yyjson_mut_val *s = yyjson_mut_arr_get(list, i);
        const char *name = mh_sb_mstr(s, "name", NULL);
        yyjson_mut_obj_clear(s);
        if (name && !mh_sb_mset_str(op->doc, s, "name", name))
            return false;
    }
    return true;
}

bool
mh_sb_next_spec(struct mh_sb_op *op)
{
    if (mh_sb_is_kind(op, "ServiceAccount"))
        return account_secrets(op);
    if (mh_sb_is_kind(op, "Service") && !op->status &&
        mh_str_eq(mh_sb_mstr(op->obj, "spec", "type", NULL), "ExternalName"))
        mh_sb_mdel(yyjson_mut_obj_get(op->obj, "spec"), "internalTrafficPolicy");
    if (mh_sb_is_kind(op, "Namespace") && !op->finalizing)
        return same(op, "finalizers");
    if (mh_sb_is_kind(op, "Service") && !op->status)
        drop_node_ports(op);
    if (mh_sb_is_kind(op, "Service")) {
        yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
        bool named = mh_str_eq(mh_sb_mstr(spec, "type", NULL), "ExternalName");
        return keep_if_absent(op, "clusterIP") && keep_if_absent(op, "clusterIPs") &&
               keep_if_absent(op, "ipFamilies") && keep_if_absent(op, "ipFamilyPolicy") &&
               node_ports(op, spec) &&
               (named || yyjson_mut_obj_get(spec, "clusterIP") || service_address(op, spec));
    }
    if (mh_sb_is_kind(op, "Lease"))
        return lease_first(op);
    if (mh_sb_is_kind(op, "Secret") && !op->status)
        return keep_type(op);
    if (op->status && mh_sb_is_kind(op, "PersistentVolume"))
        return phase_changed(op);
    if (op->status && mh_sb_is_kind(op, "Pod"))
        return keep_class(op);
    return true;
}

static bool
owned(yyjson_val *managers, const char *field)
{
    for (size_t i = 0; i < yyjson_arr_size(managers); i++) {
        if (mh_json_get(yyjson_arr_get(managers, i), "fieldsV1", "f:spec", field, NULL))
            return true;
    }
    return false;
}

yyjson_val *
mh_sb_stored_live(struct mh_sb_op *op)
{
    if (!op->old || !mh_sb_is_kind(op, "Service") ||
        !mh_str_eq(mh_json_str(op->old, "spec", "type", NULL), "ExternalName") ||
        !owned(mh_json_get(op->old, "metadata", "managedFields", NULL), "f:internalTrafficPolicy"))
        return op->old;
    yyjson_mut_doc *doc = mh_json_doc(op->arena);
    yyjson_mut_val *copy = doc ? yyjson_val_mut_copy(doc, op->old) : NULL;
    if (!copy ||
        !mh_sb_mset_str(doc, yyjson_mut_obj_get(copy, "spec"), "internalTrafficPolicy", "Local"))
        return NULL;
    return mh_sb_freeze(op->arena, copy);
}
