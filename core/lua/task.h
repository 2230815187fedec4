/* task.h - controllers: a script with observe (a coroutine that may wait) and plan (pure).
 *
 * One struct mh_controller is one VM; each observe is one coroutine in it, with one effect in
 * flight at most. What observe returns leaves as canonical JSON and comes back into plan as text,
 * so that it can be recorded, replayed, and fed to a plain interpreter. A pass that is killed for
 * its budget fails alone; after a kill for memory the controller loads a new VM by itself. */
#ifndef MH_LUA_TASK_H
#define MH_LUA_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "moonherd/err.h"

#include "base/json.h"
#include "base/mem.h"
#include "lua/vm.h"

#define MH_SEEN_MAX ((size_t)2 << 20)
#define MH_PLAN_MAX ((size_t)1 << 20)

struct mh_controller;
struct mh_observe;

/* --- effects: what ctx offers ----------------------------------------------------------------- */

/* One call ctx.NAME(...) of a script. Lives until the effect has answered. */
struct mh_effect_call {
    const char *name;
    struct mh_observe *observe; /* ->self, ->arg are the operator's */
    struct mh_arena *arena;     /* of the pass: answers are made here */
    yyjson_val *args;           /* JSON array of the arguments; trailing absent ones are missing */
    /* the answer; the first that is set counts; none is nil */
    struct mh_err err;        /* code != MH_OK: raised in the script */
    yyjson_val *value;        /* one value */
    yyjson_val *const *items; /* or a list of nitems values (items may be NULL if empty) */
    size_t nitems;
    bool is_list;
    const char *text; /* or JSON text */
    size_t text_len;
    /* set by an effect that waits: stops it without an answer; mh_effect_finish may not follow */
    void (*cancel)(struct mh_effect_call *call);
    void *impl; /* of the effect */
};

enum mh_effect_result {
    MH_EFFECT_DONE, /* the answer is there */
    MH_EFFECT_WAIT  /* mh_effect_finish comes later, never from inside fn */
};

struct mh_effect {
    const char *name; /* "list" is ctx.list */
    enum mh_effect_result (*fn)(struct mh_effect_call *call);
};

/* The answer of a waiting effect is there: the pass goes on (and may be done) inside this call. */
void mh_effect_finish(struct mh_effect_call *call);
/* Argument i (0 is the first) as text, NULL if absent or no string. */
const char *mh_effect_str(const struct mh_effect_call *call, size_t i);
/* Argument i, NULL if absent. */
yyjson_val *mh_effect_arg(const struct mh_effect_call *call, size_t i);

/* --- controllers ------------------------------------------------------------------------------ */

/* Loads scripts/NAME.lua ("controllers/cluster"). Fails: NOTFOUND, SCRIPT with file:line, NOMEM. */
enum mh_code mh_controller_new(const char *name, struct mh_controller **out, struct mh_err *err);
/* A controller of the image: it sees the words of plugins (plugins/lib/words) and those of needs.core
 * (controllers/lib/words) beside its modules, and declares itself as a plugin does. */
enum mh_code mh_controller_new_image(const char *name, struct mh_controller **out,
                                     struct mh_err *err);
/* Loads given text instead (tests, scenarios). */
enum mh_code mh_controller_new_text(const char *name, const char *text, size_t len,
                                    struct mh_controller **out, struct mh_err *err);
/* The text of a user, in the child that is its own: it is counted from its first instruction on, and
 * sees the words of plugins/lib/words instead of our modules. */
enum mh_code mh_controller_new_plugin(const char *name, const char *text, size_t len,
                                      struct mh_controller **out, struct mh_err *err);
/* Loads the script again; on failure the old version goes on. Running passes end on the old one. */
enum mh_code mh_controller_reload(struct mh_controller *c, struct mh_err *err);
/* Running passes must be cancelled before. */
void mh_controller_free(struct mh_controller *c);
/* "Cluster" */
const char *mh_controller_kind(const struct mh_controller *c);
/* NULL-ended lists of kinds. */
const char *const *mh_controller_owns(const struct mh_controller *c);
const char *const *mh_controller_watches(const struct mh_controller *c);
/* The whole declaration but functions, as JSON text: {"kind":...,"owns":[...],"watches":[...]}. */
const char *mh_controller_declaration(const struct mh_controller *c);
size_t mh_controller_heap(const struct mh_controller *c);

enum mh_step { MH_STEP_DONE, MH_STEP_WAIT, MH_STEP_FAIL };

struct mh_observe {
    /* set by the caller, who keeps the structure until the end */
    struct mh_arena *arena;
    struct mh_arena *effects_arena;  /* for long ones: emptied before each effect; NULL: arena */
    yyjson_val *object;              /* second argument of observe */
    yyjson_val *ctx;                 /* an object: fields of ctx (now, operator), may be NULL */
    const struct mh_effect *effects; /* ended by a NULL name */
    void *self;                      /* for the effects */
    void (*done)(struct mh_observe *o);
    void *arg;
    /* the result */
    struct mh_err err;         /* MH_OK, or why it failed; an effect's own code when that raised */
    struct mh_script_error se; /* where, when err is SCRIPT or LIMIT */
    const char *seen;          /* canonical JSON on the arena */
    size_t seen_len;
    struct mh_task *task; /* NULL when nothing runs */
};

/* Runs observe(ctx, object) until it ends or waits. DONE and FAIL: the result is in o and done is
 * not called. WAIT: done comes once, later. */
enum mh_step mh_observe_start(struct mh_controller *c, struct mh_observe *o);
/* Ends a waiting observe without done; its effect's cancel runs. Nothing if none runs. */
void mh_observe_cancel(struct mh_observe *o);

/* Runs plan(seen), a pure function, to its end. *plan is canonical JSON on the arena
 * ({"actions":[...],"reason":"...",...}). se may be NULL. */
enum mh_code mh_controller_plan(struct mh_controller *c, struct mh_arena *a, const char *seen,
                                size_t len, const char **plan, size_t *plan_len,
                                struct mh_script_error *se, struct mh_err *err);

/* --- other trusted scripts (admission) -------------------------------------------------------- */

/* Calls FIELD of the table that the script returned with one JSON argument; its result is JSON.
 * The script may be any module (scripts/admission/webhook.lua), loaded with mh_controller_new. */
enum mh_code mh_controller_call(struct mh_controller *c, struct mh_arena *a, const char *field,
                                const char *arg, size_t len, const char **out, size_t *out_len,
                                struct mh_script_error *se, struct mh_err *err);

#define MH_SCRIPT_ARGS_MAX 5

struct mh_script_call {
    const char *field;
    struct {
        yyjson_val *value;          /* NULL: nil */
        const char *const *without; /* keys as for mh_value_push_without; NULL: none */
    } args[MH_SCRIPT_ARGS_MAX];
    size_t nargs;
    const char *out; /* set: canonical JSON on the arena */
    size_t out_len;
    struct mh_script_error se;
};

/* The same with values: nothing is written and parsed again on the way into the script. */
enum mh_code mh_controller_run(struct mh_controller *c, struct mh_arena *a,
                               struct mh_script_call *of, struct mh_err *err);

#endif
