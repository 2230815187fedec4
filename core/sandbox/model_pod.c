/* model_pod.c - the kubelet of modelled pods: addresses, volumes, status, the end. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/model_in.h"

/* --- status ---------------------------------------------------------------------------------- */

static void
add_condition(struct mh_buf *b, const char *type, bool on, const char *when)
{
    mh_buf_printf(b,
                  "%s{\"type\":\"%s\",\"status\":\"%s\",\"lastProbeTime\":null,"
                  "\"lastTransitionTime\":\"%s\"}",
                  b->data && b->data[b->len - 1] == '}' ? "," : "", type, on ? "True" : "False",
                  when);
}

static void
add_state(struct mh_buf *b, const struct mh_sb_model_member *x, const char *phase, const char *when)
{
    if (mh_str_eq(phase, "Running"))
        mh_buf_printf(b, "{\"running\":{\"startedAt\":\"%s\"}}", x->started);
    else
        mh_buf_printf(b,
                      "{\"terminated\":{\"exitCode\":%d,\"reason\":\"%s\",\"message\":\"%s\","
                      "\"startedAt\":\"%s\",\"finishedAt\":\"%s\"}}",
                      mh_str_eq(phase, "Failed"),
                      mh_str_eq(phase, "Failed") ? "Error" : "Completed", x->session, x->started,
                      when);
}

static char *
status_text(struct mh_sb_model_member *x, struct mh_arena *a, const char *phase, bool ready)
{
    struct mh_buf b;
    char when[MH_TIME_TEXT];
    bool running = mh_str_eq(phase, "Running");
    mh_time_rfc3339(when, x->m->clock.wall_us(x->m->clock.self) / 1000000);
    mh_buf_init(&b, 64 << 10);
    mh_buf_printf(&b, "{\"status\":{\"phase\":\"%s\",\"conditions\":[", phase);
    add_condition(&b, "PodReadyToStartContainers", running, x->started);
    add_condition(&b, "Initialized", true, x->started);
    add_condition(&b, "Ready", ready, when);
    add_condition(&b, "ContainersReady", ready, when);
    add_condition(&b, "PodScheduled", true, x->started);
    mh_buf_printf(&b,
                  "],\"hostIP\":\"%s\",\"hostIPs\":[{\"ip\":\"%s\"}],\"podIP\":\"%s\",\"podIPs\":[{"
                  "\"ip\":\"%s\"}],\"startTime\":\"%s\",\"qosClass\":\"BestEffort\","
                  "\"containerStatuses\":[{\"name\":\"%s\",\"image\":",
                  x->ip, x->ip, x->ip, x->ip, x->started, x->container);
    (void)mh_json_quote(&b, x->image, strlen(x->image));
    mh_buf_printf(&b,
                  ",\"imageID\":\"modelled\",\"containerID\":\"modelled://%s\",\"restartCount\":0,"
                  "\"ready\":%s,\"started\":%s,\"state\":",
                  x->uid, ready ? "true" : "false", running ? "true" : "false");
    add_state(&b, x, phase, when);
    mh_buf_str(&b, "}]}}");
    char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

static bool
write_status(struct mh_sb_model_member *x, const char *phase, bool ready,
             void (*done)(struct mh_sb_model_member *x, struct mh_api_call *call))
{
    struct mh_arena a;
    mh_arena_init(&a, 256 << 10);
    char *path = mh_arena_printf(&a, "/api/v1/namespaces/%s/pods/%s/status", x->ns, x->name);
    char *body = status_text(x, &a, phase, ready);
    bool ok = path && body && mh_sb_model_ask(x, "PATCH", path, MH_PATCH_MERGE, body, done);
    mh_arena_release(&a);
    return ok;
}

static void
on_told(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND)
        x->told_ready = !x->told_ready; /* again at the next turn */
}

void
mh_sb_model_tell(struct mh_sb_model_member *x)
{
    bool ready = x->alive && (x->up || !x->cluster) && !x->ending;
    if (!x->alive || x->is_job || ready == x->told_ready)
        return;
    if (write_status(x, "Running", ready, on_told))
        x->told_ready = ready;
}

