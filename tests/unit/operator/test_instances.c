/* What instances say: lines fed by hand, hostile ones too; what is urgent; what scripts see. */
#include "base/log.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/instances.h"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_secrets secrets;
    struct mh_instances all;
    const struct mh_kind *cluster;
    struct mh_arena arena;
    int changes;
    int urgent;
} q;

static void
on_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name, bool urgent)
{
    (void)arg;
    CHECK(kind == q.cluster);
    CHECK_STR(ns, "ns");
    CHECK_STR(name, "c");
    q.changes++;
    q.urgent += urgent;
}

static void
pod(const char *name, const char *uid, const char *ip)
{
    char text[600];
    yyjson_val *v = NULL;
    snprintf(text, sizeof(text),
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"namespace\":"
             "\"ns\",\"uid\":\"%s\",\"labels\":{\"cnpg.io/podRole\":\"instance\"},"
             "\"ownerReferences\":[{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\","
             "\"name\":\"c\",\"uid\":\"U\",\"controller\":true}]},\"status\":{\"podIP\":\"%s\"}}",
             name, uid, ip);
    CHECK_INT(mh_json_parse(&q.arena, text, strlen(text), &v, NULL), MH_OK);
    mh_instances_pod(&q.all, "ns", name, v);
}

static void
begin(void)
{
    struct mh_err err;
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    q.cluster = mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    mh_secrets_init(&q.secrets);
    mh_arena_init(&q.arena, 8 << 20);
    q.all = (struct mh_instances){ .clock = q.tw->world.clock,
                                   .api = q.tw->world.api,
                                   .kinds = &q.kinds,
                                   .cache = q.cache,
                                   .secrets = &q.secrets,
                                   .secret_kind = mh_kind_find(&q.kinds, "Secret"),
                                   .on_change = on_change };
    CHECK_INT(mh_instances_init(&q.all, &err), MH_OK);
    CHECK_INT(strlen(q.all.fingerprint), 64);
    mh_instances_turn(&q.all, true);
    pod("c-1", "1", "10.0.0.1");
    tw_settle(q.tw);
}

static void
finish(void)
{
    mh_instances_release(&q.all);
    mh_secrets_release(&q.secrets);
    mh_arena_release(&q.arena);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
}

static void
feed(const char *text)
{
    mh_instances_feed(&q.all, "ns", "c-1", text, strlen(text));
}

static const char *
json(void)
{
    return mh_instances_json(&q.all, &q.arena, q.cluster, "ns", "c");
}

#define LINE(role, flush)                                                                          \
    "{\"isPrimary\":true,\"moonherd\":{\"role\":\"" role "\",\"flushLsn\":\"" flush "\"}}\n"

TEST(the_first_status_connects_and_is_urgent)
{
    begin();
    CHECK_STR(json(), "{\"c-1\":{\"connected\":false,\"lost_s\":0.0}}");
    feed(LINE("primary", "0/1"));
    CHECK_INT(q.changes, 1);
    CHECK_INT(q.urgent, 1);
    CHECK_STR(json(), "{\"c-1\":{\"connected\":true,\"status\":{\"isPrimary\":true,\"moonherd\":"
                      "{\"role\":\"primary\",\"flushLsn\":\"0/1\"}}}}");
    finish();
}

TEST(only_what_matters_makes_a_pass)
{
    begin();
    feed(LINE("primary", "0/1"));
    feed(LINE("primary", "0/2"));
    CHECK_INT(q.changes, 1);
    CHECK(strstr(json(), "0/2"));
    feed(LINE("standby", "0/2"));
    CHECK_INT(q.urgent, 2);
    feed("{\"isPrimary\":false,\"moonherd\":{\"role\":\"standby\"}}\n");
    CHECK_INT(q.changes, 3);
    CHECK_INT(q.urgent, 2);
    finish();
}

TEST(a_line_may_come_in_pieces)
{
    begin();
    const char *text = LINE("primary", "0/1") LINE("primary", "0/9");
    for (const char *p = text; *p; p++)
        mh_instances_feed(&q.all, "ns", "c-1", p, 1);
    CHECK_INT(q.changes, 1);
    CHECK(strstr(json(), "0/9"));
    finish();
}

TEST(three_seconds_of_silence_are_a_loss)
{
    begin();
    feed(LINE("primary", "0/1"));
    tw_advance(q.tw, 2900 * MH_NS_PER_MS);
    CHECK_INT(q.changes, 1);
    feed(LINE("primary", "0/1"));
    tw_advance(q.tw, 2900 * MH_NS_PER_MS);
    CHECK_INT(q.changes, 1);
    tw_advance(q.tw, 200 * MH_NS_PER_MS);
    CHECK_INT(q.changes, 2);
    CHECK_INT(q.urgent, 2);
    tw_advance(q.tw, 4900 * MH_NS_PER_MS);
    CHECK(strstr(json(), "\"connected\":false,\"lost_s\":5.0,\"status\":"));
    finish();
}

TEST(hostile_streams_are_cut)
{
    static const char *const bad[] = { "nonsense\n",
                                       "[]\n",
                                       "{}\n",
                                       "{\"moonherd\":1}\n",
                                       "{\"moonherd\":{}} {}\n",
                                       "\xff\xfe\n",
                                       "{\"moonherd\":{\"role\":\"\xff\"}}\n" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        feed(LINE("primary", "0/1"));
        feed(bad[i]);
        CHECK_INT(q.changes, 2); /* connected, lost */
        CHECK(strstr(json(), "\"connected\":false"));
        CHECK(strstr(json(), "0/1")); /* the last good one stays */
        finish();
    }
}

TEST(an_endless_line_is_cut)
{
    begin();
    char piece[4096];
    feed(LINE("primary", "0/1"));
    memset(piece, '[', sizeof(piece));
    for (int i = 0; i < 100 && q.changes < 2; i++)
        mh_instances_feed(&q.all, "ns", "c-1", piece, sizeof(piece));
    CHECK_INT(q.changes, 2);
    finish();
}

TEST(a_pod_with_another_uid_is_another_instance)
{
    begin();
    feed(LINE("primary", "0/1"));
    pod("c-1", "2", "10.0.0.9");
    CHECK_STR(json(), "{\"c-1\":{\"connected\":false,\"lost_s\":0.0}}");
    mh_instances_pod(&q.all, "ns", "c-1", NULL);
    CHECK_STR(json(), "{}");
    finish();
}

TEST(only_instances_of_the_owner_are_listed_sorted)
{
    begin();
    pod("c-10", "10", "10.0.0.10");
    pod("c-2", "20", "10.0.0.2");
    CHECK(strncmp(json(), "{\"c-1\":", 7) == 0);
    CHECK(strstr(json(), "\"c-10\"") < strstr(json(), "\"c-2\""));
    CHECK_STR(mh_instances_json(&q.all, &q.arena, q.cluster, "ns", "other"), "{}");
    CHECK_STR(mh_instances_json(&q.all, &q.arena, q.cluster, "elsewhere", "c"), "{}");
    finish();
}
