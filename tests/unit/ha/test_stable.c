/* Phase stable: when a term is raised, and when not. Comparing logs. The empty Lease. */
#include "harness/test.h"
#include "view_helper.h"

TEST(a_healthy_cluster_is_left_alone)
{
    struct mh_ha_view v = th_healthy();
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap && d.tell == 0);
    CHECK_INT(d.state, MH_HA_ST_HEALTHY);
    v.lease.phase = MH_HA_SUSPECT;
    CHECK_INT(th_assess(&v).state, MH_HA_ST_HEALTHY);
}

TEST(a_lost_primary_that_nobody_hears_is_fenced)
{
    struct mh_ha_view v = th_primary_lost(499);
    CHECK(!th_assess(&v).swap);
    v = th_primary_lost(500); /* D1, H2 */
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v = th_primary_lost(500);
    for (int i = 0; i < 2; i++)
        v.members[i] = v.members[i + 1]; /* its pod is gone */
    v.nmembers = 2;
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
}

TEST(standbys_that_hear_the_primary_prevent_a_failover)
{
    struct mh_ha_view v = th_healthy(); /* B7, C2 */
    th_lose(&v, A, 60000);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_SUSPECTED);
    v.members[B].receiving = false; /* C6: one of two does not hear it */
    CHECK(!th_assess(&v).swap);
    v.members[C].quiet_ms = 3500;
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
}

TEST(standbys_that_cannot_be_asked_do_not_agree)
{
    struct mh_ha_view v = th_primary_lost(60000);
    th_lose(&v, B, 60000);
    CHECK(!th_assess(&v).swap); /* two of {b, c} must agree: the operator may be the one cut off */
    th_lose(&v, C, 60000);
    CHECK(!th_assess(&v).swap);
    v = th_primary_lost(60000);
    v.members[B].pg_up = false;
    CHECK(!th_assess(&v).swap);
}

/* --- holders that must not run ---------------------------------------------------------------- */

TEST(a_term_that_was_raised_by_hand_leads_to_a_new_term_and_says_so)
{
    struct mh_ha_view v = th_healthy(); /* H3, A17 */
    v.lease.served = 4;
    v.lease.term = 9;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap); /* it still runs: the standbys hear it */
    th_stop(&v, A, false);
    v.members[A].halted = true;
    d = th_assess(&v);
    CHECK(th_raises(&d, 10));
    CHECK(strstr(d.reason, "raised by hand") && strstr(d.reason, "HINT: "));
    v.nmembers = 1; /* of a cluster of one nobody else can agree */
    v.lease.nconfigs = 0;
    d = th_assess(&v);
    CHECK(th_raises(&d, 10));
}

TEST(a_term_that_was_raised_by_hand_is_given_back_to_the_same_log)
{
    struct mh_ha_view v = th_fencing(); /* H3: an asynchronous one loses nothing */
    v.lease.nconfigs = 0;
    v.lease.served = 4;
    v.lease.term = 10;
    th_stop(&v, A, false);
    th_fence(&v, B, 100);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
}

TEST(a_holder_that_must_not_run_is_not_healthy)
{
    struct mh_ha_view v = th_healthy(); /* E10, D14 */
    v.members[A].role = MH_HA_NONE;
    v.members[A].pg_up = false;
    v.members[A].halted = true;
    for (int i = B; i <= C; i++)
        v.members[i].receiving = false;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v.members[A].pg_up = true; /* not yet stopped: standbys must agree */
    v.members[B].receiving = true;
    CHECK(!th_assess(&v).swap);
}

TEST(an_old_snapshot_of_the_holders_volume_is_another_volume)
{
    struct mh_ha_view v = th_fencing(); /* E10 */
    v.lease.nconfigs = 0;
    v.lease.served = 4;
    th_stop(&v, A, false);
    th_fence(&v, B, 100);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
    v.members[A].term = 3;
    CHECK(!th_assess(&v).swap); /* its word is not the old primary's */
    v.lease_unchanged_ms = 8000;
    d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
}

TEST(an_asynchronous_cluster_needs_one_silent_standby_and_none_that_hears)
{
    struct mh_ha_view v = th_primary_lost(600);
    v.lease.nconfigs = 0;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v.members[B].receiving = true;
    v.members[B].quiet_ms = 5;
    CHECK(!th_assess(&v).swap);
    v = th_primary_lost(600);
    v.lease.nconfigs = 0;
    th_lose(&v, B, 600);
    th_lose(&v, C, 600);
    CHECK(!th_assess(&v).swap);
}

