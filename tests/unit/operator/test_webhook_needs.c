/* The review of plugins with needs: who is asked for what, what is recorded, what is refused. */
#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "harness/test.h"
#include "harness/world.h"
#include "io/loop.h"
#include "net/http_client.h"
#include "operator/needs_record.h"
#include "operator/webhook_needs.h"

#define HOME "moonherd-system"
#define REVIEWS "/apis/authorization.k8s.io/v1/subjectaccessreviews"
#define RECORDS "/apis/moonherd.io/v1alpha1/namespaces/" HOME "/clusterrecords"
#define ONE                                                                                        \
    "{ api = { { resource = 'secrets', verbs = { 'get' }, namespace = 'web', names = { 'a' } } } " \
    "}"

static struct {
    struct tw *tw;
    struct event_base *base;
    struct mh_clock clock;
    struct mh_http *http;
    struct mh_server *server;
    struct mh_webhook *webhook;
    struct mh_pool *pool;
    struct mh_policies *policies;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_needs needs;
    struct mh_webhook_conf conf;
    struct mh_arena arena;
    char path[120];
    const char *denied; /* resource that nobody may touch */
    int status;         /* of the reviews, 0: 201 */
    bool silent;
    int conflicts; /* so many writes of records are in conflict */
} q;

static bool
answer(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *out)
{
    (void)tw, (void)arg;
    if (q.conflicts > 0 && mh_str_starts(r->path, RECORDS) && !mh_str_eq(r->method, "GET")) {
        q.conflicts--;
        out->status = 409;
        out->json = "{\"kind\":\"Status\",\"reason\":\"Conflict\"}";
        return true;
    }
    if (!mh_str_eq(r->path, REVIEWS))
        return false;
    const char *what = mh_json_str(r->body, "spec", "resourceAttributes", "resource", NULL);
    bool allowed = !q.denied || !mh_str_eq(q.denied, what);
    out->status = q.status ? q.status : 201;
    out->silent = q.silent;
    out->json = allowed ? "{\"status\":{\"allowed\":true}}" : "{\"status\":{\"allowed\":false}}";
    return true;
}

static void
on_news(void *arg, const struct mh_policy_news *news)
{
    (void)arg, (void)news;
}

