/* The queue: one pass a key, fairness, back-off, the urgent lane. */
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "operator/queue.h"

#define RUNS_MAX 200

static struct {
    struct tw *tw;
    struct mh_queue queue;
    char names[RUNS_MAX][24];
    int64_t at[RUNS_MAX];
    bool lanes[RUNS_MAX];
    struct mh_queue_item *open[RUNS_MAX];
    int runs;
    int preempted;
} q;

static void
run(void *arg, struct mh_queue_item *item, bool urgent)
{
    (void)arg;
    if (q.runs == RUNS_MAX)
        return;
    snprintf(q.names[q.runs], sizeof(q.names[0]), "%s", item->name);
    q.at[q.runs] = q.tw->now_ns;
    q.lanes[q.runs] = urgent;
    q.open[q.runs++] = item;
}

static void
preempt(void *arg, struct mh_queue_item *item)
{
    (void)arg, (void)item;
    q.preempted++;
}

static void
begin(unsigned limit)
{
    memset(&q, 0, sizeof(q));
    q.tw = tw_new(1);
    struct mh_queue_conf conf = { .clock = q.tw->world.clock,
                                  .rand = q.tw->world.rand,
                                  .limit = limit,
                                  .run = run,
                                  .preempt = preempt };
    mh_queue_init(&q.queue, &conf);
}

static void
finish(void)
{
    mh_queue_release(&q.queue);
    tw_free(q.tw);
}

static void
add(const char *name, bool urgent)
{
    CHECK(mh_queue_add(&q.queue, "K", "ns", name, urgent));
}

/* Ends the i-th run. */
static void
done(int i, enum mh_queue_outcome outcome, int64_t requeue_ms)
{
    mh_queue_done(&q.queue, q.open[i], outcome, requeue_ms);
}

TEST(a_pass_never_starts_from_inside_add)
{
    begin(2);
    add("a", false);
    CHECK_INT(q.runs, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 1);
    CHECK_STR(q.open[0]->kind, "K");
    CHECK_STR(q.open[0]->ns, "ns");
    done(0, MH_PASS_DONE, 0);
    CHECK_INT(mh_queue_depth(&q.queue), 0);
    CHECK_INT(q.queue.items.len, 0);
    finish();
}

TEST(many_changes_of_a_key_make_one_pass_and_one_more_while_it_runs)
{
    begin(2);
    for (int i = 0; i < 5; i++)
        add("a", false);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 1);
    for (int i = 0; i < 5; i++)
        add("a", false);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 1);
    done(0, MH_PASS_DONE, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 2);
    done(1, MH_PASS_DONE, 0);
    tw_advance(q.tw, 1000 * MH_NS_PER_S);
    CHECK_INT(q.runs, 2);
    finish();
}

TEST(routine_passes_keep_their_order_and_their_limit)
{
    begin(2);
    add("a", false);
    add("b", false);
    add("c", false);
    add("d", false);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 2);
    add("a", false); /* again: behind c and d */
    done(0, MH_PASS_DONE, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 3);
    CHECK_STR(q.names[2], "c");
    done(1, MH_PASS_DONE, 0);
    done(2, MH_PASS_DONE, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 5);
    CHECK_STR(q.names[3], "d");
    CHECK_STR(q.names[4], "a");
    done(3, MH_PASS_DONE, 0);
    done(4, MH_PASS_DONE, 0);
    finish();
}

TEST(an_urgent_key_starts_at_once_beside_the_limit)
{
    begin(1);
    add("a", false);
    add("b", false);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 1);
    add("z", true);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 2);
    CHECK_STR(q.names[1], "z");
    CHECK(q.lanes[1]);
    CHECK(q.at[1] - q.at[0] < 10 * MH_NS_PER_MS);
    add("b", true); /* waits already as routine */
    tw_settle(q.tw);
    CHECK_INT(q.runs, 3);
    CHECK_STR(q.names[2], "b");
    CHECK_INT(q.queue.running, 1);
    CHECK_INT(q.queue.running_lane, 2);
    for (int i = 0; i < 3; i++)
        done(i, MH_PASS_DONE, 0);
    finish();
}

TEST(an_urgent_change_preempts_a_routine_pass_once_and_no_urgent_one)
{
    begin(1);
    add("a", false);
    tw_settle(q.tw);
    add("a", true);
    add("a", true);
    CHECK_INT(q.preempted, 1);
    done(0, MH_PASS_DONE, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 2);
    CHECK(q.lanes[1]);
    add("a", true); /* while the urgent one runs: afterwards, not now */
    CHECK_INT(q.preempted, 1);
    done(1, MH_PASS_DONE, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 3);
    CHECK(q.lanes[2]);
    done(2, MH_PASS_DONE, 0);
    finish();
}

