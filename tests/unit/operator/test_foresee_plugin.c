/* What an edit of an object of a plugin would do: what is told of a plan, and that nobody waits for ever. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/foresee_plugin.h"
#include "operator/plugin_in.h"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_plugins all;
    struct mh_plugin plugin;
    struct mh_plugin_text text;
    struct mh_plugin_work work;
    struct mh_foresee f;
    struct mh_planner_call *call; /* what the planner was asked */
    bool cancelled;
    int done;
} q;

static void
start(void *self, struct mh_planner_call *call)
{
    (void)self;
    q.call = call;
}

static void
cancel(void *self, struct mh_planner_call *call)
{
    (void)self;
    CHECK(call == q.call);
    q.cancelled = true;
}

static void
on_done(struct mh_foresee *f)
{
    CHECK(f == &q.f);
    q.done++;
}

static void
begin(bool finalizes)
{
    memset(&q, 0, sizeof(q));
    q.tw = tw_new(1);
    CHECK(mh_kinds_init(&q.kinds) && mh_kinds_init(&q.work.kinds));
    q.all = (struct mh_plugins){ .clock = q.tw->world.clock, .first = &q.plugin };
    q.text = (struct mh_plugin_text){ .hash = "0123456789ab", .finalizes = finalizes };
    q.plugin = (struct mh_plugin){ .all = &q.all, .home = true, .active = &q.text };
    q.plugin.ns = mh_strdup("moonherd-system");
    q.plugin.name = mh_strdup("map");
    q.plugin.key = mh_strdup("own.lua");
    q.plugin.work = &q.work;
    q.work.plugin = &q.plugin;
    q.work.kind = mh_kinds_add(&q.work.kinds, "own.example.dev", "v1", "Own", "owns", true);
    q.work.passes.planner = (struct mh_planner){ start, cancel, NULL };
}

static void
end(void)
{
    mh_kinds_release(&q.work.kinds);
    mh_kinds_release(&q.kinds);
    mh_free(q.plugin.ns);
    mh_free(q.plugin.name);
    mh_free(q.plugin.key);
    tw_free(q.tw);
}

static void
ask(const char *kind, const char *ns, const char *meta)
{
    const char *text = mh_arena_printf(
        &q.tw->arena,
        "{\"apiVersion\":\"own.example.dev/v1\",\"kind\":\"%s\",\"metadata\":{\"name\":\"it\","
        "\"namespace\":\"%s\",\"labels\":{\"moonherd.io/plan\":\"requested\"},\"annotations\":"
        "{\"moonherd.io/plan\":\"requested\",\"a\":\"b\"},\"managedFields\":[]%s},\"spec\":{}}",
        kind, ns, meta);
    q.f = (struct mh_foresee){ .arena = &q.tw->arena, .done = on_done };
    CHECK_INT(mh_json_parse(&q.tw->arena, text, strlen(text), &q.f.object, NULL), MH_OK);
    mh_foresee_plugin(&q.all, &q.f);
}

static void
answer(const char *plan)
{
    q.call->plan = plan;
    q.call->plan_len = strlen(plan);
    q.call->done(q.call);
    CHECK_INT(q.done, 1);
    CHECK(q.work.ahead == NULL);
}

#define BY "\"by\":\"moonherd-system/map/own.lua@0123456789ab\""

