/* policy_store.h - which policy text is in charge: ConfigMaps labelled moonherd.io/policy.
 *
 * A ConfigMap in the operator's namespace serves all clusters, in another one the clusters there.
 * For one cluster and decision point: its own namespace before the operator's, then the older
 * claim (creationTimestamp, then name, then key). States: Received, Checked, Active, Rejected. A
 * rejected edit leaves the version before it in charge; a deleted key returns to the built-in. */
#ifndef MH_LUA_POLICY_STORE_H
#define MH_LUA_POLICY_STORE_H

#include "base/json.h"
#include "lua/pool.h"

#define MH_POLICY_LABEL "moonherd.io/policy"
#define MH_POLICY_STATUS "moonherd.io/policy-status"

struct mh_policies;

/* News about one ConfigMap. Texts live until the function returns. */
struct mh_policy_news {
    const char *namespace;
    const char *name;
    const char *uid;
    const char *annotation; /* new value of moonherd.io/policy-status; NULL: it is right already */
    const char *event_type; /* Normal or Warning; NULL: no event */
    const char *reason;     /* PolicyActive, PolicyRejected, PolicyShadowed, PolicyRemoved */
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
/* A labelled ConfigMap came or changed; one without the label counts as removed. */
enum mh_code mh_policies_update(struct mh_policies *s, yyjson_val *object, struct mh_err *err);
void mh_policies_remove(struct mh_policies *s, const char *ns, const char *name);

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
    int64_t took_us;
    void *impl;
};

/* Always answers: where the policy fails, the built-in one decides at once. done comes once and
 * never from inside. */
void mh_policies_decide(struct mh_policies *s, struct mh_decision *d);
void mh_policies_cancel(struct mh_policies *s, struct mh_decision *d);
/* {"answer":...,"by":"...","error":"one line","error_record":{...}} for a script's ctx.policy, on
 * the decision's arena. NULL: no memory. */
char *mh_decision_json(const struct mh_decision *d, size_t *len);
/* Who would decide: as `by` above, on the arena. */
const char *mh_policies_who(struct mh_policies *s, struct mh_arena *a, const char *point,
                            const char *ns);

/* One text outside the store, for the webhook: done as in pool.h, op is MH_POLICY_CHECK. */
void mh_policy_check_start(struct mh_policies *s, struct mh_policy_call *call);

#endif
