/* The life of a version: rollout, replay, rollback, what outlives a restart; and whose policy counts. */
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "harness/test.h"
#include "lua/policy_diff.h"
#include "lua/policy_entry.h"
#include "lua/policy_ring.h"
#include "lua/policy_store.h"

#define BUILT_IN "{\"action\":\"promote\",\"order\":[\"pg-2\",\"pg-3\"],\"target\":\"pg-2\"}"
#define TURNED "{\"action\":\"promote\",\"order\":[\"pg-3\",\"pg-2\"],\"target\":\"pg-3\"}"
#define POLICY(body)                                                                               \
    "return policy 'failover/v1' { params = { who = str 'pg-3' },\n decide = function(ctx)\n"      \
    " " body "\n local r = {} for _, c in ipairs(ctx.candidates) do\n"                             \
    "  r[#r + 1] = { name = c.name, key = { c.name == ctx.params.who } } end\n"                    \
    " if #r == 0 then return hold('Nobody') end return promote(rank(r)) end }"
#define GOOD POLICY("")
/* Turns bad at a time that no fixture has. */
#define BAD_LATER POLICY("if ctx.now == 777 then error('boom') end")
#define UNSAFE_LATER POLICY("if ctx.now == 777 then return promote { 'nobody' } end")
#define HOLDS "return policy 'failover/v1' { decide = function() return hold('Wait') end }"

static struct event_base *base;
static struct mh_pool *pool;
static struct mh_policies *store;
static struct mh_arena arena;
static int64_t now_s;
static char notes[1 << 15];  /* events since the last reset */
static char status[1 << 15]; /* last annotation */
static char report[1 << 15];
static char record[1 << 16];
static bool done;

static void
on_news(void *arg, const struct mh_policy_news *n)
{
    size_t at = strlen(notes);
    (void)arg;
    if (n->record)
        (void)snprintf(record, sizeof(record), "%s", n->record);
    if (n->reason)
        (void)snprintf(notes + at, sizeof(notes) - at, "%s %s\n", n->reason, n->note);
    if (n->annotation) {
        (void)snprintf(status, sizeof(status), "%s", n->annotation);
        (void)snprintf(report, sizeof(report), "%s", n->report ? n->report : "");
    }
}

static int64_t
mono_ns(void *self)
{
    (void)self;
    return now_s * 1000000000;
}

static int64_t
wall_us(void *self)
{
    (void)self;
    return now_s * 1000000;
}

/* "a=b" only: the real one is kube's. */
static bool
match(const char *selector, yyjson_val *labels)
{
    char key[64];
    size_t n = strcspn(selector, "=");
    (void)snprintf(key, sizeof(key), "%.*s", (int)n, selector);
    const char *v = yyjson_get_str(yyjson_obj_get(labels, key));
    return v && strcmp(v, selector + n + 1) == 0;
}

static bool
turn_until(const bool *flag)
{
    for (int i = 0; i < 20000 && !*flag; i++) {
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        (void)usleep(200);
    }
    return *flag;
}

static void
open_store(void)
{
    struct mh_clock clock = { .mono_ns = mono_ns, .wall_us = wall_us };
    if (store)
        mh_policies_free(store);
    store = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    mh_policies_set_clock(store, &clock);
    mh_policies_set_match(store, match);
    notes[0] = status[0] = 0;
}

static void
begin(void)
{
    static const char *argv[] = { MH_TEST_WORKER, "policy-worker", NULL };
    base = event_base_new();
    mh_arena_init(&arena, (size_t)64 << 20);
    pool = mh_pool_new(base, &(struct mh_pool_options){ .argv = argv, .deadline_ms = 2000 });
    now_s = 1000;
    store = NULL;
    record[0] = 0;
    open_store();
    mh_policies_restored(store);
}

static void
end(void)
{
    mh_policies_free(store);
    mh_pool_free(pool);
    event_base_free(base);
    mh_arena_release(&arena);
}

