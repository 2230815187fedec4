/* claim.c - claims get volumes: directories below the data directory. */
#include <string.h>

#include "base/log.h"
#include "sandbox/claim_dir.h"
#include "sandbox/claim_in.h"
#include "sandbox/control_in.h"
#include "sandbox/sched.h"

#define COMPONENT "persistentvolume-controller"

bool
mh_sb_claims_init(struct mh_sb_control *c)
{
    (void)c;
    return true;
}

void
mh_sb_claims_release(struct mh_sb_control *c)
{
    (void)c;
}

/* --- classes --------------------------------------------------------------------------------- */

yyjson_val *
mh_sb_class(struct mh_sb_control *c, const char *name)
{
    yyjson_val *found = NULL;
    if (name && *name)
        return mh_sb_object(c, MH_SB_CLASSES, NULL, name);
    for (size_t i = 0; i < mh_sb_count(c, MH_SB_CLASSES); i++) {
        yyjson_val *o = mh_sb_at(c, MH_SB_CLASSES, i)->object;
        const char *is = mh_json_str(o, "metadata", "annotations",
                                     "storageclass.kubernetes.io/is-default-class", NULL);
        if (mh_str_eq(is, "true") && (!found || strcmp(mh_sb_name(o), mh_sb_name(found)) < 0))
            found = o;
    }
    return found;
}

static bool
waits_for_consumer(yyjson_val *class)
{
    return mh_str_eq(mh_json_str(class, "volumeBindingMode", NULL), "WaitForFirstConsumer");
}

bool
mh_sb_claim_waits(struct mh_sb_control *c, yyjson_val *claim)
{
    const char *bound = mh_json_str(claim, "spec", "volumeName", NULL);
    const char *class = mh_json_str(claim, "spec", "storageClassName", NULL);
    if ((bound && *bound) || (class && !*class))
        return false;
    return waits_for_consumer(mh_sb_class(c, class));
}

/* --- is it used? ----------------------------------------------------------------------------- */

const char *
mh_sb_volume_claim(struct mh_arena *a, yyjson_val *pod, yyjson_val *volume)
{
    const char *name = mh_json_str(volume, "persistentVolumeClaim", "claimName", NULL);
    const char *own = mh_json_str(volume, "name", NULL);
    if (name || !own || !mh_json_get(volume, "ephemeral", NULL))
        return name;
    return mh_arena_printf(a, "%s-%s", mh_sb_name(pod), own);
}

static bool
is_used(struct mh_sb_task *t)
{
    for (size_t n = 0; n < mh_sb_count(t->c, MH_SB_PODS); n++) {
        yyjson_val *pod = mh_sb_at(t->c, MH_SB_PODS, n)->object;
        const char *node = mh_json_str(pod, "spec", "nodeName", NULL);
        size_t i, max;
        yyjson_val *v, *volumes;
        if (!node || !*node || mh_sb_pod_finished(pod) || !mh_str_eq(mh_sb_ns(pod), t->ns))
            continue;
        volumes = mh_json_get(pod, "spec", "volumes", NULL);
        yyjson_arr_foreach(volumes, i, max, v)
        {
            if (mh_str_eq(mh_sb_volume_claim(&t->arena, pod, v), t->name))
                return true;
        }
    }
    return false;
}

/* Takes a finalizer away, if it is there. */
void
mh_sb_unprotect(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *o, const char *finalizer)
{
    struct mh_buf b;
    size_t i, max;
    int kept = 0;
    bool found = false;
    yyjson_val *v, *list = mh_json_get(o, "metadata", "finalizers", NULL);
    mh_buf_init(&b, 64 << 10);
    yyjson_arr_foreach(list, i, max, v)
    {
        const char *s = yyjson_get_str(v);
        if (mh_str_eq(s, finalizer)) {
            found = true;
            continue;
        }
        if (kept++)
            mh_buf_char(&b, ',');
        (void)mh_json_quote(&b, s ? s : "", s ? strlen(s) : 0);
    }
    const char *version = mh_json_str(o, "metadata", "resourceVersion", NULL);
    char *body = mh_sb_text(t, "{\"metadata\":{\"resourceVersion\":%s,\"finalizers\":[%s]}}",
                            mh_sb_quote(t, version), mh_buf_text(&b));
    if (found)
        mh_sb_ctl_write(t, "PATCH",
                        mh_sb_path(t->c, &t->arena, id, mh_sb_ns(o), mh_sb_name(o), NULL),
                        MH_PATCH_MERGE, b.failed ? NULL : body);
    mh_buf_release(&b);
}

