/* A standby's manager moves the role while no operator is there (B2), and when it must not. Driven. */
#include <string.h>

#include "agent_helper.h"
#include "harness/test.h"
#include "kube/event.h"

#define S MH_NS_PER_S
#define POD_1 "/api/v1/namespaces/shop/pods/db-1"
#define POD_2 "/api/v1/namespaces/shop/pods/db-2"
#define PRIMARY                                                                                    \
    "{\"moonherd\":{\"instance\":\"db-1\",\"clusterUID\":\"%s\",\"role\":\"primary\",\"pgUp\":"    \
    "true,"                                                                                        \
    "\"promise\":1,\"term\":1,\"incarnation\":\"vol-1\",\"flushLsn\":\"0/3000000\"}}"

/* db-2 streams from db-1, primary of term 1. Its set is db-2 alone, or none: asynchronous. */
static struct ta *
standby(const char *durability)
{
    struct ta *t = ta_new("db-2", 2, durability);
    ta_data(t, true);
    ta_term(t, 1, 1, "vol-2");
    ta_lease(t, "db-1", 1, "stable", "vol-1", durability ? TA_SET_OF_1 : "[]");
    tw_put(t->tw, POD_1, "{\"metadata\":{\"name\":\"db-1\"}}");
    tw_put(t->tw, POD_2, "{\"metadata\":{\"name\":\"db-2\"}}");
    t->pg.receiving = true;
    t->g->events = mh_events_new(t->tw->world.api, t->tw->world.clock, "moonherd-instance", "db-2");
    ta_start(t);
    tw_advance(t->tw, 2 * S);
    return t;
}

/* The primary's node is off: nothing streams, nobody answers, nobody renews. */
static void
lose_primary(struct ta *t)
{
    t->pg.receiving = false;
    t->peer.json = NULL;
}

static const char *
holder(struct ta *t)
{
    return mh_json_str(tw_object(t->tw, TA_LEASE), "spec", "holderIdentity", NULL);
}

static int64_t
term(struct ta *t)
{
    return mh_json_int(tw_object(t->tw, TA_LEASE), 0, "spec", "leaseTransitions", NULL);
}

/* After how many seconds the term was raised; 1000: not within two minutes. */
static int
raised_after(struct ta *t)
{
    for (int s = 0; s < 120; s++) {
        if (term(t) > 1)
            return s;
        tw_advance(t->tw, S);
    }
    return 1000;
}

static void
on_changed(struct mh_api_call *call)
{
    CHECK_INT(call->status, 200);
}

static void
change(struct ta *t, const char *body)
{
    struct mh_api_call c = { .method = "PATCH",
                             .path = TA_CLUSTER,
                             .content_type = MH_PATCH_MERGE,
                             .body = body,
                             .body_len = strlen(body),
                             .arena = &t->tw->arena,
                             .done = on_changed };
    t->tw->world.api.start(t->tw->world.api.self, &c);
    tw_settle(t->tw);
}

static const char *
role_of(struct ta *t, const char *pod)
{
    return mh_json_str(tw_object(t->tw, pod), "metadata", "labels", "cnpg.io/instanceRole", NULL);
}

TEST(a_standby_takes_over_when_the_primary_is_lost_and_nobody_operates)
{
    struct ta *t = standby("required");
    int before = t->peer.asked;
    tw_advance(t->tw, 20 * S);
    CHECK_INT(term(t), 1); /* it streams: nothing is wrong, nobody is asked */
    CHECK_INT(t->peer.asked, before);
    lose_primary(t);
    int s = raised_after(t);
    CHECK(s >= 1 && s <= 10);
    tw_advance(t->tw, 2 * S);
    CHECK_STR(holder(t), "db-2");
    CHECK_INT(term(t), 2);
    CHECK(strstr(t->peer.url, "https://10.0.0.1:8000/moonherd/v1/member") != NULL);
    const struct tw_request *event = tw_api_last(t->tw, "POST", "/events");
    CHECK(event != NULL);
    CHECK_STR(mh_json_str(event->body, "reason", NULL), "FailoverTarget");
    CHECK_STR(mh_json_str(event->body, "message", NULL), "Failing over to db-2");
    CHECK_STR(mh_json_str(event->body, "involvedObject", "kind", NULL), "Cluster");
    t->pg.replicas[0] = (struct ta_replica){ "db-1", true, UINT64_MAX, 1 };
    t->pg.nreplicas = 1; /* db-1 is back, and confirms: the gate opens */
    tw_advance(t->tw, 3 * S);
    CHECK_STR(role_of(t, POD_2), "primary");
    ta_end(t);
}

