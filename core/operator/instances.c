#include "operator/instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "net/x509.h"

#define PODS_MAX 20000
#define RETRY_MIN_NS (200 * MH_NS_PER_MS)
#define RETRY_MAX_NS (2 * MH_NS_PER_S)
#define CONNECT_MS 2000
#define DIALS_MAX 64 /* at a time: handshakes of a thousand would end none in time */
#define FIRST_NS (CONNECT_MS * MH_NS_PER_MS + MH_INSTANCE_LOST_NS)
#define STREAM_PATH "/moonherd/v1/stream"
#define CALL_ARENA ((size_t)1 << 20)
#define LABEL_ROLE "cnpg.io/podRole"
#define ROLE_INSTANCE "instance"
#define CERT_YEARS_S (10LL * 365 * 86400)

struct mh_instance {
    struct mh_instances *all;
    char *key; /* "ns/pod" */
    char *ns;
    char *pod;
    char *uid;
    char *ip;
    char *owner;
    const struct mh_kind *kind;
    char *ca_name; /* secret with the server CA */
    char *line;    /* last good status */
    size_t line_len;
    bool connected;
    int64_t lost_ns; /* since when not connected */
    unsigned tries;
    struct mh_buf in;
    struct mh_timer *timer; /* reconnect, or the next line must come */
    bool streaming;
    bool reading_ca;
    bool dialling; /* one of all->dialling */
    bool waiting;  /* for its turn to dial */
    struct mh_pull stream;
    struct mh_api_call ca_call;
    struct mh_arena arena; /* of that call */
};

/* What of a status makes a pass worthwhile; urgent: at once. */
static const struct {
    const char *a, *b; /* keys; b NULL: at the top */
    bool urgent;
} watched[] = {
    { "moonherd", "role", true },
    { "moonherd", "phase", true },
    { "moonherd", "pgUp", true },
    { "moonherd", "promise", true },
    { "moonherd", "gate", true },
    { "moonherd", "receiverActive", true },
    { "moonherd", "term", false },
    { "moonherd", "followsTerm", false },
    { "moonherd", "bootID", false },
    { "moonherd", "timeline", false },
    { "moonherd", "stoppedClean", false },
    { "moonherd", "shutdownLsn", false },
    { "moonherd", "crashes", false },
    { "moonherd", "failure", false },
    { "moonherd", "failover", false },
    { "moonherd", "initialized", false },
    { "moonherd", "configRead", false },
    { "isPrimary", NULL, false },
    { "systemID", NULL, false },
    { "pendingRestart", NULL, false },
    { "pendingRestartForDecrease", NULL, false },
    { "replayPaused", NULL, false },
    { "isWalReceiverActive", NULL, false },
    { "isPgRewindRunning", NULL, false },
    { "mightBeUnavailable", NULL, false },
    { "loadedConfigurationHash", NULL, false },
    { "timeLineID", NULL, false },
    { "executableHash", NULL, false },
    { "sessionID", NULL, false },
};

static void dial(struct mh_instance *i);
static void lost(struct mh_instance *i, const char *why);

static int64_t
now_ns(const struct mh_instances *all)
{
    return all->clock.mono_ns(all->clock.self);
}

static void
tell(struct mh_instance *i, bool urgent)
{
    i->all->on_change(i->all->arg, i->kind, i->ns, i->owner, urgent);
}

static void
set_timer(struct mh_instance *i, int64_t ns, void (*fn)(void *))
{
    struct mh_clock *c = &i->all->clock;
    c->cancel(c->self, i->timer);
    i->timer = c->after(c->self, ns, fn, i);
}

static void on_retry(void *arg);

/* The call has come to something: the next one may dial, who was lost last comes first. */
static void
end_dial(struct mh_instance *i)
{
    struct mh_instances *all = i->all;
    struct mh_instance *next = NULL;
    if (!i->dialling)
        return;
    i->dialling = false;
    all->dialling--;
    for (size_t n = 0; n < all->pods.len; n++) {
        struct mh_instance *x = all->pods.entries[n].value;
        if (x->waiting && (!next || x->tries < next->tries))
            next = x;
    }
    if (next) {
        next->waiting = false;
        set_timer(next, 0, on_retry);
    }
}

/* --- lines ------------------------------------------------------------------------------------- */

