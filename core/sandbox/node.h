/* node.h - the sandbox's nodes: a kubelet in the process for each, pods as local processes.
 *
 * Every pod that is bound to one of the nodes runs here: init containers, containers, probes,
 * volumes, status, deletion. Each container is a process in its own mount, PID and IPC namespaces
 * (as root; else in a user namespace too) with an address of the pod in 127.N.x.y. Its TCP
 * connections are led through a relay in this process, so that they can be cut and slowed.
 * Nothing of it survives the sandbox: PR_SET_PDEATHSIG, and PID 1 of a PID namespace takes all.
 * Owner: whoever starts it. One loop, one thread; nothing blocks.
 *
 * Who is meant in faults: "NAMESPACE/POD", "node:NAME", "api", or "*" (everybody). */
#ifndef MH_SANDBOX_NODE_H
#define MH_SANDBOX_NODE_H

#include <event2/event.h>

#include "base/world.h"

#define MH_SB_PATH 512

struct mh_sb_nodes;

struct mh_sb_nodes_spec {
    struct event_base *base;
    struct mh_clock clock;
    struct mh_api api;  /* in the process, as one who may do all that kubelets do */
    int n;              /* addresses 127.N.x.y */
    int nodes;          /* node1 .. nodeN, zone1 .. zoneN */
    int api_port;       /* 0: MH_SB_API_PORT, at 127.N.0.1 */
    const char *dir;    /* absolute; what pods write that is no claim: pods/, logs/, hosts/ */
    const char *binary; /* the moonherd executable: /manager in its own image */
    const char *operator_image; /* besides localhost/moonherd:*; NULL: none */
    /* Today's target of a new connection to a Service's address. True with *known: rewritten to
     * address and port. False and *known: refuse. False and not known: not a Service. May be NULL. */
    bool (*route)(void *arg, const char *address, int port, char out_address[48], int *out_port,
                  bool *known);
    /* Lines of the hosts file of a pod in this namespace. May be NULL. */
    const char *(*hosts)(void *arg, struct mh_arena *a, const char *ns);
    void *arg; /* of both */
};

/* First thing in the process, before threads and children: a mount namespace (without root also a
 * user namespace, same ids) of its own, in which volumes of class `memory` are mounted. UNAVAILABLE
 * with a HINT where the kernel does not let us. A second call does nothing. */
enum mh_code mh_sb_node_enter(struct mh_err *err);

/* Creates the Node objects and starts. NULL: *err says why. Texts are copied. */
struct mh_sb_nodes *mh_sb_node_start(const struct mh_sb_nodes_spec *spec, struct mh_err *err);
/* Kills all and frees; the objects in the API stay. Volumes stay. */
void mh_sb_node_stop(struct mh_sb_nodes *nodes);
/* The answers of `hosts` are different now. */
void mh_sb_node_hosts_changed(struct mh_sb_nodes *nodes);
/* Majors of PostgreSQL that are installed, ascending: "13, 15". On the arena. */
const char *mh_sb_node_majors(struct mh_arena *a);

/* --- exec, attach, port-forward, logs -------------------------------------------------------- */

struct mh_sb_exec {
    /* set by the caller, who keeps it until on_exit ran or cancel returned */
    const char *ns;
    const char *pod;
    const char *container;   /* NULL: the first (or the annotation's default container) */
    const char *const *argv; /* ends with NULL; argv[0] is searched in the container's PATH */
    bool tty;
    bool want_stdin;
    void (*on_exit)(struct mh_sb_exec *e); /* never from inside start */
    void *arg;
    /* set by start: non-blocking, the caller's to close. With tty all is in fd[0] (both ways) and
     * the others are -1. Else stdin to write, stdout and stderr to read. */
    int fd[3];
    /* set before on_exit; what was written before is still in the pipes */
    int exit_code;   /* 0..255, or 128 + signal */
    char error[256]; /* why it could not be started; "" */
    void *impl;
};
/* NOTFOUND: no such pod or container; UNAVAILABLE: it is not running. */
enum mh_code mh_sb_exec_start(struct mh_sb_nodes *nodes, struct mh_sb_exec *e, struct mh_err *err);
/* Kills it; on_exit does not come. The descriptors stay the caller's. */
void mh_sb_exec_cancel(struct mh_sb_exec *e);
void mh_sb_exec_resize(struct mh_sb_exec *e, int columns, int rows);

/* Path of a container's log, lines as the CRI writes them ("TIME stdout F text"). It may be of a
 * container that has ended. previous: of the run before. NOTFOUND. container NULL: as exec. */
enum mh_code mh_sb_node_log(struct mh_sb_nodes *nodes, const char *ns, const char *pod,
                            const char *container, bool previous, char path[MH_SB_PATH],
                            struct mh_err *err);
/* Is the container's process alive (its log may grow)? */
bool mh_sb_node_running(struct mh_sb_nodes *nodes, const char *ns, const char *pod,
                        const char *container);
/* A non-blocking socket that connects to a pod's port (port-forward, proxy). */
enum mh_code mh_sb_node_dial(struct mh_sb_nodes *nodes, const char *ns, const char *pod, int port,
                             int *fd, struct mh_err *err);

/* --- faults ---------------------------------------------------------------------------------- */

/* A signal for a container's PID 1 (process NULL), or for the oldest process of the container
 * whose name (comm) is `process`, for example "postgres". container NULL: the first. */
enum mh_code mh_sb_node_kill(struct mh_sb_nodes *nodes, const char *ns, const char *pod,
                             const char *container, const char *process, int sig,
                             struct mh_err *err);
/* SIGSTOP or SIGCONT for every process of the pod. */
enum mh_code mh_sb_node_freeze(struct mh_sb_nodes *nodes, const char *ns, const char *pod,
                               bool frozen, struct mh_err *err);
/* Between a and b nothing arrives any more, both ways; connections stay and wait. */
enum mh_code mh_sb_node_cut(struct mh_sb_nodes *nodes, const char *a, const char *b,
                            struct mh_err *err);
/* Every byte between them comes ms later, and so do new connections. ms 0: not any more. */
enum mh_code mh_sb_node_slow(struct mh_sb_nodes *nodes, const char *a, const char *b, int ms,
                             struct mh_err *err);
/* Takes away cuts and delays: of this pair, of all of a (b NULL), all (both NULL). */
enum mh_code mh_sb_node_heal(struct mh_sb_nodes *nodes, const char *a, const char *b,
                             struct mh_err *err);
/* Off: silence at once, then all its processes are gone; no heartbeat. On: it boots, and runs the
 * pods that are bound to it again. */
enum mh_code mh_sb_node_power(struct mh_sb_nodes *nodes, const char *node, bool on,
                              struct mh_err *err);
/* Fills a claim of class `memory` so that `free_bytes` are left; negative: takes the filler away. */
enum mh_code mh_sb_node_fill(struct mh_sb_nodes *nodes, const char *ns, const char *claim,
                             int64_t free_bytes, struct mh_err *err);

/* One fault that is on: "cut a b", "slow a b 200", "frozen ns/pod", "off node2". On the arena;
 * returns their number. */
int mh_sb_node_faults(struct mh_sb_nodes *nodes, struct mh_arena *a, const char ***out);

#endif