TEST(an_asynchronous_one_waits_for_the_lease_bound)
{
    struct ta *t = standby(NULL);
    lose_primary(t);
    int s = raised_after(t);
    CHECK(s >= 5 && s <= 10);
    tw_advance(t->tw, 7 * S);
    CHECK_STR(holder(t), "db-1"); /* it may still acknowledge */
    tw_advance(t->tw, 3 * S);
    CHECK_STR(holder(t), "db-2");
    tw_advance(t->tw, 2 * S);
    CHECK_STR(role_of(t, POD_2), "primary");
    ta_end(t);
}

TEST(a_primary_whose_manager_answers_is_not_replaced)
{
    struct ta *t = standby("required");
    lose_primary(t);
    t->peer.json = mh_arena_printf(&t->tw->arena, PRIMARY, "uid-db");
    CHECK_INT(raised_after(t), 1000);
    CHECK(t->peer.asked > 10);
    ta_end(t);
}

TEST(the_answer_of_another_clusters_instance_is_none)
{
    struct ta *t = standby("required");
    lose_primary(t);
    t->peer.json = mh_arena_printf(&t->tw->arena, PRIMARY, "uid-other");
    CHECK(raised_after(t) <= 10);
    ta_end(t);
}

TEST(a_primary_fenced_by_hand_and_a_hibernated_cluster_are_left_alone)
{
    static const char *const notes[] = {
        "{\"metadata\":{\"annotations\":{\"cnpg.io/fencedInstances\":\"[\\\"db-1\\\"]\"}}}",
        "{\"metadata\":{\"annotations\":{\"cnpg.io/hibernation\":\"on\"}}}",
    };
    for (int i = 0; i < 2; i++) {
        struct ta *t = standby("required");
        change(t, notes[i]);
        lose_primary(t);
        CHECK_INT(raised_after(t), 1000);
        ta_end(t);
    }
}

TEST(nobody_is_promoted_into_a_full_disk)
{
    struct ta *t = standby("required");
    tw_put(t->tw, POD_1,
           "{\"metadata\":{\"name\":\"db-1\"},\"status\":{\"containerStatuses\":[{\"name\":"
           "\"postgres\",\"state\":{\"waiting\":{}},\"lastState\":{\"terminated\":{\"exitCode\":4}}"
           "}]}}");
    lose_primary(t);
    CHECK_INT(raised_after(t), 1000);
    ta_end(t);
}

TEST(failover_delay_is_waited_for)
{
    struct ta *t = standby("required");
    change(t, "{\"spec\":{\"failoverDelay\":30}}");
    lose_primary(t);
    int s = raised_after(t);
    CHECK(s >= 30 && s <= 37);
    ta_end(t);
}

TEST(a_standby_outside_the_set_waits_for_others)
{
    struct ta *t = ta_new("db-2", 3, "required");
    ta_data(t, true);
    ta_term(t, 1, 1, "vol-2");
    ta_lease(t, "db-1", 1, "stable", "vol-1",
             "[{\"names\":[\"db-3\"],\"number\":1,\"method\":\"any\"}]");
    ta_start(t);
    CHECK_INT(raised_after(t), 1000);
    ta_end(t);
}
