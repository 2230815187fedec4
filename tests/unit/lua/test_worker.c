/* The worker's lock, and its pool: who waits for whom, and what a kill costs. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/asan.h"
#include "harness/test.h"
#include "lua/pool.h"
#include "lua/pool_queue.h"
#include "lua/spawn.h"

#define INPUT "{\"candidates\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"now\":1,\"reason\":\"r\"}"
#define POLICY(body) "return policy 'failover/v1' { decide = function(ctx) " body " end }"
#define HOLD POLICY("return hold('Fine')")
/* Few instructions, much time: the clock ends it, after 50 ms. */
#define LOOP                                                                                       \
    POLICY("local s = ('x'):rep(900000) local a, b = s .. 1, s .. 2 while true do local c = a < "  \
           "b end")
#define CALLS_MAX 25
#ifdef WITH_ASAN /* which makes a start slow */
#define KILL_US 20000
#else
#define KILL_US 1000
#endif

/* --- the lock ----------------------------------------------------------------------------------- */

static int
run_worker(const char *how, const char *what)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl(MH_TEST_WORKER, MH_TEST_WORKER, how, what, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(a_locked_worker_dies_at_the_first_call_it_must_not_make)
{
    CHECK_INT(run_worker("probe", "nothing"), 0);
    CHECK_INT(run_worker("probe", "openat"), -SIGSYS);
    CHECK_INT(run_worker("probe", "socket"), -SIGSYS);
    CHECK_INT(run_worker("probe", "fork"), -SIGSYS);
    CHECK_INT(run_worker("probe", "exec"), -SIGSYS);
    CHECK_INT(run_worker("probe", "map"), -SIGSYS);
#ifdef __x86_64__
    CHECK(run_worker("probe", "i386") < 0);
    CHECK_INT(run_worker("probe", "x32"), -SIGSYS);
#endif
}

TEST(at_most_25_system_calls_survive_the_lock)
{
    int n = run_worker("calls", NULL);
    printf("# %d system calls of 512 are allowed\n", n);
    CHECK(n >= 10 && n <= CALLS_MAX);
}

/* The number behind "Name:" in /proc/PID/status; -1: none. */
static int
status_of(pid_t pid, const char *name)
{
    char path[64];
    char line[256];
    int n = -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            n = atoi(line + strlen(name) + 1);
    }
    if (f)
        (void)fclose(f);
    return n;
}

TEST(the_kernel_says_that_a_waiting_worker_is_locked)
{
    static const char *const argv[] = { MH_TEST_WORKER, "policy-worker", NULL };
    struct mh_spawned s;
    struct mh_err err;
    char ready[9] = "";
    CHECK(mh_spawn(argv, &s, &err) == MH_OK);
    for (int i = 0; i < 5000 && read(s.fd, ready, sizeof(ready)) < 0; i++)
        (void)usleep(1000);
    CHECK(memcmp(ready + 4, "ready", 5) == 0);
    CHECK_INT(status_of(s.pid, "Seccomp"), 2);
    CHECK_INT(status_of(s.pid, "NoNewPrivs"), 1);
    CHECK_INT(status_of(s.pid, "Threads"), 1);
    mh_spawn_kill(&s);
    for (int i = 0; i < 5000 && !mh_spawn_reap(&s); i++)
        (void)usleep(1000);
    CHECK_INT(s.pid, 0);
}

/* --- whose turn it is --------------------------------------------------------------------------- */

TEST(a_tenant_takes_a_second_worker_only_while_two_more_are_free)
{
    struct mh_turn a = mh_turn_of("a", false);
    struct mh_turn b = mh_turn_of("b", false);
    struct mh_turn busy[] = { a, a, a, b };
    CHECK(a.tenant != b.tenant && a.tenant != 0 && mh_turn_of(NULL, false).tenant == 0);
    CHECK(mh_turn_allowed(&a, busy, 0, 1));
    CHECK(mh_turn_allowed(&a, busy, 1, 4)); /* the second of four */
    CHECK(!mh_turn_allowed(&a, busy, 2, 4));
    CHECK(mh_turn_allowed(&b, busy, 3, 4));
    CHECK(!mh_turn_allowed(&b, busy, 4, 6));
    struct mh_turn check = mh_turn_of("c", true);
    struct mh_turn checks[] = { mh_turn_of("a", true), mh_turn_of("b", true) };
    CHECK(mh_turn_allowed(&check, checks, 1, 4));
    CHECK(!mh_turn_allowed(&check, checks, 2, 4));
    CHECK(mh_turn_allowed(&check, NULL, 0, 1));
}

