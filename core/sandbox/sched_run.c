/* sched_run.c - the scheduler at work: pods without a node get one.
 *
 * A decision is assumed until the pod is seen with its node, so that the next decision counts with
 * it. Claims that wait for their first consumer are told the node first; the pod is bound once they
 * are. Pods that fit nowhere wait until something changes that may let them in. */
#include <string.h>

#include "base/log.h"
#include "sandbox/claim_in.h"
#include "sandbox/control_in.h"
#include "sandbox/sched.h"

#define COMPONENT "default-scheduler"
#define SELECTED_NODE "volume.kubernetes.io/selected-node"

struct assumed {
    char uid[64];
    char node[254];
    bool bound; /* the API server took the binding */
};

struct mh_sb_sched_state {
    struct mh_map assumed; /* "ns/name" -> struct assumed */
    struct mh_map waiting; /* "ns/name" of pods that fit nowhere; values are the state */
};

bool
mh_sb_sched_init(struct mh_sb_control *c)
{
    c->sched = mh_calloc(1, sizeof(*c->sched));
    if (!c->sched)
        return false;
    mh_map_init(&c->sched->assumed, MH_SB_OBJECTS_MAX);
    mh_map_init(&c->sched->waiting, MH_SB_OBJECTS_MAX);
    return true;
}

void
mh_sb_sched_release(struct mh_sb_control *c)
{
    if (!c->sched)
        return;
    for (size_t i = 0; i < c->sched->assumed.len; i++)
        mh_free(c->sched->assumed.entries[i].value);
    mh_map_release(&c->sched->assumed);
    mh_map_release(&c->sched->waiting);
    mh_free(c->sched);
    c->sched = NULL;
}

static void
forget(struct mh_sb_control *c, const char *key)
{
    mh_free(mh_map_remove(&c->sched->assumed, key));
}

static struct assumed *
assume(struct mh_sb_control *c, const char *key, yyjson_val *pod, const char *node)
{
    struct assumed *a = mh_calloc(1, sizeof(*a));
    void *old = NULL;
    if (!a || !mh_map_put(&c->sched->assumed, key, a, &old)) {
        mh_free(a);
        return NULL;
    }
    mh_free(old);
    mh_str_copy(a->uid, sizeof(a->uid), mh_sb_uid_of(pod));
    mh_str_copy(a->node, sizeof(a->node), node);
    return a;
}

/* --- what there is --------------------------------------------------------------------------- */

static yyjson_val *
find_claim(void *arg, const char *ns, const char *name)
{
    return mh_sb_object(arg, MH_SB_CLAIMS, ns, name);
}

static yyjson_val *
find_volume(void *arg, const char *name)
{
    return mh_sb_object(arg, MH_SB_VOLUMES, NULL, name);
}

static bool
claim_waits(void *arg, yyjson_val *claim)
{
    return mh_sb_claim_waits(arg, claim);
}

static yyjson_val **
objects(struct mh_sb_control *c, struct mh_arena *a, enum mh_sb_table_id id, size_t *n)
{
    struct mh_sb_item **items = mh_sb_sorted(c, a, id, NULL, n);
    yyjson_val **out = items ? mh_arena_alloc(a, (*n + 1) * sizeof(yyjson_val *)) : NULL;
    for (size_t i = 0; out && i < *n; i++)
        out[i] = items[i]->object;
    return out;
}

static bool
gather(struct mh_sb_control *c, struct mh_arena *a, struct mh_sb_sched *s)
{
    size_t count = mh_sb_count(c, MH_SB_PODS);
    struct mh_sb_placed *pods = mh_arena_alloc(a, (count + 1) * sizeof(*pods));
    *s = (struct mh_sb_sched){
        .pods = pods, .claim = find_claim, .volume = find_volume, .waits = claim_waits, .arg = c
    };
    s->nodes = objects(c, a, MH_SB_NODES, &s->nnodes);
    s->namespaces = objects(c, a, MH_SB_NAMESPACES, &s->nnamespaces);
    if (!pods || !s->nodes || !s->namespaces)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct mh_sb_item *item = mh_sb_at(c, MH_SB_PODS, i);
        const char *node = mh_json_str(item->object, "spec", "nodeName", NULL);
        if (!node || !*node) {
            const struct assumed *as = mh_map_get(&c->sched->assumed, item->key);
            node = as && mh_str_eq(as->uid, mh_sb_uid_of(item->object)) ? as->node : NULL;
        }
        if (node && !mh_sb_pod_finished(item->object))
            pods[s->npods++] = (struct mh_sb_placed){ item->object, node, item->cpu, item->memory };
    }
    return true;
}

/* --- writes ---------------------------------------------------------------------------------- */

