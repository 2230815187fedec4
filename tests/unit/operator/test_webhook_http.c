/* Reviews as they come over HTTP: paths of each group, policies checked by a worker, with file and line. */
#include <event2/event.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "harness/test.h"
#include "io/loop.h"
#include "lua/policy_ring.h"
#include "net/crypto.h"
#include "net/http_client.h"
#include "operator/plugin_review.h"
#include "operator/webhook.h"

static struct event_base *base;
static struct mh_arena arena;
static struct mh_http *http;
static struct mh_server *server;
static struct mh_webhook *webhook;
static struct mh_policies *policies;
static struct mh_pool *pool;
static struct mh_clock a_clock;
static struct mh_webhook_conf a_conf;
static struct mh_needs needs;
static struct mh_plugins plugins;
static int status;

static void
on_news(void *arg, const struct mh_policy_news *news)
{
    (void)arg, (void)news;
}

static void
begin(void)
{
    static const char *const groups[] = { "postgresql.cnpg.io", "postgresql.k8s.enterprisedb.io",
                                          NULL };
    static const char *const names[] = { "cluster", NULL };
    static const char *const worker[] = { MH_TEST_WORKER, "policy-worker", NULL };
    struct mh_err err = { .code = MH_OK };
    mh_log_set_fd(-1);
    base = mh_loop_new();
    mh_arena_init(&arena, (size_t)64 << 20);
    a_clock = mh_clock_real(base);
    http = mh_http_new(base);
    pool = mh_pool_new(base, &(struct mh_pool_options){ .argv = worker, .deadline_ms = 2000 });
    policies = mh_policies_new(base, pool, "moonherd-system", on_news, NULL);
    a_conf = (struct mh_webhook_conf){ .groups = groups,
                                       .names = names,
                                       .env = "{\"default_image\":\"img:15\"}",
                                       .policies = policies,
                                       .mono_ns = a_clock.mono_ns,
                                       .clock = a_clock.self };
    static const char *const child[] = { MH_TEST_WORKER, "plugin-worker", NULL };
    needs = (struct mh_needs){ .name_space = "moonherd-system", .clock = a_clock };
    plugins = (struct mh_plugins){
        .base = base, .clock = a_clock, .name_space = "moonherd-system", .child_argv = child
    };
    CHECK_INT(mh_plugins_init(&plugins, &err), MH_OK);
    a_conf.needs = &needs;
    a_conf.plugins = &plugins;
    CHECK_INT(mh_webhook_new(&a_conf, &webhook, &err), MH_OK);
    server = mh_server_new(base, "127.0.0.1", 0, NULL, &err);
    CHECK(server && mh_webhook_route(webhook, server));
}

static void
end(void)
{
    mh_server_free(server);
    mh_webhook_free(webhook);
    mh_plugins_release(&plugins);
    mh_policies_free(policies);
    mh_pool_free(pool);
    mh_http_free(http);
    mh_clock_release(&a_clock);
    mh_arena_release(&arena);
    event_base_free(base);
}

static void
on_done(struct mh_http_call *call)
{
    bool *done = call->arg;
    *done = true;
}

/* The response of a review; NULL where there is none. */
static yyjson_val *
post(const char *path, const char *body)
{
    bool done = false;
    yyjson_val *v = NULL;
    struct mh_http_call c = { .method = "POST",
                              .url = mh_arena_printf(&arena, "http://127.0.0.1:%d%s",
                                                     mh_server_port(server), path),
                              .content_type = "application/json",
                              .body = body,
                              .body_len = strlen(body),
                              .arena = &arena,
                              .done = on_done,
                              .arg = &done };
    mh_http_start(http, &c);
    while (!done)
        (void)event_base_loop(base, EVLOOP_ONCE);
    status = c.status;
    if (status == 200)
        CHECK_INT(mh_json_parse(&arena, c.body_text, c.body_text_len, &v, NULL), MH_OK);
    return mh_json_get(v, "response", NULL);
}

static char *
review(const char *object)
{
    return mh_arena_printf(&arena,
                           "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                           "\"request\":{\"uid\":\"u\",\"operation\":\"CREATE\",\"object\":%s}}",
                           object);
}

