/* Phases fencing, promoting and switching: who may be promoted, and when. */
#include "harness/test.h"
#include "view_helper.h"

/* --- rule 1(a): the quorum ------------------------------------------------------------------- */

TEST(nobody_is_elected_before_the_quorum_has_promised)
{
    struct mh_ha_view v = th_fencing();
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_FENCING);
    CHECK_INT(d.tell, 1u << B | 1u << C);
    th_fence(&v, B, 100);
    d = th_assess(&v);
    CHECK(!d.swap); /* |S| - W + 1 = 2 */
    CHECK_INT(d.tell, 1u << C);
    th_fence(&v, C, 90);
    d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
    CHECK_STR(d.to.address, "10.0.0.2");
    CHECK_INT(d.to.term, 0);
}

TEST(a_promise_counts_only_with_receivers_gone_and_for_this_term)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    v.members[C].fenced = false;
    CHECK(!th_assess(&v).swap);
    th_fence(&v, C, 90);
    v.members[C].promise = 4;
    CHECK(!th_assess(&v).swap);
    th_fence(&v, C, 90);
    v.members[C].connected = false; /* a stale status may be about another life of it */
    v.members[C].lost_ms = 10;
    CHECK(!th_assess(&v).swap);
    th_fence(&v, C, 90);
    v.members[C].connected = true;
    v.members[C].role = MH_HA_PRIMARY; /* H8 */
    CHECK(!th_assess(&v).swap);
}

TEST(silence_is_never_proof_for_a_synchronous_cluster)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    v.lease_unchanged_ms = 3600000;
    v.members[A].stopped_for_kubelet = true;
    v.members[A].ended_session = v.lease.session =
        "s1"; /* stopped, but who has its last commits? D15 */
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_BLOCKED);
    CHECK(d.look_again_ms > 0);
}

TEST(every_possible_configuration_needs_its_quorum)
{
    struct mh_ha_view v = th_fencing();
    v.nmembers = 5;
    th_config(&v, 0, 1, (const int[]){ B, C, -1 });
    th_config(&v, 1, 1, (const int[]){ D, E, -1 });
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    CHECK(!th_assess(&v).swap);
    th_fence(&v, D, 100);
    CHECK(!th_assess(&v).swap);
    th_fence(&v, E, 120);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "e"));
}

TEST(a_set_smaller_than_its_number_has_no_quorum)
{
    struct mh_ha_view v = th_fencing();
    th_config(&v, 0, 3, (const int[]){ B, C, -1 }); /* H5 */
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    CHECK(!th_assess(&v).swap);
    th_config(&v, 0, 1, (const int[]){ -1 });
    CHECK(!th_assess(&v).swap);
}

/* All sets of up to five names, every W, every subset fenced: elected if and only if the fenced
 * ones meet every possible set of W acknowledgements. */
TEST(the_quorum_meets_every_acknowledgement_for_up_to_five)
{
    int wrong = 0;
    for (int n = 1; n <= 4; n++) {
        for (int w = 1; w <= n; w++) {
            for (unsigned fenced = 0; fenced < 1u << n; fenced++) {
                struct mh_ha_view v = th_fencing();
                int names[6] = { B, C, D, E, -1 };
                names[n] = -1;
                v.nmembers = n + 1;
                th_config(&v, 0, w, names);
                for (int i = 0; i < n; i++) {
                    if (fenced & 1u << i)
                        th_fence(&v, B + i, 100 + (uint64_t)i);
                }
                bool meets = true;
                for (unsigned acks = 0; acks < 1u << n; acks++)
                    meets = meets && (__builtin_popcount(acks) != w || (acks & fenced));
                wrong += th_assess(&v).swap != meets;
            }
        }
    }
    CHECK_INT(wrong, 0);
}

/* The set was written by the primary before the one that was elected last: then the holder is one
 * of it, and what only it has acknowledged is lost to the others. */
TEST(a_winner_that_was_lost_before_its_gate_still_counts_in_the_old_set)
{
    struct mh_ha_view v = th_fencing();
    v.lease.term = 6;
    v.lease.holder = "b"; /* elected in term 5, a's set {b, c} stands */
    v.lease.incarnation = "vol-b";
    th_lose(&v, B, 5000);
    th_fence(&v, C, 90);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    th_stop(&v, B, false);
    d = th_assess(&v);
    CHECK(th_elects(&d, "b")); /* its log has all that was acknowledged */
}

