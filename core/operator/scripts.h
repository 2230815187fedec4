/* scripts.h - the planner that runs controllers written in Lua, and what their ctx offers.
 *
 * ctx.list(kind, {namespace, cluster}) and ctx.get(kind, ns, name) read the cache; ctx.read(kind, ns,
 * name) the API server (nil if absent; values of secrets are replaced as in the cache);
 * ctx.instances(obj) the streams; ctx.ha(facts) the failover protocol; ctx.policy(point, input) the
 * policy in charge, with a third argument "claimed" only where it is not the built-in one;
 * ctx.fleet() restarts under way in other clusters; ctx.check() what native modules find wrong with
 * the object, or nil. ctx.now is unix seconds, ctx.operator the settings. */
#ifndef MH_OPERATOR_SCRIPTS_H
#define MH_OPERATOR_SCRIPTS_H

#include "ha/facts.h"
#include "lua/policy_store.h"
#include "lua/task.h"
#include "operator/fleet.h"
#include "operator/instances.h"
#include "operator/planner.h"

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
    int ncontrollers;
    struct mh_fleet fleet;
};

/* Loads scripts/controllers/NAME. Fails as mh_controller_new. */
enum mh_code mh_scripts_load(struct mh_scripts_env *env, const char *name, struct mh_err *err);
void mh_scripts_release(struct mh_scripts_env *env);
/* The controller of a kind; NULL if there is none. */
struct mh_controller *mh_scripts_of(const struct mh_scripts_env *env, const struct mh_kind *kind);
struct mh_planner mh_scripts_planner(struct mh_scripts_env *env);

#endif
