/* node_object.c - what a kubelet says of its machine: the Node object, its status, its Lease. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "sandbox/node_in.h"

#define BEAT_NS MH_NS_PER_S /* shorter than the real 10 s, as the grace period is */
#define STATUS_EVERY 60     /* beats */
#define LEASE_SECONDS 5

#if defined(__aarch64__)
#define MH_SB_ARM 1
#else
#define MH_SB_ARM 0
#endif

enum { STEP_NODE, STEP_STATUS, STEP_LEASE, STEP_MADE };

static void beat(void *arg);

static const char *
addresses(const struct mh_sb_node *node, struct mh_arena *a)
{
    return mh_arena_printf(a,
                           "[{\"type\":\"InternalIP\",\"address\":\"127.%d.%d.1\"},"
                           "{\"type\":\"Hostname\",\"address\":\"%s\"}]",
                           node->nodes->spec.n, 16 + node->index, node->name);
}

static const char *
node_body(const struct mh_sb_node *node, struct mh_arena *a)
{
    return mh_arena_printf(
        a,
        "{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\",\"labels\":{"
        "\"kubernetes.io/hostname\":\"%s\",\"kubernetes.io/os\":\"linux\","
        "\"kubernetes.io/arch\":\"%s\",\"beta.kubernetes.io/os\":\"linux\","
        "\"beta.kubernetes.io/arch\":\"%s\","
        "\"topology.kubernetes.io/zone\":\"zone%d\",\"topology.kubernetes.io/region\":\"sandbox\"}}"
        "}",
        node->name, node->name, MH_SB_ARM ? "arm64" : "amd64", MH_SB_ARM ? "arm64" : "amd64",
        node->index + 1);
}

static const char *
condition(struct mh_arena *a, const char *type, const char *status, const char *reason,
          const char *message, const char *now)
{
    return mh_arena_printf(
        a,
        "{\"type\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\",\"message\":\"%s\","
        "\"lastHeartbeatTime\":\"%s\",\"lastTransitionTime\":\"%s\"}",
        type, status, reason, message, now, now);
}

static const char *
status_body(const struct mh_sb_node *node, struct mh_arena *a)
{
    char now[MH_TIME_TEXT];
    struct sysinfo s;
    struct utsname u;
    mh_time_rfc3339(now, mh_sb_wall(node->nodes) / 1000000);
    if (sysinfo(&s) != 0 || uname(&u) != 0)
        return NULL;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned long long kib = (unsigned long long)s.totalram * s.mem_unit >> 10;
    /* Many containers share few processors here: requests are not what limits them. */
    const char *size = mh_arena_printf(
        a,
        "{\"cpu\":\"%ld\",\"memory\":\"%lluKi\",\"pods\":\"%d\",\"ephemeral-storage\":\"100Gi\"}",
        cpus < 4 ? 4 : cpus, kib, 250);
    return mh_arena_printf(
        a,
        "{\"status\":{\"addresses\":%s,\"capacity\":%s,\"allocatable\":%s,\"conditions\":["
        "%s,%s,%s,%s],\"nodeInfo\":{\"architecture\":\"%s\",\"bootID\":\"sandbox\","
        "\"containerRuntimeVersion\":\"sandbox://" MH_VERSION "\",\"kernelVersion\":\"%s\","
        "\"kubeProxyVersion\":\"\",\"kubeletVersion\":\"v1.33.0+moonherd\",\"machineID\":\"%s\","
        "\"operatingSystem\":\"linux\",\"osImage\":\"moonherd sandbox\",\"systemUUID\":\"%s\"},"
        "\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":10250}}}}",
        addresses(node, a), size, size,
        condition(a, "MemoryPressure", "False", "KubeletHasSufficientMemory",
                  "kubelet has sufficient memory available", now),
        condition(a, "DiskPressure", "False", "KubeletHasNoDiskPressure",
                  "kubelet has no disk pressure", now),
        condition(a, "PIDPressure", "False", "KubeletHasSufficientPID",
                  "kubelet has sufficient PID available", now),
        condition(a, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now),
        MH_SB_ARM ? "arm64" : "amd64", u.release, node->name, node->name);
}

