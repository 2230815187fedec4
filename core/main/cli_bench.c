/* cli_bench.c - kubectl moonherd policy bench: decisions through a worker, one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "io/loop.h"
#include "lua/pool.h"
#include "main/cli_replay.h"

#define ROUNDS 500
#define WARM_UP 20

struct bench {
    struct mh_pool *pool;
    struct event_base *base;
    struct event *turn;
    struct mh_policy_job job;
    struct mh_policy_call call;
    struct mh_arena arena;
    int64_t *us;
    int n;
    int at;
    int64_t began;
    const char *failure; /* on the arena of the caller */
    struct mh_arena *keep;
};

static int64_t
now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
on_answer(struct mh_policy_call *call)
{
    struct bench *b = call->arg;
    static const struct timeval now = { 0, 0 };
    if (b->at >= 0)
        b->us[b->at] = now_us() - b->began;
    if (!call->result.ok && !b->failure)
        b->failure = mh_arena_strdup(b->keep, mh_policy_error_text(&b->arena, &call->result.error));
    b->at++;
    if (b->at == b->n || b->failure)
        event_base_loopbreak(b->base);
    else
        (void)evtimer_add(b->turn, &now);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct bench *b = arg;
    (void)fd, (void)what;
    mh_arena_release(&b->arena);
    mh_arena_init(&b->arena, (size_t)16 << 20);
    b->call =
        (struct mh_policy_call){ .job = b->job, .arena = &b->arena, .done = on_answer, .arg = b };
    b->began = now_us();
    mh_policy_start(b->pool, &b->call);
}

static int
by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Fills us[0..n), sorted; false with a message. */
static bool
measure(struct bench *b)
{
    static const struct timeval soon = { 0, 200000 }; /* workers start meanwhile */
    b->at = -WARM_UP;
    b->failure = NULL;
    (void)evtimer_add(b->turn, &soon);
    (void)event_base_dispatch(b->base);
    if (b->failure) {
        (void)mh_cli_fail("%s", b->failure);
        return false;
    }
    qsort(b->us, (size_t)b->n, sizeof(b->us[0]), by_size);
    return true;
}

static const char *
sample_input(const char *point)
{
    return strcmp(point, "failover/v1") == 0
               ? "{\"candidates\":[{\"name\":\"pg-2\",\"ready\":true,\"replay_lag\":0,\"sync\":"
                 "true,"
                 "\"timeline\":1,\"flush_lsn\":\"0/"
                 "3000060\",\"zone\":\"zone2\",\"node\":\"node2\"},"
                 "{\"name\":\"pg-3\",\"ready\":true,\"replay_lag\":16,\"sync\":true,\"timeline\":1,"
                 "\"flush_lsn\":\"0/3000050\",\"zone\":\"zone3\",\"node\":\"node3\"}],\"cluster\":{"
                 "\"name\":\"pg\",\"namespace\":\"web\",\"instances\":3},\"now\":1800000000,"
                 "\"reason\":\"the primary is gone\"}"
               : NULL;
}

/* The newest recorded input of the point. */
static const char *
recorded_input(struct mh_cli *c, const char *cluster, const char *point)
{
    yyjson_val *list =
        mh_json_get(mh_cli_record(c, mh_cli_namespace(c), cluster), "decisions", NULL);
    for (size_t n = yyjson_arr_size(list); n > 0; n--) {
        yyjson_val *d = yyjson_arr_get(list, n - 1);
        yyjson_val *input = yyjson_obj_get(d, "input");
        if (input && mh_str_eq(mh_json_str(d, "point", NULL), point))
            return mh_json_canonical(&c->arena, input, NULL);
    }
    return NULL;
}

static void
add_figures(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *name, const struct bench *b)
{
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, name);
    (void)yyjson_mut_obj_add_int(doc, o, "p50_us", b->us[b->n / 2]);
    (void)yyjson_mut_obj_add_int(doc, o, "p99_us", b->us[b->n * 99 / 100]);
    (void)yyjson_mut_obj_add_int(doc, o, "max_us", b->us[b->n - 1]);
}

static void
print_figures(const char *name, const struct bench *b)
{
    printf("%-24s p50 %lld us, p99 %lld us, max %lld us\n", name, (long long)b->us[b->n / 2],
           (long long)b->us[b->n * 99 / 100], (long long)b->us[b->n - 1]);
}

static int
run(struct mh_cli *c, struct bench *b, const char *point)
{
    struct mh_policy_job own = b->job;
    yyjson_mut_doc *doc = mh_json_doc(&c->arena);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    b->job.script = NULL; /* the built-in one first: what a decision costs at least */
    b->job.params = NULL;
    if (!root || !measure(b))
        return 1;
    (void)yyjson_mut_obj_add_int(doc, root, "rounds", b->n);
    (void)yyjson_mut_obj_add_uint(doc, root, "input_bytes", b->job.input_len);
    add_figures(doc, root, "built_in", b);
    if (!c->json) {
        printf("%s, %d decisions, input of %zu bytes\n", point, b->n, b->job.input_len);
        print_figures("built-in", b);
    }
    b->job = own;
    if (!measure(b))
        return 1;
    add_figures(doc, root, "script", b);
    if (c->json)
        return mh_cli_print(c, root);
    print_figures(b->job.name, b);
    return 0;
}

int
mh_cli_bench(struct mh_cli *c, const char *file, const char *cluster)
{
    struct bench b = { .n = c->rounds ? c->rounds : ROUNDS, .keep = &c->arena };
    int rc = 1;
    if (!cluster)
        mh_arena_init(&c->arena, (size_t)64 << 20);
    const char *point = mh_cli_job(c, file, &b.job);
    if (!point)
        return 2;
    const char *input = cluster ? recorded_input(c, cluster, point) : sample_input(point);
    if (!input)
        return mh_cli_fail("no input of %s is recorded. HINT: name a cluster that has one", point);
    b.job.op = MH_POLICY_DECIDE;
    b.job.point = point;
    b.job.input = input;
    b.job.input_len = strlen(input);
    b.base = mh_loop_new();
    b.pool = b.base ? mh_pool_new(b.base, NULL) : NULL;
    b.turn = b.base ? evtimer_new(b.base, on_turn, &b) : NULL;
    b.us = mh_arena_alloc(&c->arena, (size_t)b.n * sizeof(b.us[0]));
    mh_arena_init(&b.arena, (size_t)16 << 20);
    if (b.pool && b.turn && b.us)
        rc = run(c, &b, point);
    else
        (void)mh_cli_fail("no memory");
    mh_pool_free(b.pool);
    mh_arena_release(&b.arena);
    if (b.turn)
        event_free(b.turn);
    if (b.base)
        event_base_free(b.base);
    return rc;
}
