/* plugin.h - plugins: kinds of their own, from ConfigMaps labelled moonherd.io/plugin.
 *
 * Every key NAME.lua of such a ConfigMap is a plugin (docs/plugins.md). A version is Received, Checked
 * (it loads and its declaration is right), Tested (its own cases pass), Granted (somebody with the
 * rights for its needs wrote it: needs.h), Replayed (it planned what the one in charge planned lately),
 * then Active: its CustomResourceDefinition is there and its objects get passes. Or it is Rejected, and
 * the version before goes on; or RolledBack after three errors within ten minutes. With
 * moonherd.io/rollout manual it waits for moonherd.io/approve to name its hash; with shadow it plans
 * beside the version in charge until then, and nothing of that is done.
 * Only the leader checks and works. A plugin's text runs in its child and nowhere else; reads and
 * writes are carried out here, each of them held against the needs that were granted.
 * Files: plugin.c (ConfigMaps), plugin_trial.c (up to Replayed), plugin_review.c (its first
 * steps for the webhook), plugin_life.c (into charge and out of
 * it), plugin_tell.c, plugin_work.c (kind, cache, passes), plugin_plan.c (one pass), plugin_shadow.c,
 * plugin_wish.c (what may be read and written), plugin_sql.c. */
#ifndef MH_OPERATOR_PLUGIN_H
#define MH_OPERATOR_PLUGIN_H

#include <event2/event.h>

#include "lua/plugin_child.h"
#include "lua/task.h"
#include "operator/instances.h"
#include "operator/metrics.h"
#include "operator/needs.h"
#include "operator/pass.h"
#include "operator/policy_news.h"

#define MH_PLUGINS_MAX 50
#define MH_PLUGIN_FINALIZER "moonherd.io/plugin"
#define MH_PLUGIN_ERRORS 3 /* within the window: rolled back */
#define MH_PLUGIN_WINDOW_S 600
#define MH_PLUGIN_CALLS_BURST 200 /* requests of one plugin at once ... */
#define MH_PLUGIN_CALLS_S 10      /* ... and a second after that */
#define MH_PLUGIN_OBJECTS_MAX 2000

struct mh_plugin;

struct mh_plugins {
    /* set by the caller */
    struct event_base *base;
    struct mh_clock clock;
    struct mh_rand rand;
    struct mh_api api;
    struct mh_kinds *kinds;
    struct mh_cache *cache; /* the operator's: which ConfigMaps hold policies */
    struct mh_events *events;
    struct mh_needs *needs;
    bool trusting;                  /* every need is granted: for tests only */
    struct mh_instances *instances; /* NULL: no SQL */
    struct mh_policy_writer *writer;
    const char *name_space;        /* the operator's */
    const char *const *namespaces; /* watched; empty: all */
    const char *const *groups;     /* served by the operator */
    const char *const *child_argv; /* NULL: the default */
    int review_ms;                 /* for the texts of one review, 0: MH_PLUGIN_REVIEW_MS */
    struct mh_records *records;    /* may be NULL */
    void (*on_done)(void *arg, const char *kind, const char *result, int64_t ns); /* may be NULL */
    void (*on_said)(void *arg, const struct mh_pass_said *said);                  /* may be NULL */
    void *arg;
    struct mh_metrics *metrics; /* may be NULL */
    /* private */
    struct mh_controller *host;
    struct mh_plugin *first;
    struct mh_plugin_seat *seats;      /* of reviews: plugin_review.h */
    struct mh_plugin_kept *kept;       /* what records of an earlier life said */
    struct mh_plugin_leaving *leaving; /* objects of plugins that are gone: plugin_leave.c */
    struct mh_plugin_sweep *sweep;     /* of kinds of plugins that are gone: plugin_sweep.c */
    bool leading;
};

/* The fields above are set. */
enum mh_code mh_plugins_init(struct mh_plugins *all, struct mh_err *err);
void mh_plugins_release(struct mh_plugins *all);
/* Begins or ends all work. */
void mh_plugins_lead(struct mh_plugins *all, bool leading);
/* A ConfigMap came or changed; one without the label counts as removed. */
void mh_plugins_update(struct mh_plugins *all, yyjson_val *object);
void mh_plugins_remove(struct mh_plugins *all, const char *ns, const char *name);
/* A record of an earlier life: whether it is of plugins; and what to make of it. */
bool mh_plugins_is_record(yyjson_val *policies);
void mh_plugins_restore(struct mh_plugins *all, const struct mh_record_of *of,
                        yyjson_val *policies);
/* What was granted changed: who was refused asks again. */
void mh_plugins_granted(struct mh_plugins *all, const char *ns, const char *name);

#endif
