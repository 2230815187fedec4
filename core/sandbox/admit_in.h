/* admit_in.h - what the files of admit share. */
#ifndef MH_SANDBOX_ADMIT_IN_H
#define MH_SANDBOX_ADMIT_IN_H

#include "sandbox/admit.h"
#include "sandbox/cel.h"

#define MH_SB_ADMISSION "admissionregistration.k8s.io"
#define MH_SB_CONDITIONS_MAX 64

/* A named expression; cel NULL: it did not compile, `error` says why. */
struct admit_expr {
    const char *name;
    const char *text;
    struct mh_sb_cel *cel;
    const char *error;
    yyjson_val *spec;
};

/* One webhook of one configuration. */
struct admit_hook {
    const char *name;
    yyjson_val *spec;
    yyjson_val *rules;
    struct admit_expr *conditions;
    size_t nconditions;
    bool ignore;    /* failurePolicy: Ignore */
    bool if_needed; /* reinvocationPolicy: IfNeeded */
};

struct admit_policy {
    const char *name;
    yyjson_val *spec;
    struct admit_expr *conditions, *variables, *validations, *messages;
    size_t nconditions, nvariables, nvalidations;
    bool ignore;
    yyjson_val **bindings; /* spec of each binding, with its metadata */
    size_t nbindings;
};

/* The configuration as it was when it was read; lives as long as somebody uses it. */
struct admit_config {
    int refs;
    struct mh_arena arena;
    uint64_t at[4];
    struct admit_hook *hooks[2]; /* [validating] */
    size_t nhooks[2];
    struct admit_policy *policies;
    size_t npolicies;
};

struct mh_sb_admitter {
    struct mh_sb_admitter_config config;
    struct admit_config *current;
    struct admit_run *runs; /* under way */
};

/* One stage for one request. */
struct admit_run {
    struct mh_sb_admitter *a;
    struct mh_sb_admit *ad;
    struct admit_config *config;
    struct admit_run *next;
    struct admit_run **at;
    struct mh_timer *timer;
    int tries;
    yyjson_val *object;  /* what is admitted, frozen; NULL: not now */
    yyjson_val *request; /* as in an AdmissionReview, without the objects; made on demand */
    yyjson_val *ns;      /* the Namespace object; NULL: none */
    bool ns_known;
    /* webhooks */
    size_t next_hook;
    bool second;       /* the round of reinvocation */
    size_t changed_by; /* index + 1 of the last hook that changed the object */
    size_t *ran_at;    /* changes that each hook has seen + 1; 0: did not run */
    size_t changes;
    size_t calls; /* under way */
    struct admit_call *first_call;
};

/* --- admit_config.c: what is configured ---------------------------------------------------------------- */

/* A reference to today's configuration; NULL: no memory. */
struct admit_config *mh_sb_admit_config(struct mh_sb_admitter *a);
void mh_sb_admit_config_unref(struct admit_config *c);

/* --- admit_match.c: does it concern this request? -------------------------------------------------------- */

/* The object as it is now, frozen. */
yyjson_val *mh_sb_admit_object(struct admit_run *r);
/* {"uid","kind","resource",...,"userInfo","operation","dryRun","options"}; NULL: no memory. */
yyjson_val *mh_sb_admit_request(struct admit_run *r);
bool mh_sb_admit_rules(const struct mh_sb_admit *ad, yyjson_val *rules);
/* namespaceSelector and objectSelector of spec. */
bool mh_sb_admit_selected(struct admit_run *r, yyjson_val *spec);
/* Fills the variables of an expression: object, oldObject, request, namespaceObject, params. Returns
 * the list's head, on the request's arena. */
struct mh_sb_cel_var *mh_sb_admit_vars(struct admit_run *r, yyjson_val *params);
/* All conditions: 1 yes, 0 no, -1 an error (*why). */
int mh_sb_admit_conditions(struct admit_run *r, const struct admit_expr *list, size_t n,
                           struct mh_sb_cel_var *vars, const char **why);
/* The refusal of an admission plugin: `pods "x" is forbidden: WHY`. */
void mh_sb_admit_forbid(struct mh_sb_admit *ad, const char *why);
void mh_sb_admit_refuse(struct mh_sb_admit *ad, int code, const char *reason, const char *message);
/* The object's name as the real server's plugins say it. */
const char *mh_sb_admit_name(const struct mh_sb_admit *ad);

/* --- the stages ----------------------------------------------------------------------------------------- */

/* admit_pod.c: what is put into pods and claims. False: not now, ask again in a moment. */
bool mh_sb_admit_builtin(struct admit_run *r);
/* admit_hook.c: calls the webhooks of the stage; then mh_sb_admit_finish. */
void mh_sb_admit_hooks(struct admit_run *r);
/* Forgets calls under way. */
void mh_sb_admit_hooks_cancel(struct admit_run *r);
/* admit_policy.c: evaluates the policies at once. */
void mh_sb_admit_policies(struct admit_run *r);
/* Answers the stage; r is gone. */
void mh_sb_admit_finish(struct admit_run *r);

#endif