/* Until nothing is checked or replayed any more, and that is told. */
static void
settle(void)
{
    for (int i = 0; i < 20000; i++) {
        bool busy = store->shades != NULL || store->replays != NULL;
        for (const struct mh_map_of *m = store->maps; m; m = m->next)
            for (const struct mh_entry *e = m->entries; e; e = e->next)
                busy = busy || e->check;
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (!busy && i > 3)
            break;
        (void)usleep(200);
    }
    for (int i = 0; i < 3; i++)
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* annotations: JSON members, as "\"moonherd.io/rollout\":\"shadow\"". script NULL: no key. */
static void
put(const char *ns, const char *name, const char *script, const char *annotations)
{
    struct mh_buf b;
    yyjson_val *v = NULL;
    mh_buf_init(&b, (size_t)1 << 20);
    mh_buf_printf(&b,
                  "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"creationTimestamp\":"
                  "\"2026-01-01T00:00:00Z\",\"labels\":{\"moonherd.io/policy\":\"\"},"
                  "\"annotations\":{%s}},\"data\":{",
                  ns, name, annotations);
    if (script) {
        mh_buf_str(&b, "\"failover.lua\":");
        mh_json_quote(&b, script, strlen(script));
    }
    mh_buf_str(&b, "}}");
    CHECK(mh_json_parse(&arena, b.data, b.len, &v, NULL) == MH_OK);
    mh_buf_release(&b);
    notes[0] = 0;
    CHECK(mh_policies_update(store, v, NULL) == MH_OK);
    settle();
}

static void
on_decided(struct mh_decision *d)
{
    (void)d;
    done = true;
}

/* now 777 is when bad policies show what they are. */
static struct mh_decision
decide(const char *cluster, int now, const char *metadata)
{
    static struct mh_decision d;
    const char *input = mh_arena_printf(
        &arena,
        "{\"candidates\":[{\"name\":\"pg-2\",\"replay_lag\":0,\"sync\":true},{\"name\":\"pg-3\","
        "\"replay_lag\":5,\"sync\":true}],\"cluster\":{\"name\":\"%s\"},\"now\":%d,\"reason\":"
        "\"r\"}",
        cluster, now);
    yyjson_val *object = NULL;
    const char *text = mh_arena_printf(&arena, "{\"metadata\":{%s}}", metadata);
    CHECK(mh_json_parse(&arena, text, strlen(text), &object, NULL) == MH_OK);
    d = (struct mh_decision){ .point = "failover/v1",
                              .namespace = "web",
                              .cluster = cluster,
                              .object = object,
                              .input = input,
                              .input_len = strlen(input),
                              .arena = &arena,
                              .done = on_decided };
    done = false;
    mh_policies_decide(store, &d);
    CHECK(turn_until(&done));
    settle();
    return d;
}

#define ASK(now) decide("pg", now, "")

TEST(three_errors_within_ten_minutes_bring_the_last_good_version_back)
{
    begin();
    put("web", "who", GOOD, "");
    CHECK_STR(ASK(5).answer, TURNED);
    put("web", "who", BAD_LATER, "");
    CHECK(strstr(notes, "PolicyActive failover.lua: decides failover/v1") == notes);
    for (int i = 0; i < 2; i++) {
        CHECK_STR(ASK(777).by, "built-in"); /* the failing call itself */
        now_s += 250;
    }
    now_s += 200; /* the first error is out of the window by now */
    (void)ASK(777);
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    now_s += 10;
    notes[0] = 0;
    (void)ASK(777);
    CHECK(strstr(notes, "PolicyRolledBack failover.lua: 3 errors within ten minutes, the last: "
                        "failover.lua:3: boom; version ") == notes);
    CHECK(strstr(status, "\"state\":\"RolledBack\"") != NULL);
    struct mh_decision d = ASK(777);
    CHECK_STR(d.answer, TURNED);
    CHECK(strstr(d.by, "web/who/failover.lua@") == d.by);
    struct mh_policy_figures f;
    mh_policies_figures(store, &f);
    CHECK_INT((long)f.rollbacks, 1);
    CHECK_INT((long)f.errors, 4);
    CHECK_INT(f.states[MH_ROLLED_BACK], 1);

    put("web", "who", BAD_LATER, ""); /* the same bytes again are no edit */
    CHECK(strstr(ASK(6).answer, "pg-3") != NULL);
    CHECK(strstr(status, "RolledBack") != NULL);
    put("web", "who", POLICY("local mended = 1"), "");
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    end();
}

TEST(one_answer_that_is_not_allowed_is_enough)
{
    begin();
    put("web", "who", UNSAFE_LATER, "");
    notes[0] = 0;
    CHECK_STR(ASK(777).answer, BUILT_IN);
    CHECK(strstr(notes, "PolicyRolledBack failover.lua: an answer that is not allowed: ") == notes);
    CHECK(strstr(notes, "the built-in policy decides until the text is edited") != NULL);
    CHECK_STR(ASK(5).by, "built-in");
    end();
}

static void
restart(void)
{
    yyjson_val *v = NULL;
    struct mh_record_of of = { "web", "who", NULL };
    char *kept = mh_arena_strdup(&arena, record);
    CHECK(mh_json_parse(&arena, kept, strlen(kept), &v, NULL) == MH_OK);
    open_store();
    CHECK(mh_policies_restore(store, &of, v, NULL) == MH_OK);
    mh_policies_restored(store);
}

TEST(a_restart_keeps_the_last_good_version_and_knows_the_bad_one)
{
    begin();
    put("web", "who", GOOD, "");
    put("web", "who", UNSAFE_LATER, "");
    (void)ASK(777);
    CHECK(strstr(record, "\"rolledBack\":{\"id\":\"") != NULL);
    restart();
    put("web", "who", UNSAFE_LATER, "");
    CHECK(strstr(status, "RolledBack") != NULL);
    CHECK_STR(ASK(777).answer, TURNED);
    CHECK(strstr(ASK(777).by, "web/who") != NULL);

    /* The record comes after the text was checked. */
    char *kept = mh_arena_strdup(&arena, record);
    yyjson_val *v = NULL;
    struct mh_record_of of = { "web", "who", NULL };
    CHECK(mh_json_parse(&arena, kept, strlen(kept), &v, NULL) == MH_OK);
    open_store();
    put("web", "who", UNSAFE_LATER, "");
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    CHECK(mh_policies_restore(store, &of, v, NULL) == MH_OK);
    mh_policies_restored(store);
    settle();
    CHECK(strstr(status, "RolledBack") != NULL);
    CHECK_STR(ASK(777).answer, TURNED);
    end();
}

TEST(after_a_restart_the_version_before_is_still_known)
{
    begin();
    put("web", "who", GOOD, "");
    put("web", "who", UNSAFE_LATER, "");
    CHECK(strstr(record, "\"before\":{") != NULL);
    restart();
    put("web", "who", UNSAFE_LATER, "");
    CHECK_STR(ASK(5).answer, TURNED);
    (void)ASK(777);
    CHECK_STR(ASK(777).answer, TURNED); /* by the version before, checked again */
    CHECK(strstr(ASK(777).by, "web/who") != NULL);
    end();
}

TEST(who_takes_over_reads_the_records_again)
{
    yyjson_val *v = NULL;
    struct mh_record_of of = { "web", "who", NULL };
    begin();
    put("web", "who", GOOD, "");
    put("web", "who", UNSAFE_LATER, "");
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    /* Meanwhile the one that leads has met the violation; this one only hears of it. */
    char *kept =
        mh_arena_printf(&arena,
                        "{\"failover.lua\":{\"rolledBack\":{\"id\":\"%s\",\"why\":\"it was "
                        "bad\"}}}",
                        store->maps->entries->latest->id);
    CHECK(mh_json_parse(&arena, kept, strlen(kept), &v, NULL) == MH_OK);
    for (int i = 0; i < 2; i++)
        CHECK(mh_policies_restore(store, &of, v, NULL) == MH_OK);
    settle();
    CHECK(strstr(status, "\"state\":\"RolledBack\"") != NULL);
    CHECK(strstr(status, "it was bad") != NULL);
    CHECK_STR(ASK(777).answer, TURNED);
    end();
}

TEST(what_was_not_written_is_told_again)
{
    begin();
    put("web", "who", GOOD, "");
    status[0] = 0;
    settle();
    CHECK_STR(status, "");
    mh_policies_untold(store, "web", "who");
    mh_policies_untold(store, "web", "nobody");
    CHECK(evtimer_pending(store->later, NULL) != 0);
    mh_policies_tell(store); /* as the timer does */
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    end();
}

TEST(of_many_edits_at_once_the_last_one_decides)
{
    begin();
    for (int i = 0; i < 60; i++) {
        struct mh_buf b;
        yyjson_val *v = NULL;
        const char *script = i == 59 ? GOOD : i % 3 ? HOLDS : POLICY("return promot()");
        mh_buf_init(&b, 1 << 16);
        mh_buf_str(&b, "{\"metadata\":{\"namespace\":\"web\",\"name\":\"who\",\"labels\":{"
                       "\"moonherd.io/policy\":\"\"}},\"data\":{\"failover.lua\":");
        mh_json_quote(&b, script, strlen(script));
        mh_buf_str(&b, "}}");
        CHECK(mh_json_parse(&arena, b.data, b.len, &v, NULL) == MH_OK);
        mh_buf_release(&b);
        CHECK(mh_policies_update(store, v, NULL) == MH_OK);
        for (int k = 0; k < i % 7; k++) {
            (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
            (void)usleep(300);
        }
    }
    settle();
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    CHECK_STR(ASK(5).answer, TURNED);
    end();
}

/* An edit, its replay, a decision, a rollback, with the n-th allocation failing; whether it came. */
static bool
live_with_failure(yyjson_val *map, yyjson_val *bad, int n)
{
    struct mh_decision d = { .point = "failover/v1",
                             .namespace = "web",
                             .cluster = "pg",
                             .input =
                                 "{\"candidates\":[],\"cluster\":{\"name\":\"pg\"},\"now\":777,"
                                 "\"reason\":\"r\"}",
                             .arena = &arena,
                             .done = on_decided };
    d.input_len = strlen(d.input);
    open_store();
    (void)ASK(6);
    mh_mem_fail_after(n);
    mh_policies_restored(store);
    (void)mh_policies_update(store, map, NULL);
    settle();
    (void)mh_policies_update(store, bad, NULL);
    settle();
    done = false;
    mh_policies_decide(store, &d);
    CHECK(turn_until(&done));
    settle();
    bool failed = mh_mem_failed();
    mh_mem_fail_after(-1);
    return failed;
}

TEST(a_whole_life_gets_over_any_failed_allocation)
{
    yyjson_val *maps[2] = { NULL, NULL };
    const char *scripts[] = { GOOD, UNSAFE_LATER };
    begin();
    for (int i = 0; i < 2; i++) {
        struct mh_buf b;
        mh_buf_init(&b, 1 << 16);
        mh_buf_str(&b, "{\"metadata\":{\"namespace\":\"web\",\"name\":\"who\",\"labels\":{"
                       "\"moonherd.io/policy\":\"\"}},\"data\":{\"failover.lua\":");
        mh_json_quote(&b, scripts[i], strlen(scripts[i]));
        mh_buf_str(&b, "}}");
        CHECK(mh_json_parse(&arena, b.data, b.len, &maps[i], NULL) == MH_OK);
        mh_buf_release(&b);
    }
    bool failed = true;
    for (int n = 0; failed && n < 20000; n += n < 150 ? 1 : 41)
        failed = live_with_failure(maps[0], maps[1], n);
    CHECK(!failed);
    end();
}

TEST(manual_waits_for_its_hash_and_shadow_only_watches)
{
    char approve[200];
    begin();
    put("web", "who", GOOD, "");
    put("web", "who", HOLDS, "\"moonherd.io/rollout\":\"manual\"");
    CHECK(strstr(notes, "PolicyWaits failover.lua: waits until annotation moonherd.io/approve "
                        "names ") == notes);
    CHECK(strstr(notes, "stays in charge") != NULL);
    CHECK(strstr(status, "\"state\":\"Replayed\"") != NULL);
    CHECK_STR(ASK(5).answer, TURNED);
    (void)snprintf(approve, sizeof(approve),
                   "\"moonherd.io/rollout\":\"manual\",\"moonherd.io/approve\":\"%.12s\"",
                   strstr(status, "\"hash\":\"") + 8);
    put("web", "who", HOLDS, approve);
    CHECK(strstr(status, "\"state\":\"Active\"") != NULL);
    CHECK(strstr(ASK(5).answer, "Wait") != NULL);

    put("web", "who", GOOD, "\"moonherd.io/rollout\":\"failover.lua=shadow\"");
    CHECK(strstr(notes, "PolicyInShadow failover.lua: runs in the shadow") == notes);
    CHECK(strstr(ASK(9).answer, "Wait") != NULL);
    CHECK_INT(store->maps->entries->shadow.asked, 1);
    CHECK_INT(store->maps->entries->shadow.differ, 1);
    CHECK(strstr(store->maps->entries->shadow.last, "web/pg: action: hold -> promote") != NULL);
    put("web", "who", GOOD, "");
    CHECK_STR(ASK(5).answer, TURNED);
    put("web", "who", GOOD, "\"moonherd.io/rollout\":\"whatever\"");
    CHECK(strstr(status, "want auto, manual or shadow") != NULL);
    end();
}

TEST(recorded_decisions_are_replayed_before_a_version_decides)
{
    begin();
    for (int i = 0; i < 3; i++) {
        (void)decide(i == 2 ? "other" : "pg", 100 + i, "");
        now_s++;
    }
    put("web", "who", GOOD, "");
    CHECK(strstr(report, "\"replay\":\"2 of 2 recorded decisions differ\"") != NULL);
    CHECK(strstr(report, "order: [pg-2, pg-3] -> [pg-3, pg-2]; target: pg-2 -> pg-3") != NULL);
    CHECK(strstr(report, "\"Replayed\":") && strstr(report, "\"Active\":"));
    put("web", "who", POLICY("if ctx.now == 102 then error('boom') end"), "");
    CHECK(strstr(notes, "PolicyRejected failover.lua: failover.lua:3: boom, on a recorded input of "
                        "web/other (input ") == notes);
    CHECK(strstr(notes, "stays in charge") != NULL);
    CHECK_STR(ASK(5).answer, TURNED);
    put("elsewhere", "w", GOOD, "");
    CHECK(strstr(report, "there are no recorded decisions") != NULL);
    end();
}

TEST(a_cluster_names_its_policies_and_parameters)
{
    begin();
    put("moonherd-system", "holds", HOLDS, "\"moonherd.io/cluster-selector\":\"tier=gold\"");
    CHECK(strstr(notes, "all clusters that match tier=gold") != NULL);
    CHECK_STR(decide("a", 1, "").by, "built-in");
    CHECK(strstr(decide("a", 1, "\"labels\":{\"tier\":\"gold\"}").answer, "Wait") != NULL);
    put("web", "who", GOOD, "");
    CHECK_STR(decide("a", 1, "\"labels\":{\"tier\":\"gold\"}").answer, TURNED);
#define NAMED(x) "\"annotations\":{\"moonherd.io/policies\":\"" x "\"}"
    CHECK(strstr(decide("a", 1, NAMED("placement=x, failover=holds/failover.lua")).answer,
                 "Wait") != NULL);
    CHECK_STR(decide("a", 1, NAMED("failover/v1=built-in")).by, "built-in");
    struct mh_decision d = decide("a", 1, NAMED("failover=nowhere/f.lua"));
    CHECK_STR(d.answer, BUILT_IN);
    CHECK(strstr(d.error_text, "names nowhere/f.lua, which is no active policy of failover/v1"));
#define PARAMS(x) "\"annotations\":{\"moonherd.io/policy-params\":\"" x "\"}"
    CHECK_STR(decide("a", 1, PARAMS("failover: {who: pg-2}")).answer, BUILT_IN);
    CHECK_STR(decide("a", 1, PARAMS("placement: {who: pg-2}")).answer, TURNED);
    for (int i = 0; i < 4; i++) { /* the mistakes of a Cluster are not the policy's */
        d = decide("a", 1, PARAMS("failover: {whom: pg-2}"));
        CHECK(strstr(d.error_text, "params.whom is not declared") != NULL);
    }
    CHECK(strstr(decide("a", 1, PARAMS("failover: [")).error_text,
                 "policy-params of the Cluster, line") != NULL);
    CHECK_STR(decide("a", 1, "").answer, TURNED);
    end();
}

TEST(a_deleted_key_is_told_with_who_decides_now)
{
    begin();
    put("web", "who", GOOD, "");
    put("web", "who", NULL, "");
    CHECK_STR(notes, "PolicyRemoved failover.lua is gone: the built-in policy decides failover/v1 "
                     "now\n");
    put("web", "who", GOOD, "");
    notes[0] = 0;
    mh_policies_remove(store, "web", "who");
    settle();
    CHECK(strstr(notes, "PolicyRemoved failover.lua is gone: the built-in policy") == notes);
    end();
}

static long
resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (f)
        (void)fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* MH_RELOADS=10000 for the whole of it. */
TEST(reloads_leave_no_memory_behind)
{
    const char *many = getenv("MH_RELOADS");
    int n = many ? (int)strtol(many, NULL, 10) : 150;
    struct mh_policy_figures f;
    begin();
    for (int i = 0; i < n / 5 + 20; i++)
        put("web", "who", i % 2 ? GOOD : HOLDS, "");
    long before = resident_kib();
    for (int i = 0; i < n; i++) {
        mh_arena_release(&arena);
        mh_arena_init(&arena, (size_t)64 << 20);
        put("web", "who", i % 2 ? GOOD : HOLDS, "");
    }
    long grown = resident_kib() - before;
    mh_policies_figures(store, &f);
    CHECK((int)f.activations >= n);
    printf("# %d reloads, %ld KiB more\n", n, grown);
#if !defined(__SANITIZE_ADDRESS__)
    CHECK(grown <= 1024);
#endif
    end();
}

TEST(the_ring_keeps_inputs_in_little_memory_and_gives_them_back)
{
    struct mh_ring *r = mh_ring_new();
    struct mh_taken *list[3];
    struct mh_arena a;
    char input[3][6000];
    struct mh_taken like = {
        .point = "p/v1", .ns = "n", .cluster = "c", .by = "b", .answer = "{}"
    };
    mh_arena_init(&a, 1 << 20);
    for (int i = 0; i < 3; i++) { /* one is short */
        int n = snprintf(input[i], sizeof(input[i]), "{\"now\":%d,\"nodes\":[%d", i, i);
        for (int k = 0; n < (i == 1 ? 40 : 5800); k++)
            n += snprintf(input[i] + n, sizeof(input[i]) - (size_t)n,
                          ",{\"name\":\"node%d\",\"zone\":\"zone%d\"}", k, k % 3);
        (void)snprintf(input[i] + n, sizeof(input[i]) - (size_t)n, "]}");
        like.input = input[i];
        like.at_us = 3 - i;
        mh_ring_add(r, &like);
    }
    CHECK_INT((long)mh_ring_last(r, "p/v1", "n", list, 3), 3);
    CHECK(mh_ring_bytes(r) < 4000);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(mh_taken_input(&a, list[i]), input[i]);
        CHECK_INT((long)list[i]->input_len, (long)strlen(input[i]));
        mh_taken_unref(list[i]);
    }
    mh_arena_release(&a);
    mh_ring_free(r);
}

TEST(the_ring_is_bounded_and_repetitions_only_count)
{
    struct mh_ring *r = mh_ring_new();
    struct mh_taken *list[300];
    char input[64];
    struct mh_taken like = {
        .point = "p/v1", .ns = "n", .cluster = "c", .by = "b", .answer = "{}"
    };
    like.input = input;
    for (int i = 0; i < 300; i++) {
        like.at_us = i;
        (void)snprintf(input, sizeof(input), "{\"now\":%d,\"x\":%d}", i, i / 2);
        mh_ring_add(r, &like);
    }
    CHECK_INT((long)mh_ring_count(r, "n", "c"), 150);
    size_t n = mh_ring_last(r, "p/v1", "n", list, 300);
    CHECK_INT((long)n, 150);
    CHECK_INT((long)list[0]->at_us, 299);
    CHECK_INT(list[0]->count, 2);
    for (size_t i = 0; i < n; i++)
        mh_taken_unref(list[i]);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(input, sizeof(input), "{\"y\":%d}", i);
        mh_ring_add(r, &like);
    }
    CHECK_INT((long)mh_ring_count(r, "n", "c"), MH_RING_CLUSTER);
    char *big = malloc(100001);
    memset(big, 'x', 100000);
    big[100000] = 0;
    for (int i = 0; i < 1000; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "c%d", i % 50);
        for (int k = 0; k < 100000; k++) /* nothing that could be kept in less */
            big[k] = (char)('!' + rand() % 90);
        like.cluster = name;
        like.input = big;
        mh_ring_add(r, &like);
    }
    CHECK(mh_ring_bytes(r) <= MH_RING_BYTES);
    mh_ring_forget(r, "n", "c");
    CHECK_INT((long)mh_ring_count(r, "n", "c"), 0);
    free(big);
    mh_ring_free(r);
}