/* --- the end --------------------------------------------------------------------------------- */

static void
on_deleted(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    if (call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND)
        x->deleting = false; /* again at the next turn */
}

void
mh_sb_model_end(struct mh_sb_model_member *x)
{
    char path[400], body[200];
    if (x->deleting)
        return;
    mh_sb_model_hush(x);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", x->ns, x->name);
    (void)snprintf(body, sizeof(body),
                   "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"gracePeriodSeconds\":0,"
                   "\"preconditions\":{\"uid\":\"%s\"}}",
                   x->uid);
    x->deleting = mh_sb_model_ask(x, "DELETE", path, NULL, body, on_deleted);
}

void
mh_sb_model_free_member(struct mh_sb_model_member *x)
{
    struct mh_sb_model *m = x->m;
    for (struct mh_sb_model_call *k = m->calls; k; k = k->next) {
        if (k->member == x)
            k->member = NULL;
    }
    mh_sb_model_hush(x);
    m->clock.cancel(m->clock.self, x->change);
    m->clock.cancel(m->clock.self, x->push);
    if (x->cluster) {
        struct mh_sb_model_member **at = &x->cluster->members;
        while (*at && *at != x)
            at = &(*at)->next;
        if (*at)
            *at = x->next;
    }
    if (x->ip[0] && mh_map_get(&m->addresses, x->ip) == x)
        (void)mh_map_remove(&m->addresses, x->ip);
    (void)mh_map_remove(&m->members, x->key);
    mh_free(x->cert);
    mh_free(x->key_pem);
    mh_free(x->ca);
    mh_free(x->key);
    mh_free(x);
}

/* --- the beginning --------------------------------------------------------------------------- */

/* A job's work: what initdb or a clone leaves on the volume. */
static void
do_job(struct mh_sb_model_member *x)
{
    struct mh_sb_model_volume *v = x->volume;
    struct mh_sb_model_cluster *c = x->cluster;
    if (!v || !c)
        return;
    const char *holder = c->lease_known && c->lease.holder ? c->lease.holder : c->current;
    const struct mh_sb_model_member *from = x->joins ? mh_sb_model_find(c, holder) : NULL;
    if (!c->system_id[0])
        (void)snprintf(c->system_id, sizeof(c->system_id), "7%018llu",
                       (unsigned long long)(mh_sb_model_random(x->m) % 1000000000000000000ULL));
    *v = (struct mh_sb_model_volume){
        .has_data = true, .data_primary = !x->joins, .timeline = 1, .lsn = 0x2000000
    };
    if (from && from->volume) {
        v->timeline = from->volume->timeline;
        v->lsn = from->volume->lsn;
        v->nhistory = from->volume->nhistory;
        memcpy(v->history, from->volume->history, sizeof(v->history));
    }
    mh_str_copy(v->system_id, sizeof(v->system_id), c->system_id);
}

static void
on_running(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    if (call->err.code == MH_E_NOTFOUND)
        return;
    if (call->err.code != MH_OK) {
        x->placed = false;
        return;
    }
    x->alive = true;
    if (!x->cluster) {
        mh_sb_model_tell(x);
        return;
    }
    mh_sb_model_serve(x);
    mh_sb_model_decide(x);
}

static void
begin(void *arg)
{
    struct mh_sb_model_member *x = arg;
    x->change = NULL;
    if (x->is_job) {
        do_job(x);
        x->over = write_status(x, "Succeeded", false, NULL);
        return;
    }
    (void)write_status(x, "Running", false, on_running);
}