TEST(a_spurious_status_failure_is_not_enough)
{
    struct mh_ha_view v = th_healthy(); /* F28, D9 */
    v.members[A].pg_up = false;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap); /* connected: its manager restarts it */
}

TEST(a_primary_that_asks_for_a_hand_over_is_fenced)
{
    struct mh_ha_view v = th_primary_lost(0); /* F2, F3 */
    v.members[A].connected = true;
    v.members[A].pg_up = false;
    v.members[A].role = MH_HA_NONE;
    CHECK(!th_assess(&v).swap);
    v.members[A].gave_up = true;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v.members[A].gave_up = false;
    v.members[A].stopped_clean = true; /* D3 */
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
}

TEST(a_holder_with_another_volume_has_failed)
{
    struct mh_ha_view v = th_primary_lost(0); /* E12: no term file, or a new one */
    v.members[A].connected = true;
    v.members[A].pg_up = false;
    v.members[A].role = MH_HA_NONE;
    v.members[A].incarnation = "";
    v.members[A].term = 0;
    v.members[A].promise = 0;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v.members[A].incarnation = "vol-new";
    v.members[A].term = 4;
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v.members[A].incarnation = NULL; /* a manager that does not say */
    v.members[A].term = 3;           /* E10 */
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
}

TEST(the_failover_delay_runs_on_suspicion_only)
{
    struct mh_ha_view v = th_primary_lost(1999);
    v.failover_delay_ms = 2000;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_SUSPECTED);
    v.members[A].lost_ms = 2000;
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v = th_primary_lost(0);
    v.failover_delay_ms = 2000;
    v.members[A].connected = true;
    v.members[A].gave_up = true;
    d = th_assess(&v);
    CHECK(th_raises(&d, 5)); /* said by itself: no suspicion */
    v = th_primary_lost(-1);
    v.failover_delay_ms = 2000;
    v.lease_unchanged_ms = 1000;
    CHECK(!th_assess(&v).swap);
}

TEST(a_primary_that_is_restarted_without_a_switchover_has_its_time)
{
    struct mh_ha_view v = th_healthy();
    v.restart_hold_ms = 20000;
    v.members[A].gave_up = true; /* its pod is going, PostgreSQL still runs */
    v.members[A].deleting = true;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_HEALTHY);
    v.members[A].deleting = false; /* the next pod, which crashes again and again */
    d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_SUSPECTED);
    v.members[A].pg_up = false;
    v.members[A].stopped_clean = true;
    d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_SUSPECTED);
    v = th_primary_lost(0); /* nobody hears it any more */
    v.members[A].connected = v.members[A].stopped_clean = true;
    v.members[A].pg_up = false;
    v.restart_hold_ms = 1000;
    CHECK(!th_assess(&v).swap);
    v.restart_hold_ms = 0; /* it took too long */
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
    v = th_primary_lost(5000);
    v.restart_hold_ms = 20000;
    CHECK(!th_assess(&v).swap);
    v.lease.holder = "d"; /* no such pod */
    CHECK(!th_assess(&v).swap);
    v = th_primary_lost(0);
    v.members[A].connected = true;
    v.members[A].pg_up = false;
    v.restart_hold_ms = 20000;
    v.members[A].incarnation = "vol-new"; /* its data is lost: nothing to wait for */
    d = th_assess(&v);
    CHECK(th_raises(&d, 5));
}

/* --- wishes ---------------------------------------------------------------------------------- */

TEST(a_switchover_needs_a_streaming_standby_and_an_answering_primary)
{
    struct mh_ha_view v = th_healthy();
    v.target = "c";
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(d.swap && d.to.phase == MH_HA_SWITCHING && d.to.term == 5 && !d.to.holder);
    CHECK_STR(d.to.candidate, "c");
    v.members[C].receiving = false;
    CHECK(!th_assess(&v).swap);
    v = th_healthy();
    v.target = "nobody";
    CHECK(!th_assess(&v).swap);
    v = th_healthy();
    v.target = "c";
    th_lose(&v, A, 400);
    CHECK(!th_assess(&v).swap);
}

