/* view.c - the list of steps, and what every container has. */
#include "sandbox/view.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool with_users;

bool
mh_sb_view_with_users(void)
{
    return with_users;
}

void
mh_sb_view_set_users(bool yes)
{
    with_users = yes;
}

void
mh_sb_view_init(struct mh_sb_view *v, struct mh_arena *a, const char *stage)
{
    *v = (struct mh_sb_view){ .arena = a, .stage = stage };
}

void
mh_sb_view_add(struct mh_sb_view *v, const struct mh_sb_step *step)
{
    if (v->len == v->size) {
        size_t size = v->size ? 2 * v->size : 64;
        struct mh_sb_step *steps = mh_arena_alloc(v->arena, size * sizeof(*steps));
        if (!steps) {
            v->failed = true;
            return;
        }
        if (v->len)
            memcpy(steps, v->steps, v->len * sizeof(*steps));
        v->steps = steps;
        v->size = size;
    }
    struct mh_sb_step *s = &v->steps[v->len++];
    *s = *step;
    s->from = mh_arena_strdup(v->arena, step->from);
    s->sub = mh_arena_strdup(v->arena, step->sub);
    s->to = mh_arena_strdup(v->arena, step->to);
    if (!s->to || (step->from && !s->from) || (step->sub && !s->sub))
        v->failed = true;
}

void
mh_sb_view_bind(struct mh_sb_view *v, const char *from, const char *to, bool read_only)
{
    mh_sb_view_add(v,
                   &(struct mh_sb_step){
                       .kind = MH_SB_STEP_BIND, .from = from, .to = to, .read_only = read_only });
}

void
mh_sb_view_file(struct mh_sb_view *v, const char *to, const char *content)
{
    mh_sb_view_add(
        v, &(struct mh_sb_step){
               .kind = MH_SB_STEP_FILE, .from = content ? content : "", .to = to, .mode = 0644 });
}

static void
dir(struct mh_sb_view *v, const char *to, unsigned mode)
{
    mh_sb_view_add(v, &(struct mh_sb_step){ .kind = MH_SB_STEP_DIR, .to = to, .mode = mode });
}

static void
link_to(struct mh_sb_view *v, const char *from, const char *to)
{
    mh_sb_view_add(v, &(struct mh_sb_step){ .kind = MH_SB_STEP_LINK, .from = from, .to = to });
}

/* As the host has it: a link stays a link, a file or folder is bound. */
static void
as_on_host(struct mh_sb_view *v, const char *path)
{
    char target[512];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n >= 0) {
        target[n] = '\0';
        link_to(v, target, path);
        return;
    }
    if (access(path, F_OK) == 0)
        mh_sb_view_add(v, &(struct mh_sb_step){ .kind = MH_SB_STEP_BIND,
                                                .from = path,
                                                .to = path,
                                                .read_only = true,
                                                .optional = true });
}

static void
add_host_etc(struct mh_sb_view *v)
{
    static const char *const names[] = {
        "alternatives",
        "bash.bashrc",
        "ca-certificates",
        "ca-certificates.conf",
        "crypto-policies",
        "debian_version",
        "gai.conf",
        "host.conf",
        "inputrc",
        "krb5.conf",
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "ldap",
        "locale.alias",
        "localtime",
        "login.defs",
        "magic",
        "mime.types",
        "os-release",
        "pam.d",
        "pki",
        "postgresql-common",
        "profile",
        "profile.d",
        "protocols",
        "security",
        "services",
        "shells",
        "ssl",
        "terminfo",
        "timezone",
    };
    char path[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        (void)snprintf(path, sizeof(path), "/etc/%s", names[i]);
        as_on_host(v, path);
    }
}

