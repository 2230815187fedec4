/* node.c - all nodes: the watches, which pod belongs where, start and end. */
#include "sandbox/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "sandbox/node_in.h"

#define REFS_MAX 100000
#define HOSTS_NS (5 * MH_NS_PER_MS)

static const char *const watched[] = { "pods", "secrets", "configmaps", "persistentvolumeclaims",
                                       "persistentvolumes" };

/* --- pods ------------------------------------------------------------------------------------ */

static struct mh_sb_node *
node_named(struct mh_sb_nodes *n, const char *name)
{
    for (int i = 0; name && i < n->spec.nodes; i++) {
        if (strcmp(n->node[i].name, name) == 0)
            return &n->node[i];
    }
    return NULL;
}

static bool
is_modelled(yyjson_val *pod)
{
    return mh_str_eq(mh_json_str(pod, "metadata", "annotations", "moonherd.io/modelled", NULL),
                     "true");
}

static struct mh_sb_pod *
by_uid(struct mh_sb_nodes *n, const char *uid)
{
    struct mh_sb_pod *p = n->pods;
    while (p && !mh_str_eq(p->uid, uid))
        p = p->next;
    return p;
}

static void
pod_event(struct mh_sb_nodes *n, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_sb_pod *p = by_uid(n, mh_json_str(object, "metadata", "uid", NULL));
    if (kind == MH_WATCH_DELETED) {
        if (p && p->node->off)
            p->removed = p->deleting = true; /* it is dropped when the node is on again */
        else if (p)
            mh_sb_pod_gone(p, object);
        return;
    }
    struct mh_sb_node *node = node_named(n, mh_json_str(object, "spec", "nodeName", NULL));
    if (!node || is_modelled(object))
        return;
    mh_sb_pod_heard(n, node, object);
    if (p)
        p->listed = true;
    else if ((p = by_uid(n, mh_json_str(object, "metadata", "uid", NULL))))
        p->listed = true;
}

/* After a new list: what is not in it is gone. */
static void
drop_unlisted(struct mh_sb_nodes *n)
{
    for (struct mh_sb_pod *p = n->pods; p; p = p->next) {
        if (!p->listed && !p->removed)
            mh_sb_pod_gone(p, p->object);
    }
}

static void
on_pod(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_sb_nodes *n = arg;
    if (object) {
        pod_event(n, kind, object);
    } else if (kind == MH_WATCH_RELIST) {
        for (struct mh_sb_pod *p = n->pods; p; p = p->next)
            p->listed = false;
    } else if (kind == MH_WATCH_SYNCED) {
        drop_unlisted(n);
    }
}

#define REF_WATCH(name, plural)                                                                    \
    static void name(void *arg, enum mh_watch_kind kind, yyjson_val *object)                       \
    {                                                                                              \
        if (object)                                                                                \
            mh_sb_ref_heard(arg, plural, object, kind == MH_WATCH_DELETED);                        \
    }
REF_WATCH(on_secret, "secrets")
REF_WATCH(on_map, "configmaps")
REF_WATCH(on_claim, "persistentvolumeclaims")
REF_WATCH(on_volume, "persistentvolumes")

static bool
begin_watches(struct mh_sb_nodes *n)
{
    static void (*const fns[])(void *, enum mh_watch_kind,
                               yyjson_val *) = { on_pod, on_secret, on_map, on_claim, on_volume };
    char path[64];
    for (size_t i = 0; i < sizeof(watched) / sizeof(*watched); i++) {
        (void)snprintf(path, sizeof(path), "/api/v1/%s", watched[i]);
        struct mh_watch_spec spec = { .path = path, .on_event = fns[i], .arg = n };
        n->watches[i] = n->spec.api.watch(n->spec.api.self, &spec);
        if (!n->watches[i])
            return false;
    }
    return true;
}

/* --- finding --------------------------------------------------------------------------------- */

struct mh_sb_pod *
mh_sb_pod_find(struct mh_sb_nodes *n, const char *ns, const char *name)
{
    struct mh_sb_pod *p = n->pods;
    while (p && (strcmp(p->ns, ns) != 0 || strcmp(p->name, name) != 0))
        p = p->next;
    return p;
}

