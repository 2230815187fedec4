/* Rule 5: when a primary that cannot reach the API server stops itself, and when it must not. Driven. */
#include <signal.h>
#include <string.h>

#include "agent_helper.h"
#include "harness/test.h"

#define CONFIRMS "{\"instance\":\"db-2\",\"promise\":3,\"term\":3,\"confirms\":true}"

static bool deaf;

static bool
unreachable(struct tw *tw, void *arg, const struct tw_request *request, struct tw_answer *answer)
{
    (void)tw, (void)arg, (void)request;
    if (deaf)
        answer->code = MH_E_UNREACHABLE;
    return deaf;
}

/* db-1, primary of term 3, with clients in. Then the API server is gone. */
static struct ta *
cut_off(int instances, const char *durability)
{
    struct ta *t = ta_new("db-1", instances, durability);
    deaf = false;
    tw_api_on(t->tw, unreachable, NULL);
    ta_data(t, false);
    ta_term(t, 3, 3, "vol-1");
    ta_lease(t, "db-1", 3, "stable", "vol-1", durability ? TA_SET_OF_1 : "[]");
    if (durability) {
        t->pg.replicas[0] = (struct ta_replica){ "db-2", true, UINT64_MAX, 1 };
        t->pg.nreplicas = 1;
    }
    t->peer.json = CONFIRMS;
    ta_start(t);
    tw_advance(t->tw, 5 * MH_NS_PER_S);
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    deaf = true;
    return t;
}

/* Clients are in. Stopped, it starts again behind its gate, which only the Lease opens. */
static bool
serves(struct ta *t)
{
    const struct tw_process *x = tw_process(t->tw, "postgres -D");
    return x && x->running && mh_gate_is_open(t->g);
}

static bool
was_quit(const struct tw_process *x)
{
    for (int k = 0; k < x->nsignals; k++) {
        if (x->signals[k] == SIGQUIT)
            return !x->running;
    }
    return false;
}

/* After how many seconds it stopped; 1000: it did not within a minute. */
static int
stopped_after(struct ta *t)
{
    for (int s = 0; s < 60; s++) {
        if (!serves(t))
            return s;
        tw_advance(t->tw, MH_NS_PER_S);
    }
    return 1000;
}

TEST(who_is_confirmed_by_all_peers_goes_on_without_the_api_server)
{
    struct ta *t = cut_off(2, NULL);
    tw_advance(t->tw, 60 * MH_NS_PER_S);
    CHECK(serves(t));
    CHECK_STR(mh_json_str(ta_status(t), "gate", NULL), "open");
    CHECK(t->peer.asked >= 30); /* each second, once the silence is long */
    CHECK(strstr(t->peer.url, "https://10.0.0.2:8000/moonherd/v1/peer?from=db-1&term=3") != NULL);
    deaf = false;
    tw_advance(t->tw, 10 * MH_NS_PER_S);
    CHECK(serves(t));
    ta_end(t);
}

TEST(whose_peer_falls_silent_stops_before_its_lease_can_be_taken)
{
    struct ta *t = cut_off(2, NULL);
    tw_advance(t->tw, 20 * MH_NS_PER_S);
    CHECK(serves(t));
    const struct tw_process *first = tw_process(t->tw, "postgres -D");
    t->peer.json = NULL;
    int s = stopped_after(t);
    CHECK(s >= 5 && s <= 8); /* a lease is 8 s */
    CHECK(was_quit(first));
    int before = tw_api_count(t->tw, "PATCH", "/leases/");
    tw_advance(t->tw, 20 * MH_NS_PER_S);
    CHECK(!serves(t)); /* its gate stays closed: nobody says that it may serve */
    int asked = tw_api_count(t->tw, "PATCH", "/leases/") - before;
    CHECK(asked >= 10 && asked <= 100);
    t->peer.json = CONFIRMS; /* a word of peers opens no gate */
    tw_advance(t->tw, 20 * MH_NS_PER_S);
    CHECK(!serves(t));
    deaf = false;
    tw_advance(t->tw, 2 * MH_NS_PER_S);
    CHECK(serves(t));
    ta_end(t);
}

TEST(whose_peer_never_answers_stops_in_time)
{
    struct ta *t = cut_off(2, NULL);
    t->peer.json = NULL;
    int s = stopped_after(t);
    CHECK(s >= 3 && s <= 8);
    ta_end(t);
}

TEST(a_peer_that_follows_somebody_else_or_has_promised_more_confirms_nothing)
{
    static const char *const answers[] = {
        "{\"instance\":\"db-2\",\"promise\":3,\"term\":3,\"confirms\":false}",
        "{\"instance\":\"db-2\",\"promise\":4,\"term\":3,\"confirms\":true}",
        "{\"instance\":\"db-2\",\"term\":3,\"confirms\":true}",
        "{}",
        "no JSON",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        struct ta *t = cut_off(2, NULL);
        t->peer.json = answers[i];
        CHECK(stopped_after(t) <= 8);
        ta_end(t);
    }
}

/* db-3 is one of the instances, and nobody knows where it is. */
TEST(all_peers_must_confirm_not_one_of_them)
{
    struct ta *t = cut_off(3, NULL);
    CHECK(stopped_after(t) <= 8);
    ta_end(t);
}

TEST(a_cluster_of_one_never_stops_itself)
{
    struct ta *t = cut_off(1, NULL);
    t->peer.json = NULL;
    CHECK_INT(stopped_after(t), 1000);
    ta_end(t);
}

TEST(a_synchronous_primary_stops_only_without_its_standbys)
{
    struct ta *t = cut_off(2, "required");
    t->peer.json = NULL;
    tw_advance(t->tw, 60 * MH_NS_PER_S);
    CHECK(serves(t)); /* what it acknowledges is on db-2 */
    t->pg.replicas[0].streaming = false;
    CHECK(stopped_after(t) <= 8);
    ta_end(t);
}

TEST(who_is_elected_while_the_api_server_is_away_asks_it_now_and_then)
{
    struct ta *t = ta_elected(2, NULL);
    deaf = true;
    tw_api_on(t->tw, unreachable, NULL);
    int before = tw_api_count(t->tw, "GET", "/leases/db");
    tw_advance(t->tw, 20 * MH_NS_PER_S);
    int asked = tw_api_count(t->tw, "GET", "/leases/db") - before;
    CHECK(asked >= 10 && asked <= 100);
    CHECK(t->g->pg.in_recovery); /* nobody confirmed that the term is still its own */
    deaf = false;
    tw_advance(t->tw, 3 * MH_NS_PER_S);
    CHECK(serves(t));
    ta_end(t);
}
