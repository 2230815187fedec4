/* The decisions of an instance manager, driven: what it does when the others are as told. */
#include "agent_helper.h"
#include "base/str.h"
#include "harness/test.h"
#include "instance/status.h"

#define SERVING                                                                                    \
    "{\"instance\":\"db-2\",\"promise\":2,\"term\":2,\"serving\":true,\"timeline\":2,"             \
    "\"controlTimeline\":2,\"flushLsn\":\"0/3000200\",\"history\":[[1,\"0/3000000\"]]}"

/* F4, D4, I13: the gate of a cluster of two needs the old primary as a standby, and that one needs a
 * primary to be rewound to. If each waits for the other nobody ever serves. */
TEST(a_promoted_primary_with_a_closed_gate_lets_the_old_one_rewind_to_it)
{
    struct ta *t = ta_elected(2, "required");
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK_INT(tw_pg_count(t->tw, "pg_promote"), 1);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "closed");
    yyjson_val *said = ta_answer(t, "db-1", 1);
    CHECK(mh_json_bool(said, false, "serving", NULL));
    CHECK_INT(mh_json_int(said, 0, "timeline", NULL), 2);
    /* pg_rewind reads the new timeline in the control file only after a checkpoint */
    CHECK_INT(mh_json_int(said, 0, "controlTimeline", NULL), 2);
    t->pg.replicas[0] = (struct ta_replica){ "db-1", true, t->pg.flush, 1 };
    t->pg.nreplicas = 1;
    tw_advance(t->tw, 1 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    ta_end(t);
}

TEST(a_standby_that_is_not_promoted_yet_serves_nobody)
{
    struct ta *t = ta_elected(2, "required");
    CHECK(!mh_json_bool(ta_answer(t, "db-1", 1), true, "serving", NULL));
    ta_end(t);
}

/* An old primary that is told to stop must not be taken for the new one (D14, H8). */
TEST(a_primary_without_the_order_to_serve_serves_nobody)
{
    struct ta *t = ta_elected(2, NULL);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    CHECK(mh_json_bool(ta_answer(t, "db-1", 1), false, "serving", NULL));
    t->g->order.order = MH_HA_WAIT;
    CHECK(!mh_json_bool(ta_answer(t, "db-1", 1), true, "serving", NULL));
    ta_end(t);
}

static struct ta *
old_primary(const char *peer)
{
    struct ta *t = ta_new("db-1", 2, "required");
    ta_data(t, false);
    ta_term(t, 1, 1, "vol-1");
    ta_lease(t, "db-2", 2, "promoting", "vol-2", TA_SET_OF_1);
    t->peer.json = peer;
    ta_start(t);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    return t;
}

TEST(an_old_primary_is_rewound_to_one_that_serves)
{
    struct ta *t = old_primary(SERVING);
    CHECK_INT(tw_proc_count(t->tw, "pg_rewind"), 1);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 0);
    ta_end(t);
}

TEST(an_old_primary_waits_for_one_that_serves)
{
    struct ta *t = old_primary("{\"instance\":\"db-2\",\"serving\":false,\"timeline\":1,"
                               "\"controlTimeline\":1}");
    CHECK_INT(tw_proc_count(t->tw, "pg_rewind") + tw_proc_count(t->tw, "pg_basebackup"), 0);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 0);
    ta_end(t);
}

/* --- hand-over ------------------------------------------------------------------------------- */

static bool
asks_for_hand_over(struct ta *t)
{
    return mh_json_bool(ta_status(t), false, "handOver", NULL);
}

/* E10, E12, D14: the operator must see that nobody serves. */
TEST(a_holder_that_must_not_run_asks_for_a_hand_over)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-other");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    ta_start(t);
    CHECK_STR(mh_json_str(ta_status(t), "order", NULL), "halt");
    CHECK(asks_for_hand_over(t));
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 0);
    ta_end(t);
}

