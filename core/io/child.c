#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "io/loop.h"

#define CHUNK 16384

struct stream {
    struct kid *kid;
    struct event *event;
    int fd;     /* -1: closed */
    int number; /* 1 or 2 */
    struct mh_buf buf;
};

struct kid {
    struct kid *next;
    struct procs *procs;
    struct mh_child *child; /* NULL: forgotten */
    struct stream streams[2];
    pid_t pid;
    bool reaped;
    int exit_code;
};

struct procs {
    struct event_base *base;
    struct mh_signal *signal;
    struct event *finish; /* delivers on_exit outside of every other callback */
    struct kid *kids;
    bool orphans;
    void (*orphan_fn)(void *arg, pid_t pid, int status);
    void *orphan_arg;
};

static void
log_line(struct mh_child *c, int fd, const char *line, size_t len)
{
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)c->pid);
    struct mh_arena a;
    mh_arena_init(&a, len + 256);
    char *text = mh_arena_strndup(&a, line, len);
    mh_info("child", "output", "name", c->name, "=pid", pid, "stream",
            fd == 2 ? "stderr" : "stdout", "line", text);
    mh_arena_release(&a);
}

static void
give_line(struct stream *s, const char *line, size_t len)
{
    struct mh_child *c = s->kid->child;
    if (!c)
        return;
    if (c->on_line)
        c->on_line(c, s->number, line, len);
    else
        log_line(c, s->number, line, len);
}

/* Cuts what is in the buffer into lines; a full buffer without a newline is given as it is. */
static void
cut_lines(struct stream *s)
{
    size_t from = 0;
    char *nl;
    while (from < s->buf.len && (nl = memchr(s->buf.data + from, '\n', s->buf.len - from))) {
        size_t len = (size_t)(nl - (s->buf.data + from));
        give_line(s, s->buf.data + from, len);
        from += len + 1;
    }
    mh_buf_drop(&s->buf, from);
    if (s->buf.len >= MH_CHILD_LINE_MAX) {
        give_line(s, s->buf.data, s->buf.len);
        mh_buf_reset(&s->buf);
    }
    if (s->buf.len == 0 && s->buf.size > CHUNK) /* one long line must not stay for ever */
        mh_buf_release(&s->buf);
    if (!s->buf.data)
        mh_buf_init(&s->buf, MH_CHILD_LINE_MAX);
}

static void
close_stream(struct stream *s)
{
    if (s->fd < 0)
        return;
    if (s->buf.len > 0)
        give_line(s, s->buf.data, s->buf.len);
    mh_buf_release(&s->buf);
    event_free(s->event);
    s->event = NULL;
    close(s->fd);
    s->fd = -1;
}

enum got { GOT_MORE, GOT_NOTHING, GOT_END };

