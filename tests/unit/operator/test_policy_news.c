/* What the authors of policies are told: the annotation and the event on their ConfigMap, and the log of
 * decisions with input and author. */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/policy_news.h"

#define MAP "/api/v1/namespaces/shop/configmaps/who-first"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_policy_writer writer;
    bool leads;
    int pipe[2];
} q;

static bool
may_write(void *arg)
{
    (void)arg;
    return q.leads;
}

static void
begin(void)
{
    memset(&q, 0, sizeof(q));
    CHECK_INT(pipe(q.pipe), 0);
    mh_log_set_fd(q.pipe[1]);
    mh_log_set_level(MH_LOG_INFO);
    q.leads = true;
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    tw_put(q.tw, MAP,
           "{\"metadata\":{\"name\":\"who-first\",\"uid\":\"u\",\"annotations\":{\"mine\":\"x\"}},"
           "\"data\":{\"failover.lua\":\"return 1\"}}");
    mh_policy_writer_init(&q.writer);
    q.writer.api = q.tw->world.api;
    q.writer.kind = mh_kind_find(&q.kinds, "ConfigMap");
    q.writer.events = mh_events_new(q.tw->world.api, q.tw->world.clock, "moonherd", "here");
    q.writer.may_write = may_write;
}

static void
end(void)
{
    mh_policy_writer_release(&q.writer);
    mh_events_free(q.writer.events);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
    mh_log_set_fd(-1);
    close(q.pipe[0]);
    close(q.pipe[1]);
}

/* What was logged since the last time. */
static const char *
logged(void)
{
    static char text[65536];
    ssize_t n;
    (void)!write(q.pipe[1], "\n", 1);
    n = read(q.pipe[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void
tell(const char *annotation, const char *type, const char *reason, const char *note)
{
    struct mh_policy_news news = { .namespace = "shop",
                                   .name = "who-first",
                                   .uid = "u",
                                   .annotation = annotation,
                                   .event_type = type,
                                   .reason = reason,
                                   .note = note };
    mh_policy_writer_news(&q.writer, &news);
    tw_advance(q.tw, MH_NS_PER_S);
}

TEST(the_state_of_a_policy_is_an_annotation_and_an_event_on_its_configmap)
{
    static const char state[] = "{\"failover.lua\":{\"state\":\"Rejected\",\"hash\":"
                                "\"0123456789ab\",\"message\":\"failover.lua:3: oh\"}}";
    begin();
    tell(state, "Warning", "PolicyRejected", "failover.lua:3: oh");
    yyjson_val *map = tw_object(q.tw, MAP);
    CHECK_STR(mh_json_str(map, "metadata", "annotations", "moonherd.io/policy-status", NULL),
              state);
    CHECK_STR(mh_json_str(map, "metadata", "annotations", "mine", NULL), "x");
    CHECK_STR(mh_json_str(map, "data", "failover.lua", NULL), "return 1");
    const struct tw_request *r = tw_api_last(q.tw, "POST", "/events");
    CHECK(r != NULL);
    CHECK_STR(mh_json_str(r->body, "reason", NULL), "PolicyRejected");
    CHECK_STR(mh_json_str(r->body, "type", NULL), "Warning");
    CHECK_STR(mh_json_str(r->body, "involvedObject", "kind", NULL), "ConfigMap");
    CHECK_STR(mh_json_str(r->body, "involvedObject", "name", NULL), "who-first");
    CHECK(strstr(mh_json_str(r->body, "message", NULL), "failover.lua:3: oh") != NULL);
    CHECK(strstr(logged(), "\"PolicyRejected\"") != NULL);
    end();
}

TEST(a_configmap_that_was_made_anew_is_not_annotated_with_the_state_of_the_old_one)
{
    begin();
    struct mh_policy_news news = {
        .namespace = "shop", .name = "who-first", .uid = "another", .annotation = "{}"
    };
    mh_policy_writer_news(&q.writer, &news);
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK(!mh_json_get(tw_object(q.tw, MAP), "metadata", "annotations", "moonherd.io/policy-status",
                       NULL));
    end();
}

TEST(who_does_not_lead_tells_nobody)
{
    begin();
    q.leads = false;
    tell("{}", "Normal", "PolicyActive", "n");
    CHECK_INT(tw_api_count(q.tw, "PATCH", ""), 0);
    CHECK_INT(tw_api_count(q.tw, "POST", ""), 0);
    end();
}

static bool
decided(const char *by, const char *answer, const char *error)
{
    struct mh_decision d = { .point = "failover/v1",
                             .namespace = "shop",
                             .input = "{\"candidates\":[{\"name\":\"w-2\"}]}",
                             .input_len = 32,
                             .by = by,
                             .answer = answer,
                             .error = error,
                             .took_us = 120 };
    return mh_policy_writer_decision(&q.writer, &d, "w");
}

TEST(a_decision_is_logged_with_its_input_its_answer_and_who_decided)
{
    begin();
    CHECK(decided("shop/who-first/failover.lua@0123456789ab", "{\"order\":[\"w-2\"]}", NULL));
    const char *text = logged();
    CHECK(strstr(text, "\"level\":\"info\"") != NULL);
    CHECK(strstr(text, "failover/v1") != NULL && strstr(text, "\"w\"") != NULL);
    CHECK(strstr(text, "shop/who-first/failover.lua@0123456789ab") != NULL);
    CHECK(strstr(text, "\"order\":[\"w-2\"]") || strstr(text, "\\\"order\\\":[\\\"w-2\\\"]"));
    CHECK(strstr(text, "\"candidates\":[{\"name\":\"w-2\"}]") ||
          strstr(text, "\\\"candidates\\\":[{\\\"name\\\":\\\"w-2\\\"}]"));
    end();
}

TEST(the_same_decision_again_is_not_said_again_and_another_one_is)
{
    begin();
    CHECK(decided("built-in", "{\"order\":[\"w-2\"]}", NULL));
    (void)logged();
    CHECK(!decided("built-in", "{\"order\":[\"w-2\"]}", NULL));
    CHECK(strstr(logged(), "w-2") == NULL);
    CHECK(decided("built-in", "{\"order\":[\"w-3\"]}", NULL));
    CHECK(decided("built-in", "{\"order\":[\"w-3\"]}", "{\"message\":\"too long\"}"));
    CHECK(strstr(logged(), "w-3") != NULL);
    end();
}
