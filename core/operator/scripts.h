/* scripts.h - the planner that runs the controllers of the image, and what their ctx offers.
 *
 * As a plugin's: ctx.now, ctx.get(kind, name, {namespace, fresh}) and ctx.list(kind, {namespace,
 * labels}), which read the cache (fresh: the API server); values of secrets are replaced as in the
 * cache. And, each only where the declaration names its word under needs.core (scripts_needs.h,
 * scripts/meta/core.lua): ctx.operator, the settings; ctx.instances(obj), the streams;
 * ctx.ha(facts), the failover protocol; ctx.policy(point, input), the policy in charge, with a third
 * argument "claimed" only where it is not the built-in one; ctx.fleet(), restarts under way in other
 * clusters; ctx.check(), what native modules find wrong with the object, or nil. Reads and plans are
 * held to the needs that were declared. */
#ifndef MH_OPERATOR_SCRIPTS_H
#define MH_OPERATOR_SCRIPTS_H

#include "ha/facts.h"
#include "lua/policy_store.h"
#include "lua/task.h"
#include "operator/fleet.h"
#include "operator/instances.h"
#include "operator/planner.h"
#include "operator/scripts_needs.h"

#define MH_CONTROLLERS_MAX 16

struct mh_scripts_env {
    /* set by the caller */
    struct mh_clock clock;
    struct mh_api api;
    struct mh_kinds *kinds;
    struct mh_cache *cache;
    struct mh_instances *instances;
    struct mh_policies *policies;
    struct mh_ha_tracker *tracker;
    const char *settings; /* ctx.operator, a JSON object */
    /* A policy decided, for metrics and log; may be NULL. */
    void (*on_decision)(void *arg, const struct mh_decision *d, const struct mh_kind *kind,
                        const char *name);
    void *arg;
    /* private */
    struct mh_controller *controllers[MH_CONTROLLERS_MAX];
    struct mh_scripts_needs *needs[MH_CONTROLLERS_MAX]; /* of each of them */
    int ncontrollers;
    struct mh_fleet fleet;
};

/* Loads scripts/controllers/NAME; kinds and settings are there. Fails as mh_controller_new, and where
 * its declaration is wrong. */
enum mh_code mh_scripts_load(struct mh_scripts_env *env, const char *name, struct mh_err *err);
void mh_scripts_release(struct mh_scripts_env *env);
/* The controller of a kind; NULL if there is none. */
struct mh_controller *mh_scripts_of(const struct mh_scripts_env *env, const struct mh_kind *kind);
struct mh_planner mh_scripts_planner(struct mh_scripts_env *env);

#endif
