/* Pods: defaults that depend on other fields, and what a new pod gets. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_default.h"

static const char *const container_lists[] = { "initContainers", "containers",
                                               "ephemeralContainers" };

static bool
set_if_absent(struct mh_sb_op *op, yyjson_mut_val *obj, const char *key, const char *json)
{
    if (yyjson_mut_obj_get(obj, key))
        return true;
    yyjson_mut_val *v = mh_sb_mjson(op, json);
    return v && mh_sb_mset(op->doc, obj, key, v);
}

/* Always for :latest and no tag, else IfNotPresent. */
static const char *
pull_policy(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *name = slash ? slash + 1 : image;
    if (strchr(name, '@'))
        return "\"IfNotPresent\"";
    const char *tag = strchr(name, ':');
    return !tag || strcmp(tag, ":latest") == 0 ? "\"Always\"" : "\"IfNotPresent\"";
}

/* Requests that are not said are the limits; of pods only, not of templates. */
static bool
requests_from_limits(struct mh_sb_op *op, yyjson_mut_val *c)
{
    yyjson_mut_val *limits = mh_sb_mget(c, "resources", "limits", NULL);
    size_t i;
    size_t max;
    yyjson_mut_val *key;
    yyjson_mut_val *value;
    if (!limits || !mh_sb_is_kind(op, "Pod") || yyjson_mut_obj_size(limits) == 0)
        return true;
    yyjson_mut_val *requests = mh_sb_mobj(op->doc, yyjson_mut_obj_get(c, "resources"), "requests");
    yyjson_mut_obj_foreach(limits, i, max, key, value)
    {
        const char *k = yyjson_mut_get_str(key);
        if (!yyjson_mut_obj_get(requests, k) &&
            !mh_sb_mset(op->doc, requests, k, yyjson_mut_val_mut_copy(op->doc, value)))
            return false;
    }
    return requests != NULL;
}

static bool
volume_defaults(struct mh_sb_op *op, yyjson_mut_val *v)
{
    if (yyjson_mut_obj_size(v) == 1 && yyjson_mut_obj_get(v, "name"))
        return set_if_absent(op, v, "emptyDir", "{}");
    return true;
}

bool
mh_sb_pod_defaults(struct mh_sb_op *op, yyjson_mut_val *spec)
{
    size_t i;
    size_t max;
    yyjson_mut_val *v;
    bool ok = true;
    for (size_t l = 0; l < 3; l++) {
        yyjson_mut_arr_foreach(yyjson_mut_obj_get(spec, container_lists[l]), i, max, v)
        {
            const char *image = mh_sb_mstr(v, "image", NULL);
            if (image)
                ok = ok && set_if_absent(op, v, "imagePullPolicy", pull_policy(image));
            ok = ok && requests_from_limits(op, v);
        }
    }
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(spec, "volumes"), i, max, v)
    {
        ok = ok && volume_defaults(op, v);
    }
    const char *account = mh_sb_mstr(spec, "serviceAccountName", NULL);
    const char *old = mh_sb_mstr(spec, "serviceAccount", NULL);
    if (account && *account)
        ok = ok && mh_sb_mset_str(op->doc, spec, "serviceAccount", account);
    else if (old && *old)
        ok = ok && mh_sb_mset_str(op->doc, spec, "serviceAccountName", old);
    return ok;
}

/* --- a new pod ------------------------------------------------------------------------------- */

static bool
sums_equal(yyjson_mut_val *a, yyjson_mut_val *b, const char *key)
{
    const char *x = mh_sb_mstr(a, key, NULL);
    return x && mh_str_eq(x, mh_sb_mstr(b, key, NULL));
}

