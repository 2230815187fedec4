/* endpoints.c - Endpoints and EndpointSlices of Services, from their pods. */
#include <stdlib.h>
#include <string.h>

#include "sandbox/model.h"
#include "sandbox/sched.h"
#include "sandbox/service_in.h"

#define SLICE_LABEL "kubernetes.io/service-name"
#define SLICE_BY "endpointslice-controller.k8s.io"
#define SLICES_MAX 4 /* pods with the same port numbers share one */

/* --- members --------------------------------------------------------------------------------- */

static int
named_port(yyjson_val *pod, const char *name)
{
    size_t i, j, m1, m2;
    yyjson_val *c, *p, *list = mh_json_get(pod, "spec", "containers", NULL);
    yyjson_arr_foreach(list, i, m1, c)
    {
        yyjson_val *ports = yyjson_obj_get(c, "ports");
        yyjson_arr_foreach(ports, j, m2, p)
        {
            if (mh_str_eq(mh_json_str(p, "name", NULL), name))
                return (int)mh_json_int(p, 0, "containerPort", NULL);
        }
    }
    return 0;
}

static void
set_ports(struct mh_sb_member *m, yyjson_val *service, yyjson_val *pod)
{
    size_t i, max;
    yyjson_val *p, *ports = mh_json_get(service, "spec", "ports", NULL);
    yyjson_arr_foreach(ports, i, max, p)
    {
        yyjson_val *target = yyjson_obj_get(p, "targetPort");
        if (i >= MH_SB_PORTS_MAX)
            return;
        if (yyjson_is_str(target))
            m->ports[i] = named_port(pod, yyjson_get_str(target));
        else
            m->ports[i] = (int)(yyjson_is_int(target) && yyjson_get_int(target) > 0
                                    ? yyjson_get_int(target)
                                    : mh_json_int(p, 0, "port", NULL));
    }
}

static bool
selected(yyjson_val *selector, yyjson_val *labels)
{
    size_t i, max;
    yyjson_val *k, *v;
    yyjson_obj_foreach(selector, i, max, k, v)
    {
        const char *have = yyjson_get_str(yyjson_obj_get(labels, yyjson_get_str(k)));
        if (!have || !mh_str_eq(have, yyjson_get_str(v)))
            return false;
    }
    return yyjson_obj_size(selector) > 0;
}

static void
fill_member(struct mh_sb_task *t, struct mh_sb_member *m, yyjson_val *service, yyjson_val *pod)
{
    const char *node = mh_json_str(pod, "spec", "nodeName", NULL);
    const char *subdomain = mh_json_str(pod, "spec", "subdomain", NULL);
    bool all = mh_json_bool(service, false, "spec", "publishNotReadyAddresses", NULL);
    m->address = mh_json_str(pod, "status", "podIP", NULL);
    m->node = node;
    m->zone = mh_json_str(mh_sb_object(t->c, MH_SB_NODES, NULL, node), "metadata", "labels",
                          "topology.kubernetes.io/zone", NULL);
    m->hostname = mh_str_eq(subdomain, t->name) ? mh_json_str(pod, "spec", "hostname", NULL) : NULL;
    m->pod = mh_sb_name(pod);
    m->uid = mh_sb_uid_of(pod);
    m->going = mh_sb_is_going(pod);
    m->serving = mh_sb_pod_ready(pod);
    m->ready = all || (m->serving && !m->going);
    m->modelled = mh_sb_is_modelled(pod);
    set_ports(m, service, pod);
}

/* The pods of a Service that have an address and are not finished, sorted by name. */
static struct mh_sb_member *
from_pods(struct mh_sb_task *t, yyjson_val *service, size_t *n)
{
    yyjson_val *selector = mh_json_get(service, "spec", "selector", NULL);
    size_t count;
    struct mh_sb_item **pods =
        mh_sb_candidates(t->c, &t->arena, MH_SB_PODS, t->ns, selector, &count);
    struct mh_sb_member *out = mh_arena_alloc(&t->arena, (count + 1) * sizeof(*out));
    *n = 0;
    for (size_t i = 0; pods && out && i < count; i++) {
        yyjson_val *pod = pods[i]->object;
        const char *ip = mh_json_str(pod, "status", "podIP", NULL);
        if (ip && *ip && !mh_sb_pod_finished(pod) &&
            selected(selector, mh_json_get(pod, "metadata", "labels", NULL)))
            fill_member(t, &out[(*n)++], service, pod);
    }
    return pods ? out : NULL;
}

