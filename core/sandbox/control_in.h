/* control_in.h - what the controllers share: tables of what is there, and tasks that look at one
 * object each. Only files of the control plane include this.
 *
 * A controller is a worker: a function that reads the tables, decides, and asks for writes. It is
 * called for a key when a hook touched it; replies of its writes go into the tables at once, and it
 * is called again until it has nothing left to write. */
#ifndef MH_SANDBOX_CONTROL_IN_H
#define MH_SANDBOX_CONTROL_IN_H

#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "kube/event.h"
#include "sandbox/control.h"

#define MH_SB_OBJECTS_MAX 1000000
#define MH_SB_KEY 600
#define MH_SB_CLUSTER_LABEL "cnpg.io/cluster"
#define MH_PATCH_STRATEGIC "application/strategic-merge-patch+json"

enum mh_sb_table_id {
    MH_SB_NAMESPACES,
    MH_SB_NODES,
    MH_SB_PODS,
    MH_SB_SERVICES,
    MH_SB_ENDPOINTS,
    MH_SB_SLICES,
    MH_SB_ACCOUNTS,
    MH_SB_CONFIGMAPS,
    MH_SB_CLAIMS,
    MH_SB_VOLUMES,
    MH_SB_CLASSES,
    MH_SB_DEPLOYMENTS,
    MH_SB_REPLICASETS,
    MH_SB_JOBS,
    MH_SB_BUDGETS,
    MH_SB_LEASES,
    MH_SB_TABLES
};

enum mh_sb_worker_id {
    MH_SB_W_BASE, /* what every cluster has */
    MH_SB_W_ACCOUNT,
    MH_SB_W_SCHED,
    MH_SB_W_CLAIM,
    MH_SB_W_VOLUME,
    MH_SB_W_ADDRESS,
    MH_SB_W_ENDPOINTS,
    MH_SB_W_DEPLOYMENT,
    MH_SB_W_REPLICASET,
    MH_SB_W_JOB,
    MH_SB_W_NODE,
    MH_SB_W_PODGC,
    MH_SB_W_BUDGET,
    MH_SB_WORKERS
};

struct mh_sb_table;

/* An object that is held, without managedFields and (pods) what no controller reads. */
struct mh_sb_item {
    struct mh_sb_table *table;
    char *key; /* "ns/name", "name" */
    char *group;
    struct mh_sb_item *next; /* of the group */
    struct mh_sb_item *prev;
    yyjson_doc *doc;
    yyjson_val *object;
    uint64_t version;
    int64_t heard_ns; /* mono, when it was last put in */
    int64_t cpu;      /* of a pod: requests, in thousandths */
    int64_t memory;   /* bytes */
    bool listed;      /* since the last RELIST */
    bool doomed;      /* its deletion was accepted */
};

struct mh_sb_table {
    struct mh_sb_control *c;
    enum mh_sb_table_id id;
    const char *group; /* of the API */
    const char *kind;
    const char *path;      /* of all namespaces */
    const char *only_name; /* objects of other names are not held; NULL: all are */
    struct mh_map items;
    struct mh_map groups; /* "ns/CLUSTER" -> first item; CLUSTER is "" without the label */
    struct mh_watch *watch;
    uint64_t heard; /* the highest resourceVersion that the watch told */
    bool synced;
};

struct mh_sb_task {
    struct mh_sb_control *c;
    enum mh_sb_worker_id worker;
    char *id; /* in c->tasks */
    char *ns; /* "" without */
    char *name;
    struct mh_arena arena; /* of the call of the worker */
    struct mh_sb_task *next;
    struct mh_timer *timer;
    int64_t again_ns; /* asked for by the worker; -1: not */
    int open;         /* writes under way */
    unsigned rounds;  /* calls in a row that wrote */
    unsigned failures;
    bool queued;
    bool running;
    bool touched; /* while it was running or writing */
    bool refused; /* one of its open writes was */
    bool wrote;
};

struct mh_sb_ctl_write {
    struct mh_sb_task *task;
    struct mh_sb_ctl_write *next;
    struct mh_sb_ctl_write *prev;
    struct mh_arena arena;
    struct mh_api_call call;
    void (*done)(struct mh_sb_task *t, struct mh_api_call *call);
};

struct mh_sb_services;
struct mh_sb_sched_state;
struct mh_sb_claims;
struct mh_sb_nodelife;

