/* pod.c - the worker of one pod: from what should be and what is to the next step. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "sandbox/node_in.h"

#define BACKOFF_FIRST_NS (10 * MH_NS_PER_S)
#define BACKOFF_MAX_NS (300 * MH_NS_PER_S)
#define IMAGE_SAID_NS (5 * MH_NS_PER_S / 2)
#define MISSING_NS MH_NS_PER_S /* until something that is missing is looked for again */

/* --- texts ----------------------------------------------------------------------------------- */

yyjson_val *
mh_sb_container_spec(const struct mh_sb_container *c)
{
    const struct mh_sb_pod *p = c->pod;
    yyjson_val *list =
        mh_json_get(p->object, "spec", c->init ? "initContainers" : "containers", NULL);
    return yyjson_arr_get(list, (size_t)(c->init ? c->index : c->index - p->ninit));
}

void
mh_sb_pod_event(struct mh_sb_pod *p, const char *type, const char *reason, const char *note)
{
    struct mh_event_ref ref = mh_event_ref_of(p->object);
    ref.api_version = "v1";
    ref.kind = "Pod";
    if (!p->removed && *note)
        mh_kube_event(p->nodes->events, &ref, type, reason, note);
}

/* --- timer ----------------------------------------------------------------------------------- */

static void
on_timer(void *arg)
{
    struct mh_sb_pod *p = arg;
    p->timer = NULL;
    mh_sb_pod_sync(p);
}

void
mh_sb_pod_later(struct mh_sb_pod *p, int64_t ns)
{
    const struct mh_clock *k = &p->nodes->spec.clock;
    int64_t at = k->mono_ns(k->self) + ns;
    if (p->timer && p->timer_at <= at)
        return;
    if (p->timer)
        k->cancel(k->self, p->timer);
    p->timer_at = at;
    p->timer = k->after(k->self, ns, on_timer, p);
}

/* --- what it is ------------------------------------------------------------------------------ */

static bool
keep_object(struct mh_sb_pod *p, yyjson_val *object)
{
    struct mh_arena fresh;
    size_t len = 0;
    yyjson_val *copy = NULL;
    mh_arena_init(&fresh, 3 * MH_SB_OBJECT_MAX);
    char *text = mh_json_text(&fresh, object, &len);
    if (!text || mh_json_parse(&fresh, text, len, &copy, NULL) != MH_OK) {
        mh_arena_release(&fresh);
        return false;
    }
    mh_arena_release(&p->object_arena);
    p->object_arena = fresh;
    p->object = copy;
    return true;
}

/* What an earlier kubelet said of this container. */
static void
recall(struct mh_sb_container *c)
{
    yyjson_val *s;
    size_t i;
    size_t max;
    yyjson_val *list = mh_json_get(c->pod->object, "status",
                                   c->init ? "initContainerStatuses" : "containerStatuses", NULL);
    yyjson_arr_foreach(list, i, max, s)
    {
        if (!mh_str_eq(mh_json_str(s, "name", NULL), c->name))
            continue;
        const char *id = mh_json_str(s, "containerID", NULL);
        c->restarts = (int)mh_json_int(s, 0, "restartCount", NULL);
        yyjson_val *over = mh_json_get(s, "state", "terminated", NULL);
        const char *since = mh_json_str(s, "state", "running", "startedAt", NULL);
        if (!id || !*id)
            return;
        mh_str_copy(c->id, sizeof(c->id), id);
        c->end.is = true;
        c->end.code = (int)mh_json_int(over, 255, "exitCode", NULL);
        const char *why = mh_json_str(over, "reason", NULL);
        mh_str_copy(c->end.reason, sizeof(c->end.reason), why ? why : "Unknown");
        mh_str_copy(c->end.id, sizeof(c->end.id), id);
        if (!since)
            since = mh_json_str(over, "startedAt", NULL);
        (void)mh_time_parse(since ? since : "", &c->end.started_us);
        c->end.finished_us = mh_sb_wall(c->pod->nodes);
        (void)mh_time_parse(over ? mh_json_str(over, "finishedAt", NULL) : "", &c->end.finished_us);
        c->run = MH_SB_ENDED;
        c->finished_ns = mh_sb_mono(c->pod->nodes) - BACKOFF_MAX_NS;
    }
}

static bool
add_containers(struct mh_sb_pod *p, yyjson_val *list, bool init)
{
    yyjson_val *spec;
    size_t i;
    size_t max;
    yyjson_arr_foreach(list, i, max, spec)
    {
        if (p->ncontainers == MH_SB_CONTAINERS_MAX)
            return false;
        struct mh_sb_container *c = &p->containers[p->ncontainers];
        c->pod = p;
        c->index = p->ncontainers++;
        c->init = init;
        c->sidecar = init && mh_str_eq(mh_json_str(spec, "restartPolicy", NULL), "Always");
        c->name = mh_arena_strdup(&p->arena, mh_json_str(spec, "name", NULL));
        if (!c->name)
            return false;
    }
    return true;
}

