#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <mntent.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "io/file.h"
#include "sandbox/sandbox.h"
#include "sandbox/up.h"

#define N_FIRST 10
#define N_LAST 250

/* --- taking away -------------------------------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    (void)remove(path);
    return 0;
}

/* Memory volumes are mounts of this process: they keep their directories from being removed. */
static void
unmount_below(const char *dir)
{
    size_t n = strlen(dir);
    bool again = true;
    for (int turn = 0; again && turn < 4; turn++) {
        FILE *f = setmntent("/proc/self/mounts", "r");
        const struct mntent *m;
        again = false;
        while (f && (m = getmntent(f))) {
            if (strncmp(m->mnt_dir, dir, n) == 0 && m->mnt_dir[n] == '/')
                again = umount2(m->mnt_dir, MNT_DETACH) == 0 || again;
        }
        if (f)
            (void)endmntent(f);
    }
}

static void
remove_tree(const char *dir)
{
    struct timespec pause = { 0, 50000000 };
    unmount_below(dir);
    /* again if somebody who is about to end has just written something */
    for (int i = 0; i < 20 && access(dir, F_OK) == 0; i++) {
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        (void)nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    }
}

/* What sandboxes of ours left that were killed: nobody holds their lock. */
static void
remove_stale(const char *tmp)
{
    char pattern[MH_SB_PATH_MAX];
    glob_t found = { 0 };
    struct stat st;
    (void)snprintf(pattern, sizeof(pattern), "%s/moonherd-sandbox-*/lock", tmp);
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char *path = found.gl_pathv[i];
            int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
            bool mine = fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
                        time(NULL) - st.st_mtime > 60 && flock(fd, LOCK_EX | LOCK_NB) == 0;
            path[strlen(path) - strlen("/lock")] = '\0';
            if (mine)
                remove_tree(path);
            if (fd >= 0)
                (void)close(fd);
        }
        globfree(&found);
    }
}

/* --- the directory ----------------------------------------------------------------------------------- */

static enum mh_code
make_dir(const char *path, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    return fs.mkdir(fs.self, path, 0700, err);
}

static enum mh_code
choose_dir(struct mh_sb_place *p, const char *data, struct mh_err *err)
{
    if (data) {
        enum mh_code code = make_dir(data, err);
        if (code != MH_OK)
            return code;
        char *real = realpath(data, NULL);
        bool fits = real && strlen(real) < sizeof(p->dir) - 64;
        if (fits)
            mh_str_copy(p->dir, sizeof(p->dir), real);
        free(real); /* lint: allow free: made by realpath */
        return fits ? MH_OK : mh_fail(err, MH_E_INVALID, "%s: the path is too long", data);
    }
    const char *tmp = getenv("TMPDIR");
    if (!tmp || *tmp != '/' || strlen(tmp) >= MH_SB_PATH_MAX - 128)
        tmp = "/tmp";
    remove_stale(tmp);
    (void)snprintf(p->dir, sizeof(p->dir), "%s/moonherd-sandbox-XXXXXX", tmp);
    if (!mkdtemp(p->dir))
        return mh_fail(err, MH_E_IO, "cannot make %s: %s", p->dir, strerror(errno));
    p->temporary = true;
    /* pods run as other users and walk through it to their volumes */
    if (chmod(p->dir, 0711) != 0)
        return mh_fail(err, MH_E_IO, "cannot open %s: %s", p->dir, strerror(errno));
    return MH_OK;
}

static enum mh_code
take_lock(struct mh_sb_place *p, struct mh_err *err)
{
    char path[MH_SB_PATH_MAX + 16];
    char pid[24];
    (void)snprintf(path, sizeof(path), "%s/lock", p->dir);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock < 0)
        return mh_fail(err, MH_E_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(p->lock, LOCK_EX | LOCK_NB) != 0)
        return mh_fail(err, MH_E_EXISTS,
                       "a sandbox runs on %s already. HINT: moonherd sandbox down --data %s",
                       p->dir, p->dir);
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(p->lock, 0) != 0 || write(p->lock, pid, (size_t)n) != n)
        return mh_fail(err, MH_E_IO, "cannot write %s: %s", path, strerror(errno));
    return MH_OK;
}

/* --- the addresses ------------------------------------------------------------------------------------ */

/* Can 127.n.x.y:port be listened on? */
static bool
is_free(int n, unsigned xy, int port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    sa.sin_addr.s_addr = htonl(127u << 24 | (unsigned)n << 16 | xy);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool ok = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(fd, 1) == 0;
    (void)close(fd);
    return ok;
}

/* The port of the API server: another one where somebody listens on all addresses. */
static int
choose_port(void)
{
    static const int ports[] = { MH_SB_API_PORT, 16443, 26443, 36443 };
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        if (is_free(N_LAST + 1, 1, ports[i]))
            return ports[i];
    return MH_SB_API_PORT;
}

bool
mh_sb_place_taken(const struct mh_sb_place *p, char *out, size_t size)
{
    static const int ports[] = { 5432, 8000, 8080, 9187, 9443 };
    size_t n = 0;
    *out = '\0';
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]) && n + 16 < size; i++)
        if (!is_free(p->n, 0xfffe, ports[i]))
            n += (size_t)snprintf(out + n, size - n, "%s%d", n ? ", " : "", ports[i]);
    return n > 0;
}

/* Takes N for us, as long as `number` is open: two that start at once must not choose the same. */
static bool
take_n(struct mh_sb_place *p, int n)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int len = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "moonherd-sandbox-%d", n);
    if (!is_free(n, 1, p->port))
        return false;
    p->number = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->number >= 0 &&
        bind(p->number, (const struct sockaddr *)&un,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
        return true;
    if (p->number >= 0)
        (void)close(p->number);
    p->number = -1;
    return false;
}

