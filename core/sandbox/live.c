#include "sandbox/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/time.h"

#define GROUP "postgresql.cnpg.io"
#define LABEL "cnpg.io/cluster"

enum { CLUSTERS, PODS, LEASES, EVENTS, NODES, NLISTS };

struct gather {
    struct mh_sb_client *c;
    const struct mh_sb_live *live;
    struct mh_arena *a;
    yyjson_mut_doc *d;
    yyjson_val *lists[NLISTS];
    yyjson_val **statuses; /* of pods, in their order */
    int64_t now_s;
};

static void
put(struct gather *g, yyjson_mut_val *to, const char *key, const char *value)
{
    if (value && *value)
        (void)yyjson_mut_obj_add_strcpy(g->d, to, key, value);
}

static const char *
name_of(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "name", NULL);
    return s ? s : "";
}

static const char *
ns_of(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "namespace", NULL);
    return s ? s : "";
}

/* --- nodes ------------------------------------------------------------------------------------------------ */

/* The status of a condition; NULL: there is none. */
static const char *
condition(yyjson_val *o, const char *type)
{
    size_t i, n;
    yyjson_val *c;
    yyjson_arr_foreach(mh_json_get(o, "status", "conditions", NULL), i, n, c)
    {
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return mh_json_str(c, "status", NULL);
    }
    return NULL;
}

/* What one should know of a node; NULL: all is well. */
static const char *
trouble_of(struct gather *g, yyjson_val *sandbox, yyjson_val *node)
{
    char off[300];
    size_t i, n;
    yyjson_val *f;
    (void)snprintf(off, sizeof(off), "off %s", name_of(node));
    yyjson_arr_foreach(yyjson_obj_get(sandbox, "faults"), i, n, f)
    {
        if (mh_str_eq(yyjson_get_str(f), off))
            return "off";
    }
    if (!mh_str_eq(condition(node, "Ready"), "True"))
        return "not ready";
    if (mh_json_bool(node, false, "spec", "unschedulable", NULL))
        return "cordoned";
    yyjson_val *taint = yyjson_arr_get_first(mh_json_get(node, "spec", "taints", NULL));
    const char *key = mh_json_str(taint, "key", NULL);
    return key ? mh_arena_printf(g->a, "tainted %s", key) : NULL;
}

static void
add_nodes(struct gather *g, yyjson_mut_val *root, yyjson_val *sandbox)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(g->d, root, "nodes");
    size_t i, n;
    yyjson_val *node;
    yyjson_arr_foreach(yyjson_obj_get(g->lists[NODES], "items"), i, n, node)
    {
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(g->d, list);
        put(g, o, "name", name_of(node));
        put(g, o, "zone",
            mh_json_str(node, "metadata", "labels", "topology.kubernetes.io/zone", NULL));
        put(g, o, "trouble", trouble_of(g, sandbox, node));
    }
}

/* --- instances -------------------------------------------------------------------------------------------- */

static bool
is_instance(yyjson_val *pod, yyjson_val *cluster)
{
    return mh_str_eq(ns_of(pod), ns_of(cluster)) &&
           mh_str_eq(mh_json_str(pod, "metadata", "labels", LABEL, NULL), name_of(cluster)) &&
           !mh_json_str(pod, "metadata", "labels", "cnpg.io/jobRole", NULL);
}

/* Bytes between two LSNs; -1: unknown. */
static int64_t
behind(const char *ahead, const char *lsn)
{
    uint64_t a, b;
    if (!ahead || !lsn || !mh_lsn_parse(ahead, &a) || !mh_lsn_parse(lsn, &b) || !b)
        return -1;
    return a > b ? (int64_t)(a - b) : 0;
}

/* What the primary knows of this standby. */
static yyjson_val *
replica_of(struct gather *g, yyjson_val *cluster, const char *name)
{
    size_t i, n;
    yyjson_val *pod;
    yyjson_arr_foreach(yyjson_obj_get(g->lists[PODS], "items"), i, n, pod)
    {
        if (!is_instance(pod, cluster) || !g->statuses[i])
            continue;
        size_t k, m;
        yyjson_val *r;
        yyjson_arr_foreach(yyjson_obj_get(g->statuses[i], "replicationInfo"), k, m, r)
        {
            if (mh_str_eq(mh_json_str(r, "applicationName", NULL), name))
                return r;
        }
    }
    return NULL;
}

static const char *
primary_lsn(struct gather *g, yyjson_val *cluster)
{
    size_t i, n;
    yyjson_val *pod;
    yyjson_arr_foreach(yyjson_obj_get(g->lists[PODS], "items"), i, n, pod)
    {
        if (is_instance(pod, cluster) && mh_json_bool(g->statuses[i], false, "isPrimary", NULL))
            return mh_json_str(g->statuses[i], "currentLsn", NULL);
    }
    return NULL;
}

