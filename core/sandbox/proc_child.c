/* proc_child.c - between clone and exec: system calls only, no memory, no library state. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/proc.h"

int setns(int fd, int type);

#define TIOCSCTTY_ 0x540E

static _Noreturn void
give_up(int word_fd, const char *what, bool not_found)
{
    struct mh_sb_word word;
    memset(&word, 0, sizeof(word));
    word.error = errno ? errno : EIO;
    word.not_found = not_found;
    (void)snprintf(word.what, sizeof(word.what), "%s", what);
    (void)send(word_fd, &word, sizeof(word), MSG_NOSIGNAL);
    _exit(128);
}

static void
reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < 65; sig++) {
        if (sig != SIGKILL && sig != SIGSTOP)
            (void)signal(sig, SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool fine = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return fine;
}

struct ids {
    unsigned uid;
    unsigned gid;
};

/* The user of the container is the one who runs the sandbox. */
static const char *
map_users(const struct mh_sb_proc_spec *spec, struct ids own)
{
    char text[64];
    if (!write_text("/proc/self/setgroups", "deny"))
        return "write setgroups";
    (void)snprintf(text, sizeof(text), "%u %u 1", spec->gid, own.gid);
    if (!write_text("/proc/self/gid_map", text))
        return "map the group";
    (void)snprintf(text, sizeof(text), "%u %u 1", spec->uid, own.uid);
    if (!write_text("/proc/self/uid_map", text))
        return "map the user";
    return NULL;
}

static const char *
join(const struct mh_sb_proc_spec *spec)
{
    int types = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    if (mh_sb_view_with_users())
        types |= CLONE_NEWUSER;
    if (setns(spec->join->pidfd, types) != 0)
        return "join the container";
    return NULL;
}

static const char *
set_stdio(const struct mh_sb_proc_spec *spec)
{
    int high[3];
    for (int i = 0; i < 3; i++) {
        int fd = spec->fds[i] >= 0 ? spec->fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
        high[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
        if (high[i] < 0)
            return "open the standard streams";
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(high[i], i) < 0)
            return "open the standard streams";
    }
    if (spec->tty && ioctl(0, TIOCSCTTY_, 0) != 0)
        return "take the terminal";
    return NULL;
}

/* Also what exec would give to root. */
static void
limit_caps(const struct mh_sb_proc_spec *spec)
{
    for (int cap = 0; cap < 64; cap++) {
        if (!(spec->caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 &&
            errno == EINVAL)
            break;
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static const char *
drop_caps(const struct mh_sb_proc_spec *spec)
{
    uint64_t keep = spec->uid == 0 ? spec->caps : 0;
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    if (keep) { /* only what we have */
        if (syscall(SYS_capget, &head, data) != 0)
            return "read capabilities";
        keep &= data[0].permitted | (uint64_t)data[1].permitted << 32;
    }
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted = (uint32_t)(keep >> (32 * i));
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &head, data) == 0 ? NULL : "drop capabilities";
}

/* The raw calls: the library's want its threads' signal. */
static const char *
become_user(const struct mh_sb_proc_spec *spec)
{
    if (!mh_sb_view_with_users() && syscall(SYS_setgroups, spec->ngroups, spec->groups) != 0)
        return "set the groups";
    if (syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) != 0)
        return "set the group";
    /* Capabilities stay until drop_caps. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) != 0)
        return "set the user";
    return NULL;
}

static const char *
send_listener(int word_fd)
{
    int fd = mh_sb_filter_install();
    if (fd < 0)
        return "install the network filter";
    struct mh_sb_word word;
    memset(&word, 0, sizeof(word));
    char control[CMSG_SPACE(sizeof(int))];
    memset(control, 0, sizeof(control));
    struct iovec iov = { &word, sizeof(word) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    if (sendmsg(word_fd, &msg, MSG_NOSIGNAL) < 0)
        return "hand over the network filter";
    (void)close(fd);
    return NULL;
}

static void
set_limits(void)
{
    struct rlimit files;
    struct rlimit none = { 0, 0 };
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)setrlimit(RLIMIT_CORE, &none);
}

static const char *
env_of(const struct mh_sb_proc_spec *spec, const char *name)
{
    size_t n = strlen(name);
    for (const char *const *e = spec->env; e && *e; e++) {
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    }
    return "";
}

/* Returns errno. */
static int
run_program(const struct mh_sb_proc_spec *spec)
{
    char *const *argv = (char *const *)(uintptr_t)spec->argv;
    char *const *env = (char *const *)(uintptr_t)spec->env;
    if (strchr(argv[0], '/')) {
        (void)execve(argv[0], argv, env);
        return errno;
    }
    char path[1024];
    int failed = ENOENT;
    for (const char *at = env_of(spec, "PATH"); *at;) {
        size_t n = strcspn(at, ":");
        (void)snprintf(path, sizeof(path), "%.*s/%s", (int)n, at, argv[0]);
        (void)execve(path, argv, env);
        if (errno != ENOENT && errno != ENOTDIR)
            failed = errno;
        at += n + (at[n] == ':');
    }
    return failed;
}

/* Dies with its parent, also when that ended before it was asked. */
static const char *
tie_to_parent(int word_fd)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return "tie to the parent";
    struct pollfd p = { .fd = word_fd, .events = POLLOUT };
    if (poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLERR)))
        _exit(128);
    return NULL;
}

/* Everything that needs the capabilities of the start. The first failure's text. */
static const char *
prepare(const struct mh_sb_proc_spec *spec, struct ids own, int word_fd, char *text, size_t size)
{
    const char *failed = set_stdio(spec);
    if (failed)
        return failed;
    if (spec->join)
        failed = join(spec);
    else if (mh_sb_view_with_users())
        failed = map_users(spec, own);
    if (!failed && spec->view)
        failed = mh_sb_view_enter(spec->view, text, size);
    if (failed)
        return failed;
    if (!spec->join && spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) != 0)
        return "set the host name";
    if (chdir(spec->cwd ? spec->cwd : "/") != 0)
        return "enter the working directory";
    set_limits();
    if (spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return "forbid new privileges";
    if (spec->filter && (failed = send_listener(word_fd)))
        return failed;
    limit_caps(spec);
    if ((failed = become_user(spec)) || (failed = drop_caps(spec)))
        return failed;
    return tie_to_parent(word_fd);
}

void
mh_sb_proc_child(const struct mh_sb_proc_spec *spec, int word_fd, unsigned uid, unsigned gid)
{
    char text[160];
    (void)setsid();
    (void)umask(0);
    errno = 0;
    const char *failed = tie_to_parent(word_fd);
    if (!failed)
        failed = prepare(spec, (struct ids){ uid, gid }, word_fd, text, sizeof(text));
    if (failed)
        give_up(word_fd, failed, false);
    (void)umask(022);
    reset_signals();
    (void)syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    int e = run_program(spec);
    (void)snprintf(text, sizeof(text), "exec: \"%.100s\"", spec->argv[0]);
    errno = e;
    give_up(word_fd, text, e == ENOENT || e == ENOTDIR || e == EACCES);
}
