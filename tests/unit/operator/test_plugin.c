/* What a plugin may: every call that its passes make goes through the guard, and every plan through a
 * look at its needs. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/plugin_guard.h"

#define CM "/api/v1/namespaces/shop/configmaps"

static const char needs[] =
    "{\"api\":["
    "{\"group\":\"\",\"resource\":\"configmaps\",\"verbs\":[\"get\",\"list\",\"create\",\"patch\"]}"
    ","
    "{\"group\":\"\",\"resource\":\"secrets\",\"verbs\":[\"get\"],\"names\":[\"treasure\"]},"
    "{\"group\":\"\",\"resource\":\"services\",\"verbs\":[\"get\"],\"namespace\":\"shared\"},"
    "{\"group\":\"apps\",\"resource\":\"deployments/scale\",\"verbs\":[\"patch\"]}],"
    "\"sql\":[{\"cluster\":\"pg\",\"database\":\"app\",\"as\":\"app\"}]}";

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_plugins all;
    struct mh_plugin plugin;
    struct mh_plugin_text text;
    struct mh_plugin_work work;
    struct mh_api_call call;
    struct mh_err done;
    bool over;
} q;

static void
begin(bool home)
{
    yyjson_val *declared = NULL;
    memset(&q, 0, sizeof(q));
    mh_log_set_level(MH_LOG_ERROR);
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    q.all = (struct mh_plugins){ .clock = q.tw->world.clock,
                                 .api = q.tw->world.api,
                                 .kinds = &q.kinds,
                                 .name_space = "moonherd-system" };
    q.plugin = (struct mh_plugin){ .all = &q.all, .home = home, .active = &q.text };
    q.plugin.ns = mh_strdup(home ? "moonherd-system" : "shop");
    q.plugin.name = mh_strdup("it");
    CHECK_INT(mh_json_parse(&q.tw->arena, needs, strlen(needs), &declared, NULL), MH_OK);
    if (home)
        CHECK_INT(mh_needs_parse(&q.tw->arena, declared, NULL, &q.text.needs, NULL), MH_OK);
    q.work.plugin = &q.plugin;
    CHECK(mh_kinds_init(&q.work.kinds));
    q.work.kind = mh_kinds_add(&q.work.kinds, "own.example.dev", "v1", "Own", "owns", true);
    q.work.guard = mh_plugin_guard(&q.work);
}

static void
end(void)
{
    mh_plugin_guard_release(&q.work);
    mh_kinds_release(&q.work.kinds);
    mh_kinds_release(&q.kinds);
    mh_free(q.plugin.ns);
    mh_free(q.plugin.name);
    tw_free(q.tw);
    mh_log_set_level(MH_LOG_INFO);
}

static void
on_done(struct mh_api_call *call)
{
    q.done = call->err;
    q.over = true;
}

/* What comes of a call through the guard. */
static enum mh_code
call(const char *method, const char *path, const char *type)
{
    q.over = false;
    q.call = (struct mh_api_call){ .method = method,
                                   .path = path,
                                   .content_type = type,
                                   .body = strcmp(method, "GET") == 0 ? NULL : "{}",
                                   .body_len = strcmp(method, "GET") == 0 ? 0 : 2,
                                   .arena = &q.tw->arena,
                                   .done = on_done };
    q.work.guard.start(q.work.guard.self, &q.call);
    CHECK(!q.over); /* never from inside */
    tw_settle(q.tw);
    CHECK(q.over);
    return q.done.code;
}

