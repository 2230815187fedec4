/* node_enter.c - the namespaces of the sandbox's own process. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "sandbox/node.h"
#include "sandbox/view.h"

#define HINT                                                                                       \
    "HINT: run as root, or allow unprivileged user namespaces "                                    \
    "(sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000)"

static bool
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool fine = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return fine;
}

static bool
enter_users(void)
{
    char map[64];
    unsigned uid = (unsigned)geteuid();
    unsigned gid = (unsigned)getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !write_text("/proc/self/setgroups", "deny"))
        return false;
    (void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    if (!write_text("/proc/self/gid_map", map))
        return false;
    (void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    return write_text("/proc/self/uid_map", map);
}

enum mh_code
mh_sb_node_enter(struct mh_err *err)
{
    static bool entered;
    if (entered)
        return MH_OK;
    bool root = geteuid() == 0 && unshare(CLONE_NEWNS) == 0;
    if (!root && !enter_users())
        return mh_fail(err, MH_E_UNAVAILABLE, "the sandbox cannot make namespaces: %s. " HINT,
                       strerror(errno));
    mh_sb_view_set_users(!root);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return mh_fail(err, MH_E_UNAVAILABLE, "the sandbox cannot have mounts of its own: %s",
                       strerror(errno));
    entered = true;
    return MH_OK;
}
