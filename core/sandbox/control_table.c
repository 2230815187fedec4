/* control_table.c - what is there, as watches and replies tell it. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/control_in.h"
#include "sandbox/sched.h"

static const struct {
    const char *group, *kind, *path, *only_name;
} kinds[MH_SB_TABLES] = {
    [MH_SB_NAMESPACES] = { "", "Namespace", "/api/v1/namespaces", NULL },
    [MH_SB_NODES] = { "", "Node", "/api/v1/nodes", NULL },
    [MH_SB_PODS] = { "", "Pod", "/api/v1/pods", NULL },
    [MH_SB_SERVICES] = { "", "Service", "/api/v1/services", NULL },
    [MH_SB_ENDPOINTS] = { "", "Endpoints", "/api/v1/endpoints", NULL },
    [MH_SB_SLICES] = { "discovery.k8s.io", "EndpointSlice",
                       "/apis/discovery.k8s.io/v1/endpointslices", NULL },
    [MH_SB_ACCOUNTS] = { "", "ServiceAccount", "/api/v1/serviceaccounts", "default" },
    [MH_SB_CONFIGMAPS] = { "", "ConfigMap", "/api/v1/configmaps", "kube-root-ca.crt" },
    [MH_SB_CLAIMS] = { "", "PersistentVolumeClaim", "/api/v1/persistentvolumeclaims", NULL },
    [MH_SB_VOLUMES] = { "", "PersistentVolume", "/api/v1/persistentvolumes", NULL },
    [MH_SB_CLASSES] = { "storage.k8s.io", "StorageClass", "/apis/storage.k8s.io/v1/storageclasses",
                        NULL },
    [MH_SB_DEPLOYMENTS] = { "apps", "Deployment", "/apis/apps/v1/deployments", NULL },
    [MH_SB_REPLICASETS] = { "apps", "ReplicaSet", "/apis/apps/v1/replicasets", NULL },
    [MH_SB_JOBS] = { "batch", "Job", "/apis/batch/v1/jobs", NULL },
    [MH_SB_BUDGETS] = { "policy", "PodDisruptionBudget", "/apis/policy/v1/poddisruptionbudgets",
                        NULL },
    [MH_SB_LEASES] = { "coordination.k8s.io", "Lease",
                       "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", NULL },
};

#define HOOKS_MAX 8
typedef MH_SB_HOOK((*hook_fn));
static const hook_fn hooks[MH_SB_TABLES][HOOKS_MAX] = {
    [MH_SB_NAMESPACES] = { mh_sb_account_hook, mh_sb_sched_world_hook },
    [MH_SB_NODES] = { mh_sb_sched_world_hook, mh_sb_node_hook },
    [MH_SB_PODS] = { mh_sb_sched_pod_hook, mh_sb_endpoints_pod_hook, mh_sb_replicaset_pod_hook,
                     mh_sb_job_pod_hook, mh_sb_podgc_hook, mh_sb_budget_pod_hook,
                     mh_sb_claim_pod_hook },
    [MH_SB_SERVICES] = { mh_sb_address_hook, mh_sb_endpoints_service_hook },
    [MH_SB_ENDPOINTS] = { mh_sb_endpoints_own_hook },
    [MH_SB_SLICES] = { mh_sb_endpoints_own_hook },
    [MH_SB_ACCOUNTS] = { mh_sb_account_hook },
    [MH_SB_CONFIGMAPS] = { mh_sb_account_hook },
    [MH_SB_CLAIMS] = { mh_sb_claim_hook, mh_sb_sched_claim_hook },
    [MH_SB_VOLUMES] = { mh_sb_volume_hook, mh_sb_sched_world_hook },
    [MH_SB_CLASSES] = { mh_sb_claim_class_hook, mh_sb_base_hook },
    [MH_SB_DEPLOYMENTS] = { mh_sb_deployment_hook },
    [MH_SB_REPLICASETS] = { mh_sb_replicaset_hook },
    [MH_SB_JOBS] = { mh_sb_job_hook },
    [MH_SB_BUDGETS] = { mh_sb_budget_hook },
    [MH_SB_LEASES] = { mh_sb_node_lease_hook },
};

/* --- items ----------------------------------------------------------------------------------- */