struct mh_sb_control {
    struct mh_api api;
    struct mh_clock clock;
    struct event_base *loop;
    struct mh_sb_control_config config;
    struct mh_arena arena; /* of the configuration's texts */
    struct mh_sb_table tables[MH_SB_TABLES];
    struct mh_map tasks;
    struct mh_sb_task *first, *last; /* queued */
    struct mh_timer *pump;
    struct mh_sb_ctl_write *writes;
    struct mh_timer *late; /* says which kinds are missing */
    bool synced;
    struct mh_map events; /* component -> struct mh_events */
    struct mh_sb_sched_state *sched;
    struct mh_sb_services *services;
    struct mh_sb_claims *claims;
    struct mh_sb_nodelife *nodes;
};

/* --- tables ---------------------------------------------------------------------------------- */

bool mh_sb_tables_start(struct mh_sb_control *c);
void mh_sb_tables_stop(struct mh_sb_control *c);
/* The reply to a write. */
void mh_sb_tables_wrote(struct mh_sb_control *c, yyjson_val *object);
/* A delete of this object was accepted. */
void mh_sb_tables_doom(struct mh_sb_control *c, const char *path);

struct mh_sb_item *mh_sb_item(struct mh_sb_control *c, enum mh_sb_table_id id, const char *ns,
                              const char *name);
/* The object; NULL: not there. ns NULL or "" for kinds without. Lives until it changes. */
yyjson_val *mh_sb_object(struct mh_sb_control *c, enum mh_sb_table_id id, const char *ns,
                         const char *name);
/* First of those of a namespace with this value of the label cnpg.io/cluster ("": without it). */
struct mh_sb_item *mh_sb_group(struct mh_sb_control *c, enum mh_sb_table_id id, const char *ns,
                               const char *cluster);
size_t mh_sb_count(const struct mh_sb_control *c, enum mh_sb_table_id id);
struct mh_sb_item *mh_sb_at(const struct mh_sb_control *c, enum mh_sb_table_id id, size_t i);
/* All of a namespace (NULL: of all), sorted by key, on the arena; *n is their number. NULL: no
 * memory. */
struct mh_sb_item **mh_sb_sorted(struct mh_sb_control *c, struct mh_arena *a,
                                 enum mh_sb_table_id id, const char *ns, size_t *n);
/* Those that may match a selector (an object's matchLabels or a Service's selector): the group of
 * its cnpg.io/cluster if it names one, else the namespace. Sorted by key. */
struct mh_sb_item **mh_sb_candidates(struct mh_sb_control *c, struct mh_arena *a,
                                     enum mh_sb_table_id id, const char *ns, yyjson_val *labels,
                                     size_t *n);
/* "/api/v1/namespaces/NS/pods/NAME/SUB"; ns, name, sub may be NULL. */
char *mh_sb_path(struct mh_sb_control *c, struct mh_arena *a, enum mh_sb_table_id id,
                 const char *ns, const char *name, const char *sub);

/* A table was listed: work begins once all are. */
void mh_sb_control_listed(struct mh_sb_control *c);

/* --- tasks ----------------------------------------------------------------------------------- */

/* This worker is to look at this key (again). */
void mh_sb_touch(struct mh_sb_control *c, enum mh_sb_worker_id w, const char *ns, const char *name);
/* mh_sb_touch of an object by its own names. */
void mh_sb_touch_object(struct mh_sb_control *c, enum mh_sb_worker_id w, yyjson_val *object);
/* Inside a worker: call it again after ns at the latest. */
void mh_sb_again(struct mh_sb_task *t, int64_t ns);
/* Inside a worker: something could not be done (no memory, a directory): again with back-off. */
void mh_sb_failed(struct mh_sb_task *t);

/* Inside a worker: asks for a write; path and body are copied, NULL ones (no memory) count as a
 * failure. content_type NULL: JSON. done may be NULL; it is called with the reply before the
 * worker is called again. */
void mh_sb_ctl_write(struct mh_sb_task *t, const char *method, const char *path,
                     const char *content_type, const char *body);
void mh_sb_ctl_write_then(struct mh_sb_task *t, const char *method, const char *path,
                          const char *content_type, const char *body,
                          void (*done)(struct mh_sb_task *t, struct mh_api_call *call));
/* The deletion of an object, bound to its UID; grace -1: its own. */
void mh_sb_ctl_delete(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *object, int grace);

