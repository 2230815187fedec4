/* node_fault.c - what goes wrong on demand. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/node_in.h"

#define FILLER ".sandbox-disk-full"

enum mh_code
mh_sb_node_kill(struct mh_sb_nodes *nodes, const char *ns, const char *pod, const char *container,
                const char *process, int sig, struct mh_err *err)
{
    struct mh_sb_container *c = mh_sb_container_find(nodes, ns, pod, container, err);
    pid_t pid;
    if (!c)
        return err->code;
    if (!c->has_proc)
        return mh_fail(err, MH_E_UNAVAILABLE, "container %s of %s does not run", c->name, pod);
    if (!process) {
        mh_sb_proc_kill(&c->proc, sig);
        return MH_OK;
    }
    if (mh_sb_proc_members(&c->proc, process, &pid, 1) < 1)
        return mh_fail(err, MH_E_NOTFOUND, "container %s of %s has no process \"%s\"", c->name, pod,
                       process);
    (void)kill(pid, sig);
    return MH_OK;
}

enum mh_code
mh_sb_node_freeze(struct mh_sb_nodes *nodes, const char *ns, const char *pod, bool frozen,
                  struct mh_err *err)
{
    struct mh_sb_pod *p = mh_sb_pod_find(nodes, ns, pod);
    if (!p)
        return mh_fail(err, MH_E_NOTFOUND, "pods \"%s\" not found", pod);
    for (int i = 0; i < p->ncontainers; i++) {
        if (p->containers[i].has_proc)
            mh_sb_proc_signal_all(&p->containers[i].proc, frozen ? SIGSTOP : SIGCONT);
    }
    p->frozen = frozen;
    return MH_OK;
}

/* --- network --------------------------------------------------------------------------------- */

/* A name that nobody has would be a fault that never happens. */
static enum mh_code
check(struct mh_sb_nodes *nodes, const char *who, struct mh_err *err)
{
    char ns[256];
    int64_t index;
    if (strcmp(who, "*") == 0 || strcmp(who, "api") == 0)
        return MH_OK;
    if (mh_str_starts(who, "node:")) {
        if (mh_str_starts(who + 5, "node") && mh_str_int(who + 9, 1, nodes->spec.nodes, &index))
            return MH_OK;
        return mh_fail(err, MH_E_NOTFOUND, "there is no %s", who);
    }
    const char *slash = strchr(who, '/');
    if (!slash || (size_t)(slash - who) >= sizeof(ns))
        return mh_fail(err, MH_E_INVALID, "\"%s\" names nobody: NAMESPACE/POD, node:NAME, api or *",
                       who);
    memcpy(ns, who, (size_t)(slash - who));
    ns[slash - who] = '\0';
    return mh_sb_pod_find(nodes, ns, slash + 1)
               ? MH_OK
               : mh_fail(err, MH_E_NOTFOUND, "there is no pod %s", who);
}

enum mh_code
mh_sb_node_cut(struct mh_sb_nodes *nodes, const char *a, const char *b, struct mh_err *err)
{
    if (check(nodes, a, err) || check(nodes, b, err))
        return err->code;
    return mh_sb_relay_rule(nodes->relay, a, b, -1, err);
}

enum mh_code
mh_sb_node_slow(struct mh_sb_nodes *nodes, const char *a, const char *b, int ms, struct mh_err *err)
{
    if (check(nodes, a, err) || check(nodes, b, err))
        return err->code;
    if (ms < 0 || ms > 60000)
        return mh_fail(err, MH_E_INVALID, "a delay is between 0 and 60000 ms");
    return mh_sb_relay_rule(nodes->relay, a, b, ms, err);
}

enum mh_code
mh_sb_node_heal(struct mh_sb_nodes *nodes, const char *a, const char *b, struct mh_err *err)
{
    (void)err;
    (void)mh_sb_relay_heal(nodes->relay, a, b);
    return MH_OK;
}

/* --- a node ---------------------------------------------------------------------------------- */

static void
power_off(struct mh_sb_node *node)
{
    struct mh_sb_nodes *n = node->nodes;
    mh_sb_relay_silence(n->relay, node->index, true); /* nobody hears how they die */
    mh_sb_node_end(node);
    node->off = true;
    for (struct mh_sb_pod *p = n->pods; p; p = p->next) {
        for (int i = 0; i < p->ncontainers && p->node == node; i++) {
            if (p->containers[i].has_proc)
                mh_sb_proc_kill(&p->containers[i].proc, SIGKILL);
        }
    }
    for (struct mh_sb_pod *p = n->pods; p; p = p->next) {
        if (p->node == node)
            mh_sb_pod_reboot(p); /* it will find itself so */
    }
}

