#include "operator/route.h"

#include <string.h>

#include "base/str.h"
#include "operator/owner.h"

#define DEPTH 3
#define ARENA ((size_t)64 << 20)

/* Fields that change by themselves. */
static const char *const quiet[] = { "resourceVersion", "renewTime",     "lastHeartbeatTime",
                                     "lastProbeTime",   "managedFields", NULL };

static bool
is_quiet(const char *key)
{
    for (const char *const *q = quiet; *q; q++)
        if (mh_str_eq(*q, key))
            return true;
    return false;
}

static size_t
loud_keys(yyjson_val *v)
{
    size_t n = yyjson_obj_size(v);
    for (const char *const *q = quiet; *q; q++)
        n -= yyjson_obj_get(v, *q) != NULL;
    return n;
}

bool
mh_route_differs(yyjson_val *old, yyjson_val *now)
{
    if (!yyjson_is_ctn(old) || yyjson_get_type(old) != yyjson_get_type(now))
        return !mh_json_same(old, now);
    if (yyjson_is_arr(old)) {
        if (yyjson_arr_size(old) != yyjson_arr_size(now))
            return true;
        yyjson_arr_iter i = yyjson_arr_iter_with(old), j = yyjson_arr_iter_with(now);
        yyjson_val *x;
        while ((x = yyjson_arr_iter_next(&i)))
            if (mh_route_differs(x, yyjson_arr_iter_next(&j)))
                return true;
        return false;
    }
    if (loud_keys(old) != loud_keys(now))
        return true;
    yyjson_obj_iter i = yyjson_obj_iter_with(old);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&i))) {
        if (is_quiet(yyjson_get_str(k)))
            continue;
        yyjson_val *y = yyjson_obj_getn(now, yyjson_get_str(k), yyjson_get_len(k));
        if (!y || mh_route_differs(yyjson_obj_iter_get_val(k), y))
            return true;
    }
    return false;
}

static const char *
ns_of(yyjson_val *object)
{
    return mh_json_str(object, "metadata", "namespace", NULL);
}

/* Queues the nearest owner that has a controller; false if there is none. */
static bool
to_owner(struct mh_router *r, struct mh_arena *a, yyjson_val *object, bool urgent)
{
    const char *ns = ns_of(object);
    struct mh_owner owner;
    for (int i = 0; i < DEPTH && object && mh_owner_of(r->kinds, object, &owner); i++) {
        if (mh_scripts_of(r->scripts, owner.kind)) {
            mh_queue_add(r->queue, owner.kind->key, ns, owner.name, urgent);
            return true;
        }
        object = mh_cache_get(r->cache, a, owner.kind, ns, owner.name, NULL);
    }
    return false;
}

static bool
has(const char *const *list, const char *kind)
{
    for (; list && *list; list++)
        if (mh_str_eq(*list, kind))
            return true;
    return false;
}

/* Queues every object of the kinds of a controller. */
static void
to_all(struct mh_router *r, struct mh_arena *a, const struct mh_controller *c)
{
    for (int i = 0; i < r->kinds->len; i++) {
        const struct mh_kind *kind = r->kinds->items[i];
        yyjson_val **items;
        struct mh_cache_query query = { .kind = kind };
        if (!mh_str_eq(kind->kind, mh_controller_kind(c)))
            continue;
        int n = mh_cache_list(r->cache, a, &query, &items);
        for (int j = 0; j < n; j++)
            mh_queue_add(r->queue, kind->key, ns_of(items[j]),
                         mh_json_str(items[j], "metadata", "name", NULL), false);
    }
}

/* An object without owner that carries the cluster label: whoever owns such kinds. */
static void
by_label(struct mh_router *r, const struct mh_kind *kind, yyjson_val *object)
{
    const char *name = mh_json_str(object, "metadata", "labels", MH_LABEL_CLUSTER, NULL);
    if (!name || !*name)
        return;
    for (int i = 0; i < r->kinds->len; i++) {
        const struct mh_kind *k = r->kinds->items[i];
        struct mh_controller *c = mh_scripts_of(r->scripts, k);
        if (c && has(mh_controller_owns(c), kind->kind))
            mh_queue_add(r->queue, k->key, ns_of(object), name, false);
    }
}

void
mh_route_change(struct mh_router *r, const struct mh_kind *kind, yyjson_val *old, yyjson_val *now,
                bool own)
{
    yyjson_val *object = now ? now : old;
    if (!object || (old && now && !mh_route_differs(old, now)))
        return;
    if (mh_scripts_of(r->scripts, kind)) {
        mh_queue_add(r->queue, kind->key, ns_of(object),
                     mh_json_str(object, "metadata", "name", NULL), !own);
        return;
    }
    struct mh_arena a;
    mh_arena_init(&a, ARENA);
    bool going = now && mh_json_get(now, "metadata", "deletionTimestamp", NULL) &&
                 !mh_json_get(old, "metadata", "deletionTimestamp", NULL);
    if (!to_owner(r, &a, object, !own && (!now || going)))
        by_label(r, kind, object);
    for (int i = 0; i < r->scripts->ncontrollers; i++)
        if (has(mh_controller_watches(r->scripts->controllers[i]), kind->kind))
            to_all(r, &a, r->scripts->controllers[i]);
    mh_arena_release(&a);
}

void
mh_route_all(struct mh_router *r)
{
    struct mh_arena a;
    mh_arena_init(&a, ARENA);
    for (int i = 0; i < r->scripts->ncontrollers; i++)
        to_all(r, &a, r->scripts->controllers[i]);
    mh_arena_release(&a);
}
