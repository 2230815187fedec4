/* A whole pass with a planner that the test plays: outcomes by class, status, pre-emption. */
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/pass.h"

#define CLUSTER "/apis/postgresql.cnpg.io/v1/namespaces/ns/clusters/c"
#define STATUS CLUSTER "/status"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_act_env env;
    struct mh_records records;
    struct mh_passes passes;
    /* the planner */
    const char *plan;
    const char *by; /* of a plugin */
    struct mh_err err;
    struct mh_err left_out;
    int64_t takes_ns;
    int plans;
    int cancelled;
    struct mh_planner_call *call;
    struct mh_timer *timer;
    char result[24];
    int results;
} q;

static void
answer(void *arg)
{
    struct mh_planner_call *call = arg;
    q.timer = NULL;
    q.call = NULL;
    call->err = q.err;
    call->left_out = q.left_out;
    call->by = q.by;
    call->seen = "{\"now\":1}";
    call->seen_len = strlen(call->seen);
    call->plan = q.plan;
    call->plan_len = q.plan ? strlen(q.plan) : 0;
    call->done(call);
}

static void
planner_start(void *self, struct mh_planner_call *call)
{
    (void)self;
    q.plans++;
    q.call = call;
    q.timer = NULL;
    for (int i = 0; i < 2 && !q.timer; i++) /* a planner always answers */
        q.timer = q.tw->world.clock.after(q.tw->world.clock.self, q.takes_ns, answer, call);
}

static void
planner_cancel(void *self, struct mh_planner_call *call)
{
    (void)self, (void)call;
    q.cancelled++;
    q.tw->world.clock.cancel(q.tw->world.clock.self, q.timer);
}

static void
on_done(void *arg, const char *kind, const char *result, int64_t ns)
{
    (void)arg, (void)kind, (void)ns;
    snprintf(q.result, sizeof(q.result), "%s", result);
    q.results++;
}

static void
begin(const char *record_dir)
{
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    const struct mh_kind *cluster =
        mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    struct mh_cache_source source = { .kind = cluster };
    CHECK(mh_cache_add(q.cache, &source));
    tw_put(q.tw, CLUSTER,
           "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":"
           "{\"name\":\"c\",\"namespace\":\"ns\",\"uid\":\"U\"},\"spec\":{}}");
    tw_settle(q.tw);
    q.env = (struct mh_act_env){ .clock = q.tw->world.clock,
                                 .rand = q.tw->world.rand,
                                 .api = q.tw->world.api,
                                 .kinds = &q.kinds,
                                 .cache = q.cache };
    mh_records_init(&q.records, record_dir, q.tw->world.fs);
    q.passes = (struct mh_passes){ .env = &q.env,
                                   .planner = { planner_start, planner_cancel, NULL },
                                   .records = &q.records,
                                   .on_done = on_done };
    mh_passes_init(&q.passes);
    q.plan = "{\"actions\":[],\"reason\":\"all is well\"}";
}

static void
finish(void)
{
    mh_passes_release(&q.passes);
    mh_records_release(&q.records);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
}

static void
change(bool urgent)
{
    mh_queue_add(&q.passes.queue, "Cluster", "ns", "c", urgent);
}

static const char *
status_of(const char *key)
{
    return mh_json_str(tw_object(q.tw, CLUSTER), "status", key, NULL);
}

static const char *
failure(void)
{
    yyjson_val *list = mh_json_get(tw_object(q.tw, CLUSTER), "status", "conditions", NULL);
    return mh_json_str(yyjson_arr_get_first(list), "message", NULL);
}

TEST(a_pass_carries_out_its_plan_and_writes_its_status)
{
    begin(NULL);
    q.plan = "{\"actions\":[{\"op\":\"label\",\"kind\":\"Cluster\",\"name\":\"c\",\"labels\":"
             "{\"a\":\"b\"}}],\"status\":{\"phase\":\"x\"},\"reason\":\"it was time\"}";
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "done");
    CHECK_STR(status_of("phase"), "x");
    CHECK_INT(q.records.len, 1);
    CHECK_STR(q.records.ring[0].reason, "it was time");
    CHECK_STR(q.records.ring[0].actions, "[\"label Cluster c\"]");
    finish();
}