static void
power_on(struct mh_sb_node *node)
{
    struct mh_sb_nodes *n = node->nodes;
    node->off = false;
    mh_sb_relay_silence(n->relay, node->index, false);
    mh_sb_node_begin(node);
    for (struct mh_sb_pod *p = n->pods; p; p = p->next) {
        if (p->node == node)
            mh_sb_pod_later(p, 0);
    }
}

enum mh_code
mh_sb_node_power(struct mh_sb_nodes *nodes, const char *node, bool on, struct mh_err *err)
{
    for (int i = 0; i < nodes->spec.nodes; i++) {
        struct mh_sb_node *one = &nodes->node[i];
        if (strcmp(one->name, node) != 0)
            continue;
        if (on && one->off)
            power_on(one);
        else if (!on && !one->off)
            power_off(one);
        return MH_OK;
    }
    return mh_fail(err, MH_E_NOTFOUND, "nodes \"%s\" not found", node);
}

/* --- disks ----------------------------------------------------------------------------------- */

static const char *
claim_folder(struct mh_sb_nodes *n, const char *ns, const char *claim, struct mh_err *err)
{
    const struct mh_sb_ref *c = mh_sb_ref_get(n, "persistentvolumeclaims", ns, claim);
    const char *name = c ? mh_json_str(c->object, "spec", "volumeName", NULL) : NULL;
    const struct mh_sb_ref *v = name ? mh_sb_ref_get(n, "persistentvolumes", "", name) : NULL;
    yyjson_val *volume = v ? v->object : NULL;
    const char *class_ = mh_json_str(volume, "spec", "storageClassName", NULL);
    const char *path = mh_json_str(volume, "spec", "local", "path", NULL);
    if (!path)
        path = mh_json_str(volume, "spec", "hostPath", "path", NULL);
    if (!path) {
        (void)mh_fail(err, MH_E_NOTFOUND, "claim %s is not used by a pod here", claim);
        return NULL;
    }
    if (!mh_str_eq(class_, "memory")) {
        (void)mh_fail(err, MH_E_INVALID,
                      "claim %s has no size of its own. HINT: use storage class memory", claim);
        return NULL;
    }
    return path;
}

enum mh_code
mh_sb_node_fill(struct mh_sb_nodes *nodes, const char *ns, const char *claim, int64_t free_bytes,
                struct mh_err *err)
{
    char path[1024];
    struct statvfs fs;
    const char *folder = claim_folder(nodes, ns, claim, err);
    if (!folder)
        return err->code;
    (void)snprintf(path, sizeof(path), "%s/" FILLER, folder);
    (void)unlink(path);
    if (free_bytes < 0)
        return MH_OK;
    if (statvfs(folder, &fs) != 0)
        return mh_fail(err, MH_E_IO, "cannot look at %s: %s", folder, strerror(errno));
    int64_t left = (int64_t)fs.f_bavail * (int64_t)fs.f_bsize - free_bytes;
    int fd = left > 0 ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (left <= 0)
        return MH_OK;
    int failed = fd < 0 ? errno : posix_fallocate(fd, 0, left);
    if (fd >= 0)
        (void)close(fd);
    return failed && failed != ENOSPC
               ? mh_fail(err, MH_E_IO, "cannot fill %s: %s", folder, strerror(failed))
               : MH_OK;
}

/* --- the list -------------------------------------------------------------------------------- */

int
mh_sb_node_faults(struct mh_sb_nodes *nodes, struct mh_arena *a, const char ***out)
{
    int max = 64 + MH_SB_NODES_MAX;
    int n = 0;
    const char *text;
    for (const struct mh_sb_pod *p = nodes->pods; p; p = p->next)
        max++;
    const char **list = mh_arena_alloc(a, (size_t)max * sizeof(*list));
    *out = list;
    if (!list)
        return 0;
    for (int i = 0; (text = mh_sb_relay_text(nodes->relay, a, i)); i++)
        list[n++] = text;
    for (const struct mh_sb_pod *p = nodes->pods; p; p = p->next) {
        if (p->frozen && (text = mh_arena_printf(a, "frozen %s", p->key)))
            list[n++] = text;
    }
    for (int i = 0; i < nodes->spec.nodes; i++) {
        if (nodes->node[i].off && (text = mh_arena_printf(a, "off %s", nodes->node[i].name)))
            list[n++] = text;
    }
    return n;
}
