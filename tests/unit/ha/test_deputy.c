/* When an instance manager takes the protocol's step itself (B2): the operator goes first, one deputy goes
 * before the others, and what nobody may do a deputy may not do either. */
#include <string.h>

#include "ha/deputy.h"
#include "ha/ranking.h"
#include "ha/swap.h"
#include "harness/test.h"
#include "view_helper.h"

/* b, long after the operator and the holder were last heard of. */
static struct mh_ha_deputy
alone(const char *name)
{
    return (struct mh_ha_deputy){ .name = name,
                                  .operator_ms = 60000,
                                  .renewed_ms = 9000,
                                  .confirmed_ms = -1,
                                  .wanted_ms = 60000 };
}

static bool
acts(const struct mh_ha_view *v, const struct mh_ha_deputy *d)
{
    struct mh_ha_verdict verdict = th_assess(v);
    return mh_ha_deputy_acts(v, &verdict, d);
}

/* After how many ms of a wanted step; -1: not within ten minutes. */
static int64_t
acts_after(const struct mh_ha_view *v, struct mh_ha_deputy d)
{
    for (d.wanted_ms = 0; d.wanted_ms < 600000; d.wanted_ms += 100) {
        if (acts(v, &d))
            return d.wanted_ms;
    }
    return -1;
}

TEST(a_lost_primary_is_replaced_by_a_standby_when_no_operator_is_there)
{
    struct mh_ha_view v = th_primary_lost(6000);
    struct mh_ha_deputy d = alone("b");
    CHECK_INT(acts_after(&v, d), 0);
    struct mh_ha_view f = th_fencing();
    th_fence(&f, B, 100);
    CHECK(!acts(&f, &d)); /* one promise of two */
    th_fence(&f, C, 90);
    CHECK_INT(acts_after(&f, d), 0);
}

TEST(an_operator_that_is_there_goes_first)
{
    struct mh_ha_view v = th_primary_lost(6000);
    struct mh_ha_deputy d = alone("b");
    d.operator_ms = 0;
    CHECK_INT(acts_after(&v, d), 3000); /* it has just gone */
    d.operator_here = true;
    CHECK_INT(acts_after(&v, d), 10000); /* it hangs */
}

TEST(a_policy_that_asks_to_wait_is_waited_for)
{
    struct mh_ha_view v = th_fencing();
    v.failover_delay_ms = 5000;
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    struct mh_ha_deputy d = alone("b");
    d.operator_here = true;
    CHECK_INT(acts_after(&v, d), 40000);
    d.began = true; /* the operator did not even begin */
    CHECK_INT(acts_after(&v, d), 0);
}

TEST(one_deputy_goes_before_the_others)
{
    struct mh_ha_view v = th_primary_lost(6000);
    CHECK_INT(acts_after(&v, alone("b")), 0);
    CHECK_INT(acts_after(&v, alone("c")), 500);
    v.members[C].flush_lsn = 200; /* the longer log first */
    CHECK_INT(acts_after(&v, alone("b")), 500);
    CHECK_INT(acts_after(&v, alone("c")), 0);
    v.order[v.norder++] = "b"; /* the published ranking before all */
    CHECK_INT(acts_after(&v, alone("b")), 0);
    CHECK_INT(acts_after(&v, alone("c")), 500);
}

TEST(a_primary_that_renews_its_lease_is_left_alone)
{
    struct mh_ha_view v = th_primary_lost(6000);
    struct mh_ha_deputy d = alone("b");
    d.renewed_ms = 4900;
    CHECK_INT(acts_after(&v, d), -1);
    /* Its own word is enough: its manager answers and asks for somebody else. */
    v.members[A].connected = true;
    v.members[A].lost_ms = 0;
    v.members[A].pg_up = false;
    v.members[A].role = MH_HA_NONE;
    v.members[A].gave_up = true;
    CHECK_INT(acts_after(&v, d), 0);
    /* H3: it must not run, and who follows it does not either. */
    v.members[A].halted = true;
    v.members[B].pg_up = false;
    v.members[B].role = MH_HA_NONE;
    CHECK_INT(acts_after(&v, d), 500); /* c goes first */
}

TEST(while_others_hear_the_primary_nobody_begins)
{
    struct mh_ha_view v = th_primary_lost(6000);
    v.members[C].receiving = true;
    v.members[C].quiet_ms = 100;
    CHECK_INT(acts_after(&v, alone("b")), -1); /* C6 */
}

TEST(who_confirmed_to_an_asynchronous_primary_keeps_its_word)
{
    struct mh_ha_view v = th_primary_lost(6000);
    v.lease.nconfigs = 0;
    struct mh_ha_deputy d = alone("b");
    d.confirmed_ms = 7900;
    CHECK_INT(acts_after(&v, d), -1);
    d.confirmed_ms = 8000;
    CHECK_INT(acts_after(&v, d), 0);
}

TEST(the_lease_bound_of_an_asynchronous_cluster_holds_for_deputies_too)
{
    struct mh_ha_view v = th_fencing();
    v.lease.nconfigs = 0;
    th_fence(&v, B, 100);
    v.lease_unchanged_ms = 7900;
    CHECK_INT(acts_after(&v, alone("b")), -1);
    v.lease_unchanged_ms = 8000;
    CHECK_INT(acts_after(&v, alone("b")), 0);
}

