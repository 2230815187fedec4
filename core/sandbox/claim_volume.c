/* claim_volume.c - volumes: their phase, and what becomes of them without a claim. */
#include <string.h>

#include "base/log.h"
#include "sandbox/claim_dir.h"
#include "sandbox/claim_in.h"
#include "sandbox/control_in.h"

#define FILES_AT_ONCE 500

static void
set_phase(struct mh_sb_task *t, yyjson_val *volume, const char *phase)
{
    char when[MH_TIME_TEXT];
    if (mh_str_eq(mh_json_str(volume, "status", "phase", NULL), phase))
        return;
    mh_sb_now_text(t->c, when);
    mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_VOLUMES, NULL, t->name, "status"),
                    MH_PATCH_MERGE,
                    mh_sb_text(t,
                               "{\"status\":{\"phase\":\"%s\",\"lastPhaseTransitionTime\":\"%s\"}}",
                               phase, when));
}

/* The directory of a volume of ours; NULL: it is none, or none below the data directory. */
static const char *
own_path(const struct mh_sb_task *t, yyjson_val *volume)
{
    const char *by =
        mh_json_str(volume, "metadata", "annotations", "pv.kubernetes.io/provisioned-by", NULL);
    const char *path = mh_json_str(volume, "spec", "local", "path", NULL);
    if (!path)
        path = mh_json_str(volume, "spec", "hostPath", "path", NULL);
    const char *data = t->c->config.data;
    size_t n = data ? strlen(data) : 0;
    if (!mh_str_eq(by, MH_SB_PROVISIONER) || !path || !data || strncmp(path, data, n) != 0 ||
        strncmp(path + n, "/volumes/", 9) != 0 || strchr(path + n + 9, '/') ||
        mh_str_starts(path + n + 9, "."))
        return NULL;
    return path;
}

/* Released and to be deleted: the files, a few at a time, then the object. */
static void
reclaim(struct mh_sb_task *t, yyjson_val *volume)
{
    struct mh_err err;
    bool left;
    const char *path = own_path(t, volume);
    if (!path)
        return;
    if (mh_sb_claim_dir_remove(path, FILES_AT_ONCE, &left, &err) != MH_OK) {
        mh_log_err(MH_LOG_WARNING, "sandbox", "a volume's directory stays", &err, "volume",
                   t->name);
        set_phase(t, volume, "Failed");
        return;
    }
    if (left)
        mh_sb_again(t, MH_NS_PER_MS);
    else if (mh_sb_is_going(volume))
        mh_sb_unprotect(t, MH_SB_VOLUMES, volume, "kubernetes.io/pv-protection");
    else
        mh_sb_ctl_delete(t, MH_SB_VOLUMES, volume, -1);
}

void
mh_sb_volume_sync(struct mh_sb_task *t)
{
    yyjson_val *volume = mh_sb_object(t->c, MH_SB_VOLUMES, NULL, t->name);
    yyjson_val *ref = mh_json_get(volume, "spec", "claimRef", NULL);
    const char *ns = mh_json_str(ref, "namespace", NULL), *name = mh_json_str(ref, "name", NULL);
    const char *uid = mh_json_str(ref, "uid", NULL);
    const char *phase = mh_json_str(volume, "status", "phase", NULL);
    if (!volume)
        return;
    yyjson_val *claim = ns && name ? mh_sb_object(t->c, MH_SB_CLAIMS, ns, name) : NULL;
    const char *bound = mh_json_str(claim, "spec", "volumeName", NULL);
    if (claim && uid && mh_str_eq(uid, mh_sb_uid_of(claim))) {
        if (mh_str_eq(bound, t->name))
            set_phase(t, volume, "Bound");
        else
            mh_sb_touch(t->c, MH_SB_W_CLAIM, ns, name);
        return;
    }
    if (!ref || !uid) {
        if (mh_sb_is_going(volume))
            mh_sb_unprotect(t, MH_SB_VOLUMES, volume, "kubernetes.io/pv-protection");
        else
            set_phase(t, volume, "Available");
        return;
    }
    const char *policy = mh_json_str(volume, "spec", "persistentVolumeReclaimPolicy", NULL);
    if (!mh_str_eq(phase, "Released") && !mh_str_eq(phase, "Failed"))
        set_phase(t, volume, "Released");
    else if (mh_str_eq(policy, "Delete") && !mh_str_eq(phase, "Failed"))
        reclaim(t, volume);
    else if (mh_sb_is_going(volume))
        mh_sb_unprotect(t, MH_SB_VOLUMES, volume, "kubernetes.io/pv-protection");
}

MH_SB_HOOK(mh_sb_volume_hook)
{
    yyjson_val *volume = now ? now : old;
    const char *ns = mh_json_str(volume, "spec", "claimRef", "namespace", NULL);
    const char *name = mh_json_str(volume, "spec", "claimRef", "name", NULL);
    mh_sb_touch_object(c, MH_SB_W_VOLUME, volume);
    if (ns && name)
        mh_sb_touch(c, MH_SB_W_CLAIM, ns, name);
    else if (now && !old)
        mh_sb_claim_class_hook(c, NULL, NULL); /* somebody may have waited for it */
}