/* A volume that is in use already, of an earlier life of the sandbox: the Lease says what it knows. */
static void
recover(struct mh_sb_model_member *x, yyjson_val *claim)
{
    struct mh_sb_model_volume *v = x->volume;
    struct mh_sb_model_cluster *c = x->cluster;
    const char *state = mh_json_str(claim, "metadata", "annotations", "cnpg.io/pvcStatus", NULL);
    if (v->has_data || x->is_job || !c || !mh_str_eq(state, "ready"))
        return;
    const struct mh_ha_lease *l = &c->lease;
    bool held = c->lease_known && l->exists && mh_str_eq(l->holder, x->name);
    v->has_data = true;
    v->data_primary = held && l->phase == MH_HA_STABLE;
    v->timeline = 1;
    v->lsn = 0x3000000;
    v->own.term = v->own.promise = c->lease_known ? l->term : 0;
    if (held && l->incarnation)
        mh_str_copy(v->own.incarnation, sizeof(v->own.incarnation), l->incarnation);
    if (!c->system_id[0])
        mh_str_copy(c->system_id, sizeof(c->system_id), "7000000000000000001");
    mh_str_copy(v->system_id, sizeof(v->system_id), c->system_id);
}

static void
on_claim(struct mh_sb_model_member *x, struct mh_api_call *call)
{
    struct mh_sb_model *m = x->m;
    const char *uid = mh_json_str(call->reply, "metadata", "uid", NULL);
    if (call->err.code != MH_OK || !uid) {
        x->placed = false; /* tried again at the next event */
        return;
    }
    x->volume = mh_map_get(&m->volumes, uid);
    if (!x->volume) {
        x->volume = mh_calloc(1, sizeof(*x->volume));
        if (x->volume && !mh_map_put(&m->volumes, uid, x->volume, NULL)) {
            mh_free(x->volume);
            x->volume = NULL;
        }
    }
    if (!x->volume)
        return;
    recover(x, call->reply);
    x->change = m->clock.after(m->clock.self, m->config.start_ms * MH_NS_PER_MS, begin, x);
}

static bool
give_address(struct mh_sb_model_member *x, const char *had)
{
    struct mh_sb_model *m = x->m;
    char prefix[16];
    int last = 0;
    (void)snprintf(prefix, sizeof(prefix), "127.%d.", m->config.n);
    if (had && mh_str_starts(had, prefix) && sscanf(had + strlen(prefix), "%d", &last) == 1 &&
        last >= 128 && !mh_map_get(&m->addresses, had)) {
        mh_str_copy(x->ip, sizeof(x->ip), had);
        return mh_map_put(&m->addresses, x->ip, x, NULL);
    }
    for (unsigned i = 0; i < MH_SB_MODEL_MAX; i++) {
        unsigned y = m->next_ip++ % MH_SB_MODEL_MAX;
        (void)snprintf(x->ip, sizeof(x->ip), "127.%d.%u.%u", m->config.n, 128 + y / 254,
                       1 + y % 254);
        if (!mh_map_get(&m->addresses, x->ip))
            return mh_map_put(&m->addresses, x->ip, x, NULL);
    }
    x->ip[0] = '\0';
    return false;
}

static void
read_pod(struct mh_sb_model_member *x, yyjson_val *pod)
{
    yyjson_val *labels = mh_json_get(pod, "metadata", "labels", NULL);
    yyjson_val *container = yyjson_arr_get_first(mh_json_get(pod, "spec", "containers", NULL));
    const char *cluster = mh_json_str(labels, "cnpg.io/cluster", NULL);
    const char *role = mh_json_str(labels, "cnpg.io/jobRole", NULL);
    const char *instance = mh_json_str(labels, "cnpg.io/instanceName", NULL);
    const char *image = mh_json_str(container, "image", NULL);
    const char *name = mh_json_str(container, "name", NULL);
    bool is_instance = mh_str_eq(mh_json_str(labels, "cnpg.io/podRole", NULL), "instance");
    mh_str_copy(x->ns, sizeof(x->ns), mh_json_str(pod, "metadata", "namespace", NULL));
    mh_str_copy(x->name, sizeof(x->name), mh_json_str(pod, "metadata", "name", NULL));
    mh_str_copy(x->uid, sizeof(x->uid), mh_json_str(pod, "metadata", "uid", NULL));
    mh_str_copy(x->node, sizeof(x->node), mh_json_str(pod, "spec", "nodeName", NULL));
    mh_str_copy(x->image, sizeof(x->image), image ? image : "");
    mh_str_copy(x->container, sizeof(x->container), name ? name : "");
    mh_str_copy(x->claim, sizeof(x->claim), instance ? instance : "");
    x->is_job = role != NULL;
    x->joins = role && strcmp(role, "initdb") != 0;
    if (!cluster || (!role && !is_instance))
        return;
    x->cluster = mh_sb_model_cluster_of(x->m, x->ns, cluster);
    if (x->cluster) {
        x->next = x->cluster->members;
        x->cluster->members = x;
    }
}

