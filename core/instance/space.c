/* space.c - a full disk is exit code 4, and never a reason for a failover into the same condition: the
 * operator sees the code and leaves the role where it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "instance/agent.h"

#define LAST_WORDS_NS (200 * MH_NS_PER_MS)
#define SEGMENT_BYTES ((off_t)16 << 20)
#define SEGMENT_MAX ((off_t)1 << 30)

/* Of any segment that lies there. */
static off_t
segment_size(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    off_t size = 0;
    while (d && !size && (e = readdir(d))) {
        struct stat st;
        if (strlen(e->d_name) == 24 && strspn(e->d_name, "0123456789ABCDEF") == 24 &&
            fstatat(dirfd(d), e->d_name, &st, 0) == 0)
            size = st.st_size;
    }
    if (d)
        (void)closedir(d);
    return size > 0 && size <= SEGMENT_MAX ? size : SEGMENT_BYTES;
}

/* Takes the space for a moment: what a quota forbids is not there, whatever the file system counts. */
static bool
fits(const char *dir, off_t size)
{
    struct statvfs v;
    char path[MH_PATH + 20];
    if (statvfs(dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < (uint64_t)size)
        return false;
    (void)snprintf(path, sizeof(path), "%s/moonherd.probe", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool full = fd < 0 && (errno == ENOSPC || errno == EDQUOT);
    if (fd >= 0) {
        full = fallocate(fd, 0, 0, size) != 0 && (errno == ENOSPC || errno == EDQUOT);
        (void)close(fd);
    }
    (void)unlink(path);
    return !full;
}

static void
leave(void *arg)
{
    struct mh_agent *g = arg;
    g->exit_code = MH_EXIT_DISK_FULL;
    g->end(g);
}

/* The last words say so, because who watches learns of the exit code later than of the end. */
void
mh_space_none(struct mh_agent *g, const char *what)
{
    if (g->pm.disk_full)
        return;
    mh_error("space", "no space left: exit code 4", "for", what);
    g->pm.disk_full = true;
    mh_agent_fail(g, "no space left on the volume");
    mh_status_changed(g);
    if (!g->w.clock.after(g->w.clock.self, LAST_WORDS_NS, leave, g))
        leave(g);
}

bool
mh_space_for_wal(struct mh_agent *g)
{
    char path[MH_PATH];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/pg_wal", g->id.pgdata);
    if (stat(path, &st) != 0 || fits(path, segment_size(path)))
        return true;
    mh_space_none(g, "one WAL segment");
    return false;
}
