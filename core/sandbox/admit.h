/* admit.h - what stands between a request and the store: service accounts of pods, default
 * tolerations, webhooks, ValidatingAdmissionPolicies, the check of granted roles.
 *
 * The admit hook of rest.h. Webhooks are called over HTTPS at a Service's pod or a URL, as the real
 * server calls them: mutating ones in turn (again when a later one changed the object and they ask
 * for it), validating ones all at once, with failurePolicy, timeoutSeconds, matchPolicy, selectors,
 * matchConditions and sideEffects as written.
 * Owner: the admitter owns its calls. */
#ifndef MH_SANDBOX_ADMIT_H
#define MH_SANDBOX_ADMIT_H

#include "base/world.h"
#include "net/http_client.h"
#include "sandbox/rbac.h"
#include "sandbox/rest.h"

struct mh_sb_admitter;

struct mh_sb_admitter_config {
    struct mh_sb_api *api;
    struct mh_sb_rbac *rbac;
    struct mh_http *http;
    struct mh_clock clock;
    struct mh_rand rand;
    /* Where a Service's port is today; false: nowhere. */
    bool (*find)(void *arg, const char *ns, const char *name, int port, char address[48],
                 int *out_port);
    void *arg;
};

/* NULL: no memory. */
struct mh_sb_admitter *mh_sb_admitter_new(const struct mh_sb_admitter_config *config);
/* Ends calls under way: their requests are answered by nobody. NULL is allowed. */
void mh_sb_admitter_free(struct mh_sb_admitter *a);
/* One stage for one request; calls ad->done, at once or later. */
void mh_sb_admit_one(struct mh_sb_admitter *a, struct mh_sb_admit *ad);

#endif