static const char *
differ(const char *a, const char *b)
{
    static char out[2000];
    struct mh_buf buf;
    yyjson_val *x = NULL, *y = NULL;
    mh_arena_init(&arena, (size_t)4 << 20);
    CHECK(mh_json_parse(&arena, a, strlen(a), &x, NULL) == MH_OK);
    CHECK(mh_json_parse(&arena, b, strlen(b), &y, NULL) == MH_OK);
    mh_buf_init(&buf, 4000);
    CHECK(mh_policy_diff(&buf, x, y));
    (void)snprintf(out, sizeof(out), "%s", mh_buf_text(&buf));
    mh_buf_release(&buf);
    mh_arena_release(&arena);
    return out;
}

TEST(differences_read_as_people_say_them)
{
    CHECK_STR(differ("{\"a\":1}", "{\"a\":1}"), "");
    CHECK_STR(differ("{\"a\":[\"x\",\"y\"],\"b\":true}", "{\"a\":[\"y\"],\"c\":1.5}"),
              "a: [x, y] -> [y]; b: true -> nothing; c: nothing -> 1.5");
    CHECK_STR(differ("{\"s\":[{\"k\":\"z\",\"n\":1}]}", "{\"s\":[{\"k\":\"z\",\"n\":2},{}]}"),
              "s[1].n: 1 -> 2; s[2]: nothing -> {}");
    CHECK_STR(
        differ("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1}", "{}"),
        "a: 1 -> nothing; b: 1 -> nothing; c: 1 -> nothing; d: 1 -> nothing; e: 1 -> nothing; "
        "...");
}
