/* node_in.h - what the files of the nodes and their pods share. */
#ifndef MH_SANDBOX_NODE_IN_H
#define MH_SANDBOX_NODE_IN_H

#include "base/map.h"
#include "base/time.h"
#include "kube/event.h"
#include "net/http_client.h"
#include "sandbox/image.h"
#include "sandbox/node.h"
#include "sandbox/podlog.h"
#include "sandbox/probe.h"
#include "sandbox/proc.h"
#include "sandbox/relay.h"
#include "sandbox/sandbox.h"

#define MH_SB_CONTAINERS_MAX 32
#define MH_SB_ADDRESSES 255 /* y of a node's pods: 2..254 */
#define MH_SB_OBJECT_MAX ((size_t)4 << 20)

struct mh_sb_pod;

/* An object that pods need (Secret, ConfigMap, claim, volume): kept by a watch while one does. */
enum mh_sb_ref_state { MH_SB_REF_ASKED, MH_SB_REF_THERE, MH_SB_REF_MISSING };
struct mh_sb_ref {
    enum mh_sb_ref_state state;
    struct mh_arena arena;
    yyjson_val *object;
    struct mh_sb_nodes *nodes;
    struct mh_api_call call;
    struct mh_arena call_arena;
    bool calling;
};

struct mh_sb_node {
    struct mh_sb_nodes *nodes;
    char name[24];
    int index;
    bool off;
    bool ready; /* the Node object was written */
    struct mh_sb_pod *by_y[MH_SB_ADDRESSES];
    int next_y;
    struct mh_timer *beat;
    struct mh_api_call call;
    struct mh_arena call_arena;
    bool calling;
    int step; /* of what is written: Node, its status, its Lease */
    int beats;
    bool has_lease;
};

struct mh_sb_nodes {
    struct mh_sb_nodes_spec spec;
    char dir[MH_SB_PATH];
    char binary[MH_SB_PATH];
    char operator_image[MH_SB_PATH];
    char stage[MH_SB_PATH + 16];
    struct mh_http *http; /* probes */
    struct mh_events *events;
    struct mh_sb_relay *relay;
    struct mh_sb_node node[MH_SB_NODES_MAX];
    struct mh_sb_pod *pods;
    struct mh_map refs; /* key -> struct mh_sb_ref */
    struct mh_watch *watches[5];
    struct mh_timer *hosts_timer;
    struct mh_map hosts; /* namespaces with a hosts file -> "" */
    bool stopping;
};

enum mh_sb_run { MH_SB_WAITING, MH_SB_RUNNING, MH_SB_ENDED };

struct mh_sb_end {
    bool is;
    int code;
    int signal;
    int64_t started_us;
    int64_t finished_us;
    char reason[32];
    char message[512];
    char id[96];
};

struct mh_sb_container {
    struct mh_sb_pod *pod;
    const char *name; /* all texts on pod->arena */
    int index;
    bool init;
    bool sidecar; /* an init container that goes on */
    enum mh_sb_run run;
    char why[40]; /* it waits: ContainerCreating, CrashLoopBackOff */
    char message[512];
    struct mh_sb_proc proc;
    bool has_proc;
    struct mh_sb_podlog *log;
    char log_path[MH_SB_PATH + 400];
    char id[96];
    int64_t started_us;
    int64_t finished_ns;
    struct mh_sb_end end;  /* ENDED */
    struct mh_sb_end last; /* the run before */
    int restarts;
    int64_t backoff_ns;
    int64_t backoff_at;
    bool ready;
    bool started; /* the startup probe has succeeded, or there is none */
    bool killing;
    bool unhealthy; /* killed by a probe */
    struct mh_timer *kill_timer;
    int64_t kill_at;
    struct mh_sb_probe *probes[3];
};

struct mh_sb_token {
    struct mh_sb_token *next;
    struct mh_sb_pod *pod;
    char *audience; /* "" : the API server */
    int64_t seconds;
    char *text; /* NULL: not yet */
    struct mh_timer *renew;
    struct mh_api_call call;
    struct mh_arena call_arena;
    bool calling;
};

#define MH_SB_CONDITIONS 4 /* those that a kubelet writes */

struct mh_sb_pod {
    struct mh_sb_pod *next;
    struct mh_sb_nodes *nodes;
    struct mh_sb_node *node;
    struct mh_arena arena; /* as long as the pod */
    const char *ns;
    const char *name;
    const char *uid;
    const char *key; /* "ns/name" */
    struct mh_arena object_arena;
    yyjson_val *object; /* as last heard */
    char dir[MH_SB_PATH + 64];
    char address[48];
    int y;
    struct mh_sb_peer *peer;
    struct mh_sb_container containers[MH_SB_CONTAINERS_MAX];
    int ninit;
    int ncontainers; /* init ones first, all together */
    struct mh_sb_token *tokens;
    int64_t started_us;
    bool admitted;    /* it has an address and folders */
    bool initialized; /* all init containers have done their part */
    bool finished;    /* Succeeded or Failed, for good */
    bool deleting;
    bool removed; /* the object is gone */
    bool listed;
    bool frozen;
    bool volumes_ready;
    bool syncing;
    bool again;
    int64_t grace_ns;
    char failure[512]; /* why nothing starts: FailedMount */
    struct mh_timer *timer;
    int64_t timer_at;
    /* status */
    struct mh_api_call call;
    struct mh_arena call_arena;
    enum { MH_SB_POD_IDLE, MH_SB_POD_STATUS, MH_SB_POD_DELETE } calling;
    bool dirty;
    uint64_t written; /* hash of the last status */
    bool written_is;
    /* Of MH_SB_CONDITIONS: as last written. The object as heard may lag behind it. */
    struct {
        bool known, is;
        char since[MH_TIME_TEXT];
    } conditions[MH_SB_CONDITIONS];
    bool delete_sent;
    int retries;
};

