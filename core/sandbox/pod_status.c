/* pod_status.c - status of a pod as the kubelet writes it, and the writing. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "sandbox/node_in.h"

#define STATUS_MAX ((size_t)512 << 10)
#define AGAIN_NS (200 * MH_NS_PER_MS)

struct counts {
    int running;
    int waiting; /* never ran */
    int ended;
    int good;
    int ready;
    int all;
};

static struct counts
count(const struct mh_sb_pod *p)
{
    struct counts n = { 0 };
    for (int i = p->ninit; i < p->ncontainers; i++) {
        const struct mh_sb_container *c = &p->containers[i];
        n.all++;
        n.ready += c->run == MH_SB_RUNNING && c->ready;
        if (c->run == MH_SB_RUNNING)
            n.running++;
        else if (c->run == MH_SB_WAITING && !c->last.is)
            n.waiting++;
        else
            n.ended++;
        n.good += c->run == MH_SB_ENDED && c->end.code == 0;
    }
    return n;
}

static const char *
policy_of(const struct mh_sb_pod *p)
{
    const char *policy = mh_json_str(p->object, "spec", "restartPolicy", NULL);
    return policy ? policy : "Always";
}

static bool
init_has_failed(const struct mh_sb_pod *p)
{
    for (int i = 0; i < p->ninit; i++) {
        const struct mh_sb_container *c = &p->containers[i];
        if (c->run == MH_SB_ENDED && c->end.code != 0 && !c->sidecar)
            return true;
    }
    return false;
}

const char *
mh_sb_pod_phase(const struct mh_sb_pod *p)
{
    struct counts n = count(p);
    const char *policy = policy_of(p);
    bool never = strcmp(policy, "Never") == 0;
    if (p->finished) {
        const char *phase = mh_json_str(p->object, "status", "phase", NULL);
        return phase ? phase : "Failed";
    }
    if (!p->initialized && (never || p->deleting) && init_has_failed(p))
        return "Failed";
    if (!p->initialized)
        return p->deleting && n.running == 0 && p->ninit > 0 ? "Failed" : "Pending";
    if (n.waiting > 0)
        return n.ended > 0 || n.running > 0 ? "Running" : "Pending";
    if (n.running > 0)
        return "Running";
    bool over = p->deleting || never || (strcmp(policy, "OnFailure") == 0 && n.good == n.all);
    if (!over)
        return "Running";
    return n.good == n.all ? "Succeeded" : "Failed";
}

/* --- containers ------------------------------------------------------------------------------ */

static void
put_text(struct mh_buf *b, const char *name, const char *text)
{
    (void)mh_buf_printf(b, "\"%s\":", name);
    (void)mh_json_quote(b, text, strlen(text));
}

static void
put_time(struct mh_buf *b, const char *name, int64_t us)
{
    char at[MH_TIME_TEXT];
    mh_time_rfc3339(at, us / 1000000);
    put_text(b, name, at);
}

static void
put_end(struct mh_buf *b, const struct mh_sb_end *e)
{
    (void)mh_buf_printf(b, "{\"terminated\":{\"exitCode\":%d,", e->code);
    if (e->signal)
        (void)mh_buf_printf(b, "\"signal\":%d,", e->signal);
    put_text(b, "reason", e->reason);
    (void)mh_buf_char(b, ',');
    if (e->message[0]) {
        put_text(b, "message", e->message);
        (void)mh_buf_char(b, ',');
    }
    put_time(b, "startedAt", e->started_us);
    (void)mh_buf_char(b, ',');
    put_time(b, "finishedAt", e->finished_us);
    (void)mh_buf_char(b, ',');
    put_text(b, "containerID", e->id);
    (void)mh_buf_str(b, "}}");
}

