#include "lua/worker.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "lua/declared.h"
#include "lua/frame.h"

#define ARENA_MAX ((size_t)16 << 20)
#define ARENA_KEPT ((size_t)96 << 10) /* what most jobs take */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MH_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MH_ASAN
#endif

/* setrlimit's first type is one thing in glibc and another in musl; a constant fits both. */
#define limit(what, most) (setrlimit(RLIMIT_##what, &(struct rlimit){ (most), (most) }) == 0)
#define HEADROOM ((rlim_t)64 << 20) /* address space beyond what the start took */

/* --- the lock --------------------------------------------------------------------------------- */

/* Without arguments to look at. At most 25 with mmap and mprotect. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sysinfo),
#ifdef MH_ASAN
    SCMP_SYS(sigaltstack),
    SCMP_SYS(getpid),
    SCMP_SYS(sched_yield),
#endif
};

static enum mh_code
set_seccomp(struct mh_err *err)
{
    static const int executable[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        return mh_fail(err, MH_E_NOMEM, "no memory for a seccomp filter");
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < sizeof(executable) / sizeof(*executable) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, executable[i], 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    if (rc != 0)
        return mh_fail(err, MH_E_IO, "seccomp filter refused: %s", strerror(-rc));
    return MH_OK;
}

static rlim_t
address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%lu", &pages) != 1)
            pages = 0;
        (void)fclose(f);
    }
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static enum mh_code
set_limits(struct mh_err *err)
{
    if (!limit(CORE, 0) || !limit(FSIZE, 0) || !limit(NPROC, 0) || !limit(NOFILE, 4))
        return mh_fail(err, MH_E_IO, "resource limit refused: %s", strerror(errno));
#ifndef MH_ASAN /* which reserves terabytes */
    rlim_t now = address_space();
    if (now && !limit(AS, now + HEADROOM))
        return mh_fail(err, MH_E_IO, "resource limit refused: %s", strerror(errno));
#else
    (void)address_space;
#endif
    return MH_OK;
}

static void
close_all_but_ours(void)
{
    for (int fd = 0; fd < MH_WORKER_FD; fd++)
        (void)close(fd);
    if (syscall(SYS_close_range, MH_WORKER_FD + 1, ~0U, 0) == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = MH_WORKER_FD + 1; fd < (most > 0 && most < 65536 ? most : 65536); fd++)
        (void)close(fd);
}

enum mh_code
mh_worker_lock(struct mh_err *err)
{
    enum mh_code code = set_limits(err);
    if (code != MH_OK)
        return code;
    close_all_but_ours();
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return mh_fail(err, MH_E_IO, "no_new_privs refused: %s", strerror(errno));
    return set_seccomp(err);
}

/* --- the loop --------------------------------------------------------------------------------- */

bool
mh_worker_read(char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = read(MH_WORKER_FD, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

bool
mh_worker_write(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(MH_WORKER_FD, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static bool
answer(struct mh_arena *a, const char *data, size_t len)
{
    struct mh_buf b;
    struct mh_policy_job job;
    struct mh_policy_result r;
    mh_buf_init(&b, MH_FRAME_MAX);
    bool ok = mh_frame_get_job(data, len, &job);
    if (ok) {
        if (job.op == MH_POLICY_DECLARED)
            mh_declared_run(a, &job, &r);
        else
            mh_policy_run(a, &job, &r);
        ok = mh_frame_put_result(&b, &r) && mh_worker_write(b.data, b.len);
    }
    mh_buf_release(&b);
    mh_arena_clear(a);
    return ok;
}

/* Whatever initialises itself on first use does so before the lock. */
static void
warm_up(void)
{
    static const char input[] = "{\"candidates\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"now\":1.5}";
    struct mh_arena a;
    struct mh_policy_result r;
    struct mh_policy_job job = { .op = MH_POLICY_CHECK, .point = "failover/v1" };
    mh_arena_init(&a, ARENA_MAX);
    mh_policy_run(&a, &job, &r);
    job.op = MH_POLICY_DECIDE;
    job.input = input;
    job.input_len = sizeof(input) - 1;
    mh_policy_run(&a, &job, &r);
    mh_policy_prepare();
    mh_policy_run(&a, &job, &r);
    mh_policy_prepare();
    mh_arena_release(&a);
}

int
mh_worker_main(void)
{
    static const char ready[] = { sizeof(MH_FRAME_READY) - 1, 0, 0, 0, 'r', 'e', 'a', 'd', 'y' };
    struct mh_err err;
    struct mh_arena a;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)unsetenv("MOONHERD_SCRIPTS"); /* no files later */
    char *frame = mh_malloc(MH_FRAME_MAX);
    warm_up();
    mh_arena_init(&a, ARENA_MAX);
    if (!mh_arena_alloc(&a, ARENA_KEPT)) /* its pages are there when a job comes */
        _exit(1);
    mh_arena_clear(&a);
    if (!frame || mh_worker_lock(&err) != MH_OK || !mh_worker_write(ready, sizeof(ready)))
        _exit(1);
    mh_log_set_fd(-1);
    for (;;) {
        char head[4];
        if (!mh_worker_read(head, sizeof(head)))
            _exit(0);
        uint32_t len = mh_frame_length(head);
        if (len > MH_FRAME_MAX || !mh_worker_read(frame, len) || !answer(&a, frame, len))
            _exit(1);
        mh_policy_prepare(); /* while nobody waits */
    }
}
