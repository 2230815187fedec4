/* admit_pod.c - what the real server's plugins put into pods and claims: the service account and its
 * token, tolerations, priority; the storage class and the finalizers of claims and volumes. */
#include <string.h>

#include "base/str.h"
#include "sandbox/admit_in.h"

#define TOKEN_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define DEFAULT_CLASS "storageclass.kubernetes.io/is-default-class"

struct pod {
    struct admit_run *r;
    struct mh_sb_admit *ad;
    yyjson_mut_doc *d;
    yyjson_mut_val *spec;
};

static const char *
text_of(yyjson_mut_val *o, const char *key)
{
    const char *s = yyjson_mut_get_str(yyjson_mut_obj_get(o, key));
    return s ? s : "";
}

static void
set(struct pod *p, yyjson_mut_val *o, const char *key, yyjson_mut_val *v)
{
    (void)yyjson_mut_obj_remove_key(o, key);
    (void)yyjson_mut_obj_add_val(p->d, o, key, v);
}

static yyjson_mut_val *
list_of(struct pod *p, yyjson_mut_val *o, const char *key)
{
    yyjson_mut_val *list = yyjson_mut_obj_get(o, key);
    if (yyjson_mut_is_arr(list))
        return list;
    (void)yyjson_mut_obj_remove_key(o, key);
    return yyjson_mut_obj_add_arr(p->d, o, key);
}

/* --- the service account -------------------------------------------------------------------------------------- */

/* A copy of a JSON text in the document. */
static yyjson_mut_val *
parsed(struct pod *p, const char *json)
{
    yyjson_val *v;
    return json && mh_json_parse(p->ad->arena, json, strlen(json), &v, NULL) == MH_OK
               ? yyjson_val_mut_copy(p->d, v)
               : NULL;
}

static const char *
volume_name(struct pod *p)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    unsigned char raw[5];
    char tail[6];
    struct mh_rand *rand = &p->r->a->config.rand;
    if (!rand->fill(rand->self, raw, sizeof(raw)))
        return NULL;
    for (size_t i = 0; i < sizeof(raw); i++)
        tail[i] = letters[raw[i] % (sizeof(letters) - 1)];
    tail[5] = '\0';
    return mh_arena_printf(p->ad->arena, "kube-api-access-%s", tail);
}

static bool
mount_token(struct pod *p, const char *list, const char *volume)
{
    bool used = false;
    size_t i, n, k, m;
    yyjson_mut_val *c, *v;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(p->spec, list), i, n, c)
    {
        yyjson_mut_val *mounts = list_of(p, c, "volumeMounts");
        bool there = false;
        yyjson_mut_arr_foreach(mounts, k, m, v)
        {
            there = there || mh_str_eq(text_of(v, "mountPath"), TOKEN_DIR);
        }
        if (there)
            continue;
        v = parsed(p, mh_arena_printf(p->ad->arena,
                                      "{\"name\":\"%s\",\"readOnly\":true,\"mountPath\":\"%s\"}",
                                      volume, TOKEN_DIR));
        (void)yyjson_mut_arr_append(mounts, v);
        used = true;
    }
    return used;
}

static void
add_token(struct pod *p)
{
    static const char text[] =
        "{\"name\":\"%s\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{"
        "\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{\"name\":"
        "\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},{"
        "\"downwardAPI\":"
        "{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":"
        "\"metadata.namespace\"}}]}}],\"defaultMode\":420}}";
    const char *name = volume_name(p);
    if (!name)
        return;
    bool init = mount_token(p, "initContainers", name);
    if (mount_token(p, "containers", name) || init)
        (void)yyjson_mut_arr_append(list_of(p, p->spec, "volumes"),
                                    parsed(p, mh_arena_printf(p->ad->arena, text, name)));
}

/* False: its account is not there (yet). */
static bool
service_account(struct pod *p)
{
    const char *ns = p->ad->at->ns;
    const char *name = text_of(p->spec, "serviceAccountName");
    if (!*name)
        name = *text_of(p->spec, "serviceAccount") ? text_of(p->spec, "serviceAccount") : "default";
    name = mh_arena_strdup(p->ad->arena, name);
    set(p, p->spec, "serviceAccountName", yyjson_mut_str(p->d, name));
    set(p, p->spec, "serviceAccount", yyjson_mut_str(p->d, name));
    yyjson_val *account = mh_sb_get(p->ad->api, p->ad->arena, "", "serviceaccounts", ns, name);
    if (!account) {
        mh_sb_admit_forbid(p->ad, mh_arena_printf(p->ad->arena,
                                                  "error looking up service account %s/%s: "
                                                  "serviceaccount \"%s\" not found",
                                                  ns, name, name));
        return false;
    }
    yyjson_mut_val *asked = yyjson_mut_obj_get(p->spec, "automountServiceAccountToken");
    bool mount = yyjson_mut_is_bool(asked)
                     ? yyjson_mut_get_bool(asked)
                     : mh_json_bool(account, true, "automountServiceAccountToken", NULL);
    if (mount)
        add_token(p);
    yyjson_val *pull = yyjson_obj_get(account, "imagePullSecrets");
    if (yyjson_arr_size(pull) > 0 &&
        yyjson_mut_arr_size(yyjson_mut_obj_get(p->spec, "imagePullSecrets")) == 0)
        set(p, p->spec, "imagePullSecrets", yyjson_val_mut_copy(p->d, pull));
    return true;
}

/* --- tolerations, priority --------------------------------------------------------------------------------------- */

static bool
tolerates(struct pod *p, const char *key)
{
    size_t i, n;
    yyjson_mut_val *t;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(p->spec, "tolerations"), i, n, t)
    {
        const char *k = text_of(t, "key"), *effect = text_of(t, "effect");
        if ((mh_str_eq(k, key) || !*k) && (!*effect || mh_str_eq(effect, "NoExecute")))
            return true;
    }
    return false;
}