static void *
heap_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return mh_malloc(size);
}

static void *
heap_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return mh_realloc(p, size);
}

static void
heap_free(void *ctx, void *p)
{
    (void)ctx;
    mh_free(p);
}

static const yyjson_alc heap = { heap_malloc, heap_realloc, heap_free, NULL };

static void
free_item(struct mh_sb_item *i)
{
    if (!i)
        return;
    yyjson_doc_free(i->doc);
    mh_free(i->key);
    mh_free(i->group);
    mh_free(i);
}

/* What of a pod's containers no controller reads. */
static void
trim_containers(yyjson_mut_val *spec, const char *key)
{
    static const char *const drop[] = { "command",        "args",         "env",
                                        "envFrom",        "volumeMounts", "lifecycle",
                                        "livenessProbe",  "startupProbe", "readinessProbe",
                                        "securityContext" };
    yyjson_mut_val *list = yyjson_mut_obj_get(spec, key), *one;
    size_t i, max;
    yyjson_mut_arr_foreach(list, i, max, one)
    {
        for (size_t k = 0; k < sizeof(drop) / sizeof(drop[0]); k++)
            (void)yyjson_mut_obj_remove_key(one, drop[k]);
    }
}

static void
name_kind(const struct mh_sb_table *t, yyjson_mut_doc *d, yyjson_mut_val *o)
{
    const char *from = t->path + (*t->group ? strlen("/apis/") : strlen("/api/"));
    size_t n = strlen(t->group);
    n += n > 0;
    n += strcspn(from + n, "/");
    yyjson_mut_val *version = yyjson_mut_strncpy(d, from, n);
    (void)(yyjson_mut_obj_add(o, yyjson_mut_str(d, "apiVersion"), version) &&
           yyjson_mut_obj_add_str(d, o, "kind", t->kind));
}

static yyjson_doc *
copy_of(const struct mh_sb_table *t, yyjson_val *object)
{
    static const char last_applied[] = "kubectl.kubernetes.io/last-applied-configuration";
    struct mh_arena a;
    mh_arena_init(&a, (size_t)64 << 20);
    yyjson_doc *out = NULL;
    yyjson_mut_doc *d = mh_json_doc(&a);
    yyjson_mut_val *o = d ? yyjson_val_mut_copy(d, object) : NULL;
    if (o) {
        yyjson_mut_val *meta = yyjson_mut_obj_get(o, "metadata");
        (void)yyjson_mut_obj_remove_key(meta, "managedFields");
        (void)yyjson_mut_obj_remove_key(yyjson_mut_obj_get(meta, "annotations"), last_applied);
        if (t->id == MH_SB_PODS) {
            trim_containers(yyjson_mut_obj_get(o, "spec"), "containers");
            trim_containers(yyjson_mut_obj_get(o, "spec"), "initContainers");
        }
        if (!yyjson_mut_obj_get(o, "kind")) /* items of lists have none */
            name_kind(t, d, o);
        yyjson_mut_doc_set_root(d, o);
        out = yyjson_mut_doc_imut_copy(d, &heap);
    }
    mh_arena_release(&a);
    return out;
}

static const char *
cluster_of(const struct mh_sb_table *t, yyjson_val *o)
{
    const char *s =
        t->id == MH_SB_SERVICES ? mh_json_str(o, "spec", "selector", MH_SB_CLUSTER_LABEL, NULL)
        : t->id == MH_SB_BUDGETS
            ? mh_json_str(o, "spec", "selector", "matchLabels", MH_SB_CLUSTER_LABEL, NULL)
            : mh_json_str(o, "metadata", "labels", MH_SB_CLUSTER_LABEL, NULL);
    return s ? s : "";
}

static bool
join(char out[MH_SB_KEY], const char *ns, const char *name)
{
    int n = snprintf(out, MH_SB_KEY, "%s%s%s", ns ? ns : "", ns && *ns ? "/" : "", name);
    return n > 0 && n < MH_SB_KEY;
}

static uint64_t
version_of(yyjson_val *o)
{
    const char *s = mh_json_str(o, "metadata", "resourceVersion", NULL);
    int64_t n = 0;
    return s && mh_str_int(s, 0, INT64_MAX, &n) ? (uint64_t)n : 0;
}