/* --- a volume for a claim -------------------------------------------------------------------- */

static const char *
requested(yyjson_val *claim)
{
    const char *s = mh_json_str(claim, "spec", "resources", "requests", "storage", NULL);
    return s ? s : "0";
}

static void
patch_claim(struct mh_sb_task *t, const char *sub, const char *body)
{
    mh_sb_ctl_write(t, "PATCH", mh_sb_path(t->c, &t->arena, MH_SB_CLAIMS, t->ns, t->name, sub),
                    MH_PATCH_MERGE, body);
}

static const char *
reference(struct mh_sb_task *t, yyjson_val *claim)
{
    return mh_sb_text(t,
                      "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"namespace\":%s,"
                      "\"name\":%s,\"uid\":%s,\"resourceVersion\":%s}",
                      mh_sb_quote(t, t->ns), mh_sb_quote(t, t->name),
                      mh_sb_quote(t, mh_sb_uid_of(claim)),
                      mh_sb_quote(t, mh_json_str(claim, "metadata", "resourceVersion", NULL)));
}

/* Where the volume is: a local path of one node, or of all when no node was asked for. */
static const char *
place(struct mh_sb_task *t, yyjson_val *claim, const char *node)
{
    const char *path =
        mh_sb_quote(t, mh_sb_text(t, "%s/volumes/%s", t->c->config.data, mh_sb_uid_of(claim)));
    yyjson_val *labels =
        mh_json_get(mh_sb_object(t->c, MH_SB_NODES, NULL, node), "metadata", "labels", NULL);
    const char *host = mh_json_str(labels, "kubernetes.io/hostname", NULL);
    if (!node)
        return mh_sb_text(t, "\"hostPath\":{\"path\":%s,\"type\":\"DirectoryOrCreate\"}", path);
    return mh_sb_text(t,
                      "\"local\":{\"path\":%s},\"nodeAffinity\":{\"required\":{"
                      "\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":"
                      "\"kubernetes.io/hostname\",\"operator\":\"In\",\"values\":[%s]}]}]}}",
                      path, mh_sb_quote(t, host ? host : node));
}

static void
provision(struct mh_sb_task *t, yyjson_val *claim, yyjson_val *class, const char *node)
{
    struct mh_err err;
    const char *reclaim = mh_json_str(class, "reclaimPolicy", NULL);
    if (mh_sb_claim_dir_make(t->c->config.data, mh_sb_uid_of(claim), &err) != MH_OK) {
        mh_sb_event(t->c, COMPONENT, claim, "Warning", "ProvisioningFailed", err.msg);
        mh_sb_failed(t);
        return;
    }
    char *body = mh_sb_text(
        t,
        "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"metadata\":{\"name\":\"pvc-%s\","
        "\"annotations\":{\"pv.kubernetes.io/provisioned-by\":\"" MH_SB_PROVISIONER "\"}},"
        "\"spec\":{\"capacity\":{\"storage\":%s},\"accessModes\":%s,"
        "\"persistentVolumeReclaimPolicy\":%s,\"storageClassName\":%s,\"volumeMode\":"
        "\"Filesystem\",\"claimRef\":%s,%s}}",
        mh_sb_uid_of(claim), mh_sb_quote(t, requested(claim)),
        mh_sb_json(t, mh_json_get(claim, "spec", "accessModes", NULL)),
        mh_sb_quote(t, reclaim ? reclaim : "Delete"), mh_sb_quote(t, mh_sb_name(class)),
        reference(t, claim), place(t, claim, node));
    mh_sb_ctl_write(t, "POST", mh_sb_path(t->c, &t->arena, MH_SB_VOLUMES, NULL, NULL, NULL), NULL,
                    body);
    mh_sb_event(t->c, COMPONENT, claim, "Normal", "ProvisioningSucceeded",
                mh_sb_text(t, "Successfully provisioned volume pvc-%s", mh_sb_uid_of(claim)));
}