/* Guaranteed: every container has cpu and memory limits that equal its requests. */
static const char *
qos_class(yyjson_mut_val *spec)
{
    bool any = false;
    bool all = true;
    size_t i;
    size_t max;
    yyjson_mut_val *c;
    for (size_t l = 0; l < 2; l++) {
        yyjson_mut_arr_foreach(yyjson_mut_obj_get(spec, container_lists[l]), i, max, c)
        {
            yyjson_mut_val *limits = mh_sb_mget(c, "resources", "limits", NULL);
            yyjson_mut_val *requests = mh_sb_mget(c, "resources", "requests", NULL);
            static const char *const counted[] = { "cpu", "memory" };
            for (size_t k = 0; k < 2; k++) {
                any = any || yyjson_mut_obj_get(limits, counted[k]) ||
                      yyjson_mut_obj_get(requests, counted[k]);
                all = all && sums_equal(limits, requests, counted[k]);
            }
        }
    }
    return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

static bool
tolerates(yyjson_mut_val *list, const char *key)
{
    size_t i;
    size_t max;
    yyjson_mut_val *t;
    yyjson_mut_arr_foreach(list, i, max, t)
    {
        const char *k = mh_sb_mstr(t, "key", NULL);
        const char *effect = mh_sb_mstr(t, "effect", NULL);
        if ((!k || !*k || strcmp(k, key) == 0) &&
            (!effect || !*effect || strcmp(effect, "NoExecute") == 0))
            return true;
    }
    return false;
}

static bool
add_toleration(struct mh_sb_op *op, yyjson_mut_val *spec, const char *key)
{
    yyjson_mut_val *list = yyjson_mut_obj_get(spec, "tolerations");
    if (tolerates(list, key))
        return true;
    list = mh_sb_marr(op->doc, spec, "tolerations");
    yyjson_mut_val *t = mh_sb_mjson(op, "{\"operator\":\"Exists\",\"effect\":\"NoExecute\","
                                        "\"tolerationSeconds\":300}");
    return list && t && mh_sb_mset_str(op->doc, t, "key", key) && yyjson_mut_arr_append(list, t);
}

/* From the PriorityClass, the global default, or 0. False: answered, or no memory. */
static bool
priority(struct mh_sb_op *op, yyjson_mut_val *spec)
{
    const char *name = mh_sb_mstr(spec, "priorityClassName", NULL);
    int64_t value = 0;
    const char *preempt = "PreemptLowerPriority";
    if (name && *name) {
        yyjson_val *pc =
            mh_sb_get(op->api, op->arena, "scheduling.k8s.io", "priorityclasses", NULL, name);
        if (!pc) {
            mh_sb_forbidden(
                op->req, op->t.r, op->t.at.name,
                mh_arena_printf(op->arena, "no PriorityClass with name %s was found", name));
            return false;
        }
        const char *p = mh_json_str(pc, "preemptionPolicy", NULL);
        value = mh_json_int(pc, 0, "value", NULL);
        preempt = p ? p : preempt;
    }
    return mh_sb_mset(op->doc, spec, "priority", yyjson_mut_sint(op->doc, value)) &&
           mh_sb_mset_str(op->doc, spec, "preemptionPolicy", preempt);
}

bool
mh_sb_pod_first(struct mh_sb_op *op)
{
    yyjson_mut_val *spec = mh_sb_mobj(op->doc, op->obj, "spec");
    yyjson_mut_val *status = mh_sb_mobj(op->doc, op->obj, "status");
    return spec && status && mh_sb_mset_str(op->doc, status, "phase", "Pending") &&
           mh_sb_mset_str(op->doc, status, "qosClass", qos_class(spec)) && priority(op, spec) &&
           add_toleration(op, spec, "node.kubernetes.io/not-ready") &&
           add_toleration(op, spec, "node.kubernetes.io/unreachable");
}

/* --- conditions and budgets ------------------------------------------------------------------ */

bool
mh_sb_condition(struct mh_sb_op *op, const char *type, const char *status)
{
    char now[40];
    mh_sb_now(op->api, now);
    yyjson_mut_val *list =
        mh_sb_marr(op->doc, mh_sb_mobj(op->doc, op->obj, "status"), "conditions");
    yyjson_mut_val *found = NULL;
    for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
        if (mh_str_eq(mh_sb_mstr(yyjson_mut_arr_get(list, i), "type", NULL), type))
            found = yyjson_mut_arr_get(list, i);
    }
    if (!found)
        found = yyjson_mut_arr_add_obj(op->doc, list);
    mh_sb_mdel(found, "reason");
    mh_sb_mdel(found, "message");
    return found && mh_sb_mset_str(op->doc, found, "type", type) &&
           mh_sb_mset_str(op->doc, found, "status", status) &&
           mh_sb_mset(op->doc, found, "lastProbeTime", yyjson_mut_null(op->doc)) &&
           mh_sb_mset_str(op->doc, found, "lastTransitionTime", now);
}

