/* policy_worker.c - a worker for tests: "policy-worker" as in the product; "probe WHAT" locks itself
 * and then does what must kill it; "calls" says how many system calls survive the lock; "hang",
 * "garbage" and "chatty" are workers that misbehave. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lua/plugin_worker.h"
#include "lua/worker.h"

static int
probe(const char *what)
{
    struct mh_err err;
    if (mh_worker_lock(&err) != MH_OK)
        return 2;
    if (strcmp(what, "openat") == 0)
        (void)open("/etc/passwd", O_RDONLY);
    else if (strcmp(what, "socket") == 0)
        (void)socket(AF_INET, SOCK_STREAM, 0);
    else if (strcmp(what, "fork") == 0)
        (void)fork();
    else if (strcmp(what, "exec") == 0)
        (void)execl("/bin/true", "true", NULL);
    else if (strcmp(what, "map") == 0)
        (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef __x86_64__
    else if (strcmp(what, "i386") == 0) /* the gate of another architecture; 20 is its getpid */
        __asm__ volatile("int $0x80" : : "a"(20) : "memory");
    else if (strcmp(what, "x32") == 0)
        (void)syscall(0x40000000 | SYS_getpid);
#endif
    _exit(0);
}

/* How many system calls of all do not kill a locked process. */
static int
calls(void)
{
    int alive = 0;
    for (long n = 0; n < 512; n++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            struct mh_err err;
            if (mh_worker_lock(&err) != MH_OK)
                _exit(0);
            (void)syscall(n, 0, 0, 0, 0, 0, 0);
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return 255;
        alive += !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    }
    return alive;
}

static int
misbehave(char how)
{
    static const char ready[] = { 5, 0, 0, 0, 'r', 'e', 'a', 'd', 'y' };
    static const char garbage[] = { 8, 0, 0, 0, '{', '"', 'o', 'k', '"', ':', '1', '}' };
    static const char more[] = { 2, 0, 0, 0, '{', '}', 2, 0, 0, 0, '{', '}' };
    char job[70000];
    (void)!write(MH_WORKER_FD, ready, sizeof(ready));
    while (read(MH_WORKER_FD, job, sizeof(job)) > 0) {
        if (how == 'g')
            (void)!write(MH_WORKER_FD, garbage, sizeof(garbage));
        if (how == 'l') /* that of a plugin: a frame of 80 MiB is announced */
            (void)!write(MH_WORKER_FD, "\0\0\0\5", 4);
        if (how == 'c')
            (void)!write(MH_WORKER_FD, more, sizeof(more));
    }
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "probe") == 0)
        return probe(argv[2]);
    if (argc == 2 && strcmp(argv[1], "calls") == 0)
        return calls();
    if (argc == 2 && strcmp(argv[1], "dies") == 0)
        return 1;
    if (argc == 2 && strcmp(argv[1], "plugin-worker") == 0)
        return mh_plugin_worker_main();
    if (argc == 2 && strcmp(argv[1], "policy-worker") != 0)
        return misbehave(argv[1][0]);
    return mh_worker_main();
}
