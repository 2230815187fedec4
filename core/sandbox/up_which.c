/* up_which.c - which sandbox status, fault and down mean, and which ones run.
 *
 * Each that runs has a file of its own in the user's cache: its kubeconfig and its directory, whose lock
 * says whether it is still there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/str.h"
#include "io/file.h"
#include "sandbox/up.h"

#define LISTED_MAX 64
#define FILE_TEXT ((size_t)2 * MH_SB_PATH_MAX)

struct running {
    char kubeconfig[MH_SB_PATH_MAX];
    char name[24]; /* "127.10" */
};

bool
mh_sb_cache_dir(char out[MH_SB_PATH_MAX])
{
    const char *cache = getenv("MH_CACHE"), *home = getenv("HOME");
    int n = cache && *cache ? snprintf(out, MH_SB_PATH_MAX, "%s/sandbox", cache)
            : home && *home
                ? snprintf(out, MH_SB_PATH_MAX, "%s/.cache/moonherd/sandbox", home)
                : snprintf(out, MH_SB_PATH_MAX, "/tmp/moonherd-%u/sandbox", (unsigned)getuid());
    return n > 0 && n < MH_SB_PATH_MAX;
}

/* CACHE/running, or a file in it. */
static bool
running_path(char out[MH_SB_PATH_MAX + 64], const char *name)
{
    char cache[MH_SB_PATH_MAX];
    if (!mh_sb_cache_dir(cache))
        return false;
    (void)snprintf(out, MH_SB_PATH_MAX + 64, "%s/running%s%s", cache, name ? "/" : "",
                   name ? name : "");
    return true;
}

static bool
read_text(const char *path, char *out, size_t size)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_arena a;
    char *text = NULL;
    mh_arena_init(&a, 2 * size);
    bool ok = fs.read(fs.self, &a, path, size, &text, NULL, NULL) == MH_OK;
    if (ok)
        mh_str_copy(out, size, text);
    mh_arena_release(&a);
    return ok;
}

/* --- notes of those that run -------------------------------------------------------------------------- */

void
mh_sb_which_note(const struct mh_sb_place *p)
{
    struct mh_fs fs = mh_fs_real();
    char path[MH_SB_PATH_MAX + 64], text[FILE_TEXT + 8], name[24];
    (void)snprintf(name, sizeof(name), "127.%d", p->n);
    int n = snprintf(text, sizeof(text), "%s\n%s\n", p->kubeconfig, p->dir);
    if (running_path(path, NULL) && fs.mkdir(fs.self, path, 0700, NULL) == MH_OK &&
        running_path(path, name))
        (void)fs.write(fs.self, path, text, (size_t)n, 0600, false, NULL, NULL);
}

void
mh_sb_which_forget(const struct mh_sb_place *p)
{
    char path[MH_SB_PATH_MAX + 64], name[24];
    (void)snprintf(name, sizeof(name), "127.%d", p->n);
    if (p->n > 0 && running_path(path, name))
        (void)unlink(path);
}

