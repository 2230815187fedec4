/* Records that outlive the process: what is written, when, and what comes back. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/notebook_in.h"

#define RECORDS "/apis/moonherd.io/v1alpha1/namespaces/ns/clusterrecords"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_notebook nb;
    char given[4096];
    int reads;
    bool leads;
    int refuse; /* so many requests are answered with 503 */
} q;

static bool
may_write(void *arg)
{
    (void)arg;
    return q.leads;
}

static void
on_policies(void *arg, const struct mh_record_of *of, yyjson_val *policies)
{
    size_t at = strlen(q.given);
    (void)arg;
    (void)snprintf(q.given + at, sizeof(q.given) - at, "%s/%s %s %s\n", of->namespace, of->name,
                   of->uid ? of->uid : "-", mh_json_canonical(&q.tw->arena, policies, NULL));
}

static void
on_read(void *arg)
{
    (void)arg;
    q.reads++;
}

static bool
refuse(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *answer)
{
    (void)tw, (void)arg, (void)request;
    if (q.refuse <= 0)
        return false;
    q.refuse--;
    answer->status = 503;
    return true;
}

static void
open_notebook(void)
{
    q.nb = (struct mh_notebook){ .api = q.tw->world.api,
                                 .clock = q.tw->world.clock,
                                 .kind = mh_kind_find(&q.kinds, "ClusterRecord"),
                                 .may_write = may_write,
                                 .on_policies = on_policies,
                                 .on_read = on_read };
    mh_notebook_init(&q.nb);
}

static void
begin(void)
{
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.leads = true;
    q.tw = tw_new(1);
    tw_store(q.tw);
    tw_api_on(q.tw, refuse, NULL);
    CHECK(mh_kinds_init(&q.kinds));
    CHECK(
        mh_kinds_add(&q.kinds, "moonherd.io", "v1alpha1", "ClusterRecord", "clusterrecords", true));
    open_notebook();
}

static void
finish(void)
{
    mh_notebook_release(&q.nb);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
}

static void
decide(const char *point, const char *answer, const char *input)
{
    struct mh_event_ref about = { "postgresql.cnpg.io/v1", "Cluster", "ns", "c", "U", NULL };
    struct mh_decision d = { .point = point,
                             .namespace = "ns",
                             .input = input,
                             .input_len = strlen(input),
                             .answer = answer,
                             .answer_len = answer ? strlen(answer) : 0,
                             .by = "built-in" };
    mh_notebook_decision(&q.nb, &about, &d);
}

static void
keep(const char *record)
{
    struct mh_policy_news news = {
        .namespace = "ns", .name = "who-first", .uid = "M", .record = record
    };
    mh_notebook_policies(&q.nb, &news);
}

static size_t
decisions(void)
{
    return yyjson_arr_size(mh_json_get(tw_object(q.tw, RECORDS "/c"), "record", "decisions", NULL));
}

TEST(decisions_are_gathered_and_written_once)
{
    begin();
    decide("failover/v1", "{\"order\":[\"c-2\"]}", "{\"a\":1}");
    decide("placement/v1", "{}", "{}");
    tw_advance(q.tw, 4 * MH_NS_PER_S);
    CHECK(tw_object(q.tw, RECORDS "/c") == NULL);
    tw_advance(q.tw, 2 * MH_NS_PER_S);
    yyjson_val *o = tw_object(q.tw, RECORDS "/c");
    CHECK_INT(decisions(), 2);
    CHECK_STR(mh_json_str(o, "metadata", "labels", "moonherd.io/record", NULL), "decisions");
    yyjson_val *owner = yyjson_arr_get_first(mh_json_get(o, "metadata", "ownerReferences", NULL));
    CHECK_STR(mh_json_str(owner, "uid", NULL), "U");
    yyjson_val *first = yyjson_arr_get_first(mh_json_get(o, "record", "decisions", NULL));
    CHECK_STR(mh_json_str(first, "point", NULL), "failover/v1");
    CHECK_INT(mh_json_int(first, 0, "input", "a", NULL), 1);
    CHECK_STR(mh_json_str(first, "by", NULL), "built-in");
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/clusterrecords/c"), 1);
    finish();
}

TEST(what_a_record_says_already_is_not_written_again)
{
    begin();
    decide("failover/v1", "{\"order\":[\"c-2\"]}", "{}");
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    decide("failover/v1", "{\"order\":[\"c-2\"]}", "{\"x\":1}");
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(decisions(), 1);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/clusterrecords/c"), 1);
    mh_notebook_release(&q.nb); /* a restart */
    open_notebook();
    decide("failover/v1", "{\"order\":[\"c-3\"]}", "{}");
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(decisions(), 2);
    finish();
}