static void
on_bound(struct mh_sb_task *t, struct mh_api_call *call)
{
    char key[MH_SB_KEY];
    (void)snprintf(key, sizeof(key), "%s/%s", t->ns, t->name);
    struct assumed *as = mh_map_get(&t->c->sched->assumed, key);
    yyjson_val *pod = mh_sb_object(t->c, MH_SB_PODS, t->ns, t->name);
    char note[700];
    if (!as)
        return;
    if (call->err.code != MH_OK) {
        forget(t->c, key);
        return;
    }
    as->bound = true;
    (void)snprintf(note, sizeof(note), "Successfully assigned %s/%s to %s", t->ns, t->name,
                   as->node);
    if (pod)
        mh_sb_event(t->c, COMPONENT, pod, "Normal", "Scheduled", note);
}

static void
bind_pod(struct mh_sb_task *t, yyjson_val *pod, const char *node)
{
    char *path = mh_sb_path(t->c, &t->arena, MH_SB_PODS, t->ns, t->name, "binding");
    char *body = mh_sb_text(t,
                            "{\"apiVersion\":\"v1\",\"kind\":\"Binding\",\"metadata\":{\"name\":%s,"
                            "\"namespace\":%s,\"uid\":%s},\"target\":{\"apiVersion\":\"v1\","
                            "\"kind\":\"Node\",\"name\":%s}}",
                            mh_sb_quote(t, t->name), mh_sb_quote(t, t->ns),
                            mh_sb_quote(t, mh_sb_uid_of(pod)), mh_sb_quote(t, node));
    mh_sb_ctl_write_then(t, "POST", path, NULL, body, on_bound);
}

static void
say_why(struct mh_sb_task *t, yyjson_val *pod, const char *why)
{
    char when[MH_TIME_TEXT];
    yyjson_val *now = mh_sb_condition_of(pod, "PodScheduled");
    if (mh_str_eq(mh_json_str(now, "status", NULL), "False") &&
        mh_str_eq(mh_json_str(now, "message", NULL), why))
        return;
    const char *since = mh_str_eq(mh_json_str(now, "status", NULL), "False")
                            ? mh_json_str(now, "lastTransitionTime", NULL)
                            : NULL;
    mh_sb_now_text(t->c, when);
    mh_sb_event(t->c, COMPONENT, pod, "Warning", "FailedScheduling", why);
    char *body = mh_sb_text(t,
                            "{\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
                            "\"False\",\"reason\":\"Unschedulable\",\"message\":%s,"
                            "\"lastProbeTime\":null,\"lastTransitionTime\":\"%s\"}]}}",
                            mh_sb_quote(t, why), since ? since : when);
    mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_PODS, t->ns, t->name, "status"),
                    MH_PATCH_STRATEGIC, body);
}

/* --- claims of a pod ------------------------------------------------------------------------- */

/* Tells unbound claims the node. Returns how many are not bound yet. */
static int
tell_claims(struct mh_sb_task *t, yyjson_val *pod, const char *node)
{
    size_t i, max;
    int unbound = 0;
    yyjson_val *v, *volumes = mh_json_get(pod, "spec", "volumes", NULL);
    yyjson_arr_foreach(volumes, i, max, v)
    {
        const char *name = mh_sb_volume_claim(&t->arena, pod, v);
        yyjson_val *claim = name ? mh_sb_object(t->c, MH_SB_CLAIMS, t->ns, name) : NULL;
        const char *bound = mh_json_str(claim, "spec", "volumeName", NULL);
        const char *told = mh_json_str(claim, "metadata", "annotations", SELECTED_NODE, NULL);
        if (!name ||
            (bound && *bound && mh_str_eq(mh_json_str(claim, "status", "phase", NULL), "Bound")))
            continue;
        unbound++;
        if (!claim || (bound && *bound) || mh_str_eq(told, node))
            continue;
        char *body = mh_sb_text(t, "{\"metadata\":{\"annotations\":{\"" SELECTED_NODE "\":%s}}}",
                                mh_sb_quote(t, node));
        mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_CLAIMS, t->ns, name, NULL),
                        MH_PATCH_MERGE, body);
    }
    return unbound;
}

/* --- the worker ------------------------------------------------------------------------------ */

static bool
is_ours(yyjson_val *pod)
{
    const char *node = mh_json_str(pod, "spec", "nodeName", NULL);
    const char *who = mh_json_str(pod, "spec", "schedulerName", NULL);
    return pod && (!node || !*node) && !mh_sb_is_going(pod) && !mh_sb_pod_finished(pod) &&
           (!who || !*who || mh_str_eq(who, COMPONENT)) &&
           yyjson_arr_size(mh_json_get(pod, "spec", "schedulingGates", NULL)) == 0;
}

static void
decide(struct mh_sb_task *t, yyjson_val *pod, const char *key)
{
    struct mh_sb_control *c = t->c;
    struct mh_sb_sched s;
    const char *why = NULL;
    const char *node = gather(c, &t->arena, &s) ? mh_sb_sched_pick(&s, &t->arena, pod, &why) : NULL;
    if (!node && !why) {
        mh_sb_failed(t);
        return;
    }
    if (!node) {
        if (!mh_map_put(&c->sched->waiting, key, c->sched, NULL))
            mh_sb_again(t, MH_NS_PER_S);
        say_why(t, pod, why);
        return;
    }
    (void)mh_map_remove(&c->sched->waiting, key);
    if (!assume(c, key, pod, node))
        mh_sb_failed(t);
    else if (tell_claims(t, pod, node) == 0)
        bind_pod(t, pod, node);
}