static bool
fill(struct mh_sb_pod *p, yyjson_val *object)
{
    const char *phase = mh_json_str(object, "status", "phase", NULL);
    if (!keep_object(p, object) ||
        !add_containers(p, mh_json_get(p->object, "spec", "initContainers", NULL), true))
        return false;
    p->ninit = p->ncontainers;
    if (!add_containers(p, mh_json_get(p->object, "spec", "containers", NULL), false))
        return false;
    p->ns = mh_arena_strdup(&p->arena, mh_json_str(object, "metadata", "namespace", NULL));
    p->name = mh_arena_strdup(&p->arena, mh_json_str(object, "metadata", "name", NULL));
    p->uid = mh_arena_strdup(&p->arena, mh_json_str(object, "metadata", "uid", NULL));
    if (!p->ns || !p->name || !p->uid)
        return false;
    p->key = mh_arena_printf(&p->arena, "%s/%s", p->ns, p->name);
    p->finished = phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
    p->started_us = mh_sb_wall(p->nodes);
    const char *since = mh_json_str(object, "status", "startTime", NULL);
    (void)mh_time_parse(since ? since : "", &p->started_us);
    for (int i = 0; i < p->ncontainers && !p->finished; i++)
        recall(&p->containers[i]);
    return p->key != NULL;
}

static struct mh_sb_pod *
make(struct mh_sb_nodes *n, struct mh_sb_node *node, yyjson_val *object)
{
    struct mh_sb_pod *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->nodes = n;
    p->node = node;
    mh_arena_init(&p->arena, (size_t)1 << 20);
    mh_arena_init(&p->object_arena, MH_SB_OBJECT_MAX);
    mh_arena_init(&p->call_arena, 3 * MH_SB_OBJECT_MAX);
    p->next = n->pods;
    n->pods = p;
    if (fill(p, object)) {
        mh_sb_pod_reboot(p);
        return p;
    }
    mh_error("node", "a pod could not be taken on");
    mh_sb_pod_drop(p);
    return NULL;
}

static void
read_deletion(struct mh_sb_pod *p, yyjson_val *object)
{
    if (!mh_json_str(object, "metadata", "deletionTimestamp", NULL) && !p->removed)
        return;
    int64_t none = p->removed ? 0 : 30;
    int64_t grace = mh_json_int(object, none, "metadata", "deletionGracePeriodSeconds", NULL);
    p->grace_ns = (grace < 1 ? 1 : grace) * MH_NS_PER_S;
    if (!p->deleting && !p->finished) {
        for (int i = 0; i < p->ncontainers; i++) {
            char text[300];
            if (!p->containers[i].has_proc)
                continue;
            (void)snprintf(text, sizeof(text), "Stopping container %s", p->containers[i].name);
            mh_sb_pod_event(p, "Normal", "Killing", text);
        }
    }
    p->deleting = true;
}

void
mh_sb_pod_heard(struct mh_sb_nodes *n, struct mh_sb_node *node, yyjson_val *object)
{
    const char *uid = mh_json_str(object, "metadata", "uid", NULL);
    struct mh_sb_pod *p = n->pods;
    while (p && !mh_str_eq(p->uid, uid))
        p = p->next;
    if (p ? !keep_object(p, object) : !(p = make(n, node, object)))
        return;
    read_deletion(p, object);
    mh_sb_pod_later(p, 0);
}

void
mh_sb_pod_gone(struct mh_sb_pod *p, yyjson_val *object)
{
    p->removed = true;
    read_deletion(p, object);
    p->deleting = true;
    mh_sb_pod_later(p, 0);
}

/* --- the place where it runs ----------------------------------------------------------------- */

static void
leave_place(struct mh_sb_pod *p)
{
    if (p->peer)
        mh_sb_relay_remove(p->nodes->relay, p->peer);
    p->peer = NULL;
    if (p->y)
        p->node->by_y[p->y] = NULL;
    p->y = 0;
    p->admitted = false;
}

