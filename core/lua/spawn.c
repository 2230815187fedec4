#include "lua/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lua/worker.h"

/* Of our environment only what sanitizers read. */
static void
child_environment(char *out[4])
{
    size_t n = 0;
    for (char **e = environ; e && *e && n < 3; e++) {
        if (strncmp(*e, "ASAN_OPTIONS=", 13) == 0 || strncmp(*e, "UBSAN_OPTIONS=", 14) == 0 ||
            strncmp(*e, "LSAN_OPTIONS=", 13) == 0)
            out[n++] = *e;
    }
    out[n] = NULL;
}

static int
spawn_with(const char *const *argv, int fd, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t set;
    char *env[4];
    child_environment(env);
    if (posix_spawn_file_actions_init(&files) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int rc = posix_spawn_file_actions_adddup2(&files, fd, MH_WORKER_FD);
    (void)sigemptyset(&set);
    (void)posix_spawnattr_setsigmask(&attr, &set);
    (void)sigfillset(&set);
    (void)sigdelset(&set, SIGKILL);
    (void)sigdelset(&set, SIGSTOP);
    (void)posix_spawnattr_setsigdefault(&attr, &set);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawn(pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, env);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return rc;
}

enum mh_code
mh_spawn(const char *const *argv, struct mh_spawned *s, struct mh_err *err)
{
    int pair[2];
    *s = (struct mh_spawned){ .pidfd = -1, .fd = -1 };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return mh_fail(err, MH_E_IO, "no socket for a policy worker: %s", strerror(errno));
    int rc = spawn_with(argv, pair[1], &s->pid);
    (void)close(pair[1]);
    if (rc != 0) {
        (void)close(pair[0]);
        s->pid = 0;
        return mh_fail(err, MH_E_CHILD, "policy worker does not start: %s", strerror(rc));
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    s->fd = pair[0];
#ifdef SYS_pidfd_open
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
#endif
    return MH_OK;
}

void
mh_spawn_kill(struct mh_spawned *s)
{
    int rc = -1;
    if (!s->pid)
        return;
#ifdef SYS_pidfd_send_signal
    if (s->pidfd >= 0) /* never hits another process, whoever reaps */
        rc = (int)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
#endif
    if (rc != 0 && s->pidfd < 0)
        (void)kill(s->pid, SIGKILL);
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

bool
mh_spawn_reap(struct mh_spawned *s)
{
    int status;
    if (s->pid) {
        pid_t got = waitpid(s->pid, &status, WNOHANG);
        if (got == 0 || (got < 0 && errno != ECHILD))
            return false;
    }
    if (s->pidfd >= 0)
        (void)close(s->pidfd);
    *s = (struct mh_spawned){ .pidfd = -1, .fd = -1 };
    return true;
}