/* D3: its pod is deleted. */
TEST(a_primary_that_is_told_to_end_waits_for_an_heir)
{
    struct ta *t = ta_elected(2, NULL);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK(tw_process(t->tw, "postgres -D")->running);
    t->g->terminating = true;
    tw_advance(t->tw, 3 * MH_NS_PER_S);
    CHECK(!tw_process(t->tw, "postgres -D")->running);
    CHECK(asks_for_hand_over(t));
    CHECK(t->g->ready);
    tw_advance(t->tw, 9 * MH_NS_PER_S);
    CHECK(!t->g->ready); /* nobody came */
    ta_end(t);
}

TEST(a_primary_whose_pod_is_made_anew_without_a_switchover_waits_for_nobody)
{
    struct ta *t = ta_elected(2, NULL);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    tw_put(t->tw, TA_CLUSTER,
           "{\"metadata\":{\"name\":\"db\",\"uid\":\"uid-db\"},\"spec\":{\"instances\":2},"
           "\"status\":{\"instanceNames\":[\"db-1\",\"db-2\"],\"phase\":"
           "\"Primary instance is being restarted without a switchover\"}}");
    tw_advance(t->tw, MH_NS_PER_S);
    t->g->terminating = true;
    tw_advance(t->tw, 3 * MH_NS_PER_S);
    CHECK(!tw_process(t->tw, "postgres -D")->running);
    CHECK(!asks_for_hand_over(t));
    CHECK(!t->g->ready);
    ta_end(t);
}

/* H3: its log is whole, only the number was changed. */
TEST(the_holder_of_a_term_that_was_raised_by_hand_does_not_ask_for_a_hand_over)
{
    struct ta *t = ta_elected(2, NULL);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    yyjson_val *l = tw_object(t->tw, TA_LEASE);
    CHECK_STR(mh_json_str(l, "metadata", "annotations", "moonherd.io/served", NULL), "2");
    tw_put(t->tw, TA_LEASE,
           "{\"metadata\":{\"name\":\"db\",\"annotations\":{\"moonherd.io/phase\":\"stable\","
           "\"moonherd.io/served\":\"2\",\"moonherd.io/incarnation\":\"vol-2\"}},\"spec\":{"
           "\"holderIdentity\":\"db-2\",\"leaseTransitions\":9}}");
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "order", NULL), "halt");
    CHECK(!asks_for_hand_over(t));
    ta_end(t);
}

/* F2: crashes behind the closed gate. */
TEST(a_winner_that_crash_loops_asks_for_a_hand_over_until_it_is_elected_again)
{
    struct ta *t = ta_elected(2, "required");
    tw_advance(t->tw, MH_NS_PER_S);
    for (int i = 0; i < 3; i++) {
        struct tw_process *x = tw_process(t->tw, "postgres -D");
        CHECK(x && x->running);
        tw_process_exit(t->tw, x, 1);
        tw_advance(t->tw, MH_NS_PER_S);
    }
    CHECK(asks_for_hand_over(t));
    ta_lease(t, "db-2", 3, "fencing", "vol-2", TA_SET_OF_1);
    tw_advance(t->tw, 6 * MH_NS_PER_S);
    CHECK(asks_for_hand_over(t));
    CHECK_INT(t->g->own.promise, 3);
    ta_lease(t, "db-2", 3, "promoting", "vol-2", TA_SET_OF_1);
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK(!asks_for_hand_over(t));
    CHECK(tw_process(t->tw, "postgres -D")->running);
    ta_end(t);
}

/* F2, D4: between its crashes it had closed its gate for the next start as primary. */
TEST(a_primary_that_is_deposed_while_it_waits_to_start_again_has_no_gate_as_a_standby)
{
    struct ta *t = ta_elected(3, NULL);
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    for (int i = 0; i < 3; i++) {
        tw_process_exit(t->tw, tw_process(t->tw, "postgres -D"), 1);
        tw_advance(t->tw, MH_NS_PER_S);
    }
    CHECK(asks_for_hand_over(t));
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "closed");
    ta_lease(t, "db-1", 3, "stable", "vol-1", "[]");
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "order", NULL), "follow");
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "none");
    ta_end(t);
}