TEST(backoff_doubles_from_1_s_to_5_min_and_ends_with_success)
{
    begin(1);
    CHECK_INT(mh_queue_backoff_ns(1), MH_NS_PER_S);
    CHECK_INT(mh_queue_backoff_ns(3), 4 * MH_NS_PER_S);
    CHECK_INT(mh_queue_backoff_ns(50), 300 * MH_NS_PER_S);
    add("a", false);
    tw_settle(q.tw);
    for (int i = 0; i < 12; i++) {
        int64_t from = q.tw->now_ns, want = mh_queue_backoff_ns((unsigned)i + 1);
        done(i, MH_PASS_RETRY, 0);
        tw_advance(q.tw, 310 * MH_NS_PER_S);
        CHECK_INT(q.runs, i + 2);
        CHECK(q.at[i + 1] - from >= want * 4 / 5);
        CHECK(q.at[i + 1] - from <= want * 6 / 5);
    }
    done(12, MH_PASS_DONE, 0);
    CHECK_INT(q.queue.items.len, 0);
    finish();
}

TEST(the_first_retry_comes_after_about_one_second)
{
    begin(1);
    add("a", false);
    tw_settle(q.tw);
    int64_t from = q.tw->now_ns;
    done(0, MH_PASS_RETRY, 0);
    tw_advance(q.tw, 700 * MH_NS_PER_MS);
    CHECK_INT(q.runs, 1);
    tw_advance(q.tw, 600 * MH_NS_PER_MS);
    CHECK_INT(q.runs, 2);
    CHECK(q.at[1] - from >= 800 * MH_NS_PER_MS);
    CHECK(q.at[1] - from <= 1200 * MH_NS_PER_MS);
    done(1, MH_PASS_DONE, 0);
    finish();
}

TEST(a_change_shortens_the_backoff_to_a_second_and_an_urgent_one_ends_it)
{
    begin(1);
    add("a", false);
    tw_settle(q.tw);
    for (int i = 0; i < 6; i++) {
        done(i, MH_PASS_RETRY, 0);
        if (i < 5)
            tw_advance(q.tw, 400 * MH_NS_PER_S);
    }
    CHECK_INT(q.runs, 6); /* now waits about 32 s */
    add("a", false);
    tw_advance(q.tw, 1100 * MH_NS_PER_MS);
    CHECK_INT(q.runs, 7);
    done(6, MH_PASS_RETRY, 0);
    add("a", true);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 8);
    done(7, MH_PASS_DONE, 0);
    finish();
}

TEST(rereads_come_at_once_but_not_for_ever)
{
    begin(1);
    add("a", false);
    tw_settle(q.tw);
    for (int i = 0; i < 5; i++) {
        done(i, MH_PASS_REREAD, 0);
        tw_settle(q.tw);
        CHECK_INT(q.runs, i + 2);
    }
    done(5, MH_PASS_REREAD, 0);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 6);
    tw_advance(q.tw, 2 * MH_NS_PER_S);
    CHECK_INT(q.runs, 7);
    done(6, MH_PASS_DONE, 0);
    finish();
}

TEST(requeue_comes_when_asked_for_and_a_change_comes_before)
{
    begin(1);
    add("a", false);
    tw_settle(q.tw);
    done(0, MH_PASS_DONE, 2500);
    tw_advance(q.tw, 2400 * MH_NS_PER_MS);
    CHECK_INT(q.runs, 1);
    tw_advance(q.tw, 200 * MH_NS_PER_MS);
    CHECK_INT(q.runs, 2);
    done(1, MH_PASS_DONE, 60000);
    add("a", false);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 3);
    done(2, MH_PASS_DONE, 0);
    finish();
}

TEST(a_terminal_failure_waits_for_a_change_or_for_minutes)
{
    begin(1);
    add("a", false);
    tw_settle(q.tw);
    done(0, MH_PASS_STOPPED, 0);
    tw_advance(q.tw, 100 * MH_NS_PER_S);
    CHECK_INT(q.runs, 1);
    add("a", false);
    tw_settle(q.tw);
    CHECK_INT(q.runs, 2);
    done(1, MH_PASS_STOPPED, 0);
    tw_advance(q.tw, 301 * MH_NS_PER_S);
    CHECK_INT(q.runs, 3);
    done(2, MH_PASS_DONE, 0);
    finish();
}

TEST(a_stopped_queue_starts_nothing_and_lets_passes_end)
{
    begin(1);
    add("a", false);
    add("b", false);
    tw_settle(q.tw);
    mh_queue_stop(&q.queue);
    CHECK(!mh_queue_add(&q.queue, "K", "ns", "c", true));
    done(0, MH_PASS_DONE, 10);
    tw_advance(q.tw, 10 * MH_NS_PER_S);
    CHECK_INT(q.runs, 1);
    finish();
}
