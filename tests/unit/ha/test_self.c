/* What one instance does with the Lease that it has read. */
#include "ha/self.h"
#include "harness/test.h"

static struct mh_ha_lease lease;

/* Instance a of term 4 with its own volume; the Lease is as `holder` and `phase` say. */
static struct mh_ha_self_in
input(const char *holder, enum mh_ha_phase phase, uint64_t term)
{
    lease = (struct mh_ha_lease){ .exists = true,
                                  .resource_version = "1",
                                  .holder = holder,
                                  .term = term,
                                  .phase = phase,
                                  .address = "10.0.0.9",
                                  .incarnation = "vol-a" };
    return (struct mh_ha_self_in){
        .name = "a",
        .cluster_uid = "uid",
        .lease = &lease,
        .own = { .promise = 4, .term = 4, .incarnation = "vol-a", .cluster_uid = "uid" },
        .has_data = true
    };
}

static struct mh_ha_self_in
running(struct mh_ha_self_in in, enum mh_ha_role role)
{
    in.running = role != MH_HA_NONE;
    in.role = role;
    in.data_primary = role == MH_HA_PRIMARY;
    return in;
}

static struct mh_ha_self_out
ask(const struct mh_ha_self_in *in)
{
    struct mh_ha_self_out out;
    mh_ha_self(in, &out);
    CHECK(out.reason && *out.reason);
    CHECK(in->own.promise <= out.term || out.order == MH_HA_HALT); /* I4 */
    return out;
}

/* Every phase, as holder and as another, as each role: D4, C9, H8. */
TEST(orders_follow_from_phase_holder_and_role)
{
    static const struct {
        const char *holder;
        enum mh_ha_phase phase;
        uint64_t term;
        enum mh_ha_role role;
        enum mh_ha_order order;
        uint64_t order_term;
    } table[] = {
        { "a", MH_HA_STABLE, 4, MH_HA_PRIMARY, MH_HA_SERVE, 4 },
        { "a", MH_HA_STABLE, 4, MH_HA_NONE, MH_HA_SERVE, 4 },
        { "a", MH_HA_SUSPECT, 4, MH_HA_PRIMARY, MH_HA_SERVE, 4 },
        { "a", MH_HA_FENCING, 5, MH_HA_PRIMARY, MH_HA_QUIT, 5 },
        { "a", MH_HA_FENCING, 5, MH_HA_NONE, MH_HA_QUIT, 5 },
        { "a", MH_HA_SWITCHING, 5, MH_HA_PRIMARY, MH_HA_STEPDOWN, 5 },
        { "a", MH_HA_SWITCHING, 5, MH_HA_NONE, MH_HA_STEPDOWN, 5 },
        { "a", MH_HA_PROMOTING, 5, MH_HA_STANDBY, MH_HA_SERVE, 5 },
        { "a", MH_HA_PROMOTING, 4, MH_HA_NONE, MH_HA_SERVE, 4 },
        { "b", MH_HA_STABLE, 4, MH_HA_STANDBY, MH_HA_FOLLOW, 4 },
        { "b", MH_HA_STABLE, 5, MH_HA_PRIMARY, MH_HA_QUIT, 5 },
        { "b", MH_HA_STABLE, 5, MH_HA_NONE, MH_HA_FOLLOW, 5 },
        { "b", MH_HA_SUSPECT, 4, MH_HA_STANDBY, MH_HA_FOLLOW, 4 },
        { "b", MH_HA_PROMOTING, 5, MH_HA_PRIMARY, MH_HA_QUIT, 5 },
        { "b", MH_HA_PROMOTING, 5, MH_HA_STANDBY, MH_HA_FOLLOW, 5 },
        { "b", MH_HA_FENCING, 5, MH_HA_PRIMARY, MH_HA_QUIT, 5 },
        { "b", MH_HA_FENCING, 5, MH_HA_STANDBY, MH_HA_FENCE, 5 },
        { "b", MH_HA_FENCING, 5, MH_HA_NONE, MH_HA_FENCE, 5 },
        { "b", MH_HA_SWITCHING, 5, MH_HA_PRIMARY, MH_HA_QUIT, 5 },
        { "b", MH_HA_SWITCHING, 5, MH_HA_STANDBY, MH_HA_FOLLOW, 4 },
        { "b", MH_HA_SWITCHING, 7, MH_HA_STANDBY, MH_HA_FOLLOW, 6 },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct mh_ha_self_in in =
            running(input(table[i].holder, table[i].phase, table[i].term), table[i].role);
        struct mh_ha_self_out out = ask(&in);
        if (out.order != table[i].order || out.term != table[i].order_term)
            printf("# row %zu\n", i);
        CHECK_STR(mh_ha_order_name(out.order), mh_ha_order_name(table[i].order));
        CHECK_INT(out.term, table[i].order_term);
        if (out.order == MH_HA_FOLLOW) {
            CHECK_STR(out.address, "10.0.0.9");
            CHECK_STR(out.follow, "b");
        } else {
            CHECK(out.order == MH_HA_FENCE || !out.address);
        }
    }
}

