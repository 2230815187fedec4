/* status.h - from a plan's status to the smallest merge patch. Pure: text in, text out.
 *
 * Keys of plan().status are merged into the object's status: a key that is named replaces the
 * whole value, null removes it, what is not named stays. Conditions are merged by type: others
 * stay, lastTransitionTime changes with the condition's status only, {type, status = null}
 * removes one. */
#ifndef MH_OPERATOR_STATUS_H
#define MH_OPERATOR_STATUS_H

#include "base/json.h"

/* A failure of the pass, shown as the condition Reconciled=False while it lasts. */
struct mh_status_failure {
    const char *reason; /* NULL: no failure, the condition goes away */
    const char *message;
    bool keep; /* with reason NULL: leave the condition as it is */
};

struct mh_status_in {
    yyjson_val *object;
    const char *rv;     /* for metadata.resourceVersion; NULL: none */
    yyjson_val *wanted; /* may be NULL */
    struct mh_status_failure failure;
    int64_t now_s;
};

/* *body gets the patch, or NULL if nothing changes. Fails: INVALID if wanted is no object, NOMEM. */
enum mh_code mh_status_patch(struct mh_arena *a, const struct mh_status_in *in, char **body,
                             struct mh_err *err);
/* Deep equality; numbers by value (1 equals 1.0), keys in any order. */
bool mh_json_same(yyjson_val *a, yyjson_val *b);

#endif