static const char *
lease_body(const struct mh_sb_node *node, struct mh_arena *a)
{
    char now[MH_TIME_TEXT];
    mh_time_rfc3339_micro(now, mh_sb_wall(node->nodes));
    return mh_arena_printf(a,
                           "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\","
                           "\"metadata\":{\"name\":\"%s\",\"namespace\":\"kube-node-lease\"},"
                           "\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%d,"
                           "\"renewTime\":\"%s\"}}",
                           node->name, node->name, LEASE_SECONDS, now);
}

static void
later(struct mh_sb_node *node, int64_t ns)
{
    const struct mh_clock *k = &node->nodes->spec.clock;
    if (node->beat)
        k->cancel(k->self, node->beat);
    node->beat = node->off ? NULL : k->after(k->self, ns, beat, node);
}

static void
on_done(struct mh_api_call *call)
{
    struct mh_sb_node *node = call->arg;
    node->calling = false;
    bool there = call->err.code == MH_OK || call->err.code == MH_E_EXISTS || call->status == 409;
    bool missing = call->err.code == MH_E_NOTFOUND;
    if (call->err.code && !there)
        mh_log_err(MH_LOG_WARNING, "node", "what a node says was refused", &call->err, "node",
                   node->name);
    mh_arena_release(&node->call_arena);
    if (node->step == STEP_LEASE) {
        node->beats++;
        if (missing)
            node->has_lease = false;
        else if (there)
            node->has_lease = true;
        if (node->beats % STATUS_EVERY == 0 || (missing && !node->ready))
            node->step = STEP_NODE;
        later(node, missing ? 0 : BEAT_NS);
        return;
    }
    if (!there) {
        node->step = STEP_NODE;
        later(node, BEAT_NS / 5);
        return;
    }
    node->step++;
    node->ready = node->step == STEP_LEASE;
    later(node, 0);
}

static void
beat(void *arg)
{
    struct mh_sb_node *node = arg;
    struct mh_arena *a = &node->call_arena;
    const char *path;
    const char *body;
    const char *method = "POST";
    node->beat = NULL;
    if (node->calling)
        return;
    if (node->step == STEP_NODE) {
        path = "/api/v1/nodes";
        body = node_body(node, a);
    } else if (node->step == STEP_STATUS) {
        method = "PATCH";
        path = mh_arena_printf(a, "/api/v1/nodes/%s/status", node->name);
        body = status_body(node, a);
    } else {
        method = node->has_lease ? "PATCH" : "POST";
        path =
            mh_arena_printf(a, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases%s%s",
                            node->has_lease ? "/" : "", node->has_lease ? node->name : "");
        body = lease_body(node, a);
    }
    if (!path || !body) {
        mh_arena_release(a);
        later(node, BEAT_NS);
        return;
    }
    node->call =
        (struct mh_api_call){ .method = method,
                              .path = path,
                              .content_type =
                                  *method == 'P' && method[1] == 'A' ? MH_PATCH_MERGE : NULL,
                              .body = body,
                              .body_len = strlen(body),
                              .arena = a,
                              .done = on_done,
                              .arg = node };
    node->calling = true;
    node->nodes->spec.api.start(node->nodes->spec.api.self, &node->call);
}

void
mh_sb_node_begin(struct mh_sb_node *node)
{
    mh_arena_init(&node->call_arena, (size_t)1 << 20);
    node->step = STEP_NODE;
    later(node, 0);
}

void
mh_sb_node_end(struct mh_sb_node *node)
{
    if (!node->nodes)
        return;
    const struct mh_clock *k = &node->nodes->spec.clock;
    if (node->beat)
        k->cancel(k->self, node->beat);
    node->beat = NULL;
    if (node->calling)
        node->nodes->spec.api.cancel(node->nodes->spec.api.self, &node->call);
    node->calling = false;
    mh_arena_release(&node->call_arena);
}