TEST(nothing_starts_before_the_lease_was_read)
{
    struct mh_ha_self_in in = running(input("a", MH_HA_STABLE, 4), MH_HA_NONE);
    in.lease = NULL;
    CHECK_INT(ask(&in).order, MH_HA_WAIT); /* A1, D4 */
}

TEST(a_lease_below_the_promise_changes_nothing)
{
    for (int phase = MH_HA_STABLE; phase <= MH_HA_PROMOTING; phase++) {
        for (int holder = 0; holder < 2; holder++) {
            struct mh_ha_self_in in = input(holder ? "a" : "b", (enum mh_ha_phase)phase, 4);
            in.own.promise = 5; /* A9, A17 */
            CHECK_INT(ask(&in).order, MH_HA_WAIT);
        }
    }
}

TEST(a_volume_of_another_cluster_is_never_used)
{
    struct mh_ha_self_in in = input("a", MH_HA_STABLE, 4);
    (void)snprintf(in.own.cluster_uid, sizeof(in.own.cluster_uid), "other"); /* A11, E10 */
    CHECK_INT(ask(&in).order, MH_HA_HALT);
}

TEST(the_name_alone_does_not_make_a_primary)
{
    struct mh_ha_self_in in = running(input("a", MH_HA_STABLE, 4), MH_HA_NONE);
    lease.incarnation = "vol-other"; /* D14, E12 */
    CHECK_INT(ask(&in).order, MH_HA_HALT);
    in = running(in, MH_HA_PRIMARY);
    CHECK_INT(ask(&in).order, MH_HA_QUIT);
    lease.incarnation = NULL;
    CHECK_INT(ask(&in).order, MH_HA_QUIT);
    in = running(input("a", MH_HA_STABLE, 5), MH_HA_NONE); /* E10: this data never served term 5 */
    CHECK_INT(ask(&in).order, MH_HA_HALT);
    in = input("a", MH_HA_PROMOTING, 5);
    in.has_data = false;
    CHECK_INT(ask(&in).order, MH_HA_HALT);
}

TEST(an_elected_instance_serves_only_with_the_volume_that_was_elected)
{
    struct mh_ha_self_in in = running(input("a", MH_HA_PROMOTING, 5), MH_HA_STANDBY);
    lease.incarnation = "vol-other"; /* E12 between election and promotion */
    CHECK_INT(ask(&in).order, MH_HA_HALT);
    in = running(in, MH_HA_PRIMARY);
    CHECK_INT(ask(&in).order, MH_HA_QUIT);
    lease.incarnation = ""; /* it was not known */
    CHECK_INT(ask(&in).order, MH_HA_SERVE);
    lease.incarnation = NULL;
    CHECK_INT(ask(&in).order, MH_HA_SERVE);
}