/* A8: the event that names the winner never comes. */
TEST(an_election_whose_outcome_the_watch_lost_is_read_from_the_lease)
{
    struct ta *t = ta_new("db-2", 2, "required");
    ta_data(t, true);
    ta_term(t, 1, 1, "vol-2");
    ta_lease(t, "db-1", 2, "fencing", "vol-1", TA_SET_OF_1);
    ta_start(t);
    tw_advance(t->tw, MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "order", NULL), "fence");
    tw_watch_mute(t->tw, true);
    ta_lease(t, "db-2", 2, "promoting", "vol-2", TA_SET_OF_1);
    tw_advance(t->tw, 2500 * MH_NS_PER_MS);
    CHECK_STR(mh_json_str(ta_status(t), "order", NULL), "serve");
    ta_end(t);
}

/* --- rule 5: who confirmed keeps its word ------------------------------------------------------ */

static struct ta *
restarted(const char *durability, const char *configs)
{
    struct ta *t = ta_new("db-2", 3, durability);
    ta_data(t, true);
    ta_term(t, 2, 2, "vol-2");
    ta_lease(t, "db-1", 3, "fencing", "vol-1", configs);
    ta_start(t);
    ta_operated(t);
    return t;
}

/* C2, A1, D7: what it said before its end is not known any more; an isolated primary may count on it. */
TEST(an_asynchronous_standby_that_has_just_started_keeps_the_word_it_may_have_given)
{
    struct ta *t = restarted(NULL, "[]");
    CHECK_STR(mh_json_str(ta_status(t), "order", NULL), "fence");
    tw_advance(t->tw, 7500 * MH_NS_PER_MS);
    CHECK_INT(t->g->own.promise, 2);
    tw_advance(t->tw, 1 * MH_NS_PER_S);
    CHECK_INT(t->g->own.promise, 3);
    CHECK(mh_json_bool(ta_status(t), false, "fenced", NULL));
    ta_end(t);
}

TEST(a_synchronous_standby_that_has_just_started_promises_at_once)
{
    struct ta *t = restarted("required", TA_SET_OF_1);
    tw_advance(t->tw, 100 * MH_NS_PER_MS);
    CHECK_INT(t->g->own.promise, 3);
    ta_end(t);
}

/* --- changes of the synchronous set ----------------------------------------------------------- */

#define MS MH_NS_PER_MS

static const char *
possible(struct ta *t)
{
    return mh_json_str(tw_object(t->tw, TA_LEASE), "metadata", "annotations", "moonherd.io/configs",
                       NULL);
}

static bool
names_are(struct ta *t, const char *names)
{
    const char *text = tw_file_text(t->tw, TA_DATA "/custom.conf");
    char line[200];
    (void)snprintf(line, sizeof(line), "synchronous_standby_names = '%s'", names);
    return text && strstr(text, line);
}

static void
stream(struct ta *t, int i, const char *name, uint64_t flush, int priority)
{
    t->pg.replicas[i] = (struct ta_replica){ name, true, flush, priority };
    t->pg.nreplicas = t->pg.nreplicas > i ? t->pg.nreplicas : i + 1;
}

/* A primary whose clients are in and whose commits db-1 and db-3, or as many as are there, confirm. */
static struct ta *
primary(bool with_3)
{
    struct ta *t = ta_elected(3, "preferred");
    tw_advance(t->tw, 500 * MS);
    stream(t, 0, "db-1", UINT64_MAX, 1);
    if (with_3)
        stream(t, 1, "db-3", UINT64_MAX, 1);
    tw_advance(t->tw, 5000 * MS);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    CHECK_STR(possible(t), with_3
                               ? "[{\"names\":[\"db-1\",\"db-3\"],\"number\":1,\"method\":\"any\"}]"
                               : "[{\"names\":[\"db-1\"],\"number\":1,\"method\":\"any\"}]");
    return t;
}

