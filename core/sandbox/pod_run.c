/* pod_run.c - one container: its process, its probes, its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "sandbox/node_in.h"
#include "sandbox/view.h"

#define TERMINATION_MAX 4096

/* --- the view -------------------------------------------------------------------------------- */

static int
depth_of(const char *path)
{
    int n = 0;
    for (; *path; path++)
        n += path[0] == '/' && path[1] && path[1] != '/';
    return n;
}

static int
by_depth(const void *a, const void *b)
{
    yyjson_val *const *x = a;
    yyjson_val *const *y = b;
    const char *px = mh_json_str(*x, "mountPath", NULL);
    const char *py = mh_json_str(*y, "mountPath", NULL);
    int d = depth_of(px ? px : "") - depth_of(py ? py : "");
    return d ? d : strcmp(px ? px : "", py ? py : "");
}

static bool
add_mount(struct mh_sb_container *c, struct mh_sb_view *v, yyjson_val *mount)
{
    bool read_only = false;
    const char *name = mh_json_str(mount, "name", NULL);
    const char *to = mh_json_str(mount, "mountPath", NULL);
    const char *sub = mh_json_str(mount, "subPath", NULL);
    const char *from = name ? mh_sb_volume_path(c->pod, v->arena, name, &read_only) : NULL;
    if (!from || !to)
        return false;
    mh_sb_view_add(v, &(struct mh_sb_step){
                          .kind = MH_SB_STEP_BIND,
                          .from = from,
                          .sub = sub && *sub ? sub : NULL,
                          .to = to,
                          .read_only = read_only || mh_json_bool(mount, false, "readOnly", NULL) });
    return true;
}

/* Outer mounts first, as the kubelet has them. */
static bool
add_mounts(struct mh_sb_container *c, struct mh_sb_view *v, yyjson_val *mounts)
{
    size_t n = yyjson_arr_size(mounts);
    yyjson_val **sorted = mh_arena_alloc(v->arena, (n + 1) * sizeof(yyjson_val *));
    yyjson_val *mount;
    size_t i;
    size_t max;
    if (!sorted)
        return false;
    yyjson_arr_foreach(mounts, i, max, mount)
    {
        sorted[i] = mount;
    }
    qsort(sorted, n, sizeof(yyjson_val *), by_depth);
    for (i = 0; i < n; i++) {
        if (!add_mount(c, v, sorted[i]))
            return false;
    }
    return true;
}

static bool
has_shm(yyjson_val *mounts)
{
    yyjson_val *mount;
    size_t i;
    size_t max;
    yyjson_arr_foreach(mounts, i, max, mount)
    {
        if (mh_str_eq(mh_json_str(mount, "mountPath", NULL), "/dev/shm"))
            return true;
    }
    return false;
}

/* Where the container may leave its last words. */
static const char *
termination_file(const struct mh_sb_container *c, struct mh_arena *a)
{
    return mh_arena_printf(a, "%s/containers/%s-%d", c->pod->dir, c->name, c->restarts);
}

static bool
make_view(struct mh_sb_container *c, const struct mh_sb_launch *l, struct mh_sb_view *v)
{
    const struct mh_sb_pod *p = c->pod;
    yyjson_val *spec = mh_sb_container_spec(c);
    yyjson_val *mounts = yyjson_obj_get(spec, "volumeMounts");
    const char *word = mh_json_str(spec, "terminationMessagePath", NULL);
    const char *file = termination_file(c, l->arena);
    mh_sb_view_init(v, l->arena, p->nodes->stage);
    mh_sb_view_base(
        v, &(struct mh_sb_view_base){ .hosts_dir = mh_sb_hosts_dir(p->nodes, l->arena, p->ns),
                                      .hostname = l->hostname,
                                      .manager = l->image.manager ? p->nodes->binary : NULL,
                                      .home = l->image.home,
                                      .user = l->image.user,
                                      .uid = l->uid,
                                      .gid = l->gid,
                                      .own_shm = has_shm(mounts) });
    v->read_only = l->read_only_root;
    int fd = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) {
        (void)fchmod(fd, 0666);
        (void)close(fd);
        mh_sb_view_bind(v, file, word && *word ? word : "/dev/termination-log", false);
    }
    return add_mounts(c, v, mounts) && !v->failed;
}

/* --- probes ---------------------------------------------------------------------------------- */

struct command {
    struct mh_sb_exec exec;
    void (*done)(void *probe, int code);
    void *probe;
};

