/* policy_entry.h - inside core/lua: the ConfigMaps of a policy store, their keys and versions. */
#ifndef MH_LUA_POLICY_ENTRY_H
#define MH_LUA_POLICY_ENTRY_H

#include "base/world.h"
#include "lua/policy_ring.h"
#include "lua/policy_store.h"
#include "lua/rollout.h"

/* One text with its parameters. Immutable; alive while it is active, checked or deciding. */
struct mh_version {
    int refs;
    char *name; /* "failover.lua" */
    char *script;
    size_t script_len;
    char *params; /* NULL: none */
    size_t params_len;
    char hash[MH_POLICY_HASH]; /* of the script, as people see it */
    char id[MH_POLICY_HASH];   /* of script and parameters */
    char point[32];            /* "" until it is checked */
};

/* What a version in the shadow would have said. */
struct mh_shadow {
    unsigned asked;
    unsigned differ;
    unsigned failed;
    unsigned told; /* differ + failed in the last message */
    char last[300];
};

/* One key NAME.lua of a ConfigMap. */
struct mh_entry {
    struct mh_entry *next;
    struct mh_map_of *map;
    char *key;
    struct mh_version *latest; /* as the ConfigMap has it */
    struct mh_version *active; /* the one in charge; NULL: none */
    struct mh_version *good;   /* the one in charge before; NULL: none */
    struct mh_version *ready;  /* passed everything and waits: manual or shadow; NULL: none */
    struct mh_checking *check; /* of `latest` or of a kept version, NULL when it is over */
    char *refusal;             /* why `latest` was rejected; NULL: it was not */
    char *fallen;              /* why it was rolled back; NULL: it was not */
    char fallen_id[MH_POLICY_HASH];
    enum mh_rollout rollout;
    bool approved; /* by moonherd.io/approve */
    int64_t errors_us[MH_POLICY_ERRORS];
    unsigned nerrors;
    struct mh_shadow shadow;
    int64_t received_us;
    char *report;    /* JSON: the life of `latest` and its replay; NULL: nothing to say */
    char told[160];  /* state, hash and rival in the last event */
    bool seen;       /* during an update */
    bool tell_later; /* the shadow's message changed */
};

struct mh_map_of {
    struct mh_map_of *next;
    char *ns;
    char *name;
    char *uid;
    char *created;    /* creationTimestamp */
    char *annotation; /* as it is on the object, or as we last told; NULL: none */
    char *selector;   /* NULL: all clusters */
    char *rollout;    /* texts of the annotations; NULL: none */
    char *approve;
    char recorded[MH_POLICY_HASH]; /* of the record that we last told; "" for none */
    struct mh_entry *entries;      /* sorted by key */
};

/* Something to be told of an object that may be gone by then. */
struct mh_loud {
    struct mh_loud *next;
    char *ns;
    char *name;
    char *uid;
    const char *reason;
    char note[600];
};

struct mh_policies {
    struct event_base *base;
    struct mh_pool *pool;
    char *operator_namespace;
    mh_policy_news_fn news;
    void *arg;
    struct mh_clock clock; /* its functions may be NULL */
    bool (*match)(const char *selector, yyjson_val *labels);
    void (*on_active)(void *arg, int64_t us);
    struct event *wake;
    struct event *later; /* for what need not be told at once */
    struct mh_map_of *maps;
    struct asked *asked;
    struct mh_decision *failed; /* linked by impl: for want of memory */
    struct mh_kept *kept;       /* what records of an earlier life said */
    struct mh_ring *ring;
    struct mh_shade *shades; /* runs in the shadow */
    struct mh_replaying *replays;
    struct mh_loud *loud;
    struct mh_policy_figures figures;
    bool restored; /* all of them are here */
    bool held;     /* nothing is told now */
};

/* --- policy_maps.c, policy_tell.c --- */

void mh_policies_wake(struct mh_policies *s);
void mh_policies_wake_later(struct mh_policies *s);
int64_t mh_policies_mono_us(const struct mh_policies *s);
int64_t mh_policies_wall_us(const struct mh_policies *s);
/* Tells what has changed: annotations and events. */
void mh_policies_tell(struct mh_policies *s);
/* An event about m, on the next turn. */
void mh_policies_say(struct mh_policies *s, const struct mh_map_of *m, const char *reason,
                     const char *note);