static char *
cluster(const char *group, const char *spec)
{
    return review(mh_arena_printf(&arena,
                                  "{\"apiVersion\":\"%s/v1\",\"kind\":\"Cluster\",\"metadata\":{"
                                  "\"name\":\"c\",\"namespace\":\"ns\"},\"spec\":%s}",
                                  group, spec));
}

/* A ConfigMap with this script, labelled or not. */
static yyjson_val *
policy(const char *labels, const char *key, const char *script)
{
    struct mh_buf b;
    mh_buf_init(&b, 1 << 20);
    CHECK(mh_json_quote(&b, script, strlen(script)));
    char *object = mh_arena_printf(&arena,
                                   "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{"
                                   "\"name\":\"who-first\",\"namespace\":\"shop\",\"labels\":%s},"
                                   "\"data\":{\"%s\":%s}}",
                                   labels, key, mh_buf_text(&b));
    mh_buf_release(&b);
    return post("/validate-policy", review(object));
}

#define GOOD "{\"instances\":1,\"storage\":{\"size\":\"1Gi\"}}"
#define LABELLED "{\"moonherd.io/policy\":\"\"}"
#define POLICY(body)                                                                               \
    "return policy \"failover/v1\" {\n  decide = function(ctx)\n" body "\n  end,\n}\n"

TEST(a_cluster_of_either_group_gets_its_defaults)
{
    begin();
    CHECK(mh_json_str(
              post("/mutate-postgresql-cnpg-io-v1-cluster", cluster("postgresql.cnpg.io", GOOD)),
              "patch", NULL) != NULL);
    CHECK(mh_json_str(post("/mutate-postgresql-cnpg-io-v1-cluster",
                           cluster("postgresql.k8s.enterprisedb.io", GOOD)),
                      "patch", NULL) != NULL);
    end();
}

TEST(a_bad_cluster_is_refused_and_a_good_one_is_not)
{
    static const char path[] = "/validate-postgresql-cnpg-io-v1-cluster";
    begin();
    yyjson_val *r = post(path, cluster("postgresql.cnpg.io", "{\"instances\":1,\"storage\":{"
                                                             "\"size\":\"-1Gi\"}}"));
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    CHECK(strstr(mh_json_str(r, "status", "message", NULL), "spec.storage.size") != NULL);
    CHECK(mh_json_bool(post(path, cluster("postgresql.cnpg.io", GOOD)), false, "allowed", NULL));
    end();
}

TEST(a_broken_policy_is_refused_with_file_and_line)
{
    begin();
    yyjson_val *r = policy(LABELLED, "failover.lua", POLICY("    return promote(rank(ranked)"));
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    CHECK(strstr(mh_json_str(r, "status", "message", NULL), "failover.lua:") != NULL);
    r = policy(LABELLED, "failover.lua", POLICY("    return promote(os.time())"));
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    CHECK(strstr(mh_json_str(r, "status", "message", NULL), "failover.lua:3") != NULL);
    end();
}

TEST(a_policy_that_loops_or_eats_memory_is_refused_in_time)
{
    begin();
    yyjson_val *r = policy(LABELLED, "failover.lua", POLICY("    while true do end"));
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    r = policy(LABELLED, "failover.lua",
               POLICY("    local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end"));
    CHECK(!mh_json_bool(r, true, "allowed", NULL));
    end();
}

TEST(a_good_policy_is_let_through_and_so_is_what_is_no_policy)
{
    begin();
    yyjson_val *r = NULL;
    /* With sanitizers on a busy machine even this may take longer than a decision may. */
    for (int i = 0; i < 10 && !mh_json_bool(r, false, "allowed", NULL); i++)
        r = policy(LABELLED, "failover.lua", POLICY("    return hold('Nobody')"));
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    r = policy("{}", "failover.lua", "this is no Lua");
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    r = policy(LABELLED, "readme.txt", "this is no Lua");
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    end();
}

/* A review as the server sends it for a dry run. */
static char *
dry(const char *object)
{
    return mh_arena_printf(&arena,
                           "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                           "\"request\":{\"uid\":\"u\",\"operation\":\"UPDATE\",\"dryRun\":true,"
                           "\"object\":%s}}",
                           object);
}