static struct mh_sb_model_member *
add(struct mh_sb_model *m, const char *key, yyjson_val *pod)
{
    struct mh_sb_model_member *x = mh_calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->m = m;
    x->key = mh_strdup(key);
    if (!x->key || !mh_map_put(&m->members, key, x, NULL)) {
        mh_free(x->key);
        mh_free(x);
        return NULL;
    }
    x->slot = (size_t)mh_sb_model_random(m);
    read_pod(x, pod);
    mh_sb_model_uuid(m, x->session);
    mh_time_rfc3339(x->started, m->clock.wall_us(m->clock.self) / 1000000);
    if (!give_address(x, mh_json_str(pod, "status", "podIP", NULL))) {
        mh_warn("model", "no address is left for a pod", "pod", key);
        mh_sb_model_free_member(x);
        return NULL;
    }
    return x;
}

static void
place(struct mh_sb_model_member *x)
{
    char path[400];
    if (x->placed || x->ending)
        return;
    x->placed = true;
    if (!x->cluster) {
        begin(x);
        return;
    }
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/persistentvolumeclaims/%s", x->ns,
                   x->claim);
    if (!mh_sb_model_ask(x, "GET", path, NULL, NULL, on_claim))
        x->placed = false;
}

static bool
key_of(yyjson_val *pod, char out[400])
{
    const char *ns = mh_json_str(pod, "metadata", "namespace", NULL);
    const char *name = mh_json_str(pod, "metadata", "name", NULL);
    return ns && name && snprintf(out, 400, "%s/%s", ns, name) < 400;
}

void
mh_sb_model_pod(struct mh_sb_model *m, yyjson_val *pod)
{
    char key[400];
    const char *phase = mh_json_str(pod, "status", "phase", NULL);
    const char *node = mh_json_str(pod, "spec", "nodeName", NULL);
    const char *uid = mh_json_str(pod, "metadata", "uid", NULL);
    if (!mh_sb_is_modelled(pod) || !key_of(pod, key) || !node || !*node || !uid)
        return;
    struct mh_sb_model_member *x = mh_map_get(&m->members, key);
    if (x && !mh_str_eq(x->uid, uid)) {
        mh_sb_model_free_member(x);
        x = NULL;
    }
    bool done = mh_str_eq(phase, "Succeeded") || mh_str_eq(phase, "Failed");
    bool going = mh_json_get(pod, "metadata", "deletionTimestamp", NULL) != NULL;
    if (!x && done && !going)
        return;
    if (!x)
        x = add(m, key, pod);
    if (x && going && !x->ending) {
        x->ending = true;
        x->end_ns = mh_sb_model_now(m);
        if (x->alive && x->cluster)
            mh_sb_model_terminate(x);
        else
            mh_sb_model_end(x);
    } else if (x && !x->over) {
        place(x);
    }
}

void
mh_sb_model_pod_gone(struct mh_sb_model *m, yyjson_val *pod)
{
    char key[400];
    struct mh_sb_model_member *x = key_of(pod, key) ? mh_map_get(&m->members, key) : NULL;
    if (x && mh_str_eq(x->uid, mh_json_str(pod, "metadata", "uid", NULL)))
        mh_sb_model_free_member(x);
}