TEST(a_new_term_for_a_running_primary_needs_no_restart)
{
    struct mh_ha_self_in in = running(input("a", MH_HA_PROMOTING, 5), MH_HA_PRIMARY);
    struct mh_ha_self_out out = ask(&in);
    CHECK_INT(out.order, MH_HA_SERVE);
    CHECK(out.adopt);
    in = running(in, MH_HA_STANDBY);
    CHECK(!ask(&in).adopt);
}

TEST(the_preferred_candidate_fetches_the_rest)
{
    struct mh_ha_self_in in = running(input("b", MH_HA_FENCING, 5), MH_HA_STANDBY);
    CHECK(!ask(&in).address);
    lease.candidate = "a";
    CHECK_STR(ask(&in).address, "10.0.0.9");
    lease.candidate = "c";
    CHECK(!ask(&in).address);
}

/* --- the first primary, and a Lease that was removed ----------------------------------------- */

static struct mh_ha_self_in
empty_lease(uint64_t promise, uint64_t term, bool data_primary)
{
    struct mh_ha_self_in in = input(NULL, MH_HA_STABLE, 0);
    lease.incarnation = NULL;
    in.own.promise = promise;
    in.own.term = term;
    in.data_primary = data_primary;
    return in;
}

TEST(only_a_new_primary_claims_an_empty_lease)
{
    struct mh_ha_self_in in = empty_lease(0, 0, true);
    struct mh_ha_self_out out = ask(&in);
    CHECK_INT(out.order, MH_HA_CLAIM);
    CHECK_INT(out.term, 1);
    in.has_data = false;
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = empty_lease(0, 0, false);
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = empty_lease(4, 4, true); /* H4 */
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = empty_lease(1, 1, true); /* it served term 1; who serves now is unknown */
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = empty_lease(0, 0, true);
    lease.term = 3;
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = empty_lease(0, 0, true);
    lease.exists = false;
    CHECK_INT(ask(&in).order, MH_HA_CLAIM);
}

/* A5: the claim's promise is durable before it is sent, and then the outcome stays unknown. */
TEST(a_claim_that_was_not_answered_is_made_again)
{
    struct mh_ha_self_in in = empty_lease(1, 0, true);
    CHECK_INT(ask(&in).order, MH_HA_CLAIM);
    in = empty_lease(1, 0, false); /* a standby that never streamed */
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = empty_lease(2, 0, true);
    CHECK_INT(ask(&in).order, MH_HA_WAIT);
    in = input("a", MH_HA_STABLE, 1);
    in.own.promise = 1;
    in.own.term = 0;
    in.data_primary = true;
    CHECK_INT(ask(&in).order, MH_HA_SERVE); /* it was written after all */
    lease.incarnation = "vol-other";
    CHECK_INT(ask(&in).order, MH_HA_HALT);
}

/* --- the promise file ------------------------------------------------------------------------ */

TEST(the_promise_reads_back_and_nonsense_does_not)
{
    struct mh_arena a;
    struct mh_ha_term t = { .promise = 7, .term = 6, .incarnation = "x-y", .cluster_uid = "u" };
    struct mh_ha_term back;
    mh_arena_init(&a, 1 << 20);
    char *text = mh_ha_term_text(&a, &t);
    CHECK(mh_ha_term_read(&a, text, strlen(text), &back));
    CHECK_INT(back.promise, 7);
    CHECK_INT(back.term, 6);
    CHECK_STR(back.incarnation, "x-y");
    CHECK_STR(back.cluster_uid, "u");
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"promise\":1,\"term\":1}",
        "{\"promise\":-1,\"term\":1,\"incarnation\":\"a\",\"cluster\":\"b\"}",
        "{\"promise\":1,\"term\":-1,\"incarnation\":\"a\",\"cluster\":\"b\"}",
        "{\"promise\":\"1\",\"term\":1,\"incarnation\":\"a\",\"cluster\":\"b\"}",
        "{\"promise\":1,\"term\":1,\"incarnation\":null,\"cluster\":\"b\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK(!mh_ha_term_read(&a, bad[i], strlen(bad[i]), &back));
    mh_arena_release(&a);
}
