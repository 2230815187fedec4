/* deploy_in.h - what Deployments, ReplicaSets and Jobs share. */
#ifndef MH_SANDBOX_DEPLOY_IN_H
#define MH_SANDBOX_DEPLOY_IN_H

#include "sandbox/control_in.h"

#define MH_SB_REVISION "deployment.kubernetes.io/revision"
#define MH_SB_HASH "pod-template-hash"

/* The body of a new object of a kind with spec.template (or of a pod from such a template), owned
 * by `owner`: see deploy_pod.c. */
struct mh_sb_pod_from {
    yyjson_val *owner;       /* with spec.template */
    const char *api_version; /* of the owner */
    const char *kind;
    const char *const *labels; /* further ones: name, value, ..., NULL; may be NULL */
    const char *const *annotations;
};
/* Creates a pod of the owner's template, named "OWNER-xxxxx". */
void mh_sb_create_pod(struct mh_sb_task *t, const struct mh_sb_pod_from *from);

/* Pods (or other objects) of the task's namespace whose controller is `owner`, sorted by key; those
 * whose deletion was accepted are left out unless they are still told to be running. */
struct mh_sb_item **mh_sb_owned(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *owner,
                                size_t *n);
/* "[{condition}, ...]": the object's conditions with one changed; a status of NULL takes it away.
 * Times are kept where nothing changes. */
struct mh_sb_cond {
    const char *type;
    const char *status;
    const char *reason;
    const char *message;
    bool update_time; /* has a lastUpdateTime (Deployment), else a lastProbeTime (Job) */
};
const char *mh_sb_conditions(struct mh_sb_task *t, yyjson_val *object,
                             const struct mh_sb_cond *changes, size_t n);

/* Has it been ready for minReadySeconds? *wait_s gets how long it still has to (or stays). */
bool mh_sb_pod_available(struct mh_sb_control *c, yyjson_val *pod, int64_t min_s, int64_t *wait_s);

/* Writes {"status":...} if it differs from what is there; text is the inner object. */
void mh_sb_put_status(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *object,
                      const char *status);

#endif
