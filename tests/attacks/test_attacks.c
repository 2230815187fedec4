/* Every attack in this process and in a worker: none gets out or is believed, none outlives its limit by more
 * than 50 ms, and others are answered meanwhile. In this process that is time of the processor, so that a busy
 * machine changes nothing; a worker is ended by the clock, and of some tries the best counts. */
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "attacks/list.h"
#include "harness/asan.h"
#include "harness/test.h"
#include "lua/pool.h"
#include "lua/vm.h"

#ifdef WITH_ASAN /* where one instruction of the VM may take ten times as long; workers start slowly */
#define LIMIT_MS 200
#define SLACK_MS 250
#define DEADLINE_MS 5000
#else
#define LIMIT_MS 50 /* of mh_limits_policy */
#define SLACK_MS 50
#define DEADLINE_MS (LIMIT_MS + SLACK_MS)
#endif
#define BUSY_MS 10000 /* by the clock, however busy the machine is */
#define KILL_MS 10    /* of this process, until it sees that the time is over */
#define TRIES 8
#define ATTACKS_MIN 120
#define INPUT                                                                                      \
    "{\"candidates\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"now\":1,\"reason\":\"r\","              \
    "\"cluster\":{\"name\":\"pg\"}}"
#define BEFORE "return policy 'failover/v1' { decide = function(ctx) "
#define AFTER "\nend }"
#define HONEST BEFORE "return promote { 'b', 'a' }" AFTER

static struct mh_attack attacks[MH_ATTACKS_MAX];
static int nattacks;

static void
read_attacks(void)
{
    if (!nattacks)
        nattacks = mh_attacks_read(attacks);
    CHECK(nattacks >= ATTACKS_MIN);
}

