/* Checks of pods and of what makes them. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_check.h"

static bool
equal(yyjson_val *a, yyjson_val *b)
{
    return a == b || (a && b && mh_sb_equal(a, b));
}

/* --- a pod's spec ---------------------------------------------------------------------------- */

static void
check_container(struct mh_sb_check *c, const char *list_at, yyjson_val *list, size_t i)
{
    yyjson_val *v = yyjson_arr_get(list, i);
    const char *name = mh_json_str(v, "name", NULL);
    const char *image = mh_json_str(v, "image", NULL);
    const char *at = mh_sb_check_at(c, "%s[%zu]", list_at, i);
    if (!name || !*name) {
        mh_sb_required(c, mh_sb_check_at(c, "%s.name", at), "");
    } else {
        const char *why = mh_sb_name_label(c->a, name);
        if (why)
            mh_sb_bad_text(c, mh_sb_check_at(c, "%s.name", at), name, why);
        for (size_t j = 0; j < i; j++) {
            if (mh_str_eq(mh_json_str(yyjson_arr_get(list, j), "name", NULL), name)) {
                mh_sb_cause_add(c->causes, "FieldValueDuplicate", mh_sb_check_at(c, "%s.name", at),
                                "Duplicate value: \"%s\"", name);
                break;
            }
        }
    }
    if (!image || !*image)
        mh_sb_required(c, mh_sb_check_at(c, "%s.image", at), "");
    mh_sb_check_container(c, at, v);
}

static bool
is_claim(const struct mh_sb_check *c, const char *name)
{
    for (size_t i = 0; i < yyjson_arr_size(c->claims); i++) {
        if (mh_str_eq(mh_json_str(yyjson_arr_get(c->claims, i), "metadata", "name", NULL), name))
            return true;
    }
    return false;
}

/* Is there a volume of this name with nothing wrong? */
static bool
has_volume(const struct mh_sb_check *c, yyjson_val *volumes, const bool *good, const char *name)
{
    for (size_t i = 0; good && i < yyjson_arr_size(volumes); i++) {
        if (good[i] && mh_str_eq(mh_json_str(yyjson_arr_get(volumes, i), "name", NULL), name))
            return true;
    }
    return is_claim(c, name);
}

static void
check_mounts(struct mh_sb_check *c, const char *list_at, yyjson_val *list, yyjson_val *volumes,
             const bool *good)
{
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *mounts = yyjson_obj_get(yyjson_arr_get(list, i), "volumeMounts");
        for (size_t j = 0; j < yyjson_arr_size(mounts); j++) {
            const char *at = mh_sb_check_at(c, "%s[%zu].volumeMounts[%zu]", list_at, i, j);
            const char *name = mh_json_str(yyjson_arr_get(mounts, j), "name", NULL);
            const char *path = mh_json_str(yyjson_arr_get(mounts, j), "mountPath", NULL);
            if (!name || !*name)
                mh_sb_required(c, mh_sb_check_at(c, "%s.name", at), "");
            else if (!has_volume(c, volumes, good, name))
                mh_sb_cause_add(c->causes, "FieldValueNotFound", mh_sb_check_at(c, "%s.name", at),
                                "Not found: \"%s\"", name);
            if (!path || !*path)
                mh_sb_required(c, mh_sb_check_at(c, "%s.mountPath", at), "");
        }
    }
}

/* Which volumes have nothing wrong; NULL: no memory. */
static const bool *
check_volumes(struct mh_sb_check *c, const char *at, yyjson_val *volumes)
{
    bool *good = mh_arena_alloc(c->a, yyjson_arr_size(volumes) + 1);
    size_t index = yyjson_arr_size(c->claims);
    for (size_t i = 0; good && i < yyjson_arr_size(volumes); i++) {
        yyjson_val *v = yyjson_arr_get(volumes, i);
        const char *name = mh_json_str(v, "name", NULL);
        good[i] = name && is_claim(c, name);
        if (good[i])
            continue;
        const char *v_at = mh_sb_check_at(c, "%s.volumes[%zu]", at, index++);
        const char *why = name && *name ? mh_sb_name_label(c->a, name) : NULL;
        good[i] = mh_sb_check_volume(c, v_at, v) && name && *name && !why;
        if (!name || !*name)
            mh_sb_required(c, mh_sb_check_at(c, "%s.name", v_at), "");
        else if (why)
            mh_sb_bad_text(c, mh_sb_check_at(c, "%s.name", v_at), name, why);
    }
    return good;
}