/* Compares what is watched; *urgent says if something urgent differs. */
static bool
differs(yyjson_val *old, yyjson_val *now, bool *urgent)
{
    bool any = false;
    *urgent = false;
    for (size_t n = 0; n < sizeof(watched) / sizeof(watched[0]); n++) {
        yyjson_val *x = mh_json_get(old, watched[n].a, watched[n].b, NULL);
        yyjson_val *y = mh_json_get(now, watched[n].a, watched[n].b, NULL);
        if (mh_json_same(x, y))
            continue;
        any = true;
        *urgent = *urgent || watched[n].urgent;
    }
    return any;
}

static void
on_silence(void *arg)
{
    struct mh_instance *i = arg;
    i->timer = NULL;
    lost(i, "no heartbeat");
}

/* One line is complete. False: it is no status, and the stream is not worth having. */
static bool
take_line(struct mh_instance *i, const char *text, size_t len)
{
    struct mh_arena a;
    yyjson_val *now, *old = NULL;
    bool urgent, ok = false;
    mh_arena_init(&a, (size_t)8 << 20);
    if (mh_json_parse(&a, text, len, &now, NULL) == MH_OK && yyjson_is_obj(now) &&
        yyjson_is_obj(yyjson_obj_get(now, "moonherd"))) {
        if (i->line)
            mh_json_parse(&a, i->line, i->line_len, &old, NULL);
        bool changed = differs(old, now, &urgent);
        size_t n;
        char *compact = mh_json_text(&a, now, &n), *kept = compact ? mh_strdup(compact) : NULL;
        if (kept) {
            mh_free(i->line);
            i->line = kept;
            i->line_len = n;
        }
        bool first = !i->connected;
        i->connected = true;
        i->tries = 0;
        end_dial(i);
        set_timer(i, MH_INSTANCE_LOST_NS, on_silence);
        if (first)
            mh_info("instances", "connected", "namespace", i->ns, "pod", i->pod);
        if (first || changed)
            tell(i, first || urgent);
        ok = true;
    }
    mh_arena_release(&a);
    return ok;
}

static void
drop_input(struct mh_instance *i)
{
    mh_buf_release(&i->in);
    mh_buf_init(&i->in, MH_INSTANCE_LINE_MAX);
}

/* The end of a line came. Most lines come whole and are never copied; no buffer stays. */
static bool
end_line(struct mh_instance *i, const char *data, size_t n)
{
    if (i->in.len == 0)
        return n <= MH_INSTANCE_LINE_MAX && (n == 0 || take_line(i, data, n));
    bool good = mh_buf_add(&i->in, data, n) && take_line(i, mh_buf_text(&i->in), i->in.len);
    drop_input(i);
    return good;
}

/* Cuts what came into lines. False: over a limit, or not JSON. */
static bool
take_data(struct mh_instance *i, const char *data, size_t len)
{
    while (len) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl ? (size_t)(nl - data) : len;
        if (!nl)
            return mh_buf_add(&i->in, data, n);
        if (!end_line(i, data, n))
            return false;
        data += n + 1;
        len -= n + 1;
    }
    return true;
}

/* --- connections ------------------------------------------------------------------------------- */

static void
hang_up(struct mh_instance *i)
{
    struct mh_instances *all = i->all;
    all->clock.cancel(all->clock.self, i->timer);
    i->timer = NULL;
    if (i->streaming)
        mh_pull_cancel(&i->stream);
    if (i->reading_ca)
        all->api.cancel(all->api.self, &i->ca_call);
    i->streaming = i->reading_ca = i->waiting = false;
    drop_input(i);
    mh_arena_release(&i->arena);
    end_dial(i);
}

static void
on_retry(void *arg)
{
    struct mh_instance *i = arg;
    i->timer = NULL;
    dial(i);
}

/* The stream is over: reports the loss if there was a connection, and tries again later. */
static void
lost(struct mh_instance *i, const char *why)
{
    bool was = i->connected;
    hang_up(i);
    i->connected = false;
    if (was) {
        i->lost_ns = now_ns(i->all);
        mh_info("instances", "connection lost", "namespace", i->ns, "pod", i->pod, "why", why);
    } else {
        mh_debug("instances", "no connection", "namespace", i->ns, "pod", i->pod, "why", why);
    }
    int64_t wait = RETRY_MIN_NS << (i->tries < 4 ? i->tries : 4);
    i->tries++;
    if (i->all->on)
        set_timer(i, wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS, on_retry);
    if (was)
        tell(i, true);
}

