/* What a plugin may: every call that its passes make goes through the guard, and every plan through a
 * look at its needs. */
#include <stdio.h>
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

/* --- handles of secrets --------------------------------------------------------------------------- */

#define SECRETS "/api/v1/namespaces/shop/secrets"
#define HANDLE "{\"secret\":\"treasure\",\"key\":\"a\",\"handle\":true}"
#define MADE(kind, more)                                                                           \
    "{\"apiVersion\":\"v1\",\"kind\":\"" kind                                                      \
    "\",\"metadata\":{\"name\":\"made\",\"namespace\":\"shop\"}" more "}"

static void
may_make_secrets(void)
{
    q.text.needs.api[q.text.needs.napi++] =
        (struct mh_need_api){ .group = "", .resource = "secrets", .verbs = { "create", "patch" } };
    tw_put(q.tw, SECRETS "/treasure",
           "{\"metadata\":{\"name\":\"treasure\"},\"data\":{\"a\":\"aG9yc2U=\",\"b\":\"Yg==\"}}");
}

static enum mh_code
write_body(const char *method, const char *path, const char *type, const char *body)
{
    q.over = false;
    q.call = (struct mh_api_call){ .method = method,
                                   .path = path,
                                   .content_type = type,
                                   .body = body,
                                   .body_len = strlen(body),
                                   .arena = &q.tw->arena,
                                   .done = on_done };
    q.work.guard.start(q.work.guard.self, &q.call);
    CHECK(!q.over);
    tw_settle(q.tw);
    CHECK(q.over);
    return q.done.code;
}

static enum mh_code
apply_secret(const char *body)
{
    return write_body("PATCH", SECRETS "/made?fieldManager=x&force=true", MH_PATCH_APPLY, body);
}

TEST(a_handle_becomes_a_value_where_the_secret_is_written)
{
    begin(true);
    may_make_secrets();
    (void)apply_secret(MADE("Secret", ",\"data\":{\"x\":\"eA==\",\"p\":" HANDLE
                                      "},\"stringData\":{\"q\":" HANDLE ",\"t\":\"text\"}"));
    const struct tw_request *r = tw_api_last(q.tw, "PATCH", "/secrets/made");
    CHECK(r != NULL);
    CHECK(strstr(r->body_text, "\"p\":\"aG9yc2U=\"") && strstr(r->body_text, "\"q\":\"aG9yc2U=\""));
    CHECK(strstr(r->body_text, "\"x\":\"eA==\"") && strstr(r->body_text, "\"t\":\"text\""));
    CHECK(!strstr(r->body_text, "handle"));
    CHECK_INT(tw_api_count(q.tw, "GET", "/secrets/treasure"), 1); /* once for both */
    (void)write_body("POST", SECRETS, NULL, MADE("Secret", ",\"stringData\":{\"q\":" HANDLE "}"));
    r = tw_api_last(q.tw, "POST", "/secrets");
    CHECK(r && strstr(r->body_text, "\"data\":{\"q\":\"aG9yc2U=\"}"));
    end();
}

/* Sizes up to what does not fit: there is no size at which a Secret is written without a value. */
TEST(a_secret_is_written_with_all_its_values_or_not_at_all)
{
    static char body[1 << 21];
    int written = 0, refused = 0;
    for (size_t kb = 100; kb < 1500; kb += 20) {
        begin(true);
        may_make_secrets();
        size_t n = (size_t)snprintf(body, sizeof(body),
                                    "{\"metadata\":{\"name\":\"treasure\"},\"data\":{\"a\":\"");
        memset(body + n, 'A', kb << 10);
        memcpy(body + n + (kb << 10), "\"}}", 4);
        tw_put(q.tw, SECRETS "/treasure", body);
        (void)apply_secret(MADE("Secret", ",\"data\":{\"x\":\"eA==\",\"p\":" HANDLE "}"));
        const struct tw_request *r = tw_api_last(q.tw, "PATCH", "/secrets/made");
        written += r != NULL;
        refused += r == NULL;
        CHECK(r ? strlen(r->body_text) > kb << 10 : q.done.code != MH_OK);
        end();
    }
    CHECK(written > 0 && refused > 0);
}