void
mh_sb_check_pod_spec(struct mh_sb_check *c, const char *at)
{
    static const char *const policies[] = { "Always", "OnFailure", "Never", NULL };
    yyjson_val *spec = mh_sb_val(c->obj, at);
    yyjson_val *containers = yyjson_obj_get(spec, "containers");
    yyjson_val *inits = yyjson_obj_get(spec, "initContainers");
    yyjson_val *volumes = yyjson_obj_get(spec, "volumes");
    const char *policy = mh_json_str(spec, "restartPolicy", NULL);
    const bool *good = check_volumes(c, at, volumes);
    const char *list_at = mh_sb_check_at(c, "%s.containers", at);
    if (yyjson_arr_size(containers) == 0)
        mh_sb_required(c, list_at, "");
    for (size_t i = 0; i < yyjson_arr_size(containers); i++)
        check_container(c, list_at, containers, i);
    check_mounts(c, list_at, containers, volumes, good);
    list_at = mh_sb_check_at(c, "%s.initContainers", at);
    for (size_t i = 0; i < yyjson_arr_size(inits); i++)
        check_container(c, list_at, inits, i);
    check_mounts(c, list_at, inits, volumes, good);
    if (policy && strcmp(policy, "Always") != 0 && strcmp(policy, "OnFailure") != 0 &&
        strcmp(policy, "Never") != 0)
        mh_sb_unsupported(c, mh_sb_check_at(c, "%s.restartPolicy", at), policy, policies);
    mh_sb_not_negative(c, mh_sb_check_at(c, "%s.terminationGracePeriodSeconds", at),
                       yyjson_obj_get(spec, "terminationGracePeriodSeconds"));
}

/* --- pods ------------------------------------------------------------------------------------ */

/* A copy of the spec without what may change. */
static yyjson_val *
sealed_spec(struct mh_sb_check *c, yyjson_val *pod)
{
    static const char *const free_fields[] = { "activeDeadlineSeconds", "tolerations",
                                               "ephemeralContainers" };
    static const char *const lists[] = { "containers", "initContainers" };
    yyjson_mut_doc *doc = mh_json_doc(c->a);
    yyjson_mut_val *spec = doc ? yyjson_val_mut_copy(doc, yyjson_obj_get(pod, "spec")) : NULL;
    bool resize = strcmp(c->op->t.at.subresource, "resize") == 0;
    for (size_t i = 0; spec && i < sizeof(free_fields) / sizeof(free_fields[0]); i++)
        mh_sb_mdel(spec, free_fields[i]);
    for (size_t l = 0; spec && l < 2; l++) {
        yyjson_mut_val *list = yyjson_mut_obj_get(spec, lists[l]);
        for (size_t i = 0; i < yyjson_mut_arr_size(list); i++) {
            mh_sb_mdel(yyjson_mut_arr_get(list, i), "image");
            if (resize)
                mh_sb_mdel(yyjson_mut_arr_get(list, i), "resources");
        }
    }
    return spec ? mh_sb_freeze(c->a, spec) : NULL;
}

/* Both may differ in how long. */
static bool
same_toleration(yyjson_val *a, yyjson_val *b)
{
    static const char *const fields[] = { "key", "operator", "value", "effect" };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *x = mh_json_str(a, fields[i], NULL);
        const char *y = mh_json_str(b, fields[i], NULL);
        if (strcmp(x ? x : "", y ? y : "") != 0)
            return false;
    }
    return true;
}

static bool
kept_all(yyjson_val *before, yyjson_val *now)
{
    for (size_t i = 0; i < yyjson_arr_size(before); i++) {
        bool found = false;
        for (size_t j = 0; j < yyjson_arr_size(now) && !found; j++)
            found = same_toleration(yyjson_arr_get(before, i), yyjson_arr_get(now, j));
        if (!found)
            return false;
    }
    return true;
}

