/* world.h (tests) - the world that unit tests drive: the second implementation of base/world.h.
 *
 * Everything is in memory, deterministic from the seed, and moves only inside tw_advance and
 * tw_settle: there timers fire, replies arrive, watches deliver, children write and exit, each at
 * its time and in the order in which it was asked for. Nothing calls back from inside a start.
 * Owner: the test; tw_free frees all and fails the test (CHECK) if a call is still under way,
 * unless tw_abandon was called.
 *
 *     struct tw *tw = tw_new(1);
 *     tw_api_on(tw, answer_pods, NULL);
 *     thing_start(&thing, &tw->world);
 *     tw_advance(tw, 2 * MH_NS_PER_S);
 *     CHECK(tw_api_count(tw, "PATCH", "/pods/") == 1);
 *     tw_free(tw);
 */
#ifndef MH_TEST_WORLD_H
#define MH_TEST_WORLD_H

#include "base/world.h"

struct tw_request;
struct tw_answer;

/* Answers an API request. Returns false to pass it on to the next handler (the latest one added is
 * asked first), at the end to the object store, see tw_store. */
struct tw;
typedef bool (*tw_api_fn)(struct tw *tw, void *arg, const struct tw_request *request,
                          struct tw_answer *answer);

struct tw_request {
    const char *method;
    const char *path;  /* without the query */
    const char *query; /* "" without; still encoded */
    const char *content_type;
    const char *body_text; /* "" without */
    yyjson_val *body;      /* NULL if there is none or it is not JSON */
    int64_t at_ns;         /* when it was started */
    int status;            /* what it was answered, 0: not (yet) */
    bool cancelled;
};

struct tw_answer {
    int status;        /* default 200 */
    const char *json;  /* default "{}"; copied */
    enum mh_code code; /* no answer instead: MH_E_UNREACHABLE, MH_E_TIMEOUT */
    int64_t delay_ns;  /* default 1 ms */
    int retry_after_ms;
    bool silent; /* never answer: the call ends with TIMEOUT after its timeout_ms */
};

/* A statement for PostgreSQL. Values are row by row, NULL is SQL null; copied. */
struct tw_rows {
    enum mh_code code; /* MH_OK, MH_E_PG, MH_E_UNREACHABLE, MH_E_TIMEOUT */
    const char *sqlstate;
    const char *message;
    int rows;
    int cols;
    const char *const *values;
    const char *const *names; /* NULL: "?column?" */
    int64_t delay_ns;         /* default 1 ms */
    bool silent;
};
typedef bool (*tw_pg_fn)(struct tw *tw, void *arg, const struct mh_pg_call *call,
                         struct tw_rows *rows);

/* A started child. By default it runs until it gets a signal (then 128 + signal). */
struct tw_process {
    const char *name;
    char *command; /* argv joined with spaces */
    char *input;   /* "" without */
    int64_t at_ns;
    bool running;
    int exit_code;
    int signals[16]; /* what it was sent */
    int nsignals;
    struct mh_child *child;
    void *impl;
};
struct tw_fate {
    bool ends; /* exits by itself after run_ns with exit_code */
    int exit_code;
    int64_t run_ns;
    const char *out; /* lines on stdout, separated by newlines, at once; copied */
    const char *err_out;
    enum mh_code fails; /* start itself fails */
    int ignores; /* bit mask of signals (1 << SIGTERM) that do not end it; KILL always does */
};
typedef bool (*tw_proc_fn)(struct tw *tw, void *arg, const struct mh_child *child,
                           struct tw_fate *fate);

struct tw {
    struct mh_world world; /* give this to what is tested */
    int64_t now_ns;        /* mono; starts at 1000 s */
    int64_t wall_us;       /* starts at 2026-01-01T00:00:00Z, goes with now_ns */
    struct mh_arena arena; /* lives as long as tw; for tests too */
    struct tw_state *state;
};

struct tw *tw_new(uint64_t seed);
void tw_free(struct tw *tw);
/* Calls may be left under way at tw_free. */
void tw_abandon(struct tw *tw);

/* Time goes on by ns; all that is due happens, each at its own moment. */
void tw_advance(struct tw *tw, int64_t ns);
/* Lets happen what happens within the next 5 ms (replies arrive after 1 ms), to the end of a chain
 * of at most 1000 of them. */