static const char *
warning(yyjson_val *response, size_t at)
{
    yyjson_val *v = yyjson_arr_get(yyjson_obj_get(response, "warnings"), at);
    return v ? yyjson_get_str(v) : "none";
}

TEST(a_dry_run_of_a_policy_tells_what_recorded_decisions_would_have_become)
{
    static const char map[] =
        "{\"metadata\":{\"name\":\"m\",\"namespace\":\"shop\",\"labels\":{\"moonherd.io/policy\":"
        "\"\"}},\"data\":{\"failover.lua\":\"return policy 'failover/v1' { decide = function(ctx) "
        "%s"
        " return hold('Nobody') end }\"}}";
    struct mh_taken like = { .point = "failover/v1",
                             .ns = "shop",
                             .cluster = "pg",
                             .by = "built-in",
                             .at_us = 1785578400000000,
                             .input =
                                 "{\"candidates\":[],\"cluster\":{\"name\":\"pg\"},\"now\":777,"
                                 "\"reason\":\"r\"}",
                             .answer = "{\"action\":\"hold\",\"at\":807,\"reason\":\"Wait\","
                                       "\"until_s\":30}" };
    begin();
    mh_ring_add(mh_policies_ring(policies), &like);
    yyjson_val *r = NULL;
    for (int i = 0; i < 10 && !yyjson_obj_get(r, "warnings"); i++)
        r = post("/validate-policy", dry(mh_arena_printf(&arena, map, "")));
    CHECK(mh_json_bool(r, false, "allowed", NULL));
    CHECK_STR(warning(r, 0), "failover.lua: 1 of 1 recorded decisions differ");
    CHECK(strstr(warning(r, 1), "shop/pg at 2026-08-01T10:00:00Z (input ") != NULL);
    CHECK(strstr(warning(r, 1), "reason: Wait -> Nobody") != NULL);
    r = NULL;
    for (int i = 0; i < 10 && !yyjson_obj_get(r, "warnings"); i++)
        r = post("/validate-policy",
                 dry(mh_arena_printf(&arena, map, "if ctx.now == 777 then error('boom') end")));
    CHECK(strstr(warning(r, 0), "boom, on a recorded input of shop/pg") != NULL);
    end();
}

static struct mh_foresee *foreseen;

static void
foresee(void *arg, struct mh_foresee *f)
{
    (void)arg;
    foreseen = f;
    CHECK(f->object != NULL);
    if (mh_json_get(f->object, "spec", "fails", NULL))
        mh_fail(&f->err, MH_E_UNAVAILABLE, "not now");
    else
        f->result = "{\"steps\":[]}";
    f->done(f);
}

/* The value of the plan in the patch of a response. */
static const char *
plan_of(yyjson_val *response)
{
    const char *b64 = mh_json_str(response, "patch", NULL);
    yyjson_val *patch = NULL;
    size_t len = 0;
    const char *bytes = b64 ? mh_base64_decode(&arena, b64, strlen(b64), &len) : NULL;
    CHECK(bytes != NULL);
    CHECK(bytes && mh_json_parse(&arena, bytes, len, &patch, NULL) == MH_OK);
    yyjson_val *last = yyjson_arr_get_last(patch);
    CHECK_STR(mh_json_str(last, "path", NULL), "/metadata/annotations/moonherd.io~1plan");
    CHECK(yyjson_arr_size(patch) > 1); /* and the defaults */
    return mh_json_str(last, "value", NULL);
}

