/* JSON in, JSON out: what the controller script and the executor see of the protocol. */
#include "ha/facts.h"
#include "harness/test.h"

#define LEASE(phase, holder, term)                                                                 \
    "{\"metadata\":{\"uid\":\"lease-uid\",\"resourceVersion\":\"70\",\"annotations\":{"            \
    "\"moonherd.io/phase\":\"" phase "\",\"moonherd.io/configs\":"                                 \
    "\"[{\\\"names\\\":[\\\"b\\\",\\\"c\\\"],\\\"number\\\":1}]\"}},"                              \
    "\"spec\":{\"holderIdentity\":\"" holder "\",\"leaseTransitions\":" #term "}}"
#define STANDBY(promise, lsn, extra)                                                               \
    "{\"connected\":true,\"status\":{\"moonherd\":{\"role\":\"standby\",\"pgUp\":true,"            \
    "\"promise\":" #promise                                                                        \
    ",\"term\":4,\"timeline\":2,\"incarnation\":\"vol\",\"flushLsn\":\"" lsn                       \
    "\",\"history\":[[1,\"0/50\"]]" extra "}}}"
#define PODS                                                                                       \
    "[{\"name\":\"a\",\"uid\":\"1\",\"ip\":\"10.0.0.1\",\"terminated\":true,\"node_ready\":true}," \
    "{\"name\":\"b\",\"uid\":\"2\",\"ip\":\"10.0.0.2\",\"zone\":\"z1\",\"node\":\"k1\",\"ready\":" \
    "true},"                                                                                       \
    "{\"name\":\"c\",\"uid\":\"3\",\"ip\":\"10.0.0.3\"}]"
#define CLUSTER "\"cluster\":{\"name\":\"db\",\"namespace\":\"ns\"},\"pods\":" PODS

static const char fenced[] = "{" CLUSTER ",\"lease\":" LEASE(
    "fencing", "a",
    5) ",\"instances\":{"
       "\"a\":{\"connected\":false,\"lost_s\":2.5},"
       "\"b\":" STANDBY(5, "0/100", ",\"fenced\":true") ","
                                                        "\"c\":" STANDBY(5, "0/90",
                                                                         ",\"fenced\":true") "}}";

static struct mh_arena arena;

/* The verdict as text; NULL if it fails. */
static char *
assess(const char *facts, struct mh_ha_tracker *t, int64_t now_ms, struct mh_err *err)
{
    yyjson_val *v = NULL;
    yyjson_mut_val *out = NULL;
    if (mh_json_parse(&arena, facts, strlen(facts), &v, err))
        return NULL;
    yyjson_mut_doc *d = mh_json_doc(&arena);
    if (!d) {
        (void)mh_fail(err, MH_E_NOMEM, "no document");
        return NULL;
    }
    if (mh_ha_assess_json(&arena, t, now_ms, v, d, &out, err))
        return NULL;
    char *text = mh_json_mut_text(&arena, out, NULL);
    if (!text)
        (void)mh_fail(err, MH_E_NOMEM, "no text");
    return text;
}

static yyjson_val *
verdict(const char *facts)
{
    struct mh_ha_tracker t;
    struct mh_err err;
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 4 << 20);
    mh_ha_tracker_init(&t);
    char *text = assess(facts, &t, 1000, &err);
    if (text)
        (void)mh_json_parse(&arena, text, strlen(text), &v, &err);
    mh_ha_tracker_release(&t);
    return v;
}

TEST(an_election_is_one_swap_of_the_lease_with_its_version)
{
    yyjson_val *v = verdict(fenced);
    yyjson_val *step = yyjson_arr_get(mh_json_get(v, "steps", NULL), 0);
    CHECK_STR(mh_json_str(v, "state", NULL), "promoting");
    CHECK_INT(mh_json_int(v, 0, "term", NULL), 5);
    CHECK_STR(mh_json_str(v, "primary", NULL), "a");
    CHECK(!mh_json_bool(v, true, "blocked", NULL));
    CHECK(mh_json_bool(v, false, "wants_order", NULL));
    CHECK_STR(mh_json_str(step, "op", NULL), "lease");
    CHECK_STR(mh_json_str(step, "namespace", NULL), "ns");
    CHECK_STR(mh_json_str(step, "name", NULL), "db");
    CHECK_STR(mh_json_str(step, "from", "resourceVersion", NULL), "70");
    CHECK_STR(mh_json_str(step, "to", "holderIdentity", NULL), "b");
    CHECK(!mh_json_get(step, "to", "leaseTransitions", NULL));
    CHECK_STR(mh_json_str(step, "to", "annotations", "moonherd.io/phase", NULL), "promoting");
    CHECK_STR(mh_json_str(step, "to", "annotations", "moonherd.io/address", NULL), "10.0.0.2");
    CHECK_STR(mh_json_str(step, "to", "annotations", "moonherd.io/incarnation", NULL), "vol");
    CHECK(yyjson_is_null(mh_json_get(step, "to", "annotations", "moonherd.io/candidate", NULL)));
}

