/* child.h - child processes on the loop: world.h's mh_proc, for real.
 *
 * stdin is the given input or /dev/null; stdout and stderr are pipes that are cut into lines. A
 * line over MH_CHILD_LINE_MAX comes in pieces. No other descriptor reaches the child; signal mask
 * and dispositions are the defaults. start fails (NOTFOUND, IO, NOMEM) if exec fails, and then
 * on_exit does not come. on_exit comes once the child is reaped and what it wrote before is
 * delivered, also when a descendant still holds the pipes; the structure belongs to the caller
 * again from the moment on_exit begins. One mh_proc a process: it owns SIGCHLD. */
#ifndef MH_IO_CHILD_H
#define MH_IO_CHILD_H

#include <event2/event.h>

#include "base/world.h"

#define MH_CHILD_LINE_MAX ((size_t)256 << 10)

/* self is NULL when there is no memory. */
struct mh_proc mh_proc_real(struct event_base *base);
/* Forgets all children without killing them (on_exit does not come) and frees. */
void mh_proc_release(struct mh_proc *proc);

/* From now on children that are not ours are reaped too (PID 1, or a subreaper: this call makes
 * the process one); fn, if not NULL, hears of each: wait status as waitpid gives it. */
void mh_child_reap_orphans(struct mh_proc *proc, void (*fn)(void *arg, pid_t pid, int status),
                           void *arg);
/* Reaps what is dead right now instead of waiting for the signal. */
void mh_child_reap_now(struct mh_proc *proc);
/* Has this process any child (ours or adopted), alive or not yet reaped? */
bool mh_child_any_left(void);

#endif