static bool
take_place(struct mh_sb_pod *p)
{
    struct mh_sb_node *node = p->node;
    char path[sizeof(p->dir) + 16];
    if (p->admitted)
        return true;
    for (int i = 0; i < MH_SB_ADDRESSES && !p->y; i++) {
        int y = 2 + (node->next_y + i) % (MH_SB_ADDRESSES - 2);
        if (!node->by_y[y])
            p->y = y;
    }
    if (!p->y)
        return false;
    node->next_y = p->y - 1;
    node->by_y[p->y] = p;
    (void)snprintf(p->address, sizeof(p->address), "127.%d.%d.%d", p->nodes->spec.n,
                   16 + node->index, p->y);
    (void)snprintf(p->dir, sizeof(p->dir), "%s/pods/%s", p->nodes->dir, p->uid);
    (void)mkdir(p->dir, 0755);
    (void)snprintf(path, sizeof(path), "%s/volumes", p->dir);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/containers", p->dir);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        (void)snprintf(p->failure, sizeof(p->failure), "mkdir: %s", strerror(errno));
        return false;
    }
    if (!p->peer)
        p->peer = mh_sb_relay_add(p->nodes->relay, p->key, node->index, p->address);
    p->admitted = p->peer != NULL;
    return p->admitted;
}

/* --- steps ----------------------------------------------------------------------------------- */

static void
start_again(struct mh_sb_container *c)
{
    struct mh_sb_pod *p = c->pod;
    int64_t now = mh_sb_mono(p->nodes);
    int64_t left = c->backoff_ns - (now - c->finished_ns);
    if (c->backoff_ns > 0 && left > 0) {
        bool image = strcmp(c->why, "ErrImagePull") == 0 || strcmp(c->why, "ImagePullBackOff") == 0;
        int64_t since = now - c->finished_ns;
        if (strcmp(c->why, "ErrImagePull") == 0 && since < IMAGE_SAID_NS) {
            mh_sb_pod_later(p, IMAGE_SAID_NS - since);
            return;
        }
        const char *why = image ? "ImagePullBackOff" : "CrashLoopBackOff";
        if (strcmp(c->why, why) != 0 && !image)
            (void)snprintf(c->message, sizeof(c->message),
                           "back-off %llds restarting failed container=%s pod=%s_%s(%s)",
                           (long long)(c->backoff_ns / MH_NS_PER_S), c->name, p->name, p->ns,
                           p->uid);
        if (strcmp(c->why, why) != 0 && !image)
            mh_sb_pod_event(p, "Warning", "BackOff", c->message);
        mh_str_copy(c->why, sizeof(c->why), why);
        mh_sb_pod_later(p, left);
        return;
    }
    if (c->backoff_ns == 0 || now - c->backoff_at > 2 * BACKOFF_MAX_NS)
        c->backoff_ns = BACKOFF_FIRST_NS;
    else if (c->backoff_ns < BACKOFF_MAX_NS)
        c->backoff_ns = 2 * c->backoff_ns < BACKOFF_MAX_NS ? 2 * c->backoff_ns : BACKOFF_MAX_NS;
    c->backoff_at = now;
    if (c->run == MH_SB_ENDED) {
        c->last = c->end;
        c->end = (struct mh_sb_end){ 0 };
        c->restarts++;
    }
    c->run = MH_SB_WAITING;
    mh_sb_container_start(c);
    if (c->run == MH_SB_WAITING)
        c->finished_ns = now;
}

static void
first_start(struct mh_sb_container *c)
{
    bool image = strcmp(c->why, "ErrImagePull") == 0 || strcmp(c->why, "ImagePullBackOff") == 0;
    if (image || c->last.is) {
        start_again(c);
        return;
    }
    mh_sb_container_start(c);
    if (c->run != MH_SB_WAITING)
        return;
    if (strcmp(c->why, "ErrImagePull") == 0) {
        c->backoff_ns = BACKOFF_FIRST_NS;
        c->backoff_at = c->finished_ns = mh_sb_mono(c->pod->nodes);
        mh_sb_pod_later(c->pod, IMAGE_SAID_NS); /* then it says ImagePullBackOff */
    } else {
        mh_sb_pod_later(c->pod, MISSING_NS);
    }
}

static bool
may_restart(const struct mh_sb_container *c)
{
    const char *policy = mh_json_str(c->pod->object, "spec", "restartPolicy", NULL);
    if (c->sidecar)
        return true;
    if (c->init)
        return c->end.code != 0 && !mh_str_eq(policy, "Never");
    if (mh_str_eq(policy, "Never"))
        return false;
    return !mh_str_eq(policy, "OnFailure") || c->end.code != 0;
}

/* True: the next one may begin. */
static bool
run_init(struct mh_sb_container *c)
{
    if (c->run == MH_SB_ENDED && c->end.code == 0 && !c->sidecar)
        return true;
    if (c->run == MH_SB_WAITING)
        first_start(c);
    else if (c->run == MH_SB_ENDED && may_restart(c))
        start_again(c);
    return c->sidecar && c->run == MH_SB_RUNNING && c->started;
}

