/* nodelife.c - nodes that are no longer heard of, and what becomes of their pods. */
#include <string.h>

#include "base/log.h"
#include "sandbox/control_in.h"
#include "sandbox/sched.h"

#define COMPONENT "node-controller"
#define CHECK_NS (1 * MH_NS_PER_S)
#define UNREACHABLE "node.kubernetes.io/unreachable"
#define NOT_READY "node.kubernetes.io/not-ready"
#define CORDONED "node.kubernetes.io/unschedulable"
#define OUT_OF_SERVICE "node.kubernetes.io/out-of-service"

/* What was last heard of a node. */
struct pulse {
    char lease[48]; /* renewTime */
    char beat[48];  /* lastHeartbeatTime of Ready */
    int64_t heard_ns;
    int64_t checked_ns;
};

struct mh_sb_nodelife {
    struct mh_map pulses; /* name -> struct pulse */
};

bool
mh_sb_nodelife_init(struct mh_sb_control *c)
{
    c->nodes = mh_calloc(1, sizeof(*c->nodes));
    if (c->nodes)
        mh_map_init(&c->nodes->pulses, 10000);
    return c->nodes != NULL;
}

void
mh_sb_nodelife_release(struct mh_sb_control *c)
{
    if (!c->nodes)
        return;
    for (size_t i = 0; i < c->nodes->pulses.len; i++)
        mh_free(c->nodes->pulses.entries[i].value);
    mh_map_release(&c->nodes->pulses);
    mh_free(c->nodes);
    c->nodes = NULL;
}

static struct pulse *
pulse_of(struct mh_sb_control *c, const char *name)
{
    struct pulse *p = mh_map_get(&c->nodes->pulses, name);
    if (p)
        return p;
    p = mh_calloc(1, sizeof(*p));
    if (!p || !mh_map_put(&c->nodes->pulses, name, p, NULL)) {
        mh_free(p);
        return NULL;
    }
    p->heard_ns = p->checked_ns = mh_sb_ctl_now(c);
    return p;
}

/* --- heartbeats ------------------------------------------------------------------------------ */

/* How long nothing was heard. A time in which this process itself stood still does not count. */
static int64_t
silence(struct mh_sb_control *c, struct pulse *p, yyjson_val *node, yyjson_val *lease)
{
    int64_t now = mh_sb_ctl_now(c);
    const char *renewed = mh_json_str(lease, "spec", "renewTime", NULL);
    const char *beat = mh_json_str(mh_sb_condition_of(node, "Ready"), "lastHeartbeatTime", NULL);
    if (!renewed && !beat)
        return 0; /* nobody ever promised to be heard of */
    if (!mh_str_eq(p->lease, renewed ? renewed : "") || !mh_str_eq(p->beat, beat ? beat : "") ||
        now - p->checked_ns > 3 * CHECK_NS)
        p->heard_ns = now;
    mh_str_copy(p->lease, sizeof(p->lease), renewed ? renewed : "");
    mh_str_copy(p->beat, sizeof(p->beat), beat ? beat : "");
    p->checked_ns = now;
    return now - p->heard_ns;
}

static void
mark_unknown(struct mh_sb_task *t, yyjson_val *node)
{
    char when[MH_TIME_TEXT];
    struct mh_buf b;
    size_t i, max;
    int added = 0;
    yyjson_val *one, *list = mh_json_get(node, "status", "conditions", NULL);
    mh_sb_now_text(t->c, when);
    mh_buf_init(&b, 64 << 10);
    yyjson_arr_foreach(list, i, max, one)
    {
        mh_buf_printf(&b,
                      "%s{\"type\":%s,\"status\":\"Unknown\",\"reason\":\"NodeStatusUnknown\","
                      "\"message\":\"Kubelet stopped posting node status.\",\"lastHeartbeatTime\":"
                      "%s,\"lastTransitionTime\":\"%s\"}",
                      added++ ? "," : "", mh_sb_json(t, yyjson_obj_get(one, "type")),
                      mh_sb_json(t, yyjson_obj_get(one, "lastHeartbeatTime")), when);
    }
    mh_sb_ctl_write(
        t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_NODES, NULL, t->name, "status"),
        MH_PATCH_STRATEGIC,
        b.failed ? NULL : mh_sb_text(t, "{\"status\":{\"conditions\":[%s]}}", mh_buf_text(&b)));
    mh_buf_release(&b);
    mh_sb_event(t->c, COMPONENT, node, "Normal", "NodeNotReady",
                mh_sb_text(t, "Node %s status is now: NodeNotReady", t->name));
}

