#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include "base/time.h"
#include "harness/test.h"
#include "io/loop.h"

/* A letter as an argument of a timer. */
static char letters[128];

static void *
letter(char c)
{
    letters[(int)c] = c;
    return &letters[(int)c];
}

static char order[32];
static size_t norder;
static struct mh_clock clk;
static struct mh_timer *victim;

static void
note(void *arg)
{
    order[norder++] = *(const char *)arg;
    order[norder] = '\0';
}

static void
note_and_cancel(void *arg)
{
    note(arg);
    clk.cancel(clk.self, victim);
    victim = NULL;
}

static void
note_and_again(void *arg)
{
    note(arg);
    if (norder < 4)
        clk.after(clk.self, 0, note_and_again, arg);
}

TEST(timers_fire_in_the_order_of_their_times_and_then_of_their_creation)
{
    norder = 0;
    struct event_base *base = mh_loop_new();
    clk = mh_clock_real(base);
    clk.after(clk.self, 3 * MH_NS_PER_MS, note, letter('c'));
    clk.after(clk.self, MH_NS_PER_MS, note, letter('a'));
    clk.after(clk.self, 2 * MH_NS_PER_MS, note, letter('b'));
    struct mh_timer *t = clk.after(clk.self, 2 * MH_NS_PER_MS, note, letter('x'));
    clk.after(clk.self, 4 * MH_NS_PER_MS, note_and_cancel, letter('d'));
    victim = clk.after(clk.self, 5 * MH_NS_PER_MS, note, letter('y'));
    clk.after(clk.self, 6 * MH_NS_PER_MS, note, letter('e'));
    clk.cancel(clk.self, t);
    clk.cancel(clk.self, NULL);
    event_base_dispatch(base); /* ends: without timers nothing keeps the loop */
    CHECK_STR(order, "abcde");
    mh_clock_release(&clk);
    event_base_free(base);
}

static void
note_and_work(void *arg)
{
    int64_t end = clk.mono_ns(clk.self) + 3 * MH_NS_PER_MS;
    note(arg);
    while (clk.mono_ns(clk.self) < end)
        ;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    note(arg);
}

TEST(long_timers_let_sockets_in_between)
{
    int fds[2];
    norder = 0;
    struct event_base *base = mh_loop_new();
    clk = mh_clock_real(base);
    CHECK_INT(pipe(fds), 0);
    struct event *ev = event_new(base, fds[0], EV_READ, on_readable, letter('s'));
    event_add(ev, NULL);
    for (char c = 'a'; c <= 'e'; c++)
        clk.after(clk.self, 0, note_and_work, letter(c));
    CHECK_INT(write(fds[1], "x", 1), 1);
    event_base_dispatch(base);
    CHECK_INT(norder, 6);
    CHECK(strchr(order, 's') && strchr(order, 's') - order <= 2);
    event_free(ev);
    mh_clock_release(&clk);
    event_base_free(base);
    close(fds[0]);
    close(fds[1]);
}

TEST(a_timer_made_inside_a_timer_fires_later)
{
    norder = 0;
    struct event_base *base = mh_loop_new();
    clk = mh_clock_real(base);
    clk.after(clk.self, 0, note_and_again, letter('r'));
    CHECK(norder == 0);
    event_base_dispatch(base);
    CHECK_STR(order, "rrrr");
    mh_clock_release(&clk);
    event_base_free(base);
}

TEST(a_thousand_timers_cancelled_at_random_leave_the_rest_in_order)
{
    struct event_base *base = mh_loop_new();
    clk = mh_clock_real(base);
    struct mh_timer *t[1000];
    unsigned seed = 7;
    for (int i = 0; i < 1000; i++) {
        seed = seed * 1103515245u + 12345u;
        t[i] = clk.after(clk.self, (int64_t)(seed % 1000) * 1000 + 3600 * MH_NS_PER_S, note,
                         letter('!'));
        CHECK(t[i] != NULL);
    }
    for (int i = 0; i < 1000; i++) {
        seed = seed * 1103515245u + 12345u;
        int k = (int)((seed >> 8) % 1000);
        clk.cancel(clk.self, t[k]);
        t[k] = NULL;
    }
    for (int i = 0; i < 1000; i++)
        clk.cancel(clk.self, t[i]);
    event_base_dispatch(base);
    CHECK(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == 0);
    mh_clock_release(&clk);
    event_base_free(base);
}

static int seen_signal;

static void
on_sig(void *arg, int sig)
{
    seen_signal = sig;
    event_base_loopbreak(arg);
}

TEST(a_signal_arrives_on_the_loop)
{
    struct event_base *base = mh_loop_new();
    struct mh_signal *s = mh_loop_on_signal(base, SIGUSR1, on_sig, base);
    raise(SIGUSR1);
    event_base_dispatch(base);
    CHECK(seen_signal == SIGUSR1);
    mh_loop_off_signal(s);
    mh_loop_off_signal(NULL);
    event_base_free(base);
}

TEST(the_clock_survives_any_failed_allocation)
{
    for (int n = 0; n < 8; n++) {
        struct event_base *base = mh_loop_new();
        mh_mem_fail_after(n);
        clk = mh_clock_real(base);
        if (clk.self) {
            struct mh_timer *t = clk.after(clk.self, 0, note, letter('z'));
            clk.cancel(clk.self, t);
        }
        mh_clock_release(&clk);
        mh_mem_fail_after(-1);
        event_base_free(base);
    }
}