static void
tolerations(struct pod *p)
{
    static const char *const keys[] = { "node.kubernetes.io/not-ready",
                                        "node.kubernetes.io/unreachable" };
    bool has[2] = { tolerates(p, keys[0]), tolerates(p, keys[1]) };
    for (size_t i = 0; i < 2; i++) {
        if (has[i])
            continue;
        char *text = mh_arena_printf(p->ad->arena,
                                     "{\"key\":\"%s\",\"operator\":\"Exists\",\"effect\":"
                                     "\"NoExecute\",\"tolerationSeconds\":300}",
                                     keys[i]);
        (void)yyjson_mut_arr_append(list_of(p, p->spec, "tolerations"), parsed(p, text));
    }
}

struct find_default {
    yyjson_val *found;
};

static bool
global_default(void *arg, yyjson_val *o)
{
    struct find_default *f = arg;
    if (mh_json_bool(o, false, "globalDefault", NULL) &&
        (!f->found || mh_json_int(o, 0, "value", NULL) < mh_json_int(f->found, 0, "value", NULL)))
        f->found = o;
    return true;
}

static void
priority(struct pod *p)
{
    struct find_default f = { NULL };
    const char *name = text_of(p->spec, "priorityClassName");
    const char *group = "scheduling.k8s.io";
    if (*name)
        f.found = mh_sb_get(p->ad->api, p->ad->arena, group, "priorityclasses", NULL, name);
    else
        mh_sb_each(p->ad->api, p->ad->arena, group, "priorityclasses", NULL, global_default, &f);
    if (*name && !f.found) {
        mh_sb_admit_forbid(
            p->ad, mh_arena_printf(p->ad->arena, "no PriorityClass with name %s was found", name));
        return;
    }
    const char *policy = mh_json_str(f.found, "preemptionPolicy", NULL);
    if (f.found && !*name)
        set(p, p->spec, "priorityClassName",
            yyjson_mut_strcpy(p->d, mh_json_str(f.found, "metadata", "name", NULL)));
    set(p, p->spec, "priority", yyjson_mut_sint(p->d, mh_json_int(f.found, 0, "value", NULL)));
    if (!yyjson_mut_obj_get(p->spec, "preemptionPolicy"))
        set(p, p->spec, "preemptionPolicy",
            yyjson_mut_strcpy(p->d, policy ? policy : "PreemptLowerPriority"));
}

/* --- claims -------------------------------------------------------------------------------------------------------- */

static bool
default_class(void *arg, yyjson_val *o)
{
    struct find_default *f = arg;
    const char *yes = mh_json_str(o, "metadata", "annotations", DEFAULT_CLASS, NULL);
    const char *made = mh_json_str(o, "metadata", "creationTimestamp", NULL);
    const char *before = mh_json_str(f->found, "metadata", "creationTimestamp", NULL);
    if (mh_str_eq(yes, "true") && (!f->found || strcmp(made ? made : "", before ? before : "") > 0))
        f->found = o;
    return true;
}

static void
storage_class(struct pod *p)
{
    struct find_default f = { NULL };
    if (!p->spec || yyjson_mut_obj_get(p->spec, "storageClassName"))
        return;
    yyjson_mut_val *meta = yyjson_mut_obj_get(p->ad->object, "metadata");
    if (yyjson_mut_obj_get(yyjson_mut_obj_get(meta, "annotations"),
                           "volume.beta.kubernetes.io/storage-class"))
        return;
    mh_sb_each(p->ad->api, p->ad->arena, "storage.k8s.io", "storageclasses", NULL, default_class,
               &f);
    if (f.found)
        set(p, p->spec, "storageClassName",
            yyjson_mut_strcpy(p->d, mh_json_str(f.found, "metadata", "name", NULL)));
}

static void
protect(struct pod *p, const char *finalizer)
{
    yyjson_mut_val *meta = yyjson_mut_obj_get(p->ad->object, "metadata");
    yyjson_mut_val *list = meta ? list_of(p, meta, "finalizers") : NULL;
    size_t i, n;
    yyjson_mut_val *v;
    yyjson_mut_arr_foreach(list, i, n, v)
    {
        if (mh_str_eq(yyjson_mut_get_str(v), finalizer))
            return;
    }
    if (list)
        (void)yyjson_mut_arr_add_str(p->d, list, finalizer);
}

/* --- the stage ----------------------------------------------------------------------------------------------------- */

bool
mh_sb_admit_builtin(struct admit_run *r)
{
    struct mh_sb_admit *ad = r->ad;
    struct pod p = { r, ad, ad->doc, yyjson_mut_obj_get(ad->object, "spec") };
    const char *what = ad->at->resource;
    bool ready = true;
    bool update = mh_str_eq(ad->operation, "UPDATE");
    if ((!mh_str_eq(ad->operation, "CREATE") && !update) || *ad->at->group ||
        *ad->at->subresource || !ad->object)
        return true;
    if (update) {
        if (mh_str_eq(what, "pods") && yyjson_mut_is_obj(p.spec))
            tolerations(&p);
        return true;
    }
    if (mh_str_eq(what, "pods") && yyjson_mut_is_obj(p.spec)) {
        ready = service_account(&p);
        if (ready && !ad->code)
            tolerations(&p);
        if (ready && !ad->code)
            priority(&p);
    } else if (mh_str_eq(what, "persistentvolumeclaims")) {
        storage_class(&p);
        protect(&p, "kubernetes.io/pvc-protection");
    } else if (mh_str_eq(what, "persistentvolumes")) {
        protect(&p, "kubernetes.io/pv-protection");
    }
    return ready;
}