/* Pods of a node that is not heard of take no more clients. */
static void
unready_pods(struct mh_sb_task *t)
{
    char when[MH_TIME_TEXT];
    mh_sb_now_text(t->c, when);
    for (size_t i = 0; i < mh_sb_count(t->c, MH_SB_PODS); i++) {
        yyjson_val *pod = mh_sb_at(t->c, MH_SB_PODS, i)->object;
        if (!mh_str_eq(mh_json_str(pod, "spec", "nodeName", NULL), t->name) ||
            !mh_sb_pod_ready(pod))
            continue;
        mh_sb_ctl_write(
            t, "PATCH",
            mh_sb_path(t->c, &t->arena, MH_SB_PODS, mh_sb_ns(pod), mh_sb_name(pod), "status"),
            MH_PATCH_STRATEGIC,
            mh_sb_text(t,
                       "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":"
                       "\"False\",\"lastTransitionTime\":\"%s\"}]}}",
                       when));
    }
}

/* --- taints ---------------------------------------------------------------------------------- */

static bool
is_own(const char *key)
{
    return mh_str_eq(key, UNREACHABLE) || mh_str_eq(key, NOT_READY) || mh_str_eq(key, CORDONED);
}

static yyjson_val *
find_taint(yyjson_val *node, const char *key, const char *effect)
{
    size_t i, max;
    yyjson_val *v, *list = mh_json_get(node, "spec", "taints", NULL);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (mh_str_eq(mh_json_str(v, "key", NULL), key) &&
            (!effect || mh_str_eq(mh_json_str(v, "effect", NULL), effect)))
            return v;
    }
    return NULL;
}

static void
set_taints(struct mh_sb_task *t, yyjson_val *node, const char *ready)
{
    const char *unfit = mh_str_eq(ready, "True")      ? NULL
                        : mh_str_eq(ready, "Unknown") ? UNREACHABLE
                                                      : NOT_READY;
    bool cordoned = mh_json_bool(node, false, "spec", "unschedulable", NULL);
    const char *want[3][2] = { { unfit, "NoSchedule" },
                               { unfit, "NoExecute" },
                               { cordoned ? CORDONED : NULL, "NoSchedule" } };
    struct mh_buf b;
    size_t i, max;
    int added = 0;
    bool differs = false;
    char when[MH_TIME_TEXT];
    yyjson_val *v, *list = mh_json_get(node, "spec", "taints", NULL);
    mh_sb_now_text(t->c, when);
    mh_buf_init(&b, 256 << 10);
    yyjson_arr_foreach(list, i, max, v)
    {
        const char *key = mh_json_str(v, "key", NULL), *effect = mh_json_str(v, "effect", NULL);
        bool keep = !is_own(key);
        for (int k = 0; k < 3; k++)
            keep =
                keep || (want[k][0] && mh_str_eq(key, want[k][0]) && mh_str_eq(effect, want[k][1]));
        differs = differs || !keep;
        if (keep)
            mh_buf_printf(&b, "%s%s", added++ ? "," : "", mh_sb_json(t, v));
    }
    for (int k = 0; k < 3; k++) {
        if (!want[k][0] || find_taint(node, want[k][0], want[k][1]))
            continue;
        differs = true;
        mh_buf_printf(&b, "%s{\"key\":\"%s\",\"effect\":\"%s\",\"timeAdded\":\"%s\"}",
                      added++ ? "," : "", want[k][0], want[k][1], when);
    }
    const char *version = mh_json_str(node, "metadata", "resourceVersion", NULL);
    if (differs)
        mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_NODES, NULL, t->name, NULL),
                        MH_PATCH_MERGE,
                        b.failed ? NULL
                                 : mh_sb_text(t,
                                              "{\"metadata\":{\"resourceVersion\":%s},\"spec\":{"
                                              "\"taints\":%s%s%s}}",
                                              mh_sb_quote(t, version), added ? "[" : "null",
                                              mh_buf_text(&b), added ? "]" : ""));
    mh_buf_release(&b);
}