TEST(a_dry_run_that_asks_for_it_is_answered_with_the_plan)
{
#define ASKS(spec)                                                                                 \
    "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":{\"name\":\"c\"," \
    "\"namespace\":\"ns\",\"annotations\":{\"moonherd.io/plan\":\"requested\"}},\"spec\":" spec    \
    "}"
    static const char path[] = "/mutate-postgresql-cnpg-io-v1-cluster";
    begin();
    a_conf.foresee = foresee;
    mh_webhook_free(webhook);
    struct mh_err err;
    CHECK_INT(mh_webhook_new(&a_conf, &webhook, &err), MH_OK);
    mh_server_free(server);
    server = mh_server_new(base, "127.0.0.1", 0, NULL, &err);
    CHECK(server && mh_webhook_route(webhook, server));
    CHECK_STR(plan_of(post(path, dry(ASKS(GOOD)))), "{\"steps\":[]}");
    CHECK_STR(plan_of(post(path, dry(ASKS("{\"instances\":1,\"fails\":1}")))),
              "{\"error\":\"not now\"}");
    foreseen = NULL;
    CHECK(mh_json_bool(post(path, review(ASKS(GOOD))), false, "allowed", NULL));
    CHECK(foreseen == NULL); /* it was no dry run */
    end();
}

TEST(what_is_no_review_and_what_nobody_asked_for_gets_no_verdict)
{
    begin();
    CHECK(post("/validate-policy", "{}") == NULL);
    CHECK_INT(status, 400);
    CHECK(post("/validate-postgresql-cnpg-io-v1-cluster", "no JSON") == NULL);
    CHECK_INT(status, 400);
    CHECK(post("/validate-postgresql-cnpg-io-v1-pooler", "{}") == NULL);
    CHECK_INT(status, 404);
    end();
}

/* --- plugins ----------------------------------------------------------------------------------------- */

#define GREETING(text, plan)                                                                       \
    "return controller 'Greeting' {\n  api = 'greetings.example.dev/v1',\n  spec = { text = str "  \
    "},\n"                                                                                         \
    "  cases = {\n    { name = 'said',\n      given = { object = { spec = { text = 'moon' } } "    \
    "},\n"                                                                                         \
    "      expect = { status = { said = '" text "' } } },\n  },\n  plan = function(seen) " plan    \
    " return ready({}, { said = seen.object.spec.text }) end,\n}\n"

static const char *
member(const char *key, const char *script)
{
    struct mh_buf b;
    mh_buf_init(&b, 1 << 20);
    CHECK(mh_json_quote(&b, script, strlen(script)));
    const char *out = mh_arena_printf(&arena, "\"%s\":%s", key, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static const char *
plugin_map(const char *data)
{
    return mh_arena_printf(&arena,
                           "{\"metadata\":{\"name\":\"g\",\"namespace\":\"shop\",\"uid\":\"u\","
                           "\"labels\":{\"moonherd.io/plugin\":\"\"}},\"data\":{%s}}",
                           data);
}

static yyjson_val *
plugin_edit(const char *data, const char *old)
{
    return post("/validate-needs/0",
                mh_arena_printf(&arena,
                                "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":"
                                "\"AdmissionReview\",\"request\":{\"uid\":\"u\",\"operation\":"
                                "\"UPDATE\",\"object\":%s,\"oldObject\":%s}}",
                                plugin_map(data), old ? plugin_map(old) : "null"));
}

static const char *
refusal(yyjson_val *r)
{
    const char *s = mh_json_str(r, "status", "message", NULL);
    CHECK(s ? !mh_json_bool(r, true, "allowed", NULL) : mh_json_bool(r, false, "allowed", NULL));
    return s ? s : "";
}

TEST(a_plugin_whose_own_case_fails_is_refused_with_file_line_and_case)
{
    begin();
    CHECK_STR(refusal(plugin_edit(member("greeting.lua", GREETING("moon", "")), NULL)), "");
    CHECK_STR(refusal(plugin_edit(member("greeting.lua", GREETING("sun", "")), NULL)),
              "greeting.lua:5: plan.status.said: want \"sun\", got \"moon\" (in case 'said')");
    const char *why =
        refusal(plugin_edit(member("greeting.lua", GREETING("moon", "seen = seen.a.b.c")), NULL));
    CHECK(mh_str_starts(why, "greeting.lua:9: attempt to index a nil value"));
    CHECK(strstr(why, "(in case 'said')"));
    end();
}

TEST(a_plugin_that_is_none_is_refused_with_file_and_line)
{
    begin();
    CHECK(mh_str_starts(refusal(plugin_edit(member("a.lua", "return controller 'A' {\n"), NULL)),
                        "a.lua:"));
    CHECK_STR(
        refusal(plugin_edit(member("a.lua", "\nreturn controller 'A' { api = 'x.example.dev/v1',"
                                            " spec = { n = 5 }, plan = function() end }"),
                            NULL)),
        "a.lua:2: spec.n: want a type: str, int, num, flag, any, choice, list, optional, record or "
        "secret_key");
    const char *two = mh_arena_printf(&arena, "%s,%s", member("a.lua", GREETING("sun", "")),
                                      member("b.lua", "return 7"));
    const char *why = refusal(plugin_edit(two, NULL));
    CHECK(strstr(why, "(in case 'said'); b.lua") != NULL);
    end();
}

TEST(a_text_that_is_stored_is_not_the_fault_of_who_edits_something_else)
{
    begin();
    const char *bad = member("a.lua", GREETING("sun", ""));
    const char *both = mh_arena_printf(&arena, "%s,\"note\":\"a\"", bad);
    CHECK_STR(refusal(plugin_edit(both, bad)), "");
    end();
}

TEST(a_case_without_end_holds_up_nobody)
{
    begin();
    int64_t began = a_clock.mono_ns(a_clock.self);
    const char *why =
        refusal(plugin_edit(member("a.lua", GREETING("moon", "while true do end")), NULL));
    CHECK(mh_str_starts(why, "a.lua:9: used more than") && strstr(why, "(in case 'said')"));
    CHECK(a_clock.mono_ns(a_clock.self) - began < 1500 * (int64_t)1000000);
    end();
}

static void
on_reviewed(struct mh_plugin_review *r)
{
    int *over = r->arg;
    ++*over;
}

TEST(what_is_not_judged_in_time_is_let_in_with_a_warning)
{
    static const char *const hang[] = { MH_TEST_WORKER, "hang", NULL };
    static struct mh_plugin_review all[5];
    int over = 0;
    yyjson_val *script = NULL;
    begin();
    plugins.child_argv = hang;
    plugins.review_ms = 200;
    yyjson_val *r = plugin_edit(member("a.lua", GREETING("sun", "")), NULL);
    CHECK_STR(refusal(r), "");
    const char *warning = yyjson_get_str(yyjson_arr_get_first(yyjson_obj_get(r, "warnings")));
    CHECK(warning && mh_str_starts(warning, "a.lua: its check and its cases did not end in time"));
    CHECK_INT(mh_json_parse(&arena, "\"return 1\"", 10, &script, NULL), MH_OK);
    for (int i = 0; i < 5; i++) {
        all[i] = (struct mh_plugin_review){ .ns = "a", .name = "b", .ntexts = 1 };
        all[i].texts[0] = (struct mh_plugin_reviewed){ "a.lua", script };
        all[i].arena = &arena;
        all[i].done = on_reviewed;
        all[i].arg = &over;
        mh_plugin_review_start(&plugins, &all[i]);
        CHECK_INT(over, i == 4); /* four have a child, the fifth does not wait for one */
    }
    CHECK_STR(all[4].late, "a.lua");
    while (over < 5)
        (void)event_base_loop(base, EVLOOP_ONCE);
    CHECK_STR(all[0].late, "a.lua");
    mh_plugin_review_start(&plugins, &all[0]); /* and is forgotten */
    end();
}

TEST(a_review_gets_over_any_failed_allocation_and_blames_no_text_for_it)
{
    static struct mh_plugin_review r;
    yyjson_val *script = NULL;
    bool swept = false;
    begin();
    const char *text = mh_arena_printf(&arena, "{%s}", member("a", GREETING("moon", "")));
    CHECK_INT(mh_json_parse(&arena, text, strlen(text), &script, NULL), MH_OK);
    for (int n = 0; n < 5000 && !swept; n++) {
        int over = 0;
        r = (struct mh_plugin_review){ .ns = "a", .name = "b", .ntexts = 1, .arena = &arena };
        r.texts[0] = (struct mh_plugin_reviewed){ "a.lua", yyjson_obj_get(script, "a") };
        r.done = on_reviewed;
        r.arg = &over;
        mh_mem_fail_after(n);
        mh_plugin_review_start(&plugins, &r);
        while (!over)
            (void)event_base_loop(base, EVLOOP_ONCE);
        swept = !mh_mem_failed();
        mh_mem_fail_after(-1);
        if (r.refusal)
            printf("# n = %d: %s\n", n, r.refusal);
        CHECK(!r.refusal);
        CHECK(swept ? !r.late : true);
    }
    CHECK(swept);
    end();
}
