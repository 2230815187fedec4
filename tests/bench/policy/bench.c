/* bench_policy [DECISIONS [RELOADS]]: a decision with 5 KB of input through the worker, beside a worker that does
 * nothing with the same messages; what policies and plugins cost in memory, and what reloading them leaves.
 * "policy-worker" and "noop" are what it starts itself as. */
#include "bench/policy/bench.h"

#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "lua/pool.h"
#include "lua/worker.h"

#define CANDIDATES 31
#define WARM 200
#define ANSWER "{\"action\":\"promote\",\"order\":[\"pg-1\"],\"target\":\"pg-1\"}"

const char mh_bench_text[] =
    "-- Number %d of many. Prefer the zones of the applications, then those that lose nothing, "
    "then\n"
    "-- those that have least to replay; who is behind by more than a limit is no candidate, and "
    "when\n"
    "-- nobody is left, or the only ones are in a zone that is to be emptied, somebody has to "
    "look.\n"
    "return policy 'failover/v1' {\n"
    "  params = { zones = list(str), max_lag = bytes(67108864), patience = int(10) },\n"
    "\n"
    "  decide = function(ctx)\n"
    "    local place, ranked, late = {}, {}, 0\n"
    "    for i, zone in ipairs(ctx.params.zones) do\n"
    "      place[zone] = i\n"
    "    end\n"
    "    for _, c in ipairs(ctx.candidates) do\n"
    "      if c.replay_lag <= ctx.params.max_lag then\n"
    "        -- true and the lower number come first\n"
    "        ranked[#ranked + 1] = { name = c.name, key = { place[c.zone or ''] or 99, c.sync, "
    "c.replay_lag } }\n"
    "      else\n"
    "        late = late + 1\n"
    "      end\n"
    "    end\n"
    "    if #ranked == 0 and late > 0 then\n"
    "      return hold { reason = 'AllBehind', message = late .. ' replicas are too far behind',\n"
    "        until_s = ctx.params.patience }\n"
    "    elseif #ranked == 0 then\n"
    "      return hold('NoCandidate', 'nobody can take over yet')\n"
    "    end\n"
    "    return promote(rank(ranked))\n"
    "  end,\n"
    "}\n";

static char script[4096];
static char input[16384];
static struct event_base *base;

/* --- the worker that does nothing --------------------------------------------------------------- */