static void
put_state(struct mh_buf *b, const struct mh_sb_container *c)
{
    const char *why = c->why[0]                                           ? c->why
                      : c->pod->ninit && !c->init && !c->pod->initialized ? "PodInitializing"
                      : c->pod->ninit                                     ? "PodInitializing"
                                                                          : "ContainerCreating";
    (void)mh_buf_str(b, "\"state\":");
    if (c->run == MH_SB_RUNNING) {
        (void)mh_buf_str(b, "{\"running\":{");
        put_time(b, "startedAt", c->started_us);
        (void)mh_buf_str(b, "}}");
    } else if (c->run == MH_SB_ENDED && !c->why[0]) {
        put_end(b, &c->end);
    } else {
        (void)mh_buf_str(b, "{\"waiting\":{");
        put_text(b, "reason", why);
        if (c->message[0]) {
            (void)mh_buf_char(b, ',');
            put_text(b, "message", c->message);
        }
        (void)mh_buf_str(b, "}}");
    }
    (void)mh_buf_str(b, ",\"lastState\":");
    if (c->run == MH_SB_ENDED && c->why[0])
        put_end(b, &c->end);
    else if (c->last.is)
        put_end(b, &c->last);
    else
        (void)mh_buf_str(b, "{}");
}

static void
put_container(struct mh_buf *b, const struct mh_sb_container *c)
{
    const char *image = mh_json_str(mh_sb_container_spec(c), "image", NULL);
    bool done = c->init && !c->sidecar && c->run == MH_SB_ENDED && c->end.code == 0;
    bool ready = done || (c->run == MH_SB_RUNNING && c->ready);
    (void)mh_buf_char(b, '{');
    put_text(b, "name", c->name);
    (void)mh_buf_char(b, ',');
    put_state(b, c);
    (void)mh_buf_printf(b, ",\"ready\":%s,\"restartCount\":%d,", ready ? "true" : "false",
                        c->restarts);
    put_text(b, "image", image ? image : "");
    (void)mh_buf_char(b, ',');
    put_text(b, "imageID", c->id[0] && image ? image : "");
    if (c->id[0]) {
        (void)mh_buf_char(b, ',');
        put_text(b, "containerID", c->id);
    }
    bool started = c->run == MH_SB_RUNNING && (c->started || (c->init && !c->sidecar));
    (void)mh_buf_printf(b, ",\"started\":%s}", started ? "true" : "false");
}

static void
put_containers(struct mh_buf *b, const struct mh_sb_pod *p, const char *name, int from, int to)
{
    if (from == to)
        return;
    (void)mh_buf_printf(b, ",\"%s\":[", name);
    for (int i = from; i < to; i++) {
        if (i > from)
            (void)mh_buf_char(b, ',');
        put_container(b, &p->containers[i]);
    }
    (void)mh_buf_char(b, ']');
}

/* --- conditions ------------------------------------------------------------------------------ */

static yyjson_val *
condition(const struct mh_sb_pod *p, const char *type)
{
    yyjson_val *c;
    size_t i;
    size_t max;
    yyjson_arr_foreach(mh_json_get(p->object, "status", "conditions", NULL), i, max, c)
    {
        if (mh_str_eq(mh_json_str(c, "type", NULL), type))
            return c;
    }
    return NULL;
}

static const char *const own_types[MH_SB_CONDITIONS] = {
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
};

/* When it became what it is. What was written counts, not what was heard of it: that may lag, and each
 * look would make another time of it. The object is for a node that has just begun. */
static const char *
since_when(struct mh_sb_pod *p, int which, bool is)
{
    yyjson_val *old = condition(p, own_types[which]);
    const char *since = mh_json_str(old, "lastTransitionTime", NULL);
    if (p->conditions[which].known && p->conditions[which].is == is)
        return p->conditions[which].since;
    bool as_before = !p->conditions[which].known && since &&
                     mh_str_eq(mh_json_str(old, "status", NULL), is ? "True" : "False");
    if (as_before)
        mh_str_copy(p->conditions[which].since, MH_TIME_TEXT, since);
    else
        mh_time_rfc3339(p->conditions[which].since, mh_sb_wall(p->nodes) / 1000000);
    p->conditions[which].known = true;
    p->conditions[which].is = is;
    return p->conditions[which].since;
}

