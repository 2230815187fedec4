/* live_print.c - the view of a sandbox as text for people. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/live.h"

static const char *
text(yyjson_val *o, const char *key)
{
    const char *s = mh_json_str(o, key, NULL);
    return s ? s : "-";
}

static void
ago(char out[32], int64_t s)
{
    if (s < 120)
        (void)snprintf(out, 32, "%llds", (long long)(s < 0 ? 0 : s));
    else if (s < 7200)
        (void)snprintf(out, 32, "%lldm", (long long)(s / 60));
    else
        (void)snprintf(out, 32, "%lldh", (long long)(s / 3600));
}

static void
bytes(char out[32], int64_t n)
{
    if (n < 0)
        (void)snprintf(out, 32, "-");
    else if (n < 10240)
        (void)snprintf(out, 32, "%lld B", (long long)n);
    else if (n < (10 << 20))
        (void)snprintf(out, 32, "%lld kB", (long long)(n >> 10));
    else
        (void)snprintf(out, 32, "%lld MB", (long long)(n >> 20));
}

/* Appends a line, cut to the width (0: whole). */
static void line(struct mh_buf *b, int width, const char *fmt, ...) MH_PRINTF(3, 4);

static void
line(struct mh_buf *b, int width, const char *fmt, ...)
{
    char t[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t, sizeof(t), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(t))
        n = (int)sizeof(t) - 1;
    if (width > 0 && n > width) {
        n = width;
        while (n > 0 && ((unsigned char)t[n] & 0xc0) == 0x80)
            n--;
    }
    (void)mh_buf_add(b, t, (size_t)n);
    (void)mh_buf_char(b, '\n');
}

static void
print_instance(yyjson_val *o, int width, struct mh_buf *b)
{
    char lag[32], timeline[24];
    bytes(lag, mh_json_int(o, -1, "lagBytes", NULL));
    (void)snprintf(timeline, sizeof(timeline), "%lld",
                   (long long)mh_json_int(o, 0, "timeline", NULL));
    bool answers = mh_json_bool(o, false, "answers", NULL);
    bool ready = mh_json_bool(o, false, "ready", NULL);
    const char *failure = mh_json_str(o, "failure", NULL);
    line(b, width, "    %-20s %-8s %-9s %-12s %-6s %-4s %-13s %-9s %-8s%s%s", text(o, "name"),
         text(o, "node"), text(o, "role"), answers ? text(o, "phase") : text(o, "pod"),
         ready ? "yes" : "no", answers ? timeline : "-", text(o, "lsn"), lag, text(o, "sync"),
         failure ? " " : "", failure ? failure : "");
}

static void
print_cluster(yyjson_val *c, int width, struct mh_buf *b)
{
    size_t i, n;
    yyjson_val *o, *lease = yyjson_obj_get(c, "lease");
    const char *why = mh_json_str(c, "reason", NULL);
    const char *candidate = mh_json_str(lease, "candidate", NULL);
    line(b, width, "%s", "");
    line(b, width, "  %s/%s: %lld of %lld ready, %s%s%s", text(c, "namespace"), text(c, "name"),
         (long long)mh_json_int(c, 0, "ready", NULL), (long long)mh_json_int(c, 0, "wanted", NULL),
         text(c, "phase"), why ? ": " : "", why ? why : "");
    if (lease)
        line(b, width, "    primary %s, term %lld, %s%s%s", text(lease, "holder"),
             (long long)mh_json_int(lease, 0, "term", NULL), text(lease, "phase"),
             candidate ? ", candidate " : "", candidate ? candidate : "");
    line(b, width, "    %-20s %-8s %-9s %-12s %-6s %-4s %-13s %-9s %s", "INSTANCE", "NODE", "ROLE",
         "STATE", "READY", "TLI", "LSN", "LAG", "SYNC");
    yyjson_arr_foreach(yyjson_obj_get(c, "instances"), i, n, o)
    {
        print_instance(o, width, b);
    }
    yyjson_val *decisions = yyjson_obj_get(c, "decisions");
    if (yyjson_arr_size(decisions) > 0)
        line(b, width, "    last decisions");
    yyjson_arr_foreach(decisions, i, n, o)
    {
        char when[32];
        ago(when, mh_json_int(o, 0, "secondsAgo", NULL));
        int64_t count = mh_json_int(o, 1, "count", NULL);
        char times[32] = "";
        if (count > 1)
            (void)snprintf(times, sizeof(times), " (%lld times)", (long long)count);
        line(b, width, "    %5s ago  %-22s %s%s", when, text(o, "what"), text(o, "why"), times);
    }
}

void
mh_sb_live_print(yyjson_val *view, int width, struct mh_buf *b)
{
    size_t i, n;
    yyjson_val *o, *s = yyjson_obj_get(view, "sandbox"),
                   *clusters = yyjson_obj_get(view, "clusters");
    char up[32];
    ago(up, mh_json_int(s, 0, "uptimeMs", NULL) / 1000);
    line(b, width, "sandbox %s, up %s, %lld nodes, operator %s, %s%s", text(s, "server"), up,
         (long long)mh_json_int(s, 0, "nodes", NULL),
         mh_json_bool(s, false, "operatorReady", NULL) ? "ready" : "not ready",
         mh_json_bool(s, false, "kept", NULL) ? "data in " : "nothing is kept",
         mh_json_bool(s, false, "kept", NULL) ? text(s, "directory") : "");
    yyjson_arr_foreach(yyjson_obj_get(s, "faults"), i, n, o)
    {
        line(b, width, "  fault: %s", yyjson_get_str(o));
    }
    if (yyjson_arr_size(clusters) == 0)
        line(b, width, "  no cluster yet: kubectl apply -f deploy/samples/cluster.yaml");
    yyjson_arr_foreach(clusters, i, n, o)
    {
        print_cluster(o, width, b);
    }
}
