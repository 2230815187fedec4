/* proc.h - processes of containers: PID 1 in new namespaces, and further ones in those of another.
 *
 * start forks and returns at once; the child prepares its view and executes the program. That it
 * runs, could not, or has ended is told on the loop. Killing PID 1 kills all processes of its
 * namespace, and so does the end of this process (PR_SET_PDEATHSIG).
 * Owner: the caller owns struct mh_sb_proc; after a successful start it stays alive until on_exit
 * ran or mh_sb_proc_forget returned. */
#ifndef MH_SANDBOX_PROC_H
#define MH_SANDBOX_PROC_H

#include <event2/event.h>
#include <sys/types.h>

#include "moonherd/err.h"

#include "sandbox/view.h"

#define MH_SB_CAPS_DEFAULT 0xa80425fbULL /* what container engines leave to root */

struct mh_sb_proc;

struct mh_sb_proc_spec {
    const struct mh_sb_view *view; /* of PID 1; NULL: joins `join` */
    const struct mh_sb_proc *join;
    const char *const *argv; /* argv[0] without a slash is searched in PATH of env */
    const char *const *env;
    const char *cwd; /* NULL: "/" */
    const char *hostname;
    unsigned uid;
    unsigned gid;
    const gid_t *groups; /* supplementary; only as root */
    size_t ngroups;
    uint64_t caps; /* bounding set; those of a user other than root are none */
    bool no_new_privs;
    bool filter; /* connect and bind are asked of on_listener's descriptor */
    bool tty;    /* fds[0] becomes the controlling terminal */
    int fds[3];  /* stdin, stdout, stderr of the child; copied, not closed; -1: /dev/null */
};

struct mh_sb_proc {
    /* set by the caller */
    void (*on_listener)(struct mh_sb_proc *p, int fd); /* the descriptor is the callee's */
    void (*on_running)(struct mh_sb_proc *p);          /* exec succeeded; may be NULL */
    void (*on_exit)(struct mh_sb_proc *p);             /* reaped, or it never ran (error) */
    void *arg;
    /* set by start */
    pid_t pid;
    int pidfd; /* -1: none */
    bool running;
    /* set before on_exit */
    int exit_code; /* 0..255; 128 + signal */
    int exit_signal;
    char error[256]; /* why it did not run; "" */
    bool not_found;  /* the program does not exist */
    /* own */
    struct event *on_pidfd;
    struct event *on_word;
    int word_fd;
    bool heard;
};

/* p must be zeroed but for the caller's fields. What the spec points at may go after the return. */
enum mh_code mh_sb_proc_start(struct mh_sb_proc *p, struct event_base *base,
                              const struct mh_sb_proc_spec *spec, struct mh_err *err);
/* Nothing happens to one that has ended. */
void mh_sb_proc_kill(struct mh_sb_proc *p, int sig);
/* SIGKILL if it is alive; reaps it, waiting for it if `wait`; callbacks do not come. */
void mh_sb_proc_forget(struct mh_sb_proc *p);

/* Processes of the PID namespace of p, with this name (NULL: all); -1: /proc cannot be read. At
 * most max are written, oldest first. */
int mh_sb_proc_members(const struct mh_sb_proc *p, const char *name, pid_t *out, int max);
/* A signal for all of them, until no new ones come. */
void mh_sb_proc_signal_all(const struct mh_sb_proc *p, int sig);

/* In the child, proc_child.c: never returns. word_fd hears what happens; uid and gid are ours, as
 * the parent has them. */
_Noreturn void mh_sb_proc_child(const struct mh_sb_proc_spec *spec, int word_fd, unsigned uid,
                                unsigned gid);

/* What the child says on word_fd. */
struct mh_sb_word {
    int error; /* errno; 0: a listener comes with this message */
    bool not_found;
    char what[200];
};

/* Installs the filter; the listener's descriptor, or -1. In the child. */
int mh_sb_filter_install(void);

#endif