TEST(decisions_go_before_checks_and_then_who_was_served_longest_ago)
{
    static struct mh_turns turns;
    struct mh_turn a = mh_turn_of("a", false);
    struct mh_turn b = mh_turn_of("b", false);
    struct mh_turn check = mh_turn_of("c", true);
    CHECK(!mh_turn_before(&turns, &a, &b)); /* in the order they came */
    mh_turn_taken(&turns, &b);
    CHECK(mh_turn_before(&turns, &a, &b));
    mh_turn_taken(&turns, &a);
    CHECK(mh_turn_before(&turns, &b, &a));
    CHECK(mh_turn_before(&turns, &a, &check));
    CHECK(!mh_turn_before(&turns, &check, &a));
}

TEST(a_job_goes_to_who_has_its_script_ready_unless_he_has_answered_only_now)
{
    struct mh_known none = { .next = 0 };
    struct mh_known one = { .next = 0 };
    mh_known_add(&one, 7);
    struct mh_seat seats[] = { { &none, 10, 500 }, { &one, 12, 300 }, { &none, 11, 400 } };
    CHECK_INT(mh_seat_best(seats, 3, 7), 1);
    CHECK_INT(mh_seat_best(seats, 3, 8), 0); /* nobody knows it: who rests longest */
    seats[1].rest_ms = 0;
    CHECK_INT(mh_seat_best(seats, 3, 7), 0);
    for (uint64_t script = 100; script < 100 + MH_KNOWN; script++)
        mh_known_add(&one, script);
    seats[1].rest_ms = 300;
    CHECK_INT(mh_seat_best(seats, 3, 7), 0); /* forgotten for newer ones */
    CHECK_INT(mh_seat_best(seats, 3, 100), 1);
    CHECK_INT(mh_seat_best(seats, 1, 7), 0);
}

/* --- the pool ------------------------------------------------------------------------------------ */

static struct event_base *base;
static struct mh_pool *pool;

static void
begin(const char *mode, int deadline_ms)
{
    static const char *argv[3];
    argv[0] = MH_TEST_WORKER;
    argv[1] = mode;
    argv[2] = NULL;
    base = event_base_new();
    pool = mh_pool_new(base, &(struct mh_pool_options){ .argv = argv, .deadline_ms = deadline_ms });
    for (int i = 0; i < 5000 && mh_pool_alive(pool) == 0; i++) {
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        (void)usleep(1000);
    }
    CHECK(mh_pool_alive(pool) > 0);
}

static void
end(void)
{
    mh_pool_free(pool);
    event_base_free(base);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* nobody is left behind */
}

struct ask {
    struct mh_policy_call call;
    struct mh_arena arena;
    bool done;
};

static void
on_done(struct mh_policy_call *call)
{
    struct ask *q = call->arg;
    q->done = true;
}

static void
start(struct ask *q, enum mh_policy_op op, const char *tenant, const char *script)
{
    *q = (struct ask){ .done = false };
    mh_arena_init(&q->arena, (size_t)16 << 20);
    q->call =
        (struct mh_policy_call){ .tenant = tenant, .arena = &q->arena, .done = on_done, .arg = q };
    q->call.job = (struct mh_policy_job){ .op = op,
                                          .point = "failover/v1",
                                          .name = "f.lua",
                                          .script = script,
                                          .script_len = strlen(script),
                                          .input = INPUT,
                                          .input_len = sizeof(INPUT) - 1 };
    mh_policy_start(pool, &q->call);
}

static void
wait_for(struct ask *q)
{
    while (!q->done)
        (void)event_base_loop(base, EVLOOP_ONCE);
}

static int64_t
now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* How long an honest decision takes; it must be right. */
static int64_t
honest(const char *tenant)
{
    struct ask q;
    int64_t t0 = now_us();
    start(&q, MH_POLICY_DECIDE, tenant, HOLD);
    wait_for(&q);
    int64_t took = now_us() - t0;
    if (!q.call.result.ok)
        printf("# %s\n", q.call.result.error.message);
    CHECK(q.call.result.ok);
    mh_arena_release(&q.arena);
    return took;
}

