/* Cells of pods, nodes, services, workloads, events. */
#include <string.h>

#include "base/str.h"
#include "base/time.h"
#include "sandbox/jsonpath.h"
#include "sandbox/table.h"

#define TEXT_MAX ((size_t)64 << 10)

static yyjson_mut_val *
finish(const struct mh_sb_row *row, struct mh_buf *b, const char *none)
{
    yyjson_mut_val *v = mh_sb_cell_string(row, b->len ? mh_buf_text(b) : none);
    mh_buf_release(b);
    return v;
}

static const char *
since(const struct mh_sb_row *row, const char *text)
{
    int64_t us = 0;
    if (!text || !mh_time_parse(text, &us))
        return "<unknown>";
    return mh_sb_human_duration(row->a, row->now - us / 1000000);
}

/* --- pods ------------------------------------------------------------------------------------ */

static yyjson_val *
status_of(yyjson_val *list, const char *name)
{
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *s = yyjson_arr_get(list, i);
        if (mh_str_eq(mh_json_str(s, "name", NULL), name))
            return s;
    }
    return NULL;
}

static bool
is_sidecar(yyjson_val *container)
{
    return mh_str_eq(mh_json_str(container, "restartPolicy", NULL), "Always");
}

yyjson_mut_val *
mh_sb_cell_ready(const struct mh_sb_row *row, const char *arg)
{
    size_t total = 0;
    int ready = 0;
    static const char *const lists[][2] = { { "initContainers", "initContainerStatuses" },
                                            { "containers", "containerStatuses" } };
    (void)arg;
    for (size_t l = 0; l < 2; l++) {
        yyjson_val *list = mh_json_get(row->obj, "spec", lists[l][0], NULL);
        yyjson_val *states = mh_json_get(row->obj, "status", lists[l][1], NULL);
        for (size_t i = 0; i < yyjson_arr_size(list); i++) {
            yyjson_val *c = yyjson_arr_get(list, i);
            if (l == 0 && !is_sidecar(c))
                continue;
            total++;
            yyjson_val *s = status_of(states, mh_json_str(c, "name", NULL));
            ready += mh_json_bool(s, false, "ready", NULL) &&
                     (l == 0 || mh_json_get(s, "state", "running", NULL));
        }
    }
    return mh_sb_cell_string(row, mh_arena_printf(row->a, "%d/%zu", ready, total));
}

/* "Completed", "Error", "Signal:9", "ExitCode:1" of a terminated state. */
static const char *
ended(const struct mh_sb_row *row, yyjson_val *t)
{
    const char *reason = mh_json_str(t, "reason", NULL);
    int64_t sig = mh_json_int(t, 0, "signal", NULL);
    if (reason && *reason)
        return reason;
    if (sig)
        return mh_arena_printf(row->a, "Signal:%lld", (long long)sig);
    return mh_arena_printf(row->a, "ExitCode:%lld", (long long)mh_json_int(t, 0, "exitCode", NULL));
}

/* The first init container that is not done; NULL: all are. */
static const char *
init_reason(const struct mh_sb_row *row)
{
    yyjson_val *list = mh_json_get(row->obj, "spec", "initContainers", NULL);
    yyjson_val *states = mh_json_get(row->obj, "status", "initContainerStatuses", NULL);
    size_t n = yyjson_arr_size(list);
    for (size_t i = 0; i < yyjson_arr_size(states); i++) {
        yyjson_val *s = yyjson_arr_get(states, i);
        yyjson_val *t = mh_json_get(s, "state", "terminated", NULL);
        const char *waits = mh_json_str(s, "state", "waiting", "reason", NULL);
        if (t && mh_json_int(t, 1, "exitCode", NULL) == 0)
            continue;
        if (is_sidecar(yyjson_arr_get(list, i)) && mh_json_bool(s, false, "started", NULL))
            continue;
        if (t)
            return mh_arena_printf(row->a, "Init:%s", ended(row, t));
        if (waits && *waits && strcmp(waits, "PodInitializing") != 0)
            return mh_arena_printf(row->a, "Init:%s", waits);
        return mh_arena_printf(row->a, "Init:%zu/%zu", i, n);
    }
    return NULL;
}

static bool
condition_true(yyjson_val *obj, const char *type)
{
    yyjson_val *list = mh_json_get(obj, "status", "conditions", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *c = yyjson_arr_get(list, i);
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return mh_str_eq(mh_json_str(c, "status", NULL), "True");
    }
    return false;
}