static bool
has_modes(yyjson_val *have, yyjson_val *want)
{
    size_t i, j, m1, m2;
    yyjson_val *w, *h;
    yyjson_arr_foreach(want, i, m1, w)
    {
        bool found = false;
        yyjson_arr_foreach(have, j, m2, h)
        {
            found = found || mh_str_eq(yyjson_get_str(w), yyjson_get_str(h));
        }
        if (!found)
            return false;
    }
    return true;
}

/* Is this volume free, and does it do for the claim? */
static bool
does(yyjson_val *volume, yyjson_val *claim)
{
    const char *class = mh_json_str(claim, "spec", "storageClassName", NULL);
    const char *have = mh_json_str(volume, "spec", "storageClassName", NULL);
    yyjson_val *ref = mh_json_get(volume, "spec", "claimRef", NULL);
    yyjson_val *selector = mh_json_get(claim, "spec", "selector", NULL);
    const char *uid = mh_json_str(ref, "uid", NULL);
    if (ref && (!mh_str_eq(mh_json_str(ref, "name", NULL), mh_sb_name(claim)) ||
                !mh_str_eq(mh_json_str(ref, "namespace", NULL), mh_sb_ns(claim)) ||
                (uid && !mh_str_eq(uid, mh_sb_uid_of(claim)))))
        return false;
    if (mh_sb_is_going(volume) || !mh_str_eq(class ? class : "", have ? have : "") ||
        !has_modes(mh_json_get(volume, "spec", "accessModes", NULL),
                   mh_json_get(claim, "spec", "accessModes", NULL)) ||
        (selector && !mh_sb_selects(selector, mh_json_get(volume, "metadata", "labels", NULL))))
        return false;
    int64_t size = mh_sb_amount(mh_json_get(volume, "spec", "capacity", "storage", NULL), 1);
    int64_t want =
        mh_sb_amount(mh_json_get(claim, "spec", "resources", "requests", "storage", NULL), 1);
    return size >= want;
}

/* The smallest one that does; the claim's own before all others. */
static yyjson_val *
find_volume(struct mh_sb_control *c, yyjson_val *claim)
{
    yyjson_val *best = NULL;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < mh_sb_count(c, MH_SB_VOLUMES); i++) {
        yyjson_val *v = mh_sb_at(c, MH_SB_VOLUMES, i)->object;
        if (!does(v, claim))
            continue;
        int64_t size = mh_sb_amount(mh_json_get(v, "spec", "capacity", "storage", NULL), 1);
        if (mh_json_get(v, "spec", "claimRef", NULL))
            return v;
        if (size < least) {
            least = size;
            best = v;
        }
    }
    return best;
}

static bool
is_bound_to(yyjson_val *volume, yyjson_val *claim)
{
    return *mh_sb_uid_of(claim) &&
           mh_str_eq(mh_json_str(volume, "spec", "claimRef", "uid", NULL), mh_sb_uid_of(claim));
}