static inline int64_t
mh_sb_mono(const struct mh_sb_nodes *n)
{
    return n->spec.clock.mono_ns(n->spec.clock.self);
}

static inline int64_t
mh_sb_wall(const struct mh_sb_nodes *n)
{
    return n->spec.clock.wall_us(n->spec.clock.self);
}

/* --- node_refs.c ----------------------------------------------------------------------------------- */

/* Asks for the object if nobody has. NULL: no memory (asked again later). */
struct mh_sb_ref *mh_sb_ref_get(struct mh_sb_nodes *n, const char *plural, const char *ns,
                                const char *name);
/* What a watch says of it; object NULL: it is gone. */
void mh_sb_ref_heard(struct mh_sb_nodes *n, const char *plural, yyjson_val *object, bool gone);
void mh_sb_refs_release(struct mh_sb_nodes *n);

/* --- node.c, node_object.c ------------------------------------------------------------------------- */

struct mh_sb_pod *mh_sb_pod_find(struct mh_sb_nodes *n, const char *ns, const char *name);
/* NULL as in node.h. NULL with err: NOTFOUND. */
struct mh_sb_container *mh_sb_container_find(struct mh_sb_nodes *n, const char *ns, const char *pod,
                                             const char *container, struct mh_err *err);
/* The folder with the hosts file of a namespace, written. NULL: not possible. */
const char *mh_sb_hosts_dir(struct mh_sb_nodes *n, struct mh_arena *a, const char *ns);
void mh_sb_hosts_write_all(struct mh_sb_nodes *n);
/* The Node object and its heartbeats. */
void mh_sb_node_begin(struct mh_sb_node *node);
void mh_sb_node_end(struct mh_sb_node *node);

/* --- pod.c ----------------------------------------------------------------------------------------- */

/* A pod that is bound here: as it is now. */
void mh_sb_pod_heard(struct mh_sb_nodes *n, struct mh_sb_node *node, yyjson_val *object);
/* Its object is gone. */
void mh_sb_pod_gone(struct mh_sb_pod *p, yyjson_val *object);
/* Does what is to be done next; harmless at any time. */
void mh_sb_pod_sync(struct mh_sb_pod *p);
/* sync not later than in ns. */
void mh_sb_pod_later(struct mh_sb_pod *p, int64_t ns);
/* All processes die at once and nothing is said; then it is forgotten. */
void mh_sb_pod_drop(struct mh_sb_pod *p);
/* A new machine: what ran has been lost (node on again, sandbox started again). */
void mh_sb_pod_reboot(struct mh_sb_pod *p);
yyjson_val *mh_sb_container_spec(const struct mh_sb_container *c);
void mh_sb_pod_event(struct mh_sb_pod *p, const char *type, const char *reason, const char *note);

/* --- pod_run.c ------------------------------------------------------------------------------------- */

/* Starts it; what is wrong stands in c->why and c->message. */
void mh_sb_container_start(struct mh_sb_container *c);
/* TERM now, KILL after grace. */
void mh_sb_container_stop(struct mh_sb_container *c, int64_t grace_ns);
/* KILL, wait, close the log: nothing is left. */
void mh_sb_container_drop(struct mh_sb_container *c);

/* --- pod_env.c ------------------------------------------------------------------------------------- */

struct mh_sb_launch {
    struct mh_arena *arena;
    const char *const *argv;
    const char *const *env;
    const char *cwd;
    const char *hostname;
    struct mh_sb_image image;
    unsigned uid;
    unsigned gid;
    gid_t groups[32];
    size_t ngroups;
    uint64_t caps;
    bool no_new_privs;
    bool read_only_root;
};
/* False: c->why and c->message say what is missing. */
bool mh_sb_launch_make(struct mh_sb_container *c, struct mh_sb_launch *out);
/* The value of a fieldRef; NULL: no such field. */
const char *mh_sb_pod_field(struct mh_sb_pod *p, struct mh_arena *a, const char *path);
/* Decoded, ended by NUL; NULL: not base64. */
char *mh_sb_base64_text(struct mh_arena *a, const char *text);
/* user and group of a container (NULL: of the pod). */
void mh_sb_pod_ids(const struct mh_sb_pod *p, yyjson_val *container, unsigned *uid, unsigned *gid);

/* --- volume.c -------------------------------------------------------------------------------------- */

/* Makes and updates the pod's volumes. False: not all are there, p->failure says why. */
bool mh_sb_volumes_make(struct mh_sb_pod *p);
/* Where a volume lies; NULL: no such volume. */
const char *mh_sb_volume_path(struct mh_sb_pod *p, struct mh_arena *a, const char *name,
                              bool *read_only);
void mh_sb_volumes_remove(struct mh_sb_pod *p);
void mh_sb_tree_remove(const char *path);
/* Files of a secret, config map, projected or downwardAPI volume: written where they changed. */
bool mh_sb_payload_make(struct mh_sb_pod *p, yyjson_val *volume, const char *dir);
/* The token for this audience, asked for where there is none. NULL: not yet. */
const char *mh_sb_token_get(struct mh_sb_pod *p, const char *audience, int64_t seconds);
void mh_sb_tokens_release(struct mh_sb_pod *p);

/* --- pod_status.c ---------------------------------------------------------------------------------- */

/* Writes the status if it is another one than last time. */
void mh_sb_pod_status(struct mh_sb_pod *p);
/* "Pending", "Running", "Succeeded", "Failed" */
const char *mh_sb_pod_phase(const struct mh_sb_pod *p);

#endif