static void
close_fds(struct command *k)
{
    for (int i = 0; i < 3; i++) {
        if (k->exec.fd[i] >= 0)
            (void)close(k->exec.fd[i]);
    }
}

static void
on_command(struct mh_sb_exec *e)
{
    struct command *k = e->arg;
    void (*done)(void *, int) = k->done;
    void *probe = k->probe;
    int code = e->error[0] ? -1 : e->exit_code;
    close_fds(k);
    mh_free(k);
    done(probe, code);
}

static void *
run_command(void *arg, const char *const *argv, void (*done)(void *, int), void *probe)
{
    struct mh_sb_container *c = arg;
    struct command *k = mh_calloc(1, sizeof(*k));
    struct mh_err err;
    if (!k)
        return NULL;
    k->done = done;
    k->probe = probe;
    k->exec = (struct mh_sb_exec){ .ns = c->pod->ns,
                                   .pod = c->pod->name,
                                   .container = c->name,
                                   .argv = argv,
                                   .on_exit = on_command,
                                   .arg = k };
    if (mh_sb_exec_start(c->pod->nodes, &k->exec, &err) == MH_OK)
        return k;
    mh_free(k);
    return NULL;
}

static void
stop_command(void *arg, void *handle)
{
    struct command *k = handle;
    (void)arg;
    mh_sb_exec_cancel(&k->exec);
    close_fds(k);
    mh_free(k);
}

static void begin_probe(struct mh_sb_container *c, enum mh_sb_probe_kind kind);

static const char *
kind_name(enum mh_sb_probe_kind kind)
{
    static const char *const names[] = { "Startup", "Readiness", "Liveness" };
    return names[kind];
}

static void
on_probe(void *arg, enum mh_sb_probe_kind kind, bool good, const char *note)
{
    struct mh_sb_container *c = arg;
    char text[300];
    if (kind == MH_SB_READINESS) {
        c->ready = good;
    } else if (kind == MH_SB_STARTUP && good) {
        c->started = true;
        begin_probe(c, MH_SB_LIVENESS);
        begin_probe(c, MH_SB_READINESS);
        c->ready = !c->probes[MH_SB_READINESS];
    } else if (!good && !c->killing && !c->pod->deleting) {
        (void)snprintf(text, sizeof(text), "Container %s failed %s probe, will be restarted",
                       c->name, kind == MH_SB_STARTUP ? "startup" : "liveness");
        mh_sb_pod_event(c->pod, "Normal", "Killing", text);
        c->unhealthy = true;
        int64_t grace =
            mh_json_int(c->pod->object, 30, "spec", "terminationGracePeriodSeconds", NULL);
        static const char *const fields[] = { "startupProbe", "readinessProbe", "livenessProbe" };
        grace = mh_json_int(mh_sb_container_spec(c), grace, fields[kind],
                            "terminationGracePeriodSeconds", NULL);
        mh_sb_container_stop(c, grace * MH_NS_PER_S);
    }
    (void)note;
    mh_sb_pod_later(c->pod, 0);
}

static void
on_probe_failure(void *arg, enum mh_sb_probe_kind kind, const char *note)
{
    const struct mh_sb_container *c = arg;
    char text[900];
    if (c->pod->deleting)
        return;
    (void)snprintf(text, sizeof(text), "%s probe failed: %.800s", kind_name(kind), note);
    mh_sb_pod_event(c->pod, "Warning", "Unhealthy", text);
}

static void
begin_probe(struct mh_sb_container *c, enum mh_sb_probe_kind kind)
{
    static const char *const fields[] = { "startupProbe", "readinessProbe", "livenessProbe" };
    yyjson_val *spec = mh_sb_container_spec(c);
    yyjson_val *probe = yyjson_obj_get(spec, fields[kind]);
    if (!probe || c->probes[kind])
        return;
    c->probes[kind] = mh_sb_probe_new(&(struct mh_sb_probe_spec){
        .kind = kind,
        .probe = probe,
        .ports = yyjson_obj_get(spec, "ports"),
        .address = c->pod->address,
        .clock = c->pod->nodes->spec.clock,
        .http = c->pod->nodes->http,
        .base = c->pod->nodes->spec.base,
        .exec = run_command,
        .exec_stop = stop_command,
        .on_result = on_probe,
        .on_failure = on_probe_failure,
        .arg = c,
    });
}