void
mh_sb_node_sync(struct mh_sb_task *t)
{
    struct mh_sb_control *c = t->c;
    yyjson_val *node = mh_sb_object(c, MH_SB_NODES, NULL, t->name);
    yyjson_val *lease = mh_sb_object(c, MH_SB_LEASES, "kube-node-lease", t->name);
    if (!node) {
        mh_free(mh_map_remove(&c->nodes->pulses, t->name));
        return;
    }
    struct pulse *p = pulse_of(c, t->name);
    const char *ready = mh_json_str(mh_sb_condition_of(node, "Ready"), "status", NULL);
    if (!p || !ready) {
        mh_sb_again(t, CHECK_NS);
        return; /* its kubelet has not said anything yet */
    }
    mh_sb_again(t, CHECK_NS);
    if (silence(c, p, node, lease) > c->config.node_grace_ns && !mh_str_eq(ready, "Unknown")) {
        mark_unknown(t, node);
        return;
    }
    if (!mh_str_eq(ready, "True"))
        unready_pods(t);
    set_taints(t, node, ready);
}

/* --- pods that have to go -------------------------------------------------------------------- */

/* How long a pod may stay with this taint: -1 for ever, 0 not at all. */
static int64_t
stay_s(struct mh_sb_control *c, yyjson_val *pod, yyjson_val *taint)
{
    size_t i, max;
    int64_t least = INT64_MAX;
    bool any = false;
    const char *key = mh_json_str(taint, "key", NULL);
    yyjson_val *v, *list = mh_json_get(pod, "spec", "tolerations", NULL);
    yyjson_arr_foreach(list, i, max, v)
    {
        char text[1024];
        struct mh_arena a;
        yyjson_val *one = NULL;
        mh_arena_init(&a, 64 << 10);
        char *json = mh_json_text(&a, v, NULL);
        bool fits = json && snprintf(text, sizeof(text), "[%s]", json) < (int)sizeof(text) &&
                    mh_json_parse(&a, text, strlen(text), &one, NULL) == MH_OK &&
                    mh_sb_tolerates(one, taint);
        mh_arena_release(&a);
        if (!fits)
            continue;
        any = true;
        int64_t s = mh_json_int(v, INT64_MAX, "tolerationSeconds", NULL);
        least = s < least ? (s > 0 ? s : 0) : least;
    }
    if (!any && (mh_str_eq(key, UNREACHABLE) || mh_str_eq(key, NOT_READY)))
        return c->config.evict_ns / MH_NS_PER_S;
    return !any ? 0 : least == INT64_MAX ? -1 : least;
}

/* Seconds until the pod's node no longer bears it; -1: it may stay. */
static int64_t
evict_in(struct mh_sb_control *c, yyjson_val *pod, yyjson_val *node)
{
    size_t i, max;
    int64_t soonest = -1;
    yyjson_val *taint, *list = mh_json_get(node, "spec", "taints", NULL);
    yyjson_arr_foreach(list, i, max, taint)
    {
        if (!mh_str_eq(mh_json_str(taint, "effect", NULL), "NoExecute"))
            continue;
        int64_t stay = stay_s(c, pod, taint);
        int64_t since = mh_sb_when(yyjson_obj_get(taint, "timeAdded"), mh_sb_wall_s(c));
        int64_t left = since + stay - mh_sb_wall_s(c);
        if (stay >= 0 && (soonest < 0 || left < soonest))
            soonest = left > 0 ? left : 0;
    }
    return soonest;
}

