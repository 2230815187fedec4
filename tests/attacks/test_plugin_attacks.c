/* Every attack of plugins.txt in this process and in the child of a plugin, through the operator's own way from
 * observe to the API server: none is let through, none outlives its limit by more than 50 ms, another plugin is
 * answered meanwhile. And that this test would see it if one were. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "attacks/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/asan.h"
#include "harness/test.h"
#include "io/file.h"
#include "io/loop.h"
#include "lua/controller.h"
#include "operator/plugin_guard.h"

#ifdef WITH_ASAN /* where one instruction of the VM may take ten times as long */
#define LIMIT_MS 800
#define SLACK_MS 400
#else
#define LIMIT_MS 200 /* of mh_limits_plugin */
#define SLACK_MS 50
#endif
#define DEADLINE_MS (LIMIT_MS + SLACK_MS)
#define TICK_MS 20 /* of /proc, twice */
#define BUSY_MS 10000
#define TRIES 5
#define ATTACKS_MIN 100

#define SHOP "/api/v1/namespaces/shop/"
#define VALUE "RVNDQVBF" /* ESCAPE */
#define BEGIN "return controller 'Evil' { api = 'evil.example.dev/v1', "
#define GRANTED                                                                                    \
    "{\"api\":["                                                                                   \
    "{\"group\":\"\",\"resource\":\"configmaps\",\"verbs\":[\"get\",\"create\",\"patch\"]},"       \
    "{\"group\":\"\",\"resource\":\"secrets\",\"verbs\":[\"get\"],\"names\":[\"treasure\"]},"      \
    "{\"group\":\"\",\"resource\":\"secrets\",\"verbs\":[\"create\",\"patch\"]}]}"
#define MORE                                                                                       \
    "{\"api\":["                                                                                   \
    "{\"group\":\"\",\"resource\":\"configmaps\",\"verbs\":[\"get\",\"list\",\"create\","          \
    "\"patch\","                                                                                   \
    "\"delete\"]},"                                                                                \
    "{\"group\":\"\",\"resource\":\"configmaps\",\"verbs\":[\"create\",\"patch\"],\"namespace\":"  \
    "\"other\"},"                                                                                  \
    "{\"group\":\"\",\"resource\":\"pods\",\"verbs\":[\"create\",\"patch\"]},"                     \
    "{\"group\":\"\",\"resource\":\"secrets\",\"verbs\":[\"get\",\"list\",\"create\",\"patch\"]}]" \
    "}"

enum where { DECLARE, OBSERVE, PLAN, FINALIZE };
static const char *const words[] = { "declare", "observe", "plan", "finalize" };

static struct mh_attack attacks[MH_ATTACKS_MAX];
static enum where wheres[MH_ATTACKS_MAX];
static int nattacks;

