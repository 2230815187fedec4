/* know.c - what the API server tells: the Cluster, the Lease, the certificates' secrets. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "instance/agent.h"
#include "net/crypto.h"

#define CLUSTER_MAX ((size_t)4 << 20)
#define LEASE_ASK_NS MH_NS_PER_S
#define SECRET_MAX ((size_t)1 << 20)
#define FAILED_RETRY_NS (1000LL * 1000000LL)

/* A copy of object in an empty arena; NULL: no memory. */
static yyjson_val *
copy_to(struct mh_arena *arena, yyjson_val *object)
{
    size_t len = 0;
    yyjson_val *copy = NULL;
    char *text = mh_json_text(arena, object, &len);
    if (!text || mh_json_parse(arena, text, len, &copy, NULL))
        return NULL;
    return copy;
}

/* What comes takes the place of what was there only when it is whole. */
static void
replace(struct mh_arena *arena, const struct mh_arena *fresh)
{
    mh_arena_release(arena);
    *arena = *fresh;
}

/* --- secrets --------------------------------------------------------------------------------- */

struct secret_get {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
    const char *key_cert; /* which keys go where */
    char **cert;
    const char *key_key;
    char **key;
};

static void fetch_secrets(struct mh_agent *g);

static void
fetch_again(void *arg)
{
    struct mh_agent *g = arg;
    if (g->know.secrets_left == 0)
        fetch_secrets(g);
    else
        g->know.secrets_again = true;
}

static bool
take(struct secret_get *s, const char *key, char **to)
{
    const char *b64 = mh_json_str(s->call.reply, "data", key, NULL);
    char *text = b64 ? mh_base64_decode(&s->arena, b64, strlen(b64), NULL) : NULL;
    char *copy = text ? mh_strdup(text) : NULL;
    if (!copy)
        return false;
    mh_free(*to);
    *to = copy;
    return true;
}

static void
all_fetched(struct mh_agent *g)
{
    struct mh_know *k = &g->know;
    struct mh_err err;
    if (!k->server_cert || !k->client_ca || !k->server_ca || !k->repl_cert || k->secrets_again) {
        k->secrets_again = false;
        k->secrets_seen[0] = '\0';
        (void)g->w.clock.after(g->w.clock.self, FAILED_RETRY_NS, fetch_again, g);
        return;
    }
    if (mh_conf_certificates(g, &err)) {
        mh_log_err(MH_LOG_ERROR, "certificates", "cannot be written", &err);
        (void)g->w.clock.after(g->w.clock.self, FAILED_RETRY_NS, fetch_again, g);
        return;
    }
    k->certs_ready = true;
    k->certs_version++;
    g->conf_dirty = true;
    mh_agent_wake(g);
}

static void
on_secret(struct mh_api_call *call)
{
    struct secret_get *s = call->arg;
    struct mh_agent *g = s->g;
    bool ok = call->err.code == MH_OK && take(s, s->key_cert, s->cert) &&
              (!s->key_key || take(s, s->key_key, s->key));
    if (!ok) {
        g->know.secrets_again = true;
        mh_log_err(MH_LOG_WARNING, "certificates", "a secret is not there yet", &call->err, "path",
                   call->path);
    }
    mh_arena_release(&s->arena);
    mh_free(s);
    if (--g->know.secrets_left == 0)
        all_fetched(g);
}

static void
get_secret(struct mh_agent *g, const char *name, const char *cert_key, char **cert,
           const char *key_key, char **key)
{
    struct secret_get *s = mh_calloc(1, sizeof(*s));
    if (!s) {
        g->know.secrets_again = true;
        return;
    }
    mh_arena_init(&s->arena, SECRET_MAX * 4);
    s->g = g;
    s->key_cert = cert_key;
    s->cert = cert;
    s->key_key = key_key;
    s->key = key;
    s->call =
        (struct mh_api_call){ .method = "GET", .arena = &s->arena, .done = on_secret, .arg = s };
    s->call.path = mh_arena_printf(&s->arena, "/api/v1/namespaces/%s/secrets/%s", g->id.ns, name);
    g->know.secrets_left++;
    g->w.api.start(g->w.api.self, &s->call);
}

static const char *
secret_name(struct mh_agent *g, const char *key, const char *suffix, char buf[300])
{
    const char *s = mh_json_str(g->know.cluster, "spec", "certificates", key, NULL);
    if (s && *s)
        return s;
    (void)snprintf(buf, 300, "%s-%s", g->id.cluster, suffix);
    return buf;
}