/* Text on the task's arena; NULL: no memory. */
char *mh_sb_text(struct mh_sb_task *t, const char *fmt, ...) MH_PRINTF(2, 3);
/* s as a JSON string, with quotes; "null" for NULL. */
const char *mh_sb_quote(struct mh_sb_task *t, const char *s);
/* A value as JSON text; "null" for NULL. */
const char *mh_sb_json(struct mh_sb_task *t, yyjson_val *v);
void mh_sb_event(struct mh_sb_control *c, const char *component, yyjson_val *regarding,
                 const char *type, const char *reason, const char *note);

int64_t mh_sb_ctl_now(const struct mh_sb_control *c);
void mh_sb_now_text(const struct mh_sb_control *c, char out[MH_TIME_TEXT]);
/* Seconds since 1970 of a text such as metadata.creationTimestamp; `absent` if it is none. */
int64_t mh_sb_when(yyjson_val *text, int64_t absent);
int64_t mh_sb_wall_s(const struct mh_sb_control *c);

/* --- objects --------------------------------------------------------------------------------- */

const char *mh_sb_ns(yyjson_val *object);     /* "" without */
const char *mh_sb_name(yyjson_val *object);   /* "" without */
const char *mh_sb_uid_of(yyjson_val *object); /* "" without */
bool mh_sb_is_going(yyjson_val *object);      /* has a deletionTimestamp */
/* The owner reference with controller: true; NULL: none. */
yyjson_val *mh_sb_controller(yyjson_val *object);
/* status.conditions: the one of this type. */
yyjson_val *mh_sb_condition_of(yyjson_val *object, const char *type);
bool mh_sb_pod_ready(yyjson_val *pod);
bool mh_sb_pod_finished(yyjson_val *pod);
bool mh_sb_same(yyjson_val *a, yyjson_val *b); /* NULL equals null and absent */

/* --- workers and hooks ------------------------------------------------------------------------ */

#define MH_SB_HOOK(name) void name(struct mh_sb_control *c, yyjson_val *old, yyjson_val *now)

void mh_sb_base_sync(struct mh_sb_task *t);
void mh_sb_account_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_account_hook);
MH_SB_HOOK(mh_sb_base_hook);

bool mh_sb_sched_init(struct mh_sb_control *c);
void mh_sb_sched_release(struct mh_sb_control *c);
void mh_sb_sched_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_sched_pod_hook);
MH_SB_HOOK(mh_sb_sched_claim_hook);
MH_SB_HOOK(mh_sb_sched_world_hook);

bool mh_sb_claims_init(struct mh_sb_control *c);
void mh_sb_claims_release(struct mh_sb_control *c);
void mh_sb_claim_sync(struct mh_sb_task *t);
void mh_sb_volume_sync(struct mh_sb_task *t);
/* A class by name; NULL or "" as name: the default class. NULL: there is none. */
yyjson_val *mh_sb_class(struct mh_sb_control *c, const char *name);
/* Is it bound only once its first pod has a node, and not bound yet? */
bool mh_sb_claim_waits(struct mh_sb_control *c, yyjson_val *claim);
MH_SB_HOOK(mh_sb_claim_hook);
MH_SB_HOOK(mh_sb_claim_pod_hook);
MH_SB_HOOK(mh_sb_claim_class_hook);
MH_SB_HOOK(mh_sb_volume_hook);

bool mh_sb_services_init(struct mh_sb_control *c);
void mh_sb_services_release(struct mh_sb_control *c);
void mh_sb_address_sync(struct mh_sb_task *t);
void mh_sb_endpoints_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_address_hook);
MH_SB_HOOK(mh_sb_endpoints_service_hook);
MH_SB_HOOK(mh_sb_endpoints_pod_hook);
MH_SB_HOOK(mh_sb_endpoints_own_hook);

void mh_sb_deployment_sync(struct mh_sb_task *t);
void mh_sb_replicaset_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_deployment_hook);
MH_SB_HOOK(mh_sb_replicaset_hook);
MH_SB_HOOK(mh_sb_replicaset_pod_hook);
void mh_sb_job_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_job_hook);
MH_SB_HOOK(mh_sb_job_pod_hook);

bool mh_sb_nodelife_init(struct mh_sb_control *c);
void mh_sb_nodelife_release(struct mh_sb_control *c);
void mh_sb_node_sync(struct mh_sb_task *t);
void mh_sb_podgc_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_node_hook);
MH_SB_HOOK(mh_sb_node_lease_hook);
MH_SB_HOOK(mh_sb_podgc_hook);

void mh_sb_budget_sync(struct mh_sb_task *t);
MH_SB_HOOK(mh_sb_budget_hook);
MH_SB_HOOK(mh_sb_budget_pod_hook);

#endif
