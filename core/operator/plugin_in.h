/* plugin_in.h - between the files of plugin.h. */
#ifndef MH_OPERATOR_PLUGIN_IN_H
#define MH_OPERATOR_PLUGIN_IN_H

#include "lua/rollout.h"
#include "operator/plugin.h"

/* One text and what is known of it. Immutable once it is checked; alive while it is in charge, on
 * trial, or in a pass. */
struct mh_plugin_text {
    int refs;
    char *script;
    size_t len;
    char hash[13]; /* as people see it */
    struct mh_arena arena;
    yyjson_val *declared; /* what host.declare made of it */
    struct mh_needs_set needs;
    const char *group, *version, *kind, *plural;
    int line;
    bool finalizes;
};

enum mh_plugin_state {
    MH_PLUGIN_RECEIVED,
    MH_PLUGIN_CHECKED,
    MH_PLUGIN_TESTED,
    MH_PLUGIN_GRANTED,
    MH_PLUGIN_REPLAYED,
    MH_PLUGIN_ACTIVE,
    MH_PLUGIN_REJECTED,
    MH_PLUGIN_ROLLED_BACK,
    MH_PLUGIN_STATES
};

#define MH_PLUGIN_KEPT_TRIES 30
#define MH_PLUGIN_SEEN 20 /* passes that a new version is tried on */

struct mh_plugin_seen {
    char *seen, *plan; /* canonical JSON, as the plugin returned it */
};

/* One key of one ConfigMap. */
struct mh_plugin {
    struct mh_plugins *all;
    struct mh_plugin *next;
    char *ns, *name, *uid, *key, *created;
    bool home; /* in the operator's namespace */
    bool seen; /* during an update */
    bool ungranted;
    struct mh_plugin_text *latest; /* as the ConfigMap has it */
    struct mh_plugin_text *active; /* in charge; NULL: none */
    struct mh_plugin_text *good;   /* in charge before it; NULL: none */
    struct mh_plugin_text *kept;   /* in charge in an earlier life, to be tried first; NULL: none */
    unsigned kept_tries;           /* how often it was put off */
    char fallen[13];               /* hash of the text that was rolled back; "": none */
    char settled[13];              /* hash of the text in charge in an earlier life; "": none */
    enum mh_rollout rollout;
    bool approved;              /* latest, by moonherd.io/approve */
    enum mh_plugin_state state; /* of latest */
    char message[600];
    char told[700];
    char event[80];      /* reason and hash of the last event */
    char *report;        /* JSON: the life of latest; NULL: nothing to say */
    int64_t received_us; /* monotonic; 0: in an earlier life */
    int64_t errors_us[MH_PLUGIN_ERRORS];
    unsigned nerrors;
    char last_error[400];
    struct mh_plugin_seen seen_last[MH_PLUGIN_SEEN];
    unsigned nseen;
    struct mh_timer *fall; /* it is about to be rolled back */
    struct mh_plugin_child *child;
    /* the trial of latest */
    struct mh_plugin_trial *trial;
    struct mh_timer *timer;
    struct mh_plugin_shade *shade; /* latest plans beside active; NULL: it does not */
    struct mh_plugin_work *work;   /* NULL: none is active, or we do not lead */
};

struct mh_plugin_trial;

/* NULL: no memory. */
struct mh_plugin_text *mh_plugin_text_new(yyjson_val *script);
struct mh_plugin_text *mh_plugin_text_ref(struct mh_plugin_text *t);
void mh_plugin_text_unref(struct mh_plugin_text *t);

/* --- plugin_tell.c --- */

/* State and message of latest, told to its author; one event for each reason and message, of a version
 * that waits for each reason. */
void mh_plugin_say(struct mh_plugin *p, enum mh_plugin_state state, const char *reason,
                   const char *fmt, ...) MH_PRINTF(4, 5);
extern const char *const mh_plugin_states[MH_PLUGIN_STATES];
/* Why latest waits, and for what. */
void mh_plugin_say_waiting(struct mh_plugin *p);
/* What latest has been through: goes with what is said next. */
void mh_plugin_report(struct mh_plugin_trial *t, enum mh_plugin_state end);

/* --- plugin_figures.c --- */

/* How many keys are in which state, now. */
void mh_plugins_count(struct mh_plugins *all);
/* A counter "moonherd_plugin_NAME_total". */
void mh_plugins_add(struct mh_plugins *all, const char *name, unsigned n);
/* A pass of one of p's objects is over: for on_done, arg is the work. */
void mh_plugin_on_pass(void *work, const char *kind, const char *result, int64_t ns);
void mh_plugin_on_said(void *work, const struct mh_pass_said *said);

/* --- plugin_life.c --- */

/* latest, or the version of an earlier life, is not taken; the trial ends. */
void mh_plugin_reject(struct mh_plugin_trial *t, const char *reason, const char *why);
/* The same, and it is tried again by itself: latest as long as it takes, who was in charge in an earlier
 * life for MH_PLUGIN_KEPT_TRIES times ten seconds, for latest waits meanwhile. */