/* Where the search begins: another place for each directory, so that a second sandbox of this machine
 * seldom takes the N of one that is down for a moment. */
static int
first_n(const char *dir)
{
    unsigned h = 2166136261u;
    for (; *dir; dir++)
        h = (h ^ (unsigned char)*dir) * 16777619u;
    return (int)(h % (N_LAST - N_FIRST + 1));
}

/* The N of last time if it is free, so that addresses stay. */
static enum mh_code
choose_n(struct mh_sb_place *p, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    struct mh_arena a;
    char path[MH_SB_PATH_MAX + 16];
    char *text = NULL;
    int64_t last = 0;
    (void)snprintf(path, sizeof(path), "%s/address", p->dir);
    p->port = choose_port();
    mh_arena_init(&a, 4096);
    if (fs.read(fs.self, &a, path, 64, &text, NULL, NULL) == MH_OK) {
        text[strcspn(text, "\n")] = '\0';
        if (!mh_str_int(text, N_FIRST, N_LAST, &last) || !take_n(p, (int)last))
            last = 0;
    }
    mh_arena_release(&a);
    int first = first_n(p->dir);
    for (int i = 0; i <= N_LAST - N_FIRST && !last; i++) {
        int n = N_FIRST + (first + i) % (N_LAST - N_FIRST + 1);
        last = take_n(p, n) ? n : 0;
    }
    if (!last)
        return mh_fail(err, MH_E_IO,
                       "no free address: 127.N.0.1:%d is taken for every N from %d to %d", p->port,
                       N_FIRST, N_LAST);
    char out[24];
    int len = snprintf(out, sizeof(out), "%d\n", (int)last);
    p->n = (int)last;
    (void)snprintf(p->server, sizeof(p->server), "https://127.%d.0.1:%d", p->n, p->port);
    return fs.write(fs.self, path, out, (size_t)len, 0600, false, NULL, err);
}

enum mh_code
mh_sb_place_take(struct mh_sb_place *p, const struct mh_sb_up_options *options, struct mh_err *err)
{
    char cache[MH_SB_PATH_MAX];
    *p = (struct mh_sb_place){ .lock = -1, .number = -1 };
    enum mh_code code = choose_dir(p, options->data, err);
    if (code == MH_OK)
        code = take_lock(p, err);
    if (code == MH_OK)
        code = choose_n(p, err);
    if (code != MH_OK)
        return code;
    int n = 0;
    if (options->kubeconfig && *options->kubeconfig == '/') {
        n = snprintf(p->kubeconfig, sizeof(p->kubeconfig), "%s", options->kubeconfig);
    } else if (options->kubeconfig) {
        if (!getcwd(cache, sizeof(cache)))
            return mh_fail(err, MH_E_IO, "the current directory is gone");
        n = snprintf(p->kubeconfig, sizeof(p->kubeconfig), "%s/%s", cache, options->kubeconfig);
    } else if (options->data) {
        n = snprintf(p->kubeconfig, sizeof(p->kubeconfig), "%s/kubeconfig", p->dir);
    } else if (mh_sb_cache_dir(cache)) {
        n = snprintf(p->kubeconfig, sizeof(p->kubeconfig), "%s/kubeconfig", cache);
        if (n > 0 && n < (int)sizeof(p->kubeconfig) && mh_sb_which_has(p->kubeconfig))
            n = snprintf(p->kubeconfig, sizeof(p->kubeconfig), "%s/kubeconfig-%d", cache, p->n);
        code = make_dir(cache, err);
    }
    if (n <= 0 || n >= (int)sizeof(p->kubeconfig))
        return mh_fail(err, MH_E_INVALID, "the path of the kubeconfig is too long");
    return code;
}

/* --- who is the current one ----------------------------------------------------------------------------- */

enum mh_code
mh_sb_place_announce(struct mh_sb_place *p, const char *kubeconfig, struct mh_err *err)
{
    struct mh_fs fs = mh_fs_real();
    char cache[MH_SB_PATH_MAX], path[MH_SB_PATH_MAX + 16];
    enum mh_code code =
        fs.write(fs.self, p->kubeconfig, kubeconfig, strlen(kubeconfig), 0600, false, NULL, err);
    if (code == MH_OK && !p->temporary) { /* so that --data alone names it too */
        (void)snprintf(path, sizeof(path), "%s/kubeconfig", p->dir);
        code = fs.write(fs.self, path, kubeconfig, strlen(kubeconfig), 0600, false, NULL, err);
    }
    if (code != MH_OK || !mh_sb_cache_dir(cache) || make_dir(cache, NULL) != MH_OK)
        return code;
    (void)snprintf(path, sizeof(path), "%s/current", cache);
    (void)fs.write(fs.self, path, p->kubeconfig, strlen(p->kubeconfig), 0600, false, NULL, NULL);
    mh_sb_which_note(p);
    return MH_OK;
}

/* --- the end -------------------------------------------------------------------------------------------- */

void
mh_sb_place_leave(struct mh_sb_place *p)
{
    if (p->number >= 0)
        mh_sb_which_forget(p);
    if (p->temporary) {
        remove_tree(p->dir);
        if (p->kubeconfig[0])
            (void)unlink(p->kubeconfig);
    }
    if (p->lock >= 0)
        (void)close(p->lock);
    if (p->number >= 0)
        (void)close(p->number);
    p->lock = p->number = -1;
}