static int
subset_port(yyjson_val *subset, const char *name)
{
    size_t i, max;
    yyjson_val *p, *ports = yyjson_obj_get(subset, "ports");
    yyjson_arr_foreach(ports, i, max, p)
    {
        const char *have = mh_json_str(p, "name", NULL);
        if (mh_str_eq(have ? have : "", name ? name : ""))
            return (int)mh_json_int(p, 0, "port", NULL);
    }
    return 0;
}

/* A Service without a selector: whatever somebody wrote into its Endpoints. */
static struct mh_sb_member *
from_endpoints(struct mh_sb_task *t, yyjson_val *service, size_t *n)
{
    yyjson_val *o = mh_sb_object(t->c, MH_SB_ENDPOINTS, t->ns, t->name);
    yyjson_val *subsets = yyjson_obj_get(o, "subsets"), *subset, *one, *p;
    yyjson_val *ports = mh_json_get(service, "spec", "ports", NULL);
    size_t i, j, k, m1, m2, m3, count = 0;
    yyjson_arr_foreach(subsets, i, m1, subset)
    {
        count += yyjson_arr_size(yyjson_obj_get(subset, "addresses"));
    }
    struct mh_sb_member *out = mh_arena_alloc(&t->arena, (count + 1) * sizeof(*out));
    *n = 0;
    if (!out)
        return NULL;
    yyjson_arr_foreach(subsets, i, m1, subset)
    {
        yyjson_val *list = yyjson_obj_get(subset, "addresses");
        yyjson_arr_foreach(list, j, m2, one)
        {
            struct mh_sb_member *m = &out[(*n)++];
            m->address = mh_json_str(one, "ip", NULL);
            m->hostname = mh_json_str(one, "hostname", NULL);
            m->ready = m->serving = m->address != NULL;
            m->address = m->address ? m->address : "";
            yyjson_arr_foreach(ports, k, m3, p)
            {
                if (k < MH_SB_PORTS_MAX)
                    m->ports[k] = subset_port(subset, mh_json_str(p, "name", NULL));
            }
        }
    }
    return out;
}

/* --- texts ----------------------------------------------------------------------------------- */

/* "[{name, port, protocol}]" with this member's port numbers. */
static const char *
ports_text(struct mh_sb_task *t, yyjson_val *service, const struct mh_sb_member *m)
{
    struct mh_buf b;
    size_t i, max;
    int added = 0;
    yyjson_val *p, *ports = mh_json_get(service, "spec", "ports", NULL);
    mh_buf_init(&b, 64 << 10);
    mh_buf_char(&b, '[');
    yyjson_arr_foreach(ports, i, max, p)
    {
        const char *name = mh_json_str(p, "name", NULL);
        const char *protocol = mh_json_str(p, "protocol", NULL);
        if (i >= MH_SB_PORTS_MAX || m->ports[i] <= 0)
            continue;
        mh_buf_printf(&b, "%s{", added++ ? "," : "");
        if (name && *name)
            mh_buf_printf(&b, "\"name\":%s,", mh_sb_quote(t, name));
        mh_buf_printf(&b, "\"port\":%d,\"protocol\":%s}", m->ports[i],
                      mh_sb_quote(t, protocol ? protocol : "TCP"));
    }
    mh_buf_char(&b, ']');
    const char *out = b.failed ? NULL : mh_sb_text(t, "%s", mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static void
add_target(struct mh_sb_task *t, struct mh_buf *b, const struct mh_sb_member *m)
{
    if (m->hostname)
        mh_buf_printf(b, ",\"hostname\":%s", mh_sb_quote(t, m->hostname));
    if (m->node)
        mh_buf_printf(b, ",\"nodeName\":%s", mh_sb_quote(t, m->node));
    mh_buf_printf(b, ",\"targetRef\":{\"kind\":\"Pod\",\"name\":%s,\"namespace\":%s,\"uid\":%s}",
                  mh_sb_quote(t, m->pod), mh_sb_quote(t, t->ns), mh_sb_quote(t, m->uid));
}

static bool
same_ports(const struct mh_sb_member *a, const struct mh_sb_member *b)
{
    return memcmp(a->ports, b->ports, sizeof(a->ports)) == 0;
}

static void
add_addresses(struct mh_sb_task *t, struct mh_buf *b, const struct mh_sb_member *all, size_t n,
              size_t like, bool ready)
{
    int added = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mh_sb_member *m = &all[i];
        if (!same_ports(m, &all[like]) || m->ready != ready || (m->going && !m->ready))
            continue;
        mh_buf_printf(b, "%s{\"ip\":%s",
                      added++ ? ","
                      : ready ? "\"addresses\":["
                              : "\"notReadyAddresses\":[",
                      mh_sb_quote(t, m->address));
        add_target(t, b, m);
        mh_buf_char(b, '}');
    }
    if (added)
        mh_buf_str(b, "],");
}

/* Is there no earlier member with the same port numbers? */
static bool
is_first(const struct mh_sb_member *all, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (same_ports(&all[k], &all[i]))
            return false;
    }
    return true;
}

