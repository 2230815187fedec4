/* lineage.h - which log is newer, and which is a part of which.
 *
 * PostgreSQL numbers timelines by what it finds, so two promotions that knew nothing of each other take
 * the same number (F14). The term that made a timeline tells them apart: terms are unique. Each
 * instance keeps, beside its promise, which terms made the timelines of its log; 0 is not known. */
#ifndef MH_HA_LINEAGE_H
#define MH_HA_LINEAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

#define MH_HA_HISTORY_MAX 64
#define MH_HA_MADE_MAX 16

/* One ended timeline: `timeline`, of term `made`, was left at `end`. */
struct mh_ha_history {
    uint32_t timeline;
    uint64_t end;
    uint64_t made;
};

/* The end of a log. */
struct mh_ha_point {
    uint32_t timeline;
    uint64_t made;
    uint64_t lsn;
};

/* A server's timeline and those that it came from. */
struct mh_ha_line {
    uint32_t timeline;
    uint64_t made;
    const struct mh_ha_history *history;
    int nhistory;
};

/* >0 when a is newer than b: lineage first, then position (F13). */
int mh_ha_point_compare(const struct mh_ha_point *a, const struct mh_ha_point *b);
/* The same number, and as far as is known by the same promotion. */
bool mh_ha_same_timeline(uint32_t a, uint64_t a_made, uint32_t b, uint64_t b_made);
/* True when a log that ends at p is a prefix of a server's, so that it can follow without a rewind. */
bool mh_ha_is_ancestor(const struct mh_ha_point *p, const struct mh_ha_line *line);

/* Timelines with a number above `above`, up to the next entry's, were made by `term`. It is written
 * before the promotion, whose number is not known yet. */
struct mh_ha_makers {
    struct {
        uint32_t above;
        uint64_t term;
    } list[MH_HA_MADE_MAX];
    int n;
};
uint64_t mh_ha_maker(const struct mh_ha_makers *m, uint32_t timeline);
/* What was said of numbers above is forgotten: the log ends on timeline `above` or before. */
void mh_ha_makers_add(struct mh_ha_makers *m, uint32_t above, uint64_t term);
/* Some timeline of the server's line, up to number `newest`, was made by another promotion here. */
bool mh_ha_makers_conflict(const struct mh_ha_makers *own, uint32_t newest,
                           const struct mh_ha_line *server);
/* As JSON: [[above, term], ...]; NULL: no memory. Reading takes what it understands. */
yyjson_mut_val *mh_ha_makers_json(yyjson_mut_doc *d, const struct mh_ha_makers *m);
void mh_ha_makers_read(yyjson_val *list, struct mh_ha_makers *out);
/* As JSON: [[timeline, "X/Y", term], ...]. */
yyjson_mut_val *mh_ha_history_json(yyjson_mut_doc *d, const struct mh_ha_history *list, int n,
                                   const struct mh_ha_makers *makers);
int mh_ha_history_read(yyjson_val *list, struct mh_ha_history out[MH_HA_HISTORY_MAX]);

#endif