static void
begin_probes(struct mh_sb_container *c)
{
    c->started = false;
    c->ready = false;
    if (c->init && !c->sidecar)
        return;
    begin_probe(c, MH_SB_STARTUP);
    if (c->probes[MH_SB_STARTUP])
        return;
    c->started = true;
    begin_probe(c, MH_SB_LIVENESS);
    begin_probe(c, MH_SB_READINESS);
    c->ready = !c->probes[MH_SB_READINESS];
}

static void
end_probes(struct mh_sb_container *c)
{
    for (int i = 0; i < 3; i++) {
        mh_sb_probe_free(c->probes[i]);
        c->probes[i] = NULL;
    }
    c->ready = c->started = false;
}

/* --- the end --------------------------------------------------------------------------------- */

static void
read_message(struct mh_sb_container *c)
{
    struct mh_arena a;
    char text[TERMINATION_MAX + 1];
    mh_arena_init(&a, (size_t)64 << 10);
    const char *file = termination_file(c, &a);
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    mh_str_copy(c->end.message, sizeof(c->end.message), text);
    const char *policy = mh_json_str(mh_sb_container_spec(c), "terminationMessagePolicy", NULL);
    if (!text[0] && c->end.code != 0 && mh_str_eq(policy, "FallbackToLogsOnError"))
        mh_str_copy(c->end.message, sizeof(c->end.message),
                    mh_sb_podlog_tail(&a, c->log_path, sizeof(c->end.message) - 1));
    if (file)
        (void)unlink(file);
    mh_arena_release(&a);
}

static void
stop_kill_timer(struct mh_sb_container *c)
{
    const struct mh_clock *k = &c->pod->nodes->spec.clock;
    if (c->kill_timer)
        k->cancel(k->self, c->kill_timer);
    c->kill_timer = NULL;
}

static void
clean_up(struct mh_sb_container *c)
{
    end_probes(c);
    stop_kill_timer(c);
    mh_sb_podlog_close(c->log);
    c->log = NULL;
    c->has_proc = false;
    c->killing = false;
}

static void
on_exit_(struct mh_sb_proc *proc)
{
    struct mh_sb_container *c = proc->arg;
    c->end = (struct mh_sb_end){ .is = true,
                                 .code = proc->exit_code,
                                 .signal = proc->exit_signal,
                                 .started_us = c->started_us,
                                 .finished_us = mh_sb_wall(c->pod->nodes) };
    mh_str_copy(c->end.id, sizeof(c->end.id), c->id);
    clean_up(c);
    mh_str_copy(c->end.reason, sizeof(c->end.reason),
                proc->error[0]     ? "StartError"
                : c->end.code == 0 ? "Completed"
                                   : "Error");
    read_message(c);
    if (proc->error[0]) {
        c->end.code = 128;
        (void)snprintf(c->end.message, sizeof(c->end.message),
                       "failed to create containerd task: failed to create shim task: %s",
                       proc->error);
    }
    c->run = MH_SB_ENDED;
    c->pod->frozen = false;
    c->finished_ns = mh_sb_mono(c->pod->nodes);
    mh_sb_pod_later(c->pod, 0);
}

static void
on_running(struct mh_sb_proc *proc)
{
    struct mh_sb_container *c = proc->arg;
    begin_probes(c);
    mh_sb_pod_later(c->pod, 0);
}

static void
on_listener(struct mh_sb_proc *proc, int fd)
{
    const struct mh_sb_container *c = proc->arg;
    mh_sb_relay_listen(c->pod->nodes->relay, c->pod->peer, fd);
}

static void
on_kill(void *arg)
{
    struct mh_sb_container *c = arg;
    c->kill_timer = NULL;
    mh_sb_proc_kill(&c->proc, SIGKILL);
}

void
mh_sb_container_stop(struct mh_sb_container *c, int64_t grace_ns)
{
    const struct mh_clock *k = &c->pod->nodes->spec.clock;
    if (!c->has_proc)
        return;
    int64_t at = mh_sb_mono(c->pod->nodes) + grace_ns;
    if (c->killing && at >= c->kill_at)
        return;
    if (!c->killing && grace_ns > 0)
        mh_sb_proc_kill(&c->proc, SIGTERM);
    c->killing = true;
    c->kill_at = at;
    stop_kill_timer(c);
    if (grace_ns > 0)
        c->kill_timer = k->after(k->self, grace_ns, on_kill, c);
    if (!c->kill_timer)
        mh_sb_proc_kill(&c->proc, SIGKILL);
}

