#include "lua/alarm.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static lua_State *volatile watched; /* NULL: nobody; set last, cleared first */
static void (*volatile callback)(lua_State *L);
static const void *armed_by; /* NULL: the timer does not run */
static timer_t timer;
static pid_t thread;  /* that the timer is for; 0: there is none */
static pid_t process; /* that has made it */

static void
on_alarm(int sig)
{
    (void)sig;
    lua_State *L = watched;
    watched = NULL;
    if (L)
        callback(L);
}

/* Scripts must not run for ever because somebody who started this process blocked its signals. */
static bool
let_through(void)
{
    sigset_t set;
    return sigemptyset(&set) == 0 && sigaddset(&set, SIGALRM) == 0 &&
           sigprocmask(SIG_UNBLOCK, &set, NULL) == 0;
}

/* A timer for this thread. A fork leaves none to the child. */
static bool
make_timer(pid_t me)
{
    struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
    ev.sigev_notify_thread_id = me;
    if (thread && process == getpid())
        (void)timer_delete(timer);
    thread = 0;
    if (sigemptyset(&sa.sa_mask) != 0 || sigaction(SIGALRM, &sa, NULL) != 0 || !let_through() ||
        timer_create(CLOCK_MONOTONIC, &ev, &timer) != 0)
        return false;
    thread = me;
    process = getpid();
    return true;
}

static bool
set_timer(int64_t ns)
{
    struct itimerspec its = { .it_value = { .tv_sec = (time_t)(ns / MH_NS_PER_S),
                                            .tv_nsec = (long)(ns % MH_NS_PER_S) } };
    return timer_settime(timer, 0, &its, NULL) == 0;
}

bool
mh_alarm_arm(const void *owner, lua_State *L, int64_t ns, void (*fn)(lua_State *L))
{
    pid_t me = gettid();
    lua_State *other = armed_by != owner ? watched : NULL;
    watched = NULL;
    armed_by = NULL;
    if (other)
        callback(other);
    if (thread != me && !make_timer(me))
        return false;
    callback = fn;
    watched = L;
    if (set_timer(ns > 0 ? ns : 1)) {
        armed_by = owner;
        return true;
    }
    watched = NULL;
    return false;
}

void
mh_alarm_disarm(const void *owner)
{
    if (armed_by != owner)
        return;
    watched = NULL; /* it may fire until the next line: nobody is there */
    armed_by = NULL;
    (void)set_timer(0);
}