static void
add_instance(struct gather *g, yyjson_mut_val *list, yyjson_val *cluster, yyjson_val *pod,
             yyjson_val *status)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(g->d, list);
    yyjson_val *mine = yyjson_obj_get(status, "moonherd");
    const char *role = mh_json_str(mine, "role", NULL);
    bool primary = mh_json_bool(status, false, "isPrimary", NULL);
    if (!role)
        role = mh_json_str(pod, "metadata", "labels", "cnpg.io/instanceRole", NULL);
    put(g, o, "name", name_of(pod));
    put(g, o, "node", mh_json_str(pod, "spec", "nodeName", NULL));
    put(g, o, "address", mh_json_str(pod, "status", "podIP", NULL));
    put(g, o, "pod",
        mh_json_str(pod, "metadata", "deletionTimestamp", NULL)
            ? "Terminating"
            : mh_json_str(pod, "status", "phase", NULL));
    (void)yyjson_mut_obj_add_bool(g->d, o, "ready", mh_str_eq(condition(pod, "Ready"), "True"));
    (void)yyjson_mut_obj_add_bool(g->d, o, "answers", status != NULL);
    put(g, o, "role", role ? role : "unknown");
    put(g, o, "phase", mh_json_str(mine, "phase", NULL));
    put(g, o, "failure", mh_json_str(mine, "failure", NULL));
    int64_t timeline = mh_json_int(status, 0, "timeLineID", NULL);
    if (timeline)
        (void)yyjson_mut_obj_add_int(g->d, o, "timeline", timeline);
    const char *lsn = mh_json_str(status, primary ? "currentLsn" : "replayLsn", NULL);
    put(g, o, "lsn", lsn);
    yyjson_val *replica = primary ? NULL : replica_of(g, cluster, name_of(pod));
    put(g, o, "sync", mh_json_str(replica, "syncState", NULL));
    int64_t lag = primary ? -1 : behind(primary_lsn(g, cluster), lsn);
    if (lag >= 0)
        (void)yyjson_mut_obj_add_int(g->d, o, "lagBytes", lag);
}

/* --- decisions -------------------------------------------------------------------------------------------- */

static int64_t
time_of(yyjson_val *event)
{
    static const char *const keys[] = { "lastTimestamp", "eventTime", "firstTimestamp" };
    int64_t us = 0;
    const char *s = mh_json_str(event, "series", "lastObservedTime", NULL);
    for (size_t i = 0; i < 3 && !s; i++)
        s = mh_json_str(event, keys[i], NULL);
    if (!s)
        s = mh_json_str(event, "metadata", "creationTimestamp", NULL);
    return s && mh_time_parse(s, &us) ? us / 1000000 : 0;
}

