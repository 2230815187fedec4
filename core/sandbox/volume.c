/* volume.c - a pod's volumes as folders of the host. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/claim_dir.h"
#include "sandbox/node_in.h"
#include "sandbox/sched.h"
#include "sandbox/view.h"

#define TMPFS_MAGIC_ 0x01021994
#define REMOVE_MAX 100000

static bool
fail(struct mh_sb_pod *p, const char *what, const char *name, const char *why)
{
    (void)snprintf(p->failure, sizeof(p->failure),
                   "MountVolume.SetUp failed for volume \"%s\" : %s %s", name, what, why);
    return false;
}

static unsigned
fs_group(const struct mh_sb_pod *p)
{
    return (unsigned)mh_json_int(p->object, UINT32_MAX, "spec", "securityContext", "fsGroup", NULL);
}

/* What the kubelet does for fsGroup, on the top of the volume. */
static void
give_group(const struct mh_sb_pod *p, const char *path)
{
    unsigned group = fs_group(p);
    struct stat st;
    if (mh_sb_view_with_users() || group == UINT32_MAX || stat(path, &st) != 0)
        return;
    if (st.st_gid != group && chown(path, (uid_t)-1, group) != 0)
        return;
    if ((st.st_mode & 02070) != 02070)
        (void)chmod(path, (st.st_mode & 07777) | 02070);
}

/* Is this the top of a tmpfs? */
static bool
is_tmpfs(const char *path)
{
    struct statfs fs;
    struct stat st;
    struct stat up;
    char above[MH_SB_PATH + 400];
    (void)snprintf(above, sizeof(above), "%s/..", path);
    return statfs(path, &fs) == 0 && fs.f_type == TMPFS_MAGIC_ && stat(path, &st) == 0 &&
           stat(above, &up) == 0 && st.st_dev != up.st_dev;
}

static bool
mount_tmpfs(const char *path, int64_t size)
{
    char options[64] = "mode=0777";
    bool there = is_tmpfs(path);
    if (size > 0)
        (void)snprintf(options, sizeof(options), there ? "size=%lld" : "mode=0777,size=%lld",
                       (long long)size);
    else if (there)
        return true;
    return mount("tmpfs", path, "tmpfs",
                 MS_NOSUID | MS_NODEV | (there ? (unsigned long)MS_REMOUNT : 0), options) == 0;
}

static bool
make_empty(struct mh_sb_pod *p, yyjson_val *volume, const char *path)
{
    const char *name = mh_json_str(volume, "name", NULL);
    const char *medium = mh_json_str(volume, "emptyDir", "medium", NULL);
    yyjson_val *limit = mh_json_get(volume, "emptyDir", "sizeLimit", NULL);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fail(p, "mkdir:", name, strerror(errno));
    (void)chmod(path, 0777);
    if (medium && strcmp(medium, "Memory") == 0 && !is_tmpfs(path) &&
        !mount_tmpfs(path, limit ? mh_sb_amount(limit, 1) : 0))
        return fail(p, "mount tmpfs:", name, strerror(errno));
    give_group(p, path);
    return true;
}

/* --- claims ---------------------------------------------------------------------------------- */

static const char *
claim_name(const struct mh_sb_pod *p, struct mh_arena *a, yyjson_val *volume)
{
    const char *given = mh_json_str(volume, "persistentVolumeClaim", "claimName", NULL);
    if (given)
        return given;
    return yyjson_obj_get(volume, "ephemeral")
               ? mh_arena_printf(a, "%s-%s", p->name, mh_json_str(volume, "name", NULL))
               : NULL;
}

/* The volume of a claim and its folder; NULL: not yet. */
static const char *
claim_path(struct mh_sb_pod *p, const char *claim, yyjson_val **volume)
{
    const struct mh_sb_ref *c = mh_sb_ref_get(p->nodes, "persistentvolumeclaims", p->ns, claim);
    const char *phase = c ? mh_json_str(c->object, "status", "phase", NULL) : NULL;
    const char *name = c ? mh_json_str(c->object, "spec", "volumeName", NULL) : NULL;
    if (!name || !*name || !phase || strcmp(phase, "Bound") != 0)
        return NULL;
    const struct mh_sb_ref *v = mh_sb_ref_get(p->nodes, "persistentvolumes", "", name);
    *volume = v ? v->object : NULL;
    const char *path = mh_json_str(*volume, "spec", "local", "path", NULL);
    return path ? path : mh_json_str(*volume, "spec", "hostPath", "path", NULL);
}