static void
run_main(struct mh_sb_container *c)
{
    if (c->run == MH_SB_WAITING)
        first_start(c);
    else if (c->run == MH_SB_ENDED && may_restart(c))
        start_again(c);
}

static void
run_all(struct mh_sb_pod *p)
{
    bool fine = true;
    for (int i = 0; i < p->ninit && fine; i++)
        fine = run_init(&p->containers[i]);
    if (fine)
        p->initialized = true;
    if (!p->initialized)
        return;
    for (int i = p->ninit; i < p->ncontainers; i++)
        run_main(&p->containers[i]);
}

/* Sidecars end with the last of the others. */
static void
end_sidecars(struct mh_sb_pod *p)
{
    const char *phase = mh_sb_pod_phase(p);
    if (strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0)
        return;
    for (int i = 0; i < p->ninit; i++)
        mh_sb_container_stop(&p->containers[i], 2 * MH_NS_PER_S);
}

static bool
any_alive(const struct mh_sb_pod *p)
{
    for (int i = 0; i < p->ncontainers; i++) {
        if (p->containers[i].has_proc)
            return true;
    }
    return false;
}

static void
run_down(struct mh_sb_pod *p)
{
    for (int i = 0; i < p->ncontainers; i++)
        mh_sb_container_stop(&p->containers[i], p->grace_ns);
}

static void
run_up(struct mh_sb_pod *p)
{
    const char *phase = mh_sb_pod_phase(p);
    if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0) {
        end_sidecars(p);
        return;
    }
    if (!take_place(p)) {
        mh_sb_pod_later(p, MISSING_NS);
        return;
    }
    bool there = mh_sb_volumes_make(p);
    if (there)
        p->volumes_ready = true;
    if (!p->volumes_ready) {
        if (++p->retries % 30 == 5)
            mh_sb_pod_event(p, "Warning", "FailedMount", p->failure);
        mh_sb_pod_later(p, MISSING_NS);
        return;
    }
    run_all(p);
}

void
mh_sb_pod_sync(struct mh_sb_pod *p)
{
    if (p->node->off || p->nodes->stopping)
        return;
    if (p->deleting)
        run_down(p);
    else if (!p->finished)
        run_up(p);
    if (p->removed && !any_alive(p)) {
        mh_sb_volumes_remove(p);
        mh_sb_pod_drop(p);
        return;
    }
    if (!p->finished || p->deleting)
        mh_sb_pod_status(p);
}

/* --- the end --------------------------------------------------------------------------------- */

void
mh_sb_pod_reboot(struct mh_sb_pod *p)
{
    bool never = mh_str_eq(mh_json_str(p->object, "spec", "restartPolicy", NULL), "Never");
    if (p->finished)
        return;
    bool ran = false;
    for (int i = 0; i < p->ncontainers; i++) {
        struct mh_sb_container *c = &p->containers[i];
        bool lost = c->has_proc;
        mh_sb_container_drop(c);
        if (lost) {
            c->end = (struct mh_sb_end){ .is = true,
                                         .code = 255,
                                         .started_us = c->started_us,
                                         .finished_us = mh_sb_wall(p->nodes) };
            mh_str_copy(c->end.reason, sizeof(c->end.reason), "Unknown");
            mh_str_copy(c->end.id, sizeof(c->end.id), c->id);
            c->run = MH_SB_ENDED;
            c->finished_ns = mh_sb_mono(p->nodes);
        }
        ran = ran || (c->run == MH_SB_ENDED && !c->init);
    }
    leave_place(p);
    p->volumes_ready = false;
    p->written_is = false;
    p->initialized = ran && never; /* it stays as it ended */
    for (int i = 0; i < p->ncontainers && !p->initialized; i++) {
        struct mh_sb_container *c = &p->containers[i];
        if (c->run != MH_SB_ENDED)
            continue;
        c->last = c->end;
        c->end = (struct mh_sb_end){ 0 };
        c->restarts++;
        c->run = MH_SB_WAITING;
        c->backoff_ns = 0;
    }
}

void
mh_sb_pod_drop(struct mh_sb_pod *p)
{
    struct mh_sb_nodes *n = p->nodes;
    struct mh_sb_pod **at = &n->pods;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    for (int i = 0; i < p->ncontainers; i++)
        mh_sb_container_drop(&p->containers[i]);
    if (p->timer)
        n->spec.clock.cancel(n->spec.clock.self, p->timer);
    if (p->calling != MH_SB_POD_IDLE)
        n->spec.api.cancel(n->spec.api.self, &p->call);
    mh_sb_tokens_release(p);
    leave_place(p);
    mh_arena_release(&p->call_arena);
    mh_arena_release(&p->object_arena);
    mh_arena_release(&p->arena);
    mh_free(p);
}