/* The volume names the claim, then the claim the volume. */
static void
join_them(struct mh_sb_task *t, yyjson_val *claim, yyjson_val *volume)
{
    const char *name = mh_json_str(claim, "spec", "volumeName", NULL);
    if (!is_bound_to(volume, claim)) {
        char *body = mh_sb_text(t, "{\"spec\":{\"claimRef\":%s}}", reference(t, claim));
        mh_sb_ctl_write(t, "PATCH",
                        mh_sb_path(t->c, &t->arena, MH_SB_VOLUMES, NULL, mh_sb_name(volume), NULL),
                        MH_PATCH_MERGE, body);
    } else if (!name || !*name) {
        patch_claim(t, NULL,
                    mh_sb_text(t,
                               "{\"metadata\":{\"annotations\":{\"pv.kubernetes.io/bind-completed\""
                               ":\"yes\",\"pv.kubernetes.io/bound-by-controller\":\"yes\"}},"
                               "\"spec\":{\"volumeName\":%s}}",
                               mh_sb_quote(t, mh_sb_name(volume))));
    }
}

static void
find_one(struct mh_sb_task *t, yyjson_val *claim)
{
    const char *name = mh_json_str(claim, "spec", "storageClassName", NULL);
    const char *node =
        mh_json_str(claim, "metadata", "annotations", "volume.kubernetes.io/selected-node", NULL);
    yyjson_val *class = name && !*name ? NULL : mh_sb_class(t->c, name);
    if (!name && class) {
        patch_claim(t, NULL,
                    mh_sb_text(t, "{\"spec\":{\"storageClassName\":%s}}",
                               mh_sb_quote(t, mh_sb_name(class))));
        return;
    }
    bool waits = waits_for_consumer(class) && (!node || !*node);
    yyjson_val *volume = waits ? NULL : find_volume(t->c, claim);
    if (volume) {
        join_them(t, claim, volume);
    } else if (!class) {
        const char *why =
            name && *name
                ? mh_sb_text(t, "storageclass.storage.k8s.io \"%s\" not found", name)
                : "no persistent volumes available for this claim and no storage class is set";
        mh_sb_event(t->c, COMPONENT, claim, name && *name ? "Warning" : "Normal",
                    name && *name ? "ProvisioningFailed" : "FailedBinding", why ? why : "");
    } else if (waits) {
        mh_sb_event(t->c, COMPONENT, claim, "Normal", "WaitForFirstConsumer",
                    "waiting for first consumer to be created before binding");
    } else if (mh_str_eq(mh_json_str(class, "provisioner", NULL), MH_SB_PROVISIONER) &&
               t->c->config.data) {
        if (mh_str_eq(mh_json_str(claim, "spec", "volumeMode", NULL), "Block"))
            mh_sb_event(t->c, COMPONENT, claim, "Warning", "ProvisioningFailed",
                        "the sandbox has no block volumes");
        else
            provision(t, claim, class, node && *node ? node : NULL);
    }
}

/* --- a bound claim --------------------------------------------------------------------------- */