static void
on_data(struct mh_pull *stream, const char *data, size_t len)
{
    struct mh_instance *i = stream->arg;
    if (!take_data(i, data, len))
        lost(i, "it sent no valid status");
}

/* The name of the secret with the CA of the instances' server certificates, as the owner says. */
static char *
ca_name_of(struct mh_instances *all, const char *ns, const struct mh_owner *owner)
{
    struct mh_arena a;
    mh_arena_init(&a, (size_t)8 << 20);
    yyjson_val *o = mh_cache_get(all->cache, &a, owner->kind, ns, owner->name, NULL);
    const char *name = mh_json_str(o, "spec", "certificates", "serverCASecret", NULL);
    if (!name || !*name)
        name = mh_arena_printf(&a, "%s-ca", owner->name);
    char *out = name ? mh_strdup(name) : NULL;
    mh_arena_release(&a);
    return out;
}

/* Another or a renewed CA may be why nobody answers: looks again. */
static void
refresh_ca(struct mh_instance *i)
{
    struct mh_owner owner = { .kind = i->kind, .name = i->owner };
    char *name = ca_name_of(i->all, i->ns, &owner);
    mh_secrets_put_ca(i->all->secrets, i->ns, i->ca_name, NULL);
    if (!name)
        return;
    mh_free(i->ca_name);
    i->ca_name = name;
}

static void
on_stream_end(struct mh_pull *stream)
{
    struct mh_instance *i = stream->arg;
    char why[MH_ERR_MSG_MAX];
    i->streaming = false;
    if (stream->err.code != MH_OK)
        mh_str_copy(why, sizeof(why), stream->err.msg);
    else
        (void)snprintf(why, sizeof(why), "it answered %d", stream->status);
    if (stream->status == 0 && i->tries % 4 == 3)
        refresh_ca(i);
    lost(i, why);
}

static void
start_stream(struct mh_instance *i, const char *ca)
{
    i->stream = (struct mh_pull){ .puller = i->all->puller,
                                  .address = i->ip,
                                  .port = i->all->port,
                                  .path = STREAM_PATH,
                                  .ca_pem = ca,
                                  .connect_timeout_ms = CONNECT_MS,
                                  .idle_timeout_ms = (int)(MH_INSTANCE_LOST_NS / MH_NS_PER_MS),
                                  .on_data = on_data,
                                  .done = on_stream_end,
                                  .arg = i };
    i->streaming = true;
    set_timer(i, FIRST_NS, on_silence); /* or somebody who says little holds a place of dialling */
    mh_pull_start(&i->stream);
}

static void
on_ca(struct mh_api_call *call)
{
    struct mh_instance *i = call->arg;
    i->reading_ca = false;
    if (call->err.code != MH_OK) {
        lost(i, call->err.msg);
        return;
    }
    struct mh_arena a;
    mh_arena_init(&a, CALL_ARENA);
    yyjson_mut_doc *doc = mh_json_doc(&a);
    yyjson_mut_val *copy = doc ? yyjson_val_mut_copy(doc, call->reply) : NULL;
    if (copy)
        mh_secrets_trim(i->all->secrets, doc, copy);
    mh_arena_release(&a);
    mh_arena_release(&i->arena);
    const char *ca = mh_secrets_ca(i->all->secrets, i->ns, i->ca_name);
    if (ca)
        start_stream(i, ca);
    else
        lost(i, "the secret of its CA has no ca.crt");
}

static void
dial(struct mh_instance *i)
{
    struct mh_instances *all = i->all;
    if (!all->on || !all->puller || !i->ip || i->streaming || i->reading_ca)
        return;
    if (all->dialling >= DIALS_MAX) {
        i->waiting = true;
        return;
    }
    i->dialling = true;
    all->dialling++;
    const char *ca = mh_secrets_ca(all->secrets, i->ns, i->ca_name);
    if (ca) {
        start_stream(i, ca);
        return;
    }
    const char *path = mh_kube_path(&i->arena, all->secret_kind, i->ns, i->ca_name, NULL);
    if (!path) {
        lost(i, "the secret of its CA has no valid name");
        return;
    }
    i->ca_call = (struct mh_api_call){
        .method = "GET", .path = path, .arena = &i->arena, .done = on_ca, .arg = i
    };
    i->reading_ca = true;
    all->api.start(all->api.self, &i->ca_call);
}

/* --- pods -------------------------------------------------------------------------------------- */

