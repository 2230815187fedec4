/* policy_entry.h - inside core/lua: the ConfigMaps of a policy store, their keys and versions. */
#ifndef MH_LUA_POLICY_ENTRY_H
#define MH_LUA_POLICY_ENTRY_H

#include "lua/policy_store.h"

/* One text with its parameters. Immutable; alive while it is active, checked or deciding. */
struct mh_version {
    int refs;
    char *name; /* "failover.lua" */
    char *script;
    size_t script_len;
    char *params; /* NULL: none */
    size_t params_len;
    char hash[MH_POLICY_HASH];
    char point[32]; /* "" until it is checked */
};

enum mh_policy_state { MH_RECEIVED, MH_CHECKED, MH_ACTIVE, MH_REJECTED };

/* One key NAME.lua of a ConfigMap. */
struct mh_entry {
    struct mh_entry *next;
    struct mh_map_of *map;
    char *key;
    struct mh_version *latest; /* as the ConfigMap has it */
    struct mh_version *active; /* the last one that passed; NULL: none did */
    struct mh_checking *check; /* of `latest` or of a kept version, NULL when it is over */
    char *refusal;             /* why `latest` was rejected; NULL: it was not */
    enum mh_policy_state told; /* in the last event */
    char told_hash[MH_POLICY_HASH];
    bool seen; /* during an update */
};

struct mh_map_of {
    struct mh_map_of *next;
    char *ns;
    char *name;
    char *uid;
    char *created;    /* creationTimestamp */
    char *annotation; /* as it is on the object, or as we last told; NULL: none */
    char *removed;    /* key that went away and is not told yet; NULL: none */
    char removed_point[32];
    char recorded[MH_POLICY_HASH]; /* of the record that we last told; "" for none */
    struct mh_entry *entries;      /* sorted by key */
};

struct mh_policies {
    struct event_base *base;
    struct mh_pool *pool;
    char *operator_namespace;
    mh_policy_news_fn news;
    void *arg;
    struct event *wake;
    struct mh_map_of *maps;
    struct asked *asked;
    struct mh_decision *failed; /* linked by impl: for want of memory */
    struct mh_kept *kept;       /* what records of an earlier life said */
    bool restored;              /* all of them are here */
    bool held;                  /* nothing is told now */
};

void mh_policies_wake(struct mh_policies *s);
/* Answers the decisions that wait for no worker. */
void mh_policies_answer(struct mh_policies *s);
/* The entry whose claim counts among those of one namespace. */
struct mh_entry *mh_policies_claim(struct mh_policies *s, const char *ns, const char *point);
/* Tells what has changed: annotations and events. */
void mh_policies_tell(struct mh_policies *s);

struct mh_version *mh_version_new(const char *name, const char *script, size_t script_len,
                                  const char *params, size_t params_len);
struct mh_version *mh_version_ref(struct mh_version *v);
void mh_version_unref(struct mh_version *v);
void mh_version_job(const struct mh_version *v, struct mh_policy_job *job);

/* Begins the check of v: e->latest, or a version kept for it. False: no memory. */
bool mh_entry_check(struct mh_policies *s, struct mh_entry *e, struct mh_version *v);
/* Checks the kept version of an entry whose latest one was refused, if there is one. */
void mh_entry_fall_back(struct mh_policies *s, struct mh_entry *e);
/* Forgets kept versions: of one key, or (NULL) of all keys of m. */
void mh_policies_drop_kept(struct mh_policies *s, const struct mh_map_of *m, const char *key);
void mh_policies_free_kept(struct mh_policies *s);
/* Tells the record of m if it is another one than before; whether it was. */
bool mh_policies_tell_record(struct mh_policies *s, struct mh_map_of *m);
/* Stops the check that runs, if one does. */
void mh_entry_forget_check(struct mh_policies *s, struct mh_entry *e);
void mh_entry_free(struct mh_policies *s, struct mh_entry *e);

#endif