static void
fetch_secrets(struct mh_agent *g)
{
    struct mh_know *k = &g->know;
    char buf[300];
    if (k->secrets_left > 0) {
        k->secrets_again = true;
        return;
    }
    k->secrets_left++; /* so that a synchronous failure does not end the round early */
    get_secret(g, secret_name(g, "serverTLSSecret", "server", buf), "tls.crt", &k->server_cert,
               "tls.key", &k->server_key);
    get_secret(g, secret_name(g, "replicationTLSSecret", "replication", buf), "tls.crt",
               &k->repl_cert, "tls.key", &k->repl_key);
    get_secret(g, secret_name(g, "clientCASecret", "ca", buf), "ca.crt", &k->client_ca, NULL, NULL);
    get_secret(g, secret_name(g, "serverCASecret", "ca", buf), "ca.crt", &k->server_ca, NULL, NULL);
    if (--k->secrets_left == 0)
        all_fetched(g);
}

/* --- Cluster --------------------------------------------------------------------------------- */

static void
look_at_cluster(struct mh_agent *g)
{
    struct mh_know *k = &g->know;
    char digest[MH_SHA256_HEX] = "";
    yyjson_val *versions = mh_json_get(k->cluster, "status", "secretsResourceVersion", NULL);
    yyjson_val *names = mh_json_get(k->cluster, "spec", "certificates", NULL);
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    char *one = versions ? mh_json_canonical(&a, versions, NULL) : NULL;
    char *two = names ? mh_json_canonical(&a, names, NULL) : NULL;
    char *both = mh_arena_printf(&a, "%s|%s", one ? one : "", two ? two : "");
    if (both)
        mh_sha256_hex(digest, both, strlen(both));
    mh_arena_release(&a);
    if (strcmp(digest, k->secrets_seen) != 0) {
        mh_str_copy(k->secrets_seen, sizeof(k->secrets_seen), digest);
        fetch_secrets(g);
    }
    g->conf_dirty = true;
    mh_agent_wake(g);
}

static void
on_cluster(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_agent *g = arg;
    if (kind != MH_WATCH_ADDED && kind != MH_WATCH_MODIFIED)
        return; /* a deleted Cluster takes its pods with it */
    if (!mh_str_eq(mh_json_str(object, "metadata", "name", NULL), g->id.cluster))
        return;
    struct mh_arena fresh;
    mh_arena_init(&fresh, CLUSTER_MAX * 3);
    yyjson_val *copy = copy_to(&fresh, object);
    if (!copy) {
        mh_arena_release(&fresh);
        mh_error("api", "no memory for the Cluster: the former one holds");
        return;
    }
    replace(&g->know.cluster_arena, &fresh);
    g->know.cluster = copy;
    int level = mh_log_level_of(mh_json_str(copy, "spec", "logLevel", NULL)
                                    ? mh_json_str(copy, "spec", "logLevel", NULL)
                                    : "info");
    if (level >= 0)
        mh_log_set_level((enum mh_log_level)level);
    look_at_cluster(g);
}

const char *
mh_know_spec_str(const struct mh_agent *g, const char *key)
{
    return mh_json_str(g->know.cluster, "spec", key, NULL);
}

/* --- Lease ----------------------------------------------------------------------------------- */

/* False: the text is older than what we have. resourceVersions of one object grow. */
static bool
is_newer(const struct mh_know *k, yyjson_val *object)
{
    int64_t old = 0;
    int64_t new = 0;
    if (!k->lease_known || !k->lease.exists ||
        !mh_str_int(k->lease.resource_version, 0, INT64_MAX, &old) ||
        !mh_str_int(mh_json_str(object, "metadata", "resourceVersion", NULL), 0, INT64_MAX, &new))
        return true;
    return new >= old;
}

/* Since when it is as it is, by our clock: nobody's wall clock is believed (D11). */
static void
note_change(struct mh_know *k, yyjson_val *object, int64_t now)
{
    const char *version = mh_json_str(object, "metadata", "resourceVersion", NULL);
    const char *renewed = mh_json_str(object, "spec", "renewTime", NULL);
    const char *ranking =
        mh_json_str(object, "metadata", "annotations", "moonherd.io/ranking", NULL);
    if (!k->version_ns || strcmp(version ? version : "", k->lease_version) != 0) {
        mh_str_copy(k->lease_version, sizeof(k->lease_version), version);
        k->version_ns = now;
    }
    if (!k->renewed_ns || strcmp(renewed ? renewed : "", k->lease_renewed) != 0) {
        mh_str_copy(k->lease_renewed, sizeof(k->lease_renewed), renewed);
        k->renewed_ns = now;
    }
    if (!k->ranking_ns ||
        strncmp(ranking ? ranking : "", k->ranking, sizeof(k->ranking) - 1) != 0) {
        mh_str_copy(k->ranking, sizeof(k->ranking), ranking);
        k->ranking_ns = now;
    }
}