static void
check_pod_update(struct mh_sb_check *c)
{
    yyjson_val *before = yyjson_obj_get(c->old, "spec");
    yyjson_val *now = yyjson_obj_get(c->obj, "spec");
    if (c->op->binding)
        return;
    if (yyjson_arr_size(yyjson_obj_get(before, "containers")) !=
        yyjson_arr_size(yyjson_obj_get(now, "containers"))) {
        mh_sb_forbid(c, "spec.containers", "pod updates may not add or remove containers");
        return;
    }
    if (yyjson_arr_size(yyjson_obj_get(before, "initContainers")) !=
        yyjson_arr_size(yyjson_obj_get(now, "initContainers"))) {
        mh_sb_forbid(c, "spec.initContainers", "pod updates may not add or remove containers");
        return;
    }
    if (!kept_all(yyjson_obj_get(before, "tolerations"), yyjson_obj_get(now, "tolerations")))
        mh_sb_forbid(c, "spec.tolerations",
                     "existing toleration can not be modified except its tolerationSeconds");
    if (!equal(sealed_spec(c, c->old), sealed_spec(c, c->obj)))
        mh_sb_forbid(
            c, "spec",
            "pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
            "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if "
            "it was previously negative)");
}

void
mh_sb_check_pod(struct mh_sb_check *c)
{
    mh_sb_check_pod_spec(c, "spec");
    if (c->old)
        check_pod_update(c);
}

/* --- workloads ------------------------------------------------------------------------------- */

/* Does the selector's matchLabels fit the template's labels? (Expressions are left out.) */
static bool
fits(yyjson_val *selector, yyjson_val *labels)
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
    return true;
}

static void
check_selector(struct mh_sb_check *c, const char *what)
{
    yyjson_val *selector = mh_json_get(c->obj, "spec", "selector", NULL);
    yyjson_val *labels = mh_json_get(c->obj, "spec", "template", "metadata", "labels", NULL);
    bool empty = yyjson_obj_size(yyjson_obj_get(selector, "matchLabels")) == 0 &&
                 yyjson_arr_size(yyjson_obj_get(selector, "matchExpressions")) == 0;
    if (!selector) {
        mh_sb_required(c, "spec.selector", "");
        return;
    }
    if (empty) {
        mh_sb_bad(c, "spec.selector", selector,
                  mh_sb_check_at(c, "empty selector is invalid for %s", what));
        return;
    }
    if (!fits(selector, labels))
        mh_sb_bad(c, "spec.template.metadata.labels", labels,
                  "`selector` does not match template `labels`");
}

static void
check_template(struct mh_sb_check *c)
{
    static const char *const always[] = { "Always", NULL };
    const char *policy = mh_json_str(c->obj, "spec", "template", "spec", "restartPolicy", NULL);
    mh_sb_check_pod_spec(c, "spec.template.spec");
    if (policy && strcmp(policy, "Always") != 0)
        mh_sb_unsupported(c, "spec.template.spec.restartPolicy", policy, always);
}

void
mh_sb_check_deployment(struct mh_sb_check *c)
{
    static const char *const types[] = { "Recreate", "RollingUpdate", NULL };
    const char *type = mh_json_str(c->obj, "spec", "strategy", "type", NULL);
    mh_sb_not_negative(c, "spec.replicas", mh_json_get(c->obj, "spec", "replicas", NULL));
    check_selector(c, "deployment");
    check_template(c);
    if (mh_str_eq(type, "Recreate") &&
        mh_json_get(c->obj, "spec", "strategy", "rollingUpdate", NULL))
        mh_sb_forbid(c, "spec.strategy.rollingUpdate",
                     "may not be specified when strategy `type` is 'Recreate'");
    else if (type && strcmp(type, "Recreate") != 0 && strcmp(type, "RollingUpdate") != 0)
        mh_sb_unsupported(c, "spec.strategy.type", type, types);
    mh_sb_not_negative(c, "spec.minReadySeconds",
                       mh_json_get(c->obj, "spec", "minReadySeconds", NULL));
    mh_sb_not_negative(c, "spec.revisionHistoryLimit",
                       mh_json_get(c->obj, "spec", "revisionHistoryLimit", NULL));
    mh_sb_immutable(c, "spec.selector");
}

