/* userfence.c - the annotation cnpg.io/fencedInstances: who is named there keeps its volume and its
 * manager, and runs no PostgreSQL. Nothing to do with the protocol's fence (standby.c): whoever is fenced
 * by hand still promises terms, and the operator begins no failover away from a fenced primary. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "instance/agent.h"

/* The value as it stands, NULL where there is none or it is no list of names. */
static yyjson_val *
names_of(struct mh_agent *g, struct mh_arena *a, const char *text)
{
    yyjson_val *list = NULL;
    struct mh_err err;
    size_t i;
    size_t max;
    yyjson_val *item;
    bool good = mh_json_parse(a, text, strlen(text), &list, &err) == MH_OK && yyjson_is_arr(list);
    yyjson_arr_foreach(good ? list : NULL, i, max, item)
    {
        good = good && yyjson_is_str(item);
    }
    if (!good && !g->user_fence_bad)
        mh_error("fencing", "cnpg.io/fencedInstances cannot be read: what it said before holds",
                 "hint", "it is a JSON list of names, or [\"*\"]");
    g->user_fence_bad = !good;
    return good ? list : NULL;
}

bool
mh_user_fences(struct mh_agent *g, const char *instance)
{
    const char *text =
        mh_json_str(g->know.cluster, "metadata", "annotations", "cnpg.io/fencedInstances", NULL);
    struct mh_arena a;
    bool fences = false;
    size_t i;
    size_t max;
    yyjson_val *item;
    if (!text || !*text)
        return false;
    mh_arena_init(&a, 1 << 20);
    yyjson_arr_foreach(names_of(g, &a, text), i, max, item)
    {
        fences = fences || mh_str_eq(yyjson_get_str(item), instance) ||
                 mh_str_eq(yyjson_get_str(item), "*");
    }
    mh_arena_release(&a);
    return fences;
}

bool
mh_user_fenced(struct mh_agent *g)
{
    const char *text =
        mh_json_str(g->know.cluster, "metadata", "annotations", "cnpg.io/fencedInstances", NULL);
    if (!text || !*text)
        g->user_fence_bad = false;
    bool fenced = mh_user_fences(g, g->id.name);
    if (g->user_fence_bad)
        return g->user_fenced;
    if (fenced != g->user_fenced) {
        g->user_fenced = fenced;
        if (fenced)
            mh_warn("fencing", "this instance is fenced: PostgreSQL is stopped and stays down");
        else
            mh_info("fencing", "this instance is not fenced any more");
        mh_status_changed(g);
    }
    return fenced;
}
