#include "sandbox/claim_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define DEPTH_MAX 64

static enum mh_code
make_one(const char *path, mode_t mode, struct mh_err *err)
{
    if (mkdir(path, mode) == 0) {
        if (chmod(path, mode) == 0)
            return MH_OK;
    } else if (errno == EEXIST) {
        return MH_OK;
    }
    return mh_fail(err, errno == ENOSPC ? MH_E_DISKFULL : MH_E_IO, "make %s: %s", path,
                   strerror(errno));
}

enum mh_code
mh_sb_claim_dir_make(const char *data, const char *uid, struct mh_err *err)
{
    char path[4096];
    if (strchr(uid, '/') || strcmp(uid, "..") == 0 ||
        snprintf(path, sizeof(path), "%s/volumes/%s", data, uid) >= (int)sizeof(path))
        return mh_fail(err, MH_E_INVALID, "%s is no UID of a claim", uid);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    enum mh_code code = make_one(path, 0755, err);
    *slash = '/';
    return code == MH_OK ? make_one(path, 0777, err) : code;
}

/* Empties the folder `fd`; *budget goes down with each entry. False: errno says why. */
static bool
empty(int fd, int depth, int *budget)
{
    DIR *d = fdopendir(fd);
    const struct dirent *e;
    if (!d) {
        close(fd);
        return false;
    }
    bool ok = true;
    int why = 0;
    while (ok && *budget > 0 && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        --*budget;
        if (unlinkat(fd, e->d_name, 0) == 0)
            continue;
        int sub = depth < DEPTH_MAX && (errno == EISDIR || errno == EPERM)
                      ? openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : -1;
        ok = sub >= 0 && empty(sub, depth + 1, budget) &&
             (*budget <= 0 || unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY);
        why = errno;
    }
    closedir(d);
    errno = why;
    return ok;
}

enum mh_code
mh_sb_claim_dir_remove(const char *path, int budget, bool *left, struct mh_err *err)
{
    *left = false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? MH_OK
                               : mh_fail(err, MH_E_IO, "open %s: %s", path, strerror(errno));
    if (!empty(fd, 0, &budget))
        return mh_fail(err, MH_E_IO, "empty %s: %s", path, strerror(errno));
    if (rmdir(path) == 0 || errno == ENOENT)
        return MH_OK;
    if (errno != ENOTEMPTY)
        return mh_fail(err, MH_E_IO, "remove %s: %s", path, strerror(errno));
    *left = true;
    return MH_OK;
}