TEST(a_wait_whose_end_moves_along_is_written_once_a_minute)
{
    begin();
    for (int i = 0; i < 12; i++) {
        char answer[200];
        (void)snprintf(answer, sizeof(answer),
                       "{\"action\":\"wait\",\"reason\":\"ZoneBusy\",\"at\":%d}",
                       1785578415 + 10 * i);
        decide("rollout/v1", answer, "{}");
        tw_advance(q.tw, 10 * MH_NS_PER_S);
    }
    CHECK_INT(decisions(), 2);
    decide("rollout/v1", "{\"action\":\"wait\",\"reason\":\"Frozen\",\"at\":1785578530}", "{}");
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(decisions(), 3);
    finish();
}

/* --- passes of plugins --------------------------------------------------------------------------- */

static void
say(const char *reason, const char *actions, const char *seen, int64_t again_ms)
{
    struct mh_event_ref about = {
        "greetings.example.dev/v1", "Greeting", "ns", "hello", "u", NULL
    };
    struct mh_pass_said said = { .reason = reason,
                                 .result = "done",
                                 .actions = actions,
                                 .by = "ns/map/greeting.lua@0123456789ab",
                                 .seen = seen,
                                 .again_ms = again_ms };
    mh_notebook_pass(&q.nb, &about, &said);
    tw_advance(q.tw, 20 * MH_NS_PER_S);
}

static yyjson_val *
last_pass(size_t *n)
{
    yyjson_val *list =
        mh_json_get(tw_object(q.tw, RECORDS "/object.greeting.greetings.example.dev.hello"),
                    "record", "passes", NULL);
    *n = yyjson_arr_size(list);
    return yyjson_arr_get_last(list);
}

TEST(an_object_of_a_plugin_has_a_record_that_gives_nothing_away)
{
    static const char seen[] =
        "{\"now\":12,\"password\":\"horse\",\"rows\":[{\"a\":\"horse\"}],\"flag\":true,"
        "\"table\":{\"x\":\"horse\"},\"gone\":null,"
        "\"map\":{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\",\"resourceVersion\":\"7\"},"
        "\"data\":{\"a\":\"horse\"}}}";
    size_t n;
    begin();
    say("NoGate: shut", "[]", seen, 30000);
    yyjson_val *p = last_pass(&n);
    CHECK_INT(n, 1);
    CHECK_STR(mh_json_str(p, "by", NULL), "ns/map/greeting.lua@0123456789ab");
    CHECK_STR(mh_json_str(tw_object(q.tw, RECORDS "/object.greeting.greetings.example.dev.hello"),
                          "metadata", "labels", "moonherd.io/record", NULL),
              "passes");
    CHECK_INT(mh_json_int(p, 0, "again_s", NULL), 30);
    CHECK_STR(mh_json_text(&q.tw->arena, yyjson_obj_get(p, "saw"), NULL),
              "[\"now: 12\",\"password: a text of 5 bytes\",\"rows: a list of 1\",\"flag: true\","
              "\"table: a table of 1\",\"gone: nothing\",\"map: ConfigMap m at 7\"]");
    CHECK(!strstr(mh_json_text(&q.tw->arena, p, NULL), "horse"));
    CHECK(!tw_object(q.tw, RECORDS "/hello"));
    say("NoGate: shut", "[]", "{\"now\":42}", 30000); /* nothing new but the time */
    (void)last_pass(&n);
    CHECK_INT(n, 1);
    say("NoGate: shut", "[\"apply ConfigMap a\"]", "{}", 0);
    p = last_pass(&n);
    CHECK_INT(n, 2);
    CHECK_INT(yyjson_arr_size(yyjson_obj_get(p, "saw")), 0);
    finish();
}

TEST(what_a_plugin_saw_may_be_anything)
{
    static const char *const odd[] = { NULL, "", "[1,2]", "3", "{\"\":{}}", "{\"a\":[]", "null" };
    size_t n;
    begin();
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        say(mh_arena_printf(&q.tw->arena, "R%zu", i), "[]", odd[i], 0);
    (void)last_pass(&n);
    CHECK_INT(n, sizeof(odd) / sizeof(odd[0]));
    finish();
}

TEST(a_record_has_at_most_64_KiB_and_20_decisions)
{
    static char long_answer[6000];
    char answer[6100];
    begin();
    memset(long_answer, 'a', sizeof(long_answer) - 1);
    for (int i = 0; i < 30; i++) {
        (void)snprintf(answer, sizeof(answer), "{\"n\":%d}", i);
        decide("failover/v1", answer, "{}");
        tw_advance(q.tw, 10 * MH_NS_PER_S);
    }
    CHECK_INT(decisions(), 20);
    for (int i = 0; i < 30; i++) {
        (void)snprintf(answer, sizeof(answer), "{\"n\":%d,\"t\":\"%s\"}", i, long_answer);
        decide("failover/v1", answer, "{}");
        tw_advance(q.tw, 10 * MH_NS_PER_S);
    }
    size_t len = 0;
    yyjson_val *record = mh_json_get(tw_object(q.tw, RECORDS "/c"), "record", NULL);
    CHECK(mh_json_text(&q.tw->arena, record, &len) && len < 64u << 10 && len > 40u << 10);
    yyjson_val *last = yyjson_arr_get_last(yyjson_obj_get(record, "decisions"));
    CHECK_INT(mh_json_int(last, 0, "answer", "n", NULL), 29);
    finish();
}