TEST(a_mirror_of_the_present_state_is_no_wish)
{
    static const char *const none[] = { NULL, "", "pending", "a" };
    for (size_t i = 0; i < 4; i++) {
        struct mh_ha_view v = th_healthy();
        v.target = none[i];
        CHECK(!th_assess(&v).swap);
    }
    struct mh_ha_view v = th_healthy();
    v.target = "b";
    v.current = "b"; /* the old primary twice: not yet updated after a failover (B8) */
    CHECK(!th_assess(&v).swap);
}

/* --- A17, H4 --------------------------------------------------------------------------------- */

TEST(a_lease_that_went_back_in_time_freezes_every_phase)
{
    for (int phase = MH_HA_STABLE; phase <= MH_HA_PROMOTING; phase++) {
        struct mh_ha_view v = th_primary_lost(60000); /* A17 */
        v.lease.phase = (enum mh_ha_phase)phase;
        v.lease.candidate = "b";
        v.members[C].promise = 5;
        v.members[C].connected = false; /* what it said once stands */
        struct mh_ha_verdict d = th_assess(&v);
        CHECK(!d.swap && d.tell == 0);
        CHECK_INT(d.state, MH_HA_ST_BLOCKED);
    }
}

TEST(before_the_first_primary_nothing_is_decided)
{
    struct mh_ha_view v = th_healthy();
    v.lease = (struct mh_ha_lease){ .exists = true };
    for (int i = 0; i < 3; i++) {
        v.members[i].promise = 0;
        v.members[i].term = 0;
    }
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_BOOTSTRAPPING);
    v.lease.exists = false;
    CHECK_INT(th_assess(&v).state, MH_HA_ST_BOOTSTRAPPING);
}

TEST(a_removed_lease_goes_back_to_the_running_primary_of_the_highest_term)
{
    struct mh_ha_view v = th_healthy(); /* H4 */
    v.lease = (struct mh_ha_lease){ .exists = true };
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(d.swap && d.to.phase == MH_HA_PROMOTING && d.to.term == 5);
    CHECK_STR(d.to.holder, "a");
    CHECK_STR(d.to.incarnation, "vol-a");
    v.members[B].promise = 5; /* somebody else may serve term 5 */
    CHECK(!th_assess(&v).swap);
    v = th_healthy();
    v.lease = (struct mh_ha_lease){ .exists = false };
    CHECK(!th_assess(&v).swap);
    v.lease.exists = true;
    v.members[B].role = MH_HA_PRIMARY; /* two */
    CHECK(!th_assess(&v).swap);
    v.members[B].role = MH_HA_STANDBY;
    v.members[A].role = MH_HA_STANDBY; /* none: nobody is promoted meanwhile */
    CHECK(!th_assess(&v).swap);
    CHECK_INT(th_assess(&v).state, MH_HA_ST_BLOCKED);
}

TEST(a_removed_lease_waits_for_every_instance_to_say_its_term)
{
    struct mh_ha_view v = th_healthy(); /* H4: the highest term on all disks */
    v.lease = (struct mh_ha_lease){ .exists = true };
    th_lose(&v, C, 1000);
    CHECK(!th_assess(&v).swap);
    v.members[C].known = false;
    CHECK(!th_assess(&v).swap);
    CHECK_INT(th_assess(&v).state, MH_HA_ST_BLOCKED);
}

/* --- logs ------------------------------------------------------------------------------------ */

TEST(logs_compare_by_timeline_and_then_position)
{
    struct mh_ha_member a = { .timeline = 2, .flush_lsn = 10 };
    struct mh_ha_member b = { .timeline = 1, .flush_lsn = 99 };
    CHECK(mh_ha_log_compare(&a, &b) > 0);
    CHECK(mh_ha_log_compare(&b, &a) < 0);
    b.timeline = 2;
    CHECK(mh_ha_log_compare(&a, &b) < 0);
    CHECK(mh_ha_log_compare(&b, &a) > 0);
    b.flush_lsn = 10;
    CHECK_INT(mh_ha_log_compare(&a, &b), 0);
}

TEST(states_have_names)
{
    CHECK_STR(mh_ha_state_name(MH_HA_ST_BOOTSTRAPPING), "bootstrapping");
    CHECK_STR(mh_ha_state_name(MH_HA_ST_SUSPECTED), "suspect");
    CHECK_STR(mh_ha_state_name(MH_HA_ST_BLOCKED), "blocked");
}