/* The quorum says that one of it has each commit; the election must be able to see whose log is
 * longest. */
TEST(a_fenced_standby_whose_postgres_is_down_is_not_in_the_quorum)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    v.members[B].pg_up = false;
    v.members[B].role = MH_HA_NONE;
    CHECK(!th_assess(&v).swap);
    v.members[B].role = MH_HA_STANDBY; /* starting */
    CHECK(!th_assess(&v).swap);
}

TEST(without_a_known_set_only_the_old_primary_comes_back)
{
    struct mh_ha_view v = th_fencing(); /* H4: the Lease was made anew, its annotations are gone */
    v.lease.nconfigs = 0;
    v.lease.configs_known = false;
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    v.lease_unchanged_ms = 60000;
    CHECK(!th_assess(&v).swap);
    th_stop(&v, A, true);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
}

/* --- rule 1(b), 1(c): proof ------------------------------------------------------------------ */

static struct mh_ha_view
fencing_async(void)
{
    struct mh_ha_view v = th_fencing();
    v.lease.nconfigs = 0;
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    return v;
}

TEST(an_asynchronous_cluster_waits_for_the_lease_bound)
{
    struct mh_ha_view v = fencing_async();
    v.lease_unchanged_ms = 7999;
    CHECK(!th_assess(&v).swap);
    v.lease_unchanged_ms = 8000;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
}

TEST(a_live_kubelet_proves_the_stop_but_only_of_a_silent_manager)
{
    struct mh_ha_view v = fencing_async();
    v.members[A].stopped_for_kubelet = true;
    v.members[A].ended_session = "s1";
    v.lease.session = "s1";
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
    v.members[A].connected = true; /* it runs again, whatever the pod says */
    CHECK(!th_assess(&v).swap);
}

TEST(a_kubelets_word_about_an_earlier_life_is_no_proof)
{
    struct mh_ha_view v = fencing_async(); /* A8, A9, D7: the container has started again since */
    v.members[A].stopped_for_kubelet = true;
    v.members[A].ended_session = "s1";
    v.lease.session = "s2";
    CHECK(!th_assess(&v).swap);
    v.lease.session = NULL;
    CHECK(!th_assess(&v).swap);
    v.members[A].ended_session = NULL;
    CHECK(!th_assess(&v).swap);
}

TEST(a_deleted_pod_is_no_proof)
{
    struct mh_ha_view v = fencing_async(); /* D14, H2 */
    for (int i = 0; i < 2; i++)
        v.members[i] = v.members[i + 1];
    v.nmembers = 2;
    CHECK(!th_assess(&v).swap);
}

TEST(the_old_primary_goes_first_when_nothing_else_has_all_commits)
{
    struct mh_ha_view v = fencing_async();
    th_stop(&v, A, false);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
    v = th_fencing();
    th_stop(&v, A, false);
    th_fence(&v, B, 100);
    d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
}

TEST(a_primary_with_a_quorum_against_it_does_not_come_back)
{
    struct mh_ha_view v = th_fencing();
    th_stop(&v, A, false);
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
}

TEST(a_primary_that_asks_for_a_hand_over_is_not_given_the_role_back)
{
    struct mh_ha_view v = fencing_async();
    th_stop(&v, A, true);
    v.members[A].gave_up = true;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "b")); /* it said itself that it stopped */
}

TEST(a_primary_that_asked_for_a_hand_over_tries_again_when_nobody_else_can)
{
    struct mh_ha_view v = th_fencing(); /* F2, I13: the winner crash-loops behind its gate */
    v.nmembers = 2;
    th_config(&v, 0, 1, (const int[]){ A, -1 });
    th_stop(&v, A, false);
    v.members[A].gave_up = true;
    v.members[B].role = MH_HA_NONE; /* the former primary: it only promises */
    v.members[B].pg_up = false;
    v.members[B].promise = 5;
    v.lease_unchanged_ms = 9999;
    CHECK(!th_assess(&v).swap);
    v.lease_unchanged_ms = 10000;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
    v.members[A].incarnation = "vol-x";
    CHECK(!th_assess(&v).swap);
    v.members[A].incarnation = "vol-a";
    v.lease.incarnation = NULL; /* who served it is not known */
    CHECK(!th_assess(&v).swap);
}

