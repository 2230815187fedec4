#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "io/file.h"
#include "io/loop.h"
#include "kube/client_impl.h"

#define RATE 50
#define BURST 100
#define IDLE_MS 75000
#define RELIST_MS 600000
#define REPLY_MAX MH_JSON_SIZE_MAX
#define SCRATCH ((size_t)256 << 10)
#define ACCEPT "Accept: application/json"
#define USER_AGENT "User-Agent: moonherd/" MH_VERSION

/* One request; its HTTP call is on it. */
struct kube_request {
    struct kube_request *next; /* of all */
    struct kube_request *prev;
    struct kube_request *after; /* of those that wait */
    struct mh_kube *kube;
    struct mh_api_call *call;
    struct mh_http_call http;
    struct mh_arena arena;
    bool urgent;
    bool waiting;
    bool again; /* the second try, after a 401 */
};

const char *
mh_kube_auth(struct mh_kube *k, struct mh_arena *a, bool fresh)
{
    const char *token = mh_kube_config_token(k->config, k->clock.mono_ns(k->clock.self), fresh);
    return token ? mh_arena_printf(a, "Authorization: Bearer %s", token) : "";
}

bool
mh_kube_prepare(struct mh_kube *k, struct mh_http_call *http, struct mh_arena *a, const char *path,
                bool fresh)
{
    const char **headers = mh_arena_alloc(a, 4 * sizeof(*headers));
    const char *auth = mh_kube_auth(k, a, fresh);
    http->url = mh_arena_printf(a, "%s%s", k->config->server, path);
    if (!headers || !auth || !http->url)
        return false;
    headers[0] = ACCEPT;
    headers[1] = USER_AGENT;
    headers[2] = *auth ? auth : NULL;
    http->headers = headers;
    http->tls = &k->config->tls;
    return true;
}

static void
free_request(struct kube_request *r)
{
    struct mh_kube *k = r->kube;
    if (r->prev)
        r->prev->next = r->next;
    else
        k->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    mh_arena_release(&r->arena);
    mh_free(r);
}

/* Lease calls and the labels and status of pods decide where writes go. */
static bool
is_urgent(const struct mh_api_call *c)
{
    if (strstr(c->path, "/leases/") || mh_str_ends(c->path, "/leases"))
        return true;
    return strcmp(c->method, "PATCH") == 0 && strstr(c->path, "/pods/");
}

static void finished(struct mh_http_call *http);

static void
send_request(struct kube_request *r)
{
    struct mh_api_call *c = r->call;
    r->kube->stats.requests++;
    r->http = (struct mh_http_call){
        .method = c->method,
        .content_type = !c->body          ? NULL
                        : c->content_type ? c->content_type
                                          : "application/json",
        .body = c->body,
        .body_len = c->body ? c->body_len : 0,
        .lane = r->urgent ? MH_HTTP_URGENT : MH_HTTP_BULK,
        .timeout_ms = c->timeout_ms > 0 ? c->timeout_ms : 10000,
        .body_max = REPLY_MAX,
        .arena = &r->arena,
        .done = finished,
        .arg = r,
    };
    if (mh_kube_prepare(r->kube, &r->http, &r->arena, c->path, r->again)) {
        mh_http_start(r->kube->http, &r->http);
        return;
    }
    struct mh_kube *k = r->kube;
    free_request(r); /* ends as all starts without memory do */
    (void)mh_fail(&c->err, MH_E_NOMEM, "no memory for %s %s", c->method, c->path);
    c->impl = k->failed;
    k->failed = c;
    event_active(k->work, EV_TIMEOUT, 0);
}

static void
hand_out(struct kube_request *r)
{
    struct mh_api_call *c = r->call;
    if (c->err.code != MH_OK)
        r->kube->stats.failures++;
    free_request(r);
    c->impl = NULL;
    c->done(c);
}

/* The server did what it was asked, but what it said is lost: reads can be made again, for a write
 * that is an unknown outcome. */