void mh_plugin_put_off(struct mh_plugin_trial *t, const char *reason, const char *why);
/* The same for an error: a text whose fault it is stays rejected, unless it was in charge before, and
 * ran out of time or memory, where it is as likely the machine's. */
void mh_plugin_turn_down(struct mh_plugin_trial *t, const struct mh_err *err);
/* Its kind is there: it is in charge from now on; the trial ends. */
void mh_plugin_activate(struct mh_plugin_trial *t);
/* Whether the version on trial may come into charge: annotations say so. */
bool mh_plugin_may_begin(const struct mh_plugin_trial *t);
/* Why the version in charge was taken back. */
void mh_plugin_say_fallen(struct mh_plugin *p);
/* Annotations may have changed: what waits becomes active, or the other way about. */
void mh_plugin_settle(struct mh_plugin *p);
/* We lead: the version in charge works, if it does not already. */
void mh_plugin_go_on(struct mh_plugin *p);
/* A pass failed, and it was the text's fault. */
void mh_plugin_failed(struct mh_plugin *p, const struct mh_plugin_text *t, const char *why);

/* --- plugin_cases.c --- */

struct mh_plugin_cases {
    /* set by the caller, who keeps it until done or cancel */
    struct mh_plugin *plugin;
    struct mh_plugin_text *text;
    yyjson_val *declaration; /* as the child returned it */
    void (*done)(struct mh_plugin_cases *c);
    void *arg;
    /* set before done */
    size_t at;         /* cases that passed */
    struct mh_err err; /* SCRIPT, LIMIT: the case after them failed, with file, line and name */
    /* private */
    struct mh_arena one;
    struct mh_plugin_job job;
    bool working;
};

/* Begins; done may come from inside. */
void mh_plugin_cases_next(struct mh_plugin_cases *c);
void mh_plugin_cases_cancel(struct mh_plugin_cases *c);

/* --- plugin_replay.c --- */

/* Keeps what a pass saw and what came of it. */
void mh_plugin_remember(struct mh_plugin *p, const char *seen, const char *plan);
void mh_plugin_forget_seen(struct mh_plugin *p);

struct mh_plugin_replay {
    /* set by the caller, who keeps it until done or cancel */
    struct mh_plugin *plugin;
    struct mh_plugin_text *text;
    struct mh_arena *arena;
    void (*done)(struct mh_plugin_replay *r);
    void *arg;
    /* set before done */
    unsigned replayed, differ, failed;
    struct mh_err err; /* of the first that failed */
    /* private */
    struct mh_plugin_job job;
    bool working;
    unsigned at;
    const char *plan; /* of the pass that is asked about: its place may be another's meanwhile */
};

/* "; 3 of 20 recorded plans differ", or "". A plan that fails is told, no more: what observe returns
 * may have changed with it. */
void mh_plugin_replay_sentence(const struct mh_plugin_replay *r, char *out, size_t size);
/* Begins; done may come from inside. */
void mh_plugin_replay_next(struct mh_plugin_replay *r);
void mh_plugin_replay_cancel(struct mh_plugin_replay *r);

/* --- plugin_trial.c --- */

struct mh_plugin_trial {
    struct mh_plugin *plugin;
    struct mh_plugin_text *text; /* latest, or kept */
    struct mh_arena arena;
    struct mh_plugin_job job;
    bool working; /* the job runs */
    struct mh_plugin_cases cases;
    struct mh_needs_ask ask;
    bool asking;
    struct mh_plugin_replay replay;
    bool waits; /* Replayed, and annotations do not let it into charge */
    struct mh_api_call call;
    bool calling;
    const char *crd;
    int tries;
    int64_t at_us[MH_PLUGIN_STATES]; /* when it came to each state, monotonic; 0: not yet */
};

/* Begins the trial of latest, ends one that runs. */
void mh_plugin_try(struct mh_plugin *p);
void mh_plugin_end_trial(struct mh_plugin *p);
/* At once, or in ten seconds; from the loop. */
void mh_plugin_try_later(struct mh_plugin *p, bool at_once);
/* It has waited enough: its kind is made. */
void mh_plugin_proceed(struct mh_plugin_trial *t);
/* What the operator makes of a declaration that a child returned; an error has file and line. */
enum mh_code mh_plugin_declare(const struct mh_plugin *p, struct mh_arena *a,
                               yyjson_val *declaration, yyjson_val **out, struct mh_err *err);
/* The beginning of a request to the child: {"op":OP,"name","script"; the rest is the caller's. */
void mh_plugin_request(struct mh_buf *b, const char *op, const struct mh_plugin *p,
                       const struct mh_plugin_text *t);

/* --- plugin_shadow.c --- */

/* What observe was told in a pass, so that the version beside it sees the same. */
struct mh_plugin_heard {
    struct mh_plugin_heard *next;
    const char *question; /* effect and arguments */
    const char *answer;   /* JSON, as the child got it */
};

/* The list with one more, or as it was without memory. */
struct mh_plugin_heard *mh_plugin_heard_add(struct mh_arena *a, struct mh_plugin_heard *list,
                                            const char *question, const char *answer);
