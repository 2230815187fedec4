/* Whom the sweep kills: PostgreSQL's processes among the descendants, wherever this process runs. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"
#include "instance/agent.h"

/* A process of this name that waits for ever. */
static pid_t
waiter(const char *name)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)setsid();
        (void)prctl(PR_SET_NAME, name);
        for (;;)
            (void)pause();
    }
    return pid;
}

/* The same, whose parent ends at once. */
static pid_t
orphan(const char *name)
{
    int fds[2];
    pid_t pid = -1;
    CHECK_INT(pipe(fds), 0);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t child = waiter(name);
        ssize_t n = write(fds[1], &child, sizeof(child));
        _exit(n == sizeof(child) ? 0 : 1);
    }
    CHECK_INT(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
    CHECK_INT(waitpid(parent, NULL, 0), parent);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid;
}

static bool
lives(pid_t pid)
{
    return kill(pid, 0) == 0;
}

static void
sweep_all(void)
{
    for (int i = 0; i < 200 && mh_sweep() > 0; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        (void)usleep(5000);
    }
    CHECK_INT(mh_sweep(), 0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

TEST(postgres_among_the_descendants_dies_and_nobody_else)
{
    pid_t strange = orphan("postgres"); /* somebody else's: no subreaper here yet */
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t adopted = orphan("postgres");
    pid_t own = waiter("postgres");
    pid_t other = waiter("archiver");
    (void)usleep(20000); /* they take their names */
    CHECK_INT(mh_sweep(), 2);
    sweep_all();
    CHECK(!lives(adopted) && !lives(own));
    CHECK(lives(other) && lives(strange));
    (void)kill(other, SIGKILL);
    (void)kill(strange, SIGKILL);
    (void)waitpid(other, NULL, 0);
    CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

/* Everything in the namespace is ours then, and nothing outside can be hit. */
static int
first_process(void)
{
    pid_t worker = waiter("whatever");
    for (int i = 0; i < 200 && mh_sweep() > 0; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        (void)usleep(5000);
    }
    return getpid() == 1 && !lives(worker) && mh_sweep() == 0 ? 0 : 1;
}

TEST(pid_1_without_a_proc_of_its_own_kills_its_namespace)
{
    int status = -1;
    pid_t bystander = waiter("postgres");
    if (geteuid() != 0) {
        printf("# SKIPPED: needs root for a PID namespace\n");
    } else {
        pid_t outer = fork();
        if (outer == 0) {
            if (unshare(CLONE_NEWPID) != 0)
                _exit(2);
            pid_t inner = fork(); /* /proc stays that of outside */
            if (inner == 0)
                _exit(first_process());
            (void)waitpid(inner, &status, 0);
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
        }
        CHECK_INT(waitpid(outer, &status, 0), outer);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), 0);
    }
    CHECK(lives(bystander));
    (void)kill(bystander, SIGKILL);
    (void)waitpid(bystander, NULL, 0);
}
