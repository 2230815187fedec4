/* view_in.h - between the files that make up mh_ha_assess: one for each phase of the Lease. */
#ifndef MH_HA_VIEW_IN_H
#define MH_HA_VIEW_IN_H

#include "ha/view.h"

/* A manager that has not answered for this long is suspected. */
#define MH_HA_LOST_MS 500
/* How long one that has never answered this operator may take: it has perhaps just begun itself. */
#define MH_HA_FIRST_MS 3000

void mh_ha_say(struct mh_ha_verdict *v, enum mh_ha_state state, const char *fmt, ...)
    MH_PRINTF(3, 4);
/* Index in members, -1. */
int mh_ha_find(const struct mh_ha_view *view, const char *name);
/* Its manager has not answered for `ms`; one that never told this operator anything gets
 * MH_HA_FIRST_MS, from when the operator began with it. */
bool mh_ha_is_away(const struct mh_ha_view *view, const struct mh_ha_member *m, int64_t ms);
/* The name is the holder's, the data is not (E10, E12, D14). */
bool mh_ha_other_volume(const struct mh_ha_lease *l, const struct mh_ha_member *m);
void mh_ha_tell_all(const struct mh_ha_view *view, struct mh_ha_verdict *v, bool only_below_term);
/* The steps: a new term, of which all must promise; and the end of its election. */
void mh_ha_raise_term(const struct mh_ha_view *view, struct mh_ha_verdict *v);
void mh_ha_elect(const struct mh_ha_view *view, struct mh_ha_verdict *v, int winner);

/* stable.c, fencing.c, switching.c */
void mh_ha_assess_stable(const struct mh_ha_view *view, struct mh_ha_verdict *v);
void mh_ha_assess_promoting(const struct mh_ha_view *view, struct mh_ha_verdict *v);
void mh_ha_assess_fencing(const struct mh_ha_view *view, struct mh_ha_verdict *v);
bool mh_ha_wants_switchover(const struct mh_ha_view *view);
void mh_ha_begin_switchover(const struct mh_ha_view *view, struct mh_ha_verdict *v);
void mh_ha_assess_switching(const struct mh_ha_view *view, struct mh_ha_verdict *v);

#endif
