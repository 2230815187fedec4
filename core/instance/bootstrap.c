#include "instance/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_CAP 1024

static enum mh_code
failed(struct mh_err *err, const char *what, const char *path)
{
    int e = errno;
    enum mh_code code = e == ENOSPC || e == EDQUOT                ? MH_E_DISKFULL
                        : e == EACCES || e == EPERM || e == EROFS ? MH_E_DENIED
                                                                  : MH_E_IO;
    return mh_fail(err, code, "bootstrap: cannot %s %s: %s", what, path, strerror(e));
}

static enum mh_code
make_parents(const char *dest, struct mh_err *err)
{
    char path[PATH_CAP];
    (void)snprintf(path, sizeof(path), "%s", dest);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST && access(path, X_OK) != 0)
            return failed(err, "make folder", path);
        *slash = '/';
    }
    return MH_OK;
}

static bool
copy_all(int from, int to, off_t size)
{
    off_t at = 0;
    while (at < size) {
        ssize_t n = sendfile(to, from, &at, (size_t)(size - at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
    }
    return fchmod(to, 0750) == 0 && fsync(to) == 0;
}

enum mh_code
mh_bootstrap(const char *dest, struct mh_err *err)
{
    char temporary[PATH_CAP];
    struct stat st;
    if (!dest || dest[0] != '/' || strlen(dest) > PATH_CAP - 16)
        return mh_fail(err, MH_E_INVALID, "bootstrap: the destination is no absolute path");
    enum mh_code code = make_parents(dest, err);
    if (code)
        return code;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) != 0) {
        code = failed(err, "read", "/proc/self/exe");
        if (from >= 0)
            (void)close(from);
        return code;
    }
    (void)snprintf(temporary, sizeof(temporary), "%s.new", dest);
    (void)unlink(temporary);
    int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0700);
    if (to < 0)
        code = failed(err, "write", temporary);
    else if (!copy_all(from, to, st.st_size))
        code = failed(err, "write", temporary);
    if (to >= 0 && close(to) != 0 && !code)
        code = failed(err, "write", temporary);
    if (!code && rename(temporary, dest) != 0)
        code = failed(err, "make", dest);
    if (code && to >= 0)
        (void)unlink(temporary);
    (void)close(from);
    return code;
}