static struct mh_sb_item *
new_item(struct mh_sb_table *t, yyjson_val *object)
{
    char key[MH_SB_KEY], group[MH_SB_KEY];
    struct mh_sb_item *i = mh_calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    i->table = t;
    i->doc = copy_of(t, object);
    i->object = i->doc ? yyjson_doc_get_root(i->doc) : NULL;
    const char *ns = mh_sb_ns(i->object);
    bool ok = i->object && join(key, ns, mh_sb_name(i->object)) &&
              snprintf(group, sizeof(group), "%s/%s", ns, cluster_of(t, i->object)) < MH_SB_KEY;
    i->key = ok ? mh_strdup(key) : NULL;
    i->group = ok ? mh_strdup(group) : NULL;
    if (!i->key || !i->group) {
        free_item(i);
        return NULL;
    }
    i->version = version_of(i->object);
    i->heard_ns = mh_sb_ctl_now(t->c);
    if (t->id == MH_SB_PODS) {
        i->cpu = mh_sb_sched_request(i->object, "cpu", 1000);
        i->memory = mh_sb_sched_request(i->object, "memory", 1);
    }
    return i;
}

static bool
link_group(struct mh_sb_item *i)
{
    struct mh_sb_item *first = mh_map_get(&i->table->groups, i->group);
    if (!mh_map_put(&i->table->groups, i->group, i, NULL))
        return false;
    i->next = first;
    i->prev = NULL;
    if (first)
        first->prev = i;
    return true;
}

static void
unlink_group(struct mh_sb_item *i)
{
    if (i->next)
        i->next->prev = i->prev;
    if (i->prev)
        i->prev->next = i->next;
    else if (i->next)
        (void)mh_map_put(&i->table->groups, i->group, i->next, NULL);
    else
        (void)mh_map_remove(&i->table->groups, i->group);
}

static void
tell(struct mh_sb_table *t, const struct mh_sb_item *old, const struct mh_sb_item *now)
{
    for (int h = 0; h < HOOKS_MAX && hooks[t->id][h]; h++)
        hooks[t->id][h](t->c, old ? old->object : NULL, now ? now->object : NULL);
}

static void
take_out(struct mh_sb_table *t, const char *key)
{
    struct mh_sb_item *i = mh_map_remove(&t->items, key);
    if (!i)
        return;
    unlink_group(i);
    tell(t, i, NULL);
    free_item(i);
}

static void
put(struct mh_sb_table *t, yyjson_val *object)
{
    char key[MH_SB_KEY];
    const char *name = mh_sb_name(object);
    if (!*name || !join(key, mh_sb_ns(object), name) ||
        (t->only_name && strcmp(t->only_name, name) != 0))
        return;
    struct mh_sb_item *old = mh_map_get(&t->items, key);
    if (old && old->version >= version_of(object) && old->version) {
        old->listed = true;
        return;
    }
    struct mh_sb_item *i = new_item(t, object);
    bool ok = i && link_group(i);
    if (ok && !mh_map_put(&t->items, key, i, NULL)) {
        unlink_group(i);
        ok = false;
    }
    if (!ok) {
        free_item(i);
        mh_warn("sandbox", "an object is not heard of by the controllers, no memory", "kind",
                t->kind, "name", key);
        return;
    }
    i->listed = true;
    if (old) {
        i->doomed = old->doomed && mh_str_eq(mh_sb_uid_of(old->object), mh_sb_uid_of(i->object));
        unlink_group(old);
    }
    tell(t, old, i);
    free_item(old);
}

/* --- watches --------------------------------------------------------------------------------- */

static void
drop_unlisted(struct mh_sb_table *t)
{
    for (size_t n = t->items.len; n > 0; n--) {
        if (n > t->items.len)
            continue;
        struct mh_sb_item *i = t->items.entries[n - 1].value;
        char key[MH_SB_KEY];
        mh_str_copy(key, sizeof(key), i->key);
        if (!i->listed)
            take_out(t, key);
    }
}

