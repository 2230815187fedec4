/* world.h - all that the core asks the outside: clock, API server, PostgreSQL, processes, files,
 * randomness, other instances. Two implementations: the real one (io, net, kube) and the one that
 * unit tests drive (tests/harness/world.h). In ha, in the operator's passes and in the instance's
 * decisions nothing else is asked.
 *
 * Asynchronous calls: the caller owns the call structure and keeps it alive until `done` ran or
 * `cancel` returned. `done` comes exactly once and never from inside `start`. */
#ifndef MH_BASE_WORLD_H
#define MH_BASE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "moonherd/err.h"

#include "base/json.h"
#include "base/mem.h"

/* --- clock ----------------------------------------------------------------------------------- */

struct mh_timer;
struct mh_clock {
    int64_t (*mono_ns)(void *self); /* CLOCK_BOOTTIME: goes on while the machine sleeps */
    int64_t (*wall_us)(void *self); /* since 1970; for texts only, never compared */
    /* Calls fn(arg) once, `ns` from now. NULL: no memory. */
    struct mh_timer *(*after)(void *self, int64_t ns, void (*fn)(void *), void *arg);
    /* NULL is allowed. A timer that has fired is gone: forget its pointer in fn. */
    void (*cancel)(void *self, struct mh_timer *t);
    void *self;
};

/* --- Kubernetes API -------------------------------------------------------------------------- */

#define MH_PATCH_APPLY "application/apply-patch+yaml"
#define MH_PATCH_MERGE "application/merge-patch+json"
#define MH_PATCH_JSON "application/json-patch+json"

struct mh_api_call {
    /* set by the caller */
    const char *method;       /* GET POST PUT PATCH DELETE */
    const char *path;         /* "/api/v1/namespaces/n/pods/p?fieldManager=..." */
    const char *content_type; /* of the body; NULL is application/json */
    const char *body;         /* NULL: none */
    size_t body_len;
    int timeout_ms;         /* 0: the client's default (10 s) */
    struct mh_arena *arena; /* the reply is made here */
    void (*done)(struct mh_api_call *call);
    void *arg;
    /* set before done */
    struct mh_err
        err;    /* MH_OK for 2xx; else CONFLICT, NOTFOUND, TIMEOUT, ... with the server's message */
    int status; /* HTTP status, 0 when none came */
    yyjson_val *reply;  /* the object, or the Status of a refusal; may be NULL */
    int retry_after_ms; /* from Retry-After, 0 without */
    void *impl;         /* of the implementation */
};

enum mh_watch_kind {
    MH_WATCH_RELIST, /* a new list begins: what is not ADDED before SYNCED is gone; object is NULL */
    MH_WATCH_ADDED,
    MH_WATCH_MODIFIED,
    MH_WATCH_DELETED,
    MH_WATCH_SYNCED, /* the list is complete, events follow; object is NULL */
    MH_WATCH_LOST    /* the stream broke; RELIST or further events follow; object is NULL */
};

struct mh_watch;
struct mh_watch_spec {
    const char *path; /* of the collection, with selectors: "/api/v1/pods?labelSelector=..." */
    /* The object lives until the function returns. */
    void (*on_event)(void *arg, enum mh_watch_kind kind, yyjson_val *object);
    void *arg;
};

struct mh_api {
    void (*start)(void *self, struct mh_api_call *call);
    void (*cancel)(void *self, struct mh_api_call *call);
    /* Lists and watches for ever, with back-off. NULL: no memory. The spec is copied. */
    struct mh_watch *(*watch)(void *self, const struct mh_watch_spec *spec);
    void (*unwatch)(void *self, struct mh_watch *w);
    void *self;
};

/* --- PostgreSQL ------------------------------------------------------------------------------ */

struct mh_pg_call {
    /* set by the caller */
    const char *conninfo; /* which session: equal texts share one connection, calls queue on it */
    const char *sql;      /* one statement; or several without parameters (simple protocol) */
    const char *const *params; /* texts, NULL is SQL null */
    int nparams;
    bool one;       /* one statement only, even without parameters (those of plugins) */
    int timeout_ms; /* 0: 5 s; then the connection is closed and the error is TIMEOUT */
    struct mh_arena *arena;
    void (*done)(struct mh_pg_call *call);
    void *arg;
    /* set before done */
    struct mh_err err; /* UNREACHABLE: no connection; PG: the server refused; TIMEOUT */
    char sqlstate[6];
    int rows;
    int cols;
    const char *const *values; /* rows * cols texts, NULL is SQL null */
    const char *const *names;  /* cols names */
    void *impl;
};

struct mh_pg {
    void (*start)(void *self, struct mh_pg_call *call);
    void (*cancel)(void *self, struct mh_pg_call *call);
    /* Closes all sessions of this conninfo (NULL: all of them); queued calls fail UNREACHABLE. */
    void (*disconnect)(void *self, const char *conninfo);
    void *self;
};

/* --- child processes ------------------------------------------------------------------------- */

struct mh_child {
    /* set by the caller */
    const char *const *argv; /* argv[0] is the path; ends with NULL; never a shell */
    const char *const *env;  /* NULL: inherit */
    const char *name;        /* for logs */
    const char *input;       /* written to its stdin, NULL: /dev/null */
    const char *cwd;         /* NULL: inherit */
    /* A line of stdout (fd 1) or stderr (fd 2) without its newline; NULL: logged at info */
    void (*on_line)(struct mh_child *c, int fd, const char *line, size_t len);
    void (*on_exit)(struct mh_child *c); /* after both pipes are drained */
    void *arg;
    /* set by start / before on_exit */
    pid_t pid;
    int exit_code; /* 0..255, or 128 + signal */
    void *impl;
};

struct mh_proc {
    enum mh_code (*start)(void *self, struct mh_child *c, struct mh_err *err);
    void (*kill)(void *self, struct mh_child *c, int sig);
    void *self;
};

/* --- files of an instance -------------------------------------------------------------------- */

struct mh_fs {
    /* Whole file, at most limit bytes, on the arena, NUL-terminated. NOTFOUND, LIMIT, IO. */
    enum mh_code (*read)(void *self, struct mh_arena *a, const char *path, size_t limit,
                         char **text, size_t *len, struct mh_err *err);
    /* Replaces atomically (temporary file, rename). durable: fsync of file and folder first.
     * *changed (may be NULL) says if the content differs from before; equal content is not
     * written. DISKFULL, IO. */
    enum mh_code (*write)(void *self, const char *path, const char *text, size_t len, int mode,
                          bool durable, bool *changed, struct mh_err *err);
    bool (*exists)(void *self, const char *path);
    /* NOTFOUND is success. */
    enum mh_code (*remove)(void *self, const char *path, struct mh_err *err);
    enum mh_code (*rename)(void *self, const char *from, const char *to, struct mh_err *err);
    enum mh_code (*mkdir)(void *self, const char *path, int mode, struct mh_err *err);
    void *self;
};

/* --- randomness ------------------------------------------------------------------------------ */

struct mh_rand {
    bool (*fill)(void *self, void *out, size_t n); /* false: none to be had, do not go on */
    void *self;
};

/* --- all of it ------------------------------------------------------------------------------- */

struct mh_world {
    struct mh_clock clock;
    struct mh_api api;
    struct mh_pg pg;
    struct mh_proc proc;
    struct mh_fs fs;
    struct mh_rand rand;
};

#endif
