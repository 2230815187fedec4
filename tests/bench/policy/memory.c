/* What scripts cost in memory: loaded, and after thousands of reloads. */
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "bench/policy/bench.h"
#include "lua/policy_store.h"
#include "lua/pool.h"
#include "lua/task.h"

#define POLICIES 200
#define PLUGINS 10
#define WARM 300
#define MIB (1024.0 * 1024.0)

static const char plugin[] =
    "-- Plugin %d: a role of a database for each object.\n"
    "local function named(list)\n"
    "  local out = {}\n"
    "  for _, r in ipairs(list) do out[r.name] = r end\n"
    "  return out\n"
    "end\n"
    "return controller 'PgRole' {\n"
    "  owns = { 'Secret' }, watches = { 'Cluster' },\n"
    "  observe = function(ctx, role)\n"
    "    local cluster = ctx.get('Cluster', role.metadata.namespace, role.spec.cluster)\n"
    "    return { role = role, cluster = cluster, now = ctx.now }\n"
    "  end,\n"
    "  plan = function(seen)\n"
    "    local actions, have = array {}, named(seen.roles or {})\n"
    "    local want = seen.role.spec\n"
    "    if not seen.cluster then return { actions = actions, reason = 'no cluster ' .. "
    "want.cluster } end\n"
    "    if not have[want.name] then\n"
    "      actions:add { op = 'event', type = 'Normal', reason = 'Created', note = 'role ' .. "
    "want.name }\n"
    "    end\n"
    "    for _, g in ipairs(want.member_of or {}) do\n"
    "      actions:add { op = 'event', type = 'Normal', reason = 'Granted', note = g }\n"
    "    end\n"
    "    return { actions = actions, status = { ready = true }, reason = 'as asked', requeue_s = "
    "60 }\n"
    "  end,\n"
    "}\n";

static struct event_base *base;
static int told;

static void
on_news(void *arg, const struct mh_policy_news *n)
{
    (void)arg;
    told += n->reason && strcmp(n->reason, "PolicyActive") == 0 ? 1 : 0;
}

static double
resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        (void)fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double
now_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void
number(char *out, size_t size, const char *text, int n)
{
    (void)snprintf(out, size, text, n);
}
#pragma GCC diagnostic pop

/* A ConfigMap with one policy, as it comes from the API server. */
static bool
apply(struct mh_policies *s, const char *ns, int version)
{
    struct mh_arena a;
    char text[4096];
    yyjson_val *v = NULL;
    mh_arena_init(&a, (size_t)1 << 20);
    number(text, sizeof(text), mh_bench_text, version);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    yyjson_mut_val *labels = yyjson_mut_obj_add_obj(doc, meta, "labels");
    yyjson_mut_val *data = yyjson_mut_obj_add_obj(doc, root, "data");
    yyjson_mut_obj_add_str(doc, meta, "namespace", ns);
    yyjson_mut_obj_add_str(doc, meta, "name", "who-first");
    yyjson_mut_obj_add_str(doc, meta, "uid", ns);
    yyjson_mut_obj_add_str(doc, meta, "creationTimestamp", "2026-01-01T00:00:00Z");
    yyjson_mut_obj_add_str(doc, labels, MH_POLICY_LABEL, "");
    yyjson_mut_obj_add_str(doc, data, "failover.lua", text);
    yyjson_mut_obj_add_str(doc, data, "failover.params.yaml", "zones: [zone2, zone1]");
    size_t len = 0;
    char *json = mh_json_mut_text(&a, root, &len);
    bool ok = json && mh_json_parse(&a, json, len, &v, NULL) == MH_OK &&
              mh_policies_update(s, v, NULL) == MH_OK;
    mh_arena_release(&a);
    return ok;
}

static void
turn_until(int active, double seconds)
{
    double end = now_s() + seconds;
    while (told < active && now_s() < end) {
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (told < active)
            (void)usleep(50);
    }
}

static struct mh_controller *
load_plugin(int n)
{
    char text[4096];
    char name[32];
    struct mh_controller *c = NULL;
    struct mh_err err = { .code = MH_OK };
    number(text, sizeof(text), plugin, n);
    number(name, sizeof(name), "plugin-%d", n);
    if (mh_controller_new_text(name, text, strlen(text), &c, &err) != MH_OK)
        printf("# %s\n", err.msg);
    return c;
}

bool
mh_bench_loaded(const char *self)
{
    const char *argv[] = { self, "policy-worker", NULL };
    struct mh_controller *plugins[PLUGINS] = { NULL };
    base = event_base_new();
    struct mh_pool *pool =
        mh_pool_new(base, &(struct mh_pool_options){ .argv = argv, .deadline_ms = 2000 });
    struct mh_policies *s = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    told = 0;
    bool ok = apply(s, "warm", 0); /* what the first of all costs is no cost of many */
    turn_until(1, 30);
    mh_controller_free(load_plugin(0));
    double before = resident();
    for (int i = 0; i < POLICIES; i++) {
        char ns[32];
        (void)snprintf(ns, sizeof(ns), "team-%d", i);
        ok = apply(s, ns, i) && ok;
    }
    turn_until(POLICIES + 1, 120);
    double policies = resident() - before;
    for (int i = 0; i < PLUGINS; i++)
        plugins[i] = load_plugin(i);
    double all = resident() - before;
    printf("# %d policies of %zu bytes in %d namespaces (%d are active), %d plugins of %zu bytes; "
           "growth of the "
           "resident memory of the process that has them, workers apart\n",
           POLICIES, strlen(mh_bench_text), POLICIES, told - 1, PLUGINS, strlen(plugin));
    printf("200 policies and 10 plugins (goal: 16 MiB): %.2f MiB, of which policies %.2f MiB\n",
           all / MIB, policies / MIB);
    ok = ok && told == POLICIES + 1;
    for (int i = 0; i < PLUGINS; i++)
        mh_controller_free(plugins[i]);
    mh_policies_free(s);
    mh_pool_free(pool);
    event_base_free(base);
    return ok;
}

static bool
reload_policies(int n)
{
    base = event_base_new();
    struct mh_pool *pool = mh_pool_new(base, &(struct mh_pool_options){ .in_process = true });
    struct mh_policies *s = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    double before = 0;
    double t0 = 0;
    bool ok = true;
    told = 0;
    for (int i = 0; ok && i < WARM + n; i++) {
        if (i == WARM) {
            before = resident();
            t0 = now_s();
        }
        ok = apply(s, "app", i);
        turn_until(i + 1, 10);
        ok = ok && told == i + 1;
    }
    double took = now_s() - t0;
    printf("%d reloads of a policy, all checks in this process, ring empty (goal: 1 MiB): %.2f MiB "
           "more; %.2f ms "
           "each\n",
           n, (resident() - before) / MIB, took * 1e3 / n);
    mh_policies_free(s);
    mh_pool_free(pool);
    event_base_free(base);
    return ok;
}

static bool
reload_plugin(int n)
{
    struct mh_controller *c = load_plugin(1);
    double before = 0;
    bool ok = c != NULL;
    for (int i = 0; ok && i < WARM + n; i++) {
        if (i == WARM)
            before = resident();
        ok = mh_controller_reload(c, NULL) == MH_OK;
    }
    printf("%d reloads of a plugin (goal: 1 MiB): %.2f MiB more\n", n, (resident() - before) / MIB);
    mh_controller_free(c);
    return ok;
}

bool
mh_bench_reloads(int n)
{
    bool ok = n <= 0 || reload_policies(n);
    return (n <= 0 || reload_plugin(n)) && ok;
}