static void
evict(struct mh_sb_task *t, yyjson_val *pod, yyjson_val *node)
{
    int64_t left = evict_in(t->c, pod, node);
    if (left < 0 || mh_sb_is_going(pod))
        return;
    if (left > 0) {
        mh_sb_again(t, left * MH_NS_PER_S);
        return;
    }
    mh_sb_event(t->c, "taint-eviction-controller", pod, "Normal", "TaintManagerEviction",
                mh_sb_text(t, "Marking for deletion Pod %s/%s", t->ns, t->name));
    mh_sb_ctl_delete(t, MH_SB_PODS, pod, -1);
}

void
mh_sb_podgc_sync(struct mh_sb_task *t)
{
    const struct mh_sb_item *item = mh_sb_item(t->c, MH_SB_PODS, t->ns, t->name);
    yyjson_val *pod = item ? item->object : NULL;
    const char *name = mh_json_str(pod, "spec", "nodeName", NULL);
    bool placed = name && *name;
    yyjson_val *node = placed ? mh_sb_object(t->c, MH_SB_NODES, NULL, name) : NULL;
    if (!pod)
        return;
    if (!placed) {
        if (mh_sb_is_going(pod))
            mh_sb_ctl_delete(t, MH_SB_PODS, pod, 0);
    } else if (!node) {
        int64_t left = item->heard_ns + t->c->config.node_grace_ns - mh_sb_ctl_now(t->c);
        if (left > 0)
            mh_sb_again(t, left);
        else
            mh_sb_ctl_delete(t, MH_SB_PODS, pod, 0);
    } else if (mh_sb_is_going(pod) && find_taint(node, OUT_OF_SERVICE, NULL) &&
               find_taint(node, UNREACHABLE, NULL)) {
        mh_sb_ctl_delete(t, MH_SB_PODS, pod, 0);
    } else {
        evict(t, pod, node);
    }
}

/* --- hooks ----------------------------------------------------------------------------------- */

MH_SB_HOOK(mh_sb_node_hook)
{
    yyjson_val *node = now ? now : old;
    mh_sb_touch_object(c, MH_SB_W_NODE, node);
    if (old && now &&
        mh_sb_same(mh_json_get(old, "spec", "taints", NULL),
                   mh_json_get(now, "spec", "taints", NULL)))
        return;
    for (size_t i = 0; i < mh_sb_count(c, MH_SB_PODS); i++) {
        yyjson_val *pod = mh_sb_at(c, MH_SB_PODS, i)->object;
        if (mh_str_eq(mh_json_str(pod, "spec", "nodeName", NULL), mh_sb_name(node)))
            mh_sb_touch_object(c, MH_SB_W_PODGC, pod);
    }
}

MH_SB_HOOK(mh_sb_node_lease_hook)
{
    yyjson_val *lease = now ? now : old;
    mh_sb_touch(c, MH_SB_W_NODE, "", mh_sb_name(lease));
}

MH_SB_HOOK(mh_sb_podgc_hook)
{
    const char *name = mh_json_str(now, "spec", "nodeName", NULL);
    yyjson_val *node = name && *name ? mh_sb_object(c, MH_SB_NODES, NULL, name) : NULL;
    (void)old;
    if (now && ((!node && (name || mh_sb_is_going(now))) ||
                yyjson_arr_size(mh_json_get(node, "spec", "taints", NULL)) > 0))
        mh_sb_touch_object(c, MH_SB_W_PODGC, now);
}
