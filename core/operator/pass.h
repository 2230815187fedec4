/* pass.h - one pass over an object: observe, plan, act, status.
 *
 * The queue says when; the planner observes and plans; actions.h carries out. A pass ends with
 * one log line that has the plan's reason (at info when it is another one than last time), a
 * record, metrics, and an outcome for the queue by the class of its error.
 * Owner: struct mh_passes is the caller's; passes are freed when they end. */
#ifndef MH_OPERATOR_PASS_H
#define MH_OPERATOR_PASS_H

#include "operator/actions.h"
#include "operator/planner.h"
#include "operator/queue.h"
#include "operator/record.h"

#define MH_PASS_ARENA ((size_t)64 << 20)

struct mh_pass;

/* What a pass said that the one before it did not. */
struct mh_pass_said {
    yyjson_val *object;
    const char *reason;
    const char *result;  /* "done", "retry: ..." */
    const char *actions; /* JSON array of lines */
    const char *by;      /* version of a plugin; NULL: ours */
    const char *seen;    /* JSON; may be NULL */
    int64_t again_ms;    /* it looks again then; 0: when something changes */
};

struct mh_passes {
    /* set by the caller */
    struct mh_act_env *env;
    struct mh_planner planner;
    struct mh_records *records;
    /* A pass is over, for metrics; may be NULL. result: "done" "reread" "retry" "stopped"
     * "partly" "preempted" "gone". */
    void (*on_done)(void *arg, const char *kind, const char *result, int64_t ns);
    void (*on_said)(void *arg, const struct mh_pass_said *said); /* may be NULL */
    void *arg;
    unsigned limit; /* routine passes at a time */
    /* private */
    struct mh_queue queue;
    struct mh_map reasons; /* key -> last reason */
    struct mh_pass *first; /* those that run */
};

/* The fields above are set. */
void mh_passes_init(struct mh_passes *p);
/* Cancels all passes. */
void mh_passes_release(struct mh_passes *p);
/* No new pass begins. */
void mh_passes_stop(struct mh_passes *p);
/* Do passes still run? */
bool mh_passes_busy(const struct mh_passes *p);
/* The object is gone: nothing is remembered about it. */
void mh_passes_forget(struct mh_passes *p, const char *kind, const char *ns, const char *name);

#endif