TEST(steps_name_what_is_touched_and_never_what_is_in_it)
{
    begin(false);
    ask("Own", "shop", "");
    CHECK(q.call && q.call->dry);
    CHECK(!mh_json_get(q.call->object, "metadata", "labels", NULL));
    CHECK(!mh_json_get(q.call->object, "metadata", "managedFields", NULL));
    CHECK(!mh_json_get(q.call->object, "metadata", "annotations", "moonherd.io/plan", NULL));
    CHECK_STR(mh_json_str(q.call->object, "metadata", "annotations", "a", NULL), "b");
    answer(
        "{\"actions\":["
        "{\"op\":\"apply\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":"
        "{\"name\":\"m\",\"namespace\":\"shop\"},\"data\":{\"a\":\"horse\"},\"immutable\":true}},"
        "{\"op\":\"patch\",\"kind\":\"Cluster\",\"name\":\"pg\",\"namespace\":\"far\",\"body\":"
        "{\"spec\":{\"instances\":3,\"x\":{}}}},"
        "{\"op\":\"patch\",\"kind\":\"Pod\",\"name\":\"p\",\"namespace\":\"shop\",\"type\":"
        "\"json\","
        "\"body\":[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":\"horse\"}]},"
        "{\"op\":\"sql\",\"cluster\":\"pg\",\"namespace\":\"shop\",\"sql\":\"select "
        "$1\",\"params\":"
        "[\"horse\"]},"
        "{\"op\":\"event\",\"reason\":\"Said\",\"note\":\"horse\"},"
        "{\"op\":\"patch\",\"internal\":true,\"kind\":\"Own\",\"name\":\"it\",\"body\":{}}],"
        "\"reason\":\"NoGate: shut\",\"requeue_s\":30,"
        "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    CHECK_INT(q.f.err.code, MH_OK);
    CHECK_STR(q.f.result,
              "{" BY ",\"steps\":["
              "{\"verb\":\"apply\",\"kind\":\"ConfigMap\",\"name\":\"m\",\"fields\":[\"data.a\","
              "\"immutable\"]},"
              "{\"verb\":\"patch\",\"kind\":\"Cluster\",\"name\":\"pg\",\"namespace\":\"far\","
              "\"fields\":[\"spec.instances\",\"spec.x\"]},"
              "{\"verb\":\"patch\",\"kind\":\"Pod\",\"name\":\"p\",\"fields\":[\"/a/b\"]},"
              "{\"verb\":\"sql\",\"kind\":\"Cluster\",\"name\":\"pg\",\"sql\":\"select $1\"},"
              "{\"verb\":\"event\",\"reason\":\"Said\"}],"
              "\"rest\":{\"phase\":\"not ready\",\"reason\":\"NoGate: shut\",\"again_s\":30}}");
    end();
}

TEST(a_finalizer_that_is_to_come_is_there_already_and_told)
{
    begin(true);
    ask("Own", "shop", "");
    CHECK_STR(yyjson_get_str(yyjson_arr_get_first(
                  mh_json_get(q.call->object, "metadata", "finalizers", NULL))),
              MH_PLUGIN_FINALIZER);
    answer("{\"actions\":[],\"reason\":\"Synced\",\"status\":{}}");
    CHECK_STR(q.f.result, "{" BY ",\"steps\":[{\"verb\":\"finalizer\",\"kind\":\"Own\",\"name\":"
                          "\"it\"}],\"rest\":{\"phase\":\"as it is\",\"reason\":\"Synced\"}}");
    q.done = 0;
    ask("Own", "shop", ",\"finalizers\":[\"moonherd.io/plugin\"]");
    CHECK_INT(yyjson_arr_size(mh_json_get(q.call->object, "metadata", "finalizers", NULL)), 1);
    answer("{\"actions\":[]}");
    CHECK(strstr(q.f.result, "\"steps\":[]"));
    q.done = 0;
    ask("Own", "shop", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"");
    CHECK(!mh_json_get(q.call->object, "metadata", "finalizers", NULL));
    answer("{\"actions\":[]}");
    CHECK(strstr(q.f.result, "it is being deleted"));
    end();
}

TEST(a_statement_is_cut_between_two_characters)
{
    begin(false);
    ask("Own", "shop", "");
    char sql[400], plan[600];
    memset(sql, 'x', sizeof(sql));
    memcpy(sql + 199, "\xc3\xa4", 2);
    sql[sizeof(sql) - 1] = '\0';
    (void)snprintf(
        plan, sizeof(plan),
        "{\"actions\":[{\"op\":\"sql\",\"cluster\":\"pg\",\"namespace\":\"shop\",\"sql\":"
        "\"%s\"}]}",
        sql);
    answer(plan);
    CHECK_INT(q.f.err.code, MH_OK);
    CHECK(q.f.result && strstr(q.f.result, "xxx\"}"));
    end();
}

TEST(of_what_no_plugin_serves_there_is_no_plan)
{
    begin(false);
    ask("Other", "shop", "");
    CHECK_INT(q.done, 1);
    CHECK_STR(q.f.result, "{\"none\":true}");
    q.plugin.home = false;
    ask("Own", "shop", ""); /* a plugin of another namespace */
    CHECK_STR(q.f.result, "{\"none\":true}");
    q.plugin.home = true;
    q.plugin.active = NULL;
    ask("Own", "shop", "");
    CHECK_STR(q.f.result, "{\"none\":true}");
    CHECK(q.call == NULL);
    end();
}

TEST(who_asked_is_answered_when_the_plugin_goes_or_fails)
{
    begin(false);
    ask("Own", "shop", "");
    mh_fail(&q.call->err, MH_E_SCRIPT, "own.lua:3: oh");
    q.call->done(q.call);
    CHECK_INT(q.done, 1);
    CHECK_STR(q.f.err.msg, "own.lua:3: oh");
    ask("Own", "shop", "");
    CHECK_INT(q.done, 1);
    mh_foresee_plugin_stop(&q.work);
    CHECK(q.cancelled && q.work.ahead == NULL);
    CHECK_INT(q.done, 2);
    CHECK_INT(q.f.err.code, MH_E_UNAVAILABLE);
    mh_foresee_plugin_stop(&q.work);
    CHECK_INT(q.done, 2);
    end();
}
