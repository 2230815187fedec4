/* sweep.c - rule 5: every process of the instance is killed, not only the postmaster. Backends have
 * sessions of their own, so a process group would miss them: the descendants are walked.
 *
 * This process need not be PID 1, nor alone in its PID namespace: only descendants count, and a
 * subreaper's orphans are its children. kill(-1) is for one case alone: as PID 1 of a namespace whose
 * /proc is not mounted here nothing can be walked, and everything there is ours. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "instance/agent.h"
#include "io/child.h"

struct process {
    pid_t pid;
    pid_t parent;
    bool postgres; /* alive, and PostgreSQL's */
    bool ours;     /* a descendant */
};

struct table {
    struct process *list;
    size_t n;
    size_t room;
};

/* /proc may be another namespace's (its numbers mean nothing here), or absent. */
static bool
proc_is_ours(void)
{
    char text[32];
    ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);
    int64_t pid = 0;
    if (n <= 0)
        return false;
    text[n] = '\0';
    return mh_str_int(text, 1, INT32_MAX, &pid) && pid == getpid();
}

/* "12 (postgres) S 1 ..." */
static bool
read_stat(pid_t pid, struct process *out)
{
    char path[64];
    char line[512] = "";
    char state = '?';
    int parent = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    const char *got = fgets(line, sizeof(line), f);
    (void)fclose(f);
    const char *end = got ? strrchr(line, ')') : NULL;
    if (!end || sscanf(end + 1, " %c %d", &state, &parent) != 2)
        return false;
    *out =
        (struct process){ .pid = pid,
                          .parent = (pid_t)parent,
                          .postgres = strstr(line, "(postgres") && state != 'Z' && state != 'X' };
    return true;
}

static bool
add(struct table *t, const struct process *p)
{
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 256;
        struct process *more = mh_realloc(t->list, room * sizeof(*more));
        if (!more)
            return false;
        t->list = more;
        t->room = room;
    }
    t->list[t->n++] = *p;
    return true;
}

static bool
is_ours(const struct table *t, pid_t parent)
{
    if (parent == getpid())
        return true;
    for (size_t i = 0; i < t->n; i++) {
        if (t->list[i].pid == parent)
            return t->list[i].ours;
    }
    return false;
}

/* Marks children of marked ones until nothing changes: a PID says nothing about the order. */
static void
mark(struct table *t)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < t->n; i++) {
            if (!t->list[i].ours && is_ours(t, t->list[i].parent))
                t->list[i].ours = more = true;
        }
    }
}

static int
without_proc(void)
{
    if (!mh_child_any_left())
        return 0;
    if (getpid() == 1)
        (void)kill(-1, SIGKILL);
    return 1;
}

int
mh_sweep(void)
{
    struct table t = { 0 };
    int n = 0;
    if (!proc_is_ours())
        return without_proc();
    DIR *d = opendir("/proc");
    const struct dirent *e;
    bool whole = d != NULL;
    while (d && whole && (e = readdir(d))) {
        int64_t pid;
        struct process p;
        if (mh_str_int(e->d_name, 2, INT32_MAX, &pid) && pid != getpid() &&
            read_stat((pid_t)pid, &p))
            whole = add(&t, &p);
    }
    if (d)
        (void)closedir(d);
    mark(&t);
    for (size_t i = 0; i < t.n; i++) {
        if (t.list[i].ours && t.list[i].postgres) {
            (void)kill(t.list[i].pid, SIGKILL);
            n++;
        }
    }
    mh_free(t.list);
    if (!whole)
        mh_error("sweep", "not all processes could be looked at, tried again");
    return whole ? n : n + 1;
}