/* Reads what is there, at most `rounds` chunks. */
static enum got
read_some(struct stream *s, int rounds)
{
    char chunk[CHUNK];
    while (rounds-- > 0) {
        size_t room = MH_CHILD_LINE_MAX - s->buf.len;
        ssize_t n = read(s->fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return GOT_NOTHING;
        if (n <= 0)
            return GOT_END;
        if (!mh_buf_add(&s->buf, chunk, (size_t)n)) {
            give_line(s, mh_buf_text(&s->buf), s->buf.len); /* no memory to wait for the newline */
            mh_buf_reset(&s->buf);
            give_line(s, chunk, (size_t)n);
        }
        cut_lines(s);
    }
    return GOT_MORE;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    if (read_some(s, 4) == GOT_END)
        close_stream(s);
}

static void
free_kid(struct kid *k)
{
    for (int i = 0; i < 2; i++) {
        struct stream *s = &k->streams[i];
        if (s->event)
            event_free(s->event);
        if (s->fd >= 0)
            close(s->fd);
        mh_buf_release(&s->buf);
    }
    mh_free(k);
}

/* A reaped child: what it wrote is in the pipes, so reading to EAGAIN has all of it. */
static void
on_finish(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct procs *p = arg;
    for (struct kid **at = &p->kids; *at;) {
        struct kid *k = *at;
        if (!k->reaped) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        for (int i = 0; i < 2; i++) {
            /* As much as two pipes hold; a descendant that goes on writing is not waited for. */
            if (k->streams[i].fd >= 0)
                (void)read_some(&k->streams[i], 2 + 2 * (1 << 20) / CHUNK);
            close_stream(&k->streams[i]);
        }
        struct mh_child *c = k->child;
        int code = k->exit_code;
        free_kid(k);
        if (c) {
            c->impl = NULL;
            c->exit_code = code;
            if (c->on_exit)
                c->on_exit(c);
        }
        at = &p->kids; /* on_exit may have started others */
    }
}

static int
code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
mark(struct procs *p, pid_t pid, int status)
{
    for (struct kid *k = p->kids; k; k = k->next) {
        if (k->pid == pid && !k->reaped) {
            k->reaped = true;
            k->exit_code = code_of(status);
            event_active(p->finish, EV_TIMEOUT, 0);
            return;
        }
    }
    if (p->orphan_fn)
        p->orphan_fn(p->orphan_arg, pid, status);
}

static void
reap(struct procs *p)
{
    int status;
    pid_t pid;
    if (p->orphans) {
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            mark(p, pid, status);
        return;
    }
    for (struct kid *k = p->kids; k; k = k->next) {
        if (!k->reaped && waitpid(k->pid, &status, WNOHANG) == k->pid)
            mark(p, k->pid, status);
    }
}

static void
on_sigchld(void *arg, int sig)
{
    (void)sig;
    reap(arg);
}

/* In the child: only async-signal-safe calls from here on. Returns errno on failure. */
static int
become(const struct mh_child *c, int in, int out, int err)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < 65; sig++) {
        if (sig != SIGKILL && sig != SIGSTOP)
            (void)signal(sig, SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (c->cwd && chdir(c->cwd) != 0)
        return errno;
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        return errno;
#ifdef SYS_close_range
    (void)syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
#endif
    char *const *argv = (char *const *)(uintptr_t)c->argv;
    if (c->env)
        (void)execve(c->argv[0], argv, (char *const *)(uintptr_t)c->env);
    else
        (void)execv(c->argv[0], argv);
    return errno;
}

/* Descriptors 3 and up, so that dup2 onto 0..2 cannot hit one of them. */
static int
above_stdio(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return high;
}

static bool
make_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    fds[0] = above_stdio(fds[0]);
    fds[1] = above_stdio(fds[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return true;
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    return false;
}

/* stdin: /dev/null, or a file in memory that holds the input. */
static int
open_input(const char *input)
{
    if (!input)
        return above_stdio(open("/dev/null", O_RDONLY | O_CLOEXEC));
    int fd = above_stdio(memfd_create("input", MFD_CLOEXEC));
    size_t len = strlen(input);
    size_t at = 0;
    while (fd >= 0 && at < len) {
        ssize_t n = write(fd, input + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    if (fd >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

enum { IN, OUT_R, OUT_W, ERR_R, ERR_W, EXEC_R, EXEC_W, NFDS };

static void
close_all(int fds[NFDS])
{
    for (int i = 0; i < NFDS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

static bool
open_all(const struct mh_child *c, int fds[NFDS])
{
    for (int i = 0; i < NFDS; i++)
        fds[i] = -1;
    fds[IN] = open_input(c->input);
    if (fds[IN] >= 0 && make_pipe(fds + OUT_R) && make_pipe(fds + ERR_R) && make_pipe(fds + EXEC_R))
        return true;
    int saved = errno;
    close_all(fds);
    errno = saved;
    return false;
}

/* Forks; waits for the moment of exec (not longer). 0 or errno. */
static int
spawn(const struct mh_child *c, int fds[NFDS], pid_t *pid)
{
    /* Until its dispositions are reset the child would write our signals into our own loop. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid < 0) {
        int failed = errno;
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return failed;
    }
    if (*pid == 0) {
        int e = become(c, fds[IN], fds[OUT_W], fds[ERR_W]);
        ssize_t n = write(fds[EXEC_W], &e, sizeof(e));
        _exit(n == (ssize_t)sizeof(e) ? 127 : 126);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    close(fds[EXEC_W]);
    fds[EXEC_W] = -1;
    int e = 0;
    ssize_t n;
    do {
        n = read(fds[EXEC_R], &e, sizeof(e));
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(e))
        return 0;
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return e;
}

static bool
listen_to(struct kid *k, int i, int *fd)
{
    struct stream *s = &k->streams[i];
    *s = (struct stream){ .kid = k, .fd = *fd, .number = i + 1 };
    *fd = -1;
    mh_buf_init(&s->buf, MH_CHILD_LINE_MAX);
    (void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->event = event_new(k->procs->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    return s->event && event_add(s->event, NULL) == 0;
}

static enum mh_code
start(void *self, struct mh_child *c, struct mh_err *err)
{
    struct procs *p = self;
    int fds[NFDS];
    struct kid *k = mh_calloc(1, sizeof(*k));
    if (!k)
        return mh_fail(err, MH_E_NOMEM, "no memory to start %s", c->argv[0]);
    k->procs = p;
    k->streams[0].fd = k->streams[1].fd = -1;
    if (!open_all(c, fds)) {
        int e = errno;
        free_kid(k);
        return mh_fail(err, MH_E_IO, "cannot make pipes for %s: %s", c->argv[0], strerror(e));
    }
    if (!listen_to(k, 0, &fds[OUT_R]) || !listen_to(k, 1, &fds[ERR_R])) {
        close_all(fds);
        free_kid(k);
        return mh_fail(err, MH_E_NOMEM, "no memory to start %s", c->argv[0]);
    }
    int e = spawn(c, fds, &k->pid);
    close_all(fds);
    if (e != 0) {
        free_kid(k);
        enum mh_code code = e == ENOENT || e == ENOTDIR  ? MH_E_NOTFOUND
                            : e == ENOMEM || e == EAGAIN ? MH_E_NOMEM
                                                         : MH_E_IO;
        return mh_fail(err, code, "cannot start %s: %s", c->argv[0], strerror(e));
    }
    k->child = c;
    k->next = p->kids;
    p->kids = k;
    c->pid = k->pid;
    c->exit_code = -1;
    c->impl = k;
    return MH_OK;
}

static void
send_signal(void *self, struct mh_child *c, int sig)
{
    (void)self;
    struct kid *k = c->impl;
    if (k && !k->reaped)
        (void)kill(k->pid, sig);
}

struct mh_proc
mh_proc_real(struct event_base *base)
{
    struct mh_proc proc = { start, send_signal, NULL };
    struct procs *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return proc;
    p->base = base;
    p->signal = mh_loop_on_signal(base, SIGCHLD, on_sigchld, p);
    p->finish = event_new(base, -1, 0, on_finish, p);
    if (!p->signal || !p->finish) {
        proc.self = p;
        mh_proc_release(&proc);
        return proc;
    }
    proc.self = p;
    return proc;
}

void
mh_proc_release(struct mh_proc *proc)
{
    struct procs *p = proc->self;
    proc->self = NULL;
    if (!p)
        return;
    while (p->kids) {
        struct kid *k = p->kids;
        p->kids = k->next;
        if (k->child)
            k->child->impl = NULL;
        free_kid(k);
    }
    mh_loop_off_signal(p->signal);
    if (p->finish)
        event_free(p->finish);
    mh_free(p);
}

void
mh_child_reap_orphans(struct mh_proc *proc, void (*fn)(void *arg, pid_t pid, int status), void *arg)
{
    struct procs *p = proc->self;
    p->orphans = true;
    p->orphan_fn = fn;
    p->orphan_arg = arg;
    if (getpid() != 1)
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    reap(p);
}

void
mh_child_reap_now(struct mh_proc *proc)
{
    reap(proc->self);
}

bool
mh_child_any_left(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}
