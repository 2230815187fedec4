/* Needs of scripts: what may be declared, what that covers, what is granted, and records that go. */
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/needs_record.h"

#define HOME "moonherd-system"
#define RECORDS "/apis/moonherd.io/v1alpha1/namespaces/" HOME "/clusterrecords"
#define TEXT "return controller 'Thief' {}"
#define SECRET "{\"api\":[{\"resource\":\"secrets\",\"verbs\":[\"get\"],\"namespace\":\"web\"}]}"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_needs needs;
    char changed[200];
    bool leads;
    int done;
} q;

static yyjson_val *
value(const char *text)
{
    yyjson_val *v = NULL;
    CHECK_INT(mh_json_parse(&q.tw->arena, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

static bool
may_write(void *arg)
{
    (void)arg;
    return q.leads;
}

static void
on_needs_change(void *arg, const char *ns, const char *name)
{
    (void)arg;
    (void)snprintf(q.changed, sizeof(q.changed), "%s/%s", ns, name);
}

static void
on_cache(void *arg, const struct mh_kind *kind, const char *ns, const char *name, yyjson_val *old,
         yyjson_val *now)
{
    (void)arg, (void)ns, (void)name;
    mh_needs_changed(&q.needs, kind, old, now);
}

static void
begin(void)
{
    struct mh_cache_source records = { .name_space = HOME, .selector = MH_NEEDS_SELECTOR };
    struct mh_cache_source maps = { .selector = MH_PLUGIN_LABEL };
    mh_log_set_fd(-1);
    memset(&q, 0, sizeof(q));
    q.leads = true;
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    CHECK(
        mh_kinds_add(&q.kinds, "moonherd.io", "v1alpha1", "ClusterRecord", "clusterrecords", true));
    q.cache = mh_cache_new(q.tw->world.api, on_cache, NULL);
    q.needs = (struct mh_needs){ .api = q.tw->world.api,
                                 .clock = q.tw->world.clock,
                                 .cache = q.cache,
                                 .kind = mh_kind_find(&q.kinds, "ClusterRecord"),
                                 .map_kind = mh_kind_find(&q.kinds, "ConfigMap"),
                                 .name_space = HOME,
                                 .may_write = may_write,
                                 .on_change = on_needs_change };
    mh_needs_init(&q.needs);
    records.kind = q.needs.kind;
    maps.kind = q.needs.map_kind;
    CHECK(mh_cache_add(q.cache, &records) && mh_cache_add(q.cache, &maps));
    tw_settle(q.tw);
}

static void
end(void)
{
    mh_needs_release(&q.needs);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
}

/* --- what may be declared --------------------------------------------------------------------- */

/* NULL: it may; else why not. */
static const char *
refusal(const char *declared, const char *ns)
{
    struct mh_needs_set set;
    struct mh_err err = { .code = MH_OK };
    if (mh_needs_parse(&q.tw->arena, value(declared), ns, &set, &err) == MH_OK)
        return NULL;
    CHECK_INT(err.code, MH_E_INVALID);
    return mh_arena_strdup(&q.tw->arena, err.msg);
}

static const char *
api(const char *fields)
{
    return mh_arena_printf(&q.tw->arena, "{\"api\":[{%s}]}", fields);
}

TEST(a_declaration_is_read_with_its_defaults)
{
    struct mh_needs_set set;
    struct mh_err err;
    begin();
    const char *text =
        "{\"api\":[{\"group\":\"apps\",\"resource\":\"deployments/scale\",\"verbs\":"
        "[\"get\",\"patch\"],\"names\":[\"a\",\"b\"]}],\"sql\":[{\"cluster\":\"pg\"}]}";
    CHECK_INT(mh_needs_parse(&q.tw->arena, value(text), "web", &set, &err), MH_OK);
    CHECK_INT((int)set.napi, 1);
    CHECK_INT((int)set.nsql, 1);
    CHECK_STR(set.api[0].resource, "deployments");
    CHECK_STR(set.api[0].subresource, "scale");
    CHECK_STR(set.api[0].name_space, "web");
    CHECK_STR(set.api[0].verbs[1], "patch");
    CHECK(!set.api[0].verbs[2]);
    CHECK_STR(set.sql[0].name_space, "web");
    CHECK(!set.sql[0].database && !set.sql[0].as);
    CHECK_INT(mh_needs_parse(&q.tw->arena, value(text), NULL, &set, &err), MH_OK);
    CHECK(!set.api[0].name_space && !set.sql[0].name_space);
    end();
}

TEST(nothing_is_needed_by_who_declares_nothing)
{
    static const char *const none[] = { "null", "{}", "[]", "{\"api\":{}}", "{\"sql\":[]}" };
    struct mh_needs_set set;
    struct mh_err err;
    begin();
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        CHECK_INT(mh_needs_parse(&q.tw->arena, value(none[i]), NULL, &set, &err), MH_OK);
        CHECK(mh_needs_empty(&set));
        CHECK_STR(set.text, "{}");
    }
    CHECK_INT(mh_needs_parse(&q.tw->arena, NULL, NULL, &set, &err), MH_OK);
    CHECK(mh_needs_empty(&set));
    end();
}

TEST(what_controllers_of_the_image_have_is_nobodys_to_grant)
{
    static const char core[] = "{\"api\":[],\"core\":[\"failover\"]}";
    struct mh_needs_set set;
    struct mh_err err;
    begin();
    CHECK_STR(refusal(core, NULL),
              "needs.core: is for the controllers of the image, nobody can be granted it");
    CHECK(strstr(refusal("{\"core\":[]}", "web"), "nobody can be granted it"));
    CHECK(strstr(refusal(api("\"group\":\"rbac.authorization.k8s.io\",\"resource\":\"roles\","
                             "\"verbs\":[\"patch\"]"),
                         NULL),
                 "roles and bindings can only be read"));
    CHECK_INT(mh_needs_parse_image(&q.tw->arena, value(core), &set, &err), MH_OK);
    CHECK_STR(set.core[0], "failover");
    CHECK(!set.core[1]);
    end();
}

TEST(what_is_no_declaration_is_refused_with_its_place)
{
    static const char *const bad[] = {
        "7",
        "\"api\"",
        "{\"http\":[]}",
        "{\"api\":{\"a\":1}}",
        "{\"api\":[7]}",
        "{\"sql\":[{\"cluster\":7}]}",
        "{\"sql\":[{\"cluster\":\"../x\"}]}",
        "{\"sql\":[{\"cluster\":\"*\"}]}",
        "{\"sql\":[{\"as\":\"*\"}]}",
        "{\"sql\":[{\"as\":\"\"}]}",
        "{\"sql\":[{\"host\":\"x\"}]}",
    };
    static const char *const fields[] = {
        "\"verbs\":[\"get\"]",
        "\"resource\":\"secrets\"",
        "\"resource\":\"secrets\",\"verbs\":{}",
        "\"resource\":\"secrets\",\"verbs\":[]",
        "\"resource\":\"secrets\",\"verbs\":[\"*\"]",
        "\"resource\":\"secrets\",\"verbs\":[\"impersonate\"]",
        "\"resource\":\"*\",\"verbs\":[\"get\"]",
        "\"resource\":\"Secrets\",\"verbs\":[\"get\"]",
        "\"resource\":\"secrets/\",\"verbs\":[\"get\"]",
        "\"resource\":\"secrets\\n\",\"verbs\":[\"get\"]",
        "\"resource\":\"pods/exec\",\"verbs\":[\"create\"]",
        "\"resource\":\"serviceaccounts/token\",\"verbs\":[\"create\"]",
        "\"group\":\"*\",\"resource\":\"a\",\"verbs\":[\"get\"]",
        "\"group\":7,\"resource\":\"a\",\"verbs\":[\"get\"]",
        "\"group\":\"rbac.authorization.k8s.io\",\"resource\":\"roles\",\"verbs\":[\"create\"]",
        "\"group\":\"moonherd.io\",\"resource\":\"clusterrecords\",\"verbs\":[\"get\"]",
        "\"resource\":\"secrets\",\"verbs\":[\"get\"],\"names\":[\"*\"]",
        "\"resource\":\"secrets\",\"verbs\":[\"get\"],\"names\":[]",
        "\"resource\":\"secrets\",\"verbs\":[\"list\"],\"names\":[\"a\"]",
        "\"resource\":\"secrets\",\"verbs\":[\"get\"],\"namespace\":\"*\"",
        "\"resource\":\"secrets\",\"verbs\":[\"get\"],\"namespace\":\"\"",
        "\"resource\":\"secrets\",\"verbs\":[\"get\"],\"more\":1",
    };
    begin();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = refusal(bad[i], NULL);
        CHECK(why && mh_str_starts(why, "needs"));
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *why = refusal(api(fields[i]), NULL);
        CHECK(why && mh_str_starts(why, "needs.api[1]"));
    }
    CHECK(!refusal(api("\"group\":\"rbac.authorization.k8s.io\",\"resource\":\"roles\",\"verbs\":"
                       "[\"get\"]"),
                   NULL));
    end();
}

TEST(another_namespace_is_only_named_in_the_operators)
{
    begin();
    const char *text = SECRET;
    CHECK(!refusal(text, NULL));
    CHECK(!refusal(text, "web"));
    CHECK(refusal(text, "team") && strstr(refusal(text, "team"), "its own"));
    end();
}

TEST(needs_without_end_are_refused)
{
    begin();
    struct mh_buf b;
    mh_buf_init(&b, (size_t)1 << 20);
    (void)mh_buf_str(&b, "{\"sql\":[{\"cluster\":\"a\"}");
    for (int i = 0; i < 20; i++)
        (void)mh_buf_str(&b, ",{\"cluster\":\"a\"}");
    (void)mh_buf_str(&b, "]}");
    CHECK(refusal(mh_buf_text(&b), NULL) != NULL);
    mh_buf_reset(&b);
    for (int i = 0; i < 16; i++)
        (void)mh_buf_printf(&b,
                            "%s{\"resource\":\"secrets\",\"verbs\":[\"get\"],\"names\":[\"%0200d\","
                            "\"%0200d\"]}",
                            i ? "," : "{\"api\":[", i, i);
    (void)mh_buf_str(&b, "]}");
    CHECK(refusal(mh_buf_text(&b), NULL) && strstr(refusal(mh_buf_text(&b), NULL), "4 KiB"));
    mh_buf_release(&b);
    end();
}

TEST(a_need_covers_what_it_names_and_nothing_else)
{
    struct mh_needs_set set;
    struct mh_err err;
    begin();
    CHECK_INT(mh_needs_parse(&q.tw->arena,
                             value("{\"api\":[{\"resource\":\"secrets\",\"verbs\":[\"get\"],"
                                   "\"namespace\":\"web\",\"names\":[\"a\"]},{\"group\":\"apps\","
                                   "\"resource\":\"deployments\",\"verbs\":[\"list\"]}],\"sql\":"
                                   "[{\"cluster\":\"pg\",\"as\":\"app\"}]}"),
                             NULL, &set, &err),
              MH_OK);
    static const struct {
        struct mh_need_wish wish;
        bool covered;
    } cases[] = {
        { { "get", "", "secrets", NULL, "web", "a" }, true },
        { { "get", "", "secrets", NULL, "web", "b" }, false },
        { { "get", "", "secrets", NULL, "web", NULL }, false },
        { { "get", "", "secrets", NULL, "other", "a" }, false },
        { { "get", "", "secrets", NULL, NULL, "a" }, false },
        { { "list", "", "secrets", NULL, "web", NULL }, false },
        { { "get", "", "secrets", "status", "web", "a" }, false },
        { { "get", "x.io", "secrets", NULL, "web", "a" }, false },
        { { "list", "apps", "deployments", NULL, "any", NULL }, true },
        { { "list", "apps", "deployments", NULL, NULL, NULL }, true },
        { { "get", "apps", "deployments", NULL, "any", "a" }, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_INT(mh_needs_cover_api(&set, &cases[i].wish), cases[i].covered);
    CHECK(mh_needs_cover_sql(&set, "web", "pg", NULL, "app"));
    CHECK(!mh_needs_cover_sql(&set, "web", "pg", NULL, NULL));
    CHECK(!mh_needs_cover_sql(&set, "web", "pg", "postgres", "app"));
    CHECK(!mh_needs_cover_sql(&set, "web", "other", NULL, "app"));
    end();
}

/* --- what is granted -------------------------------------------------------------------------- */

static struct mh_needs_text
text_of(const char *script)
{
    return (struct mh_needs_text){ .name_space = HOME,
                                   .name = "thief",
                                   .uid = "u1",
                                   .key = "thief.lua",
                                   .script = script,
                                   .script_len = strlen(script) };
}

static const char *
record_path(void)
{
    return mh_arena_printf(&q.tw->arena, RECORDS "/%s",
                           mh_needs_record_name(&q.tw->arena, HOME, "thief"));
}

/* As the webhook does it: script is brought where `stored` is. */
static void
grant(const char *script, const char *stored, const char *uid)
{
    struct mh_needs_given g = { .key = "thief.lua" };
    struct mh_err err;
    yyjson_val *data = value("{\"thief.lua\":\"x\"}");
    mh_sha256_hex(g.sha, script, strlen(script));
    if (stored)
        mh_sha256_hex(g.stored, stored, strlen(stored));
    CHECK_INT(mh_needs_parse(&q.tw->arena, value(SECRET), NULL, &g.set, &err), MH_OK);
    struct mh_needs_page page = { .name_space = HOME,
                                  .name = "thief",
                                  .uid = uid,
                                  .data = data,
                                  .by = "rich",
                                  .wall_us = q.tw->wall_us,
                                  .given = &g,
                                  .ngiven = 1 };
    const char *body =
        mh_needs_record_body(&q.tw->arena, HOME, tw_object(q.tw, record_path()), &page);
    CHECK(body != NULL);
    tw_put(q.tw, record_path(), body);
    tw_settle(q.tw);
}

static bool
granted(const struct mh_needs_text *t, const char *declared)
{
    struct mh_needs_set set;
    bool ok = mh_needs_granted(&q.needs, t, value(declared), &q.tw->arena, &set);
    CHECK(ok || mh_needs_empty(&set));
    tw_settle(q.tw);
    return ok;
}

TEST(what_is_granted_is_these_bytes_with_these_needs_for_this_object_and_key)
{
    begin();
    struct mh_needs_text t = text_of(TEXT);
    CHECK(!granted(&t, SECRET));
    CHECK(granted(&t, "null"));
    grant(TEXT, NULL, "u1");
    CHECK_STR(q.changed, HOME "/thief");
    CHECK(granted(&t, SECRET));
    CHECK(!granted(&t, "{\"api\":[{\"resource\":\"secrets\",\"verbs\":[\"get\"]}]}"));
    struct mh_needs_text other = text_of(TEXT " ");
    CHECK(!granted(&other, SECRET));
    other = text_of(TEXT);
    other.key = "other.lua";
    CHECK(!granted(&other, SECRET));
    other = text_of(TEXT);
    other.uid = "u2"; /* made anew */
    CHECK(!granted(&other, SECRET));
    other.uid = NULL;
    CHECK(!granted(&other, SECRET));
    other = text_of(TEXT);
    other.name = "copy";
    CHECK(!granted(&other, SECRET));
    end();
}

TEST(an_edit_leaves_the_text_before_it_in_force_until_it_is_met)
{
    begin();
    struct mh_needs_text first = text_of(TEXT), second = text_of(TEXT "2");
    grant(TEXT, NULL, "u1");
    CHECK(granted(&first, SECRET));
    CHECK(mh_json_bool(tw_object(q.tw, record_path()), false, "record", "scripts", "thief.lua",
                       "seen", NULL));
    grant(TEXT "2", TEXT, "u1"); /* the edit may still fail */
    CHECK(granted(&first, SECRET));
    grant(TEXT "3", TEXT, "u1"); /* as that one did */
    CHECK(granted(&first, SECRET));
    CHECK(!granted(&second, SECRET));
    grant(TEXT "2", TEXT, "u1");
    CHECK(granted(&second, SECRET));
    CHECK(!granted(&first, SECRET)); /* who puts it back is not believed */
    first.kept = true;               /* but it may be what is rolled back to */
    CHECK(granted(&first, SECRET));
    grant(TEXT "2", TEXT "2", "u1"); /* the same again changes nothing */
    first.kept = false;
    CHECK(!granted(&first, SECRET));
    end();
}

static void
on_answer(struct mh_needs_ask *ask)
{
    (void)ask;
    q.done++;
}

TEST(what_the_watch_has_not_brought_yet_is_read)
{
    struct mh_arena a;
    begin();
    mh_arena_init(&a, (size_t)1 << 20);
    struct mh_needs_ask ask = {
        .text = text_of(TEXT), .declared = value(SECRET), .arena = &a, .done = on_answer
    };
    mh_needs_ask(&q.needs, &ask);
    tw_settle(q.tw);
    CHECK_INT(q.done, 1);
    CHECK(!ask.granted && mh_str_starts(ask.why, "NeedsNotChecked: ") &&
          strstr(ask.why, "delete ConfigMap thief and apply it again"));
    tw_watch_mute(q.tw, true);
    grant(TEXT, NULL, "u1");
    CHECK(!granted(&ask.text, SECRET));
    mh_needs_ask(&q.needs, &ask);
    tw_settle(q.tw);
    CHECK_INT(q.done, 2);
    CHECK(ask.granted && ask.set.napi == 1);
    mh_needs_ask(&q.needs, &ask); /* known now */
    CHECK_INT(q.done, 3);
    ask.text = text_of("another");
    mh_needs_ask(&q.needs, &ask);
    mh_needs_ask_cancel(&ask);
    tw_settle(q.tw);
    CHECK_INT(q.done, 3);
    mh_arena_release(&a);
    end();
}

static void
put_map(const char *uid, bool labelled)
{
    tw_put(q.tw, "/api/v1/namespaces/" HOME "/configmaps/thief",
           mh_arena_printf(&q.tw->arena,
                           "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                           "\"thief\",\"namespace\":\"" HOME "\",\"uid\":\"%s\",\"labels\":{%s}}}",
                           uid, labelled ? "\"moonherd.io/plugin\":\"\"" : ""));
    tw_settle(q.tw);
}

TEST(the_record_goes_with_the_configmap)
{
    begin();
    put_map("u1", true);
    grant(TEXT, NULL, "u1");
    tw_remove(q.tw, "/api/v1/namespaces/" HOME "/configmaps/thief");
    tw_settle(q.tw);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(the_record_of_a_new_object_stays_when_the_old_one_is_heard_to_be_gone)
{
    begin();
    put_map("u1", true);
    grant(TEXT, NULL, "u1");
    grant(TEXT, NULL, "u2"); /* deleted and applied again: the webhook was quicker than the watch */
    tw_remove(q.tw, "/api/v1/namespaces/" HOME "/configmaps/thief");
    tw_settle(q.tw);
    CHECK_INT(tw_objects(q.tw, RECORDS), 1);
    end();
}

TEST(records_without_their_configmap_are_swept_after_a_while_by_the_leader)
{
    begin();
    grant(TEXT, NULL, "u1");
    mh_needs_sweep(&q.needs);
    tw_settle(q.tw);
    CHECK_INT(tw_objects(q.tw, RECORDS), 1); /* it may be created just now */
    tw_advance(q.tw, 130 * 1000000000LL);
    q.leads = false;
    mh_needs_sweep(&q.needs);
    tw_settle(q.tw);
    CHECK_INT(tw_objects(q.tw, RECORDS), 1);
    put_map("u1", true);
    q.leads = true;
    mh_needs_sweep(&q.needs);
    tw_settle(q.tw);
    CHECK_INT(tw_objects(q.tw, RECORDS), 1);
    tw_remove(q.tw, "/api/v1/namespaces/" HOME "/configmaps/thief");
    tw_settle(q.tw);
    grant(TEXT, NULL, "u3");
    put_map("u4", true);
    tw_advance(q.tw, 130 * 1000000000LL);
    mh_needs_sweep(&q.needs);
    tw_settle(q.tw);
    CHECK_INT(tw_objects(q.tw, RECORDS), 0);
    end();
}

TEST(a_record_forgets_keys_that_are_gone_and_starts_anew_for_another_object)
{
    begin();
    grant(TEXT, NULL, "u1");
    struct mh_needs_page page = { .name_space = HOME,
                                  .name = "thief",
                                  .uid = "u1",
                                  .data = value("{\"other.lua\":\"x\"}"),
                                  .by = "rich" };
    yyjson_val *now = tw_object(q.tw, record_path());
    const char *body = mh_needs_record_body(&q.tw->arena, HOME, now, &page);
    CHECK(body && !strstr(body, "thief.lua") && strstr(body, "resourceVersion"));
    page.data = value("{\"thief.lua\":\"x\"}");
    CHECK(strstr(mh_needs_record_body(&q.tw->arena, HOME, now, &page), "thief.lua") != NULL);
    page.uid = "u2";
    CHECK(!strstr(mh_needs_record_body(&q.tw->arena, HOME, now, &page), "thief.lua"));
    end();
}