static const char *
containers_reason(const struct mh_sb_row *row, const char *reason)
{
    yyjson_val *states = mh_json_get(row->obj, "status", "containerStatuses", NULL);
    bool running = false;
    for (size_t i = yyjson_arr_size(states); i > 0; i--) {
        yyjson_val *s = yyjson_arr_get(states, i - 1);
        const char *waits = mh_json_str(s, "state", "waiting", "reason", NULL);
        yyjson_val *t = mh_json_get(s, "state", "terminated", NULL);
        if (waits && *waits)
            reason = waits;
        else if (t)
            reason = ended(row, t);
        else if (mh_json_bool(s, false, "ready", NULL) && mh_json_get(s, "state", "running", NULL))
            running = true;
    }
    if (mh_str_eq(reason, "Completed") && running)
        reason = condition_true(row->obj, "Ready") ? "Running" : "NotReady";
    return reason;
}

yyjson_mut_val *
mh_sb_cell_pod_status(const struct mh_sb_row *row, const char *arg)
{
    const char *reason = mh_sb_row_text(row, "status.reason");
    const char *init = init_reason(row);
    (void)arg;
    if (!reason || !*reason)
        reason = mh_sb_row_text(row, "status.phase");
    if (init)
        reason = init;
    else
        reason = containers_reason(row, reason);
    const char *phase = mh_sb_row_text(row, "status.phase");
    bool ended = mh_str_eq(phase, "Succeeded") || mh_str_eq(phase, "Failed");
    if (mh_json_get(row->obj, "metadata", "deletionTimestamp", NULL) && !ended)
        reason =
            mh_str_eq(mh_sb_row_text(row, "status.reason"), "NodeLost") ? "Unknown" : "Terminating";
    return mh_sb_cell_string(row, reason);
}

yyjson_mut_val *
mh_sb_cell_restarts(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *states = mh_json_get(row->obj, "status", "containerStatuses", NULL);
    int64_t count = 0;
    const char *last = NULL;
    (void)arg;
    for (size_t i = 0; i < yyjson_arr_size(states); i++) {
        yyjson_val *s = yyjson_arr_get(states, i);
        const char *at = mh_json_str(s, "lastState", "terminated", "finishedAt", NULL);
        count += mh_json_int(s, 0, "restartCount", NULL);
        if (at && (!last || strcmp(at, last) > 0))
            last = at;
    }
    if (count && last)
        return mh_sb_cell_string(
            row, mh_arena_printf(row->a, "%lld (%s ago)", (long long)count, since(row, last)));
    return mh_sb_cell_string(row, mh_arena_printf(row->a, "%lld", (long long)count));
}

yyjson_mut_val *
mh_sb_cell_gates(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *gates = mh_json_get(row->obj, "spec", "readinessGates", NULL);
    int met = 0;
    (void)arg;
    for (size_t i = 0; i < yyjson_arr_size(gates); i++) {
        const char *type = mh_json_str(yyjson_arr_get(gates, i), "conditionType", NULL);
        met += type && condition_true(row->obj, type);
    }
    if (!yyjson_arr_size(gates))
        return mh_sb_cell_string(row, "<none>");
    return mh_sb_cell_string(row, mh_arena_printf(row->a, "%d/%zu", met, yyjson_arr_size(gates)));
}

/* --- nodes ----------------------------------------------------------------------------------- */

yyjson_mut_val *
mh_sb_cell_node_status(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *list = mh_json_get(row->obj, "status", "conditions", NULL);
    const char *text = "Unknown";
    (void)arg;
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        if (mh_str_eq(mh_json_str(yyjson_arr_get(list, i), "type", NULL), "Ready"))
            text = condition_true(row->obj, "Ready") ? "Ready" : "NotReady";
    }
    if (mh_json_bool(row->obj, false, "spec", "unschedulable", NULL))
        text = mh_arena_printf(row->a, "%s,SchedulingDisabled", text);
    return mh_sb_cell_string(row, text);
}

yyjson_mut_val *
mh_sb_cell_node_roles(const struct mh_sb_row *row, const char *arg)
{
    static const char prefix[] = "node-role.kubernetes.io/";
    struct mh_buf b;
    size_t i;
    size_t max;
    yyjson_val *k;
    yyjson_val *v;
    (void)arg;
    mh_buf_init(&b, TEXT_MAX);
    yyjson_obj_foreach(mh_json_get(row->obj, "metadata", "labels", NULL), i, max, k, v)
    {
        const char *key = yyjson_get_str(k);
        if (strncmp(key, prefix, sizeof(prefix) - 1) == 0)
            mh_buf_printf(&b, "%s%s", b.len ? "," : "", key + sizeof(prefix) - 1);
    }
    return finish(row, &b, "<none>");
}