static void
reply_lost(struct mh_api_call *c, enum mh_code code)
{
    bool reads = strcmp(c->method, "GET") == 0;
    char why[MH_ERR_MSG_MAX];
    mh_str_copy(why, sizeof(why), c->err.msg);
    (void)mh_fail(&c->err, reads ? code : MH_E_TIMEOUT, "%s %s: the answer cannot be read: %s",
                  c->method, c->path, why);
}

static void
read_reply(struct kube_request *r)
{
    struct mh_api_call *c = r->call;
    struct mh_http_call *h = &r->http;
    struct mh_arena scratch;
    mh_arena_init(&scratch, 1024);
    char *what = mh_arena_printf(&scratch, "%s %.400s", c->method, c->path);
    enum mh_code parsed = MH_OK;
    bool good = h->status >= 200 && h->status < 300;
    c->status = h->status;
    c->retry_after_ms = h->retry_after_ms;
    if (h->body_text_len > 0)
        parsed = mh_json_parse(c->arena, h->body_text, h->body_text_len, &c->reply, &c->err);
    if (good && parsed != MH_OK)
        reply_lost(c, parsed);
    else
        (void)mh_kube_error(h->status, parsed == MH_OK ? c->reply : NULL, what ? what : c->method,
                            &c->err);
    mh_arena_release(&scratch);
}

static void
finished(struct mh_http_call *http)
{
    struct kube_request *r = http->arg;
    struct mh_kube *k = r->kube;
    struct mh_api_call *c = r->call;
    if (http->err.code != MH_OK) {
        c->err = http->err;
        c->status = http->status;
        if (http->err.code == MH_E_LIMIT)
            reply_lost(c, MH_E_LIMIT);
        hand_out(r);
        return;
    }
    if (http->status == 401 && !r->again && k->config->token_file) {
        r->again = true;
        mh_arena_release(&r->arena);
        send_request(r);
        return;
    }
    if (http->status == 429) {
        int ms = http->retry_after_ms > 0 ? http->retry_after_ms : 1000;
        int64_t until = k->clock.mono_ns(k->clock.self) + ms * MH_NS_PER_MS;
        k->stats.throttled++;
        if (!r->urgent && until > k->hold_until)
            k->hold_until = until;
    }
    read_reply(r);
    hand_out(r);
}

/* --- the bucket ------------------------------------------------------------------------------ */

static void pump(void *arg);

static void
pump_later(struct mh_kube *k, int64_t ns)
{
    if (!k->timer)
        k->timer = k->clock.after(k->clock.self, ns, pump, k);
}

/* Sends what the bucket allows; when no timer can be had, it lets them all go. */
static void
pump(void *arg)
{
    struct mh_kube *k = arg;
    k->timer = NULL; /* only called without one, or by it */
    while (k->first) {
        int64_t now = k->clock.mono_ns(k->clock.self);
        int64_t cost = MH_NS_PER_S / k->per_second;
        int64_t full = cost * k->burst;
        k->tokens_ns += now - k->filled_at;
        k->filled_at = now;
        if (k->tokens_ns > full)
            k->tokens_ns = full;
        int64_t wait = k->hold_until > now   ? k->hold_until - now
                       : k->tokens_ns < cost ? cost - k->tokens_ns
                                             : 0;
        if (wait > 0) {
            pump_later(k, wait);
            if (k->timer)
                return;
        }
        k->tokens_ns -= cost;
        struct kube_request *r = k->first;
        k->first = r->after;
        if (!k->first)
            k->last = NULL;
        r->waiting = false;
        k->stats.waiting--;
        send_request(r);
    }
}

static void
put_in_bucket(struct kube_request *r)
{
    struct mh_kube *k = r->kube;
    r->waiting = true;
    k->stats.waiting++;
    if (k->last)
        k->last->after = r;
    else
        k->first = r;
    k->last = r;
    if (!k->timer)
        pump(k);
}

static void
take_from_bucket(struct kube_request *r)
{
    struct mh_kube *k = r->kube;
    struct kube_request *before = NULL;
    for (struct kube_request *i = k->first; i && i != r; i = i->after)
        before = i;
    if (before)
        before->after = r->after;
    else
        k->first = r->after;
    if (k->last == r)
        k->last = before;
    r->waiting = false;
    k->stats.waiting--;
}

