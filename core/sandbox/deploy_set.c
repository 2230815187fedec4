/* deploy_set.c - ReplicaSets: as many pods as they ask for. */
#include <stdlib.h>
#include <string.h>

#include "sandbox/deploy_in.h"
#include "sandbox/sched.h"

#define BURST 100

/* Which of two pods goes first: without node, pending, not ready, younger. */
static int
goes_first(const void *x, const void *y)
{
    yyjson_val *a = (*(struct mh_sb_item *const *)x)->object;
    yyjson_val *b = (*(struct mh_sb_item *const *)y)->object;
    bool na = mh_json_str(a, "spec", "nodeName", NULL) != NULL;
    bool nb = mh_json_str(b, "spec", "nodeName", NULL) != NULL;
    if (na != nb)
        return na - nb;
    bool ra = mh_sb_pod_ready(a), rb = mh_sb_pod_ready(b);
    if (ra != rb)
        return ra - rb;
    int64_t ta = mh_sb_when(mh_json_get(a, "metadata", "creationTimestamp", NULL), 0);
    int64_t tb = mh_sb_when(mh_json_get(b, "metadata", "creationTimestamp", NULL), 0);
    return ta > tb ? -1 : ta < tb ? 1 : strcmp(mh_sb_name(b), mh_sb_name(a));
}

/* Pods that its selector means and that have no controller become its own. */
static void
adopt(struct mh_sb_task *t, yyjson_val *set)
{
    size_t n;
    yyjson_val *selector = mh_json_get(set, "spec", "selector", NULL);
    struct mh_sb_item **all = mh_sb_candidates(t->c, &t->arena, MH_SB_PODS, t->ns,
                                               yyjson_obj_get(selector, "matchLabels"), &n);
    for (size_t i = 0; all && i < n; i++) {
        yyjson_val *pod = all[i]->object;
        if (mh_sb_controller(pod) || mh_sb_is_going(pod) || mh_sb_pod_finished(pod) ||
            !mh_sb_selects(selector, mh_json_get(pod, "metadata", "labels", NULL)))
            continue;
        mh_sb_ctl_write(
            t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_PODS, t->ns, mh_sb_name(pod), NULL),
            MH_PATCH_MERGE,
            mh_sb_text(t,
                       "{\"metadata\":{\"uid\":%s,\"ownerReferences\":[{\"apiVersion\":\"apps/v1\","
                       "\"kind\":\"ReplicaSet\",\"name\":%s,\"uid\":%s,\"controller\":true,"
                       "\"blockOwnerDeletion\":true}]}}",
                       mh_sb_quote(t, mh_sb_uid_of(pod)), mh_sb_quote(t, t->name),
                       mh_sb_quote(t, mh_sb_uid_of(set))));
    }
}

static void
remove_pods(struct mh_sb_task *t, yyjson_val *set, struct mh_sb_item **pods, size_t n, size_t many)
{
    qsort(pods, n, sizeof(*pods), goes_first);
    for (size_t i = 0; i < n && i < many; i++) {
        char note[400];
        (void)snprintf(note, sizeof(note), "Deleted pod: %s", mh_sb_name(pods[i]->object));
        mh_sb_event(t->c, "replicaset-controller", set, "Normal", "SuccessfulDelete", note);
        mh_sb_ctl_delete(t, MH_SB_PODS, pods[i]->object, -1);
    }
}