static void
put_condition(struct mh_buf *b, struct mh_sb_pod *p, int which, bool is, const char *reason,
              const char *message)
{
    if (b->data[b->len - 1] != '[')
        (void)mh_buf_char(b, ',');
    (void)mh_buf_char(b, '{');
    put_text(b, "type", own_types[which]);
    (void)mh_buf_char(b, ',');
    put_text(b, "status", is ? "True" : "False");
    (void)mh_buf_str(b, ",\"lastProbeTime\":null,");
    put_text(b, "lastTransitionTime", since_when(p, which, is));
    if (reason && !is) {
        (void)mh_buf_char(b, ',');
        put_text(b, "reason", reason);
    }
    if (message && !is) {
        (void)mh_buf_char(b, ',');
        put_text(b, "message", message);
    }
    (void)mh_buf_char(b, '}');
}

static bool
is_own(const char *type)
{
    for (size_t i = 0; i < MH_SB_CONDITIONS; i++) {
        if (mh_str_eq(type, own_types[i]))
            return true;
    }
    return false;
}

static void
put_foreign(struct mh_buf *b, const struct mh_sb_pod *p, struct mh_arena *a)
{
    yyjson_val *c;
    size_t i;
    size_t max;
    yyjson_arr_foreach(mh_json_get(p->object, "status", "conditions", NULL), i, max, c)
    {
        const char *text = is_own(mh_json_str(c, "type", NULL)) ? NULL : mh_json_text(a, c, NULL);
        if (!text)
            continue;
        if (b->data[b->len - 1] != '[')
            (void)mh_buf_char(b, ',');
        (void)mh_buf_str(b, text);
    }
}

static const char *
names_of(const struct mh_sb_pod *p, struct mh_arena *a, int from, int to, bool init)
{
    const char *out = "";
    for (int i = from; i < to && out; i++) {
        const struct mh_sb_container *c = &p->containers[i];
        bool good =
            init ? c->run == MH_SB_ENDED && c->end.code == 0 : c->run == MH_SB_RUNNING && c->ready;
        if (!good)
            out = mh_arena_printf(a, "%s%s%s", out, *out ? " " : "", c->name);
    }
    return out;
}

static void
put_conditions(struct mh_buf *b, struct mh_sb_pod *p, struct mh_arena *a, const char *phase)
{
    struct counts n = count(p);
    bool done = strcmp(phase, "Succeeded") == 0;
    bool failed = strcmp(phase, "Failed") == 0;
    bool ready = p->initialized && n.ready == n.all && !done && !failed;
    const char *why = done ? "PodCompleted" : failed ? "PodFailed" : "ContainersNotReady";
    const char *unready = done || failed
                              ? NULL
                              : mh_arena_printf(a, "containers with unready status: [%s]",
                                                names_of(p, a, p->ninit, p->ncontainers, false));
    const char *incomplete = mh_arena_printf(a, "containers with incomplete status: [%s]",
                                             names_of(p, a, 0, p->ninit, true));
    (void)mh_buf_str(b, ",\"conditions\":[");
    put_foreign(b, p, a);
    put_condition(b, p, 0, p->admitted && !done && !failed, NULL, NULL);
    put_condition(b, p, 1, p->initialized, "ContainersNotInitialized", incomplete);
    put_condition(b, p, 2, ready, why, unready);
    put_condition(b, p, 3, ready, why, unready);
    (void)mh_buf_char(b, ']');
}

/* --- the whole ------------------------------------------------------------------------------- */