static void
forget(struct mh_instance *i)
{
    hang_up(i);
    mh_map_remove(&i->all->pods, i->key);
    mh_buf_release(&i->in);
    mh_free(i->key);
    mh_free(i->ns);
    mh_free(i->pod);
    mh_free(i->uid);
    mh_free(i->ip);
    mh_free(i->owner);
    mh_free(i->ca_name);
    mh_free(i->line);
    mh_free(i);
}

static struct mh_instance *
remember(struct mh_instances *all, const char *key, yyjson_val *pod, const struct mh_owner *owner)
{
    struct mh_instance *i = mh_calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    const char *ns = mh_json_str(pod, "metadata", "namespace", NULL);
    i->all = all;
    i->kind = owner->kind;
    i->key = mh_strdup(key);
    i->ns = mh_strdup(ns);
    i->pod = mh_strdup(mh_json_str(pod, "metadata", "name", NULL));
    i->uid = mh_strdup(mh_json_str(pod, "metadata", "uid", NULL));
    i->owner = mh_strdup(owner->name);
    i->ca_name = ca_name_of(all, ns, owner);
    i->lost_ns = now_ns(all);
    mh_buf_init(&i->in, MH_INSTANCE_LINE_MAX);
    mh_arena_init(&i->arena, CALL_ARENA);
    if (i->key && i->ns && i->pod && i->uid && i->owner && i->ca_name &&
        mh_map_put(&all->pods, key, i, NULL))
        return i;
    mh_warn("instances", "instance ignored, no memory", "namespace", ns);
    if (!i->key) /* forget needs a key */
        mh_free(i);
    else
        forget(i);
    return NULL;
}

static bool
is_instance(yyjson_val *pod)
{
    return mh_str_eq(mh_json_str(pod, "metadata", "labels", LABEL_ROLE, NULL), ROLE_INSTANCE) &&
           mh_json_str(pod, "metadata", "namespace", NULL) &&
           mh_json_str(pod, "metadata", "name", NULL) && mh_json_str(pod, "metadata", "uid", NULL);
}

static void
set_address(struct mh_instance *i, const char *ip)
{
    if (mh_str_eq(i->ip, ip) || (ip && strlen(ip) > 60))
        return;
    if (i->ip)
        lost(i, "its address changed");
    mh_free(i->ip);
    i->ip = ip ? mh_strdup(ip) : NULL;
    i->tries = 0;
    if (!i->streaming && !i->reading_ca)
        set_timer(i, 0, on_retry);
}

void
mh_instances_pod(struct mh_instances *all, const char *ns, const char *name, yyjson_val *now)
{
    char key[600];
    struct mh_owner owner;
    int n = snprintf(key, sizeof(key), "%s/%s", ns ? ns : "", name);
    if (n < 0 || (size_t)n >= sizeof(key))
        return;
    struct mh_instance *i = mh_map_get(&all->pods, key);
    bool ours = now && is_instance(now) && mh_owner_of(all->kinds, now, &owner);
    const char *uid = mh_json_str(now, "metadata", "uid", NULL);
    if (i && (!ours || !mh_str_eq(i->uid, uid))) {
        forget(i);
        i = NULL;
    }
    if (!ours)
        return;
    if (!i)
        i = remember(all, key, now, &owner);
    if (i)
        set_address(i, mh_json_str(now, "status", "podIP", NULL));
}

void
mh_instances_turn(struct mh_instances *all, bool on)
{
    if (all->on == on)
        return;
    all->on = on;
    for (size_t n = 0; n < all->pods.len; n++) {
        struct mh_instance *i = all->pods.entries[n].value;
        if (on) {
            i->lost_ns = now_ns(all);
            i->tries = 0;
            set_timer(i, 0, on_retry);
        } else {
            hang_up(i);
            i->connected = false;
            i->lost_ns = now_ns(all);
        }
    }
}

/* --- what scripts see -------------------------------------------------------------------------- */

static int
by_pod(const void *a, const void *b)
{
    const struct mh_instance *const *x = a, *const *y = b;
    return strcmp((*x)->pod, (*y)->pod);
}

