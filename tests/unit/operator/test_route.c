/* From a changed object to the keys that get a pass. The controllers are small scripts. */
#include "base/log.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/route.h"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_scripts_env scripts;
    struct mh_queue queue;
    struct mh_router router;
    struct mh_arena arena;
} q;

static void
run(void *arg, struct mh_queue_item *item, bool urgent)
{
    (void)arg, (void)item, (void)urgent;
}

static void
begin(void)
{
    static const char script[] = "return controller \"Cluster\" { owns = { \"Pod\", \"Job\", "
                                 "\"Secret\" }, watches = { \"Node\" }, observe = function() "
                                 "return {} end, plan = function() return {} end }";
    struct mh_err err;
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    const struct mh_kind *one =
        mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    const struct mh_kind *two =
        mh_kinds_add(&q.kinds, "postgresql.k8s.enterprisedb.io", "v1", "Cluster", "clusters", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    const struct mh_kind *kinds[] = { one, two, mh_kind_find(&q.kinds, "Job") };
    for (size_t i = 0; i < 3; i++) {
        struct mh_cache_source source = { .kind = kinds[i] };
        CHECK(mh_cache_add(q.cache, &source));
    }
    CHECK_INT(
        mh_controller_new_text("test", script, strlen(script), &q.scripts.controllers[0], &err),
        MH_OK);
    q.scripts.ncontrollers = 1;
    struct mh_queue_conf conf = { .clock = q.tw->world.clock, .run = run };
    mh_queue_init(&q.queue, &conf);
    q.router = (struct mh_router){ q.cache, &q.kinds, &q.scripts, &q.queue };
    mh_arena_init(&q.arena, 8 << 20);
}

static void
finish(void)
{
    mh_queue_release(&q.queue);
    mh_controller_free(q.scripts.controllers[0]);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    mh_arena_release(&q.arena);
    tw_free(q.tw);
}

static yyjson_val *
parse(const char *text)
{
    yyjson_val *v = NULL;
    char *copy = text ? mh_arena_strdup(&q.arena, text) : NULL;
    for (char *p = copy; p && *p; p++)
        if (*p == '\'')
            *p = '"';
    if (copy)
        CHECK_INT(mh_json_parse(&q.arena, copy, strlen(copy), &v, NULL), MH_OK);
    return v;
}

static void
change(const char *kind, const char *old, const char *now)
{
    mh_route_change(&q.router, mh_kind_find(&q.kinds, kind), parse(old), parse(now), false);
}

/* 0: not queued, 1: routine, 2: urgent. */
static int
queued(const char *kind, const char *name)
{
    char key[200];
    snprintf(key, sizeof(key), "%s\nns\n%s", kind, name);
    const struct mh_queue_item *i = mh_map_get(&q.queue.items, key);
    return i ? 1 + i->urgent : 0;
}

#define OWNED(kind, name, more)                                                                    \
    "{'metadata':{'name':'x','namespace':'ns','ownerReferences':[{'apiVersion':'" kind             \
    "','kind':'" name "','name':'c','uid':'u','controller':true}]" more "}}"
#define POD(more) OWNED("postgresql.cnpg.io/v1", "Cluster", more)

TEST(an_object_with_a_controller_is_its_own_key_and_urgent_when_others_change_it)
{
    begin();
    change("Cluster", NULL, "{'metadata':{'name':'c','namespace':'ns'}}");
    CHECK_INT(queued("Cluster", "c"), 2);
    mh_route_change(&q.router, mh_kind_find(&q.kinds, "Cluster"), NULL,
                    parse("{'metadata':{'name':'d','namespace':'ns'}}"), true);
    CHECK_INT(queued("Cluster", "d"), 1);
    finish();
}

TEST(a_child_leads_to_its_owner_of_the_right_group)
{
    begin();
    change("Pod", NULL, OWNED("postgresql.k8s.enterprisedb.io/v1", "Cluster", ""));
    CHECK_INT(queued("Cluster.postgresql.k8s.enterprisedb.io", "c"), 1);
    CHECK_INT(queued("Cluster", "c"), 0);
    change("Pod", NULL, OWNED("example.org/v1", "Cluster", ""));
    CHECK_INT(q.queue.items.len, 1);
    finish();
}

TEST(a_vanished_or_leaving_child_is_urgent)
{
    begin();
    change("Pod", POD(""), NULL);
    CHECK_INT(queued("Cluster", "c"), 2);
    finish();
    begin();
    change("Pod", POD(""), POD(",'deletionTimestamp':'t'"));
    CHECK_INT(queued("Cluster", "c"), 2);
    finish();
    begin();
    change("Pod", POD(",'deletionTimestamp':'t'"), POD(",'deletionTimestamp':'t','labels':{}"));
    CHECK_INT(queued("Cluster", "c"), 1);
    finish();
}

TEST(a_jobs_pod_leads_through_its_job)
{
    begin();
    tw_put(
        q.tw, "/apis/batch/v1/namespaces/ns/jobs/c",
        "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"c\",\"namespace\":"
        "\"ns\",\"ownerReferences\":[{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":"
        "\"Cluster\",\"name\":\"db\",\"uid\":\"u\",\"controller\":true}]}}");
    tw_settle(q.tw);
    change("Pod", NULL, OWNED("batch/v1", "Job", ""));
    CHECK_INT(queued("Cluster", "db"), 1);
    finish();
}

TEST(an_ownerless_secret_leads_by_its_label)
{
    begin();
    change("Secret", NULL,
           "{'metadata':{'name':'x','namespace':'ns','labels':{'cnpg.io/cluster':'db'}}}");
    CHECK_INT(queued("Cluster", "db"), 1);
    finish();
}

TEST(a_watched_kind_leads_to_all_objects)
{
    begin();
    tw_put(q.tw, "/apis/postgresql.cnpg.io/v1/namespaces/ns/clusters/a",
           "{\"apiVersion\":\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"metadata\":{\"name\":"
           "\"a\",\"namespace\":\"ns\"}}");
    tw_put(
        q.tw, "/apis/postgresql.k8s.enterprisedb.io/v1/namespaces/ns/clusters/b",
        "{\"apiVersion\":\"postgresql.k8s.enterprisedb.io/v1\",\"kind\":\"Cluster\",\"metadata\":"
        "{\"name\":\"b\",\"namespace\":\"ns\"}}");
    tw_settle(q.tw);
    change("Node", "{'metadata':{'name':'n'},'status':{'a':1}}",
           "{'metadata':{'name':'n'},'status':{'a':2}}");
    CHECK_INT(queued("Cluster", "a"), 1);
    CHECK_INT(queued("Cluster.postgresql.k8s.enterprisedb.io", "b"), 1);
    finish();
}

TEST(heartbeats_and_renewals_are_no_change)
{
    begin();
    change("Node",
           "{'metadata':{'name':'n','resourceVersion':'1'},'status':{'conditions':[{'type':'Ready',"
           "'lastHeartbeatTime':'1'}]}}",
           "{'metadata':{'name':'n','resourceVersion':'2'},'status':{'conditions':[{'type':'Ready',"
           "'lastHeartbeatTime':'2'}]}}");
    change("Pod", POD(",'resourceVersion':'1'"), POD(",'resourceVersion':'2'"));
    CHECK_INT(q.queue.items.len, 0);
    CHECK(!mh_route_differs(parse("{'spec':{'renewTime':'1','holderIdentity':'a'}}"),
                            parse("{'spec':{'renewTime':'2','holderIdentity':'a'}}")));
    CHECK(mh_route_differs(parse("{'spec':{'renewTime':'1','holderIdentity':'a'}}"),
                           parse("{'spec':{'renewTime':'1','holderIdentity':'b'}}")));
    CHECK(mh_route_differs(parse("{'a':[1]}"), parse("{'a':[1,2]}")));
    CHECK(mh_route_differs(parse("{'a':1}"), parse("{'b':1}")));
    finish();
}
