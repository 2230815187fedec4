/* control.c - start and stop of the controllers, and the tasks in which they work. */
#include "sandbox/control.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/control_in.h"
#include "sandbox/sandbox.h"

#define TURN 64       /* tasks in one turn of the loop */
#define ROUNDS_MAX 40 /* writes in a row before a task has to wait */
#define RETRY_MIN_NS (5 * MH_NS_PER_MS)
#define RETRY_MAX_NS (5 * MH_NS_PER_S)
#define LATE_NS (5 * MH_NS_PER_S)
#define TASK_ARENA ((size_t)256 << 20)

static void (*const workers[MH_SB_WORKERS])(struct mh_sb_task *t) = {
    [MH_SB_W_BASE] = mh_sb_base_sync,
    [MH_SB_W_ACCOUNT] = mh_sb_account_sync,
    [MH_SB_W_SCHED] = mh_sb_sched_sync,
    [MH_SB_W_CLAIM] = mh_sb_claim_sync,
    [MH_SB_W_VOLUME] = mh_sb_volume_sync,
    [MH_SB_W_ADDRESS] = mh_sb_address_sync,
    [MH_SB_W_ENDPOINTS] = mh_sb_endpoints_sync,
    [MH_SB_W_DEPLOYMENT] = mh_sb_deployment_sync,
    [MH_SB_W_REPLICASET] = mh_sb_replicaset_sync,
    [MH_SB_W_JOB] = mh_sb_job_sync,
    [MH_SB_W_NODE] = mh_sb_node_sync,
    [MH_SB_W_PODGC] = mh_sb_podgc_sync,
    [MH_SB_W_BUDGET] = mh_sb_budget_sync,
};

static void pump(void *arg);

/* --- tasks ----------------------------------------------------------------------------------- */

static void
free_task(struct mh_sb_task *t)
{
    t->c->clock.cancel(t->c->clock.self, t->timer);
    if (t->id)
        (void)mh_map_remove(&t->c->tasks, t->id);
    mh_free(t->id);
    mh_free(t->ns);
    mh_free(t->name);
    mh_free(t);
}

static struct mh_sb_task *
new_task(struct mh_sb_control *c, enum mh_sb_worker_id w, const char *ns, const char *name,
         const char *id)
{
    struct mh_sb_task *t = mh_calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    *t = (struct mh_sb_task){
        .c = c, .worker = w, .ns = mh_strdup(ns), .name = mh_strdup(name), .again_ns = -1
    };
    if (t->ns && t->name && mh_map_put(&c->tasks, id, t, NULL))
        t->id = mh_strdup(id);
    if (!t->id) {
        (void)mh_map_remove(&c->tasks, id);
        free_task(t);
        return NULL;
    }
    return t;
}

static void
wake(struct mh_sb_control *c)
{
    if (!c->pump && c->first && c->synced)
        c->pump = c->clock.after(c->clock.self, 0, pump, c);
}

static void
enqueue(struct mh_sb_task *t)
{
    struct mh_sb_control *c = t->c;
    if (t->queued)
        return;
    c->clock.cancel(c->clock.self, t->timer);
    t->timer = NULL;
    t->queued = true;
    t->next = NULL;
    if (c->last)
        c->last->next = t;
    else
        c->first = t;
    c->last = t;
    wake(c);
}

void
mh_sb_touch(struct mh_sb_control *c, enum mh_sb_worker_id w, const char *ns, const char *name)
{
    char id[MH_SB_KEY + 8];
    if (snprintf(id, sizeof(id), "%d %s/%s", (int)w, ns, name) >= (int)sizeof(id))
        return;
    struct mh_sb_task *t = mh_map_get(&c->tasks, id);
    if (!t)
        t = new_task(c, w, ns, name, id);
    if (!t) {
        mh_warn("sandbox", "a controller forgets an object, no memory", "object", name);
        return;
    }
    if (t->running || t->open > 0)
        t->touched = true;
    else if (!t->timer || t->failures == 0)
        enqueue(t);
}

void
mh_sb_touch_object(struct mh_sb_control *c, enum mh_sb_worker_id w, yyjson_val *object)
{
    mh_sb_touch(c, w, mh_sb_ns(object), mh_sb_name(object));
}

void
mh_sb_again(struct mh_sb_task *t, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    if (t->again_ns < 0 || ns < t->again_ns)
        t->again_ns = ns;
}

void
mh_sb_failed(struct mh_sb_task *t)
{
    t->refused = true;
}

static void
on_time(void *arg)
{
    struct mh_sb_task *t = arg;
    t->timer = NULL;
    enqueue(t);
}