void
mh_sb_container_drop(struct mh_sb_container *c)
{
    if (c->has_proc)
        mh_sb_proc_forget(&c->proc);
    clean_up(c);
}

/* --- the start ------------------------------------------------------------------------------- */

static bool
open_log(struct mh_sb_container *c, int fds[2], struct mh_err *err)
{
    const struct mh_sb_pod *p = c->pod;
    char old[sizeof(c->log_path) + 16];
    (void)snprintf(c->log_path, sizeof(c->log_path), "%s/logs/%s_%s_%s", p->nodes->dir, p->ns,
                   p->name, p->uid);
    (void)mkdir(c->log_path, 0755);
    size_t n = strlen(c->log_path);
    (void)snprintf(c->log_path + n, sizeof(c->log_path) - n, "/%.200s", c->name);
    (void)mkdir(c->log_path, 0755);
    n = strlen(c->log_path);
    if (c->restarts >= 2) {
        (void)snprintf(old, sizeof(old), "%s/%d.log", c->log_path, c->restarts - 2);
        (void)unlink(old);
    }
    (void)snprintf(c->log_path + n, sizeof(c->log_path) - n, "/%d.log", c->restarts);
    c->log = mh_sb_podlog_open(p->nodes->spec.base, &p->nodes->spec.clock, c->log_path, fds, err);
    return c->log != NULL;
}

static void
make_id(struct mh_sb_container *c)
{
    unsigned char b[32];
    struct mh_rand r = mh_rand_real();
    if (!r.fill(r.self, b, sizeof(b)))
        memset(b, 0, sizeof(b));
    int n = snprintf(c->id, sizeof(c->id), "sandbox://");
    for (size_t i = 0; i < sizeof(b); i++)
        n += snprintf(c->id + n, sizeof(c->id) - (size_t)n, "%02x", b[i]);
}

static void
launch(struct mh_sb_container *c, const struct mh_sb_launch *l)
{
    struct mh_sb_view view;
    struct mh_err err;
    int fds[2] = { -1, -1 };
    memset(&c->proc, 0, sizeof(c->proc));
    c->proc.on_listener = on_listener;
    c->proc.on_running = on_running;
    c->proc.on_exit = on_exit_;
    c->proc.arg = c;
    bool fine =
        make_view(c, l, &view) || mh_fail(&err, MH_E_INVALID, "a volume is not there") == MH_OK;
    fine = fine && open_log(c, fds, &err);
    struct mh_sb_proc_spec spec = { .view = &view,
                                    .argv = l->argv,
                                    .env = l->env,
                                    .cwd = l->cwd,
                                    .hostname = l->hostname,
                                    .uid = l->uid,
                                    .gid = l->gid,
                                    .groups = l->groups,
                                    .ngroups = l->ngroups,
                                    .caps = l->caps,
                                    .no_new_privs = l->no_new_privs,
                                    .filter = true,
                                    .fds = { -1, fds[0], fds[1] } };
    fine = fine && mh_sb_proc_start(&c->proc, c->pod->nodes->spec.base, &spec, &err) == MH_OK;
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
    if (!fine) {
        mh_str_copy(c->why, sizeof(c->why), "CreateContainerError");
        mh_str_copy(c->message, sizeof(c->message), err.msg);
        mh_sb_podlog_close(c->log);
        c->log = NULL;
        c->run = MH_SB_WAITING;
        return;
    }
    c->has_proc = true;
    c->run = MH_SB_RUNNING;
    c->why[0] = c->message[0] = '\0';
    c->started_us = mh_sb_wall(c->pod->nodes);
    make_id(c);
}

void
mh_sb_container_start(struct mh_sb_container *c)
{
    struct mh_arena a;
    char text[320];
    mh_arena_init(&a, (size_t)4 << 20);
    struct mh_sb_launch *l = mh_arena_alloc(&a, sizeof(*l));
    c->unhealthy = false;
    if (l) {
        l->arena = &a;
        if (mh_sb_launch_make(c, l))
            launch(c, l);
    }
    mh_arena_release(&a);
    if (c->run == MH_SB_RUNNING) {
        (void)snprintf(text, sizeof(text), "Started container %s", c->name);
        mh_sb_pod_event(c->pod, "Normal", "Started", text);
    } else {
        mh_sb_pod_event(c->pod, "Warning", "Failed", c->message);
    }
}
