/* view_helper.h - views of a cluster of three for tests of mh_ha_assess: a is primary of term 4, b
 * and c stream from it, W = 1 of {b, c}. Tests change what they are about. */
#ifndef TEST_HA_VIEW_HELPER_H
#define TEST_HA_VIEW_HELPER_H

#include "ha/view.h"

enum { A, B, C, D, E };

extern const char *const th_names[5];

/* All is well. */
struct mh_ha_view th_healthy(void);
/* a's manager has been silent for ms, and nobody receives anything from it any more. */
struct mh_ha_view th_primary_lost(int64_t ms);
/* The same after a coordinator raised the term to 5; nobody has promised it yet. */
struct mh_ha_view th_fencing(void);
/* Term 5, a is asked to stop in favour of b. */
struct mh_ha_view th_switching(void);
/* Member i has promised the view's term and its log is at its end. */
void th_fence(struct mh_ha_view *v, int i, uint64_t flush_lsn);
/* Member i, as primary, has stopped under the view's term. */
void th_stop(struct mh_ha_view *v, int i, bool clean);
void th_lose(struct mh_ha_view *v, int i, int64_t ms);
/* The set of commits: names by index, ended by -1. */
void th_config(struct mh_ha_view *v, int which, int number, const int *names);
struct mh_ha_verdict th_assess(const struct mh_ha_view *v);
/* The verdict elects this member. */
bool th_elects(const struct mh_ha_verdict *d, const char *name);
/* The verdict raises the term to `term` and fences. */
bool th_raises(const struct mh_ha_verdict *d, uint64_t term);

#endif
