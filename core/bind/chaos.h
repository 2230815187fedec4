/* chaos.h - runs one chaos scenario: a script whose coroutines ask the API, PostgreSQL and fault
 * programs, and that ends with a report.
 *
 * A scenario is Lua (scripts/chaos, docs/chaos.md) in a controller's VM; each fiber of it is one
 * mh_observe. Whatever ends it (its end, a failed check, an interrupt, the deadline) is followed by
 * its own cleaning up, which takes the faults away that are still on. Owner: the caller's structure
 * until mh_chaos_run has returned; it blocks for as long as the scenario takes. */
#ifndef MH_BIND_CHAOS_H
#define MH_BIND_CHAOS_H

#include <event2/event.h>

#include "base/world.h"
#include "lua/task.h"

struct mh_chaos {
    /* set by the caller */
    struct event_base *base;
    struct mh_clock clock;
    struct mh_api api;
    struct mh_pg pg;
    struct mh_proc proc;
    const char *input; /* JSON object: what the script is told (world, seed, params, ...) */
    int64_t limit_ns;  /* for all of it */
    void (*say)(void *arg, const char *line); /* a line for people, as it happens */
    void *arg;
    /* private */
    struct mh_controller *script;
    struct mh_chaos_fiber *fibers;
    struct mh_timer *deadline;
    int64_t began_ns;
    struct mh_err why; /* MH_OK: passed so far */
    const char *where; /* of the script's error, NULL: none; on `arena` */
    bool ending;       /* only the cleaning up runs */
    struct mh_arena arena;
};

/* Loads a scenario's text; *facts (on a) is its declaration as JSON: {"kind":NAME,"covers":...}. */
enum mh_code mh_chaos_facts(const char *name, const char *text, size_t len, struct mh_arena *a,
                            const char **facts, struct mh_err *err);
/* Runs it. MH_OK: *report (JSON text on a) says how it went ("passed": true or false); else it could
 * not be run at all. */
enum mh_code mh_chaos_run(struct mh_chaos *c, const char *name, const char *text, size_t len,
                          struct mh_arena *a, const char **report, struct mh_err *err);
/* From a signal handler of the loop: it fails with this reason, and cleans up. */
void mh_chaos_stop(struct mh_chaos *c, const char *why);

#endif