yyjson_mut_val *
mh_sb_cell_node_address(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *list = mh_json_get(row->obj, "status", "addresses", NULL);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *x = yyjson_arr_get(list, i);
        if (mh_str_eq(mh_json_str(x, "type", NULL), arg))
            return mh_sb_cell_string(row, mh_json_str(x, "address", NULL));
    }
    return mh_sb_cell_string(row, "<none>");
}

/* --- services and endpoints ------------------------------------------------------------------ */

yyjson_mut_val *
mh_sb_cell_ports(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *list = mh_json_get(row->obj, "spec", "ports", NULL);
    struct mh_buf b;
    (void)arg;
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *p = yyjson_arr_get(list, i);
        const char *protocol = mh_json_str(p, "protocol", NULL);
        int64_t node = mh_json_int(p, 0, "nodePort", NULL);
        mh_buf_printf(&b, "%s%lld", b.len ? "," : "", (long long)mh_json_int(p, 0, "port", NULL));
        if (node)
            mh_buf_printf(&b, ":%lld", (long long)node);
        mh_buf_printf(&b, "/%s", protocol ? protocol : "TCP");
    }
    return finish(row, &b, "<none>");
}

yyjson_mut_val *
mh_sb_cell_external(const struct mh_sb_row *row, const char *arg)
{
    const char *type = mh_sb_row_text(row, "spec.type");
    yyjson_val *ips = mh_json_get(row->obj, "spec", "externalIPs", NULL);
    (void)arg;
    if (mh_str_eq(type, "ExternalName"))
        return mh_sb_cell_text(row, "spec.externalName");
    if (yyjson_arr_size(ips))
        return mh_sb_cell_string(row, yyjson_get_str(yyjson_arr_get_first(ips)));
    return mh_sb_cell_string(row, mh_str_eq(type, "LoadBalancer") ? "<pending>" : "<none>");
}

/* The first three, and how many more. */
static void
put_some(struct mh_buf *b, int *n, const char *text)
{
    if (++*n <= 3)
        mh_buf_printf(b, "%s%s", b->len ? "," : "", text);
}

static yyjson_mut_val *
finish_some(const struct mh_sb_row *row, struct mh_buf *b, int n, const char *none)
{
    if (n > 3)
        mh_buf_printf(b, " + %d more...", n - 3);
    return finish(row, b, none);
}

yyjson_mut_val *
mh_sb_cell_endpoints(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *subsets = yyjson_obj_get(row->obj, "subsets");
    struct mh_buf b;
    int n = 0;
    (void)arg;
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(subsets); i++) {
        yyjson_val *s = yyjson_arr_get(subsets, i);
        yyjson_val *ports = yyjson_obj_get(s, "ports");
        yyjson_val *addresses = yyjson_obj_get(s, "addresses");
        for (size_t p = 0; p < yyjson_arr_size(ports); p++) {
            for (size_t j = 0; j < yyjson_arr_size(addresses); j++) {
                const char *ip = mh_json_str(yyjson_arr_get(addresses, j), "ip", NULL);
                int64_t port = mh_json_int(yyjson_arr_get(ports, p), 0, "port", NULL);
                char *text = mh_arena_printf(row->a, "%s:%lld", ip ? ip : "", (long long)port);
                put_some(&b, &n, text ? text : "");
            }
        }
    }
    return finish_some(row, &b, n, "<none>");
}

yyjson_mut_val *
mh_sb_cell_slice(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *list = yyjson_obj_get(row->obj, "endpoints");
    struct mh_buf b;
    int n = 0;
    (void)arg;
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        yyjson_val *addresses = yyjson_obj_get(yyjson_arr_get(list, i), "addresses");
        for (size_t j = 0; j < yyjson_arr_size(addresses); j++)
            put_some(&b, &n, yyjson_get_str(yyjson_arr_get(addresses, j)));
    }
    return finish_some(row, &b, n, "<unset>");
}

yyjson_mut_val *
mh_sb_cell_slice_ports(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *list = yyjson_obj_get(row->obj, "ports");
    struct mh_buf b;
    int n = 0;
    (void)arg;
    mh_buf_init(&b, TEXT_MAX);
    for (size_t i = 0; i < yyjson_arr_size(list); i++) {
        int64_t port = mh_json_int(yyjson_arr_get(list, i), 0, "port", NULL);
        char *text = port ? mh_arena_printf(row->a, "%lld", (long long)port) : NULL;
        put_some(&b, &n, text ? text : "*");
    }
    return finish_some(row, &b, n, "<unset>");
}

/* --- workloads ------------------------------------------------------------------------------- */