static void
hear(struct mh_sb_table *t, yyjson_val *object)
{
    uint64_t version = version_of(object);
    if (version > t->heard)
        t->heard = version;
}

static void
on_event(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_sb_table *t = arg;
    char key[MH_SB_KEY];
    switch (kind) {
    case MH_WATCH_RELIST:
        for (size_t n = 0; n < t->items.len; n++)
            ((struct mh_sb_item *)t->items.entries[n].value)->listed = false;
        break;
    case MH_WATCH_ADDED:
    case MH_WATCH_MODIFIED:
        hear(t, object);
        put(t, object);
        break;
    case MH_WATCH_DELETED:
        hear(t, object);
        if (join(key, mh_sb_ns(object), mh_sb_name(object)))
            take_out(t, key);
        break;
    case MH_WATCH_SYNCED:
        drop_unlisted(t);
        t->synced = true;
        mh_sb_control_listed(t->c);
        break;
    case MH_WATCH_LOST:
        break;
    }
}

bool
mh_sb_tables_start(struct mh_sb_control *c)
{
    for (int n = 0; n < MH_SB_TABLES; n++) {
        struct mh_sb_table *t = &c->tables[n];
        *t = (struct mh_sb_table){ .c = c,
                                   .id = (enum mh_sb_table_id)n,
                                   .group = kinds[n].group,
                                   .kind = kinds[n].kind,
                                   .path = kinds[n].path,
                                   .only_name = kinds[n].only_name };
        mh_map_init(&t->items, MH_SB_OBJECTS_MAX);
        mh_map_init(&t->groups, MH_SB_OBJECTS_MAX);
    }
    for (int n = 0; n < MH_SB_TABLES; n++) {
        struct mh_sb_table *t = &c->tables[n];
        char path[256];
        (void)snprintf(path, sizeof(path), "%s%s%s", t->path,
                       t->only_name ? "?fieldSelector=metadata.name%3D" : "",
                       t->only_name ? t->only_name : "");
        struct mh_watch_spec spec = { .path = path, .on_event = on_event, .arg = t };
        t->watch = c->api.watch(c->api.self, &spec);
        if (!t->watch)
            return false;
    }
    return true;
}

void
mh_sb_tables_stop(struct mh_sb_control *c)
{
    for (int n = 0; n < MH_SB_TABLES; n++) {
        struct mh_sb_table *t = &c->tables[n];
        if (t->watch)
            c->api.unwatch(c->api.self, t->watch);
        for (size_t i = 0; i < t->items.len; i++)
            free_item(t->items.entries[i].value);
        mh_map_release(&t->items);
        mh_map_release(&t->groups);
    }
}

void
mh_sb_tables_wrote(struct mh_sb_control *c, yyjson_val *object)
{
    const char *version = mh_json_str(object, "apiVersion", NULL);
    const char *kind = mh_json_str(object, "kind", NULL), *name = mh_sb_name(object);
    if (!version || !kind || !*mh_sb_uid_of(object))
        return;
    for (int n = 0; n < MH_SB_TABLES; n++) {
        struct mh_sb_table *t = &c->tables[n];
        size_t len = strlen(t->group);
        bool group = len ? strncmp(version, t->group, len) == 0 && version[len] == '/'
                         : strchr(version, '/') == NULL;
        if (group && strcmp(kind, t->kind) == 0 &&
            (n != MH_SB_LEASES || mh_str_eq(mh_sb_ns(object), "kube-node-lease"))) {
            /* What the watch has told already and is not there is gone by now. */
            if (version_of(object) > t->heard || mh_sb_item(c, t->id, mh_sb_ns(object), name))
                put(t, object);
            return;
        }
    }
}

void
mh_sb_tables_doom(struct mh_sb_control *c, const char *path)
{
    char key[MH_SB_KEY];
    const char *name = strrchr(path, '/'), *ns = strstr(path, "/namespaces/");
    if (!name)
        return;
    for (int n = 0; n < MH_SB_TABLES; n++) {
        const char *plural = strrchr(c->tables[n].path, '/');
        size_t len = strlen(plural);
        if ((size_t)(name - path) < len || strncmp(name - len, plural, len) != 0)
            continue;
        const char *from = ns ? ns + strlen("/namespaces/") : NULL;
        (void)snprintf(key, sizeof(key), "%.*s%s%s", from ? (int)strcspn(from, "/") : 0,
                       from ? from : "", from && n != MH_SB_NAMESPACES ? "/" : "", name + 1);
        struct mh_sb_item *i = mh_map_get(&c->tables[n].items, key);
        if (i)
            i->doomed = true;
    }
}