#define KEPT "{\"failover.lua\":{\"hash\":\"0123\",\"script\":\"return 1\"}}"

TEST(the_versions_in_charge_come_back_after_a_restart)
{
    begin();
    keep(KEPT);
    tw_settle(q.tw);
    yyjson_val *o = tw_object(q.tw, RECORDS "/policy.who-first");
    CHECK_STR(mh_json_str(o, "record", "policies", "failover.lua", "script", NULL), "return 1");
    decide("failover/v1", "{}", "{}"); /* another kind of record */
    tw_advance(q.tw, 10 * MH_NS_PER_S);

    mh_notebook_release(&q.nb);
    open_notebook();
    q.refuse = 2; /* the API server comes back only later */
    mh_notebook_read(&q.nb);
    tw_advance(q.tw, 500 * MH_NS_PER_MS);
    CHECK_INT(q.reads, 0);
    tw_advance(q.tw, 3 * MH_NS_PER_S);
    CHECK_INT(q.reads, 1);
    CHECK_STR(q.given, "ns/who-first M " KEPT "\n");
    keep(KEPT); /* as it is on the object */
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/policy.who-first"), 1);
    keep("{}");
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/policy.who-first"), 2);
    finish();
}

TEST(a_write_that_fails_is_tried_again_and_then_lost)
{
    begin();
    q.refuse = 1;
    keep(KEPT);
    tw_advance(q.tw, 60 * MH_NS_PER_S);
    CHECK(tw_object(q.tw, RECORDS "/policy.who-first") != NULL);
    q.refuse = 1000;
    decide("failover/v1", "{}", "{}");
    tw_advance(q.tw, 600 * MH_NS_PER_S);
    CHECK(q.nb.notes == NULL);
    CHECK_INT(1000 - q.refuse, 5);
    finish();
}

TEST(who_does_not_lead_writes_nothing)
{
    begin();
    q.leads = false;
    decide("failover/v1", "{}", "{}");
    tw_advance(q.tw, 60 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "GET", "/clusterrecords"), 0);
    finish();
}

TEST(what_waits_is_not_written_by_who_leads_no_more)
{
    begin();
    q.refuse = 1;
    keep(KEPT);
    tw_advance(q.tw, MH_NS_PER_S);
    q.leads = false;
    tw_advance(q.tw, 60 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/policy.who-first"), 1);
    CHECK(q.nb.notes == NULL);
    finish();
}

TEST(no_record_of_versions_is_written_before_it_was_read)
{
    begin();
    keep(KEPT);
    tw_settle(q.tw);
    mh_notebook_release(&q.nb);
    open_notebook();
    q.refuse = 1000;
    mh_notebook_read(&q.nb);
    keep("{}");
    decide("failover/v1", "{}", "{}"); /* this one does not wait */
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/policy.who-first"), 1);
    CHECK(tw_api_count(q.tw, "GET", "/clusterrecords/c") > 0);
    CHECK_INT(q.reads, 0);
    q.refuse = 0;
    tw_advance(q.tw, 2 * MH_NS_PER_S);
    CHECK_INT(q.reads, 1);
    CHECK_STR(q.given, "ns/who-first M " KEPT "\n"); /* as it was */
    CHECK_INT(tw_api_count(q.tw, "PATCH", "/policy.who-first"), 2);
    finish();
}

TEST(odd_records_do_no_harm)
{
    static const char *const odd[] = {
        ("{\"metadata\":{\"name\":\"c\",\"namespace\":\"ns\"},\"record\":{\"decisions\":[1,null,{}]"
         "}"
         "}"),
        "{\"metadata\":{\"name\":\"c\",\"namespace\":\"ns\"},\"record\":[]}",
        "{\"metadata\":{\"name\":\"c\",\"namespace\":\"ns\"}}",
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        begin();
        tw_put(q.tw, RECORDS "/c", odd[i]);
        tw_put(q.tw, RECORDS "/policy.x",
               "{\"metadata\":{\"name\":\"policy.x\",\"namespace\":\"ns\",\"labels\":{"
               "\"moonherd.io/record\":\"policies\"}},\"record\":{\"policies\":7}}");
        mh_notebook_read(&q.nb);
        decide("failover/v1", "{}", "{}");
        tw_advance(q.tw, 10 * MH_NS_PER_S);
        CHECK_STR(q.given, "");
        CHECK_INT(q.reads, 1);
        CHECK(decisions() >= 1);
        finish();
    }
}

TEST(any_allocation_may_fail)
{
    for (int n = 0; n < 150; n++) {
        begin();
        mh_mem_fail_after(n);
        keep(KEPT);
        decide("failover/v1", "{}", "{}");
        mh_mem_fail_after(-1);
        tw_advance(q.tw, 20 * MH_NS_PER_S);
        mh_notebook_read(&q.nb);
        tw_advance(q.tw, 20 * MH_NS_PER_S);
        CHECK_INT(q.reads, 1);
        finish();
    }
}