struct mh_sb_container *
mh_sb_container_find(struct mh_sb_nodes *n, const char *ns, const char *pod, const char *container,
                     struct mh_err *err)
{
    struct mh_sb_pod *p = mh_sb_pod_find(n, ns, pod);
    if (!p) {
        (void)mh_fail(err, MH_E_NOTFOUND, "pods \"%s\" not found", pod);
        return NULL;
    }
    if (!container || !*container)
        container = mh_json_str(p->object, "metadata", "annotations",
                                "kubectl.kubernetes.io/default-container", NULL);
    for (int i = 0; i < p->ncontainers; i++) {
        if (container ? strcmp(p->containers[i].name, container) == 0 : i == p->ninit)
            return &p->containers[i];
    }
    (void)mh_fail(err, MH_E_NOTFOUND, "container %s is not valid for pod %s",
                  container ? container : "", pod);
    return NULL;
}

/* --- hosts files ----------------------------------------------------------------------------- */

static const char *
hosts_text(struct mh_sb_nodes *n, struct mh_arena *a, const char *ns)
{
    struct mh_buf b;
    const char *lines = n->spec.hosts ? n->spec.hosts(n->spec.arg, a, ns) : NULL;
    mh_buf_init(&b, (size_t)4 << 20);
    (void)mh_buf_str(&b, "127.0.0.1 localhost\n");
    if (!lines || !strstr(lines, " kubernetes.default.svc"))
        (void)mh_buf_printf(&b, "127.%d.0.1 kubernetes.default.svc kubernetes.default kubernetes\n",
                            n->spec.n);
    (void)mh_buf_str(&b, lines ? lines : "");
    for (const struct mh_sb_pod *p = n->pods; p; p = p->next) {
        const char *host = mh_json_str(p->object, "spec", "hostname", NULL);
        if (!p->address[0] || strcmp(p->ns, ns) != 0)
            continue;
        (void)mh_buf_printf(&b, "%s %s", p->address, p->name);
        if (host && *host && strcmp(host, p->name) != 0)
            (void)mh_buf_printf(&b, " %s", host);
        (void)mh_buf_char(&b, '\n');
    }
    const char *out = mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static const char *
write_hosts(struct mh_sb_nodes *n, struct mh_arena *a, const char *ns)
{
    struct mh_fs fs = mh_fs_real();
    const char *dir = mh_arena_printf(a, "%s/hosts/%s", n->dir, ns);
    const char *path = mh_arena_printf(a, "%s/hosts/%s/hosts", n->dir, ns);
    const char *text = hosts_text(n, a, ns);
    if (!dir || !path || !text || fs.mkdir(fs.self, dir, 0755, NULL) ||
        fs.write(fs.self, path, text, strlen(text), 0644, false, NULL, NULL))
        return NULL;
    return dir;
}

const char *
mh_sb_hosts_dir(struct mh_sb_nodes *n, struct mh_arena *a, const char *ns)
{
    if (!mh_map_get(&n->hosts, ns))
        (void)mh_map_put(&n->hosts, ns, n, NULL);
    return write_hosts(n, a, ns);
}

void
mh_sb_hosts_write_all(struct mh_sb_nodes *n)
{
    for (size_t i = 0; i < n->hosts.len; i++) {
        struct mh_arena a;
        mh_arena_init(&a, (size_t)16 << 20);
        (void)write_hosts(n, &a, n->hosts.entries[i].key);
        mh_arena_release(&a);
    }
}

static void
on_hosts(void *arg)
{
    struct mh_sb_nodes *n = arg;
    n->hosts_timer = NULL;
    mh_sb_hosts_write_all(n);
}

void
mh_sb_node_hosts_changed(struct mh_sb_nodes *n)
{
    if (!n->hosts_timer)
        n->hosts_timer = n->spec.clock.after(n->spec.clock.self, HOSTS_NS, on_hosts, n);
}

/* --- life ------------------------------------------------------------------------------------ */

static enum mh_code
make_folders(struct mh_sb_nodes *n, struct mh_err *err)
{
    static const char *const names[] = { "", "/pods", "/logs", "/hosts", "/stage" };
    struct mh_fs fs = mh_fs_real();
    char path[MH_SB_PATH + 16];
    (void)snprintf(path, sizeof(path), "%s/pods", n->dir);
    mh_sb_tree_remove(path); /* of a sandbox before us: nothing runs in it */
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", n->dir, names[i]);
        if (fs.mkdir(fs.self, path, 0755, err))
            return err->code;
        (void)chmod(path, 0755);
    }
    (void)snprintf(n->stage, sizeof(n->stage), "%s/stage", n->dir);
    return MH_OK;
}