TEST(a_primary_that_still_runs_or_has_not_promised_has_not_stopped)
{
    struct mh_ha_view v = fencing_async();
    th_stop(&v, A, false);
    v.members[A].promise = 4;
    CHECK(!th_assess(&v).swap);
    th_stop(&v, A, false);
    v.members[A].role = MH_HA_PRIMARY; /* stopping */
    CHECK(!th_assess(&v).swap);
}

TEST(another_volume_under_the_old_primarys_name_is_not_the_old_primary)
{
    struct mh_ha_view v = fencing_async(); /* E10, E12 */
    th_stop(&v, A, false);
    v.members[A].incarnation = "vol-new";
    CHECK(!th_assess(&v).swap);
    v.members[A].incarnation = "";
    CHECK(!th_assess(&v).swap);
}

/* --- election -------------------------------------------------------------------------------- */

TEST(lineage_goes_before_position)
{
    struct mh_ha_view v = th_fencing(); /* F13 */
    th_fence(&v, B, 5000);
    th_fence(&v, C, 200);
    v.members[C].timeline = 2;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "c"));
    CHECK_INT(d.ncandidates, 1);
}

TEST(a_log_that_is_too_far_behind_is_no_candidate)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100u << 20);
    th_fence(&v, C, 90u << 20);
    v.order[0] = "c";
    v.norder = 1;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK_INT(d.ncandidates, 2);
    th_fence(&v, C, 80u << 20);
    d = th_assess(&v);
    CHECK_INT(d.ncandidates, 1);
    CHECK(th_elects(&d, "b"));
}

TEST(a_paused_replay_goes_last)
{
    struct mh_ha_view v = th_fencing(); /* F12 */
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    v.members[B].replay_paused = true;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "c"));
    v.members[C].replay_paused = true;
    d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
}

TEST(a_policy_orders_only_what_is_safe)
{
    struct mh_ha_view v = th_fencing(); /* B5, I20 */
    v.nmembers = 4;
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    v.order[0] = "d"; /* not fenced */
    v.order[1] = "nobody";
    v.order[2] = "a"; /* the old primary */
    v.order[3] = "c";
    v.norder = 4;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "c"));
    v.norder = 3;
    d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
}

TEST(a_hold_waits_and_wants_no_order)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    th_fence(&v, C, 100);
    CHECK(th_assess(&v).wants_order);
    v.hold = true;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap && !d.wants_order);
    CHECK_INT(d.state, MH_HA_ST_FENCING);
}

TEST(a_preferred_shorter_log_fetches_the_rest_first_and_not_for_ever)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    v.order[0] = "c";
    v.norder = 1;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(d.swap && d.to.phase == MH_HA_FENCING && d.to.term == 0 && !d.to.holder);
    CHECK_STR(d.to.candidate, "c");
    CHECK_STR(d.to.address, "10.0.0.2");
    v.lease.candidate = "c";
    d = th_assess(&v);
    CHECK(!d.swap && d.tell);
    v.lease_unchanged_ms = 2000;
    d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
    v.lease_unchanged_ms = 500;
    th_fence(&v, C, 100);
    d = th_assess(&v);
    CHECK(th_elects(&d, "c"));
}

/* I13, found by the model: the winner may be behind the term that the former holder served. */
TEST(a_winner_that_was_lost_before_its_gate_opened_is_given_the_role_back)
{
    struct mh_ha_view v = th_fencing();
    v.lease.nconfigs = 0;
    v.lease.served = 4;
    th_fence(&v, B, 100);
    v.members[B].term = 3; /* it was cut off in term 4 */
    v.lease_unchanged_ms = 8000;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
    CHECK_STR(d.to.served, "");
    th_stop(&v, A, false);
    v.members[B].connected = false;
    d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
    CHECK(!d.to.served); /* it is still the one that served */
}

TEST(the_winner_is_named_with_its_volume)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK_STR(d.to.incarnation, "vol-b");
    v.members[B].incarnation = NULL;
    d = th_assess(&v);
    CHECK_STR(d.to.incarnation, "");
}

/* --- promoting ------------------------------------------------------------------------------- */

static struct mh_ha_view
promoting(void)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 100);
    th_fence(&v, C, 90);
    v.lease.phase = MH_HA_PROMOTING;
    v.lease.holder = "b";
    return v;
}

