/* proc.c - the parent's side: clone, hearing of it, reaping it. */
#include "sandbox/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

int setns(int fd, int type);

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void
drop_events(struct mh_sb_proc *p)
{
    if (p->on_word)
        event_free(p->on_word);
    if (p->on_pidfd)
        event_free(p->on_pidfd);
    p->on_word = p->on_pidfd = NULL;
    close_fd(&p->word_fd);
}

/* One message of the child. False: nothing more to hear. */
static bool
hear(struct mh_sb_proc *p)
{
    struct mh_sb_word word;
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { &word, sizeof(word) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    ssize_t n = recvmsg(p->word_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n != (ssize_t)sizeof(word)) {
        if (n == 0 && !p->error[0])
            p->running = true; /* closed by exec, or by its end: then on_exit follows */
        return false;
    }
    const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        if (p->on_listener)
            p->on_listener(p, fd);
        else
            (void)close(fd);
    } else if (word.error) {
        word.what[sizeof(word.what) - 1] = '\0';
        (void)snprintf(p->error, sizeof(p->error), "%s: %s", word.what, strerror(word.error));
        p->not_found = word.not_found;
    }
    return true;
}

static void
on_word(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct mh_sb_proc *p = arg;
    if (hear(p))
        return;
    event_free(p->on_word);
    p->on_word = NULL;
    close_fd(&p->word_fd);
    if (p->running && p->on_running)
        p->on_running(p);
}

static bool
reap(struct mh_sb_proc *p, int options)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    if (waitid((idtype_t)P_PIDFD, (id_t)p->pidfd, &info, WEXITED | options) != 0 ||
        info.si_pid == 0)
        return false;
    if (info.si_code == CLD_EXITED) {
        p->exit_code = info.si_status;
    } else {
        p->exit_signal = info.si_status;
        p->exit_code = 128 + info.si_status;
    }
    return true;
}

static void
on_pidfd(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct mh_sb_proc *p = arg;
    if (!reap(p, WNOHANG))
        return;
    while (p->word_fd >= 0 && hear(p)) {
        struct mh_sb_word peek;
        if (recv(p->word_fd, &peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT) < 0)
            break;
    }
    drop_events(p);
    close_fd(&p->pidfd);
    if (!p->error[0] && !p->running)
        p->running = true;
    if (p->error[0])
        p->running = false;
    p->on_exit(p);
}

static pid_t
clone_into(uint64_t flags, int *pidfd)
{
    int fd = -1;
    struct clone_args args = { .flags = flags,
                               .pidfd = flags & CLONE_PIDFD ? (uint64_t)(uintptr_t)&fd : 0,
                               .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD };
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid > 0 && pidfd)
        *pidfd = fd;
    return (pid_t)pid;
}

struct start {
    const struct mh_sb_proc_spec *spec;
    int word_fd;
    unsigned uid;
    unsigned gid;
};

/* Nobody returns from another's PID namespace: a child goes there, makes a sister and ends. */
static pid_t
spawn_into(const struct start *s, int *pidfd)
{
    int fds[2];
    pid_t pid = -1;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    pid_t between = clone_into(0, NULL);
    if (between == 0) {
        if (setns(s->spec->join->pidfd, CLONE_NEWPID) == 0 &&
            (pid = clone_into(CLONE_PARENT, NULL)) == 0)
            mh_sb_proc_child(s->spec, s->word_fd, s->uid, s->gid);
        pid = pid < 0 ? -errno : pid;
        _exit(write(fds[1], &pid, sizeof(pid)) == (ssize_t)sizeof(pid) ? 0 : 1);
    }
    int saved = errno;
    (void)close(fds[1]);
    if (between > 0) {
        if (read(fds[0], &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
            pid = -EIO;
        while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
            ;
        if (pid > 0)
            *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        saved = pid < 0 ? -pid : errno;
    }
    (void)close(fds[0]);
    errno = saved;
    return pid > 0 && *pidfd >= 0 ? pid : -1;
}

static pid_t
spawn(const struct mh_sb_proc_spec *spec, int word_fd, int *pidfd)
{
    const struct start s = { spec, word_fd, (unsigned)geteuid(), (unsigned)getegid() };
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid;
    if (spec->join) {
        pid = spawn_into(&s, pidfd);
    } else {
        uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD;
        if (mh_sb_view_with_users())
            flags |= CLONE_NEWUSER;
        pid = clone_into(flags, pidfd);
        if (pid == 0)
            mh_sb_proc_child(spec, word_fd, s.uid, s.gid);
    }
    int saved = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

enum mh_code
mh_sb_proc_start(struct mh_sb_proc *p, struct event_base *base, const struct mh_sb_proc_spec *spec,
                 struct mh_err *err)
{
    int pair[2];
    p->pidfd = p->word_fd = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return mh_fail(err, MH_E_IO, "cannot make a socket: %s", strerror(errno));
    p->word_fd = pair[0];
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    p->pid = spawn(spec, pair[1], &p->pidfd);
    int saved = errno;
    (void)close(pair[1]);
    if (p->pid < 0) {
        close_fd(&p->word_fd);
        return mh_fail(err, saved == ENOMEM || saved == EAGAIN ? MH_E_NOMEM : MH_E_UNAVAILABLE,
                       "cannot start a process in its own namespaces: %s", strerror(saved));
    }
    p->on_word = event_new(base, p->word_fd, EV_READ | EV_PERSIST, on_word, p);
    p->on_pidfd = event_new(base, p->pidfd, EV_READ | EV_PERSIST, on_pidfd, p);
    if (!p->on_word || !p->on_pidfd || event_add(p->on_word, NULL) != 0 ||
        event_add(p->on_pidfd, NULL) != 0) {
        mh_sb_proc_forget(p);
        return mh_fail(err, MH_E_NOMEM, "no memory to start a process");
    }
    return MH_OK;
}

void
mh_sb_proc_kill(struct mh_sb_proc *p, int sig)
{
    if (p->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
}

void
mh_sb_proc_forget(struct mh_sb_proc *p)
{
    if (p->pidfd >= 0) {
        mh_sb_proc_kill(p, SIGKILL);
        (void)reap(p, 0);
    }
    drop_events(p);
    close_fd(&p->pidfd);
    p->running = false;
}