TEST(passes_that_change_nothing_write_nothing_and_are_one_record)
{
    begin(NULL);
    q.plan = "{\"actions\":[],\"status\":{\"phase\":\"x\"},\"reason\":\"all is well\"}";
    for (int i = 0; i < 4; i++) {
        change(false);
        tw_settle(q.tw);
    }
    CHECK_INT(q.results, 4);
    CHECK_INT(tw_api_count(q.tw, "PATCH", STATUS), 1);
    CHECK_INT(q.records.len, 1);
    CHECK_INT(q.records.ring[0].count, 4);
    finish();
}

TEST(a_plan_says_when_to_look_again)
{
    begin(NULL);
    q.plan = "{\"actions\":[],\"reason\":\"waiting\",\"requeue_s\":1.5}";
    change(false);
    tw_settle(q.tw);
    tw_advance(q.tw, 1300 * MH_NS_PER_MS);
    CHECK_INT(q.plans, 1);
    tw_advance(q.tw, 400 * MH_NS_PER_MS);
    CHECK_INT(q.plans, 2);
    finish();
}

TEST(a_conflict_starts_the_pass_again_at_once_without_a_condition)
{
    begin(NULL);
    q.plan =
        "{\"actions\":[{\"op\":\"delete\",\"kind\":\"Cluster\",\"name\":\"c\",\"uid\":\"wrong\"}],"
        "\"status\":{\"phase\":\"x\"},\"reason\":\"r\"}";
    q.takes_ns = 2 * MH_NS_PER_MS;
    change(false);
    while (q.results < 1)
        tw_advance(q.tw, MH_NS_PER_MS);
    CHECK_STR(q.result, "reread");
    q.plan = "{\"actions\":[],\"reason\":\"r\"}";
    tw_settle(q.tw);
    CHECK_INT(q.plans, 2);
    CHECK_STR(q.result, "done");
    CHECK_STR(status_of("phase"), NULL);
    CHECK_STR(failure(), NULL);
    finish();
}

static bool
unavailable(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *a)
{
    (void)tw, (void)arg;
    a->status = 503;
    return strcmp(request->method, "POST") == 0;
}

#define CREATE                                                                                     \
    "{\"actions\":[{\"op\":\"create\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","         \
    "\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\"}}}],\"status\":{\"phase\":\"x\"},"          \
    "\"reason\":\"r\"}"

TEST(what_waiting_may_mend_is_retried_and_shown_from_the_second_failure_on)
{
    begin(NULL);
    tw_api_on(q.tw, unavailable, NULL);
    q.plan = CREATE;
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "retry");
    CHECK_STR(failure(), NULL);
    CHECK_STR(status_of("phase"), "x");
    tw_advance(q.tw, 1500 * MH_NS_PER_MS);
    CHECK_INT(q.plans, 2);
    CHECK(failure() && strstr(failure(), "create Pod p"));
    q.plan = "{\"actions\":[],\"reason\":\"r\"}";
    tw_advance(q.tw, 3 * MH_NS_PER_S);
    CHECK_INT(q.plans, 3);
    CHECK_STR(q.result, "done");
    CHECK_STR(failure(), NULL);
    finish();
}

/* Its status says what is so once all is done, and what is not done any more. */
TEST(the_status_of_a_plugin_is_written_when_all_of_its_actions_are_done)
{
    begin(NULL);
    tw_api_on(q.tw, unavailable, NULL);
    q.by = "moonherd-system/it/t.lua@0123456789ab";
    q.plan = CREATE;
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "retry");
    CHECK_STR(status_of("phase"), NULL);
    tw_advance(q.tw, 1500 * MH_NS_PER_MS);
    CHECK(failure() && strstr(failure(), "create Pod p"));
    CHECK_STR(status_of("phase"), NULL);
    q.plan = "{\"actions\":[],\"status\":{\"phase\":\"x\"},\"reason\":\"r\"}";
    tw_advance(q.tw, 3 * MH_NS_PER_S);
    CHECK_STR(q.result, "done");
    CHECK_STR(status_of("phase"), "x");
    finish();
}

