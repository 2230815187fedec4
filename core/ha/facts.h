/* facts.h - the protocol's view from and to JSON, for the controller script.
 *
 * Facts in: {cluster, lease, instances, pods, target, now, order?, hold?}, as scripts/meta/ha.lua
 * documents. Verdict out: {state, reason, primary, blocked, look_again_s, steps, candidates}; steps
 * are actions that the executor carries out as they are. */
#ifndef MH_HA_FACTS_H
#define MH_HA_FACTS_H

#include "base/map.h"
#include "ha/view.h"

/* Remembers since when each cluster's Lease has its resourceVersion, by the caller's clock. */
struct mh_ha_tracker {
    struct mh_map seen;
};
void mh_ha_tracker_init(struct mh_ha_tracker *t);
void mh_ha_tracker_release(struct mh_ha_tracker *t);
/* ms since this resourceVersion of this Lease was first seen; 0 for a new one. */
int64_t mh_ha_tracker_unchanged_ms(struct mh_ha_tracker *t, const char *key,
                                   const char *resource_version, int64_t now_ms);

/* Fills view; its texts live as long as facts and arena. Fails INVALID. */
enum mh_code mh_ha_facts_read(struct mh_arena *a, yyjson_val *facts, int64_t lease_unchanged_ms,
                              struct mh_ha_view *view, struct mh_err *err);
/* The status line of an instance manager into a member. False if it is none. */
bool mh_ha_member_read(yyjson_val *status, struct mh_ha_member *m);
/* Facts in, verdict out, on the arena. */
enum mh_code mh_ha_assess_json(struct mh_arena *a, struct mh_ha_tracker *t, int64_t now_ms,
                               yyjson_val *facts, yyjson_mut_doc *doc, yyjson_mut_val **verdict,
                               struct mh_err *err);

#endif