/* --- reading --------------------------------------------------------------------------------- */

struct mh_sb_item *
mh_sb_item(struct mh_sb_control *c, enum mh_sb_table_id id, const char *ns, const char *name)
{
    char key[MH_SB_KEY];
    return name && join(key, ns, name) ? mh_map_get(&c->tables[id].items, key) : NULL;
}

yyjson_val *
mh_sb_object(struct mh_sb_control *c, enum mh_sb_table_id id, const char *ns, const char *name)
{
    const struct mh_sb_item *i = mh_sb_item(c, id, ns, name);
    return i ? i->object : NULL;
}

struct mh_sb_item *
mh_sb_group(struct mh_sb_control *c, enum mh_sb_table_id id, const char *ns, const char *cluster)
{
    char key[MH_SB_KEY];
    if (snprintf(key, sizeof(key), "%s/%s", ns, cluster) >= MH_SB_KEY)
        return NULL;
    return mh_map_get(&c->tables[id].groups, key);
}

size_t
mh_sb_count(const struct mh_sb_control *c, enum mh_sb_table_id id)
{
    return c->tables[id].items.len;
}

struct mh_sb_item *
mh_sb_at(const struct mh_sb_control *c, enum mh_sb_table_id id, size_t i)
{
    return c->tables[id].items.entries[i].value;
}

static int
by_key(const void *x, const void *y)
{
    const struct mh_sb_item *const *a = x, *const *b = y;
    return strcmp((*a)->key, (*b)->key);
}

struct mh_sb_item **
mh_sb_sorted(struct mh_sb_control *c, struct mh_arena *a, enum mh_sb_table_id id, const char *ns,
             size_t *n)
{
    size_t count = mh_sb_count(c, id), found = 0;
    struct mh_sb_item **out = mh_arena_alloc(a, (count + 1) * sizeof(*out));
    for (size_t i = 0; out && i < count; i++) {
        struct mh_sb_item *item = mh_sb_at(c, id, i);
        if (!ns || mh_str_eq(mh_sb_ns(item->object), ns))
            out[found++] = item;
    }
    if (out)
        qsort(out, found, sizeof(*out), by_key);
    *n = found;
    return out;
}

struct mh_sb_item **
mh_sb_candidates(struct mh_sb_control *c, struct mh_arena *a, enum mh_sb_table_id id,
                 const char *ns, yyjson_val *labels, size_t *n)
{
    const char *cluster = mh_json_str(labels, MH_SB_CLUSTER_LABEL, NULL);
    if (!cluster)
        return mh_sb_sorted(c, a, id, ns, n);
    size_t count = 0;
    struct mh_sb_item *first = mh_sb_group(c, id, ns, cluster);
    for (struct mh_sb_item *i = first; i; i = i->next)
        count++;
    struct mh_sb_item **out = mh_arena_alloc(a, (count + 1) * sizeof(*out));
    *n = out ? count : 0;
    count = 0;
    for (struct mh_sb_item *i = first; out && i; i = i->next)
        out[count++] = i;
    if (out)
        qsort(out, count, sizeof(*out), by_key);
    return out;
}

char *
mh_sb_path(struct mh_sb_control *c, struct mh_arena *a, enum mh_sb_table_id id, const char *ns,
           const char *name, const char *sub)
{
    const char *base = c->tables[id].path, *plural = strrchr(base, '/');
    int prefix = (int)(plural - base);
    if (id == MH_SB_LEASES)
        ns = NULL; /* the path names the namespace */
    return mh_arena_printf(a, "%.*s%s%s%s%s%s%s%s", prefix, base, ns && *ns ? "/namespaces/" : "",
                           ns ? ns : "", plural, name ? "/" : "", name ? name : "", sub ? "/" : "",
                           sub ? sub : "");
}