static void
begin(void)
{
    static const char *const groups[] = { "postgresql.cnpg.io", NULL };
    static const char *const names[] = { "cluster", NULL };
    struct mh_cache_source records = { .name_space = HOME, .selector = MH_NEEDS_SELECTOR };
    char token[MH_SHA256_HEX];
    struct mh_err err;
    mh_log_set_fd(-1);
    memset(&q, 0, sizeof(q));
    q.tw = tw_new(1);
    tw_store(q.tw);
    tw_api_on(q.tw, answer, NULL);
    mh_arena_init(&q.arena, (size_t)64 << 20);
    CHECK(mh_kinds_init(&q.kinds));
    records.kind =
        mh_kinds_add(&q.kinds, "moonherd.io", "v1alpha1", "ClusterRecord", "clusterrecords", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    CHECK(mh_cache_add(q.cache, &records));
    q.base = mh_loop_new();
    q.clock = mh_clock_real(q.base);
    q.http = mh_http_new(q.base);
    q.pool = mh_pool_new(q.base, &(struct mh_pool_options){ .in_process = true });
    q.policies = mh_policies_new(q.base, q.pool, HOME, on_news, NULL);
    q.needs = (struct mh_needs){ .api = q.tw->world.api,
                                 .clock = q.tw->world.clock,
                                 .cache = q.cache,
                                 .kind = records.kind,
                                 .map_kind = mh_kind_find(&q.kinds, "ConfigMap"),
                                 .name_space = HOME };
    mh_needs_init(&q.needs);
    q.conf = (struct mh_webhook_conf){ .groups = groups,
                                       .names = names,
                                       .env = "{}",
                                       .policies = q.policies,
                                       .needs = &q.needs,
                                       .mono_ns = q.clock.mono_ns,
                                       .clock = q.clock.self };
    CHECK_INT(mh_webhook_new(&q.conf, &q.webhook, &err), MH_OK);
    q.server = mh_server_new(q.base, "127.0.0.1", 0, NULL, &err);
    CHECK(q.server && mh_webhook_route(q.webhook, q.server));
    mh_webhook_set_key(q.webhook, "a key");
    mh_needs_token(token, "a key");
    (void)snprintf(q.path, sizeof(q.path), MH_NEEDS_PATH "%s", token);
}

static void
end(void)
{
    mh_server_free(q.server);
    mh_webhook_free(q.webhook);
    mh_needs_release(&q.needs);
    mh_policies_free(q.policies);
    mh_pool_free(q.pool);
    mh_http_free(q.http);
    mh_clock_release(&q.clock);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    mh_arena_release(&q.arena);
    tw_free(q.tw);
    event_base_free(q.base);
}

static void
on_done(struct mh_http_call *call)
{
    bool *done = call->arg;
    *done = true;
}

static yyjson_val *
post(const char *path, const char *body)
{
    bool done = false;
    yyjson_val *v = NULL;
    struct mh_http_call c = { .method = "POST",
                              .url = mh_arena_printf(&q.arena, "http://127.0.0.1:%d%s",
                                                     mh_server_port(q.server), path),
                              .content_type = "application/json",
                              .body = body,
                              .body_len = strlen(body),
                              .arena = &q.arena,
                              .done = on_done,
                              .arg = &done };
    mh_http_start(q.http, &c);
    while (!done) {
        struct timeval soon = { 0, 5000 };
        (void)event_base_loopexit(q.base, &soon);
        (void)event_base_dispatch(q.base);
        tw_advance(q.tw, 50 * 1000000LL);
    }
    CHECK_INT(c.status, 200);
    CHECK_INT(mh_json_parse(&q.arena, c.body_text, c.body_text_len, &v, NULL), MH_OK);
    return mh_json_get(v, "response", NULL);
}

/* A ConfigMap with these keys (as JSON members) and this in its metadata. */
static const char *
map(const char *ns, const char *meta, const char *data)
{
    return mh_arena_printf(
        &q.arena,
        "{\"metadata\":{\"name\":\"thief\",\"namespace\":\"%s\",\"uid\":\"u1\"%s},"
        "\"data\":{%s}}",
        ns, meta, data);
}
#define LABEL ",\"labels\":{\"moonherd.io/plugin\":\"\"}"

static const char *
script(const char *key, const char *text)
{
    struct mh_buf b;
    mh_buf_init(&b, (size_t)1 << 20);
    CHECK(mh_json_quote(&b, text, strlen(text)));
    const char *out = mh_arena_printf(&q.arena, "\"%s\":%s", key, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static const char *
plugin(const char *needs)
{
    return mh_arena_printf(&q.arena,
                           "return controller 'Thief' { spec = { a = list(str), b = flag(true) }, "
                           "needs = %s }",
                           needs);
}

static yyjson_val *
review_at(const char *path, const char *now, const char *old, bool dry)
{
    return post(path,
                mh_arena_printf(&q.arena,
                                "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":"
                                "\"AdmissionReview\",\"request\":{\"uid\":\"r\",\"operation\":"
                                "\"%s\",\"dryRun\":%s,\"userInfo\":{\"username\":\"eve\",\"uid\":"
                                "\"7\",\"groups\":[\"g\"],\"extra\":{\"k\":[\"v\"]}},\"object\":%s,"
                                "\"oldObject\":%s}}",
                                old ? "UPDATE" : "CREATE", dry ? "true" : "false", now,
                                old ? old : "null"));
}

static yyjson_val *
review(const char *now, const char *old)
{
    return review_at(q.path, now, old, false);
}

static bool
allowed(yyjson_val *r)
{
    return mh_json_bool(r, false, "allowed", NULL);
}

static const char *
message(yyjson_val *r)
{
    const char *s = mh_json_str(r, "status", "message", NULL);
    return s ? s : "";
}

static int
asked(void)
{
    return tw_api_count(q.tw, "POST", REVIEWS);
}

static const char *
one(void)
{
    return map(HOME, LABEL, script("thief.lua", plugin(ONE)));
}

TEST(the_editor_is_asked_about_as_he_is)
{
    begin();
    CHECK(allowed(review(one(), NULL)));
    CHECK_INT(asked(), 1);
    yyjson_val *spec = mh_json_get(tw_api_last(q.tw, "POST", REVIEWS)->body, "spec", NULL);
    CHECK_STR(
        mh_json_canonical(&q.arena, spec, NULL),
        "{\"extra\":{\"k\":[\"v\"]},\"groups\":[\"g\"],\"resourceAttributes\":{\"name\":\"a\","
        "\"namespace\":\"web\",\"resource\":\"secrets\",\"verb\":\"get\"},\"uid\":\"7\","
        "\"user\":\"eve\"}");
    end();
}

TEST(what_is_granted_is_recorded_before_the_answer)
{
    char sha[MH_SHA256_HEX];
    begin();
    const char *text = plugin(ONE);
    mh_sha256_hex(sha, text, strlen(text));
    CHECK(allowed(review(one(), NULL)));
    CHECK_INT(tw_objects(q.tw, RECORDS), 1);
    yyjson_val *record =
        tw_object(q.tw, mh_arena_printf(&q.arena, RECORDS "/%s",
                                        mh_needs_record_name(&q.arena, HOME, "thief")));
    yyjson_val *s = mh_json_get(record, "record", "scripts", "thief.lua", NULL);
    CHECK_STR(mh_json_str(s, "sha256", NULL), sha);
    CHECK_STR(mh_json_str(s, "by", NULL), "eve");
    CHECK_STR(mh_json_str(record, "record", "configmap", "uid", NULL), "u1");
    end();
}

TEST(who_lacks_a_right_is_refused_and_told_which)
{
    begin();
    q.denied = "secrets";
    yyjson_val *r = review(one(), NULL);
    CHECK(!allowed(r));
    CHECK_STR(message(r), "thief.lua needs what user eve has no right to: get secrets a in "
                          "namespace web");
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(one_right_too_few_is_too_few)
{
    begin();
    q.denied = "clusters";
    const char *text = plugin("{ api = { { resource = 'secrets', verbs = { 'get', 'list' } } }, "
                              "sql = { { cluster = 'pg' } } }");
    yyjson_val *r = review(map("web", LABEL, script("a.lua", text)), NULL);
    CHECK_INT(asked(), 3);
    CHECK_STR(message(r), "a.lua needs what user eve has no right to: sql "
                          "clusters/sql.postgresql.cnpg.io pg in namespace web");
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(who_cannot_be_asked_about_is_refused)
{
    begin();
    q.status = 500;
    CHECK(strstr(message(review(one(), NULL)), "cannot be told now") != NULL);
    q.status = 0;
    q.silent = true;
    CHECK(strstr(message(review(one(), NULL)), "cannot be told now") != NULL);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(a_dry_run_asks_and_records_nothing)
{
    begin();
    CHECK(allowed(review_at(q.path, one(), NULL, true)));
    CHECK_INT(asked(), 1);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    q.denied = "secrets";
    CHECK(!allowed(review_at(q.path, one(), NULL, true)));
    end();
}

TEST(a_review_by_another_path_grants_nothing)
{
    begin();
    yyjson_val *r = review_at(MH_NEEDS_PATH, one(), NULL, false);
    CHECK(allowed(r) && yyjson_arr_size(yyjson_obj_get(r, "warnings")) == 1);
    r = review_at(MH_NEEDS_PATH "0000", one(), NULL, false);
    CHECK(allowed(r) && yyjson_arr_size(yyjson_obj_get(r, "warnings")) == 1);
    CHECK_INT(asked(), 0);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(an_edit_beside_a_granted_text_takes_the_rights_too)
{
    begin();
    const char *text = script("thief.lua", plugin(ONE));
    CHECK(allowed(review(one(), NULL)));
    q.denied = "secrets";
    CHECK(allowed(review(map(HOME, LABEL ",\"annotations\":{\"a\":\"b\"}", text), one())));
    CHECK_INT(asked(), 1); /* of no consequence: nobody is asked */
    CHECK(!allowed(review(
        map(HOME, LABEL ",\"annotations\":{\"moonherd.io/rollout\":\"auto\"}", text), one())));
    CHECK(!allowed(review(
        map(HOME, LABEL, mh_arena_printf(&q.arena, "%s,\"thief.params.yaml\":\"a: 1\"", text)),
        one())));
    CHECK(!allowed(review(map(HOME, LABEL, script("other.lua", plugin(ONE))), one())));
    CHECK(allowed(review(map(HOME, "", text), one()))); /* the label goes: nothing runs */
    CHECK(!allowed(review(one(), map(HOME, "", text))));
    q.denied = NULL;
    CHECK(allowed(review(one(), map(HOME, "", text))));
    end();
}

TEST(a_text_that_nobody_checked_is_not_granted_by_who_touches_it)
{
    begin();
    yyjson_val *r = review(
        map(HOME, LABEL ",\"annotations\":{\"a\":\"b\"}", script("thief.lua", plugin(ONE))), one());
    CHECK(allowed(r) && yyjson_arr_size(yyjson_obj_get(r, "warnings")) == 1);
    CHECK_INT(asked(), 0);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(texts_without_needs_and_maps_without_label_are_let_through)
{
    begin();
    q.denied = "secrets";
    CHECK(allowed(review(map(HOME, LABEL, script("a.lua", plugin("nil"))), NULL)));
    CHECK(allowed(review(map(HOME, LABEL, script("a.lua", "return controller 'A' {}")), NULL)));
    CHECK(allowed(review(map(HOME, "", script("a.lua", plugin(ONE))), NULL)));
    CHECK(allowed(review(map(HOME, LABEL, script("a.txt", plugin(ONE))), NULL)));
    CHECK_INT(asked(), 0);
    end();
}

TEST(a_text_that_fails_or_hides_its_needs_is_granted_nothing)
{
    static const char *const texts[] = {
        "return controller 'A' { needs = ",
        "error('needs')",
        "while true do end -- needs",
        "return 7 -- needs",
        "return { needs = function() end }",
        "local t = {} t.t = t return { needs = t }",
        "return controller 'A' { ['nee' .. 'ds'] = " ONE " }",
        "return controller 'A' { needs = str.x and nil }",
        "local t = setmetatable({}, { __index = function() return " ONE " end }) return t -- needs",
    };
    begin();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        (void)review(map(HOME, LABEL, script("a.lua", texts[i])), NULL);
    CHECK_INT(asked(), 0);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(needs_that_are_none_are_refused_with_their_place)
{
    begin();
    yyjson_val *r = review(map(HOME, LABEL,
                               script("a.lua", plugin("{ api = { { resource = '*', "
                                                      "verbs = { 'get' } } } }"))),
                           NULL);
    CHECK(!allowed(r) && mh_str_starts(message(r), "a.lua: needs.api[1].resource"));
    r = review(map("web", LABEL, script("a.lua", plugin("{ sql = { { namespace = 'x' } } }"))),
               NULL);
    CHECK(!allowed(r) && strstr(message(r), "its own"));
    CHECK_INT(asked(), 0);
    end();
}

TEST(more_questions_than_are_asked_are_refused)
{
    begin();
    struct mh_buf b;
    mh_buf_init(&b, (size_t)1 << 20);
    (void)mh_buf_str(
        &b, "local n = {} for i = 1, 16 do n[i] = { resource = 'secrets', verbs = { 'get', "
            "'patch' }, names = { 'a', 'b', 'c', 'd', 'e' } } end return { needs = { api = n } }");
    CHECK(strstr(message(review(map(HOME, LABEL, script("a.lua", mh_buf_text(&b))), NULL)),
                 "at most 128") != NULL);
    CHECK_INT(asked(), 0);
    mh_buf_release(&b);
    end();
}

TEST(two_editors_at_once_both_end_up_in_the_record)
{
    begin();
    q.conflicts = 2;
    CHECK(allowed(review(one(), NULL)));
    CHECK_INT(tw_objects(q.tw, RECORDS), 1);
    q.conflicts = 9;
    yyjson_val *r = review(map(HOME, LABEL, script("b.lua", plugin(ONE))), NULL);
    CHECK(!allowed(r) && strstr(message(r), "cannot be recorded"));
    end();
}