TEST(candidates_are_shown_best_first_with_what_policies_need)
{
    yyjson_val *list = mh_json_get(verdict(fenced), "candidates", NULL);
    yyjson_val *b = yyjson_arr_get(list, 0);
    CHECK_INT(yyjson_arr_size(list), 2);
    CHECK_STR(mh_json_str(b, "name", NULL), "b");
    CHECK_STR(mh_json_str(b, "zone", NULL), "z1");
    CHECK_STR(mh_json_str(b, "node", NULL), "k1");
    CHECK_STR(mh_json_str(b, "flush_lsn", NULL), "0/100");
    CHECK(mh_json_bool(b, false, "sync", NULL));
    CHECK(mh_json_bool(b, false, "ready", NULL));
    CHECK_INT(mh_json_int(yyjson_arr_get(list, 1), -1, "replay_lag", NULL), 0x70);
}

TEST(instances_that_have_not_promised_are_told)
{
    yyjson_val *v = verdict(
        "{" CLUSTER ",\"lease\":" LEASE("fencing", "a", 5) ",\"instances\":{"
                                                           "\"b\":" STANDBY(4, "0/100", "") "}}");
    yyjson_val *step = yyjson_arr_get(mh_json_get(v, "steps", NULL), 0);
    CHECK_INT(yyjson_arr_size(mh_json_get(v, "steps", NULL)), 1);
    CHECK_STR(mh_json_str(step, "op", NULL), "instance");
    CHECK_STR(mh_json_str(step, "pod", NULL), "b");
    CHECK_STR(mh_json_str(step, "command", NULL), "lease");
    CHECK_INT(mh_json_int(step, 0, "term", NULL), 5);
    CHECK_STR(mh_json_str(step, "lease", "metadata", "resourceVersion", NULL), "70");
}

TEST(a_status_line_becomes_a_member)
{
    static const char text[] =
        "{\"replayPaused\":true,\"moonherd\":{\"role\":\"primary\",\"pgUp\":true,\"handOver\":true,"
        "\"promise\":7,\"term\":6,\"fenced\":true,\"receiverActive\":true,\"receiverQuietMs\":12,"
        "\"stoppedClean\":true,\"shutdownLsn\":\"1/20\",\"timeline\":3,\"flushLsn\":\"2/30\","
        "\"incarnation\":\"vol\",\"history\":[[1,\"0/10\"],[2,\"0/20\"]]}}";
    struct mh_ha_member m = { .name = "a" };
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    CHECK_INT(mh_json_parse(&arena, text, strlen(text), &v, NULL), MH_OK);
    CHECK(mh_ha_member_read(v, &m));
    CHECK(m.known && m.pg_up && m.gave_up && m.fenced && m.receiving && m.stopped_clean &&
          m.replay_paused);
    CHECK_INT(m.role, MH_HA_PRIMARY);
    CHECK_INT(m.promise, 7);
    CHECK_INT(m.term, 6);
    CHECK_INT(m.quiet_ms, 12);
    CHECK_INT((int64_t)m.shutdown_lsn, 0x100000020);
    CHECK_INT((int64_t)m.flush_lsn, 0x200000030);
    CHECK_INT(m.timeline, 3);
    CHECK_STR(m.incarnation, "vol");
    CHECK_INT(m.nhistory, 2);
    CHECK_INT((int64_t)m.history[1].end, 0x20);
}

/* A status that lies or is nonsense must not read as a promise. */
TEST(hostile_status_lines_are_unknown_or_harmless)
{
    static const char *const bad[] = {
        "{}", "[]", "7", "{\"moonherd\":7}", "{\"moonherd\":{\"role\":5,\"promise\":9}}",
    };
    struct mh_ha_member m;
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        m = (struct mh_ha_member){ .name = "a" };
        CHECK_INT(mh_json_parse(&arena, bad[i], strlen(bad[i]), &v, NULL), MH_OK);
        CHECK(!mh_ha_member_read(v, &m) && !m.known && m.promise == 0);
    }
    static const char odd[] = "{\"moonherd\":{\"role\":\"boss\",\"promise\":-3,\"fenced\":\"true\","
                              "\"flushLsn\":\"x\",\"history\":[[1,\"0/1\"],[\"2\"],7]}}";
    m = (struct mh_ha_member){ .name = "a" };
    CHECK_INT(mh_json_parse(&arena, odd, strlen(odd), &v, NULL), MH_OK);
    CHECK(mh_ha_member_read(v, &m));
    CHECK(m.role == MH_HA_NONE && m.promise == 0 && !m.fenced && m.flush_lsn == 0);
    CHECK_INT(m.nhistory, 1);
}

