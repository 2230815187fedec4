/* What built-in kinds get by default, have from the beginning, and may not change. */
#include <string.h>

#include "base/str.h"
#include "sandbox/rest_in.h"

bool
mh_sb_updates_unseen(const struct mh_sb_resource *r)
{
    static const char *const bound[] = { "PodDisruptionBudget",
                                         "Lease",
                                         "EndpointSlice",
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

static bool
is(const struct mh_sb_op *op, const char *kind)
{
    return !op->t.r->custom && strcmp(op->t.r->kind, kind) == 0;
}

bool
mh_sb_first_status(struct mh_sb_op *op)
{
    if (is(op, "Namespace"))
        return mh_sb_mset_str(op->doc, mh_sb_mobj(op->doc, op->obj, "status"), "phase", "Active");
    if (is(op, "CustomResourceDefinition"))
        return mh_sb_crd_status(op);
    if (is(op, "Pod") || is(op, "PersistentVolumeClaim") || is(op, "PersistentVolume"))
        return mh_sb_mset_str(op->doc, mh_sb_mobj(op->doc, op->obj, "status"), "phase", "Pending");
    return true;
}

bool
mh_sb_next_spec(struct mh_sb_op *op)
{
    if (is(op, "Namespace") && !op->finalizing) {
        yyjson_val *old = mh_json_get(op->old, "spec", "finalizers", NULL);
        if (old)
            return mh_sb_mset(op->doc, mh_sb_mobj(op->doc, op->obj, "spec"), "finalizers",
                              yyjson_val_mut_copy(op->doc, old));
    }
    return true;
}

bool
mh_sb_defaults(struct mh_sb_op *op)
{
    if (is(op, "Namespace")) {
        yyjson_mut_val *meta = mh_sb_mobj(op->doc, op->obj, "metadata");
        yyjson_mut_val *list = mh_sb_marr(op->doc, mh_sb_mobj(op->doc, op->obj, "spec"),
                                          "finalizers");
        if (!op->updating && yyjson_mut_arr_size(list) == 0)
            yyjson_mut_arr_add_str(op->doc, list, "kubernetes");
        return mh_sb_mset_str(op->doc, mh_sb_mobj(op->doc, meta, "labels"),
                              "kubernetes.io/metadata.name", op->t.at.name);
    }
    return true;
}

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

bool
mh_sb_budget_allows(struct mh_sb_op *op, yyjson_val *pod)
{
    (void)op, (void)pod;
    return true;
}