/* --- the API --------------------------------------------------------------------------------- */

static void
start(struct mh_kube *k, struct mh_api_call *c, bool urgent)
{
    c->err = (struct mh_err){ 0 };
    c->status = 0;
    c->reply = NULL;
    c->retry_after_ms = 0;
    struct kube_request *r = mh_calloc(1, sizeof(*r));
    if (!r) {
        (void)mh_fail(&c->err, MH_E_NOMEM, "no memory for %s %s", c->method, c->path);
        c->impl = k->failed;
        k->failed = c;
        event_active(k->work, EV_TIMEOUT, 0);
        return;
    }
    r->kube = k;
    r->call = c;
    r->urgent = urgent || is_urgent(c);
    mh_arena_init(&r->arena, REPLY_MAX + SCRATCH);
    r->next = k->requests;
    if (r->next)
        r->next->prev = r;
    k->requests = r;
    c->impl = r;
    if (r->urgent)
        send_request(r);
    else
        put_in_bucket(r);
}

static void
start_normal(void *self, struct mh_api_call *c)
{
    start(self, c, false);
}

static void
start_urgent(void *self, struct mh_api_call *c)
{
    start(self, c, true);
}

static void
cancel(void *self, struct mh_api_call *c)
{
    struct mh_kube *k = self;
    for (struct mh_api_call **at = &k->failed; *at; at = (struct mh_api_call **)&(*at)->impl) {
        if (*at == c) {
            *at = c->impl;
            c->impl = NULL;
            return;
        }
    }
    struct kube_request *r = c->impl;
    if (!r)
        return;
    c->impl = NULL;
    if (r->waiting)
        take_from_bucket(r);
    else
        mh_http_cancel(k->http, &r->http);
    free_request(r);
}

static void
work(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct mh_kube *k = arg;
    while (k->failed) {
        struct mh_api_call *c = k->failed;
        k->failed = c->impl;
        c->impl = NULL;
        k->stats.failures++;
        c->done(c);
    }
}

struct mh_api
mh_kube_api(struct mh_kube *k)
{
    return (struct mh_api){ start_normal, cancel, mh_kube_watch, mh_kube_unwatch, k };
}

struct mh_api
mh_kube_api_urgent(struct mh_kube *k)
{
    return (struct mh_api){ start_urgent, cancel, mh_kube_watch, mh_kube_unwatch, k };
}

struct mh_kube *
mh_kube_new(struct event_base *base, struct mh_http *http, struct mh_kube_config *config)
{
    struct mh_kube *k = mh_calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->base = base;
    k->http = http;
    k->config = config;
    k->rand = mh_rand_real();
    k->clock = mh_clock_real(base);
    k->work = event_new(base, -1, 0, work, k);
    k->per_second = RATE;
    k->burst = BURST;
    k->idle_ms = IDLE_MS;
    k->relist_ms = RELIST_MS;
    if (!k->clock.self || !k->work) {
        mh_kube_free(k);
        return NULL;
    }
    k->filled_at = k->clock.mono_ns(k->clock.self);
    k->tokens_ns = BURST * (MH_NS_PER_S / RATE);
    return k;
}

void
mh_kube_free(struct mh_kube *k)
{
    if (!k)
        return;
    while (k->watches)
        mh_kube_unwatch(k, k->watches);
    while (k->failed)
        cancel(k, k->failed);
    while (k->requests)
        cancel(k, k->requests->call);
    if (k->work)
        event_free(k->work);
    mh_clock_release(&k->clock);
    mh_free(k);
}

void
mh_kube_set_rate(struct mh_kube *k, int per_second, int burst)
{
    k->per_second = per_second;
    k->burst = burst;
    k->tokens_ns = burst * (MH_NS_PER_S / per_second);
}

void
mh_kube_set_watch_times(struct mh_kube *k, int idle_ms, int relist_ms)
{
    k->idle_ms = idle_ms;
    k->relist_ms = relist_ms;
}

struct mh_kube_stats
mh_kube_stats(const struct mh_kube *k)
{
    return k->stats;
}

const char *
mh_kube_namespace(const struct mh_kube *k)
{
    return k->config->name_space;
}