static bool
make_claim(struct mh_sb_pod *p, const char *name, const char *claim)
{
    yyjson_val *volume = NULL;
    const char *path = claim_path(p, claim, &volume);
    if (!path)
        return fail(p, "persistentvolumeclaim", name, "is not bound yet");
    const char *class_ = mh_json_str(volume, "spec", "storageClassName", NULL);
    if (access(path, F_OK) != 0)
        return fail(p, "path", name, "does not exist");
    if (class_ && strcmp(class_, "memory") == 0) {
        int64_t size = mh_sb_amount(mh_json_get(volume, "spec", "capacity", "storage", NULL), 1);
        if (!mount_tmpfs(path, size))
            return fail(p, "mount tmpfs:", name, strerror(errno));
    }
    give_group(p, path);
    return true;
}

/* --- all ------------------------------------------------------------------------------------- */

static bool
is_payload(yyjson_val *volume)
{
    return yyjson_obj_get(volume, "secret") || yyjson_obj_get(volume, "configMap") ||
           yyjson_obj_get(volume, "projected") || yyjson_obj_get(volume, "downwardAPI");
}

static bool
make_one(struct mh_sb_pod *p, struct mh_arena *a, yyjson_val *volume)
{
    const char *name = mh_json_str(volume, "name", NULL);
    const char *path = mh_arena_printf(a, "%s/volumes/%s", p->dir, name ? name : "");
    const char *claim = claim_name(p, a, volume);
    if (!name || !path)
        return fail(p, "", "", "no name");
    if (claim)
        return make_claim(p, name, claim);
    if (yyjson_obj_get(volume, "emptyDir"))
        return make_empty(p, volume, path);
    if (is_payload(volume)) {
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return fail(p, "mkdir:", name, strerror(errno));
        return mh_sb_payload_make(p, volume, path);
    }
    if (yyjson_obj_get(volume, "hostPath"))
        return true;
    return fail(p, "", name, "this kind of volume does not exist in the sandbox");
}

bool
mh_sb_volumes_make(struct mh_sb_pod *p)
{
    struct mh_arena a;
    yyjson_val *volume;
    size_t i;
    size_t max;
    bool all = true;
    p->failure[0] = '\0';
    mh_arena_init(&a, (size_t)1 << 20);
    yyjson_arr_foreach(mh_json_get(p->object, "spec", "volumes", NULL), i, max, volume)
    {
        if (!make_one(p, &a, volume))
            all = false; /* go on: the others are asked for at the same time */
    }
    mh_arena_release(&a);
    return all;
}

const char *
mh_sb_volume_path(struct mh_sb_pod *p, struct mh_arena *a, const char *name, bool *read_only)
{
    yyjson_val *volume;
    yyjson_val *unused = NULL;
    size_t i;
    size_t max;
    yyjson_arr_foreach(mh_json_get(p->object, "spec", "volumes", NULL), i, max, volume)
    {
        if (!mh_str_eq(mh_json_str(volume, "name", NULL), name))
            continue;
        const char *claim = claim_name(p, a, volume);
        const char *host = mh_json_str(volume, "hostPath", "path", NULL);
        *read_only = is_payload(volume) ||
                     mh_json_bool(volume, false, "persistentVolumeClaim", "readOnly", NULL);
        if (claim)
            return claim_path(p, claim, &unused);
        return host ? host : mh_arena_printf(a, "%s/volumes/%s", p->dir, name);
    }
    return NULL;
}

void
mh_sb_volumes_remove(struct mh_sb_pod *p)
{
    char path[MH_SB_PATH + 400];
    yyjson_val *volume;
    size_t i;
    size_t max;
    yyjson_arr_foreach(mh_json_get(p->object, "spec", "volumes", NULL), i, max, volume)
    {
        const char *name = mh_json_str(volume, "name", NULL);
        if (!yyjson_obj_get(volume, "emptyDir") || !name)
            continue;
        (void)snprintf(path, sizeof(path), "%s/volumes/%s", p->dir, name);
        if (is_tmpfs(path))
            (void)umount2(path, MNT_DETACH);
    }
    if (p->dir[0])
        mh_sb_tree_remove(p->dir);
}

void
mh_sb_tree_remove(const char *path)
{
    struct mh_err err;
    bool left = false;
    (void)mh_sb_claim_dir_remove(path, REMOVE_MAX, &left, &err);
}
