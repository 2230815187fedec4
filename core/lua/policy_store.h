/* policy_store.h - which policy text is in charge: ConfigMaps labelled moonherd.io/policy.
 *
 * A ConfigMap in the operator's namespace serves all clusters, in another one the clusters there;
 * moonherd.io/cluster-selector narrows it. For one cluster and decision point: what its annotation
 * moonherd.io/policies names, else its own namespace before the operator's, then the older claim
 * (creationTimestamp, then name, then key), else the built-in one.
 *
 * A version is Received, Checked (it compiles, its declaration is right), Tested (its cases and the
 * fixtures pass), Replayed (the last real inputs pass), Active; or Rejected; or RolledBack after
 * three errors or one violation of a guard within ten minutes. moonherd.io/rollout: manual waits
 * for moonherd.io/approve to name its hash, shadow only runs beside the version in charge. Whatever
 * does not become active leaves the version before it in charge; a deleted key goes to the next
 * claim. Decisions end on the version they began with. */
#ifndef MH_LUA_POLICY_STORE_H
#define MH_LUA_POLICY_STORE_H

#include "base/json.h"
#include "lua/pool.h"

#define MH_POLICY_LABEL "moonherd.io/policy"
#define MH_POLICY_STATUS "moonherd.io/policy-status"
#define MH_POLICY_REPORT "moonherd.io/policy-report"
/* On the ConfigMap, by people: */
#define MH_POLICY_ROLLOUT "moonherd.io/rollout" /* auto, manual or shadow; or KEY=MODE,... */
#define MH_POLICY_APPROVE "moonherd.io/approve" /* hashes of texts that may decide */
#define MH_POLICY_SELECTOR "moonherd.io/cluster-selector"
/* On the Cluster: "failover=who-first/failover.lua,placement=built-in", and parameters as YAML. */
#define MH_POLICY_NAMED "moonherd.io/policies"
#define MH_POLICY_PARAMS "moonherd.io/policy-params"

#define MH_POLICY_ERRORS 3 /* within the window: rolled back */
#define MH_POLICY_WINDOW_S 600

struct mh_policies;
struct mh_clock;
struct mh_ring;

/* News about one ConfigMap. Texts live until the function returns. */
struct mh_policy_news {
    const char *namespace;
    const char *name;
    const char *uid;
    const char *annotation; /* new value of moonherd.io/policy-status; NULL: it is right already */
    const char *report;     /* new value of moonherd.io/policy-report, beside annotation */
    const char *event_type; /* Normal or Warning; NULL: no event */
    const char *reason;     /* PolicyActive PolicyContested PolicyShadowed PolicyWaits
                               PolicyInShadow PolicyRejected PolicyRolledBack PolicyRemoved */
    const char *note;       /* "failover.lua: ..." at most 1 KiB */
    const char *record;     /* JSON of the versions in charge, to be kept; NULL: as last told */
};
typedef void (*mh_policy_news_fn)(void *arg, const struct mh_policy_news *news);

/* news comes from the loop, never from inside update, and may not call update or remove itself.
 * NULL: no memory. */
struct mh_policies *mh_policies_new(struct event_base *base, struct mh_pool *pool,
                                    const char *operator_namespace, mh_policy_news_fn news,
                                    void *arg);
void mh_policies_free(struct mh_policies *s);
/* Times come from this clock; without it from the system's. */
void mh_policies_set_clock(struct mh_policies *s, const struct mh_clock *clock);
/* How selectors match labels (lua knows no Kubernetes); without it every selector is refused. */
void mh_policies_set_match(struct mh_policies *s,
                           bool (*match)(const char *selector, yyjson_val *labels));
/* The operator's namespace. */
const char *mh_policies_home(const struct mh_policies *s);
/* The decisions taken lately. */
struct mh_ring *mh_policies_ring(struct mh_policies *s);
/* A labelled ConfigMap came or changed; one without the label counts as removed. */
enum mh_code mh_policies_update(struct mh_policies *s, yyjson_val *object, struct mh_err *err);
void mh_policies_remove(struct mh_policies *s, const char *ns, const char *name);

/* The annotation of the last news about this ConfigMap was not written: it is told again later. */
void mh_policies_untold(struct mh_policies *s, const char *ns, const char *name);

/* While held (who is no leader) nothing is told; it is afterwards. */
void mh_policies_hold(struct mh_policies *s, bool held);

/* --- beyond the process ------------------------------------------------------------------------ */

#define MH_POLICY_RECORD_MAX                                                                       \
    ((size_t)56 << 10) /* bytes of one record; what does not fit is left out */

/* Whose record it is. */
struct mh_record_of {
    const char *namespace;
    const char *name;
    const char *uid; /* of the ConfigMap; NULL: unknown */
};

/* A record of an earlier life, {"failover.lua":{"script","params",...}}: where the ConfigMap holds a
 * text that is refused and no other version is in charge, the kept one is checked and answers. */
enum mh_code mh_policies_restore(struct mh_policies *s, const struct mh_record_of *of,
                                 yyjson_val *policies, struct mh_err *err);
/* All records were given: from now on news have records, and never before, so that none is lost. */
void mh_policies_restored(struct mh_policies *s);