void mh_loud_free(struct mh_loud *l);
bool mh_text_set(char **slot, const char *text);

/* --- policy_store.c, policy_bind.c --- */

/* Answers the decisions that wait for no worker. */
void mh_policies_answer(struct mh_policies *s);

/* Who decides for one cluster. */
struct mh_claim {
    struct mh_entry *entry; /* NULL: the built-in one */
    const char *params;     /* with those of the Cluster; NULL: the version's own */
    size_t params_len;
    bool own_params;
    const char *fault; /* the Cluster's annotations cannot be followed; NULL: they can */
};
void mh_policies_resolve(struct mh_policies *s, const struct mh_decision *d, struct mh_claim *out);
/* Does m serve this cluster at all? */
bool mh_map_serves(const struct mh_policies *s, const struct mh_map_of *m, const char *ns,
                   yyjson_val *labels);
/* Another key of the same namespace that claims the point of e for the same clusters: an older one,
 * which then decides; or NULL and a younger one in *younger (NULL: none). */
struct mh_entry *mh_entry_rival(struct mh_policies *s, const struct mh_entry *e,
                                struct mh_entry **younger);
/* The oldest active claim of a namespace without a selector; NULL: none. */
struct mh_entry *mh_policies_claim(struct mh_policies *s, const char *ns, const char *point);

/* --- policy_entry.c --- */

struct mh_version *mh_version_new(const char *name, const char *script, size_t script_len,
                                  const char *params, size_t params_len);
struct mh_version *mh_version_ref(struct mh_version *v);
void mh_version_unref(struct mh_version *v);
void mh_version_job(const struct mh_version *v, struct mh_policy_job *job);
/* Replaces *slot by v, with a reference of its own (v may be NULL). */
void mh_version_set(struct mh_version **slot, struct mh_version *v);
void mh_entry_free(struct mh_policies *s, struct mh_entry *e);
/* The failure is none of the script: no worker, no memory of ours. */
bool mh_policy_error_is_ours(const struct mh_script_error *e);
void mh_entry_state(struct mh_policies *s, const struct mh_entry *e, enum mh_policy_state *out);

/* --- policy_life.c --- */

/* Begins the check of v: e->latest, or a version kept for it. False: no memory. */
bool mh_entry_check(struct mh_policies *s, struct mh_entry *e, struct mh_version *v);
/* Stops the check that runs, if one does. */
void mh_entry_forget_check(struct mh_policies *s, struct mh_entry *e);
/* Rollout or approval may have changed: what waits becomes active, or the other way about. */
void mh_entry_settle(struct mh_policies *s, struct mh_entry *e);
/* v of e failed to decide. */
void mh_entry_failed(struct mh_policies *s, struct mh_entry *e, struct mh_version *v,
                     const char *kind, const char *text);
/* v came from a record that says so. */
void mh_entry_mark_fallen(struct mh_policies *s, struct mh_entry *e, const char *id,
                          const char *why);

/* --- policy_shadow.c --- */

/* The decision is taken: those in the shadow are asked the same. */
void mh_shadows_ask(struct mh_policies *s, const struct mh_decision *d);
/* Forgets the runs of e, or (NULL) all. */
void mh_shadows_forget(struct mh_policies *s, const struct mh_entry *e);

/* --- policy_replay.c --- */

void mh_replays_forget(struct mh_policies *s);

/* --- policy_keep.c --- */

struct mh_kept {
    struct mh_kept *next;
    char *ns;
    char *name;
    char *uid; /* of the ConfigMap; NULL: unknown */
    char *key;
    struct mh_version *version; /* was in charge; NULL: the built-in one was */
    struct mh_version *good;    /* before it; NULL: unknown */
    char *fallen;               /* why a version was rolled back; NULL: none was */
    char fallen_id[MH_POLICY_HASH];
};

/* What a record says of an entry; NULL: nothing, or it is of another object. */
struct mh_kept *mh_policies_kept_of(struct mh_policies *s, const struct mh_entry *e);
/* Forgets kept versions: of one key, or (NULL) of all keys of m. */
void mh_policies_drop_kept(struct mh_policies *s, const struct mh_map_of *m, const char *key);
void mh_policies_free_kept(struct mh_policies *s);
/* Tells the record of m if it is another one than before; whether it was. */
bool mh_policies_tell_record(struct mh_policies *s, struct mh_map_of *m);

#endif
