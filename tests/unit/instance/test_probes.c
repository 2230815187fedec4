/* What /readyz means where spec.probes says more than "it runs". Driven. */
#include "agent_helper.h"
#include "harness/test.h"
#include "instance/status.h"

static void
probes(struct ta *t, const char *json)
{
    tw_put(t->tw, TA_CLUSTER,
           mh_arena_printf(&t->tw->arena,
                           "{\"metadata\":{\"name\":\"db\",\"uid\":\"uid-db\"},\"spec\":{"
                           "\"instances\":2,\"probes\":%s},\"status\":{\"instanceNames\":[\"db-1\","
                           "\"db-2\"]}}",
                           json));
    tw_advance(t->tw, MH_NS_PER_S);
}

static struct ta *
standby(void)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    t->control = "Database cluster state:               in archive recovery\n";
    ta_data(t, true);
    ta_term(t, 3, 3, "vol-2");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    t->pg.receiving = true;
    ta_start(t);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK(t->g->pg.in_recovery && t->g->pg.receiving);
    return t;
}

/* The lag of a standby that is `lag` bytes behind, under this maximumLag. */
static bool
ready(struct ta *t, uint64_t lag, const char *maximum)
{
    t->pg.lag = lag;
    probes(t,
           mh_arena_printf(&t->tw->arena,
                           "{\"readiness\":{\"type\":\"streaming\",\"maximumLag\":%s}}", maximum));
    return !mh_probe_fails(t->g, "readiness");
}

TEST(a_standby_is_ready_while_it_answers_where_nothing_is_said)
{
    struct ta *t = standby();
    CHECK(!mh_probe_fails(t->g, "readiness"));
    t->pg.receiving = false;
    t->pg.lag = 1 << 30;
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(!mh_probe_fails(t->g, "readiness"));
    probes(t, "{\"readiness\":{\"type\":\"query\"}}");
    CHECK(!mh_probe_fails(t->g, "readiness"));
    t->pg.refuses = true;
    tw_advance(t->tw, 8 * MH_NS_PER_S);
    CHECK(mh_probe_fails(t->g, "readiness"));
    ta_end(t);
}

TEST(with_streaming_a_standby_that_does_not_stream_is_not_ready)
{
    struct ta *t = standby();
    probes(t, "{\"readiness\":{\"type\":\"streaming\"}}");
    CHECK(!mh_probe_fails(t->g, "readiness"));
    t->pg.lag = 1 << 30; /* without maximumLag any lag will do */
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(!mh_probe_fails(t->g, "readiness"));
    t->pg.receiving = false;
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(mh_probe_fails(t->g, "readiness"));
    CHECK(!mh_probe_fails(t->g, "startup")); /* that one has its own type */
    ta_end(t);
}

TEST(with_maximum_lag_a_standby_farther_behind_is_not_ready)
{
    struct ta *t = standby();
    CHECK(ready(t, 16 << 20, "\"16Mi\""));
    CHECK(!ready(t, (16 << 20) + 1, "\"16Mi\""));
    CHECK(ready(t, 1000, "1000"));
    CHECK(!ready(t, 1001, "1000"));
    CHECK(ready(t, 1500000, "\"1.5M\"") && !ready(t, 1500001, "\"1.5M\""));
    CHECK(ready(t, 1024, "\"1Ki\"") && !ready(t, 1025, "\"1Ki\""));
    CHECK(ready(t, 2000000, "\"2e6\"") && !ready(t, 2000001, "\"2e6\""));
    ta_end(t);
}

TEST(with_streaming_a_primary_is_ready)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    probes(t, "{\"readiness\":{\"type\":\"streaming\",\"maximumLag\":0}}");
    CHECK(!mh_probe_fails(t->g, "readiness"));
    ta_end(t);
}