TEST(what_no_need_covers_never_leaves_the_operator)
{
    static const struct {
        const char *method, *path, *type;
    } bad[] = {
        { "DELETE", CM "/a", NULL },
        { "PUT", CM "/a", NULL },
        { "POST", "/api/v1/namespaces/shop/pods", NULL },
        { "GET", "/api/v1/namespaces/shop/secrets", NULL },
        { "GET", "/api/v1/namespaces/shop/secrets/other", NULL },
        { "GET", "/api/v1/namespaces/shop/secrets/treasure/x", NULL },
        { "GET", "/api/v1/namespaces/shop/services/a", NULL },
        { "GET", "/api/v1/secrets", NULL },
        { "PATCH", "/apis/apps/v1/namespaces/shop/deployments/a", MH_PATCH_MERGE },
        { "PATCH", "/apis/apps/v1/namespaces/shop/deployments/a/status", MH_PATCH_MERGE },
        { "DELETE", "/apis/own.example.dev/v1/namespaces/shop/owns/a", NULL },
        { "PATCH", "/apis/other.example.dev/v1/namespaces/shop/owns/a", MH_PATCH_MERGE },
        { "GET", "/version", NULL },
        { "GET", "/", NULL },
        { "GET", "", NULL },
        { "GET", "/api/v1/namespaces/shop/configmaps/a/b/c/d/e/f", NULL },
        { "GET", "/metrics/secrets/treasure", NULL },
        { "GET", "/api/v1/namespaces/shop", NULL },
    };
    begin(true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(call(bad[i].method, bad[i].path, bad[i].type), MH_E_REFUSED);
    CHECK_INT(tw_api_count(q.tw, NULL, NULL), 0);
    end();
}

TEST(what_a_need_covers_goes_out_as_it_is)
{
    begin(true);
    tw_put(q.tw, CM "/a", "{\"metadata\":{\"name\":\"a\"}}");
    tw_put(q.tw, "/api/v1/namespaces/shop/secrets/treasure",
           "{\"metadata\":{\"name\":\"treasure\"}}");
    tw_put(q.tw, "/api/v1/namespaces/shared/services/a", "{\"metadata\":{\"name\":\"a\"}}");
    CHECK_INT(call("GET", CM "/a", NULL), MH_OK);
    CHECK_INT(call("GET", CM "?limit=5", NULL), MH_OK);
    CHECK(call("PATCH", CM "/b?fieldManager=x", MH_PATCH_APPLY) != MH_E_REFUSED);
    CHECK_INT(tw_api_count(q.tw, "PATCH", CM "/b"), 1);
    CHECK_INT(call("GET", "/api/v1/namespaces/shop/secrets/treasure", NULL), MH_OK);
    CHECK_INT(call("GET", "/api/v1/namespaces/shared/services/a", NULL), MH_OK);
    CHECK(call("GET", "/apis/own.example.dev/v1/namespaces/shop/owns/a", NULL) != MH_E_REFUSED);
    CHECK(call("PATCH", "/apis/own.example.dev/v1/namespaces/shop/owns/a/status", MH_PATCH_MERGE) !=
          MH_E_REFUSED);
    end();
}

TEST(a_plugin_without_a_version_in_charge_calls_nothing)
{
    begin(true);
    q.plugin.active = NULL;
    CHECK_INT(call("GET", CM "/a", NULL), MH_E_REFUSED);
    CHECK_INT(tw_api_count(q.tw, NULL, NULL), 0);
    end();
}

TEST(who_calls_too_often_waits)
{
    begin(true);
    tw_put(q.tw, CM "/a", "{\"metadata\":{\"name\":\"a\"}}");
    int good = 0;
    for (int i = 0; i < 2 * MH_PLUGIN_CALLS_BURST; i++)
        good += call("GET", CM "/a", NULL) == MH_OK;
    CHECK(good >= MH_PLUGIN_CALLS_BURST && good < MH_PLUGIN_CALLS_BURST + 50);
    CHECK_INT(q.done.code, MH_E_THROTTLED);
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK_INT(call("GET", CM "/a", NULL), MH_OK);
    end();
}

TEST(a_call_that_is_cancelled_is_not_answered)
{
    begin(true);
    q.call = (struct mh_api_call){
        .method = "DELETE", .path = CM "/a", .arena = &q.tw->arena, .done = on_done
    };
    q.work.guard.start(q.work.guard.self, &q.call);
    q.work.guard.cancel(q.work.guard.self, &q.call);
    tw_settle(q.tw);
    CHECK(!q.over);
    end();
}

/* --- plans ---------------------------------------------------------------------------------------- */

static enum mh_code
plan(const char *action)
{
    yyjson_val *v = NULL;
    const char *text = mh_arena_printf(&q.tw->arena, "{\"actions\":[%s]}", action);
    CHECK_INT(mh_json_parse(&q.tw->arena, text, strlen(text), &v, NULL), MH_OK);
    return mh_plugin_may_plan(&q.work, &q.text, v, "shop", &q.done);
}

#define OBJECT(op, kind, ns, more)                                                                 \
    "{\"op\":\"" op "\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"" kind                        \
    "\",\"metadata\":{\"name\":\"a\",\"namespace\":\"" ns "\"" more "}}}"

TEST(every_action_of_a_plan_is_held_against_the_needs)
{
    begin(true);
    CHECK_INT(plan(OBJECT("apply", "ConfigMap", "shop", "")), MH_OK);
    CHECK_INT(plan(OBJECT("create", "ConfigMap", "shop", "")), MH_OK);
    CHECK_INT(plan(OBJECT("create", "Secret", "shop", "")), MH_E_REFUSED);
    CHECK_INT(plan(OBJECT("create", "Nobody", "shop", "")), MH_E_SCRIPT);
    CHECK_INT(plan(OBJECT("apply", "ConfigMap", "other", "")), MH_E_REFUSED);
    CHECK_INT(
        plan(OBJECT("apply", "ConfigMap", "shop", ",\"labels\":{\"moonherd.io/policy\":\"\"}")),
        MH_E_REFUSED);
    CHECK_INT(
        plan(OBJECT("apply", "ConfigMap", "shop", ",\"labels\":{\"moonherd.io/plugin\":\"\"}")),
        MH_E_REFUSED);
    CHECK_INT(plan("{\"op\":\"event\",\"reason\":\"X\"}"), MH_OK);
    CHECK_INT(
        plan("{\"op\":\"delete\",\"kind\":\"ConfigMap\",\"name\":\"a\",\"namespace\":\"shop\"}"),
        MH_E_REFUSED);
    CHECK_INT(plan("{\"op\":\"patch\",\"kind\":\"ConfigMap\",\"name\":\"a\",\"namespace\":\"shop\","
                   "\"body\":[]}"),
              MH_E_REFUSED);
    /* the second of two */
    CHECK_INT(
        plan(OBJECT("apply", "ConfigMap", "shop", "") "," OBJECT("create", "Pod", "shop", "")),
        MH_E_REFUSED);
    end();
}

TEST(sql_is_held_against_cluster_database_and_role)
{
#define SQL(more) "{\"op\":\"sql\",\"namespace\":\"shop\",\"sql\":\"select 1\"" more "}"
    begin(true);
    CHECK_INT(plan(SQL(",\"cluster\":\"pg\",\"database\":\"app\",\"as\":\"app\"")), MH_OK);
    CHECK_INT(plan(SQL(",\"cluster\":\"pg\",\"database\":\"app\"")), MH_E_REFUSED);
    CHECK_INT(plan(SQL(",\"cluster\":\"pg\",\"database\":\"app\",\"as\":\"postgres\"")),
              MH_E_REFUSED);
    CHECK_INT(plan(SQL(",\"cluster\":\"other\",\"database\":\"app\",\"as\":\"app\"")),
              MH_E_REFUSED);
    CHECK_INT(plan(SQL(",\"cluster\":\"pg\",\"database\":\"app\",\"as\":\"app\","
                       "\"password\":{\"secret\":\"treasure\",\"key\":\"a\"}")),
              MH_OK);
    CHECK_INT(plan(SQL(",\"cluster\":\"pg\",\"database\":\"app\",\"as\":\"app\","
                       "\"password\":{\"secret\":\"other\",\"key\":\"a\"}")),
              MH_E_REFUSED);
    CHECK_INT(
        plan("{\"op\":\"sql\",\"namespace\":\"other\",\"sql\":\"select 1\",\"cluster\":\"pg\","
             "\"database\":\"app\",\"as\":\"app\"}"),
        MH_E_REFUSED);
    end();
}

TEST(a_plugin_of_a_namespace_stays_in_it)
{
    struct mh_need_wish wish = { "get", "", "configmaps", NULL, "shop", "a" };
    begin(false);
    q.text.needs.napi = 1;
    q.text.needs.api[0] =
        (struct mh_need_api){ .group = "", .resource = "configmaps", .verbs = { "get" } };
    CHECK_INT(mh_plugin_may(&q.plugin, &q.text, &wish, "shop", &q.done), MH_OK);
    wish.name_space = "other";
    CHECK_INT(mh_plugin_may(&q.plugin, &q.text, &wish, "shop", &q.done), MH_E_REFUSED);
    CHECK_INT(mh_plugin_may(&q.plugin, &q.text, &wish, "other", &q.done), MH_E_REFUSED);
    wish.name_space = NULL;
    CHECK_INT(mh_plugin_may(&q.plugin, &q.text, &wish, "shop", &q.done), MH_E_REFUSED);
    end();
}
