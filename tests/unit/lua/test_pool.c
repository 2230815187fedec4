/* Workers: locked down, killed past the deadline, never believed. And the store above them. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "harness/asan.h"
#include "harness/test.h"
#include "lua/policy_store.h"
#include "lua/pool.h"

#define INPUT                                                                                      \
    "{\"candidates\":[{\"name\":\"pg-2\",\"zone\":\"zone1\",\"sync\":true,\"replay_lag\":0},"      \
    "{\"name\":\"pg-3\",\"zone\":\"zone3\",\"sync\":true,\"replay_lag\":5}],\"now\":100,"          \
    "\"cluster\":{\"name\":\"pg\"},\"reason\":\"r\"}"
#define TURNED "{\"action\":\"promote\",\"order\":[\"pg-3\"],\"target\":\"pg-3\"}"
#define BUILT_IN "{\"action\":\"promote\",\"order\":[\"pg-2\",\"pg-3\"],\"target\":\"pg-2\"}"
#define ZONE3 "{\"action\":\"promote\",\"order\":[\"pg-3\",\"pg-2\"],\"target\":\"pg-3\"}"
#define POLICY(body)                                                                               \
    "return policy 'failover/v1' { params = { zone = str 'zone3' },\n decide = "                   \
    "function(ctx)\n " body " end }"
#define BY_ZONE                                                                                    \
    POLICY("local r = {} for _, c in ipairs(ctx.candidates) do r[#r + 1] = { name = c.name,"       \
           " key = { c.zone == ctx.params.zone } } end"                                            \
           " if #r == 0 then return hold('Nobody') end return promote(rank(r))")

static struct event_base *base;
static struct mh_pool *pool;
static struct mh_arena arena;
static bool done;

static void
begin(const char *mode)
{
    static const char *argv[3];
    argv[0] = MH_TEST_WORKER;
    argv[1] = mode;
    argv[2] = NULL;
    base = event_base_new();
    mh_arena_init(&arena, (size_t)32 << 20);
    /* Generous for sanitizers on a busy machine; the tests that need a deadline hang on purpose. */
    pool = mh_pool_new(base, &(struct mh_pool_options){ .argv = argv, .deadline_ms = 800 });
}

static void
end(void)
{
    mh_pool_free(pool);
    event_base_free(base);
    mh_arena_release(&arena);
}

static bool
turn_until(const bool *flag, int most_ms)
{
    struct timespec a;
    struct timespec b;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    while (!*flag) {
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        if ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > most_ms)
            return false;
        (void)usleep(200);
    }
    return true;
}

static void
turn_for(int most_ms)
{
    bool never = false;
    (void)turn_until(&never, most_ms);
}

static bool
alive(void)
{
    for (int i = 0; i < 2000 && mh_pool_alive(pool) == 0; i++)
        turn_for(5);
    return mh_pool_alive(pool) > 0;
}

static void
on_done(struct mh_policy_call *call)
{
    (void)call;
    done = true;
}

static struct mh_policy_result
ask(const char *script)
{
    static struct mh_policy_call call;
    call = (struct mh_policy_call){ .arena = &arena, .done = on_done };
    call.job = (struct mh_policy_job){ .op = MH_POLICY_DECIDE,
                                       .point = "failover/v1",
                                       .name = "failover.lua",
                                       .script = script,
                                       .script_len = strlen(script),
                                       .input = INPUT,
                                       .input_len = sizeof(INPUT) - 1 };
    done = false;
    mh_policy_start(pool, &call);
    CHECK(!done);
    CHECK(turn_until(&done, 3000));
    return call.result;
}

TEST(a_worker_decides_and_a_runaway_is_ended_by_itself_or_by_its_parent)
{
    begin("policy-worker");
    CHECK(alive());
    struct mh_policy_result r = ask(BY_ZONE);
    CHECK_STR(r.answer, ZONE3);
    r = ask(POLICY("while true do string.rep('x', 1000) end"));
    CHECK(strcmp(r.error.kind, "fuel") == 0 || strcmp(r.error.kind, "wall") == 0);
    CHECK_INT(r.error.line, 3);
    r = ask(POLICY("local t = {} while true do t[#t + 1] = ('x'):rep(900000) .. #t end"));
    CHECK_STR(r.error.kind, "memory");
    r = ask(POLICY("return promote { 'pg-1' }"));
    CHECK_STR(r.error.kind, "guard");
    CHECK_INT(mh_pool_kills(pool), 0);
    end();
    begin("hang");
    CHECK(alive());
    r = ask(BY_ZONE);
    CHECK_STR(r.error.kind, "wall");
    CHECK_INT(mh_pool_kills(pool), 1);
    end();
}