/* The text on trial plans beside the one in charge from now on, if both are of one kind. */
void mh_plugin_shade_begin(struct mh_plugin *p, struct mh_plugin_text *t);
void mh_plugin_shade_end(struct mh_plugin *p);
/* A pass of the version in charge is planned: the other one is asked the same. */
void mh_plugin_shade_ask(struct mh_plugin *p, const struct mh_planner_call *call,
                         const struct mh_plugin_heard *heard, int64_t now_s);
/* "; 3 plans differ and 1 failed so far, the last: ...". */
void mh_plugin_shade_sentence(const struct mh_plugin *p, char *out, size_t size);

/* --- plugin_keep.c --- */

/* Keeps the versions in charge of p's ConfigMap beyond this process. */
void mh_plugin_tell_record(const struct mh_plugin *p);
/* Takes over what a record says of p; it has its first text. */
void mh_plugin_recall(struct mh_plugin *p);
void mh_plugins_free_kept(struct mh_plugins *all);

/* --- plugin_work.c: while a version is in charge --- */

struct mh_plugin_work {
    struct mh_plugin *plugin;
    struct mh_plugin_text *text; /* the one that kinds and watches come from */
    struct mh_kinds kinds;
    const struct mh_kind *kind;
    struct mh_cache *cache;
    struct mh_applied *applied;
    struct mh_act_env env;
    struct mh_passes passes;
    struct mh_api guard;
    struct mh_guarded *calls;      /* that wait or run */
    struct mh_plugin_ahead *ahead; /* dry passes that somebody asked for (foresee_plugin.h) */
    int64_t tokens_us;             /* of the bucket: full at this much behind now */
    char *field_manager;
};

/* NULL: no memory, or a declared kind that is unknown (err says so). */
struct mh_plugin_work *mh_plugin_work_new(struct mh_plugin *p, struct mh_plugin_text *t,
                                          struct mh_err *err);
/* For planning only: it watches nothing and queues nothing. NULL: no memory. */
struct mh_plugin_work *mh_plugin_work_still(struct mh_plugin *p, struct mh_plugin_text *t);
void mh_plugin_work_free(struct mh_plugin_work *w);
/* Another version of the same shape is in charge: all objects get a pass. */
void mh_plugin_work_all(struct mh_plugin_work *w);

/* --- plugin_leave.c --- */

bool mh_plugin_has_finalizer(yyjson_val *object);
/* Takes our finalizer off one object of a plugin that is gone; false: that goes on already, or no memory. */
bool mh_plugin_let_object_go(struct mh_plugins *all, const struct mh_kind *kind,
                             yyjson_val *object);
/* Takes our finalizer off every object, for a plugin that is gone; that goes on when w is gone. */
void mh_plugin_let_go(struct mh_plugin_work *w);
void mh_plugins_stop_leaving(struct mh_plugins *all);

/* --- plugin_sweep.c --- */

/* On the CustomResourceDefinition of a plugin: "namespace/name/key" of whose it is. */
#define MH_PLUGIN_OWNER "moonherd.io/plugin-of"

/* Takes our finalizer off objects that are being deleted, of kinds whose plugin is in no ConfigMap;
 * while we lead, and again each minute as long as there are objects with it. */
void mh_plugins_sweep(struct mh_plugins *all);
void mh_plugins_stop_sweep(struct mh_plugins *all);

/* --- plugin_plan.c --- */

struct mh_planner mh_plugin_planner(struct mh_plugin_work *w);
/* One plan of another pass's world: at its time, with what it heard. */
void mh_plugin_plan_like(struct mh_plugin_work *w, struct mh_planner_call *call,
                         const struct mh_plugin_heard *heard, int64_t now_s);
/* Calls a function of plugins/lib/host; *out is its result on the arena. */
enum mh_code mh_plugin_host(struct mh_plugins *all, struct mh_arena *a, const char *fn,
                            yyjson_val *arg, yyjson_val **out, struct mh_err *err);

/* --- plugin_wish.c --- */

/* Whether t may: own_ns is the namespace of the object whose pass it is (NULL: not in a pass).
 * REFUSED says what is missing. */
enum mh_code mh_plugin_may(const struct mh_plugin *p, const struct mh_plugin_text *t,
                           const struct mh_need_wish *wish, const char *own_ns, struct mh_err *err);
/* Every action of a plan that is ready to be carried out. */
enum mh_code mh_plugin_may_plan(const struct mh_plugin_work *w, const struct mh_plugin_text *t,
                                yyjson_val *plan, const char *own_ns, struct mh_err *err);
/* The API server for the plugin's actions and reads: what no need covers is refused before it is
 * sent, and what is too much. */
struct mh_api mh_plugin_guard(struct mh_plugin_work *w);
void mh_plugin_guard_release(struct mh_plugin_work *w);

/* --- plugin_sql.c --- */

/* Path of calls of the guard that are SQL: the body is {namespace,cluster,database,as,sql,args,
 * params,password}, the reply {columns,rows}. */
#define MH_PLUGIN_SQL_PATH "/moonherd/v1/sql"

#endif