TEST(facts_without_a_cluster_or_with_too_much_are_refused)
{
    struct mh_ha_tracker t;
    struct mh_err err;
    char pods[2048] = "[";
    char text[4096];
    mh_arena_release(&arena);
    mh_arena_init(&arena, 4 << 20);
    mh_ha_tracker_init(&t);
    CHECK(!assess("{}", &t, 0, &err));
    CHECK_INT(err.code, MH_E_INVALID);
    CHECK(!assess("{\"cluster\":{\"name\":\"db\"},\"pods\":[{}]}", &t, 0, &err));
    CHECK_INT(err.code, MH_E_INVALID);
    CHECK(!assess("{\"cluster\":{\"name\":\"db\"},\"lease\":{\"metadata\":{\"annotations\":{"
                  "\"moonherd.io/configs\":\"?\"}}}}",
                  &t, 0, &err));
    CHECK_INT(err.code, MH_E_INVALID);
    for (int i = 0; i < 33; i++)
        (void)snprintf(pods + strlen(pods), sizeof(pods) - strlen(pods), "%s{\"name\":\"p%d\"}",
                       i ? "," : "", i);
    (void)snprintf(text, sizeof(text), "{\"cluster\":{\"name\":\"db\"},\"pods\":%s]}", pods);
    CHECK(!assess(text, &t, 0, &err));
    CHECK_INT(err.code, MH_E_LIMIT);
    mh_ha_tracker_release(&t);
}

TEST(fields_of_the_cluster_reach_the_view)
{
    static const char text[] =
        "{\"cluster\":{\"name\":\"db\",\"failover_delay\":3,\"switchover_delay\":40,\"restart_"
        "hold\":9,"
        "\"primary_lease\":{\"leaseDurationSeconds\":4}},\"lease\":null,\"target\":\"b\","
        "\"current\":\"a\",\"hold\":true,\"order\":[\"b\",7,\"c\"],"
        "\"pods\":[{\"name\":\"a\",\"terminated\":true,\"node_ready\":false,\"deleted\":true},"
        "{\"name\":\"b\",\"terminated\":true,\"node_ready\":true,"
        "\"ended_session\":\"s1\"}],"
        "\"instances\":{\"a\":{\"connected\":false,\"lost_s\":1.25}}}";
    static struct mh_ha_view view;
    struct mh_err err;
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    CHECK_INT(mh_json_parse(&arena, text, strlen(text), &v, &err), MH_OK);
    CHECK_INT(mh_ha_facts_read(&arena, v, 77, &view, &err), MH_OK);
    CHECK(!view.lease.exists && view.hold);
    CHECK_INT(view.restart_hold_ms, 9000);
    CHECK(view.members[0].deleting && !view.members[1].deleting);
    CHECK_INT(view.failover_delay_ms, 3000);
    CHECK_INT(view.switchover_delay_ms, 40000);
    CHECK_INT(view.lease_ms, 4000);
    CHECK_INT(view.lease_unchanged_ms, 77);
    CHECK_STR(view.target, "b");
    CHECK_STR(view.current, "a");
    CHECK_INT(view.norder, 2);
    CHECK_INT(view.members[0].lost_ms, 1250);
    CHECK(!view.members[0].stopped_for_kubelet); /* D2: a dead kubelet says nothing */
    CHECK(view.members[1].stopped_for_kubelet);
    CHECK_STR(view.members[1].ended_session, "s1");
    CHECK_INT(view.members[1].lost_ms, -1);
}

TEST(the_tracker_counts_from_the_first_sight_of_a_version)
{
    struct mh_ha_tracker t;
    mh_ha_tracker_init(&t);
    CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "u", "1", 1000), 0);
    CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "u", "1", 1500), 500);
    CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "u", "2", 1600), 0);
    CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "v", "2", 1700), 0); /* A11 */
    CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "u", "2", 1700), 100);
    mh_ha_tracker_release(&t);
    mh_ha_tracker_init(&t);
    CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "u", "2", 9000), 0); /* a new operator waits anew */
    mh_ha_tracker_release(&t);
    for (int k = 0; k < 8; k++) {
        mh_ha_tracker_init(&t);
        mh_mem_fail_after(k);
        CHECK_INT(mh_ha_tracker_unchanged_ms(&t, "u", "1", 1000), 0);
        mh_mem_fail_after(-1);
        mh_ha_tracker_release(&t);
    }
}

TEST(every_failed_allocation_is_no_memory_and_never_half_a_verdict)
{
    struct mh_arena whole_arena;
    struct mh_ha_tracker t;
    struct mh_err err;
    bool came = true;
    int failures = 0;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 4 << 20);
    mh_ha_tracker_init(&t);
    mh_arena_init(&whole_arena, 1 << 20);
    char *whole = mh_arena_strdup(&whole_arena, assess(fenced, &t, 1000, &err));
    mh_ha_tracker_release(&t);
    CHECK(whole != NULL);
    for (int k = 0; came && k < 2000; k++) {
        mh_arena_release(&arena);
        mh_arena_init(&arena, 4 << 20);
        mh_ha_tracker_init(&t);
        mh_mem_fail_after(k);
        char *text = assess(fenced, &t, 1000, &err);
        came = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK(text || err.code == MH_E_NOMEM);
        if (text)
            CHECK_STR(text, whole);
        failures += came;
        mh_ha_tracker_release(&t);
    }
    CHECK(!came && failures > 3);
    mh_arena_release(&whole_arena);
    mh_arena_release(&arena);
}
