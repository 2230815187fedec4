/* policy_worker.c - a worker for tests: "policy-worker" as in the product; "probe WHAT" locks itself
 * and then does what must kill it; "hang" and "garbage" are workers that misbehave. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

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
    _exit(0);
}

int
main(int argc, char **argv)
{
    static const char ready[] = { 5, 0, 0, 0, 'r', 'e', 'a', 'd', 'y' };
    static const char garbage[] = { 8, 0, 0, 0, '{', '"', 'o', 'k', '"', ':', '1', '}' };
    char job[70000];
    if (argc == 3 && strcmp(argv[1], "probe") == 0)
        return probe(argv[2]);
    if (argc == 2 && strcmp(argv[1], "dies") == 0)
        return 1;
    if (argc == 2 && (strcmp(argv[1], "hang") == 0 || strcmp(argv[1], "garbage") == 0)) {
        (void)!write(MH_WORKER_FD, ready, sizeof(ready));
        while (read(MH_WORKER_FD, job, sizeof(job)) > 0) {
            if (argv[1][0] == 'g')
                (void)!write(MH_WORKER_FD, garbage, sizeof(garbage));
        }
        return 0;
    }
    return mh_worker_main();
}
