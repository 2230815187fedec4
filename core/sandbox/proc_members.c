/* proc_members.c - who else lives in a container's PID namespace. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/proc.h"

#define MEMBERS_MAX 4096

static bool
namespace_of(const char *pid, char out[64])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/ns/pid", pid);
    ssize_t n = readlink(path, out, 63);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

static bool
is_named(const char *pid, const char *name)
{
    char path[64];
    char comm[32] = "";
    (void)snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    if (!fgets(comm, sizeof(comm), f))
        comm[0] = '\0';
    (void)fclose(f);
    comm[strcspn(comm, "\n")] = '\0';
    return strcmp(comm, name) == 0;
}

static int
by_number(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a;
    pid_t y = *(const pid_t *)b;
    return x < y ? -1 : x > y;
}

int
mh_sb_proc_members(const struct mh_sb_proc *p, const char *name, pid_t *out, int max)
{
    char own[24];
    char want[64];
    char is[64];
    (void)snprintf(own, sizeof(own), "%d", (int)p->pid);
    if (p->pidfd < 0 || !namespace_of(own, want))
        return 0;
    DIR *d = opendir("/proc");
    if (!d)
        return -1;
    int n = 0;
    const struct dirent *e;
    while (n < max && (e = readdir(d))) {
        int64_t pid;
        if (!mh_str_int(e->d_name, 1, 1 << 30, &pid) || !namespace_of(e->d_name, is) ||
            strcmp(is, want) != 0 || (name && !is_named(e->d_name, name)))
            continue;
        out[n++] = (pid_t)pid;
    }
    (void)closedir(d);
    qsort(out, (size_t)n, sizeof(*out), by_number);
    return n;
}

void
mh_sb_proc_signal_all(const struct mh_sb_proc *p, int sig)
{
    static pid_t pids[MEMBERS_MAX];
    int before = -1;
    for (int round = 0; round < 10; round++) {
        int n = mh_sb_proc_members(p, NULL, pids, MEMBERS_MAX);
        for (int i = 0; i < n; i++)
            (void)kill(pids[i], sig);
        if (n == before)
            return;
        before = n;
    }
}
