/* Which log is newer, and which is a part of which. */
#include "base/str.h"
#include "ha/self.h"
#include "harness/test.h"
#include "view_helper.h"

static bool
is_part(uint32_t timeline, uint64_t made, uint64_t lsn, uint64_t server_made, int nhistory)
{
    static const struct mh_ha_history h[] = { { 1, 100, 0 }, { 2, 200, 4 } };
    struct mh_ha_point p = { timeline, made, lsn };
    struct mh_ha_line line = { 3, server_made, h, nhistory };
    return mh_ha_is_ancestor(&p, &line);
}

TEST(a_log_is_a_part_of_another_up_to_the_fork)
{
    CHECK(is_part(3, 0, 500, 0, 2)); /* F16 */
    CHECK(is_part(1, 0, 100, 0, 2));
    CHECK(!is_part(1, 0, 101, 0, 2));
    CHECK(is_part(2, 0, 200, 0, 2));
    CHECK(!is_part(2, 0, 201, 0, 2));
    CHECK(!is_part(4, 0, 1, 0, 2)); /* a timeline that the server has not seen */
    CHECK(!is_part(1, 0, 1, 0, 0));
}

TEST(a_number_that_two_promotions_took_is_no_common_timeline)
{
    CHECK(!is_part(3, 6, 1, 7, 2)); /* F14 */
    CHECK(is_part(3, 7, 1, 7, 2));
    CHECK(is_part(3, 6, 1, 0, 2)); /* not known: by the number */
    CHECK(is_part(2, 4, 150, 7, 2));
    CHECK(!is_part(2, 3, 150, 7, 2));
}

TEST(the_later_promotion_is_the_newer_lineage_whatever_its_number)
{
    struct mh_ha_point early = { 3, 5, 900 }; /* F13, F14 */
    struct mh_ha_point late = { 2, 6, 100 };
    CHECK(mh_ha_point_compare(&late, &early) > 0);
    CHECK(mh_ha_point_compare(&early, &late) < 0);
    late.timeline = 3;
    CHECK(mh_ha_point_compare(&late, &early) > 0);
    late.made = 0;
    CHECK(mh_ha_point_compare(&late, &early) < 0); /* not known: number, then position */
    late.made = 5;
    late.lsn = 901;
    CHECK(mh_ha_point_compare(&late, &early) > 0);
}

TEST(who_made_a_timeline_is_known_from_the_promotions)
{
    struct mh_ha_makers m = { 0 };
    CHECK_INT(mh_ha_maker(&m, 7), 0);
    mh_ha_makers_add(&m, 1, 2);
    mh_ha_makers_add(&m, 2, 5);
    CHECK_INT(mh_ha_maker(&m, 1), 0);
    CHECK_INT(mh_ha_maker(&m, 2), 2);
    CHECK_INT(mh_ha_maker(&m, 3), 5);
    CHECK_INT(mh_ha_maker(&m, 9), 5); /* the archive may have numbers that nobody here has seen */
    mh_ha_makers_add(&m, 2, 6);       /* the promotion of term 5 did not happen */
    CHECK_INT(m.n, 2);
    CHECK_INT(mh_ha_maker(&m, 3), 6);
    for (uint32_t i = 3; i < 40; i++)
        mh_ha_makers_add(&m, i, i + 10);
    CHECK_INT(m.n, MH_HA_MADE_MAX);
    CHECK_INT(mh_ha_maker(&m, 40), 49);
    CHECK_INT(mh_ha_maker(&m, 3), 0); /* too long ago */
}

TEST(makers_of_two_instances_conflict_where_both_have_the_timeline)
{
    struct mh_ha_makers own = { 0 };
    const struct mh_ha_history h[] = { { 1, 100, 0 }, { 2, 200, 4 } };
    struct mh_ha_line line = { 3, 7, h, 2 };
    CHECK(!mh_ha_makers_conflict(&own, 3, &line));
    mh_ha_makers_add(&own, 1, 4);
    CHECK(!mh_ha_makers_conflict(&own, 2, &line));
    mh_ha_makers_add(&own, 2, 6);
    CHECK(!mh_ha_makers_conflict(&own, 2, &line)); /* an election without a promotion */
    CHECK(mh_ha_makers_conflict(&own, 3, &line));
    mh_ha_makers_add(&own, 1, 3);
    CHECK(mh_ha_makers_conflict(&own, 2, &line));
}

TEST(makers_survive_the_term_file)
{
    struct mh_arena a;
    struct mh_ha_term t = { .promise = 9, .term = 8 };
    struct mh_ha_term back;
    mh_arena_init(&a, 65536);
    mh_str_copy(t.incarnation, sizeof(t.incarnation), "x");
    mh_ha_makers_add(&t.makers, 1, 2);
    mh_ha_makers_add(&t.makers, 4, 8);
    char *text = mh_ha_term_text(&a, &t);
    CHECK(mh_ha_term_read(&a, text, strlen(text), &back));
    CHECK_INT(back.makers.n, 2);
    CHECK_INT(mh_ha_maker(&back.makers, 5), 8);
    static const char old[] = "{\"promise\":1,\"term\":1,\"incarnation\":\"x\",\"cluster\":\"\"}";
    CHECK(mh_ha_term_read(&a, old, strlen(old), &back)); /* B3 */
    CHECK_INT(back.makers.n, 0);
    static const char odd[] = "{\"promise\":1,\"term\":1,\"incarnation\":\"x\",\"cluster\":\"\","
                              "\"timelines\":[[2,3],[1,9],[\"x\"]]}";
    CHECK(mh_ha_term_read(&a, odd, strlen(odd), &back));
    CHECK_INT(back.makers.n, 1);
    mh_arena_release(&a);
}

/* I2, F14: a branch that was never gated, longer than the one that acknowledged. */
TEST(the_branch_of_the_later_term_is_elected_where_numbers_are_equal)
{
    struct mh_ha_view v = th_fencing();
    th_fence(&v, B, 900);
    th_fence(&v, C, 100);
    v.members[B].timeline = v.members[C].timeline = 2;
    v.members[B].made = 3;
    v.members[C].made = 4;
    struct mh_ha_verdict d = th_assess(&v);
    CHECK(th_elects(&d, "c"));
    CHECK_INT(d.ncandidates, 1);
    CHECK(d.to.has_lineage);
    CHECK_INT(d.to.lineage.timeline, 2);
    CHECK_INT(d.to.lineage.made, 4);
}