static enum mh_code
begin(struct mh_sb_nodes *n, struct mh_err *err)
{
    struct mh_sb_relay_spec relay = { .base = n->spec.base,
                                      .clock = n->spec.clock,
                                      .n = n->spec.n,
                                      .route = n->spec.route,
                                      .arg = n->spec.arg };
    if (make_folders(n, err))
        return err->code;
    n->relay = mh_sb_relay_new(&relay, err);
    if (!n->relay)
        return err->code;
    n->http = mh_http_new(n->spec.base);
    n->events = mh_events_new(n->spec.api, n->spec.clock, "kubelet", "sandbox");
    if (!n->http || !n->events || !begin_watches(n))
        return mh_fail(err, MH_E_NOMEM, "no memory for the nodes");
    for (int i = 0; i < n->spec.nodes; i++) {
        n->node[i].nodes = n;
        n->node[i].index = i;
        (void)snprintf(n->node[i].name, sizeof(n->node[i].name), "node%d", i + 1);
        mh_sb_node_begin(&n->node[i]);
    }
    return MH_OK;
}

struct mh_sb_nodes *
mh_sb_node_start(const struct mh_sb_nodes_spec *spec, struct mh_err *err)
{
    struct mh_sb_nodes *n = mh_calloc(1, sizeof(*n));
    if (!n) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for the nodes");
        return NULL;
    }
    n->spec = *spec;
    mh_str_copy(n->dir, sizeof(n->dir), spec->dir);
    mh_str_copy(n->binary, sizeof(n->binary), spec->binary);
    mh_str_copy(n->operator_image, sizeof(n->operator_image),
                spec->operator_image ? spec->operator_image : "");
    n->spec.dir = n->dir;
    n->spec.binary = n->binary;
    n->spec.operator_image = n->operator_image;
    mh_map_init(&n->refs, REFS_MAX);
    mh_map_init(&n->hosts, REFS_MAX);
    bool fits = spec->nodes > 0 && spec->nodes <= MH_SB_NODES_MAX && spec->dir[0] == '/' &&
                strlen(spec->dir) < sizeof(n->dir) - 64;
    if (!fits)
        (void)mh_fail(err, MH_E_INVALID, "between 1 and %d nodes, and an absolute folder",
                      MH_SB_NODES_MAX);
    if (fits && begin(n, err) == MH_OK)
        return n;
    mh_sb_node_stop(n);
    return NULL;
}

void
mh_sb_node_stop(struct mh_sb_nodes *n)
{
    if (!n)
        return;
    n->stopping = true;
    for (size_t i = 0; i < sizeof(n->watches) / sizeof(*n->watches); i++) {
        if (n->watches[i])
            n->spec.api.unwatch(n->spec.api.self, n->watches[i]);
    }
    for (struct mh_sb_pod *p = n->pods; p; p = p->next) { /* all at once, then wait for each */
        for (int i = 0; i < p->ncontainers; i++) {
            if (p->containers[i].has_proc)
                mh_sb_proc_kill(&p->containers[i].proc, 9);
        }
    }
    while (n->pods)
        mh_sb_pod_drop(n->pods);
    for (int i = 0; i < n->spec.nodes && i < MH_SB_NODES_MAX; i++)
        mh_sb_node_end(&n->node[i]);
    if (n->hosts_timer)
        n->spec.clock.cancel(n->spec.clock.self, n->hosts_timer);
    mh_sb_refs_release(n);
    mh_map_release(&n->hosts);
    if (n->events)
        mh_events_free(n->events);
    if (n->http)
        mh_http_free(n->http);
    mh_sb_relay_free(n->relay);
    mh_free(n);
}