TEST(only_a_member_of_the_set_begins)
{
    struct mh_ha_view v = th_primary_lost(6000);
    v.nmembers = 4;
    CHECK_INT(acts_after(&v, alone("d")), -1); /* not among {b, c} */
    v.members[B].pg_up = false;
    CHECK_INT(acts_after(&v, alone("b")), -1);
    v.members[B].pg_up = true;
    v.members[B].term = 3;
    v.lease.served = 4;
    CHECK_INT(acts_after(&v, alone("b")), -1); /* an old volume (E10) */
    CHECK_INT(acts_after(&v, alone("x")), -1);
}

TEST(what_the_cluster_forbids_is_not_begun_but_what_is_begun_is_ended)
{
    struct mh_ha_view v = th_primary_lost(6000);
    struct mh_ha_deputy d = alone("b");
    d.restrained = true;
    CHECK_INT(acts_after(&v, d), -1);
    struct mh_ha_view f = th_fencing();
    th_fence(&f, B, 100);
    th_fence(&f, C, 90);
    CHECK_INT(acts_after(&f, d), 0);
}

TEST(wishes_and_an_empty_lease_are_the_operators)
{
    struct mh_ha_view v = th_healthy();
    v.target = "b";
    CHECK(th_assess(&v).swap);
    CHECK_INT(acts_after(&v, alone("b")), -1);
    struct mh_ha_view e = th_healthy();
    e.lease.holder = NULL;
    e.lease.term = 0;
    CHECK(th_assess(&e).swap);
    CHECK_INT(acts_after(&e, alone("b")), -1);
}

TEST(a_switchover_that_lost_its_operator_is_ended)
{
    struct mh_ha_view v = th_switching();
    th_stop(&v, A, true);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
    CHECK_INT(acts_after(&v, alone("b")), 0);
    CHECK_INT(acts_after(&v, alone("c")), 500);
}

/* --- rule 9 ---------------------------------------------------------------------------------- */

static struct mh_ha_view
ranked(const char *text, int64_t age_ms, int64_t failing_ms)
{
    static struct mh_arena a;
    static bool made;
    struct mh_ha_ranking r;
    struct mh_ha_view v = th_fencing();
    if (!made)
        mh_arena_init(&a, 1 << 20);
    made = true;
    v.failover_delay_ms = 5000;
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    if (mh_ha_ranking_read(&a, text, &r))
        mh_ha_ranking_use(&r, age_ms, failing_ms, &v);
    return v;
}

static bool
elects(const struct mh_ha_view *v, const char *name)
{
    struct mh_ha_verdict d = th_assess(v);
    return th_elects(&d, name);
}

#define C_FIRST "{\"at\":\"x\",\"hold_s\":0,\"order\":[\"c\",\"b\"]}"

TEST(a_ranking_of_the_last_minute_decides_among_those_who_are_safe)
{
    struct mh_ha_view v = ranked(C_FIRST, 60000, 9000);
    CHECK(elects(&v, "c"));
    CHECK_INT(acts_after(&v, alone("c")), 0);
    CHECK_INT(acts_after(&v, alone("b")), 500);
    v.members[C].fenced = false;
    th_config(&v, 0, 2, (const int[]){ B, C, -1 }); /* one promise is enough: c is not safe */
    CHECK(elects(&v, "b"));
}

TEST(an_old_ranking_and_one_of_strangers_leave_the_built_in_order)
{
    struct mh_ha_view v = ranked(C_FIRST, 60001, 9000);
    CHECK(elects(&v, "b"));
    v = ranked("{\"hold_s\":0,\"order\":[\"x\",\"c\"]}", 0, 9000);
    CHECK(elects(&v, "b"));
    static const char *const bad[] = { "", "[]", "{\"order\":\"c\"}", "{\"order\":[1]}",
                                       "{\"order\":[\"c\"],\"hold_s\":-1}" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        v = ranked(bad[i], 0, 9000);
        CHECK(elects(&v, "b"));
    }
}

TEST(a_hold_lasts_at_most_thirty_seconds_beyond_the_delay)
{
    static const char text[] = "{\"hold_s\":3600,\"order\":[]}";
    struct mh_ha_view v = ranked(text, 0, 34999);
    CHECK(!th_assess(&v).swap);
    v = ranked(text, 0, 35000);
    CHECK(elects(&v, "b"));
    v = ranked("{\"hold_s\":10,\"order\":[]}", 0, 15000);
    CHECK(elects(&v, "b"));
}

TEST(a_swap_holds_for_the_version_that_was_read_only)
{
    struct mh_arena a;
    yyjson_val *p = NULL;
    mh_arena_init(&a, 1 << 20);
    struct mh_ha_view v = th_primary_lost(6000);
    struct mh_ha_verdict d = th_assess(&v);
    char *text = mh_ha_swap_patch(&a, &v.lease, &d.to);
    CHECK(text && mh_json_parse(&a, text, strlen(text), &p, NULL) == MH_OK);
    CHECK_STR(mh_json_str(p, "metadata", "resourceVersion", NULL), "7");
    CHECK_STR(mh_json_str(p, "metadata", "annotations", "moonherd.io/phase", NULL), "fencing");
    CHECK_INT(mh_json_int(p, 0, "spec", "leaseTransitions", NULL), 5);
    CHECK(mh_json_get(p, "spec", "holderIdentity", NULL) == NULL);
    v.lease.resource_version = NULL;
    CHECK(mh_ha_swap_patch(&a, &v.lease, &d.to) == NULL);
    mh_arena_release(&a);
}