struct mh_decision {
    /* set by the caller, who keeps it until done or cancel */
    const char *point;     /* "failover/v1" */
    const char *namespace; /* of the cluster */
    const char *cluster;   /* its name; NULL: the decision is not remembered */
    yyjson_val *object;    /* the Cluster, for its labels and annotations; NULL: it has none */
    const char *input;     /* JSON, without params; must live until done */
    size_t input_len;
    struct mh_arena *arena;
    void (*done)(struct mh_decision *d);
    void *arg;
    /* set before done */
    const char *answer; /* canonical JSON, past the guard; NULL only if the built-in failed too */
    size_t answer_len;
    const char *by;         /* "built-in" or "NAMESPACE/CONFIGMAP/KEY@HASH" */
    const char *error;      /* error record of the policy that failed, JSON; NULL: none */
    const char *error_text; /* one line of it: "who-first/failover.lua:8: ..."; NULL: none */
    bool again;             /* a worker was lost while it decided, and another one was asked */
    int64_t took_us;        /* in which scripts ran that gave an answer */
    int64_t waited_us;      /* from decide to done: what whoever asked has waited */
    int64_t asked_us;       /* private, as impl */
    void *impl;
};

/* Always answers: where the policy fails, the built-in one decides at once. Only where its worker ends
 * without having passed a limit another one is asked, once, within the same deadline. done comes once
 * and never from inside. */
void mh_policies_decide(struct mh_policies *s, struct mh_decision *d);
void mh_policies_cancel(struct mh_policies *s, struct mh_decision *d);
/* Whether a text that could decide this point for clusters of ns is still being checked, so that the
 * built-in answer may not be the last word. */
bool mh_policies_pending(const struct mh_policies *s, const char *point, const char *ns);
/* Whether only the built-in policy can answer, now and in the shadow. */
bool mh_policies_unclaimed(const struct mh_policies *s, const char *point, const char *ns);
/* The answer of a built-in policy that always says the same; NULL: it has to be asked. */
const char *mh_point_constant(const char *point);
/* {"answer":...,"by":"...","error":"one line","error_record":{...}} for a script's ctx.policy, on
 * the decision's arena. NULL: no memory. */
char *mh_decision_json(const struct mh_decision *d, size_t *len);

/* One text outside the store, for the webhook: done as in pool.h, op is MH_POLICY_CHECK. */
void mh_policy_check_start(struct mh_policies *s, struct mh_policy_call *call);
/* What one text says that it needs; op is MH_POLICY_DECLARED, the answer as declared.h says. */
void mh_policy_declared_start(struct mh_policies *s, struct mh_policy_call *call);

/* --- replay ------------------------------------------------------------------------------------ */

#define MH_REPLAY_MAX 200
#define MH_REPLAY_LINES 5

/* The last real inputs against one text. */
struct mh_replay {
    /* set by the caller, who keeps it until done or cancel */
    struct mh_policy_job job; /* name, script, params: they must live as long */
    const char *point;
    const char *ns;       /* of the clusters; NULL: all */
    const char *selector; /* of the clusters; NULL: all */
    const char *tenant;   /* whose text it is, as in pool.h */
    unsigned most;        /* 0: MH_REPLAY_MAX */
    int budget_ms;        /* 0: 3 s; what is over then is not replayed */
    void (*done)(struct mh_replay *r);
    void *arg;
    /* set before done */
    unsigned inputs; /* replayed */
    unsigned differ;
    unsigned failed;
    unsigned nlines;
    char *lines[MH_REPLAY_LINES]; /* "web/pg failover/v1 10:02:11 7f3a...: order: [a] -> [b]" */
    char *failure;                /* the first error, with the input's id; NULL: none */
    struct mh_replaying *impl;
};

/* done comes once, from inside only without memory. */
void mh_replay_start(struct mh_policies *s, struct mh_replay *r);
void mh_replay_cancel(struct mh_replay *r);
/* Frees the texts of the result. */
void mh_replay_release(struct mh_replay *r);
/* "3 of 200 recorded decisions differ", "all 200 recorded decisions stay as they are", "there are no
 * recorded decisions". */
void mh_replay_sentence(const struct mh_replay *r, char *out, size_t size);

/* --- figures ------------------------------------------------------------------------------------ */

enum mh_policy_state {
    MH_RECEIVED,
    MH_REPLAYED,
    MH_ACTIVE,
    MH_REJECTED,
    MH_ROLLED_BACK,
    MH_POLICY_STATES
};
extern const char *const mh_policy_states[MH_POLICY_STATES];

struct mh_policy_figures {
    unsigned states[MH_POLICY_STATES]; /* keys in each, now */
    uint64_t activations;
    uint64_t rejections;
    uint64_t rollbacks;
    uint64_t errors; /* of decisions */
    uint64_t violations;
    uint64_t replayed; /* inputs */
    size_t ring_bytes;
};
void mh_policies_figures(struct mh_policies *s, struct mh_policy_figures *out);
/* Called with the time from an edit to its being active; may be NULL. */
void mh_policies_on_active(struct mh_policies *s, void (*fn)(void *arg, int64_t us));

#endif
