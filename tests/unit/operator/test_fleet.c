#include "base/log.h"
#include "harness/test.h"
#include "harness/world.h"
#include "kube/kinds.h"
#include "operator/fleet.h"

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    const struct mh_kind *kind;
    struct mh_cache *cache;
    struct mh_fleet fleet;
    struct mh_arena arena;
} q;

static void
put(const char *name)
{
    yyjson_val *object = NULL;
    const char *text = mh_arena_printf(
        &q.arena, "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"%s\",\"uid\":\"%s\"}}", name,
        name);
    CHECK_INT(mh_json_parse(&q.arena, text, strlen(text), &object, NULL), MH_OK);
    mh_cache_wrote(q.cache, q.kind, object);
}

static void
begin(void)
{
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.tw = tw_new(1);
    tw_store(q.tw);
    CHECK(mh_kinds_init(&q.kinds));
    q.kind = mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    struct mh_cache_source source = { .kind = q.kind };
    CHECK(mh_cache_add(q.cache, &source));
    mh_arena_init(&q.arena, 8 << 20);
    put("a");
    put("b");
}

static void
finish(void)
{
    mh_fleet_release(&q.fleet);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    mh_arena_release(&q.arena);
    tw_free(q.tw);
}

static struct mh_fleet_key
of(const char *name)
{
    return (struct mh_fleet_key){ q.kind, "shop", name };
}

static const char *
told(const char *name, int64_t now_s)
{
    struct mh_fleet_key key = of(name);
    return mh_fleet_json(&q.fleet, &q.arena, q.cache, &key, now_s * 1000000000);
}

static void
restart(const char *name, const char *pod, const char *zone, int64_t now_s)
{
    struct mh_fleet_key key = of(name);
    mh_fleet_begin(&q.fleet, &key, pod, zone, now_s * 1000000000);
}

TEST(a_cluster_is_told_of_restarts_in_others_not_of_its_own)
{
    begin();
    CHECK_STR(told("a", 0), "[]");
    restart("a", "a-2", "zone1", 0);
    CHECK_STR(told("a", 1), "[]");
    CHECK_STR(told("b", 1),
              "[{\"namespace\":\"shop\",\"cluster\":\"a\",\"name\":\"a-2\",\"zone\":\"zone1\"}]");
    restart("a", "a-1", NULL, 2);
    CHECK_STR(told("b", 3), "[{\"namespace\":\"shop\",\"cluster\":\"a\",\"name\":\"a-1\"}]");
    finish();
}

TEST(a_restart_is_over_when_its_cluster_says_so_is_gone_or_after_an_hour)
{
    begin();
    struct mh_fleet_key a = of("a");
    restart("a", "a-2", NULL, 0);
    mh_fleet_over(&q.fleet, &a);
    CHECK_STR(told("b", 1), "[]");
    restart("a", "a-2", NULL, 0);
    CHECK(strlen(told("b", 3600)) > 2);
    CHECK_STR(told("b", 3602), "[]");
    restart("gone", "gone-1", NULL, 3602);
    CHECK_STR(told("b", 3603), "[]");
    CHECK_INT(q.fleet.n, 0);
    finish();
}

TEST(who_was_told_before_another_restart_began_can_see_it)
{
    begin();
    uint64_t before = q.fleet.version;
    restart("a", "a-2", NULL, 0);
    CHECK(q.fleet.version != before);
    finish();
}