/* F9, I8: its walsender has not read the new names: it may still acknowledge under the old rule. */
TEST(a_former_set_stays_possible_until_all_walsenders_have_left_it)
{
    struct ta *t = primary(true);
    t->pg.replicas[1].streaming = false;
    tw_advance(t->tw, 3000 * MS);
    CHECK(names_are(t, "ANY 1 (\"db-1\")"));
    CHECK(strstr(possible(t), "db-3") != NULL);
    t->pg.replicas[1].priority = 0;
    tw_advance(t->tw, 1000 * MS);
    CHECK(strstr(possible(t), "db-3") == NULL);
    ta_end(t);
}

/* F9, C5, I13: dataDurability preferred; the standby of the new set dies before it has confirmed. */
TEST(a_change_that_cannot_end_is_followed_by_the_next_one)
{
    struct ta *t = primary(false);
    stream(t, 0, "db-3", 1, 1); /* instead of db-1, and far behind */
    tw_advance(t->tw, 3000 * MS);
    CHECK(names_are(t, "ANY 1 (\"db-3\")"));
    CHECK(strstr(possible(t), "db-1") && strstr(possible(t), "db-3")); /* either may have it */
    t->pg.nreplicas = 0;
    tw_advance(t->tw, 3000 * MS);
    CHECK(names_are(t, ""));
    CHECK_STR(possible(t), "[]");
    stream(t, 0, "db-1", UINT64_MAX, 1);
    tw_advance(t->tw, 3000 * MS);
    CHECK(names_are(t, "ANY 1 (\"db-1\")"));
    CHECK_STR(possible(t), "[{\"names\":[\"db-1\"],\"number\":1,\"method\":\"any\"}]");
    ta_end(t);
}

/* A5: the answer to the union was lost, the union was not. */
TEST(a_union_of_unknown_outcome_leaves_the_lease_again)
{
    struct ta *t = primary(false);
    ta_lease(t, "db-2", 2, "stable", "vol-2",
             "[{\"names\":[\"db-1\"],\"number\":1},{\"names\":[\"db-3\"],\"number\":1}]");
    tw_advance(t->tw, 3000 * MS);
    CHECK_STR(possible(t), "[{\"names\":[\"db-1\"],\"number\":1,\"method\":\"any\"}]");
    ta_end(t);
}

/* --- who serves is known by its session ------------------------------------------------------ */

static bool refusing = true;

static bool
refuse_patches(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *answer)
{
    (void)tw, (void)arg;
    if (!refusing || strcmp(request->method, "PATCH") != 0)
        return false;
    answer->code = MH_E_UNREACHABLE;
    return true;
}

/* A8, A9, D7: a kubelet's word that the container ended is compared with this. */
TEST(a_holder_that_starts_again_says_who_it_is_before_postgres_starts)
{
    struct ta *t = ta_new("db-1", 2, NULL);
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    tw_put(t->tw, TA_LEASE,
           "{\"metadata\":{\"name\":\"db\",\"annotations\":{\"moonherd.io/phase\":\"stable\","
           "\"moonherd.io/incarnation\":\"vol-1\",\"moonherd.io/address\":\"10.0.0.1\","
           "\"moonherd.io/holder-uid\":\"pod-uid\",\"moonherd.io/session\":\"of-an-earlier-life\","
           "\"moonherd.io/configs\":\"[]\"}},\"spec\":{\"holderIdentity\":\"db-1\","
           "\"leaseTransitions\":3}}");
    mh_str_copy(t->g->id.session, sizeof(t->g->id.session), "of-this-life");
    tw_api_on(t->tw, refuse_patches, NULL);
    ta_start(t);
    tw_advance(t->tw, 1000 * MS);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 0);
    refusing = false;
    tw_advance(t->tw, 1000 * MS);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 1);
    CHECK_STR(mh_json_str(tw_object(t->tw, TA_LEASE), "metadata", "annotations",
                          "moonherd.io/session", NULL),
              "of-this-life");
    ta_end(t);
}