static double
now_ms(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void
read_attacks(void)
{
    if (!nattacks)
        nattacks = mh_attacks_read_from("tests/attacks/plugins.txt", attacks);
    CHECK(nattacks >= ATTACKS_MIN);
    for (int i = 0; i < nattacks; i++)
        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
            if (strstr(attacks[i].flags, words[k]))
                wheres[i] = (enum where)k;
}

/* The text of a plugin whose function is the attack. */
static char *
script_of(const struct mh_attack *a, enum where where, size_t *len)
{
    switch (where) {
    case OBSERVE:
        return mh_attack_wrap(
            a, BEGIN "plan = function() return ready({}, {}) end, observe = function(ctx, object) ",
            "\nend }", len);
    case PLAN:
        return mh_attack_wrap(a, BEGIN "plan = function(seen) ", "\nend }", len);
    case FINALIZE:
        return mh_attack_wrap(
            a, BEGIN "plan = function() return ready() end, finalize = function(seen) ", "\nend }",
            len);
    case DECLARE:
        break;
    }
    return mh_attack_wrap(a, "", "", len);
}

/* --- in this process ---------------------------------------------------------------------------- */

static enum mh_effect_result
answer_here(struct mh_effect_call *call)
{
    static const char text[] = "{\"metadata\":{\"name\":\"a\"},\"keys\":[\"a\"]}";
    call->text = text;
    call->text_len = sizeof(text) - 1;
    return MH_EFFECT_DONE;
}

/* Milliseconds of the processor; *small: it stayed below its cap. */
static double
run_here(const struct mh_attack *a, enum where where, bool *small)
{
    static const struct mh_effect effects[] = {
        { "get", answer_here }, { "list", answer_here }, { "sql", answer_here }, { NULL, NULL }
    };
    struct mh_arena arena;
    struct mh_controller *c = NULL;
    struct mh_err err = { .code = MH_OK };
    yyjson_val *object = NULL;
    size_t len;
    char *script = script_of(a, where, &len);
    double began = now_ms(CLOCK_THREAD_CPUTIME_ID);
    mh_arena_init(&arena, (size_t)64 << 20);
    CHECK_INT(mh_json_parse(&arena, "{\"metadata\":{\"name\":\"it\"}}", 26, &object, NULL), MH_OK);
    *small = true;
    if (mh_controller_new_plugin("evil", script, len, &c, &err) == MH_OK) {
        struct mh_observe o = {
            .arena = &arena, .object = object, .ctx = object, .effects = effects
        };
        struct mh_script_call call = { .field = where == FINALIZE ? "finalize" : "plan",
                                       .nargs = 1,
                                       .args = { { .value = object } } };
        if (where == OBSERVE)
            CHECK(mh_observe_start(c, &o) != MH_STEP_WAIT);
        else if (where != DECLARE)
            (void)mh_controller_run(c, &arena, &call, &err);
        *small = !c->gen || c->gen->vm->peak <= c->gen->vm->limits.heap;
        mh_controller_free(c);
    }
    mh_arena_release(&arena);
    mh_free(script);
    return now_ms(CLOCK_THREAD_CPUTIME_ID) - began;
}

TEST(no_attack_of_a_plugin_outlives_its_limit_in_this_process)
{
    double worst = 0;
    read_attacks();
    for (int i = 0; i < nattacks; i++) {
        bool small;
        double ms = run_here(&attacks[i], wheres[i], &small);
        if (ms > DEADLINE_MS || !small)
            printf("# %s: %.1f ms of the processor%s\n", attacks[i].name, ms,
                   small ? "" : ", over the heap");
        CHECK(ms <= DEADLINE_MS && small);
        worst = ms > worst ? ms : worst;
    }
    printf("# %d attacks, limit %d ms: at most %.1f ms of the processor\n", nattacks, LIMIT_MS,
           worst);
}

/* --- an API server that notes everything ---------------------------------------------------------- */

struct reply {
    struct reply *next;
    struct mh_api_call *call;
    struct mh_timer *timer;
};

static struct {
    struct event_base *base;
    struct mh_clock clock;
    struct mh_kinds kinds;
    struct mh_plugins all;
    struct mh_plugin plugin;
    struct mh_plugin_text text;
    struct mh_plugin_work work;
    struct mh_plugin_child *other; /* of another plugin */
    struct mh_arena arena;         /* of the needs */
    struct reply *replies;
    int writes;
    int strays;         /* reads that nobody granted */
    bool secret_filled; /* the value came, in a Secret */
    bool leaked;        /* the value came, in anything else */
    bool over;
} q;

static bool
is_granted(const char *path)
{
    static const char maps[] = SHOP "configmaps/";
    return strcmp(path, SHOP "secrets/treasure") == 0 ||
           (mh_str_starts(path, maps) && !strpbrk(path + sizeof(maps) - 1, "/?#%"));
}

static void
note(const struct mh_api_call *call)
{
    bool secret = mh_str_starts(call->path, SHOP "secrets");
    if (strcmp(call->method, "GET") == 0) {
        q.strays += !is_granted(call->path);
        return;
    }
    q.writes++;
    if (!call->body || !strstr(call->body, VALUE))
        return;
    q.secret_filled = q.secret_filled || secret;
    q.leaked = q.leaked || !secret;
}

static void
on_reply(void *arg)
{
    static const char maps[] = "{\"metadata\":{\"name\":\"a\"},\"data\":{\"x\":\"1\"}}";
    static const char any[] =
        "{\"metadata\":{\"name\":\"a\",\"annotations\":{\"a\":\"" VALUE
        "\"}},\"data\":{\"a\":\"" VALUE "\"},\"stringData\":{\"a\":\"ESCAPE\"}}";
    struct reply *r = arg, **at = &q.replies;
    struct mh_api_call *call = r->call;
    const char *text = mh_str_starts(call->path, SHOP "configmaps/") ? maps : any;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    mh_free(r);
    call->status = 200;
    (void)mh_json_parse(call->arena, text, strlen(text), &call->reply, NULL);
    call->done(call);
}

static void
api_start(void *self, struct mh_api_call *call)
{
    struct reply *r = mh_calloc(1, sizeof(*r));
    (void)self;
    CHECK(r != NULL);
    note(call);
    *r = (struct reply){ .call = call, .next = q.replies };
    q.replies = r;
    r->timer = q.clock.after(q.clock.self, 0, on_reply, r);
}

static void
api_cancel(void *self, struct mh_api_call *call)
{
    (void)self;
    for (struct reply **at = &q.replies; *at; at = &(*at)->next) {
        struct reply *r = *at;
        if (r->call != call)
            continue;
        q.clock.cancel(q.clock.self, r->timer);
        *at = r->next;
        mh_free(r);
        return;
    }
}

/* --- an operator around one plugin ---------------------------------------------------------------- */

static void
grant(const char *needs)
{
    yyjson_val *v = NULL;
    CHECK_INT(mh_json_parse(&q.arena, needs, strlen(needs), &v, NULL), MH_OK);
    CHECK_INT(mh_needs_parse(&q.arena, v, NULL, &q.text.needs, NULL), MH_OK);
}

static void
begin(void)
{
    static const char *const argv[] = { MH_TEST_WORKER, "plugin-worker", NULL };
    struct mh_err err;
    memset(&q, 0, sizeof(q));
    mh_log_set_level(MH_LOG_ERROR);
    mh_arena_init(&q.arena, (size_t)1 << 20);
    q.base = mh_loop_new();
    q.clock = mh_clock_real(q.base);
    CHECK(mh_kinds_init(&q.kinds) && mh_kinds_init(&q.work.kinds));
    q.all = (struct mh_plugins){ .base = q.base,
                                 .clock = q.clock,
                                 .rand = mh_rand_real(),
                                 .api = { .start = api_start, .cancel = api_cancel },
                                 .kinds = &q.kinds,
                                 .name_space = "moonherd-system" };
    CHECK_INT(mh_plugins_init(&q.all, &err), MH_OK);
    q.text.refs = 1;
    q.plugin = (struct mh_plugin){ .all = &q.all, .home = true, .active = &q.text };
    q.plugin.ns = mh_strdup("moonherd-system");
    q.plugin.name = mh_strdup("evil");
    q.plugin.key = mh_strdup("evil.lua");
    q.plugin.child = mh_plugin_child_new(q.base, argv);
    q.other = mh_plugin_child_new(q.base, argv);
    q.work.plugin = &q.plugin;
    q.work.text = &q.text;
    q.work.kind = mh_kinds_add(&q.work.kinds, "evil.example.dev", "v1", "Evil", "evils", true);
    (void)mh_kinds_add(&q.work.kinds, "", "v1", "Treasure", "secrets", true);
    (void)mh_kinds_add(&q.work.kinds, "", "v1", "Mapping", "configmaps", true);
    q.work.cache = mh_cache_new(q.all.api, NULL, NULL);
    q.work.guard = mh_plugin_guard(&q.work);
    grant(GRANTED);
}

static void
end(void)
{
    mh_plugin_child_free(q.plugin.child);
    mh_plugin_child_free(q.other);
    mh_plugin_guard_release(&q.work);
    mh_cache_free(q.work.cache);
    mh_kinds_release(&q.work.kinds);
    mh_plugins_release(&q.all);
    mh_kinds_release(&q.kinds);
    mh_free(q.plugin.ns);
    mh_free(q.plugin.name);
    mh_free(q.plugin.key);
    mh_arena_release(&q.arena);
    mh_clock_release(&q.clock);
    event_base_free(q.base);
    mh_log_set_level(MH_LOG_INFO);
}

/* Milliseconds of the processor that the plugin's process has had; -1: it has none. */
static double
child_ms(void)
{
    char path[40], text[512] = "";
    unsigned long user = 0, system = 0;
    int pid = mh_plugin_child_pid(q.plugin.child);
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *f = pid ? fopen(path, "re") : NULL;
    if (!f)
        return -1;
    (void)!fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    const char *p = strrchr(text, ')');
    if (!p ||
        sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return -1;
    return (double)(user + system) * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

/* The same of all processes that have ended and were waited for. */
static double
ended_ms(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void
on_enough(void *arg)
{
    *(bool *)arg = true;
}

static void
on_job(struct mh_plugin_job *job)
{
    *(bool *)job->arg = true;
}

static void
on_planned(struct mh_planner_call *call)
{
    *(bool *)call->arg = true;
}

static void
on_acted(struct mh_act *act)
{
    *(bool *)act->arg = true;
}

static void
turn_until(const bool *over)
{
    while (!*over)
        (void)event_base_loop(q.base, EVLOOP_ONCE);
}

static void
ask(struct mh_plugin_child *child, struct mh_plugin_job *job, const char *script, size_t len,
    const char *more)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)2 << 20);
    (void)mh_buf_str(&b, "{\"name\":\"evil.lua\",\"script\":");
    (void)mh_json_quote(&b, script, len);
    (void)mh_buf_printf(&b, ",%s}", more);
    CHECK(!b.failed);
    job->request = mh_buf_text(&b);
    job->request_len = b.len;
    job->done = on_job;
    mh_plugin_child_start(child, job);
    mh_buf_release(&b);
}

/* Both processes run: what it takes to start one is not the attack's. */
static void
wait_ready(void)
{
    static const char text[] = "return controller 'E' { plan = function() return {} end }";
    struct mh_plugin_child *both[] = { q.plugin.child, q.other };
    for (size_t i = 0; i < 2; i++) {
        bool over = false;
        struct mh_arena a;
        mh_arena_init(&a, (size_t)1 << 20);
        struct mh_plugin_job job = { .arena = &a, .arg = &over };
        ask(both[i], &job, text, sizeof(text) - 1, "\"op\":\"plan\",\"fn\":\"plan\",\"seen\":{}");
        turn_until(&over);
        CHECK_INT(job.err.code, MH_OK);
        mh_arena_release(&a);
    }
}

/* --- one attack ------------------------------------------------------------------------------------ */

struct outcome {
    bool refused; /* what it wanted was not done, and it was told so */
    bool told;    /* the value of a secret, or what stands for success, came out */
    bool in_time;
    struct mh_err err;
};

static bool
tells(const char *text)
{
    return text && (strstr(text, "ESCAPE") || strstr(text, VALUE));
}

/* {"declaration","taken","owner"} through the operator's reading of it. */
static void
judge_declared(struct mh_arena *a, struct mh_plugin_job *job, struct outcome *o)
{
    static const char *const taken[] = { "k8s.io", "kubernetes.io", "moonherd.io", "cnpg.io",
                                         "postgresql.cnpg.io" };
    yyjson_alc alc = mh_json_alc(a);
    yyjson_mut_doc *doc = mh_json_doc(a);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "taken");
    yyjson_val *out = NULL;
    struct mh_needs_set set;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        (void)yyjson_mut_arr_add_str(doc, list, taken[i]);
    (void)yyjson_mut_obj_add_str(doc, root, "owner", "a/b/c");
    (void)yyjson_mut_obj_add_val(doc, root, "declaration", yyjson_val_mut_copy(doc, job->value));
    yyjson_val *arg = yyjson_doc_get_root(yyjson_mut_val_imut_copy(root, &alc));
    if (mh_plugin_host(&q.all, a, "declare", arg, &out, &o->err) == MH_OK)
        (void)mh_needs_parse(a, yyjson_obj_get(job->value, "needs"), NULL, &set, &o->err);
    o->refused = o->err.code != MH_OK;
}

