/* What a manager does so that two promotions that took the same number are told apart (F14). */
#include "agent_helper.h"
#include "harness/test.h"

#define MS MH_NS_PER_MS

static const char *
annotated(const char *holder, int term, const char *phase, const char *lineage)
{
    static char text[600];
    (void)snprintf(text, sizeof(text),
                   "{\"metadata\":{\"name\":\"db\",\"annotations\":{\"moonherd.io/phase\":\"%s\","
                   "\"moonherd.io/incarnation\":\"vol-x\",\"moonherd.io/address\":\"10.0.0.%c\","
                   "\"moonherd.io/lineage\":\"%s\",\"moonherd.io/configs\":\"[]\"}},\"spec\":{"
                   "\"holderIdentity\":\"%s\",\"leaseTransitions\":%d}}",
                   phase, holder[3], lineage, holder, term);
    return text;
}

/* db-2, whose log ends on timeline 2 of term 2, is told to follow db-1. */
static struct ta *
standby_of_2(int term, const char *phase, const char *lineage, const char *peer)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    ta_data(t, true);
    tw_file(t->tw, "/data/moonherd/term",
            "{\"promise\":2,\"term\":2,\"incarnation\":\"vol-2\",\"cluster\":\"uid-db\","
            "\"timelines\":[[1,2]]}\n");
    t->pg.timeline = t->pg.control_timeline = 2;
    t->pg.receiving = true;
    t->peer.json = peer;
    tw_put(t->tw, TA_LEASE, annotated("db-3", 2, "stable", ""));
    ta_start(t);
    ta_operated(t);
    tw_advance(t->tw, 500 * MS);
    tw_put(t->tw, TA_LEASE, annotated("db-1", term, phase, lineage));
    tw_advance(t->tw, 1000 * MS);
    return t;
}

static bool
follows(struct ta *t)
{
    const char *text = tw_file_text(t->tw, TA_DATA "/override.conf");
    return text && strstr(text, "10.0.0.1") != NULL;
}

#define SERVER(timeline, made, history, makers)                                                    \
    "{\"instance\":\"db-1\",\"promise\":3,\"term\":3,\"serving\":true,\"timeline\":" #timeline     \
    ",\"timelineTerm\":" #made ",\"controlTimeline\":" #timeline                                   \
    ",\"flushLsn\":\"0/4000000\",\"history\":" history ",\"timelines\":" makers "}"

TEST(a_winner_notes_before_its_promotion_which_term_makes_the_timeline)
{
    struct ta *t = ta_elected(2, NULL);
    tw_advance(t->tw, 1000 * MS);
    const char *file = tw_file_text(t->tw, "/data/moonherd/term");
    CHECK(strstr(file, "\"timelines\":[[1,2]]") != NULL);
    CHECK(tw_file_durable(t->tw, "/data/moonherd/term"));
    CHECK_INT(mh_json_int(ta_status(t), 0, "timeline", NULL), 2);
    CHECK_INT(mh_json_int(ta_status(t), 0, "timelineTerm", NULL), 2);
    CHECK_INT(mh_json_int(ta_answer(t, "db-1", 1), 0, "timelineTerm", NULL), 2);
    ta_end(t);
}

TEST(a_winner_that_cannot_note_it_is_not_promoted)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    ta_data(t, true);
    ta_term(t, 2, 1, "vol-2");
    ta_lease(t, "db-2", 2, "promoting", "vol-2", "[]");
    tw_fs_fail(t->tw, "write", "moonherd/term", MH_E_IO, 0, -1);
    ta_start(t);
    tw_advance(t->tw, 1000 * MS);
    CHECK_INT(tw_pg_count(t->tw, "pg_promote"), 0);
    ta_end(t);
}

TEST(a_standby_of_the_lineage_that_was_elected_follows_at_once)
{
    struct ta *t = standby_of_2(3, "promoting", "2:2:3", NULL);
    CHECK(follows(t));
    CHECK_INT(t->g->own.term, 3);
    CHECK(strstr(tw_file_text(t->tw, "/data/moonherd/term"), "[[1,2],[2,3]]") != NULL);
    ta_end(t);
}