static void
add_etc(struct mh_sb_view *v, const struct mh_sb_view_base *b)
{
    dir(v, "/etc", 0755);
    add_host_etc(v);
    const char *home = b->home ? b->home : "/";
    const char *user = b->user ? b->user : "user";
    bool root = b->uid == 0;
    mh_sb_view_file(v, "/etc/passwd",
                    mh_arena_printf(v->arena,
                                    "root:x:0:0:root:/root:/bin/sh\n"
                                    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
                                    "%s%s%s",
                                    root ? "" : user, root ? "" : ":x:",
                                    root ? ""
                                         : mh_arena_printf(v->arena, "%u:%u:%s:%s:/bin/sh\n",
                                                           b->uid, b->gid, user, home)));
    mh_sb_view_file(v, "/etc/group",
                    mh_arena_printf(v->arena, "root:x:0:\nnogroup:x:65534:\n%s%s%s",
                                    b->gid == 0 ? "" : user, b->gid == 0 ? "" : ":x:",
                                    b->gid == 0 ? "" : mh_arena_printf(v->arena, "%u:\n", b->gid)));
    mh_sb_view_file(v, "/etc/nsswitch.conf",
                    "passwd: files\ngroup: files\nshadow: files\nhosts: files\nnetworks: files\n"
                    "protocols: files\nservices: files\n");
    mh_sb_view_file(v, "/etc/resolv.conf", "options timeout:1 attempts:1\n");
    mh_sb_view_file(v, "/etc/hostname", mh_arena_printf(v->arena, "%s\n", b->hostname));
    link_to(v, "/proc/self/mounts", "/etc/mtab");
    if (b->hosts_dir) {
        mh_sb_view_bind(v, b->hosts_dir, "/etc/sandbox", true);
        link_to(v, "sandbox/hosts", "/etc/hosts");
    } else {
        mh_sb_view_file(v, "/etc/hosts", "127.0.0.1 localhost\n");
    }
}

static void
add_dev(struct mh_sb_view *v, bool own_shm)
{
    static const char *const nodes[] = { "/dev/null",   "/dev/zero",    "/dev/full",
                                         "/dev/random", "/dev/urandom", "/dev/tty" };
    dir(v, "/dev", 0755);
    for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
        mh_sb_view_add(
            v, &(struct mh_sb_step){
                   .kind = MH_SB_STEP_BIND, .from = nodes[i], .to = nodes[i], .optional = i >= 5 });
    mh_sb_view_add(
        v, &(struct mh_sb_step){ .kind = MH_SB_STEP_PTS, .to = "/dev/pts", .optional = true });
    link_to(v, "pts/ptmx", "/dev/ptmx");
    link_to(v, "/proc/self/fd", "/dev/fd");
    link_to(v, "/proc/self/fd/0", "/dev/stdin");
    link_to(v, "/proc/self/fd/1", "/dev/stdout");
    link_to(v, "/proc/self/fd/2", "/dev/stderr");
    if (!own_shm)
        mh_sb_view_add(v, &(struct mh_sb_step){ .kind = MH_SB_STEP_TMPFS,
                                                .to = "/dev/shm",
                                                .size = (uint64_t)64 << 20,
                                                .mode = 01777 });
}

void
mh_sb_view_base(struct mh_sb_view *v, const struct mh_sb_view_base *b)
{
    static const char *const tops[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };
    static const struct {
        const char *path;
        unsigned mode;
    } dirs[] = {
        { "/home", 0755 },      { "/media", 0755 },
        { "/mnt", 0755 },       { "/opt", 0755 },
        { "/root", 0700 },      { "/run", 0755 },
        { "/run/lock", 01777 }, { "/srv", 0755 },
        { "/sys", 0555 },       { "/tmp", 01777 },
        { "/var", 0755 },       { "/var/cache", 0755 },
        { "/var/lib", 0755 },   { "/var/lib/postgresql", 01777 },
        { "/var/log", 0755 },   { "/var/spool", 0755 },
        { "/var/tmp", 01777 },
    };
    mh_sb_view_bind(v, "/usr", "/usr", true);
    for (size_t i = 0; i < sizeof(tops) / sizeof(*tops); i++)
        as_on_host(v, tops[i]);
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
        dir(v, dirs[i].path, dirs[i].mode);
    link_to(v, "../run", "/var/run");
    link_to(v, "../run/lock", "/var/lock");
    add_etc(v, b);
    add_dev(v, b->own_shm);
    mh_sb_view_add(v, &(struct mh_sb_step){ .kind = MH_SB_STEP_PROC, .to = "/proc" });
    if (b->manager)
        mh_sb_view_bind(v, b->manager, "/manager", true);
}