TEST(what_cannot_become_right_is_a_condition_and_waits_for_a_change)
{
    begin(NULL);
    q.plan = "{\"actions\":[{\"op\":\"nonsense\"}],\"reason\":\"r\"}";
    change(false);
    tw_advance(q.tw, 60 * MH_NS_PER_S);
    CHECK_INT(q.plans, 1);
    CHECK_STR(q.result, "stopped");
    CHECK(failure() && strstr(failure(), "nonsense"));
    q.plan = "{\"actions\":[],\"reason\":\"r\"}";
    change(false);
    tw_settle(q.tw);
    CHECK_INT(q.plans, 2);
    CHECK_STR(failure(), NULL);
    finish();
}

TEST(what_was_left_out_of_a_plan_is_told_and_the_rest_goes_on)
{
    begin(NULL);
    q.plan =
        "{\"actions\":[{\"op\":\"label\",\"kind\":\"Cluster\",\"namespace\":\"ns\",\"name\":\"c\","
        "\"labels\":{\"a\":\"b\"}}],\"reason\":\"Failing over.\",\"requeue_s\":1.5}";
    mh_fail(&q.left_out, MH_E_REFUSED, "delete secrets: none of the needs covers it");
    change(false);
    tw_settle(q.tw);
    CHECK_STR(mh_json_str(tw_object(q.tw, CLUSTER), "metadata", "labels", "a", NULL), "b");
    CHECK_STR(q.result, "partly");
    CHECK(failure() && strstr(failure(), "delete secrets"));
    int plans = q.plans;
    tw_advance(q.tw, 1700 * MH_NS_PER_MS);
    CHECK_INT(q.plans, plans + 1); /* it goes on as the plan said */
    finish();
}

TEST(a_script_that_fails_is_a_condition_too)
{
    begin(NULL);
    q.plan = NULL;
    mh_fail(&q.err, MH_E_SCRIPT, "cluster.lua:3: attempt to index a nil value");
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "stopped");
    CHECK(failure() && strstr(failure(), "cluster.lua:3"));
    finish();
}

TEST(a_plan_that_is_no_table_fails_its_pass_alone)
{
    begin(NULL);
    q.plan = "[1,2]";
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "stopped");
    q.plan = "{\"actions\":7,\"status\":[1],\"requeue_s\":\"soon\",\"reason\":3}";
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "stopped");
    finish();
}

static bool
slow(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *a)
{
    (void)tw, (void)arg;
    if (strcmp(request->method, "POST") != 0)
        return false;
    a->delay_ns = 500 * MH_NS_PER_MS;
    a->status = 201;
    return true;
}

TEST(an_urgent_change_drops_the_rest_of_a_routine_pass_and_starts_afresh)
{
    begin(NULL);
    tw_api_on(q.tw, slow, NULL);
    q.plan = "{\"actions\":[{\"op\":\"create\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
             "\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\"}}},{\"op\":\"create\",\"object\":"
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"r\",\"namespace\":"
             "\"ns\"}}}],\"status\":{\"phase\":\"old\"},\"reason\":\"r\"}";
    change(false);
    tw_advance(q.tw, 100 * MH_NS_PER_MS);
    q.plan = "{\"actions\":[],\"status\":{\"phase\":\"new\"},\"reason\":\"r\"}";
    change(true);
    tw_advance(q.tw, 600 * MH_NS_PER_MS);
    CHECK_INT(tw_api_count(q.tw, "POST", "/pods"), 1);
    CHECK_INT(q.plans, 2);
    CHECK_STR(status_of("phase"), "new");
    CHECK_INT(q.records.len, 2);
    CHECK(!q.records.ring[0].urgent);
    CHECK(q.records.ring[1].urgent);
    finish();
}

TEST(an_urgent_change_does_not_wait_for_a_slow_observation)
{
    begin(NULL);
    q.takes_ns = 30 * MH_NS_PER_S;
    change(false);
    tw_advance(q.tw, 100 * MH_NS_PER_MS);
    q.takes_ns = MH_NS_PER_MS;
    change(true);
    tw_settle(q.tw);
    CHECK_INT(q.cancelled, 1);
    CHECK_INT(q.plans, 2);
    CHECK_STR(q.result, "done");
    finish();
}