static const char *
subsets_text(struct mh_sb_task *t, yyjson_val *service, const struct mh_sb_member *all, size_t n)
{
    struct mh_buf b;
    int added = 0;
    mh_buf_init(&b, (size_t)2 << 20);
    for (size_t i = 0; i < n; i++) {
        bool any = false;
        if (!is_first(all, i))
            continue;
        for (size_t k = i; k < n; k++)
            any = any || (same_ports(&all[k], &all[i]) && (all[k].ready || !all[k].going));
        if (!any)
            continue;
        mh_buf_str(&b, added++ ? ",{" : "{");
        add_addresses(t, &b, all, n, i, true);
        add_addresses(t, &b, all, n, i, false);
        mh_buf_printf(&b, "\"ports\":%s}", ports_text(t, service, &all[i]));
    }
    const char *out = b.failed ? NULL : mh_sb_text(t, "[%s]", mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static const char *
slice_text(struct mh_sb_task *t, const struct mh_sb_member *all, size_t n, size_t like)
{
    struct mh_buf b;
    int added = 0;
    mh_buf_init(&b, (size_t)2 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct mh_sb_member *m = &all[i];
        if (!same_ports(m, &all[like]))
            continue;
        mh_buf_printf(&b,
                      "%s{\"addresses\":[%s],\"conditions\":{\"ready\":%s,\"serving\":%s,"
                      "\"terminating\":%s}",
                      added++ ? "," : "", mh_sb_quote(t, m->address), m->ready ? "true" : "false",
                      m->serving || m->ready ? "true" : "false", m->going ? "true" : "false");
        add_target(t, &b, m);
        if (m->zone)
            mh_buf_printf(&b, ",\"zone\":%s", mh_sb_quote(t, m->zone));
        mh_buf_char(&b, '}');
    }
    const char *out = b.failed ? NULL : mh_sb_text(t, "[%s]", mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

/* --- writes ---------------------------------------------------------------------------------- */

/* The Service's own labels, and one more. */
static const char *
labels_text(struct mh_sb_task *t, yyjson_val *service, const char *more)
{
    struct mh_buf b;
    size_t i, max;
    yyjson_val *k, *v, *labels = mh_json_get(service, "metadata", "labels", NULL);
    mh_buf_init(&b, 64 << 10);
    yyjson_obj_foreach(labels, i, max, k, v)
    {
        mh_buf_printf(&b, "%s:%s,", mh_sb_quote(t, yyjson_get_str(k)),
                      mh_sb_quote(t, yyjson_get_str(v)));
    }
    const char *out = b.failed ? NULL : mh_sb_text(t, "{%s%s}", mh_buf_text(&b), more);
    mh_buf_release(&b);
    return out;
}

static bool
differs(struct mh_sb_task *t, yyjson_val *have, const char *want)
{
    yyjson_val *v = NULL;
    if (!want || mh_json_parse(&t->arena, want, strlen(want), &v, NULL) != MH_OK) {
        mh_sb_failed(t);
        return false;
    }
    if (yyjson_is_arr(v) && yyjson_arr_size(v) == 0)
        return yyjson_arr_size(have) > 0;
    return !mh_sb_same(have, v);
}

static void
write_endpoints(struct mh_sb_task *t, yyjson_val *service, const char *subsets)
{
    yyjson_val *old = mh_sb_object(t->c, MH_SB_ENDPOINTS, t->ns, t->name);
    bool headless = mh_str_eq(mh_json_str(service, "spec", "clusterIP", NULL), "None");
    if (!subsets) {
        mh_sb_failed(t);
    } else if (!old) {
        const char *labels = labels_text(
            t, service,
            headless ? "\"endpoints.kubernetes.io/managed-by\":\"endpoint-controller\","
                       "\"service.kubernetes.io/headless\":\"\""
                     : "\"endpoints.kubernetes.io/managed-by\":\"endpoint-controller\"");
        mh_sb_ctl_write(
            t, "POST", mh_sb_path(t->c, &t->arena, MH_SB_ENDPOINTS, t->ns, NULL, NULL), NULL,
            mh_sb_text(t,
                       "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{"
                       "\"name\":%s,\"namespace\":%s,\"labels\":%s},\"subsets\":%s}",
                       mh_sb_quote(t, t->name), mh_sb_quote(t, t->ns), labels, subsets));
    } else if (differs(t, yyjson_obj_get(old, "subsets"), subsets)) {
        mh_sb_ctl_write(
            t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_ENDPOINTS, t->ns, t->name, NULL),
            MH_PATCH_MERGE,
            mh_sb_text(t, "{\"subsets\":%s}", strcmp(subsets, "[]") == 0 ? "null" : subsets));
    }
}

static char *
slice_name(struct mh_sb_task *t, yyjson_val *service, int i)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    char tail[6];
    uint32_t h = 2166136261U + (uint32_t)i * 7919U;
    for (const char *s = mh_sb_uid_of(service); *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619U;
    for (int k = 0; k < 5; k++) {
        tail[k] = letters[h % (sizeof(letters) - 1)];
        h /= sizeof(letters) - 1;
    }
    tail[5] = '\0';
    return mh_sb_text(t, "%.57s-%s", t->name, tail);
}

static const char *
new_slice(struct mh_sb_task *t, yyjson_val *service, const char *name, const char *endpoints,
          const char *ports)
{
    bool headless = mh_str_eq(mh_json_str(service, "spec", "clusterIP", NULL), "None");
    const char *more = mh_sb_text(
        t, "\"" SLICE_LABEL "\":%s,\"endpointslice.kubernetes.io/managed-by\":\"" SLICE_BY "\"%s",
        mh_sb_quote(t, t->name), headless ? ",\"service.kubernetes.io/headless\":\"\"" : "");
    return mh_sb_text(
        t,
        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":"
        "%s,\"generateName\":%s,\"namespace\":%s,\"labels\":%s,\"ownerReferences\":[{"
        "\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":%s,\"uid\":%s,\"controller\":true,"
        "\"blockOwnerDeletion\":true}]},\"addressType\":\"IPv4\",\"endpoints\":%s,\"ports\":%s}",
        mh_sb_quote(t, name), mh_sb_quote(t, mh_sb_text(t, "%s-", t->name)), mh_sb_quote(t, t->ns),
        labels_text(t, service, more), mh_sb_quote(t, t->name),
        mh_sb_quote(t, mh_sb_uid_of(service)), endpoints, ports);
}

static void
write_slice(struct mh_sb_task *t, yyjson_val *service, int i, const char *endpoints,
            const char *ports)
{
    const char *name = slice_name(t, service, i);
    yyjson_val *old = name ? mh_sb_object(t->c, MH_SB_SLICES, t->ns, name) : NULL;
    if (!name || !endpoints || !ports) {
        mh_sb_failed(t);
        return;
    }
    if (old && !mh_sb_is_going(old)) {
        if (differs(t, yyjson_obj_get(old, "endpoints"), endpoints) ||
            differs(t, yyjson_obj_get(old, "ports"), ports))
            mh_sb_ctl_write(
                t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_SLICES, t->ns, name, NULL),
                MH_PATCH_MERGE, mh_sb_text(t, "{\"endpoints\":%s,\"ports\":%s}", endpoints, ports));
        return;
    }
    mh_sb_ctl_write(t, "POST", mh_sb_path(t->c, &t->arena, MH_SB_SLICES, t->ns, NULL, NULL), NULL,
                    new_slice(t, service, name, endpoints, ports));
}

static void
write_slices(struct mh_sb_task *t, yyjson_val *service, const struct mh_sb_member *all, size_t n)
{
    static const struct mh_sb_member none;
    int made = 0;
    for (size_t i = 0; i < n && made < SLICES_MAX; i++) {
        if (is_first(all, i))
            write_slice(t, service, made++, slice_text(t, all, n, i),
                        ports_text(t, service, &all[i]));
    }
    if (made == 0)
        write_slice(t, service, made++, "[]", ports_text(t, service, &none));
    for (; made < SLICES_MAX; made++) {
        const char *name = slice_name(t, service, made);
        yyjson_val *old = name ? mh_sb_object(t->c, MH_SB_SLICES, t->ns, name) : NULL;
        if (old && !mh_sb_is_going(old))
            mh_sb_ctl_delete(t, MH_SB_SLICES, old, -1);
    }
}

static void
gone(struct mh_sb_task *t)
{
    yyjson_val *left = mh_sb_object(t->c, MH_SB_ENDPOINTS, t->ns, t->name);
    const char *by =
        mh_json_str(left, "metadata", "labels", "endpoints.kubernetes.io/managed-by", NULL);
    mh_sb_service_drop(t->c, t->ns, t->name);
    if (by && !mh_sb_is_going(left))
        mh_sb_ctl_delete(t, MH_SB_ENDPOINTS, left, -1);
}

void
mh_sb_endpoints_sync(struct mh_sb_task *t)
{
    yyjson_val *service = mh_sb_object(t->c, MH_SB_SERVICES, t->ns, t->name);
    yyjson_val *selector = mh_json_get(service, "spec", "selector", NULL);
    size_t n;
    if (!service || mh_sb_is_going(service) ||
        mh_str_eq(mh_json_str(service, "spec", "type", NULL), "ExternalName")) {
        gone(t);
        return;
    }
    bool own = yyjson_obj_size(selector) > 0;
    struct mh_sb_member *all = own ? from_pods(t, service, &n) : from_endpoints(t, service, &n);
    if (!all) {
        mh_sb_failed(t);
        return;
    }
    mh_sb_service_set(t->c, service, all, n);
    if (!own)
        return;
    write_endpoints(t, service, subsets_text(t, service, all, n));
    write_slices(t, service, all, n);
}

/* --- hooks ----------------------------------------------------------------------------------- */

MH_SB_HOOK(mh_sb_endpoints_service_hook)
{
    mh_sb_touch_object(c, MH_SB_W_ENDPOINTS, now ? now : old);
}

static void
touch_services(struct mh_sb_control *c, yyjson_val *pod)
{
    const char *cluster = mh_json_str(pod, "metadata", "labels", MH_SB_CLUSTER_LABEL, NULL);
    const char *groups[] = { cluster, "" };
    for (int g = cluster ? 0 : 1; g < 2; g++) {
        struct mh_sb_item *i = mh_sb_group(c, MH_SB_SERVICES, mh_sb_ns(pod), groups[g]);
        for (; i; i = i->next) {
            if (selected(mh_json_get(i->object, "spec", "selector", NULL),
                         mh_json_get(pod, "metadata", "labels", NULL)))
                mh_sb_touch_object(c, MH_SB_W_ENDPOINTS, i->object);
        }
    }
}

/* What of a pod a Service sees. */
static bool
looks_same(yyjson_val *a, yyjson_val *b)
{
    return mh_sb_pod_ready(a) == mh_sb_pod_ready(b) && mh_sb_is_going(a) == mh_sb_is_going(b) &&
           mh_sb_pod_finished(a) == mh_sb_pod_finished(b) &&
           mh_sb_same(mh_json_get(a, "status", "podIP", NULL),
                      mh_json_get(b, "status", "podIP", NULL)) &&
           mh_sb_same(mh_json_get(a, "metadata", "labels", NULL),
                      mh_json_get(b, "metadata", "labels", NULL)) &&
           mh_str_eq(mh_sb_uid_of(a), mh_sb_uid_of(b));
}

MH_SB_HOOK(mh_sb_endpoints_pod_hook)
{
    if (old && now && looks_same(old, now))
        return;
    if (old)
        touch_services(c, old);
    if (now)
        touch_services(c, now);
}

/* Somebody changed what we wrote, or the endpoints of a Service without a selector. */
MH_SB_HOOK(mh_sb_endpoints_own_hook)
{
    yyjson_val *o = now ? now : old;
    const char *service = mh_json_str(o, "metadata", "labels", SLICE_LABEL, NULL);
    if (mh_str_eq(mh_json_str(o, "kind", NULL), "Endpoints"))
        service = mh_sb_name(o);
    if (service)
        mh_sb_touch(c, MH_SB_W_ENDPOINTS, mh_sb_ns(o), service);
}
