/* webhook.h - admission reviews: defaults and checks by scripts, policies by the worker pool.
 *
 * POST /mutate-GROUP-v1-NAME and /validate-GROUP-v1-NAME call scripts/admission/webhook; POST
 * /validate-policy has every script of a labelled ConfigMap checked, POST /validate-needs/TOKEN has
 * what they need judged and recorded, and plugins checked and tested (webhook_needs.h). No other review has a side effect.
 * Where a script fails the object is let through with a warning: passes check again. So is one
 * whose spec and annotations stay as they are. A body that is no AdmissionReview gets 400.
 * A dry run of a Cluster whose annotation moonherd.io/plan is "requested" is answered with what the
 * edit would do, in that annotation.
 * The pure part (bytes in, bytes out) is apart from the server, for tests. */
#ifndef MH_OPERATOR_WEBHOOK_H
#define MH_OPERATOR_WEBHOOK_H

#include "base/json.h"
#include "lua/policy_store.h"
#include "lua/task.h"
#include "net/http_server.h"
#include "operator/foresee.h"
#include "operator/needs.h"
#include "operator/plugin.h"

#define MH_PLAN_ANNOTATION "moonherd.io/plan"
#define MH_WEBHOOK_BODY_MAX ((size_t)3 << 20) /* as the API server's own limit on objects */

struct mh_webhook_conf {
    const char *const *groups;    /* API groups served, NULL-ended */
    const char *const *names;     /* kinds in lower case, NULL-ended: "cluster" */
    const char *env;              /* JSON object for the scripts */
    struct mh_policies *policies; /* NULL: policies are let through */
    struct mh_needs *needs;       /* NULL: needs are not looked at */
    struct mh_plugins *plugins;   /* NULL: plugins are neither checked nor tested */
    /* Foresees what a dry run of an edit would do (it sets planner, clock, kind); NULL: nobody does. */
    void (*foresee)(void *arg, struct mh_foresee *f);
    void (*on_review)(void *arg, const char *path, bool allowed, int64_t ns); /* may be NULL */
    int64_t (*mono_ns)(void *self);
    void *clock;
    void *arg;
};

struct mh_webhook;

/* Loads the scripts. conf and what it names must outlive it. Fails as mh_controller_new. */
enum mh_code mh_webhook_new(const struct mh_webhook_conf *conf, struct mh_webhook **out,
                            struct mh_err *err);
void mh_webhook_free(struct mh_webhook *w);
/* Puts the paths on a server. False: no memory. */
bool mh_webhook_route(struct mh_webhook *w, struct mh_server *server);
/* By which path reviews of needs come, from the key of the certificate that is served (webhook_needs.h).
 * Until then none is believed. */
void mh_webhook_set_key(struct mh_webhook *w, const char *key_pem);

/* What the API server asks. */
struct mh_review {
    const char *uid;
    const char *operation; /* CREATE UPDATE ... */
    yyjson_val *object;    /* NULL where absent */
    yyjson_val *old;
    yyjson_val *by; /* userInfo: who asks */
    bool dry_run;
};

/* INVALID with a message if text is no AdmissionReview of v1. */
enum mh_code mh_review_parse(struct mh_arena *a, const char *text, size_t len,
                             struct mh_review *out, struct mh_err *err);
/* What is answered; all may be absent. */
struct mh_review_verdict {
    const char *message; /* the object is refused */
    const char *patch;   /* JSON patch, as text */
    size_t patch_len;
    yyjson_val *warnings; /* an array */
};

/* The answer's text. NULL: no memory. */
char *mh_review_answer(struct mh_arena *a, const struct mh_review *review,
                       const struct mh_review_verdict *verdict);
/* Runs the scripts for one review: the answer's text, NULL without memory. *allowed is set. */
char *mh_webhook_review(struct mh_webhook *w, struct mh_arena *a, const char *name, bool mutate,
                        const struct mh_review *review, bool *allowed);

#endif