TEST(an_object_that_is_gone_ends_its_pass)
{
    begin(NULL);
    tw_remove(q.tw, CLUSTER);
    tw_settle(q.tw);
    change(false);
    tw_settle(q.tw);
    CHECK_STR(q.result, "gone");
    CHECK_INT(q.plans, 0);
    finish();
}

TEST(an_object_with_an_unknown_write_is_read_before_the_pass)
{
    begin(NULL);
    mh_cache_unknown(q.cache, mh_kind_find(&q.kinds, "Cluster"), "ns", "c");
    change(false);
    tw_settle(q.tw);
    CHECK_INT(tw_api_count(q.tw, "GET", CLUSTER), 1);
    CHECK_INT(q.plans, 1);
    CHECK_STR(q.result, "done");
    finish();
}

TEST(observations_are_recorded_as_files)
{
    begin("/rec");
    change(false);
    tw_settle(q.tw);
    CHECK_STR(tw_file_text(q.tw, "/rec/000001-Cluster_ns_c.json"),
              "{\"kind\":\"Cluster\",\"namespace\":\"ns\",\"name\":\"c\",\"seen\":{\"now\":1},"
              "\"plan\":{\"actions\":[],\"reason\":\"all is well\"}}\n");
    finish();
}

TEST(passes_under_way_can_be_cancelled)
{
    begin(NULL);
    tw_api_on(q.tw, slow, NULL);
    q.plan = CREATE;
    change(false);
    tw_advance(q.tw, 100 * MH_NS_PER_MS);
    finish();
    begin(NULL);
    q.takes_ns = MH_NS_PER_S;
    change(false);
    tw_advance(q.tw, 100 * MH_NS_PER_MS);
    finish();
}

TEST(the_ring_of_records_has_an_end)
{
    begin(NULL);
    for (int i = 0; i < 1000; i++) {
        char reason[32];
        char key[32];
        char none[] = "[]", done[] = "done";
        snprintf(reason, sizeof(reason), "reason %d", i);
        snprintf(key, sizeof(key), "K\nns\n%d", i % 7);
        struct mh_record rec = { .key = key, .reason = reason, .result = done, .actions = none };
        mh_records_add(&q.records, &rec);
    }
    CHECK_INT(q.records.len, MH_RECORDS_MAX);
    struct mh_buf b;
    mh_buf_init(&b, 1 << 20);
    CHECK(mh_records_json(&q.records, "K\nns\n3", true, &b));
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    yyjson_val *v;
    CHECK_INT(mh_json_parse(&a, b.data, b.len, &v, NULL), MH_OK);
    CHECK(yyjson_arr_size(v) >= 18);
    mh_arena_release(&a);
    mh_buf_release(&b);
    finish();
}

TEST(after_any_failed_allocation_a_pass_comes_to_its_end)
{
    bool swept = false;
    for (int n = 0; n < 3000 && !swept; n++) {
        begin(NULL);
        q.plan =
            "{\"actions\":[{\"op\":\"label\",\"kind\":\"Cluster\",\"name\":\"c\",\"labels\":"
            "{\"a\":\"b\"}},{\"op\":\"apply\",\"object\":{\"apiVersion\":\"v1\",\"kind\":"
            "\"Service\","
            "\"metadata\":{\"name\":\"s\",\"namespace\":\"ns\"}}}],\"status\":{\"phase\":\"x\"},"
            "\"reason\":\"it was time\"}";
        mh_mem_fail_after(n);
        change(false);
        tw_settle(q.tw);
        swept = !mh_mem_failed();
        mh_mem_fail_after(-1);
        change(false); /* the key itself may have been dropped */
        tw_advance(q.tw, 20 * MH_NS_PER_S);
        if (strcmp(q.result, "done") != 0 || !mh_str_eq(status_of("phase"), "x"))
            printf("# n = %d: %s\n", n, q.result);
        CHECK_STR(q.result, "done");
        CHECK_STR(status_of("phase"), "x");
        CHECK(tw_object(q.tw, "/api/v1/namespaces/ns/services/s") != NULL);
        finish();
    }
    CHECK(swept);
}