void
mh_sb_sched_sync(struct mh_sb_task *t)
{
    struct mh_sb_control *c = t->c;
    char key[MH_SB_KEY];
    yyjson_val *pod = mh_sb_object(c, MH_SB_PODS, t->ns, t->name);
    (void)snprintf(key, sizeof(key), "%s/%s", t->ns, t->name);
    struct assumed *as = mh_map_get(&c->sched->assumed, key);
    if (!is_ours(pod)) {
        (void)mh_map_remove(&c->sched->waiting, key);
        forget(c, key);
        return;
    }
    if (as && !mh_str_eq(as->uid, mh_sb_uid_of(pod))) {
        forget(c, key);
        as = NULL;
    }
    if (as && !mh_sb_object(c, MH_SB_NODES, NULL, as->node)) {
        forget(c, key);
        as = NULL;
    }
    if (!as)
        decide(t, pod, key);
    else if (!as->bound && tell_claims(t, pod, as->node) == 0)
        bind_pod(t, pod, as->node);
}

/* --- hooks ----------------------------------------------------------------------------------- */

static void
touch_key(struct mh_sb_control *c, const char *key)
{
    char ns[MH_SB_KEY];
    const char *slash = strchr(key, '/');
    (void)snprintf(ns, sizeof(ns), "%.*s", (int)(slash - key), key);
    mh_sb_touch(c, MH_SB_W_SCHED, ns, slash + 1);
}

static void
touch_waiting(struct mh_sb_control *c)
{
    for (size_t i = 0; i < c->sched->waiting.len; i++)
        touch_key(c, c->sched->waiting.entries[i].key);
}

MH_SB_HOOK(mh_sb_sched_pod_hook)
{
    yyjson_val *pod = now ? now : old;
    const char *node = mh_json_str(pod, "spec", "nodeName", NULL);
    char key[MH_SB_KEY];
    (void)snprintf(key, sizeof(key), "%s/%s", mh_sb_ns(pod), mh_sb_name(pod));
    if (is_ours(now) || mh_map_get(&c->sched->assumed, key) || mh_map_get(&c->sched->waiting, key))
        mh_sb_touch_object(c, MH_SB_W_SCHED, pod);
    /* Room was made, or somebody came whom a waiting pod wants to be near. */
    if (node && *node &&
        (!now || !old || mh_sb_pod_finished(now) != mh_sb_pod_finished(old) ||
         !mh_sb_same(mh_json_get(old, "spec", "nodeName", NULL),
                     mh_json_get(now, "spec", "nodeName", NULL)) ||
         !mh_sb_same(mh_json_get(old, "metadata", "labels", NULL),
                     mh_json_get(now, "metadata", "labels", NULL))))
        touch_waiting(c);
}

static bool
uses(struct mh_sb_control *c, const char *key, const char *ns, const char *claim)
{
    const struct mh_sb_item *item = mh_map_get(&c->tables[MH_SB_PODS].items, key);
    size_t i, max;
    yyjson_val *v, *volumes;
    if (!item || !mh_str_eq(mh_sb_ns(item->object), ns))
        return false;
    volumes = mh_json_get(item->object, "spec", "volumes", NULL);
    yyjson_arr_foreach(volumes, i, max, v)
    {
        if (mh_str_eq(mh_json_str(v, "persistentVolumeClaim", "claimName", NULL), claim) ||
            mh_json_get(v, "ephemeral", NULL))
            return true;
    }
    return false;
}

MH_SB_HOOK(mh_sb_sched_claim_hook)
{
    const struct mh_map *maps[] = { &c->sched->waiting, &c->sched->assumed };
    yyjson_val *claim = now ? now : old;
    for (int m = 0; m < 2; m++) {
        for (size_t i = 0; i < maps[m]->len; i++) {
            if (uses(c, maps[m]->entries[i].key, mh_sb_ns(claim), mh_sb_name(claim)))
                touch_key(c, maps[m]->entries[i].key);
        }
    }
}

/* A node, a volume or a namespace. Heartbeats of nodes change nothing here. */
MH_SB_HOOK(mh_sb_sched_world_hook)
{
    if (old && now && mh_sb_same(yyjson_obj_get(old, "spec"), yyjson_obj_get(now, "spec")) &&
        mh_sb_same(mh_json_get(old, "metadata", "labels", NULL),
                   mh_json_get(now, "metadata", "labels", NULL)) &&
        mh_sb_same(mh_json_get(old, "status", "allocatable", NULL),
                   mh_json_get(now, "status", "allocatable", NULL)))
        return;
    touch_waiting(c);
}
