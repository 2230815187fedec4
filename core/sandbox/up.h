/* up.h - the whole sandbox in one process: who starts after whom, and in which order it ends. */
#ifndef MH_SANDBOX_UP_H
#define MH_SANDBOX_UP_H

#include <event2/event.h>
#include <stdio.h>

#include "base/world.h"
#include "io/loop.h"
#include "sandbox/admit.h"
#include "sandbox/apply.h"
#include "sandbox/auth.h"
#include "sandbox/control.h"
#include "sandbox/model.h"
#include "sandbox/node.h"
#include "sandbox/rbac.h"
#include "sandbox/reviews.h"
#include "sandbox/serve.h"

#define MH_SB_FILES_MAX 64
#define MH_SB_PATH_MAX 1024

/* What `sandbox up` was asked for. */
struct mh_sb_up_options {
    const char *files[MH_SB_FILES_MAX]; /* "-" is stdin */
    int nfiles;
    int nodes;
    const char *data;       /* NULL: forgotten at the end */
    const char *kubeconfig; /* NULL: in the data directory or the user's cache */
    bool bare;              /* the API server and the controllers only: no nodes, no operator */
    bool api_only;          /* and no controllers */
    bool verbose;           /* the sandbox's own log goes to stderr */
};

/* Where things are. */
struct mh_sb_place {
    char dir[MH_SB_PATH_MAX]; /* state; absolute */
    char kubeconfig[MH_SB_PATH_MAX];
    char server[64]; /* "https://127.7.0.1:6443" */
    bool temporary;
    int lock;   /* held open; -1 */
    int number; /* held open: N is ours; -1 */
    int n;      /* addresses 127.N.x.y */
    int port;   /* of the API server */
};

struct mh_sb_up {
    struct mh_sb_up_options options;
    struct mh_sb_place place;
    struct event_base *base;
    struct mh_clock clock;
    struct mh_rand rand;
    struct mh_http *http; /* for webhooks */
    struct mh_sb_auth auth;
    struct mh_sb_api *api;
    struct mh_sb_rbac rbac;
    struct mh_sb_reviews reviews;
    struct mh_sb_admitter *admitter;
    struct mh_sb_faults faults;
    struct mh_sb_door *door;
    struct mh_sb_control *control;
    struct mh_sb_model *model;
    struct mh_sb_nodes *nodes;
    struct mh_api direct;
    struct mh_signal *signals[3];
    int64_t started_ns;
    /* what is applied: default roles, the operator, the user's files */
    struct mh_arena arena;
    struct mh_sb_apply apply;
    int phase;
    bool applying;
    struct mh_watch *watches[3]; /* for progress */
    struct mh_map told;          /* Cluster -> the line that was printed last */
    bool told_events;            /* those of before are old */
    bool operator_ready;
    bool stopping;
    int exit_code;
};

/* Runs until a signal or `sandbox down`; the exit code. */
int mh_sb_up_main(const struct mh_sb_up_options *options);

/* --- up_place.c ------------------------------------------------------------------------------------ */

/* Makes or takes the state directory and its lock, chooses N. EXISTS: a sandbox runs there. */
enum mh_code mh_sb_place_take(struct mh_sb_place *p, const struct mh_sb_up_options *options,
                              struct mh_err *err);
/* Writes the kubeconfig (0600) and notes it as the one that status, fault and down mean. */
enum mh_code mh_sb_place_announce(struct mh_sb_place *p, const char *kubeconfig,
                                  struct mh_err *err);
/* Ports that pods use and somebody outside listens on at all addresses: "5432, 8000". */
bool mh_sb_place_taken(const struct mh_sb_place *p, char *out, size_t size);
/* Removes what is not to stay. */
void mh_sb_place_leave(struct mh_sb_place *p);

/* --- up_which.c ------------------------------------------------------------------------------------ */

/* The user's own place for what outlives a sandbox. */
bool mh_sb_cache_dir(char out[MH_SB_PATH_MAX]);
/* Notes that this one runs; forgets it. Whoever is killed is forgotten by the next who looks. */
void mh_sb_which_note(const struct mh_sb_place *p);
void mh_sb_which_forget(const struct mh_sb_place *p);
/* Does one run whose kubeconfig this is? */
bool mh_sb_which_has(const char *kubeconfig);
/* The kubeconfig of the sandbox that is meant: that which is given, by file or directory; $KUBECONFIG,
 * if it is that of a sandbox; the only one that runs; the last that was started. REFUSED: several run.
 * NOTFOUND: none is known. */
enum mh_code mh_sb_which(const char *kubeconfig, const char *data, char out[MH_SB_PATH_MAX],
                         struct mh_err *err);
/* Those that run, one line each. */
void mh_sb_which_print(FILE *out);

/* --- up_boot.c ------------------------------------------------------------------------------------- */

/* Applies all that is to be there, and says how it goes on. */
void mh_sb_boot_start(struct mh_sb_up *up);
void mh_sb_boot_stop(struct mh_sb_up *up);
/* One line with the seconds since the start. */
void mh_sb_say(const struct mh_sb_up *up, const char *fmt, ...) MH_PRINTF(2, 3);

/* --- up_control.c ---------------------------------------------------------------------------------- */

/* Answers /moonherd/v1/sandbox/...: status, fault, stop. arg is the struct mh_sb_up. */
void mh_sb_up_control(void *arg, struct mh_sb_req *req);

#endif
