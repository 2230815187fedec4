/* ranking.h - rule 9: what a failover policy answered ahead of time, for managers, which hold no Lua.
 *
 * Annotation moonherd.io/ranking of the Lease: {"at":TIME,"by":POLICY@HASH,"hold_s":N,"order":[NAME...]}. It
 * only orders those who are safe, and only delays within a bound. */
#ifndef MH_HA_RANKING_H
#define MH_HA_RANKING_H

#include "ha/view.h"

#define MH_HA_RANKING_MS 60000
#define MH_HA_HOLD_MS 30000

struct mh_ha_ranking {
    const char *order[MH_HA_MEMBERS_MAX];
    int norder;
    int64_t hold_ms;
};

/* False: there is none, or it cannot be read. Texts are on the arena. */
bool mh_ha_ranking_read(struct mh_arena *a, const char *text, struct mh_ha_ranking *out);
/* Puts it into the view: age_ms since it was seen to change, failing_ms since the primary is suspected. The
 * built-in order stays when it is too old or names somebody whom the view does not know. */
void mh_ha_ranking_use(const struct mh_ha_ranking *r, int64_t age_ms, int64_t failing_ms,
                       struct mh_ha_view *view);

#endif