TEST(a_standby_of_another_lineage_asks_first)
{
    struct ta *t = standby_of_2(5, "promoting", "3:4:5", NULL);
    CHECK(!follows(t));
    CHECK_INT(t->g->own.promise, 5); /* and gets nothing from the old one either */
    tw_advance(t->tw, 3000 * MS);
    CHECK(!follows(t) && strstr(t->g->failure, "port 8000"));
    t->peer.json = SERVER(4, 5, "[[1,\"0/3000000\",0],[2,\"0/3100000\",2],[3,\"0/3200000\",4]]",
                          "[[1,2],[2,4],[3,5]]");
    tw_advance(t->tw, 500 * MS);
    CHECK(follows(t) && t->g->failure[0] == '\0');
    CHECK(strstr(tw_file_text(t->tw, "/data/moonherd/term"), "[[1,2],[2,4],[3,5]]") != NULL);
    CHECK_INT(t->g->own.term, 5);
    ta_end(t);
}

TEST(a_lineage_of_an_earlier_election_is_none)
{
    struct ta *t = standby_of_2(5, "promoting", "2:2:4", NULL);
    CHECK(!follows(t));
    ta_end(t);
}

/* The primary's timeline 2 was made by term 3, ours by term 2 and nobody ever confirmed it. */
TEST(a_standby_whose_timeline_was_made_by_another_promotion_is_copied_anew)
{
    struct ta *t =
        standby_of_2(3, "stable", "1:0:3", SERVER(2, 3, "[[1,\"0/3000000\",0]]", "[[1,3]]"));
    CHECK(!follows(t));
    CHECK(tw_file_text(t->tw, "/data/moonherd/rewinding") != NULL);
    tw_process_exit(t->tw, tw_process(t->tw, "postgres -D"), 0);
    tw_advance(t->tw, 2000 * MS);
    CHECK_INT(tw_proc_count(t->tw, "pg_rewind"), 0); /* it would see one timeline */
    CHECK_INT(tw_proc_count(t->tw, "pg_basebackup"), 1);
    CHECK_INT(tw_proc_count(t->tw, "postgres -D"), 1);
    ta_end(t);
}

/* B3: from before it was kept who made a timeline. */
TEST(a_standby_that_knows_no_makers_follows_and_learns_them)
{
    struct ta *t = ta_new("db-2", 2, NULL);
    ta_data(t, true);
    ta_term(t, 3, 2, "vol-2");
    t->pg.timeline = 2;
    t->pg.receiving = true;
    tw_put(t->tw, TA_LEASE, annotated("db-1", 3, "stable", ""));
    ta_start(t);
    tw_advance(t->tw, 1000 * MS);
    CHECK(follows(t));
    CHECK_INT(t->g->own.term, 2);
    t->peer.json = SERVER(2, 2, "[[1,\"0/3000000\",0]]", "[[1,2]]");
    tw_advance(t->tw, 1000 * MS);
    CHECK_INT(t->g->own.term, 3);
    CHECK(strstr(tw_file_text(t->tw, "/data/moonherd/term"), "\"timelines\":[[1,2]]") != NULL);
    ta_end(t);
}

/* Found by the model: a walreceiver connects again by itself, to whom its manager last believed to be
 * primary. That one may have been rewound to another history of the same number since. */
TEST(only_a_primary_lets_standbys_in_and_a_fenced_one_the_candidate)
{
    static const char line[] = "hostssl replication streaming_replica";
    static const char source[] =
        "{\"metadata\":{\"name\":\"db\",\"annotations\":{\"moonherd.io/phase\":\"fencing\","
        "\"moonherd.io/incarnation\":\"vol-x\",\"moonherd.io/address\":\"10.0.0.2\","
        "\"moonherd.io/candidate\":\"db-1\",\"moonherd.io/configs\":\"[]\"}},\"spec\":{"
        "\"holderIdentity\":\"db-3\",\"leaseTransitions\":4}}";
    struct ta *t = standby_of_2(3, "promoting", "2:2:3", NULL);
    CHECK(follows(t));
    CHECK(!strstr(tw_file_text(t->tw, TA_DATA "/pg_hba.conf"), line));
    tw_put(t->tw, TA_LEASE, annotated("db-1", 4, "fencing", ""));
    tw_advance(t->tw, 10000 * MS);
    CHECK(!strstr(tw_file_text(t->tw, TA_DATA "/pg_hba.conf"), line));
    tw_put(t->tw, TA_LEASE, source);
    tw_advance(t->tw, 1000 * MS);
    CHECK(strstr(tw_file_text(t->tw, TA_DATA "/pg_hba.conf"),
                 "hostssl replication streaming_replica 10.0.0.1/32 cert") != NULL);
    ta_lease(t, "db-2", 4, "promoting", "vol-2", "[]");
    tw_advance(t->tw, 1000 * MS);
    CHECK(strstr(tw_file_text(t->tw, TA_DATA "/pg_hba.conf"), line) != NULL);
    ta_end(t);
}