static void
lost(struct mh_sb_task *t, yyjson_val *claim)
{
    const char *phase = mh_json_str(claim, "status", "phase", NULL);
    if (!mh_str_eq(phase, "Bound"))
        return;
    mh_sb_event(t->c, COMPONENT, claim, "Warning", "ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    patch_claim(t, "status", "{\"status\":{\"phase\":\"Lost\"}}");
}

/* Larger, if its class allows it: the directory has no size, a memory volume is mounted anew by the
 * node. */
static bool
grow(struct mh_sb_task *t, yyjson_val *claim, yyjson_val *volume)
{
    yyjson_val *class = mh_sb_class(t->c, mh_json_str(claim, "spec", "storageClassName", NULL));
    yyjson_val *want = mh_json_get(claim, "spec", "resources", "requests", "storage", NULL);
    yyjson_val *have = mh_json_get(volume, "spec", "capacity", "storage", NULL);
    if (!mh_json_bool(class, false, "allowVolumeExpansion", NULL) ||
        mh_sb_amount(want, 1) <= mh_sb_amount(have, 1))
        return false;
    char *body = mh_sb_text(t, "{\"spec\":{\"capacity\":{\"storage\":%s}}}", mh_sb_json(t, want));
    mh_sb_ctl_write(t, "PATCH",
                    mh_sb_path(t->c, &t->arena, MH_SB_VOLUMES, NULL, mh_sb_name(volume), NULL),
                    MH_PATCH_MERGE, body);
    mh_sb_event(t->c, COMPONENT, claim, "Normal", "FileSystemResizeSuccessful",
                "the volume was resized");
    return true;
}

static void
keep(struct mh_sb_task *t, yyjson_val *claim, yyjson_val *volume)
{
    yyjson_val *capacity = mh_json_get(volume, "spec", "capacity", NULL);
    yyjson_val *modes = mh_json_get(volume, "spec", "accessModes", NULL);
    if (grow(t, claim, volume))
        return;
    if (mh_str_eq(mh_json_str(claim, "status", "phase", NULL), "Bound") &&
        mh_sb_same(mh_json_get(claim, "status", "capacity", NULL), capacity))
        return;
    patch_claim(t, "status",
                mh_sb_text(t,
                           "{\"status\":{\"phase\":\"Bound\",\"capacity\":%s,\"accessModes\":%s}}",
                           mh_sb_json(t, capacity), mh_sb_json(t, modes)));
}

void
mh_sb_claim_sync(struct mh_sb_task *t)
{
    yyjson_val *claim = mh_sb_object(t->c, MH_SB_CLAIMS, t->ns, t->name);
    const char *name = mh_json_str(claim, "spec", "volumeName", NULL);
    if (!claim)
        return;
    if (mh_sb_is_going(claim)) {
        if (!is_used(t))
            mh_sb_unprotect(t, MH_SB_CLAIMS, claim, "kubernetes.io/pvc-protection");
        return;
    }
    if (!name || !*name) {
        find_one(t, claim);
        return;
    }
    yyjson_val *volume = mh_sb_object(t->c, MH_SB_VOLUMES, NULL, name);
    if (!volume)
        lost(t, claim);
    else if (is_bound_to(volume, claim))
        keep(t, claim, volume);
    else if (does(volume, claim))
        join_them(t, claim, volume);
}

/* --- hooks ----------------------------------------------------------------------------------- */

MH_SB_HOOK(mh_sb_claim_hook)
{
    yyjson_val *claim = now ? now : old;
    const char *volume = mh_json_str(claim, "spec", "volumeName", NULL);
    mh_sb_touch_object(c, MH_SB_W_CLAIM, claim);
    if (volume && *volume) {
        mh_sb_touch(c, MH_SB_W_VOLUME, "", volume);
    } else if (!now) { /* one may have been made for it */
        char name[128];
        (void)snprintf(name, sizeof(name), "pvc-%s", mh_sb_uid_of(claim));
        mh_sb_touch(c, MH_SB_W_VOLUME, "", name);
    }
}

/* A pod that ends or goes lets its claims go. */
MH_SB_HOOK(mh_sb_claim_pod_hook)
{
    struct mh_arena a;
    size_t i, max;
    yyjson_val *v, *volumes;
    if (now && (!mh_sb_pod_finished(now) || (old && mh_sb_pod_finished(old))))
        return;
    yyjson_val *pod = now ? now : old;
    mh_arena_init(&a, 64 << 10);
    volumes = mh_json_get(pod, "spec", "volumes", NULL);
    yyjson_arr_foreach(volumes, i, max, v)
    {
        const char *name = mh_sb_volume_claim(&a, pod, v);
        if (name && mh_sb_object(c, MH_SB_CLAIMS, mh_sb_ns(pod), name))
            mh_sb_touch(c, MH_SB_W_CLAIM, mh_sb_ns(pod), name);
    }
    mh_arena_release(&a);
}

MH_SB_HOOK(mh_sb_claim_class_hook)
{
    (void)old;
    (void)now;
    for (size_t i = 0; i < mh_sb_count(c, MH_SB_CLAIMS); i++) {
        yyjson_val *claim = mh_sb_at(c, MH_SB_CLAIMS, i)->object;
        const char *volume = mh_json_str(claim, "spec", "volumeName", NULL);
        if (!volume || !*volume)
            mh_sb_touch_object(c, MH_SB_W_CLAIM, claim);
    }
}
