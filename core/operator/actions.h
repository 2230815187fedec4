/* actions.h - carries out the actions of a plan, one after the other.
 *
 * An action is data, {op = ..., ...}; what each op does is a row of the table in ops.c. The list
 * ends at the first failure. Everything that is written is put into the cache from the reply; a
 * write with unknown outcome is read back. All is repeatable: create takes "exists" for success,
 * delete "not found", leases and status go by compare-and-swap.
 * Owner: the caller's struct and arena, alive until done ran or cancel returned. */
#ifndef MH_OPERATOR_ACTIONS_H
#define MH_OPERATOR_ACTIONS_H

#include "base/world.h"
#include "kube/cache.h"
#include "kube/event.h"
#include "kube/kinds.h"
#include "operator/crash.h"
#include "operator/status.h"

#define MH_ACTIONS_MAX 1000
#define MH_FIELD_MANAGER "moonherd"

/* An order to the instance manager of one pod: sent beside the list, so that one that hangs holds up
 * neither the others nor the next pass. Orders are repeatable; whether one was followed shows in the
 * instance's status. */
struct mh_instance_order {
    const char *ns;
    const char *pod;
    const char *command; /* "lease", "restart", ... */
    const char *body;    /* JSON; all texts are copied */
    struct mh_crash *crash;
};

struct mh_instance_sender {
    void (*post)(void *self, const struct mh_instance_order *order); /* NULL: nobody listens */
    void *self;
};

/* What we applied last to an object, so that the same text is not sent while nobody changed it. */
struct mh_applied;
struct mh_applied *mh_applied_new(void);
void mh_applied_free(struct mh_applied *p);
void mh_applied_forget(struct mh_applied *p, const char *kind, const char *ns, const char *name);

/* What all passes share. */
struct mh_act_env {
    struct mh_clock clock;
    struct mh_rand rand;
    struct mh_api api;
    struct mh_api urgent_api; /* for passes of the urgent lane; start NULL: api */
    struct mh_kinds *kinds;
    struct mh_cache *cache;     /* NULL: none */
    struct mh_events *events;   /* NULL: dropped */
    struct mh_applied *applied; /* NULL: always apply */
    struct mh_instance_sender instance;
    struct mh_crash crash;
    const char *field_manager; /* of a plugin; NULL: ours */
    int64_t certificate_s;     /* how long certificates hold; 0: 90 days */
    /* Every answer of the API server, for metrics; may be NULL. */
    void (*on_call)(void *arg, const char *method, int status);
    /* An event is told of this object; may be NULL. */
    void (*on_event)(void *arg, yyjson_val *object, const char *type, const char *reason,
                     const char *note);
    void *arg;
    bool writing; /* set while the cache hears of our own write */
};

enum mh_act_step { MH_ACT_WAIT, MH_ACT_DONE, MH_ACT_FAILED };

struct mh_act {
    /* set by the caller */
    struct mh_act_env *env;
    struct mh_arena *arena;
    yyjson_val *object;  /* the one the pass is about; replaced when we write it */
    yyjson_val *actions; /* array, or NULL */
    bool urgent;
    struct mh_status_failure failure; /* for op status */
    void (*done)(struct mh_act *act);
    void *arg;
    /* set before done */
    struct mh_err err; /* MH_OK; CANCELLED: pre-empted */
    size_t at;         /* actions carried out; on failure the index of the failed one */
    /* private */
    struct mh_api api; /* of the lane */
    size_t total;
    yyjson_arr_iter iter;
    yyjson_val *action;
    const char *op;
    int step;
    const struct mh_kind *kind; /* of the object being written, for the cache */
    const char *ns;
    const char *name;
    const char *uid;
    const char *text_hash; /* of an apply */
    yyjson_val *memo;      /* of an op, between its steps */
    struct mh_api_call call;
    struct mh_timer *timer;
    bool calling;
    bool reading_back;
    bool dropped;
};

/* done comes from the loop; from inside only for want of memory. */
void mh_act_start(struct mh_act *act);
/* The actions not yet begun are dropped; the one under way gets 2 s to finish, then done comes with
 * CANCELLED. */
void mh_act_preempt(struct mh_act *act);
/* done does not come any more. */
void mh_act_cancel(struct mh_act *act);

/* One line for logs and records: "create Pod ns/name"; on the arena, never NULL. */
const char *mh_act_describe(struct mh_arena *a, yyjson_val *action);
/* The ops, NULL-ended, for the list of crash points. */
const char *const *mh_act_ops(void);

/* --- between actions.c and ops.c --- */

typedef enum mh_act_step (*mh_act_fn)(struct mh_act *act, yyjson_val *action);
mh_act_fn mh_act_find(const char *op);
/* Names the object that the next call is about; false (err set) if kind or name is missing. */
bool mh_act_target(struct mh_act *act, const struct mh_kind *kind, const char *ns,
                   const char *name);
/* The object that the call was about is gone, as far as the server says. */
void mh_act_gone(struct mh_act *act, const char *uid);
/* Starts an API call; body NULL: none. */
enum mh_act_step mh_act_send(struct mh_act *act, const char *method, const char *path,
                             const char *type, const char *body);
enum mh_act_step mh_act_fail(struct mh_act *act, enum mh_code code, const char *fmt, ...)
    MH_PRINTF(3, 4);
/* Remembers or asks what was applied; see struct mh_applied. */
void mh_applied_put(struct mh_applied *p, const char *key, const char *hash, const char *rv);
bool mh_applied_is(const struct mh_applied *p, const char *key, const char *hash, const char *rv);

#endif