static void
declare(struct mh_arena *a, struct outcome *o)
{
    bool over = false;
    struct mh_plugin_job job = { .arena = a, .arg = &over };
    ask(q.plugin.child, &job, q.text.script, q.text.len, "\"op\":\"declare\"");
    turn_until(&over);
    o->err = job.err;
    o->refused = job.err.code != MH_OK;
    if (!o->refused)
        judge_declared(a, &job, o);
}

static yyjson_val *
object_of(struct mh_arena *a, bool going)
{
    yyjson_val *v = NULL;
    const char *text = mh_arena_printf(
        a,
        "{\"apiVersion\":\"evil.example.dev/v1\",\"kind\":\"Evil\",\"metadata\":{\"name\":\"it\","
        "\"namespace\":\"shop\",\"uid\":\"u1\",\"generation\":1,\"finalizers\":[\"%s\"]%s},"
        "\"spec\":{}}",
        MH_PLUGIN_FINALIZER, going ? ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"" : "");
    CHECK_INT(mh_json_parse(a, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

/* A plan that was let through is carried out, as in a pass. */
static enum mh_code
act_on(struct mh_arena *a, yyjson_val *object, const struct mh_planner_call *call)
{
    bool over = false;
    yyjson_val *plan = NULL;
    struct mh_act_env env = { .clock = q.clock,
                              .rand = q.all.rand,
                              .api = q.work.guard,
                              .kinds = &q.work.kinds,
                              .field_manager = "moonherd-plugin-evil" };
    CHECK_INT(mh_json_parse(a, call->plan, call->plan_len, &plan, NULL), MH_OK);
    struct mh_act act = { .env = &env,
                          .arena = a,
                          .object = object,
                          .actions = yyjson_obj_get(plan, "actions"),
                          .done = on_acted,
                          .arg = &over };
    mh_act_start(&act);
    turn_until(&over);
    return act.err.code;
}

static void
pass(struct mh_arena *a, enum where where, struct outcome *o)
{
    bool over = false;
    yyjson_val *object = object_of(a, where == FINALIZE);
    struct mh_planner planner = mh_plugin_planner(&q.work);
    struct mh_planner_call call = { .kind = q.work.kind->key,
                                    .ns = "shop",
                                    .name = "it",
                                    .object = object,
                                    .arena = a,
                                    .dry = true, /* no version is rolled back */
                                    .done = on_planned,
                                    .arg = &over };
    planner.start(planner.self, &call);
    turn_until(&over);
    o->err = call.err;
    o->refused = call.err.code != MH_OK;
    o->told = tells(call.seen) || (!o->refused && tells(call.plan)) || strstr(call.err.msg, VALUE);
    if (!o->refused)
        o->refused = act_on(a, object, &call) != MH_OK;
}

/* What the plugin's process has computed since it had `had`, also where it was killed for it. */
static double
used_ms(double had, double ended, unsigned kills)
{
    bool over = false;
    if (mh_plugin_child_kills(q.plugin.child) == kills)
        return child_ms() - had;
    (void)q.clock.after(q.clock.self, 200 * MH_NS_PER_MS, on_enough, &over); /* it is waited for */
    turn_until(&over);
    return ended_ms() - ended - had;
}

static struct outcome
run_there(const struct mh_attack *attack, enum where where)
{
    static const char honest[] = "return controller 'E' { plan = function() return ready({}) end }";
    struct outcome o = { .refused = false };
    struct mh_arena arena;
    bool beside = false;
    mh_arena_init(&arena, (size_t)64 << 20);
    struct mh_plugin_job other = { .arena = &arena, .arg = &beside };
    q.text.script = script_of(attack, where, &q.text.len);
    q.text.finalizes = where == FINALIZE;
    q.work.tokens_us = 0;
    q.writes = q.strays = 0;
    q.secret_filled = q.leaked = false;
    wait_ready();
    unsigned kills = mh_plugin_child_kills(q.plugin.child);
    double had = child_ms(), ended = ended_ms(), wall = now_ms(CLOCK_MONOTONIC);
    CHECK(had >= 0);
    ask(q.other, &other, honest, sizeof(honest) - 1, "\"op\":\"plan\",\"fn\":\"plan\",\"seen\":{}");
    if (where == DECLARE)
        declare(&arena, &o);
    else
        pass(&arena, where, &o);
    wall = now_ms(CLOCK_MONOTONIC) - wall;
    o.in_time = wall <= DEADLINE_MS ||
                (wall <= BUSY_MS && used_ms(had, ended, kills) <= DEADLINE_MS + TICK_MS);
    turn_until(&beside);
    CHECK_INT(other.err.code, MH_OK);
    mh_free(q.text.script);
    q.text.script = NULL;
    mh_arena_release(&arena);
    return o;
}

/* What is wrong with how an attack went; NULL: nothing. */
static const char *
fault_of(const struct mh_attack *a, const struct outcome *o)
{
    if (o->told)
        return "ESCAPE";
    if (q.leaked || q.secret_filled)
        return "the value of a secret was written";
    if (q.strays)
        return "something was read that nobody granted";
    if (q.writes)
        return "something was written";
    if (!o->refused && !a->harmless)
        return "was let through";
    return NULL;
}

TEST(no_attack_of_a_plugin_gets_through_its_process_and_the_operator)
{
    read_attacks();
    begin();
    for (int i = 0; i < nattacks; i++) {
        struct outcome o = run_there(&attacks[i], wheres[i]);
        for (int n = 0; n < TRIES && !o.in_time; n++)
            o = run_there(&attacks[i], wheres[i]);
        const char *fault = fault_of(&attacks[i], &o);
        if (fault || !o.in_time)
            printf("# %s: %s (%s)\n", attacks[i].name, fault ? fault : "not over in time",
                   o.err.msg);
        CHECK(!fault && o.in_time);
    }
    printf("# %d attacks; %u processes were killed\n", nattacks,
           mh_plugin_child_kills(q.plugin.child));
    end();
}

/* --- that it would be seen -------------------------------------------------------------------------- */

static struct outcome
run_text(const char *text, enum where where)
{
    char copy[2000];
    struct mh_attack a = { .text = copy, .len = strlen(text) };
    mh_str_copy(copy, sizeof(copy), text);
    return run_there(&a, where);
}

TEST(an_honest_plugin_gets_and_does_what_was_granted)
{
    begin();
    struct outcome o = run_text(
        "local m = ctx.get('ConfigMap', 'a') local s = ctx.get('Secret', 'treasure') "
        "if m.data.x ~= '1' or s.keys[1] ~= 'a' then error('not what it is') end return {}",
        OBSERVE);
    CHECK_INT(o.err.code, MH_OK);
    CHECK(!o.told && !q.strays);
    o = run_text("return ready { apply { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name "
                 "= 'b' } }, "
                 "apply { apiVersion = 'v1', kind = 'Secret', metadata = { name = 'b' }, "
                 "data = { p = secret('treasure', 'a') } } }",
                 PLAN);
    CHECK_INT(o.err.code, MH_OK);
    CHECK_INT(q.writes, 2);
    CHECK(q.secret_filled && !q.leaked && !q.strays);
    o = run_text("return ready { patch { kind = 'ConfigMap', name = 'a', body = { data = {} } } }",
                 FINALIZE);
    CHECK_INT(o.err.code, MH_OK);
    CHECK_INT(q.writes, 2); /* and the finalizer */
    o = run_text(BEGIN "plan = function() end, needs = { api = { { group = '', resource = 'pods', "
                       "verbs = { 'get' } } } } }",
                 DECLARE);
    CHECK_INT(o.err.code, MH_OK);
    end();
}

TEST(what_gets_out_is_seen)
{
    static const struct mh_attack bad = { .harmless = false }, harmless = { .harmless = true };
    begin();
    struct outcome o = run_text("return { a = 'ESCAPE' }", OBSERVE);
    CHECK_STR(fault_of(&harmless, &o), "ESCAPE");
    o = run_text("return ready({}, { a = '" VALUE "' })", PLAN);
    CHECK_STR(fault_of(&harmless, &o), "ESCAPE");
    o = run_text("return ready {}", PLAN);
    CHECK(!fault_of(&harmless, &o));
    CHECK_STR(fault_of(&bad, &o), "was let through");
    o = run_text("return ready { apply { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name "
                 "= 'b' } } }",
                 PLAN);
    CHECK_STR(fault_of(&harmless, &o), "something was written");
    end();
}

TEST(with_more_granted_some_of_the_attacks_get_through)
{
    int through = 0;
    read_attacks();
    begin();
    grant(MORE);
    for (int i = 0; i < nattacks; i++) {
        if (wheres[i] == DECLARE || strstr(attacks[i].text, "while true") ||
            strstr(attacks[i].text, "1e"))
            continue;
        struct outcome o = run_there(&attacks[i], wheres[i]);
        through += fault_of(&attacks[i], &o) != NULL;
    }
    printf("# %d attacks live on what was granted\n", through);
    CHECK(through >= 8);
    end();
    mh_attacks_free(attacks, nattacks);
    nattacks = 0;
}