static void
tell_status(struct mh_sb_task *t, yyjson_val *set, struct mh_sb_item **pods, size_t n)
{
    int64_t ready = 0, available = 0, labeled = 0, wait_s = INT64_MAX;
    int64_t min_s = mh_json_int(set, 0, "spec", "minReadySeconds", NULL);
    yyjson_val *labels = mh_json_get(set, "spec", "template", "metadata", "labels", NULL);
    for (size_t i = 0; i < n; i++) {
        yyjson_val *pod = pods[i]->object, *have = mh_json_get(pod, "metadata", "labels", NULL);
        size_t k, max;
        yyjson_val *key, *v;
        bool all = true;
        yyjson_obj_foreach(labels, k, max, key, v)
        {
            all = all && mh_sb_same(yyjson_obj_get(have, yyjson_get_str(key)), v);
        }
        labeled += all;
        ready += mh_sb_pod_ready(pod);
        available += mh_sb_pod_available(t->c, pod, min_s, &wait_s);
    }
    if (wait_s < INT64_MAX)
        mh_sb_again(t, wait_s * MH_NS_PER_S);
    mh_sb_put_status(t, MH_SB_REPLICASETS, set,
                     mh_sb_text(t,
                                "{\"replicas\":%zu,\"fullyLabeledReplicas\":%lld,"
                                "\"readyReplicas\":%lld,\"availableReplicas\":%lld,"
                                "\"observedGeneration\":%lld}",
                                n, (long long)labeled, (long long)ready, (long long)available,
                                (long long)mh_json_int(set, 0, "metadata", "generation", NULL)));
}

void
mh_sb_replicaset_sync(struct mh_sb_task *t)
{
    yyjson_val *set = mh_sb_object(t->c, MH_SB_REPLICASETS, t->ns, t->name);
    size_t n, live = 0;
    if (!set || mh_sb_is_going(set))
        return;
    adopt(t, set);
    if (t->open > 0)
        return;
    struct mh_sb_item **pods = mh_sb_owned(t, MH_SB_PODS, set, &n);
    if (!pods)
        return;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *pod = pods[i]->object;
        if (!pods[i]->doomed && !mh_sb_is_going(pod) && !mh_sb_pod_finished(pod))
            pods[live++] = pods[i];
    }
    int64_t want = mh_json_int(set, 1, "spec", "replicas", NULL);
    struct mh_sb_pod_from from = { .owner = set, .api_version = "apps/v1", .kind = "ReplicaSet" };
    for (int64_t i = (int64_t)live; i < want && i < (int64_t)live + BURST; i++)
        mh_sb_create_pod(t, &from);
    if (t->open == 0)
        tell_status(t, set, pods, live);
    if ((int64_t)live > want)
        remove_pods(t, set, pods, live, live - (size_t)(want < 0 ? 0 : want));
}

MH_SB_HOOK(mh_sb_replicaset_hook)
{
    yyjson_val *set = now ? now : old, *by = mh_sb_controller(set);
    if (now)
        mh_sb_touch_object(c, MH_SB_W_REPLICASET, now);
    if (mh_str_eq(mh_json_str(by, "kind", NULL), "Deployment"))
        mh_sb_touch(c, MH_SB_W_DEPLOYMENT, mh_sb_ns(set), mh_json_str(by, "name", NULL));
}

/* An orphan may be somebody's. */
static void
touch_selecting(struct mh_sb_control *c, yyjson_val *pod)
{
    for (size_t i = 0; i < mh_sb_count(c, MH_SB_REPLICASETS); i++) {
        yyjson_val *set = mh_sb_at(c, MH_SB_REPLICASETS, i)->object;
        if (mh_str_eq(mh_sb_ns(set), mh_sb_ns(pod)) &&
            mh_sb_selects(mh_json_get(set, "spec", "selector", NULL),
                          mh_json_get(pod, "metadata", "labels", NULL)))
            mh_sb_touch_object(c, MH_SB_W_REPLICASET, set);
    }
}

MH_SB_HOOK(mh_sb_replicaset_pod_hook)
{
    yyjson_val *pod = now ? now : old, *by = mh_sb_controller(pod);
    if (mh_str_eq(mh_json_str(by, "kind", NULL), "ReplicaSet"))
        mh_sb_touch(c, MH_SB_W_REPLICASET, mh_sb_ns(pod), mh_json_str(by, "name", NULL));
    else if (!by && now && !old)
        touch_selecting(c, now);
}