static void
later(struct mh_sb_task *t, int64_t ns)
{
    struct mh_sb_control *c = t->c;
    c->clock.cancel(c->clock.self, t->timer);
    t->timer = c->clock.after(c->clock.self, ns, on_time, t);
    if (!t->timer)
        enqueue(t);
}

/* All that the worker asked for has happened: what is next for this task? */
static void
settle(struct mh_sb_task *t)
{
    if (t->refused) {
        int64_t wait = RETRY_MIN_NS << (t->failures < 10 ? t->failures : 10);
        t->failures++;
        later(t, wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS);
    } else if (t->wrote) {
        t->failures = 0;
        t->rounds++;
        if (t->rounds > ROUNDS_MAX)
            later(t, 100 * MH_NS_PER_MS);
        else
            enqueue(t);
    } else if (t->touched) {
        t->failures = t->rounds = 0;
        enqueue(t);
    } else if (t->again_ns >= 0) {
        t->failures = t->rounds = 0;
        later(t, t->again_ns);
    } else {
        free_task(t);
        return;
    }
    t->refused = t->wrote = t->touched = false;
}

static void
run(struct mh_sb_task *t)
{
    t->running = true;
    t->touched = t->refused = t->wrote = false;
    t->again_ns = -1;
    mh_arena_init(&t->arena, TASK_ARENA);
    workers[t->worker](t);
    mh_arena_release(&t->arena);
    t->running = false;
    if (t->open == 0)
        settle(t);
}

static void
pump(void *arg)
{
    struct mh_sb_control *c = arg;
    c->pump = NULL;
    for (int n = 0; n < TURN && c->first; n++) {
        struct mh_sb_task *t = c->first;
        c->first = t->next;
        if (!c->first)
            c->last = NULL;
        t->queued = false;
        run(t);
    }
    wake(c);
}

/* --- writes ---------------------------------------------------------------------------------- */

static void
free_write(struct mh_sb_ctl_write *w)
{
    struct mh_sb_control *c = w->task->c;
    if (w->prev)
        w->prev->next = w->next;
    else
        c->writes = w->next;
    if (w->next)
        w->next->prev = w->prev;
    struct mh_arena a = w->arena; /* w is on it */
    mh_arena_release(&a);
}

static void
on_written(struct mh_api_call *call)
{
    struct mh_sb_ctl_write *w = call->arg;
    struct mh_sb_task *t = w->task;
    bool deletion = strcmp(call->method, "DELETE") == 0;
    if (call->err.code == MH_OK) {
        t->wrote = true;
        mh_sb_tables_wrote(t->c, call->reply);
        if (deletion)
            mh_sb_tables_doom(t->c, call->path);
    } else if (!(deletion && call->err.code == MH_E_NOTFOUND)) {
        t->refused = true;
        if (t->failures == 4)
            mh_log_err(MH_LOG_WARNING, "sandbox", "a controller's write is refused", &call->err,
                       "method", call->method, "path", call->path);
        else
            mh_log_err(MH_LOG_DEBUG, "sandbox", "a controller's write is refused", &call->err,
                       "method", call->method, "path", call->path);
    }
    if (w->done)
        w->done(t, call);
    free_write(w);
    if (--t->open == 0 && !t->running)
        settle(t);
}

void
mh_sb_ctl_write_then(struct mh_sb_task *t, const char *method, const char *path,
                     const char *content_type, const char *body,
                     void (*done)(struct mh_sb_task *t, struct mh_api_call *call))
{
    struct mh_sb_control *c = t->c;
    struct mh_arena a;
    mh_arena_init(&a, (size_t)64 << 20);
    struct mh_sb_ctl_write *w = mh_arena_alloc(&a, sizeof(*w));
    char *p = path ? mh_arena_strdup(&a, path) : NULL;
    char *b = body ? mh_arena_strdup(&a, body) : NULL;
    if (!w || !p || (!b && strcmp(method, "GET") != 0)) {
        mh_arena_release(&a);
        t->refused = true;
        return;
    }
    w->task = t;
    w->done = done;
    w->call = (struct mh_api_call){ .method = method,
                                    .path = p,
                                    .content_type = content_type,
                                    .body = b,
                                    .body_len = b ? strlen(b) : 0,
                                    .done = on_written,
                                    .arg = w };
    w->arena = a;
    w->call.arena = &w->arena;
    w->next = c->writes;
    if (c->writes)
        c->writes->prev = w;
    c->writes = w;
    t->open++;
    c->api.start(c->api.self, &w->call);
}

void
mh_sb_ctl_write(struct mh_sb_task *t, const char *method, const char *path,
                const char *content_type, const char *body)
{
    mh_sb_ctl_write_then(t, method, path, content_type, body, NULL);
}