/* Does somebody hold the lock of this directory? */
static bool
is_held(const char *dir)
{
    char path[MH_SB_PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        (void)close(fd);
    return held;
}

/* Reads one note; what was left by one that was killed is taken away. */
static bool
read_running(const char *name, struct running *r)
{
    char path[MH_SB_PATH_MAX + 64], text[FILE_TEXT + 8];
    if (name[0] == '.' || strlen(name) >= sizeof(r->name) || !running_path(path, name) ||
        !read_text(path, text, sizeof(text)))
        return false;
    char *dir = strchr(text, '\n');
    if (!dir)
        return false;
    *dir++ = '\0';
    dir[strcspn(dir, "\n")] = '\0';
    if (!is_held(dir)) {
        (void)unlink(path);
        return false;
    }
    mh_str_copy(r->kubeconfig, sizeof(r->kubeconfig), text);
    mh_str_copy(r->name, sizeof(r->name), name);
    return true;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Calls fn for each that runs, in the order of their addresses, until it says no. */
static void
each_running(bool (*fn)(const struct running *r, void *arg), void *arg)
{
    char path[MH_SB_PATH_MAX + 64];
    struct dirent **list;
    struct running r;
    int n = running_path(path, NULL) ? scandir(path, &list, NULL, by_name) : -1;
    bool more = true;
    for (int i = 0; i < n; i++) {
        if (more && read_running(list[i]->d_name, &r))
            more = fn(&r, arg);
        free(list[i]); /* lint: allow free: made by scandir */
    }
    if (n >= 0)
        free(list); /* lint: allow free: made by scandir */
}

static bool
print_one(const struct running *r, void *arg)
{
    (void)fprintf(arg, "  --kubeconfig %s   (%s.0.1)\n", r->kubeconfig, r->name);
    return true;
}

void
mh_sb_which_print(FILE *out)
{
    each_running(print_one, out);
}

struct search {
    const char *kubeconfig; /* NULL: any */
    int n;
    char found[MH_SB_PATH_MAX];
};

static bool
count_one(const struct running *r, void *arg)
{
    struct search *s = arg;
    if (s->kubeconfig && !mh_str_eq(s->kubeconfig, r->kubeconfig))
        return true;
    mh_str_copy(s->found, sizeof(s->found), r->kubeconfig);
    return ++s->n < LISTED_MAX;
}

bool
mh_sb_which_has(const char *kubeconfig)
{
    struct search s = { .kubeconfig = kubeconfig };
    each_running(count_one, &s);
    return s.n > 0;
}

/* --- which one is meant --------------------------------------------------------------------------------- */

static enum mh_code
not_known(const char *by, const char *path, struct mh_err *err)
{
    return mh_fail(err, MH_E_NOTFOUND,
                   "no sandbox is known%s%.200s. HINT: moonherd sandbox up; or name it with --data "
                   "DIR, --kubeconfig FILE or KUBECONFIG",
                   by, path);
}

/* $KUBECONFIG, if it is set and not that of something else. */
static bool
from_environment(char out[MH_SB_PATH_MAX])
{
    char text[FILE_TEXT * 8];
    const char *env = getenv("KUBECONFIG");
    size_t n = env ? strcspn(env, ":") : 0;
    if (n == 0 || n >= MH_SB_PATH_MAX)
        return false;
    (void)snprintf(out, MH_SB_PATH_MAX, "%.*s", (int)n, env);
    return access(out, R_OK) != 0 || (read_text(out, text, sizeof(text)) &&
                                      strstr(text, "\ncurrent-context: moonherd-sandbox"));
}

enum mh_code
mh_sb_which(const char *kubeconfig, const char *data, char out[MH_SB_PATH_MAX], struct mh_err *err)
{
    char cache[MH_SB_PATH_MAX], path[MH_SB_PATH_MAX + 16];
    struct search all = { .n = 0 };
    if (kubeconfig || data) {
        (void)snprintf(out, MH_SB_PATH_MAX, "%s%s", kubeconfig ? kubeconfig : data,
                       kubeconfig ? "" : "/kubeconfig");
        return access(out, R_OK) == 0 ? MH_OK
                                      : not_known(" by ", kubeconfig ? kubeconfig : data, err);
    }
    if (from_environment(out))
        return access(out, R_OK) == 0 ? MH_OK : not_known(" by $KUBECONFIG, ", out, err);
    each_running(count_one, &all);
    if (all.n > 1)
        return mh_fail(err, MH_E_REFUSED,
                       "%d sandboxes run, and none is named. HINT: one of these, or KUBECONFIG",
                       all.n);
    if (all.n == 1) {
        mh_str_copy(out, MH_SB_PATH_MAX, all.found);
        return MH_OK;
    }
    (void)snprintf(path, sizeof(path), "%s/current", mh_sb_cache_dir(cache) ? cache : "/nowhere");
    return read_text(path, out, MH_SB_PATH_MAX) && access(out, R_OK) == 0 ? MH_OK
                                                                          : not_known("", "", err);
}