static int
newest_first(const void *a, const void *b)
{
    int64_t x = time_of(*(yyjson_val *const *)a), y = time_of(*(yyjson_val *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

bool
mh_sb_live_is_decision(yyjson_val *event)
{
    const char *what = mh_json_str(event, "reason", NULL);
    return mh_str_eq(mh_json_str(event, "involvedObject", "kind", NULL), "Cluster") && what &&
           (!mh_str_starts(what, "Creating") || mh_str_eq(what, "CreatingInstance"));
}

static void
add_decisions(struct gather *g, yyjson_mut_val *to, yyjson_val *cluster)
{
    yyjson_val *items = yyjson_obj_get(g->lists[EVENTS], "items");
    yyjson_val **mine = mh_arena_alloc(g->a, (yyjson_arr_size(items) + 1) * sizeof(*mine));
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(g->d, to, "decisions");
    size_t i, n, k = 0;
    yyjson_val *e;
    if (!mine)
        return;
    yyjson_arr_foreach(items, i, n, e)
    {
        yyjson_val *about = yyjson_obj_get(e, "involvedObject");
        if (mh_sb_live_is_decision(e) &&
            mh_str_eq(mh_json_str(about, "name", NULL), name_of(cluster)) &&
            mh_str_eq(ns_of(e), ns_of(cluster)))
            mine[k++] = e;
    }
    qsort(mine, k, sizeof(*mine), newest_first);
    for (i = 0; i < k && i < (size_t)g->live->events; i++) {
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(g->d, list);
        (void)yyjson_mut_obj_add_int(g->d, o, "secondsAgo", g->now_s - time_of(mine[i]));
        put(g, o, "type", mh_json_str(mine[i], "type", NULL));
        put(g, o, "what", mh_json_str(mine[i], "reason", NULL));
        put(g, o, "why", mh_json_str(mine[i], "message", NULL));
        (void)yyjson_mut_obj_add_int(g->d, o, "count", mh_json_int(mine[i], 1, "count", NULL));
    }
}

static void
add_lease(struct gather *g, yyjson_mut_val *to, yyjson_val *cluster)
{
    size_t i, n;
    yyjson_val *l;
    yyjson_arr_foreach(yyjson_obj_get(g->lists[LEASES], "items"), i, n, l)
    {
        if (!mh_str_eq(ns_of(l), ns_of(cluster)) || !mh_str_eq(name_of(l), name_of(cluster)))
            continue;
        yyjson_mut_val *o = yyjson_mut_obj_add_obj(g->d, to, "lease");
        put(g, o, "holder", mh_json_str(l, "spec", "holderIdentity", NULL));
        (void)yyjson_mut_obj_add_int(g->d, o, "term",
                                     mh_json_int(l, 0, "spec", "leaseTransitions", NULL));
        put(g, o, "phase", mh_json_str(l, "metadata", "annotations", "moonherd.io/phase", NULL));
        put(g, o, "candidate",
            mh_json_str(l, "metadata", "annotations", "moonherd.io/candidate", NULL));
    }
}

static void
add_cluster(struct gather *g, yyjson_mut_val *list, yyjson_val *cluster)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(g->d, list);
    put(g, o, "namespace", ns_of(cluster));
    put(g, o, "name", name_of(cluster));
    (void)yyjson_mut_obj_add_int(g->d, o, "wanted",
                                 mh_json_int(cluster, 0, "spec", "instances", NULL));
    (void)yyjson_mut_obj_add_int(g->d, o, "ready",
                                 mh_json_int(cluster, 0, "status", "readyInstances", NULL));
    put(g, o, "phase", mh_json_str(cluster, "status", "phase", NULL));
    put(g, o, "reason", mh_json_str(cluster, "status", "phaseReason", NULL));
    put(g, o, "primary", mh_json_str(cluster, "status", "currentPrimary", NULL));
    put(g, o, "target", mh_json_str(cluster, "status", "targetPrimary", NULL));
    add_lease(g, o, cluster);
    yyjson_mut_val *instances = yyjson_mut_obj_add_arr(g->d, o, "instances");
    size_t i, n;
    yyjson_val *pod;
    yyjson_arr_foreach(yyjson_obj_get(g->lists[PODS], "items"), i, n, pod)
    {
        if (is_instance(pod, cluster))
            add_instance(g, instances, cluster, pod, g->statuses[i]);
    }
    add_decisions(g, o, cluster);
}

/* --- all of it -------------------------------------------------------------------------------------------- */

static void
ask_instances(struct gather *g)
{
    yyjson_val *items = yyjson_obj_get(g->lists[PODS], "items");
    size_t count = yyjson_arr_size(items);
    const char **urls = mh_arena_alloc(g->a, (count + 1) * sizeof(*urls));
    g->statuses = mh_arena_alloc(g->a, (count + 1) * sizeof(*g->statuses));
    size_t i, n;
    yyjson_val *pod;
    if (!urls || !g->statuses)
        return;
    yyjson_arr_foreach(items, i, n, pod)
    {
        const char *ip = mh_json_str(pod, "status", "podIP", NULL);
        bool runs = mh_str_eq(mh_json_str(pod, "status", "phase", NULL), "Running");
        if (ip && runs)
            urls[i] = mh_arena_printf(g->a, "https://%s:8000/pg/status", ip);
    }
    mh_sb_client_instances(g->c, g->a, urls, count, g->statuses);
}

enum mh_code
mh_sb_live_gather(struct mh_sb_client *c, const struct mh_sb_live *live, struct mh_arena *a,
                  yyjson_mut_doc **doc, yyjson_mut_val **out, struct mh_err *err)
{
    struct gather g = { .c = c, .live = live, .a = a, .d = mh_json_doc(a) };
    static const char *const paths[NLISTS] = { "/apis/" GROUP "/v1/clusters",
                                               ("/api/v1/pods?labelSelector=" LABEL),
                                               "/apis/coordination.k8s.io/v1/leases",
                                               "/api/v1/events", "/api/v1/nodes" };
    yyjson_val *sandbox;
    g.now_s = (int64_t)time(NULL);
    enum mh_code code = mh_sb_client_ask(c, a, "/moonherd/v1/sandbox/status", NULL, &sandbox, err);
    if (code != MH_OK)
        return code;
    mh_sb_client_get_all(c, a, paths, NLISTS, g.lists);
    yyjson_mut_val *root = g.d ? yyjson_mut_obj(g.d) : NULL;
    if (!root)
        return mh_fail(err, MH_E_NOMEM, "no memory");
    ask_instances(&g);
    if (!g.statuses)
        return mh_fail(err, MH_E_NOMEM, "no memory");
    (void)yyjson_mut_obj_add_val(g.d, root, "sandbox", yyjson_val_mut_copy(g.d, sandbox));
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(g.d, root, "clusters");
    add_nodes(&g, root, sandbox);
    size_t i, n;
    yyjson_val *cluster;
    yyjson_arr_foreach(yyjson_obj_get(g.lists[CLUSTERS], "items"), i, n, cluster)
    {
        if ((!live->ns || mh_str_eq(live->ns, ns_of(cluster))) &&
            (!live->cluster || mh_str_eq(live->cluster, name_of(cluster))))
            add_cluster(&g, list, cluster);
    }
    *doc = g.d;
    *out = root;
    return MH_OK;
}
