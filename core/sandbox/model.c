/* model.c - modelled instances: what is watched, and whose turn it is. */
#include "sandbox/model.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sandbox/model_in.h"

#define TICK_NS (50 * MH_NS_PER_MS)
#define CALL_ARENA ((size_t)4 << 20)

bool
mh_sb_is_modelled(yyjson_val *pod)
{
    return mh_str_eq(mh_json_str(pod, "metadata", "annotations", MH_SB_MODELLED, NULL), "true");
}

int64_t
mh_sb_model_now(const struct mh_sb_model *m)
{
    return m->clock.mono_ns(m->clock.self);
}

uint64_t
mh_sb_model_random(struct mh_sb_model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

void
mh_sb_model_uuid(struct mh_sb_model *m, char out[37])
{
    uint64_t a = mh_sb_model_random(m), b = mh_sb_model_random(m);
    (void)snprintf(out, 37, "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(a >> 32),
                   (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 52),
                   (unsigned long long)(b & 0xffffffffffffULL));
}

/* --- calls ----------------------------------------------------------------------------------- */

static void
free_call(struct mh_sb_model_call *k)
{
    if (k->prev)
        k->prev->next = k->next;
    else
        k->m->calls = k->next;
    if (k->next)
        k->next->prev = k->prev;
    struct mh_arena a = k->arena; /* k is on it */
    mh_arena_release(&a);
}

static void
on_answer(struct mh_api_call *call)
{
    struct mh_sb_model_call *k = call->arg;
    if (call->err.code != MH_OK)
        mh_log_err(MH_LOG_DEBUG, "model", "refused", &call->err, "method", call->method, "path",
                   call->path);
    if (k->member && k->done)
        k->done(k->member, call);
    free_call(k);
}

bool
mh_sb_model_ask(struct mh_sb_model_member *x, const char *method, const char *path,
                const char *type, const char *body,
                void (*done)(struct mh_sb_model_member *x, struct mh_api_call *call))
{
    struct mh_arena a;
    mh_arena_init(&a, CALL_ARENA);
    struct mh_sb_model_call *k = mh_arena_alloc(&a, sizeof(*k));
    char *p = mh_arena_strdup(&a, path), *b = mh_arena_strdup(&a, body);
    if (!k || !p || (body && !b)) {
        mh_arena_release(&a);
        return false;
    }
    *k = (struct mh_sb_model_call){ .m = x->m,
                                    .next = x->m->calls,
                                    .member = x,
                                    .done = done,
                                    .arena = a,
                                    .call = { .method = method,
                                              .path = p,
                                              .content_type = type,
                                              .body = b,
                                              .body_len = b ? strlen(b) : 0,
                                              .done = on_answer,
                                              .arg = k } };
    k->call.arena = &k->arena;
    if (k->next)
        k->next->prev = k;
    x->m->calls = k;
    x->m->api.start(x->m->api.self, &k->call);
    return true;
}

/* --- clusters -------------------------------------------------------------------------------- */

struct mh_sb_model_cluster *
mh_sb_model_cluster_of(struct mh_sb_model *m, const char *ns, const char *name)
{
    char key[400];
    if (snprintf(key, sizeof(key), "%s/%s", ns, name) >= (int)sizeof(key))
        return NULL;
    struct mh_sb_model_cluster *c = mh_map_get(&m->clusters, key);
    if (c)
        return c;
    c = mh_calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->m = m;
    c->key = mh_strdup(key);
    c->instances = 1;
    c->lease_s = 8;
    mh_str_copy(c->ns, sizeof(c->ns), ns);
    mh_str_copy(c->name, sizeof(c->name), name);
    mh_arena_init(&c->lease_arena, (size_t)1 << 20);
    if (!c->key || !mh_map_put(&m->clusters, key, c, NULL)) {
        mh_free(c->key);
        mh_free(c);
        return NULL;
    }
    return c;
}

static void
free_cluster(struct mh_sb_model_cluster *c)
{
    (void)mh_map_remove(&c->m->clusters, c->key);
    mh_arena_release(&c->lease_arena);
    mh_free(c->key);
    mh_free(c);
}

struct mh_sb_model_member *
mh_sb_model_find(const struct mh_sb_model_cluster *c, const char *name)
{
    for (struct mh_sb_model_member *x = c->members; x; x = x->next) {
        if (!x->is_job && mh_str_eq(x->name, name))
            return x;
    }
    return NULL;
}

static void
copy(char *out, size_t size, const char *s)
{
    mh_str_copy(out, size, s ? s : "");
}

static void
secret_name(char out[254], yyjson_val *o, const char *key, const char *suffix)
{
    const char *given = mh_json_str(o, "spec", "certificates", key, NULL);
    if (given && *given)
        mh_str_copy(out, 254, given);
    else
        (void)snprintf(out, 254, "%.240s-%s", mh_json_str(o, "metadata", "name", NULL), suffix);
}

static void
read_cluster(struct mh_sb_model_cluster *c, yyjson_val *o)
{
    yyjson_val *versions = mh_json_get(o, "status", "secretsResourceVersion", NULL);
    const char *server = mh_json_str(versions, "serverSecretVersion", NULL);
    const char *ca = mh_json_str(versions, "clientCaSecretVersion", NULL);
    char secrets[128];
    copy(c->uid, sizeof(c->uid), mh_json_str(o, "metadata", "uid", NULL));
    copy(c->fingerprint, sizeof(c->fingerprint),
         mh_json_str(o, "status", "operatorCertificateFingerprint", NULL));
    copy(c->current, sizeof(c->current), mh_json_str(o, "status", "currentPrimary", NULL));
    copy(c->target, sizeof(c->target), mh_json_str(o, "status", "targetPrimary", NULL));
    c->instances = (int)mh_json_int(o, 1, "spec", "instances", NULL);
    c->lease_s = (int)mh_json_int(o, 8, "spec", "primaryLease", "leaseDurationSeconds", NULL);
    secret_name(c->server_secret, o, "serverTLSSecret", "server");
    secret_name(c->client_ca, o, "clientCASecret", "ca");
    (void)snprintf(secrets, sizeof(secrets), "%.60s %.60s", server ? server : "", ca ? ca : "");
    bool renewed = strcmp(secrets, c->secrets) != 0;
    mh_str_copy(c->secrets, sizeof(c->secrets), secrets);
    for (struct mh_sb_model_member *x = c->members; x; x = x->next) {
        if (x->alive && (renewed || !x->server))
            mh_sb_model_serve(x);
        mh_sb_model_decide(x);
    }
}

static void
on_cluster(void *arg, enum mh_watch_kind kind, yyjson_val *o)
{
    struct mh_sb_model *m = arg;
    const char *ns = mh_json_str(o, "metadata", "namespace", NULL);
    const char *name = mh_json_str(o, "metadata", "name", NULL);
    if (!ns || !name)
        return;
    struct mh_sb_model_cluster *c = mh_sb_model_cluster_of(m, ns, name);
    if (c && kind == MH_WATCH_DELETED && !c->members)
        free_cluster(c);
    else if (c && kind == MH_WATCH_DELETED)
        c->uid[0] = '\0';
    else if (c)
        read_cluster(c, o);
}

static void
on_lease(void *arg, enum mh_watch_kind kind, yyjson_val *o)
{
    struct mh_sb_model *m = arg;
    const char *ns = mh_json_str(o, "metadata", "namespace", NULL);
    const char *name = mh_json_str(o, "metadata", "name", NULL);
    if (!ns || !name)
        return;
    struct mh_sb_model_cluster *c = mh_sb_model_cluster_of(m, ns, name);
    if (c)
        mh_sb_model_lease(c, kind == MH_WATCH_DELETED ? NULL : o);
}

static void
on_pod(void *arg, enum mh_watch_kind kind, yyjson_val *o)
{
    if (kind == MH_WATCH_ADDED || kind == MH_WATCH_MODIFIED)
        mh_sb_model_pod(arg, o);
    else if (kind == MH_WATCH_DELETED)
        mh_sb_model_pod_gone(arg, o);
}

/* --- time ------------------------------------------------------------------------------------ */

static void
on_tick(void *arg)
{
    struct mh_sb_model *m = arg;
    m->tick = m->clock.after(m->clock.self, TICK_NS, on_tick, m);
    unsigned turn = m->turn++ % MH_SB_MODEL_SLOTS;
    /* From the end: a member may end itself. */
    for (size_t i = m->members.len; i > 0; i--) {
        struct mh_sb_model_member *x = i <= m->members.len ? m->members.entries[i - 1].value : NULL;
        if (x && x->slot % MH_SB_MODEL_SLOTS == turn && x->alive && !x->is_job)
            mh_sb_model_turn(x);
    }
}

struct mh_sb_model *
mh_sb_model_start(struct mh_api api, struct mh_clock clock, struct event_base *loop,
                  const struct mh_sb_model_config *config, struct mh_err *err)
{
    struct mh_sb_model *m = mh_calloc(1, sizeof(*m));
    if (!m) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for modelled instances");
        return NULL;
    }
    *m = (struct mh_sb_model){ .api = api, .clock = clock, .loop = loop, .config = *config };
    m->random = (uint64_t)clock.wall_us(clock.self) | 1;
    mh_map_init(&m->members, MH_SB_MODEL_MAX);
    mh_map_init(&m->clusters, MH_SB_MODEL_MAX);
    mh_map_init(&m->volumes, 1000000);
    mh_map_init(&m->addresses, MH_SB_MODEL_MAX);
    m->clusters_watch =
        api.watch(api.self, &(struct mh_watch_spec){ .path = "/apis/postgresql.cnpg.io/v1/clusters",
                                                     .on_event = on_cluster,
                                                     .arg = m });
    m->leases =
        api.watch(api.self, &(struct mh_watch_spec){ .path = "/apis/coordination.k8s.io/v1/leases"
                                                             "?labelSelector=cnpg.io%2Fcluster",
                                                     .on_event = on_lease,
                                                     .arg = m });
    m->pods = api.watch(
        api.self, &(struct mh_watch_spec){ .path = "/api/v1/pods", .on_event = on_pod, .arg = m });
    m->tick = clock.after(clock.self, TICK_NS, on_tick, m);
    if (!m->pods || !m->clusters_watch || !m->leases || !m->tick) {
        (void)mh_fail(err, MH_E_NOMEM, "no memory for modelled instances");
        mh_sb_model_stop(m);
        return NULL;
    }
    return m;
}

void
mh_sb_model_stop(struct mh_sb_model *m)
{
    if (!m)
        return;
    m->clock.cancel(m->clock.self, m->tick);
    struct mh_watch *watches[] = { m->pods, m->clusters_watch, m->leases };
    for (size_t i = 0; i < 3; i++) {
        if (watches[i])
            m->api.unwatch(m->api.self, watches[i]);
    }
    while (m->calls) {
        m->api.cancel(m->api.self, &m->calls->call);
        free_call(m->calls);
    }
    while (m->members.len)
        mh_sb_model_free_member(m->members.entries[m->members.len - 1].value);
    while (m->clusters.len)
        free_cluster(m->clusters.entries[m->clusters.len - 1].value);
    for (size_t i = 0; i < m->volumes.len; i++)
        mh_free(m->volumes.entries[i].value);
    mh_map_release(&m->members);
    mh_map_release(&m->clusters);
    mh_map_release(&m->volumes);
    mh_map_release(&m->addresses);
    mh_free(m);
}

size_t
mh_sb_model_count(const struct mh_sb_model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->members.len; i++)
        n += ((const struct mh_sb_model_member *)m->members.entries[i].value)->alive;
    return n;
}