static bool
read_all(char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = read(MH_WORKER_FD, p, n);
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static int
noop(void)
{
    static const char ready[] = { 5, 0, 0, 0, 'r', 'e', 'a', 'd', 'y' };
    static const char text[] = "{\"ok\":true,\"answer\":" ANSWER "}";
    static char job[MH_FRAME_MAX];
    char head[4];
    char out[4 + sizeof(text) - 1] = { (char)(sizeof(text) - 1) };
    memcpy(out + 4, text, sizeof(text) - 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)!write(MH_WORKER_FD, ready, sizeof(ready));
    while (read_all(head, 4)) {
        uint32_t n = 0;
        for (int i = 3; i >= 0; i--)
            n = n << 8 | (unsigned char)head[i];
        if (n > sizeof(job) || !read_all(job, n) ||
            write(MH_WORKER_FD, out, sizeof(out)) != (ssize_t)sizeof(out))
            return 1;
    }
    return 0;
}

/* --- decisions ------------------------------------------------------------------------------------ */

static void
make_texts(void)
{
    size_t n = (size_t)snprintf(input, sizeof(input), "{\"candidates\":[");
    for (int i = 1; i <= CANDIDATES; i++)
        n += (size_t)snprintf(input + n, sizeof(input) - n,
                              "%s{\"name\":\"pg-%d\",\"zone\":\"zone%d\",\"node\":\"node-%d."
                              "example.com\",\"sync\":%s,"
                              "\"timeline\":3,\"flush_lsn\":\"2/"
                              "%06X00\",\"replay_lag\":%d,\"ready\":true,\"priority\":0}",
                              i > 1 ? "," : "", i, i % 3 + 1, i, i % 2 ? "true" : "false", i * 4711,
                              i * 8192);
    (void)snprintf(input + n, sizeof(input) - n,
                   "],\"now\":1767225600,\"cluster\":{\"name\":\"pg\",\"namespace\":\"app\","
                   "\"instances\":%d,\"labels\":{}},\"reason\":\"the primary failed\"}",
                   CANDIDATES + 1);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(script, sizeof(script), mh_bench_text, 1);
#pragma GCC diagnostic pop
}

static int64_t
now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
on_done(struct mh_policy_call *call)
{
    *(bool *)call->arg = true;
}

/* Nanoseconds of one decision; -1: it failed. *inside: of those, as the worker says. */
static int64_t
decide(struct mh_pool *pool, int64_t *inside)
{
    struct mh_arena a;
    bool done = false;
    mh_arena_init(&a, (size_t)16 << 20);
    struct mh_policy_call call = { .arena = &a, .done = on_done, .arg = &done };
    call.job = (struct mh_policy_job){ .op = MH_POLICY_DECIDE,
                                       .point = "failover/v1",
                                       .name = "failover.lua",
                                       .script = script,
                                       .script_len = strlen(script),
                                       .params = "zones: [zone2, zone1]",
                                       .params_len = 21,
                                       .input = input,
                                       .input_len = strlen(input) };
    int64_t t0 = now_ns();
    mh_policy_start(pool, &call);
    while (!done)
        (void)event_base_loop(base, EVLOOP_ONCE);
    int64_t took = now_ns() - t0;
    if (!call.result.ok)
        printf("# a decision failed: %s\n", call.result.error.message);
    took = call.result.ok ? took : -1;
    *inside = call.result.took_us * 1000;
    mh_arena_release(&a);
    return took;
}

static int
by_size(const void *x, const void *y)
{
    const int64_t *a = x;
    const int64_t *b = y;
    return *a < *b ? -1 : *a > *b;
}

static double
quantile_us(const int64_t *sorted, int n, double q)
{
    return (double)sorted[(int)((n - 1) * q)] / 1e3;
}

static void
report(const char *what, int64_t *times, int n)
{
    qsort(times, (size_t)n, sizeof(*times), by_size);
    printf("%s: p50 %.0f us, p90 %.0f us, p99 %.0f us, most %.0f us\n", what,
           quantile_us(times, n, 0.5), quantile_us(times, n, 0.9), quantile_us(times, n, 0.99),
           quantile_us(times, n, 1.0));
}

static struct mh_pool *
pool_of(const char *self, const char *mode)
{
    static const char *argv[2][3];
    static int n;
    const char **v = argv[n++ % 2];
    v[0] = self;
    v[1] = mode;
    struct mh_pool *pool = mh_pool_new(base, &(struct mh_pool_options){ .argv = v });
    for (int i = 0; pool && i < 5000 && mh_pool_alive(pool) == 0; i++) {
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        (void)usleep(1000);
    }
    return pool;
}

/* One real decision and one of nothing in turn, so that both meet the same machine. */
static bool
bench_decisions(const char *self, int n)
{
    base = event_base_new();
    struct mh_pool *real = pool_of(self, "policy-worker");
    struct mh_pool *nothing = pool_of(self, "noop");
    int64_t *times = mh_calloc(3 * (size_t)n, sizeof(*times));
    bool ok = times && real && nothing;
    int failed = 0;
    for (int i = -WARM; ok && i < n;) {
        int64_t inside = 0;
        int64_t a = decide(nothing, &inside);
        int64_t b = decide(real, &inside);
        if (i >= 0) {
            times[i] = a;
            times[n + i] = b;
            times[2 * n + i] = inside;
        }
        if (a >= 0 && b >= 0)
            i++;
        else
            ok = ++failed <= WARM; /* a machine that is too busy for one deadline */
    }
    if (failed)
        printf("# %d decisions were not over at their deadline and are not counted\n", failed);
    if (ok) {
        printf("# %d decisions each, in turn: input %zu bytes, script %zu bytes, one loop, one "
               "pool of "
               "workers each\n",
               n, strlen(input), strlen(script));
        report("a worker that does nothing (messages both ways, guard)", times, n);
        report("a decision through the worker (goal: p50 200 us, p99 1000 us)", times + n, n);
        report("of that in the worker, from the job to the answer", times + 2 * (size_t)n, n);
    }
    mh_free(times);
    mh_pool_free(real);
    mh_pool_free(nothing);
    event_base_free(base);
    return ok;
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "policy-worker") == 0)
        return mh_worker_main();
    if (argc == 2 && strcmp(argv[1], "noop") == 0)
        return noop();
    int decisions =
        argc > 1 ? atoi(argv[1]) : 5000;            /* lint: allow banned: numbers of a developer */
    int reloads = argc > 2 ? atoi(argv[2]) : 10000; /* lint: allow banned: numbers of a developer */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    mh_log_set_fd(-1);
    make_texts();
    bool ok = mh_bench_loaded("/proc/self/exe");
    ok = bench_decisions("/proc/self/exe", decisions > 0 ? decisions : 1) && ok;
    ok = mh_bench_reloads(reloads) && ok;
    return ok ? 0 : 1;
}
