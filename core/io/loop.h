/* loop.h - the event loop, its clock and signals.
 *
 * One loop a process, one thread. The clock is CLOCK_BOOTTIME (a timerfd), so that time spent
 * suspended counts; libevent's own timers do not have that and are used nowhere else. */
#ifndef MH_IO_LOOP_H
#define MH_IO_LOOP_H

#include <event2/event.h>

#include "base/world.h"

struct mh_signal;

/* The loop, made for a process without threads; SIGPIPE is ignored from here on. NULL: no memory.
 * Free with event_base_free after everything on it is gone. */
struct event_base *mh_loop_new(void);

/* The real clock on this loop. self is NULL when there is no memory or no timerfd. */
struct mh_clock mh_clock_real(struct event_base *base);
/* Frees it and its timers, which do not fire any more. */
void mh_clock_release(struct mh_clock *clock);

/* Calls fn(arg, sig) on the loop for every sig received; NULL: no memory. */
struct mh_signal *mh_loop_on_signal(struct event_base *base, int sig,
                                    void (*fn)(void *arg, int sig), void *arg);
/* Ends that; NULL is allowed. */
void mh_loop_off_signal(struct mh_signal *s);

#endif
