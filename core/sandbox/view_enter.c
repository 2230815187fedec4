/* view_enter.c - in the child: builds the root. Between clone and exec, so system calls only. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/view.h"

/* <sys/mount.h> and <linux/mount.h> cannot be included together with older C libraries. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
int umount2(const char *target, int flags);

#define PART_MAX 512
#define RECURSIVE 0x8000U /* AT_RECURSIVE */
#define DETACH 2          /* MNT_DETACH */

static int
open_in(int root, const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* The folder `path`, made where it is missing. A descriptor, or -1. */
static int
make_dirs(int root, const char *path, unsigned mode)
{
    char part[PART_MAX];
    int at = open_in(root, "/", O_PATH | O_DIRECTORY);
    const char *end = path;
    while (at >= 0 && *end) {
        end += strspn(end, "/");
        if (!*end)
            break;
        const char *name = end;
        end += strcspn(end, "/");
        size_t len = (size_t)(end - path);
        if (len >= sizeof(part)) {
            (void)close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, path, len);
        part[len] = '\0';
        int next = open_in(root, part, O_PATH | O_DIRECTORY);
        if (next < 0 && errno == ENOENT &&
            mkdirat(at, part + (name - path), *end ? 0755 : mode) == 0)
            next = open_in(root, part, O_PATH | O_DIRECTORY);
        int saved = errno;
        (void)close(at);
        errno = saved;
        at = next;
    }
    return at;
}

/* Splits into folder and last part; the folder's descriptor. */
static int
parent_of(int root, const char *path, const char **name)
{
    char folder[PART_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (len >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, len);
    folder[len] = '\0';
    *name = slash ? slash + 1 : path;
    return make_dirs(root, folder, 0755);
}

static bool
write_file(int root, const struct mh_sb_step *s)
{
    const char *name;
    int at = parent_of(root, s->to, &name);
    int fd = at < 0 ? -1 : openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, s->mode);
    size_t len = s->from ? strlen(s->from) : 0;
    bool fine = fd >= 0 && write(fd, s->from ? s->from : "", len) == (ssize_t)len &&
                fchmod(fd, s->mode) == 0;
    if (fd >= 0)
        (void)close(fd);
    if (at >= 0)
        (void)close(at);
    return fine;
}

static bool
make_link(int root, const struct mh_sb_step *s)
{
    const char *name;
    int at = parent_of(root, s->to, &name);
    bool fine = at >= 0 && symlinkat(s->from, at, name) == 0;
    if (at >= 0)
        (void)close(at);
    return fine;
}

/* An empty file to mount on. */
static int
make_target_file(int root, const char *path)
{
    int fd = open_in(root, path, O_PATH);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    const char *name;
    int at = parent_of(root, path, &name);
    if (at < 0)
        return -1;
    fd = openat(at, name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    (void)close(at);
    if (fd < 0)
        return -1;
    (void)close(fd);
    return open_in(root, path, O_PATH);
}

static int
open_source(const struct mh_sb_step *s)
{
    if (!s->sub)
        return open(s->from, O_PATH | O_CLOEXEC);
    int base = open(s->from, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return -1;
    int fd = open_in(base, s->sub, O_PATH);
    if (fd < 0 && errno == ENOENT)
        fd = make_dirs(base, s->sub, 0777);
    int saved = errno;
    (void)close(base);
    errno = saved;
    return fd;
}

static bool
do_bind(int root, const struct mh_sb_step *s)
{
    struct stat st;
    int from = open_source(s);
    if (from < 0)
        return false;
    int tree = (int)syscall(SYS_open_tree, from, "",
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | RECURSIVE | AT_EMPTY_PATH);
    bool fine = tree >= 0 && fstat(from, &st) == 0;
    int to = -1;
    if (fine)
        to = S_ISDIR(st.st_mode) ? make_dirs(root, s->to, 0755) : make_target_file(root, s->to);
    if (fine && s->read_only) {
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
        fine = syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | RECURSIVE, &attr,
                       sizeof(attr)) == 0;
    }
    fine = fine && to >= 0 &&
           syscall(SYS_move_mount, tree, "", to, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
    int saved = errno;
    (void)close(from);
    if (tree >= 0)
        (void)close(tree);
    if (to >= 0)
        (void)close(to);
    errno = saved;
    return fine;
}

/* A new file system on the target. */
static bool
do_mount(int root, const struct mh_sb_step *s, const char *type, const char *options)
{
    char fd_path[32];
    int to = make_dirs(root, s->to, 0755);
    if (to < 0)
        return false;
    (void)snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", to);
    unsigned long flags = strcmp(type, "devpts") == 0 ? 2 | 8     /* NOSUID NOEXEC */
                          : strcmp(type, "proc") == 0 ? 2 | 4 | 8 /* NODEV too */
                                                      : 2 | 4;
    bool fine = mount(type, fd_path, type, flags, options) == 0;
    int saved = errno;
    (void)close(to);
    errno = saved;
    return fine;
}

static bool
do_tmpfs(int root, const struct mh_sb_step *s)
{
    char options[96];
    int n = snprintf(options, sizeof(options), "mode=%o", s->mode ? s->mode : 0755U);
    if (s->size)
        (void)snprintf(options + n, sizeof(options) - (size_t)n, ",size=%llu",
                       (unsigned long long)s->size);
    return do_mount(root, s, "tmpfs", options);
}

static bool
do_dir(int root, const struct mh_sb_step *s)
{
    int at = make_dirs(root, s->to, s->mode);
    if (at < 0)
        return false;
    char fd_path[32]; /* whatever the umask made of it */
    (void)snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", at);
    (void)chmod(fd_path, s->mode);
    (void)close(at);
    return true;
}

static bool
carry_out(int root, const struct mh_sb_step *s)
{
    switch (s->kind) {
    case MH_SB_STEP_DIR:
        return do_dir(root, s);
    case MH_SB_STEP_BIND:
        return do_bind(root, s);
    case MH_SB_STEP_TMPFS:
        return do_tmpfs(root, s);
    case MH_SB_STEP_LINK:
        return make_link(root, s);
    case MH_SB_STEP_FILE:
        return write_file(root, s);
    case MH_SB_STEP_PROC:
        return do_mount(root, s, "proc", NULL);
    case MH_SB_STEP_PTS:
        return do_mount(root, s, "devpts", "newinstance,ptmxmode=0666,mode=0620");
    }
    return false;
}

const char *
mh_sb_view_enter(const struct mh_sb_view *v, char *text, size_t size)
{
    static const char *const verbs[] = {
        "make", "mount", "mount", "link", "write", "mount", "mount"
    };
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return "make mounts private";
    if (mount("sandbox", v->stage, "tmpfs", MS_NOSUID, "mode=755,size=16m") != 0)
        return "mount the root";
    int root = open(v->stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return "open the root";
    for (size_t i = 0; i < v->len; i++) {
        const struct mh_sb_step *s = &v->steps[i];
        if (carry_out(root, s) || s->optional)
            continue;
        int saved = errno;
        (void)snprintf(text, size, "%s %s%s%s", verbs[s->kind], s->to,
                       s->kind == MH_SB_STEP_BIND ? " from " : "",
                       s->kind == MH_SB_STEP_BIND ? s->from : "");
        errno = saved;
        return text;
    }
    if (fchdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", DETACH) != 0 ||
        chdir("/") != 0)
        return "move to the root";
    (void)close(root);
    if (v->read_only) {
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
        if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof(attr)) != 0)
            return "make the root read-only";
    }
    return NULL;
}
