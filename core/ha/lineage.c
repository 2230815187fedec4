#include "ha/lineage.h"

#include <string.h>

#include "base/str.h"

bool
mh_ha_same_timeline(uint32_t a, uint64_t a_made, uint32_t b, uint64_t b_made)
{
    return a == b && (a_made == 0 || b_made == 0 || a_made == b_made);
}

/* Whoever was elected had all that was acknowledged before: the later promotion is the newer lineage,
 * whatever number it took. */
int
mh_ha_point_compare(const struct mh_ha_point *a, const struct mh_ha_point *b)
{
    if (a->made && b->made && a->made != b->made)
        return a->made > b->made ? 1 : -1;
    if (a->timeline != b->timeline)
        return a->timeline > b->timeline ? 1 : -1;
    if (a->lsn != b->lsn)
        return a->lsn > b->lsn ? 1 : -1;
    return 0;
}

bool
mh_ha_is_ancestor(const struct mh_ha_point *p, const struct mh_ha_line *line)
{
    if (p->timeline == line->timeline)
        return mh_ha_same_timeline(p->timeline, p->made, line->timeline, line->made);
    for (int i = 0; i < line->nhistory; i++) {
        const struct mh_ha_history *h = &line->history[i];
        if (h->timeline == p->timeline)
            return mh_ha_same_timeline(p->timeline, p->made, h->timeline, h->made) &&
                   p->lsn <= h->end;
    }
    return false;
}

/* --- who made which ---------------------------------------------------------------------------- */

uint64_t
mh_ha_maker(const struct mh_ha_makers *m, uint32_t timeline)
{
    uint64_t term = 0;
    for (int i = 0; i < m->n && m->list[i].above < timeline; i++)
        term = m->list[i].term;
    return term;
}

void
mh_ha_makers_add(struct mh_ha_makers *m, uint32_t above, uint64_t term)
{
    while (m->n > 0 && m->list[m->n - 1].above >= above)
        m->n--;
    if (m->n == MH_HA_MADE_MAX) {
        m->n--;
        memmove(&m->list[0], &m->list[1], (size_t)m->n * sizeof(m->list[0]));
    }
    m->list[m->n].above = above;
    m->list[m->n++].term = term;
}

static bool
differs(const struct mh_ha_makers *own, uint32_t newest, uint32_t timeline, uint64_t made)
{
    return timeline <= newest &&
           !mh_ha_same_timeline(timeline, mh_ha_maker(own, timeline), timeline, made);
}

bool
mh_ha_makers_conflict(const struct mh_ha_makers *own, uint32_t newest,
                      const struct mh_ha_line *server)
{
    for (int i = 0; i < server->nhistory; i++) {
        if (differs(own, newest, server->history[i].timeline, server->history[i].made))
            return true;
    }
    return differs(own, newest, server->timeline, server->made);
}

/* --- JSON -------------------------------------------------------------------------------------- */

yyjson_mut_val *
mh_ha_makers_json(yyjson_mut_doc *d, const struct mh_ha_makers *m)
{
    yyjson_mut_val *list = yyjson_mut_arr(d);
    for (int i = 0; list && i < m->n; i++) {
        yyjson_mut_val *pair = yyjson_mut_arr_add_arr(d, list);
        if (!pair || !yyjson_mut_arr_add_uint(d, pair, m->list[i].above) ||
            !yyjson_mut_arr_add_uint(d, pair, m->list[i].term))
            return NULL;
    }
    return list;
}

void
mh_ha_makers_read(yyjson_val *list, struct mh_ha_makers *out)
{
    size_t i;
    size_t max;
    yyjson_val *item;
    *out = (struct mh_ha_makers){ 0 };
    yyjson_arr_foreach(list, i, max, item)
    {
        yyjson_val *above = yyjson_arr_get(item, 0);
        yyjson_val *term = yyjson_arr_get(item, 1);
        bool good = yyjson_is_uint(above) && yyjson_get_uint(above) <= UINT32_MAX &&
                    yyjson_is_uint(term) && out->n < MH_HA_MADE_MAX;
        if (!good || (out->n > 0 && yyjson_get_uint(above) <= out->list[out->n - 1].above))
            return;
        out->list[out->n].above = (uint32_t)yyjson_get_uint(above);
        out->list[out->n++].term = yyjson_get_uint(term);
    }
}

yyjson_mut_val *
mh_ha_history_json(yyjson_mut_doc *d, const struct mh_ha_history *list, int n,
                   const struct mh_ha_makers *makers)
{
    yyjson_mut_val *out = yyjson_mut_arr(d);
    for (int i = 0; out && i < n; i++) {
        char text[MH_LSN_TEXT];
        yyjson_mut_val *item = yyjson_mut_arr_add_arr(d, out);
        mh_lsn_text(text, list[i].end);
        if (!item || !yyjson_mut_arr_add_uint(d, item, list[i].timeline) ||
            !yyjson_mut_arr_add_strcpy(d, item, text) ||
            !yyjson_mut_arr_add_uint(d, item, mh_ha_maker(makers, list[i].timeline)))
            return NULL;
    }
    return out;
}

int
mh_ha_history_read(yyjson_val *list, struct mh_ha_history out[MH_HA_HISTORY_MAX])
{
    size_t i;
    size_t max;
    yyjson_val *item;
    int n = 0;
    yyjson_arr_foreach(list, i, max, item)
    {
        yyjson_val *timeline = yyjson_arr_get(item, 0);
        uint64_t end;
        if (n == MH_HA_HISTORY_MAX || !yyjson_is_uint(timeline) ||
            !mh_lsn_parse(yyjson_get_str(yyjson_arr_get(item, 1)), &end))
            break;
        out[n++] = (struct mh_ha_history){ .timeline = (uint32_t)yyjson_get_uint(timeline),
                                           .end = end,
                                           .made = yyjson_get_uint(yyjson_arr_get(item, 2)) };
    }
    return n;
}