void
mh_sb_check_set(struct mh_sb_check *c)
{
    mh_sb_not_negative(c, "spec.replicas", mh_json_get(c->obj, "spec", "replicas", NULL));
    check_selector(c, "replicaset");
    check_template(c);
    mh_sb_immutable(c, "spec.selector");
}

void
mh_sb_check_stateful(struct mh_sb_check *c)
{
    c->claims = mh_json_get(c->obj, "spec", "volumeClaimTemplates", NULL);
    mh_sb_not_negative(c, "spec.replicas", mh_json_get(c->obj, "spec", "replicas", NULL));
    yyjson_val *rolling = mh_json_get(c->obj, "spec", "updateStrategy", "rollingUpdate", NULL);
    if (rolling &&
        mh_str_eq(mh_json_str(c->obj, "spec", "updateStrategy", "type", NULL), "OnDelete")) {
        yyjson_val *partition = yyjson_obj_get(rolling, "partition");
        mh_sb_cause_add(
            c->causes, "FieldValueInvalid", "spec.updateStrategy.rollingUpdate",
            "Invalid value: {\"Partition\":%s,\"MaxUnavailable\":null}: only allowed for "
            "updateStrategy 'RollingUpdate'",
            partition ? mh_sb_go_json(c->a, partition) : "null");
    }
    check_selector(c, "statefulset");
    check_template(c);
    static const char *const sealed[] = { "spec.selector", "spec.serviceName",
                                          "spec.podManagementPolicy", "spec.volumeClaimTemplates" };
    for (size_t i = 0; c->old && i < 4; i++) {
        if (!equal(mh_sb_val(c->obj, sealed[i]), mh_sb_val(c->old, sealed[i]))) {
            mh_sb_forbid(c, "spec",
                         "updates to statefulset spec for fields other than 'replicas', "
                         "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
                         "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
                         "forbidden");
            return;
        }
    }
}

static void
check_job_template(struct mh_sb_check *c, const char *at)
{
    static const char *const allowed[] = { "OnFailure", "Never", NULL };
    const char *spec_at = mh_sb_check_at(c, "%s.spec", at);
    const char *policy = mh_json_str(mh_sb_val(c->obj, spec_at), "restartPolicy", NULL);
    mh_sb_check_pod_spec(c, spec_at);
    if (!policy || strcmp(policy, "Always") == 0)
        mh_sb_cause_add(c->causes, "FieldValueRequired",
                        mh_sb_check_at(c, "%s.restartPolicy", spec_at),
                        "Required value: valid values: \"OnFailure\", \"Never\"");
    else if (strcmp(policy, "OnFailure") != 0 && strcmp(policy, "Never") != 0)
        mh_sb_unsupported(c, mh_sb_check_at(c, "%s.restartPolicy", spec_at), policy, allowed);
}

void
mh_sb_check_job(struct mh_sb_check *c)
{
    static const char *const counts[] = { "parallelism", "completions", "activeDeadlineSeconds",
                                          "backoffLimit", "ttlSecondsAfterFinished" };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        mh_sb_not_negative(c, mh_sb_check_at(c, "spec.%s", counts[i]),
                           mh_json_get(c->obj, "spec", counts[i], NULL));
    check_job_template(c, "spec.template");
    if (!mh_str_eq(mh_json_str(c->obj, "spec", "completionMode", NULL), "Indexed"))
        mh_sb_immutable(c, "spec.completions");
    mh_sb_immutable(c, "spec.selector");
    if (!mh_json_bool(c->old, false, "spec", "suspend", NULL))
        mh_sb_immutable(c, "spec.template");
    mh_sb_immutable(c, "spec.completionMode");
}

void
mh_sb_check_cronjob(struct mh_sb_check *c)
{
    const char *schedule = mh_json_str(c->obj, "spec", "schedule", NULL);
    if (!schedule || !*schedule)
        mh_sb_required(c, "spec.schedule", "");
    check_job_template(c, "spec.jobTemplate.spec.template");
}