TEST(what_a_worker_says_is_not_believed)
{
    begin("garbage");
    CHECK(alive());
    struct mh_policy_result r = ask(BY_ZONE);
    CHECK(!r.ok);
    CHECK(r.error.message != NULL);
    end();
    begin("dies");
    r = ask(BY_ZONE);
    CHECK_STR(r.error.kind, "wall");
    end();
}

/* --- the store -------------------------------------------------------------------------------- */

static char last_annotation[4096];
static char events[4096];
static char last_record[8192];
static int records;
static bool told;

static void
on_news(void *arg, const struct mh_policy_news *n)
{
    (void)arg;
    if (n->annotation) {
        (void)snprintf(last_annotation, sizeof(last_annotation), "%s/%s %s", n->namespace, n->name,
                       n->annotation);
        told = true;
    }
    if (n->record) {
        (void)snprintf(last_record, sizeof(last_record), "%s", n->record);
        records++;
    }
    if (n->reason) {
        size_t at = strlen(events);
        (void)snprintf(events + at, sizeof(events) - at, "%s %s\n", n->reason, n->note);
    }
}

static struct mh_policies *store;

static void
apply(const char *ns, const char *name, const char *created, const char *key, const char *script)
{
    yyjson_mut_doc *doc = mh_json_doc(&arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_val *meta = yyjson_mut_obj_add_obj(doc, root, "metadata");
    yyjson_mut_val *labels = yyjson_mut_obj_add_obj(doc, meta, "labels");
    yyjson_mut_val *data = yyjson_mut_obj_add_obj(doc, root, "data");
    yyjson_val *v = NULL;
    yyjson_mut_obj_add_str(doc, meta, "namespace", ns);
    yyjson_mut_obj_add_str(doc, meta, "name", name);
    yyjson_mut_obj_add_str(doc, meta, "creationTimestamp", created);
    yyjson_mut_obj_add_str(doc, labels, "moonherd.io/policy", "");
    if (key)
        yyjson_mut_obj_add_str(doc, data, key, script);
    char *text = mh_json_mut_text(&arena, root, NULL);
    CHECK(mh_json_parse(&arena, text, strlen(text), &v, NULL) == MH_OK);
    told = false;
    events[0] = 0;
    CHECK(mh_policies_update(store, v, NULL) == MH_OK);
    CHECK(!told);
    if (key)
        CHECK(turn_until(&told, 3000));
    else
        turn_for(20);
}

static void
on_decided(struct mh_decision *d)
{
    (void)d;
    done = true;
}

static struct mh_decision
decide(const char *ns)
{
    static struct mh_decision d;
    d = (struct mh_decision){ .point = "failover/v1",
                              .namespace = ns,
                              .input = INPUT,
                              .input_len = sizeof(INPUT) - 1,
                              .arena = &arena,
                              .done = on_decided };
    done = false;
    mh_policies_decide(store, &d);
    CHECK(!done);
    CHECK(turn_until(&done, 3000));
    return d;
}

TEST(a_configmap_becomes_active_is_shadowed_rejected_and_removed)
{
    begin("policy-worker");
    store = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    CHECK(alive());
    struct mh_decision d = decide("app");
    CHECK_STR(d.answer, BUILT_IN);
    CHECK_STR(d.by, "built-in");

    apply("moonherd-system", "who-first", "2026-01-01T00:00:00Z", "failover.lua", BY_ZONE);
    CHECK(strstr(last_annotation,
                 "moonherd-system/who-first {\"failover.lua\":{\"state\":\"Active\",\"hash\":\"") ==
          last_annotation);
    CHECK_STR(events, "PolicyActive failover.lua: decides failover/v1 for all clusters\n");
    d = decide("app");
    CHECK_STR(d.answer, ZONE3);
    CHECK(strstr(d.by, "moonherd-system/who-first/failover.lua@") == d.by);

    apply("moonherd-system", "later", "2026-02-01T00:00:00Z", "failover.lua",
          POLICY("return hold('Later')"));
    CHECK(strstr(last_annotation, "\"state\":\"Replayed\"") != NULL);
    CHECK_STR(
        events,
        "PolicyContested failover.lua: decides failover/v1 for all clusters; later/failover.lua "
        "claims it too and is younger\n"
        "PolicyShadowed failover.lua: who-first/failover.lua is older and decides failover/v1\n");
    d = decide("app");
    CHECK_STR(d.answer, ZONE3);

    apply("app", "mine", "2026-03-01T00:00:00Z", "f.lua", POLICY("return hold('Mine')"));
    d = decide("app");
    CHECK_STR(d.answer, "{\"action\":\"hold\",\"at\":130,\"reason\":\"Mine\",\"until_s\":30}");
    d = decide("other");
    CHECK_STR(d.answer, ZONE3);

    apply("app", "mine", "2026-03-01T00:00:00Z", "f.lua", POLICY("return promot('Mine')"));
    CHECK(strstr(last_annotation, "\"state\":\"Rejected\"") != NULL);
    CHECK(strstr(events, "PolicyRejected f.lua: f.lua:3: undefined name 'promot'; version ") ==
          events);
    CHECK(strstr(events, "stays in charge") != NULL);
    d = decide("app");
    CHECK_STR(d.answer, "{\"action\":\"hold\",\"at\":130,\"reason\":\"Mine\",\"until_s\":30}");

    apply("app", "mine", "2026-03-01T00:00:00Z", NULL, NULL);
    CHECK_STR(events,
              "PolicyRemoved f.lua is gone: who-first/failover.lua decides failover/v1 now\n");
    d = decide("app");
    CHECK_STR(d.answer, ZONE3);

    mh_policies_remove(store, "moonherd-system", "who-first");
    turn_for(20);
    CHECK(strstr(last_annotation,
                 "moonherd-system/later {\"failover.lua\":{\"state\":\"Active\"") != NULL);
    d = decide("app");
    CHECK(strstr(d.answer, "Later") != NULL);
    mh_policies_free(store);
    end();
}

static void
restore(const char *uid, const char *text)
{
    yyjson_val *v = NULL;
    struct mh_record_of of = { "moonherd-system", "who-first", uid };
    CHECK(mh_json_parse(&arena, text, strlen(text), &v, NULL) == MH_OK);
    CHECK(mh_policies_restore(store, &of, v, NULL) == MH_OK);
    mh_policies_restored(store);
}

static void
restart(void)
{
    if (store)
        mh_policies_free(store);
    store = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    CHECK(alive());
}

#define MAP "moonherd-system", "who-first", "2026-01-01T00:00:00Z", "failover.lua"
#define BAD POLICY("return promot('x')")

TEST(the_version_before_answers_after_a_restart_when_the_text_is_bad)
{
    char kept[8192];
    begin("policy-worker");
    store = NULL;
    records = 0;
    restart();
    apply(MAP, BY_ZONE);
    CHECK_INT(records, 0); /* it might overwrite what is not read yet */
    mh_policies_restored(store);
    turn_for(20);
    CHECK_INT(records, 1);
    (void)snprintf(kept, sizeof(kept), "%s", last_record);
    CHECK(strstr(kept, "{\"failover.lua\":{\"hash\":\"") == kept);

    restart();
    apply(MAP, BAD);
    CHECK_STR(decide("app").by, "built-in");
    told = false;
    restore(NULL, kept);
    CHECK(turn_until(&told, 3000));
    CHECK(strstr(last_annotation, "\"Rejected\"") && strstr(last_annotation, "stays in charge"));
    CHECK_STR(decide("app").answer, ZONE3);
    CHECK_STR(last_record, kept);

    restart(); /* the other way about: the record is there first */
    restore("u", kept);
    apply(MAP, BAD);
    CHECK_STR(decide("app").answer, ZONE3);
    apply(MAP, POLICY("return hold('New')"));
    CHECK(strstr(decide("app").answer, "New") != NULL);
    mh_policies_free(store);
    end();
}

TEST(what_is_kept_is_checked_and_need_not_be_believed)
{
    begin("policy-worker");
    store = NULL;
    restart();
    restore(NULL, "{\"failover.lua\":{\"script\":\"return os.exit()\",\"hash\":\"0\"},\"x\":1}");
    apply(MAP, BAD);
    CHECK_STR(decide("app").by, "built-in");
    restore(NULL, "[1]");
    restore(NULL, "{\"failover.lua\":[]}");
    CHECK_STR(decide("app").by, "built-in");
    mh_policies_free(store);
    end();
}

/* A life of the store, with the failure somewhere in it; whether it was met. */
static bool
live_with_failure(const char *kept, int n)
{
    struct mh_arena a;
    yyjson_val *map = NULL, *record = NULL;
    static struct mh_decision d;
    struct mh_record_of of = { "n", "m", NULL };
    static const char text[] = "{\"metadata\":{\"namespace\":\"n\",\"name\":\"m\",\"labels\":{"
                               "\"moonherd.io/policy\":\"\"}},"
                               "\"data\":{\"f.lua\":\"return 1\",\"failover.lua\":\"return "
                               "2\",\"f.params.yaml\":\"a: 1\"}}";
    mh_arena_init(&a, (size_t)16 << 20);
    CHECK(mh_json_parse(&a, text, strlen(text), &map, NULL) == MH_OK);
    CHECK(mh_json_parse(&a, kept, strlen(kept), &record, NULL) == MH_OK);
    mh_mem_fail_after(n);
    struct mh_policies *s = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    if (s) {
        (void)mh_policies_restore(s, &of, record, NULL);
        (void)mh_policies_update(s, map, NULL);
        mh_policies_restored(s);
        d = (struct mh_decision){ .point = "failover/v1",
                                  .namespace = "n",
                                  .input = INPUT,
                                  .input_len = sizeof(INPUT) - 1,
                                  .arena = &a,
                                  .done = on_decided };
        done = false;
        mh_policies_decide(s, &d);
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
    bool failed = mh_mem_failed();
    mh_mem_fail_after(-1);
    if (s) {
        CHECK(turn_until(&done, 3000)); /* it is answered whatever happens */
        mh_policies_free(s);
    }
    mh_arena_release(&a);
    return failed;
}

TEST(the_store_gets_over_any_failed_allocation)
{
    static const char kept[] = "{\"failover.lua\":{\"script\":\"return 3\",\"params\":\"a: 1\"}}";
    begin("policy-worker");
    CHECK(alive());
    for (int n = 0; live_with_failure(kept, n) && n < 5000; n += n < 120 ? 1 : 37)
        ;
    CHECK(alive());
    end();
}

TEST(who_is_held_tells_later)
{
    begin("policy-worker");
    store = NULL;
    restart();
    mh_policies_restored(store);
    mh_policies_hold(store, true);
    records = 0;
    told = false;
    events[0] = 0;
    yyjson_val *v = NULL;
    static const char text[] = "{\"metadata\":{\"namespace\":\"n\",\"name\":\"m\",\"labels\":{"
                               "\"moonherd.io/policy\":\"\"}},"
                               "\"data\":{\"f.lua\":\"return 1\"}}";
    CHECK(mh_json_parse(&arena, text, strlen(text), &v, NULL) == MH_OK);
    CHECK(mh_policies_update(store, v, NULL) == MH_OK);
    turn_for(200);
    CHECK(!told);
    mh_policies_hold(store, false);
    CHECK(turn_until(&told, 3000));
    CHECK(strstr(events, "PolicyRejected"));
    mh_policies_free(store);
    end();
}

TEST(a_policy_that_fails_while_deciding_leaves_the_built_in_in_charge)
{
    begin("policy-worker");
    store = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    /* Passes its check, fails for pg-3 only. */
    apply(
        "app", "bad", "2026-01-01T00:00:00Z", "failover.lua",
        POLICY("local c = ctx.candidates[1]\n if c and c.zone == 'zone1' and ctx.now == 100 then\n"
               " return c.nothing.there end return hold('Fine')"));
    CHECK(strstr(last_annotation, "Active") != NULL);
    struct mh_decision d = decide("app");
    CHECK_STR(d.answer, BUILT_IN);
    CHECK_STR(d.by, "built-in");
    CHECK(d.error_text &&
          strstr(d.error_text, "failover.lua:5: attempt to index a nil value") != NULL);
    CHECK(d.error && strstr(d.error, "\"kind\":\"runtime\"") != NULL);
    CHECK(strstr(d.error, "traceback") != NULL);
    size_t len;
    char *text = mh_decision_json(&d, &len);
    CHECK(strstr(text, "{\"by\":\"built-in\",\"answer\":" BUILT_IN
                       ",\"error\":\"app/bad/failover.lua@") == text);
    mh_policies_free(store);
    end();
}

TEST(a_worker_that_hangs_costs_a_decision_its_deadline_only)
{
    begin("hang");
    store = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    CHECK(alive());
    struct mh_decision d = decide("app");
    CHECK_STR(d.answer, BUILT_IN); /* no policy: no worker is asked */
    done = false;
    d = (struct mh_decision){ .point = "failover/v1",
                              .namespace = "app",
                              .input = INPUT,
                              .input_len = sizeof(INPUT) - 1,
                              .arena = &arena,
                              .done = on_decided };
    mh_policies_decide(store, &d);
    mh_policies_cancel(store, &d);
    turn_for(20);
    CHECK(!done);
    mh_policies_free(store);
    end();
}

/* Children of this process, at most 16; state 0: all of them, else those in that state. */
static int
children(char state, int *pids)
{
    char path[64], is = 0;
    int pid, n = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    CHECK(f != NULL);
    while (f && n < 16 && fscanf(f, "%d", &pid) == 1) {
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *one = fopen(path, "re");
        bool known = one && fscanf(one, "%*d (%*[^)]) %c", &is) == 1;
        if (!state || (known && is == state))
            pids[n++] = pid;
        if (one)
            (void)fclose(one);
    }
    if (f)
        (void)fclose(f);
    return n;
}

static int resting[16];
static int nresting;

static struct mh_decision killed;

static void
bring(const char *script)
{
    store = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    CHECK(alive());
    apply("app", "who-first", "2026-01-01T00:00:00Z", "failover.lua", script);
    CHECK(strstr(last_annotation, "\"state\":\"Active\"") != NULL);
}

static void
ask_slow(void)
{
    killed = (struct mh_decision){ .point = "failover/v1",
                                   .namespace = "app",
                                   .input = INPUT,
                                   .input_len = sizeof(INPUT) - 1,
                                   .arena = &arena,
                                   .done = on_decided };
    done = false;
    for (int i = 0; i < 200 && (children('R', resting) || children('S', resting) < 2); i++)
        turn_for(5); /* one to ask and a spare one, at rest */
    nresting = children('S', resting);
    mh_policies_decide(store, &killed);
    turn_for(2); /* it has the question */
}

/* Some milliseconds: two of these fit into the time of one question. */
#ifdef WITH_ASAN
#define LOOPS "6000"
#else
#define LOOPS "40000"
#endif
#define SLOW                                                                                       \
    POLICY("if ctx.reason == 'r' then for i = 1, " LOOPS " do tostring(i) end end"                 \
           " return promote { ctx.candidates[2] and ctx.candidates[2].name or"                     \
           " ctx.candidates[1] and ctx.candidates[1].name }")

/* To the worker that computes: it rested before. How many there were. */
static int
signal_busy(int sig)
{
    int busy[16], n = children('R', busy), hit = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < nresting; k++)
            if (busy[i] == resting[k])
                hit += kill(busy[i], sig) == 0;
    CHECK(hit <= 1);
    return hit;
}

TEST(where_the_worker_is_killed_that_decides_the_spare_one_is_asked_within_the_same_deadline)
{
    bool seen = false;
    begin("policy-worker");
    bring(SLOW);
    for (int i = 0; i < 60 && !seen; i++) { /* a busy machine lets it answer first, or late */
        ask_slow();
        int hit = signal_busy(SIGKILL);
        CHECK(turn_until(&done, 3000));
        seen = hit && killed.again && mh_str_starts(killed.by, "app/who-first/failover.lua@");
        CHECK(!seen || killed.waited_us < 100000);
    }
    CHECK(seen);
    CHECK_STR(killed.answer, TURNED);
    CHECK_STR(killed.error_text, NULL);
    CHECK(strstr(last_annotation, "\"state\":\"Active\"") != NULL);
    mh_policies_free(store);
    end();
}

TEST(where_that_one_is_killed_too_the_built_in_policy_answers)
{
    bool seen = false;
    begin("policy-worker");
    bring(SLOW);
    for (int i = 0; i < 20 && !seen; i++) {
        ask_slow();
        while (!done) {
            int pids[16], n = children(0, pids);
            for (int k = 0; k < n; k++)
                (void)kill(pids[k], SIGKILL);
            turn_for(3);
        }
        seen = killed.again;
    }
    CHECK(seen);
    CHECK_STR(killed.answer, BUILT_IN);
    CHECK_STR(killed.by, "built-in");
    CHECK(killed.error_text != NULL);
    CHECK(killed.waited_us < 150000); /* 50 ms, and a busy machine */
    mh_policies_free(store);
    end();
}

TEST(who_passes_a_limit_is_not_asked_again)
{
    for (int parent = 0; parent < 2; parent++) {
        bool seen = false;
        begin("policy-worker");
        bring(parent ? SLOW
                     : POLICY("local s = 'a' if ctx.reason == 'r' then while true do s = s .. s"
                              " end end return hold('Fine')"));
        for (int i = 0; i < 20 && !seen; i++) {
            ask_slow();
            seen = !parent || signal_busy(SIGSTOP); /* its time passes, and it is killed */
            CHECK(turn_until(&done, 3000));
        }
        CHECK(seen);
        CHECK(!killed.again);
        CHECK_STR(killed.by, "built-in");
        CHECK(killed.error && strstr(killed.error, parent ? "\"wall\"" : "\"memory\""));
        mh_policies_free(store);
        end();
    }
}