void
mh_sb_ctl_delete(struct mh_sb_task *t, enum mh_sb_table_id id, yyjson_val *o, int grace)
{
    char *path = mh_sb_path(t->c, &t->arena, id, mh_sb_ns(o), mh_sb_name(o), NULL);
    char *body =
        mh_sb_text(t,
                   "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",%s"
                   "\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":%s}}",
                   grace == 0 ? "\"gracePeriodSeconds\":0," : "", mh_sb_quote(t, mh_sb_uid_of(o)));
    mh_sb_ctl_write(t, "DELETE", path, NULL, body);
}

/* --- start and stop -------------------------------------------------------------------------- */

bool
mh_sb_control_idle(const struct mh_sb_control *c)
{
    if (!c->synced || c->first || c->writes)
        return false;
    for (size_t i = 0; i < c->tasks.len; i++) {
        const struct mh_sb_task *t = c->tasks.entries[i].value;
        if (t->failures > 0)
            return false;
    }
    return true;
}

static void
on_late(void *arg)
{
    struct mh_sb_control *c = arg;
    c->late = NULL;
    for (int n = 0; n < MH_SB_TABLES; n++) {
        if (!c->tables[n].synced)
            mh_warn("sandbox", "the controllers wait for a list", "kind", c->tables[n].kind);
    }
}

/* Nothing is decided before everything was listed once. Called by the base task, which is touched
 * by every list. */
static void
check_synced(struct mh_sb_control *c)
{
    for (int n = 0; n < MH_SB_TABLES; n++) {
        if (!c->tables[n].synced)
            return;
    }
    c->clock.cancel(c->clock.self, c->late);
    c->late = NULL;
    c->synced = true;
    wake(c);
}

void
mh_sb_control_listed(struct mh_sb_control *c)
{
    if (!c->synced)
        check_synced(c);
}

static bool
keep_config(struct mh_sb_control *c, const struct mh_sb_control_config *config)
{
    c->config = *config;
    c->config.data = mh_arena_strdup(&c->arena, config->data);
    c->config.ca_pem = mh_arena_strdup(&c->arena, config->ca_pem ? config->ca_pem : "");
    if (!c->config.api_port)
        c->config.api_port = MH_SB_API_PORT;
    if (!c->config.node_grace_ns)
        c->config.node_grace_ns = 5 * MH_NS_PER_S;
    if (!c->config.evict_ns)
        c->config.evict_ns = 300 * MH_NS_PER_S;
    return c->config.ca_pem && (c->config.data || !config->data);
}

struct mh_sb_control *
mh_sb_control_start(struct mh_api api, struct mh_clock clock, struct event_base *loop,
                    const struct mh_sb_control_config *config, struct mh_err *err)
{
    if (config->n < 1 || config->n > 254) {
        (void)mh_fail(err, MH_E_INVALID, "127.%d is no network of a sandbox", config->n);
        return NULL;
    }
    struct mh_sb_control *c = mh_calloc(1, sizeof(*c));
    if (!c) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for the controllers");
        return NULL;
    }
    c->api = api;
    c->clock = clock;
    c->loop = loop;
    mh_arena_init(&c->arena, (size_t)1 << 20);
    mh_map_init(&c->tasks, MH_SB_OBJECTS_MAX);
    mh_map_init(&c->events, 64);
    if (!keep_config(c, config) || !mh_sb_sched_init(c) || !mh_sb_claims_init(c) ||
        !mh_sb_services_init(c) || !mh_sb_nodelife_init(c) || !mh_sb_tables_start(c)) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for the controllers");
        mh_sb_control_stop(c);
        return NULL;
    }
    mh_sb_touch(c, MH_SB_W_BASE, "", "base");
    c->late = clock.after(clock.self, LATE_NS, on_late, c);
    return c;
}

void
mh_sb_control_stop(struct mh_sb_control *c)
{
    if (!c)
        return;
    c->clock.cancel(c->clock.self, c->pump);
    c->clock.cancel(c->clock.self, c->late);
    while (c->writes) {
        c->api.cancel(c->api.self, &c->writes->call);
        free_write(c->writes);
    }
    mh_sb_tables_stop(c);
    mh_sb_services_release(c);
    mh_sb_sched_release(c);
    mh_sb_claims_release(c);
    mh_sb_nodelife_release(c);
    while (c->tasks.len)
        free_task(c->tasks.entries[c->tasks.len - 1].value);
    mh_map_release(&c->tasks);
    for (size_t i = 0; i < c->events.len; i++)
        mh_events_free(c->events.entries[i].value);
    mh_map_release(&c->events);
    mh_arena_release(&c->arena);
    mh_free(c);
}