TEST(a_winner_has_its_time)
{
    struct mh_ha_view v = promoting();
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap);
    CHECK_INT(d.state, MH_HA_ST_PROMOTING);
    th_lose(&v, B, 3000);
    CHECK(!th_assess(&v).swap);
    th_lose(&v, B, 3001);
    d = th_assess(&v);
    CHECK(th_raises(&d, 6)); /* F24 */
    th_lose(&v, B, -1);
    v.lease_unchanged_ms = 3000;
    d = th_assess(&v);
    CHECK(th_raises(&d, 6));
    v = promoting();
    v.lease_unchanged_ms = 60001;
    d = th_assess(&v);
    CHECK(th_raises(&d, 6));
    v = promoting();
    v.members[B].gave_up = true;
    d = th_assess(&v);
    CHECK(th_raises(&d, 6));
}

/* --- switchover ------------------------------------------------------------------------------ */

TEST(a_switchover_waits_for_the_shutdown_record)
{
    struct mh_ha_view v = th_switching(); /* F22 */
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(!d.swap && d.tell == 1u << A);
    v.members[A].flush_lsn = 120;
    th_stop(&v, A, true);
    CHECK(!th_assess(&v).swap);
    v.members[B].flush_lsn = 120;
    d = th_assess(&v);
    CHECK(th_elects(&d, "b"));
}

TEST(a_longer_log_of_another_timeline_does_not_hold_the_shutdown_record)
{
    struct mh_ha_view v = th_switching(); /* F13, F22 */
    th_stop(&v, A, true);
    v.members[A].timeline = 2;
    v.members[B].flush_lsn = 5000;
    CHECK(!th_assess(&v).swap);
}

TEST(a_heir_that_never_gets_the_record_leaves_the_role_to_the_old_primary)
{
    struct mh_ha_view v = th_switching(); /* F22 */
    v.members[A].flush_lsn = 120;
    th_stop(&v, A, true);
    v.lease_unchanged_ms = 10001;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
    CHECK_INT(d.to.term, 6);
    v.lease_unchanged_ms = 100;
    th_lose(&v, B, 100);
    d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
}

TEST(a_switchover_whose_primary_is_lost_becomes_a_failover)
{
    struct mh_ha_view v = th_switching();
    th_lose(&v, A, 499);
    CHECK(!th_assess(&v).swap);
    th_lose(&v, A, 500);
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 6));
    CHECK_STR(d.to.candidate, "");
}

/* Its first pass may come before any manager has answered it: that is no news of them. */
TEST(an_operator_that_has_just_begun_judges_no_handover)
{
    struct mh_ha_view v = th_switching(); /* killed right after it wrote the Lease */
    th_lose(&v, A, -1);
    CHECK(!th_assess(&v).swap);
    v.lease_unchanged_ms = 3000;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 6));
    v = th_switching();
    th_stop(&v, A, true);
    th_lose(&v, B, -1);
    CHECK(!th_assess(&v).swap);
    v.lease_unchanged_ms = 3000;
    d = th_assess(&v);
    CHECK(th_elects(&d, "a"));
    v = th_switching(); /* how long it has tried is told, and is no loss */
    th_stop(&v, A, true);
    th_lose(&v, B, 700);
    v.members[B].known = false;
    CHECK(!th_assess(&v).swap);
    v.members[B].known = true;
    CHECK(th_assess(&v).swap);
    v = th_switching();
    th_lose(&v, A, 700);
    v.members[A].known = false;
    CHECK(!th_assess(&v).swap);
    v.members[A].lost_ms = 3000;
    CHECK(th_assess(&v).swap);
    v = th_switching();
    v.lease.phase = MH_HA_PROMOTING;
    th_lose(&v, A, -1);
    CHECK(!th_assess(&v).swap);
    v.lease_unchanged_ms = 3000;
    d = th_assess(&v);
    CHECK(th_raises(&d, 6));
}

TEST(a_stop_that_does_not_end_becomes_a_failover)
{
    struct mh_ha_view v = th_switching(); /* F23 */
    v.lease_unchanged_ms = 3600001;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 6));
}

/* It crashed, or its manager was started again: nobody knows any more where its log ends. */
TEST(a_stop_that_was_not_clean_becomes_a_failover_soon)
{
    struct mh_ha_view v = th_switching();
    th_stop(&v, A, false);
    CHECK(!th_assess(&v).swap);
    v.lease_unchanged_ms = 10001;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_raises(&d, 6));
}