TEST(after_a_kill_the_next_decision_waits_for_nothing)
{
    int64_t usual = INT64_MAX;
    int64_t after = INT64_MAX;
    struct ask q;
    begin("hang", 3);
    for (int i = 0; i < 8; i++) {
        start(&q, MH_POLICY_DECIDE, "a", LOOP);
        wait_for(&q);
        CHECK_STR(q.call.result.error.kind, "wall");
        mh_arena_release(&q.arena);
    }
    CHECK(mh_pool_kills(pool) > 0);
    end();
    begin("policy-worker", 30); /* less than the limit of the script: the parent kills */
    (void)honest("a");          /* from now on two are ready */
    for (int i = 0; i < 12; i++) {
        int64_t t0 = 0;
        for (int n = 0; n < 5000 && mh_pool_alive(pool) < 2; n++) {
            (void)event_base_loop(base, EVLOOP_NONBLOCK);
            (void)usleep(1000);
        }
        start(&q, MH_POLICY_DECIDE, "a", HOLD);
        t0 = now_us();
        wait_for(&q);
        usual = q.call.result.ok && now_us() - t0 < usual ? now_us() - t0 : usual;
        mh_arena_release(&q.arena);
        start(&q, MH_POLICY_DECIDE, "a", LOOP);
        wait_for(&q);
        mh_arena_release(&q.arena);
        start(&q, MH_POLICY_DECIDE, "a", HOLD);
        t0 = now_us();
        wait_for(&q);
        after = q.call.result.ok && now_us() - t0 < after ? now_us() - t0 : after;
        mh_arena_release(&q.arena);
    }
    printf("# best of 12: a decision %lld us, right after a kill %lld us\n", (long long)usual,
           (long long)after);
    CHECK(mh_pool_kills(pool) >= 6);
    CHECK(after < usual + KILL_US);
    end();
}

#define BACKLOG 24

TEST(slow_decisions_and_checks_of_some_tenants_delay_no_other)
{
    static struct ask slow[BACKLOG];
    int64_t worst = 0;
    begin("policy-worker", 2000);
    for (int i = 0; i < BACKLOG; i++)
        start(&slow[i], i % 2 ? MH_POLICY_CHECK : MH_POLICY_DECIDE, i % 3 ? "a" : "b", LOOP);
    for (int i = 0; i < 10; i++) {
        int64_t took = honest("c");
        worst = took > worst ? took : worst;
    }
    int open = 0;
    for (int i = 0; i < BACKLOG; i++)
        open += !slow[i].done;
    printf("# the longest of ten took %.1f ms, %d slow ones still wait\n", (double)worst / 1e3,
           open);
    CHECK(open > 2); /* they were not waited for */
    for (int i = 0; i < BACKLOG; i++) {
        wait_for(&slow[i]);
        CHECK(!slow[i].call.result.ok);
        mh_arena_release(&slow[i].arena);
    }
    end();
}

TEST(a_decision_has_one_deadline_for_its_wait_and_its_work)
{
    static struct ask q[12];
    begin("hang", 60);
    int64_t t0 = now_us();
    for (int i = 0; i < 12; i++)
        start(&q[i], MH_POLICY_DECIDE, "a", HOLD);
    for (int i = 0; i < 12; i++) {
        wait_for(&q[i]);
        CHECK_STR(q[i].call.result.error.kind, "wall");
        mh_arena_release(&q[i].arena);
    }
    CHECK(now_us() - t0 < 60000 * 5 / 2); /* not once for each in turn */
    end();
}

TEST(who_says_more_than_it_was_asked_is_not_asked_again)
{
    struct ask q;
    begin("chatty", 500);
    start(&q, MH_POLICY_DECIDE, "a", HOLD);
    wait_for(&q);
    CHECK(!q.call.result.ok);
    CHECK_INT(mh_pool_kills(pool), 1);
    mh_arena_release(&q.arena);
    end();
}

TEST(with_the_switch_scripts_run_in_this_process)
{
    struct ask q;
    base = event_base_new();
    pool = mh_pool_new(base, &(struct mh_pool_options){ .in_process = true });
    (void)honest("a");
    start(&q, MH_POLICY_DECIDE, "a", LOOP);
    CHECK(!q.done);
    wait_for(&q);
    CHECK(!q.call.result.ok);
    CHECK_INT(mh_pool_alive(pool), 0);
    mh_arena_release(&q.arena);
    start(&q, MH_POLICY_DECIDE, "a", HOLD);
    mh_policy_cancel(pool, &q.call);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
    CHECK(!q.done);
    mh_arena_release(&q.arena);
    mh_pool_free(pool);
    event_base_free(base);
    (void)setenv(MH_POOL_IN_PROCESS, "1", 1);
    base = event_base_new();
    pool = mh_pool_new(base, NULL);
    (void)unsetenv(MH_POOL_IN_PROCESS);
    (void)honest("a");
    end();
}