static double
now_ms(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* --- in this process ---------------------------------------------------------------------------- */

struct outcome {
    bool escaped;
    bool small; /* it stayed below the cap on memory */
    double wall;
    double cpu;
};

struct raw {
    const struct mh_attack *attack;
    bool escaped;
};

static int
raw_fn(lua_State *L)
{
    struct raw *r = lua_touserdata(L, 1);
    mh_vm_load(L, "attack.lua", r->attack->text, r->attack->len);
    lua_call(L, 0, 1);
    r->escaped = lua_type(L, -1) == LUA_TSTRING && strstr(lua_tostring(L, -1), "ESCAPE");
    return 0;
}

static void
run_raw(struct mh_arena *arena, const struct mh_attack *a, struct outcome *o)
{
    struct raw r = { .attack = a };
    struct mh_vm *vm = mh_vm_new(&mh_limits_policy);
    mh_vm_begin(vm, NULL);
    (void)mh_vm_call(vm, arena, raw_fn, &r, NULL, NULL);
    o->small = vm->peak <= vm->limits.heap;
    o->escaped = r.escaped;
    mh_vm_free(vm);
}

static struct mh_policy_job
job_of(const char *script, size_t len)
{
    return (struct mh_policy_job){ .op = MH_POLICY_DECIDE,
                                   .point = "failover/v1",
                                   .name = "attack.lua",
                                   .script = script,
                                   .script_len = len,
                                   .input = INPUT,
                                   .input_len = sizeof(INPUT) - 1 };
}

/* Whether nobody has to be ashamed of this result. */
static bool
is_refused(const struct mh_attack *a, const struct mh_policy_result *r)
{
    if (r->ok)
        return a->harmless;
    return r->error.message && !strstr(r->error.message, "ESCAPE");
}

static void
run_decide(struct mh_arena *arena, const struct mh_attack *a, struct outcome *o)
{
    size_t len;
    char *script = mh_attack_wrap(a, BEFORE, AFTER, &len);
    struct mh_policy_job job = job_of(script, len);
    struct mh_policy_result r;
    o->small = true;
    mh_policy_run(arena, &job, &r);
    o->escaped = !is_refused(a, &r);
    mh_free(script);
}

static struct outcome
run_here(const struct mh_attack *a)
{
    struct outcome o = { .wall = now_ms(CLOCK_MONOTONIC), .cpu = now_ms(CLOCK_THREAD_CPUTIME_ID) };
    struct mh_arena arena;
    mh_arena_init(&arena, (size_t)16 << 20);
    if (a->decide)
        run_decide(&arena, a, &o);
    else
        run_raw(&arena, a, &o);
    mh_arena_release(&arena);
    o.wall = now_ms(CLOCK_MONOTONIC) - o.wall;
    o.cpu = now_ms(CLOCK_THREAD_CPUTIME_ID) - o.cpu;
    return o;
}

TEST(no_attack_outlives_its_limit_or_gets_out_in_this_process)
{
    double worst = 0;
    double worst_cpu = 0;
    read_attacks();
    for (int i = 0; i < nattacks; i++) {
        struct outcome o = run_here(&attacks[i]);
        if (o.escaped || !o.small)
            printf("# %s: %s\n", attacks[i].name, o.escaped ? "ESCAPE" : "over the heap");
        CHECK(!o.escaped && o.small);
        if (o.cpu > LIMIT_MS + SLACK_MS)
            printf("# %s: %.1f ms of the processor\n", attacks[i].name, o.cpu);
        CHECK(o.cpu <= LIMIT_MS + SLACK_MS);
        for (int n = 0; n < TRIES && o.wall > BUSY_MS + SLACK_MS; n++)
            o.wall = run_here(&attacks[i]).wall;
        CHECK(o.wall <= BUSY_MS + SLACK_MS);
        worst = o.wall > worst ? o.wall : worst;
        worst_cpu = o.cpu > worst_cpu ? o.cpu : worst_cpu;
    }
    printf("# %d attacks, limit %d ms: at most %.1f ms of the processor, %.1f ms by the clock\n",
           nattacks, LIMIT_MS, worst_cpu, worst);
}

/* --- in a worker --------------------------------------------------------------------------------- */

struct ask {
    struct mh_policy_call call;
    struct mh_arena arena;
    double began_ms;
    double ended_ms;
    bool done;
};

static struct event_base *base;
static struct mh_pool *pool;

static void
on_done(struct mh_policy_call *call)
{
    struct ask *q = call->arg;
    q->ended_ms = now_ms(CLOCK_MONOTONIC);
    q->done = true;
}

static void
start(struct ask *q, const char *tenant, const char *script, size_t len)
{
    *q = (struct ask){ .began_ms = now_ms(CLOCK_MONOTONIC) };
    mh_arena_init(&q->arena, (size_t)8 << 20);
    q->call = (struct mh_policy_call){
        .job = job_of(script, len), .tenant = tenant, .arena = &q->arena, .done = on_done, .arg = q
    };
    mh_policy_start(pool, &q->call);
}

struct meanwhile {
    int right; /* decisions of somebody else */
    int wrong;
    double worst;
};

/* One decision of somebody else after the other until the attack is over; at least one. */
static void
run_beside(struct ask *attack, struct meanwhile *m)
{
    static const char script[] = HONEST;
    do {
        struct ask q;
        double t0 = now_ms(CLOCK_MONOTONIC);
        start(&q, "honest", script, sizeof(script) - 1);
        while (!q.done)
            (void)event_base_loop(base, EVLOOP_ONCE);
        double took = now_ms(CLOCK_MONOTONIC) - t0;
        m->right += q.call.result.ok;
        m->wrong += !q.call.result.ok;
        m->worst = took > m->worst ? took : m->worst;
        mh_arena_release(&q.arena);
    } while (!attack->done);
}

/* Whether the attack ended in time and others did not notice. */
static bool
run_there(const struct mh_attack *a, struct meanwhile *m)
{
    size_t len;
    struct ask q;
    struct meanwhile now = { 0 };
    char *script = mh_attack_wrap(a, a->decide ? BEFORE : "", a->decide ? AFTER : "", &len);
    start(&q, "attacker", script, len);
    run_beside(&q, &now);
    bool ok = is_refused(a, &q.call.result);
    if (!ok)
        printf("# %s: was taken for a policy\n", a->name);
    CHECK(ok);
    bool in_time = q.ended_ms - q.began_ms <= DEADLINE_MS + KILL_MS;
    mh_arena_release(&q.arena);
    mh_free(script);
    m->right += now.right;
    m->worst = now.worst > m->worst ? now.worst : m->worst;
    return now.wrong == 0 && in_time;
}

TEST(no_attack_keeps_a_worker_or_anybody_else_from_the_next_decision)
{
    static const char *const argv[] = { MH_TEST_WORKER, "policy-worker", NULL };
    struct meanwhile all = { 0 };
    base = event_base_new();
    pool = mh_pool_new(base, &(struct mh_pool_options){ .argv = argv, .deadline_ms = DEADLINE_MS });
    read_attacks();
    for (int i = 0; i < 5000 && mh_pool_alive(pool) == 0; i++) {
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
        (void)usleep(1000);
    }
    for (int i = 0; i < nattacks; i++) {
        bool well = false;
        for (int n = 0; n < TRIES && !well; n++)
            well = run_there(&attacks[i], &all);
        if (!well)
            printf("# %s: not over in time, or others were not answered\n", attacks[i].name);
        CHECK(well);
    }
    printf("# %d workers were killed; meanwhile %d decisions of another tenant were right, the "
           "longest took "
           "%.1f ms\n",
           mh_pool_kills(pool), all.right, all.worst);
    mh_pool_free(pool);
    event_base_free(base);
    mh_attacks_free(attacks, nattacks);
    nattacks = 0;
}