struct budgets {
    struct mh_sb_op *op;
    yyjson_val *labels;
    yyjson_val *blocked; /* the budget that says no */
    int matching;
};

/* matchLabels and matchExpressions of a LabelSelector; an empty one matches everything. */
static bool
selects(yyjson_val *selector, yyjson_val *labels)
{
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    yyjson_obj_foreach(yyjson_obj_get(selector, "matchLabels"), i, max, k, v)
    {
        if (!mh_str_eq(yyjson_get_str(yyjson_obj_get(labels, yyjson_get_str(k))),
                       yyjson_get_str(v)))
            return false;
    }
    yyjson_arr_foreach(yyjson_obj_get(selector, "matchExpressions"), i, max, v)
    {
        const char *key = mh_json_str(v, "key", NULL);
        const char *op = mh_json_str(v, "operator", NULL);
        const char *have = key ? yyjson_get_str(yyjson_obj_get(labels, key)) : NULL;
        yyjson_val *values = yyjson_obj_get(v, "values");
        bool in = false;
        for (size_t j = 0; have && j < yyjson_arr_size(values); j++)
            in = in || yyjson_equals_str(yyjson_arr_get(values, j), have);
        bool ok = mh_str_eq(op, "In")             ? in
                  : mh_str_eq(op, "NotIn")        ? !in
                  : mh_str_eq(op, "Exists")       ? have != NULL
                  : mh_str_eq(op, "DoesNotExist") ? have == NULL
                                                  : false;
        if (!ok)
            return false;
    }
    return selector != NULL;
}

static bool
look_at_budget(void *arg, yyjson_val *pdb)
{
    struct budgets *b = arg;
    if (!selects(mh_json_get(pdb, "spec", "selector", NULL), b->labels))
        return true;
    b->matching++;
    if (mh_json_int(pdb, 0, "status", "disruptionsAllowed", NULL) <= 0)
        b->blocked = pdb;
    return true;
}

bool
mh_sb_budget_allows(struct mh_sb_op *op, yyjson_val *pod)
{
    struct budgets b = { .op = op, .labels = mh_json_get(pod, "metadata", "labels", NULL) };
    const char *phase = mh_json_str(pod, "status", "phase", NULL);
    if (mh_str_eq(phase, "Succeeded") || mh_str_eq(phase, "Failed") ||
        mh_json_get(pod, "metadata", "deletionTimestamp", NULL) || mh_str_eq(phase, "Pending"))
        return true;
    mh_sb_each(op->api, op->arena, "policy", "poddisruptionbudgets", op->t.at.ns, look_at_budget,
               &b);
    if (b.matching > 1) {
        mh_sb_refuse(op->req, 500, "InternalError",
                     "Internal error occurred: This pod has more than one PodDisruptionBudget, "
                     "which the eviction subresource does not support.");
        return false;
    }
    if (!b.blocked)
        return true;
    yyjson_mut_doc *doc = mh_json_doc(op->arena);
    yyjson_mut_val *d = doc ? yyjson_mut_obj(doc) : NULL;
    const char *name = mh_json_str(b.blocked, "metadata", "name", NULL);
    yyjson_mut_val *list = d ? yyjson_mut_obj_add_arr(doc, d, "causes") : NULL;
    yyjson_mut_val *c = list ? yyjson_mut_arr_add_obj(doc, list) : NULL;
    if (c) {
        yyjson_mut_obj_add_str(doc, c, "reason", "DisruptionBudget");
        yyjson_mut_obj_add_strcpy(
            doc, c, "message",
            mh_arena_printf(
                op->arena,
                "The disruption budget %s needs %lld healthy pods and has %lld "
                "currently",
                name ? name : "",
                (long long)mh_json_int(b.blocked, 0, "status", "desiredHealthy", NULL),
                (long long)mh_json_int(b.blocked, 0, "status", "currentHealthy", NULL)));
    }
    mh_sb_status(op->req, 429, "TooManyRequests",
                 "Cannot evict pod as it would violate the pod's disruption budget.", d, doc);
    return false;
}
