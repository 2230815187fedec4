#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

static enum mh_code
io_fail(struct mh_err *err, int e, const char *what, const char *path)
{
    enum mh_code code = MH_E_IO;
    if (e == ENOENT || e == ENOTDIR)
        code = MH_E_NOTFOUND;
    else if (e == ENOSPC || e == EDQUOT)
        code = MH_E_DISKFULL;
    else if (e == EACCES || e == EPERM || e == EROFS)
        code = MH_E_DENIED;
    else if (e == ENOMEM)
        code = MH_E_NOMEM;
    return mh_fail(err, code, "cannot %s %s: %s", what, path, strerror(e));
}

static ssize_t
read_fully(int fd, char *out, size_t n)
{
    size_t at = 0;
    while (at < n) {
        ssize_t got = read(fd, out + at, n - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        at += (size_t)got;
    }
    return (ssize_t)at;
}

/* A size of 0 may be a file of /proc: then it is read in steps. */
static enum mh_code
read_fd(int fd, struct mh_arena *a, const char *path, size_t limit, char **text, size_t *len,
        struct mh_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return io_fail(err, errno, "read", path);
    if (S_ISDIR(st.st_mode))
        return io_fail(err, EISDIR, "read", path);
    size_t room = st.st_size > 0 ? (size_t)st.st_size : 4096;
    size_t used = 0;
    char *out = NULL;
    for (;;) {
        if (room > limit)
            room = limit;
        char *more = mh_arena_alloc(a, room + 2);
        if (!more)
            return mh_fail(err, MH_E_NOMEM, "no memory for %zu bytes of %s", room, path);
        if (used)
            memcpy(more, out, used);
        out = more;
        ssize_t n = read_fully(fd, out + used, room + 1 - used);
        if (n < 0)
            return io_fail(err, errno, "read", path);
        used += (size_t)n;
        if (used <= room)
            break;
        if (room == limit)
            return mh_fail(err, MH_E_LIMIT, "%s is larger than %zu bytes", path, limit);
        room *= 4;
    }
    out[used] = '\0';
    *text = out;
    if (len)
        *len = used;
    return MH_OK;
}

static enum mh_code
fs_read(void *self, struct mh_arena *a, const char *path, size_t limit, char **text, size_t *len,
        struct mh_err *err)
{
    (void)self;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_fail(err, errno, "read", path);
    enum mh_code code = read_fd(fd, a, path, limit, text, len, err);
    close(fd);
    return code;
}

static int
sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof(folder))
        return ENAMETOOLONG;
    mh_str_copy(folder, n > 0 ? n + 1 : 2, n > 0 ? path : slash ? "/" : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int e = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return e == EINVAL ? 0 : e; /* file systems without it */
}

/* Has the file exactly this content and mode (and, if durable, is it on the disk)? A former write
 * may have failed after its rename, so that is made sure of again. */
static bool
same_file(const char *path, const char *text, size_t len, int mode, bool durable)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    struct stat st;
    bool same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size == len &&
                (int)(st.st_mode & 07777) == mode;
    char chunk[8192];
    for (size_t at = 0; same && at < len;) {
        size_t n = len - at < sizeof(chunk) ? len - at : sizeof(chunk);
        same = read_fully(fd, chunk, n) == (ssize_t)n && memcmp(chunk, text + at, n) == 0;
        at += n;
    }
    if (same && durable)
        same = fsync(fd) == 0 && sync_folder(path) == 0;
    close(fd);
    return same;
}

static int
write_fd(int fd, const char *text, size_t len, int mode, bool durable)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, text + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        at += (size_t)n;
    }
    if (fchmod(fd, (mode_t)mode) != 0)
        return errno;
    if (durable && fsync(fd) != 0)
        return errno;
    return 0;
}

static enum mh_code
fs_write(void *self, const char *path, const char *text, size_t len, int mode, bool durable,
         bool *changed, struct mh_err *err)
{
    (void)self;
    if (changed)
        *changed = false;
    if (same_file(path, text, len, mode, durable))
        return MH_OK;
    char tmp[4096];
    int n = snprintf(tmp, sizeof(tmp), "%s.mh-%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(tmp))
        return io_fail(err, ENAMETOOLONG, "write", path);
    (void)unlink(tmp); /* left behind by a former process with our number */
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return io_fail(err, errno, "write", path);
    int e = write_fd(fd, text, len, mode, durable);
    if (close(fd) != 0 && e == 0)
        e = errno;
    if (e == 0 && rename(tmp, path) != 0)
        e = errno;
    if (e != 0) {
        (void)unlink(tmp);
        return io_fail(err, e, "write", path);
    }
    if (changed)
        *changed = true;
    e = durable ? sync_folder(path) : 0;
    return e == 0 ? MH_OK : io_fail(err, e, "make durable", path);
}

static bool
fs_exists(void *self, const char *path)
{
    (void)self;
    return access(path, F_OK) == 0;
}

static enum mh_code
fs_remove(void *self, const char *path, struct mh_err *err)
{
    (void)self;
    if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
        return MH_OK;
    if ((errno == EISDIR || errno == EPERM) && rmdir(path) == 0)
        return MH_OK;
    return io_fail(err, errno, "remove", path);
}

static enum mh_code
fs_rename(void *self, const char *from, const char *to, struct mh_err *err)
{
    (void)self;
    if (rename(from, to) != 0)
        return io_fail(err, errno, "rename", from);
    int e = sync_folder(to);
    return e == 0 ? MH_OK : io_fail(err, e, "make durable", to);
}

static int
make_folder(const char *path, int mode)
{
    struct stat st;
    if (mkdir(path, (mode_t)mode) == 0)
        return chmod(path, (mode_t)mode) == 0 ? 0 : errno;
    if (errno == EEXIST)
        return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : EEXIST;
    return errno;
}

static enum mh_code
fs_mkdir(void *self, const char *path, int mode, struct mh_err *err)
{
    (void)self;
    char part[4096];
    int e = make_folder(path, mode);
    if (e != ENOENT)
        return e == 0 ? MH_OK : io_fail(err, e, "make folder", path);
    if (strlen(path) >= sizeof(part))
        return io_fail(err, ENAMETOOLONG, "make folder", path);
    mh_str_copy(part, sizeof(part), path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        e = make_folder(part, mode);
        *p = '/';
        if (e != 0)
            return io_fail(err, e, "make folder", path);
    }
    e = make_folder(path, mode);
    return e == 0 ? MH_OK : io_fail(err, e, "make folder", path);
}

struct mh_fs
mh_fs_real(void)
{
    return (struct mh_fs){ fs_read, fs_write, fs_exists, fs_remove, fs_rename, fs_mkdir, NULL };
}

static bool
fill(void *self, void *out, size_t n)
{
    (void)self;
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

struct mh_rand
mh_rand_real(void)
{
    return (struct mh_rand){ fill, NULL };
}
