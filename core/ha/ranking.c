#include "ha/ranking.h"

#include <string.h>

#include "base/str.h"
#include "ha/view_in.h"

bool
mh_ha_ranking_read(struct mh_arena *a, const char *text, struct mh_ha_ranking *out)
{
    yyjson_val *root = NULL;
    size_t i;
    size_t max;
    yyjson_val *item;
    *out = (struct mh_ha_ranking){ 0 };
    if (!text || mh_json_parse(a, text, strlen(text), &root, NULL))
        return false;
    yyjson_val *order = mh_json_get(root, "order", NULL);
    int64_t hold_s = mh_json_int(root, 0, "hold_s", NULL);
    if (!yyjson_is_arr(order) || yyjson_arr_size(order) > MH_HA_MEMBERS_MAX || hold_s < 0)
        return false;
    yyjson_arr_foreach(order, i, max, item)
    {
        if (!yyjson_is_str(item))
            return false;
        out->order[out->norder++] = yyjson_get_str(item);
    }
    out->hold_ms = hold_s > MH_HA_HOLD_MS / 1000 ? MH_HA_HOLD_MS : hold_s * 1000;
    return true;
}

void
mh_ha_ranking_use(const struct mh_ha_ranking *r, int64_t age_ms, int64_t failing_ms,
                  struct mh_ha_view *view)
{
    if (age_ms > MH_HA_RANKING_MS)
        return;
    for (int i = 0; i < r->norder; i++) {
        if (mh_ha_find(view, r->order[i]) < 0 && !mh_str_eq(r->order[i], view->lease.holder))
            return;
    }
    memcpy(view->order, r->order, sizeof(view->order));
    view->norder = r->norder;
    view->hold = failing_ms < view->failover_delay_ms + r->hold_ms && r->hold_ms > 0;
}
