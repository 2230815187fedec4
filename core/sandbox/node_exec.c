/* node_exec.c - exec, logs and connections into pods. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/node_in.h"

struct running {
    struct mh_sb_proc proc;
    struct mh_sb_exec *exec; /* NULL: cancelled */
    struct mh_sb_nodes *nodes;
    char ns[256];
    char pod[256];
    int tty;
};

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void
on_exit_(struct mh_sb_proc *proc)
{
    struct running *r = proc->arg;
    struct mh_sb_exec *e = r->exec;
    e->exit_code = proc->error[0] ? (proc->not_found ? 127 : 126) : proc->exit_code;
    mh_str_copy(e->error, sizeof(e->error), proc->error);
    e->impl = NULL;
    close_fd(&r->tty);
    mh_free(r);
    e->on_exit(e);
}

static void
on_listener(struct mh_sb_proc *proc, int fd)
{
    const struct running *r = proc->arg;
    struct mh_sb_pod *p = mh_sb_pod_find(r->nodes, r->ns, r->pod);
    if (p && p->peer)
        mh_sb_relay_listen(r->nodes->relay, p->peer, fd);
    else
        (void)close(fd);
}

/* Our ends in e->fd, the child's in child. */
static bool
open_streams(struct mh_sb_exec *e, struct running *r, int child[3])
{
    int pair[2];
    if (e->tty) {
        if (openpty(&e->fd[0], &child[0], NULL, NULL, NULL) != 0)
            return false;
        (void)fcntl(e->fd[0], F_SETFD, FD_CLOEXEC);
        (void)fcntl(child[0], F_SETFD, FD_CLOEXEC);
        child[1] = dup(child[0]);
        child[2] = dup(child[0]);
        r->tty = fcntl(e->fd[0], F_DUPFD_CLOEXEC, 3);
        (void)fcntl(e->fd[0], F_SETFL, O_NONBLOCK | O_RDWR);
        return true;
    }
    for (int i = 0; i < 3; i++) {
        if (i == 0 && !e->want_stdin)
            continue;
        if (pipe2(pair, O_CLOEXEC) != 0)
            return false;
        e->fd[i] = i == 0 ? pair[1] : pair[0];
        child[i] = i == 0 ? pair[0] : pair[1];
        (void)fcntl(e->fd[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

static enum mh_code
launch(struct mh_sb_container *c, struct mh_sb_exec *e, struct running *r, struct mh_err *err)
{
    struct mh_arena a;
    int child[3] = { -1, -1, -1 };
    enum mh_code code = MH_E_NOMEM;
    mh_arena_init(&a, (size_t)4 << 20);
    struct mh_sb_launch *l = mh_arena_alloc(&a, sizeof(*l));
    char why[sizeof(c->why)];
    char message[sizeof(c->message)];
    mh_str_copy(why, sizeof(why), c->why);
    mh_str_copy(message, sizeof(message), c->message);
    if (l)
        l->arena = &a;
    if (!l || !mh_sb_launch_make(c, l)) {
        code = mh_fail(err, MH_E_UNAVAILABLE, "container %s: %s", c->name, c->message);
    } else if (!open_streams(e, r, child)) {
        code = mh_fail(err, MH_E_IO, "no streams for exec: %s", strerror(errno));
    } else {
        struct mh_sb_proc_spec spec = { .join = &c->proc,
                                        .argv = e->argv,
                                        .env = l->env,
                                        .cwd = l->cwd,
                                        .uid = l->uid,
                                        .gid = l->gid,
                                        .groups = l->groups,
                                        .ngroups = l->ngroups,
                                        .caps = l->caps,
                                        .no_new_privs = l->no_new_privs,
                                        .filter = true,
                                        .tty = e->tty,
                                        .fds = { child[0], child[1], child[2] } };
        code = mh_sb_proc_start(&r->proc, r->nodes->spec.base, &spec, err);
    }
    mh_str_copy(c->why, sizeof(c->why), why);
    mh_str_copy(c->message, sizeof(c->message), message);
    for (int i = 0; i < 3; i++) {
        close_fd(&child[i]);
        if (code)
            close_fd(&e->fd[i]);
    }
    mh_arena_release(&a);
    return code;
}

enum mh_code
mh_sb_exec_start(struct mh_sb_nodes *nodes, struct mh_sb_exec *e, struct mh_err *err)
{
    struct mh_sb_container *c = mh_sb_container_find(nodes, e->ns, e->pod, e->container, err);
    e->fd[0] = e->fd[1] = e->fd[2] = -1;
    e->impl = NULL;
    e->error[0] = '\0';
    e->exit_code = -1;
    if (!c)
        return err->code;
    if (!c->has_proc || !c->proc.running)
        return mh_fail(err, MH_E_UNAVAILABLE, "container not found (\"%s\"): it does not run",
                       c->name);
    struct running *r = mh_calloc(1, sizeof(*r));
    if (!r)
        return mh_fail(err, MH_E_NOMEM, "no memory for exec");
    r->nodes = nodes;
    r->exec = e;
    r->tty = -1;
    mh_str_copy(r->ns, sizeof(r->ns), e->ns);
    mh_str_copy(r->pod, sizeof(r->pod), e->pod);
    r->proc.on_exit = on_exit_;
    r->proc.on_listener = on_listener;
    r->proc.arg = r;
    enum mh_code code = launch(c, e, r, err);
    if (code) {
        close_fd(&r->tty);
        mh_free(r);
        return code;
    }
    e->impl = r;
    return MH_OK;
}

void
mh_sb_exec_cancel(struct mh_sb_exec *e)
{
    struct running *r = e->impl;
    if (!r)
        return;
    mh_sb_proc_forget(&r->proc);
    close_fd(&r->tty);
    e->impl = NULL;
    mh_free(r);
}

void
mh_sb_exec_resize(struct mh_sb_exec *e, int columns, int rows)
{
    const struct running *r = e->impl;
    struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
    if (r && r->tty >= 0)
        (void)ioctl(r->tty, TIOCSWINSZ, &size);
}

/* --- logs ------------------------------------------------------------------------------------ */

enum mh_code
mh_sb_node_log(struct mh_sb_nodes *nodes, const char *ns, const char *pod, const char *container,
               bool previous, char path[MH_SB_PATH], struct mh_err *err)
{
    const struct mh_sb_container *c = mh_sb_container_find(nodes, ns, pod, container, err);
    if (!c)
        return err->code;
    int run = c->restarts - (previous ? 1 : 0);
    int n = snprintf(path, MH_SB_PATH, "%s/logs/%s_%s_%s/%s/%d.log", nodes->dir, ns, pod,
                     c->pod->uid, c->name, run);
    if (run < 0 || n >= MH_SB_PATH || access(path, R_OK) != 0)
        return previous ? mh_fail(err, MH_E_NOTFOUND,
                                  "previous terminated container \"%s\" in pod \"%s\" not found",
                                  c->name, pod)
                        : mh_fail(err, MH_E_NOTFOUND,
                                  "container \"%s\" in pod \"%s\" is waiting to start: %s", c->name,
                                  pod, c->why[0] ? c->why : "ContainerCreating");
    return MH_OK;
}

bool
mh_sb_node_running(struct mh_sb_nodes *nodes, const char *ns, const char *pod,
                   const char *container)
{
    struct mh_err err;
    const struct mh_sb_container *c = mh_sb_container_find(nodes, ns, pod, container, &err);
    return c && c->has_proc;
}

/* --- connections ----------------------------------------------------------------------------- */

enum mh_code
mh_sb_node_dial(struct mh_sb_nodes *nodes, const char *ns, const char *pod, int port, int *fd,
                struct mh_err *err)
{
    const struct mh_sb_pod *p = mh_sb_pod_find(nodes, ns, pod);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    *fd = -1;
    if (!p)
        return mh_fail(err, MH_E_NOTFOUND, "pods \"%s\" not found", pod);
    if (!p->admitted || inet_pton(AF_INET, p->address, &in.sin_addr) != 1)
        return mh_fail(err, MH_E_UNAVAILABLE, "pod %s has no address yet", pod);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd >= 0 &&
        (connect(*fd, (const struct sockaddr *)&in, sizeof(in)) == 0 || errno == EINPROGRESS))
        return MH_OK;
    int saved = errno;
    close_fd(fd);
    return mh_fail(err, MH_E_UNREACHABLE, "cannot connect to port %d of %s: %s", port, pod,
                   strerror(saved));
}