TEST(a_handle_that_leads_nowhere_or_too_far_writes_nothing)
{
    static const char *const bad[] = {
        MADE("Secret", ",\"data\":{\"p\":{\"secret\":\"other\",\"key\":\"a\",\"handle\":true}}"),
        MADE("Secret", ",\"data\":{\"p\":{\"secret\":\"treasure\",\"key\":\"c\",\"handle\":true}}"),
        MADE("Secret", ",\"data\":{\"p\":{\"secret\":\"../x\",\"key\":\"a\",\"handle\":true}}"),
        MADE("Secret", ",\"data\":{\"p\":{\"key\":\"a\",\"handle\":true}}"),
        MADE("Secret", ",\"data\":{\"p\":{\"secret\":[],\"key\":\"a\",\"handle\":true}}"),
        MADE("Secret", ",\"data\":{\"p\":\"eA==\"},\"stringData\":{\"p\":" HANDLE "}"),
        MADE("ConfigMap", ",\"data\":{\"p\":" HANDLE "}"),
        "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"made\",\"namespace\":"
        "\"other\"},\"data\":{\"p\":" HANDLE "}}",
        "{\"handle\":true",
    };
    begin(true);
    may_make_secrets();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(apply_secret(bad[i]) != MH_OK);
    CHECK_INT(tw_api_count(q.tw, "PATCH", NULL), 0);
    CHECK_INT(tw_api_count(q.tw, "GET", "/secrets/other"), 0);
    q.text.needs.napi--; /* none to make secrets */
    CHECK_INT(apply_secret(MADE("Secret", ",\"data\":{\"p\":" HANDLE "}")), MH_E_REFUSED);
    CHECK_INT(tw_api_count(q.tw, "PATCH", NULL), 0);
    end();
}

static bool
refuse_and_quote(struct tw *tw, void *arg, const struct tw_request *request,
                 struct tw_answer *answer)
{
    (void)tw, (void)arg;
    if (strcmp(request->method, "PATCH") != 0)
        return false;
    answer->status = 403;
    answer->json = "{\"kind\":\"Status\",\"message\":\"denied: horse aG9yc2U=\"}";
    return true;
}

TEST(what_the_server_says_of_a_refused_value_is_not_passed_on)
{
    begin(true);
    may_make_secrets();
    tw_api_on(q.tw, refuse_and_quote, NULL);
    CHECK(apply_secret(MADE("Secret", ",\"data\":{\"p\":" HANDLE "}")) != MH_OK);
    CHECK(!strstr(q.done.msg, "horse") && !strstr(q.done.msg, "aG9yc2U") &&
          strstr(q.done.msg, "403"));
    CHECK(q.call.reply == NULL);
    end();
}

TEST(a_secret_that_is_being_filled_can_be_cancelled)
{
    begin(true);
    may_make_secrets();
    static const char body[] = MADE("Secret", ",\"data\":{\"p\":" HANDLE "}");
    q.call = (struct mh_api_call){ .method = "POST",
                                   .path = SECRETS,
                                   .body = body,
                                   .body_len = sizeof(body) - 1,
                                   .arena = &q.tw->arena,
                                   .done = on_done };
    q.work.guard.start(q.work.guard.self, &q.call);
    q.work.guard.cancel(q.work.guard.self, &q.call);
    tw_settle(q.tw);
    CHECK(!q.over);
    CHECK_INT(tw_api_count(q.tw, "POST", NULL), 0);
    end();
}

TEST(a_plan_has_handles_only_where_a_secret_keeps_its_values)
{
#define APPLY(object) "{\"op\":\"apply\",\"object\":" object "}"
    begin(true);
    may_make_secrets();
    CHECK_INT(plan(APPLY(MADE("Secret", ",\"data\":{\"p\":" HANDLE "}"))), MH_OK);
    CHECK_INT(plan(APPLY(MADE("Secret", ",\"stringData\":{\"p\":" HANDLE "}"))), MH_OK);
    CHECK_INT(plan(APPLY(MADE("Secret", ",\"data\":{\"p\":[" HANDLE "]}"))), MH_E_REFUSED);
    CHECK_INT(plan(APPLY(MADE("Secret", ",\"data\":{\"p\":{\"x\":" HANDLE "}}"))), MH_E_REFUSED);
    CHECK_INT(plan(APPLY(MADE("Secret", ",\"data\":" HANDLE))), MH_E_REFUSED);
    CHECK_INT(plan(APPLY(MADE("Secret", ",\"type\":" HANDLE))), MH_E_REFUSED);
    CHECK_INT(plan(APPLY(MADE("ConfigMap", ",\"data\":{\"p\":" HANDLE "}"))), MH_E_REFUSED);
    CHECK_INT(plan(APPLY("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\","
                         "\"namespace\":\"shop\",\"annotations\":{\"a\":" HANDLE "}}}")),
              MH_E_REFUSED);
    CHECK_INT(plan("{\"op\":\"event\",\"reason\":\"X\",\"note\":" HANDLE "}"), MH_E_REFUSED);
    CHECK_INT(plan("{\"op\":\"patch\",\"kind\":\"ConfigMap\",\"name\":\"a\",\"namespace\":\"shop\","
                   "\"body\":{\"data\":{\"p\":" HANDLE "}}}"),
              MH_E_REFUSED);
    CHECK_INT(plan("],\"status\":{\"a\":[" HANDLE "]},\"more\":["), MH_E_REFUSED);
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