bool
mh_know_lease(struct mh_agent *g, yyjson_val *object, bool authoritative)
{
    struct mh_know *k = &g->know;
    struct mh_err err;
    if (object && !authoritative && !is_newer(k, object))
        return true;
    enum mh_ha_phase phase = k->lease.phase;
    uint64_t term = k->lease.term;
    struct mh_arena fresh;
    struct mh_ha_lease lease = { 0 };
    mh_arena_init(&fresh, SECRET_MAX);
    yyjson_val *copy = object ? copy_to(&fresh, object) : NULL;
    enum mh_code code = object && !copy ? mh_fail(&err, MH_E_NOMEM, "no memory")
                                        : mh_ha_lease_read(&fresh, copy, &lease, &err);
    if (code == MH_E_NOMEM) {
        mh_arena_release(&fresh);
        mh_error("lease", "no memory for the lease: the former one holds");
        return false;
    }
    replace(&k->lease_arena, &fresh);
    k->lease = lease;
    k->lease_bad = code != MH_OK;
    if (k->lease_bad)
        mh_log_err(MH_LOG_ERROR, "lease", "cannot be read: nothing is decided", &err);
    if (!k->lease_known || phase != k->lease.phase || term != k->lease.term) {
        char text[24];
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)k->lease.term);
        mh_info("lease", "the lease says", "holder", k->lease.holder, "phase",
                mh_ha_phase_name(k->lease.phase), "=term", text);
    }
    k->lease_known = true;
    k->lease_at_ns = mh_agent_now(g);
    note_change(k, object, k->lease_at_ns);
    mh_agent_wake(g);
    return true;
}

static void
on_lease(void *arg, enum mh_watch_kind kind, yyjson_val *object)
{
    struct mh_agent *g = arg;
    if (object && !mh_str_eq(mh_json_str(object, "metadata", "name", NULL), g->id.cluster))
        return;
    if (kind == MH_WATCH_ADDED || kind == MH_WATCH_MODIFIED)
        (void)mh_know_lease(g, object, false);
    else if (kind == MH_WATCH_DELETED)
        (void)mh_know_lease(g, NULL, false);
}

/* --- without the watch ------------------------------------------------------------------------- */

struct lease_read {
    struct mh_api_call call;
    struct mh_arena arena;
    struct mh_agent *g;
};

static void
on_lease_read(struct mh_api_call *call)
{
    struct lease_read *r = call->arg;
    r->g->know.lease_asked = false;
    if (call->err.code == MH_OK && call->reply)
        (void)mh_know_lease(r->g, call->reply, false);
    mh_arena_release(&r->arena);
    mh_free(r);
}

/* A8: a watch may lose an event, and nothing says so. Who waits for a word of the Lease asks. */
void
mh_know_lease_tick(struct mh_agent *g)
{
    struct mh_know *k = &g->know;
    int64_t now = mh_agent_now(g);
    bool waits = g->order.order == MH_HA_FENCE ||
                 (g->order.order == MH_HA_FOLLOW && mh_agent_pg_up(g) && !g->pg.receiving);
    if (!waits || k->lease_asked || now - k->lease_at_ns < LEASE_ASK_NS ||
        now - k->lease_asked_ns < LEASE_ASK_NS)
        return;
    struct lease_read *r = mh_calloc(1, sizeof(*r));
    if (!r)
        return;
    mh_arena_init(&r->arena, SECRET_MAX);
    r->g = g;
    r->call = (struct mh_api_call){
        .method = "GET",
        .path = mh_arena_printf(&r->arena, "/apis/coordination.k8s.io/v1/namespaces/%s/leases/%s",
                                g->id.ns, g->id.cluster),
        .timeout_ms = 1000,
        .arena = &r->arena,
        .done = on_lease_read,
        .arg = r
    };
    if (!r->call.path) {
        mh_arena_release(&r->arena);
        mh_free(r);
        return;
    }
    k->lease_asked = true;
    k->lease_asked_ns = now;
    g->api_urgent.start(g->api_urgent.self, &r->call);
}

bool
mh_know_start(struct mh_agent *g)
{
    struct mh_know *k = &g->know;
    char path[MH_PATH * 2];
    mh_arena_init(&k->cluster_arena, CLUSTER_MAX * 3);
    mh_arena_init(&k->lease_arena, SECRET_MAX);
    (void)snprintf(path, sizeof(path),
                   "/apis/%s/v1/namespaces/%s/clusters?fieldSelector=metadata.name%%3D%s",
                   g->id.group, g->id.ns, g->id.cluster);
    k->cluster_watch = g->w.api.watch(
        g->w.api.self, &(struct mh_watch_spec){ .path = path, .on_event = on_cluster, .arg = g });
    (void)snprintf(
        path, sizeof(path),
        "/apis/coordination.k8s.io/v1/namespaces/%s/leases?fieldSelector=metadata.name%%3D%s",
        g->id.ns, g->id.cluster);
    k->lease_watch = g->api_urgent.watch(
        g->api_urgent.self,
        &(struct mh_watch_spec){ .path = path, .on_event = on_lease, .arg = g });
    return k->cluster_watch && k->lease_watch;
}
