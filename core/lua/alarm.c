#include "lua/alarm.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static lua_State *volatile watched;
static void (*volatile callback)(lua_State *L);
static timer_t timer;
static pid_t owner; /* thread that the timer is for; 0: there is none */

static void
on_alarm(int sig)
{
    (void)sig;
    lua_State *L = watched;
    watched = NULL;
    if (L)
        callback(L);
}

/* A timer for this thread; after a fork it is another one. */
static bool
make_timer(pid_t me)
{
    struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
    struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
    ev.sigev_notify_thread_id = me;
    if (owner && getpid() == me) /* else it is not of this process, or of another thread */
        (void)timer_delete(timer);
    owner = 0;
    if (sigemptyset(&sa.sa_mask) != 0 || sigaction(SIGALRM, &sa, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &ev, &timer) != 0)
        return false;
    owner = me;
    return true;
}

bool
mh_alarm_arm(lua_State *L, int64_t ns, void (*fn)(lua_State *L))
{
    struct itimerspec its = { .it_value = { .tv_sec = (time_t)(ns / MH_NS_PER_S),
                                            .tv_nsec = (long)(ns % MH_NS_PER_S) } };
    pid_t me = gettid();
    watched = NULL;
    if (owner != me && !make_timer(me))
        return false;
    callback = fn;
    watched = L;
    if (timer_settime(timer, 0, &its, NULL) == 0)
        return true;
    watched = NULL;
    return false;
}

void
mh_alarm_disarm(void)
{
    watched = NULL; /* the timer may fire: nobody is there */
}