const char *
mh_instances_json(struct mh_instances *all, struct mh_arena *a, const struct mh_kind *kind,
                  const char *ns, const char *name)
{
    const struct mh_instance **list = mh_arena_alloc(a, (all->pods.len + 1) * sizeof(void *));
    size_t n = 0;
    if (!list)
        return NULL;
    for (size_t j = 0; j < all->pods.len; j++) {
        const struct mh_instance *i = all->pods.entries[j].value;
        if (i->kind == kind && mh_str_eq(i->ns, ns) && mh_str_eq(i->owner, name))
            list[n++] = i;
    }
    qsort(list, n, sizeof(void *), by_pod);
    struct mh_buf b;
    mh_buf_init(&b, (size_t)16 << 20);
    mh_buf_char(&b, '{');
    for (size_t j = 0; j < n; j++) {
        double s = (double)(now_ns(all) - list[j]->lost_ns) / (double)MH_NS_PER_S;
        if (j)
            mh_buf_char(&b, ',');
        mh_json_quote(&b, list[j]->pod, strlen(list[j]->pod));
        mh_buf_printf(&b, ":{\"connected\":%s", list[j]->connected ? "true" : "false");
        if (!list[j]->connected)
            mh_buf_printf(&b, ",\"lost_s\":%.1f", s);
        if (list[j]->line)
            mh_buf_printf(&b, ",\"status\":%s", list[j]->line);
        mh_buf_char(&b, '}');
    }
    mh_buf_char(&b, '}');
    const char *out = b.failed ? NULL : mh_arena_strdup(a, mh_buf_text(&b));
    mh_buf_release(&b);
    return out;
}

size_t
mh_instances_connected(const struct mh_instances *all, size_t *total)
{
    size_t n = 0;
    for (size_t j = 0; j < all->pods.len; j++)
        n += ((const struct mh_instance *)all->pods.entries[j].value)->connected;
    *total = all->pods.len;
    return n;
}

bool
mh_instances_where(const struct mh_instances *all, const char *ns, const char *pod, const char **ip,
                   const char **ca)
{
    char key[600];
    (void)snprintf(key, sizeof(key), "%s/%s", ns, pod);
    const struct mh_instance *i = mh_map_get(&all->pods, key);
    *ip = i ? i->ip : NULL;
    *ca = i ? mh_secrets_ca(all->secrets, i->ns, i->ca_name) : NULL;
    return *ip && *ca;
}

void
mh_instances_feed(struct mh_instances *all, const char *ns, const char *pod, const char *data,
                  size_t len)
{
    char key[600];
    (void)snprintf(key, sizeof(key), "%s/%s", ns, pod);
    struct mh_instance *i = mh_map_get(&all->pods, key);
    if (i && !take_data(i, data, len))
        lost(i, "it sent no valid status");
}

/* --- all --------------------------------------------------------------------------------------- */

enum mh_code
mh_instances_init(struct mh_instances *all, struct mh_err *err)
{
    struct mh_arena a;
    struct mh_x509_info info;
    const char *cert, *key;
    int64_t now_s = all->clock.wall_us(all->clock.self) / 1000000;
    mh_map_init(&all->pods, PODS_MAX);
    if (!all->port)
        all->port = MH_INSTANCE_PORT;
    mh_arena_init(&a, CALL_ARENA);
    struct mh_x509_spec spec = { .cn = "moonherd-operator",
                                 .usage = MH_X509_CLIENT,
                                 .not_before = now_s - 86400,
                                 .not_after = now_s + CERT_YEARS_S };
    enum mh_code code = mh_x509_issue(&a, &spec, &cert, &key, err);
    if (code == MH_OK)
        code = mh_x509_read(&a, cert, &info, err);
    if (code == MH_OK) {
        all->cert_pem = mh_strdup(cert);
        all->key_pem = mh_strdup(key);
        mh_str_copy(all->fingerprint, sizeof(all->fingerprint), info.spki_sha256);
        if (!all->cert_pem || !all->key_pem)
            code = mh_fail(err, MH_E_NOMEM, "no memory for our certificate");
    }
    if (code == MH_OK && all->base)
        code = mh_puller_new(all->base, all->clock, cert, key, &all->puller, err);
    mh_arena_release(&a);
    return code;
}

void
mh_instances_release(struct mh_instances *all)
{
    mh_instances_drop_orders(all);
    while (all->pods.len)
        forget(all->pods.entries[all->pods.len - 1].value);
    mh_map_release(&all->pods);
    mh_puller_free(all->puller);
    all->puller = NULL;
    mh_free(all->cert_pem);
    mh_free(all->key_pem);
    all->cert_pem = all->key_pem = NULL;
}