void tw_settle(struct tw *tw);
/* Runs until cond(arg) is true, at most ns; false if it did not become true. */
bool tw_until(struct tw *tw, bool (*cond)(void *arg), void *arg, int64_t ns);

/* --- API ------------------------------------------------------------------------------------- */

void tw_api_on(struct tw *tw, tw_api_fn fn, void *arg);
/* Turns on a small API server behind the handlers: create, get, list (with label
 * selectors "a=b,c"), replace, apply and merge patch (both merge; null deletes; metadata.uid and
 * resourceVersion in the body are checked), json-patch is refused with 415, delete with UID and
 * resourceVersion preconditions, /status (only status is taken), generateName; uid,
 * resourceVersion, creationTimestamp and generation are set; watches deliver. No validation, no
 * defaults, no owners; an object with finalizers gets a deletionTimestamp only. Without the store,
 * a request that no handler takes is answered 404. */
void tw_store(struct tw *tw);
/* Puts an object there as its text says, created or replaced (uid etc. filled in if absent):
 * path as of a GET. Watches deliver it. */
void tw_put(struct tw *tw, const char *path, const char *json);
/* Takes it away. */
void tw_remove(struct tw *tw, const char *path);
/* What is there now, on tw->arena; NULL: nothing. */
yyjson_val *tw_object(struct tw *tw, const char *path);
/* Number of objects whose path begins with prefix. */
int tw_objects(struct tw *tw, const char *prefix);
/* Sends an event to every watch whose path begins with `path` (without the store). */
void tw_watch_event(struct tw *tw, const char *path, enum mh_watch_kind kind, const char *json);
/* Every watch gets LOST, then RELIST and the list again after ns. */
void tw_watch_break(struct tw *tw, int64_t ns);
/* Changes of the store are told to no watch, until it is taken back; they are not told later. */
void tw_watch_mute(struct tw *tw, bool mute);

/* Requests so far with this method (NULL: any) whose path contains part (NULL: any). */
int tw_api_count(const struct tw *tw, const char *method, const char *part);
/* The latest such request; NULL: none. */
const struct tw_request *tw_api_last(const struct tw *tw, const char *method, const char *part);
/* All of them, in order, from 0; NULL past the last. */
const struct tw_request *tw_api_request(const struct tw *tw, int i);

/* --- PostgreSQL ------------------------------------------------------------------------------ */

/* Without a handler every statement ends UNREACHABLE. */
void tw_pg_on(struct tw *tw, tw_pg_fn fn, void *arg);
/* Statements so far that contain part. */
int tw_pg_count(const struct tw *tw, const char *part);

/* --- processes ------------------------------------------------------------------------------- */

void tw_proc_on(struct tw *tw, tw_proc_fn fn, void *arg);
/* The latest process whose command contains part; NULL: none. */
struct tw_process *tw_process(const struct tw *tw, const char *part);
int tw_proc_count(const struct tw *tw, const char *part);
/* A running one writes a line to fd 1 or 2, exits. */
void tw_process_line(struct tw *tw, struct tw_process *p, int fd, const char *line);
void tw_process_exit(struct tw *tw, struct tw_process *p, int exit_code);

/* --- files ----------------------------------------------------------------------------------- */

void tw_file(struct tw *tw, const char *path, const char *text);
/* NULL: not there. Valid until it is written again. */
const char *tw_file_text(const struct tw *tw, const char *path);
bool tw_file_durable(const struct tw *tw, const char *path);
int tw_file_mode(const struct tw *tw, const char *path);
/* Operations op ("read", "write", "remove", "rename", "mkdir"; NULL: any) on paths that contain
 * part fail with code: the next `times` ones after `after` successes (times -1: for ever).
 * code MH_OK takes all faults away. */
void tw_fs_fail(struct tw *tw, const char *op, const char *part, enum mh_code code, int after,
                int times);
/* Power fails: what was not written durably since it was last durable is as it was then. */
void tw_fs_crash(struct tw *tw);

/* --- randomness ------------------------------------------------------------------------------ */

/* fill fails from now on, or works again. */
void tw_rand_fail(struct tw *tw, bool fails);

#endif