static void
put_status(struct mh_buf *b, struct mh_sb_pod *p, struct mh_arena *a)
{
    const char *phase = mh_sb_pod_phase(p);
    int n = p->nodes->spec.n;
    (void)mh_buf_printf(b, "{\"metadata\":{\"uid\":\"%s\"},\"status\":{", p->uid);
    put_text(b, "phase", phase);
    (void)mh_buf_printf(b, ",\"hostIP\":\"127.%d.%d.1\",\"hostIPs\":[{\"ip\":\"127.%d.%d.1\"}]", n,
                        16 + p->node->index, n, 16 + p->node->index);
    if (p->address[0])
        (void)mh_buf_printf(b, ",\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}]", p->address,
                            p->address);
    (void)mh_buf_char(b, ',');
    put_time(b, "startTime", p->started_us);
    put_conditions(b, p, a, phase);
    put_containers(b, p, "initContainerStatuses", 0, p->ninit);
    put_containers(b, p, "containerStatuses", p->ninit, p->ncontainers);
    (void)mh_buf_str(b, "}}");
}

static uint64_t
hash_of(const char *text)
{
    uint64_t h = 14695981039346656037ULL;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211ULL;
    return h;
}

static bool
is_empty(const struct mh_sb_pod *p)
{
    for (int i = 0; i < p->ncontainers; i++) {
        if (p->containers[i].has_proc)
            return false;
    }
    return true;
}

static void on_done(struct mh_api_call *call);

static void
submit(struct mh_sb_pod *p, const char *method, const char *path, const char *body)
{
    p->call = (struct mh_api_call){ .method = method,
                                    .path = path,
                                    .content_type = MH_PATCH_MERGE,
                                    .body = body,
                                    .body_len = strlen(body),
                                    .arena = &p->call_arena,
                                    .done = on_done,
                                    .arg = p };
    if (strcmp(method, "DELETE") == 0)
        p->call.content_type = NULL;
    p->nodes->spec.api.start(p->nodes->spec.api.self, &p->call);
}

static void
send_delete(struct mh_sb_pod *p)
{
    const char *path =
        mh_arena_printf(&p->call_arena, "/api/v1/namespaces/%s/pods/%s", p->ns, p->name);
    const char *body =
        mh_arena_printf(&p->call_arena,
                        "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\","
                        "\"gracePeriodSeconds\":0,\"preconditions\":{\"uid\":\"%s\"}}",
                        p->uid);
    if (!path || !body)
        return;
    p->calling = MH_SB_POD_DELETE;
    p->delete_sent = true;
    submit(p, "DELETE", path, body);
}

static void
on_done(struct mh_api_call *call)
{
    struct mh_sb_pod *p = call->arg;
    bool was_delete = p->calling == MH_SB_POD_DELETE;
    bool failed = call->err.code != MH_OK && call->err.code != MH_E_NOTFOUND;
    if (failed)
        mh_log_err(MH_LOG_WARNING, "node", "a pod's status was refused", &call->err, "pod", p->key);
    p->calling = MH_SB_POD_IDLE;
    mh_arena_release(&p->call_arena);
    if (failed && was_delete)
        p->delete_sent = false;
    if (failed)
        p->written_is = false;
    if (failed || p->dirty || (!was_delete && p->deleting))
        mh_sb_pod_later(p, failed ? AGAIN_NS : 0);
}

void
mh_sb_pod_status(struct mh_sb_pod *p)
{
    if (p->removed || p->nodes->stopping)
        return;
    p->dirty = p->calling != MH_SB_POD_IDLE;
    if (p->dirty)
        return;
    struct mh_buf b;
    mh_buf_init(&b, STATUS_MAX);
    mh_arena_release(&p->call_arena);
    if (!p->finished)
        put_status(&b, p, &p->call_arena);
    uint64_t hash = hash_of(mh_buf_text(&b));
    if (!p->finished && (!p->written_is || hash != p->written)) {
        const char *path =
            mh_arena_printf(&p->call_arena, "/api/v1/namespaces/%s/pods/%s/status", p->ns, p->name);
        const char *body = mh_arena_strdup(&p->call_arena, mh_buf_text(&b));
        if (path && body && !b.failed) {
            p->calling = MH_SB_POD_STATUS;
            p->written = hash;
            p->written_is = true;
            submit(p, "PATCH", path, body);
        }
    } else if (p->deleting && !p->delete_sent && is_empty(p)) {
        send_delete(p);
    }
    mh_buf_release(&b);
}
