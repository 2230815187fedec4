/* podlog.h - the log of one run of a container: two pipes into one file, lines as the CRI writes
 * them: "2026-11-21T01:02:03.000004Z stdout F text". A line over 16 KiB comes in pieces marked P.
 *
 * Owner: whoever opens it. What cannot be written (disk full) is dropped, the container never
 * waits for it. */
#ifndef MH_SANDBOX_PODLOG_H
#define MH_SANDBOX_PODLOG_H

#include <event2/event.h>

#include "base/world.h"

struct mh_sb_podlog;

/* Appends to the file, made where it is missing. fds[0] and fds[1] are the write ends for stdout
 * and stderr: give them to the process, then close them. NULL: IO, NOMEM. */
struct mh_sb_podlog *mh_sb_podlog_open(struct event_base *base, const struct mh_clock *clock,
                                       const char *path, int fds[2], struct mh_err *err);
/* Takes what is in the pipes and closes. NULL is allowed. */
void mh_sb_podlog_close(struct mh_sb_podlog *l);
/* The last lines' texts, at most `max` bytes, on the arena (terminationMessagePolicy
 * FallbackToLogsOnError). */
const char *mh_sb_podlog_tail(struct mh_arena *a, const char *path, size_t max);

#endif