yyjson_mut_val *
mh_sb_cell_deployed(const struct mh_sb_row *row, const char *arg)
{
    (void)arg;
    return mh_sb_cell_string(
        row, mh_arena_printf(row->a, "%lld/%lld",
                             (long long)mh_json_int(row->obj, 0, "status", "readyReplicas", NULL),
                             (long long)mh_json_int(row->obj, 0, "spec", "replicas", NULL)));
}

yyjson_mut_val *
mh_sb_cell_completions(const struct mh_sb_row *row, const char *arg)
{
    long long done = mh_json_int(row->obj, 0, "status", "succeeded", NULL);
    long long want = mh_json_int(row->obj, -1, "spec", "completions", NULL);
    long long parallel = mh_json_int(row->obj, 0, "spec", "parallelism", NULL);
    (void)arg;
    if (want >= 0)
        return mh_sb_cell_string(row, mh_arena_printf(row->a, "%lld/%lld", done, want));
    if (parallel > 1)
        return mh_sb_cell_string(row, mh_arena_printf(row->a, "%lld/1 of %lld", done, parallel));
    return mh_sb_cell_string(row, mh_arena_printf(row->a, "%lld/1", done));
}

yyjson_mut_val *
mh_sb_cell_duration(const struct mh_sb_row *row, const char *arg)
{
    const char *from = mh_sb_row_text(row, "status.startTime");
    const char *to = mh_sb_row_text(row, "status.completionTime");
    int64_t begin = 0;
    int64_t end = row->now * 1000000;
    (void)arg;
    if (!from || !mh_time_parse(from, &begin))
        return mh_sb_cell_string(row, "");
    if (to)
        (void)mh_time_parse(to, &end);
    return mh_sb_cell_string(row, mh_sb_human_duration(row->a, (end - begin) / 1000000));
}

yyjson_mut_val *
mh_sb_cell_job_status(const struct mh_sb_row *row, const char *arg)
{
    static const char *const texts[] = { "Complete", "Failed", "SuccessCriteriaMet",
                                         "FailureTarget", "Suspended" };
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        if (condition_true(row->obj, texts[i]))
            return mh_sb_cell_string(row, texts[i]);
    }
    if (mh_json_get(row->obj, "metadata", "deletionTimestamp", NULL))
        return mh_sb_cell_string(row, "Terminating");
    for (size_t i = 2; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (condition_true(row->obj, texts[i]))
            return mh_sb_cell_string(row, texts[i]);
    }
    return mh_sb_cell_string(row, "Running");
}

/* --- events ---------------------------------------------------------------------------------- */

yyjson_mut_val *
mh_sb_cell_involved(const struct mh_sb_row *row, const char *arg)
{
    yyjson_val *o = yyjson_obj_get(row->obj, "involvedObject");
    (void)arg;
    if (!o)
        o = yyjson_obj_get(row->obj, "regarding");
    const char *kind = mh_json_str(o, "kind", NULL);
    const char *name = mh_json_str(o, "name", NULL);
    char *text = mh_arena_printf(row->a, "%s/%s", kind ? kind : "", name ? name : "");
    for (char *p = text; p && *p && *p != '/'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 32);
    }
    return mh_sb_cell_string(row, text);
}

yyjson_mut_val *
mh_sb_cell_source(const struct mh_sb_row *row, const char *arg)
{
    const char *component = mh_sb_row_text(row, "source.component");
    const char *host = mh_sb_row_text(row, "source.host");
    (void)arg;
    if (!component || !*component)
        component = mh_sb_row_text(row, "reportingComponent");
    if (!host || !*host)
        return mh_sb_cell_string(row, component);
    return mh_sb_cell_string(row,
                             mh_arena_printf(row->a, "%s, %s", component ? component : "", host));
}

yyjson_mut_val *
mh_sb_cell_seen(const struct mh_sb_row *row, const char *arg)
{
    const char *first = mh_sb_row_text(row, "firstTimestamp");
    const char *last = mh_sb_row_text(row, "lastTimestamp");
    const char *time = mh_sb_row_text(row, "eventTime");
    int64_t count = mh_json_int(row->obj, 0, "count", NULL);
    yyjson_val *series = yyjson_obj_get(row->obj, "series");
    if (series) {
        count = mh_json_int(series, count, "count", NULL);
        last = mh_json_str(series, "lastObservedTime", NULL);
    }
    if (strcmp(arg, "count") == 0)
        return yyjson_mut_sint(row->doc, count ? count : 1);
    if (!first)
        first = time;
    if (!last)
        last = first;
    return mh_sb_cell_string(row, since(row, strcmp(arg, "first") == 0 ? first : last));
}
