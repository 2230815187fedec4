#include <string.h>

#include "base/time.h"
#include "net/http_client_impl.h"

#define TIMEOUT_MS 10000
#define BODY_MAX ((size_t)4 << 20)
#define REFUSAL_MAX ((size_t)64 << 10)
#define RETRY_AFTER_MAX 3600

/* --- curl on the loop ------------------------------------------------------------------------ */

static void
wake(struct mh_http *h)
{
    event_active(h->work, EV_TIMEOUT, 0);
}

/* What a callback says when there is no memory: curl never does anything with that pool again. */
static int
refuse(struct mh_pool *p)
{
    p->broken = true;
    wake(p->http);
    return -1;
}

/* Notes which transfers curl has ended; they are delivered by `work`. */
static void
collect(struct mh_pool *p)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(p->multi, &left))) {
        struct mh_xfer *x = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
        x->result = m->data.result;
        x->state = FINISHED;
        wake(p->http);
    }
}

static void
act(struct mh_pool *p, curl_socket_t fd, int mask)
{
    int running;
    p->http->depth++;
    (void)curl_multi_socket_action(p->multi, fd, mask, &running);
    p->http->depth--;
    collect(p);
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
    int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    act(arg, (curl_socket_t)fd, mask);
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
    (void)easy;
    struct mh_pool *p = arg;
    struct event *e = sockp;
    if (e)
        event_free(e);
    e = NULL;
    if (what != CURL_POLL_REMOVE) {
        short mask = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                             (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
        e = event_new(p->http->base, (evutil_socket_t)fd, mask, on_socket, p);
        if (!e || event_add(e, NULL) != 0) {
            if (e)
                event_free(e);
            (void)curl_multi_assign(p->multi, fd, NULL);
            return refuse(p);
        }
    }
    (void)curl_multi_assign(p->multi, fd, e);
    return 0;
}

static void
on_curl_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
set_curl_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct mh_pool *p = arg;
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
    if (ms < 0)
        return event_del(p->timer);
    return event_add(p->timer, &tv) == 0 ? 0 : refuse(p);
}

static struct mh_pool *
new_pool(struct mh_http *h)
{
    struct mh_pool *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->http = h;
    p->multi = curl_multi_init();
    p->timer = event_new(h->base, -1, 0, on_curl_timer, p);
    if (!p->multi || !p->timer) {
        curl_multi_cleanup(p->multi);
        if (p->timer)
            event_free(p->timer);
        mh_free(p);
        return NULL;
    }
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, set_curl_timer);
    curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
    curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    p->next = h->pools;
    h->pools = p;
    return p;
}

static void
free_pool(struct mh_pool *p)
{
    struct mh_http *h = p->http;
    for (struct mh_pool **at = &h->pools; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    curl_multi_cleanup(p->multi);
    event_free(p->timer);
    mh_free(p);
}

static void
retire(struct mh_pool *p)
{
    struct mh_http *h = p->http;
    for (int i = 0; i < MH_HTTP_LANES; i++) {
        if (h->lanes[i] == p)
            h->lanes[i] = NULL;
    }
    p->retired = true;
    wake(h);
}

/* Its transfers end here, as curl will not end them; the next call makes another pool. */
static void
give_up(struct mh_pool *p)
{
    p->broken = false;
    retire(p);
    for (struct mh_xfer *x = p->http->xfers; x; x = x->next) {
        if (x->pool == p && x->state == ACTIVE) {
            x->result = CURLE_OUT_OF_MEMORY;
            x->state = FINISHED;
        }
    }
}

/* --- one transfer ---------------------------------------------------------------------------- */

static void
unlink_xfer(struct mh_xfer *x)
{
    if (x->prev)
        x->prev->next = x->next;
    else
        x->http->xfers = x->next;
    if (x->next)
        x->next->prev = x->prev;
    else
        x->http->last = x->prev;
}

/* Never inside curl. */
static void
free_xfer(struct mh_xfer *x)
{
    struct mh_http *h = x->http;
    unlink_xfer(x);
    h->clock.cancel(h->clock.self, x->timer);
    if (x->pool) {
        (void)curl_multi_remove_handle(x->pool->multi, x->easy);
        if (--x->pool->calls == 0 && x->pool->retired)
            wake(h);
    }
    if (x->easy && h->nspare < MH_HTTP_SPARE_MAX) {
        curl_easy_reset(x->easy);
        h->spare[h->nspare++] = x->easy;
    } else if (x->easy) {
        curl_easy_cleanup(x->easy);
    }
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->connect_to);
    mh_buf_release(&x->body);
    mh_free(x);
}

size_t
mh_xfer_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct mh_xfer *x = arg;
    struct mh_http *h = x->http;
    struct mh_http_call *c = x->call;
    n *= size;
    if (!c)
        return n + 1; /* cancelled: stop */
    x->last_byte = h->clock.mono_ns(h->clock.self);
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    if (c->on_data && status >= 200 && status < 300) {
        c->status = (int)status;
        c->on_data(c, data, n);
        return x->call ? n : n + 1;
    }
    if (mh_buf_add(&x->body, data, n))
        return n;
    if (c->on_data)
        return n; /* enough of a refusal */
    x->over = x->body.len + n > x->body.cap;
    return n + 1;
}

/* --- deadlines ------------------------------------------------------------------------------- */

static int64_t
next_check(const struct mh_xfer *x)
{
    int idle = x->call->idle_timeout_ms;
    int64_t at = idle > 0 ? x->last_byte + idle * MH_NS_PER_MS : INT64_MAX;
    return at < x->deadline ? at : x->deadline;
}

static void on_deadline(void *arg);

static bool
arm(struct mh_xfer *x)
{
    struct mh_clock *c = &x->http->clock;
    int64_t at = next_check(x);
    if (at == INT64_MAX)
        return true;
    x->timer = c->after(c->self, at - c->mono_ns(c->self), on_deadline, x);
    return x->timer != NULL;
}

static void
on_deadline(void *arg)
{
    struct mh_xfer *x = arg;
    struct mh_clock *c = &x->http->clock;
    x->timer = NULL;
    if (!x->call || x->state == FINISHED)
        return;
    if (c->mono_ns(c->self) < next_check(x) && arm(x))
        return;
    x->quiet = true;
    x->result = CURLE_OPERATION_TIMEDOUT;
    x->state = FINISHED;
    wake(x->http);
}

/* --- results --------------------------------------------------------------------------------- */

static bool
request_was_sent(struct mh_xfer *x)
{
    long size = 0;
    curl_off_t begun = 0;
    if (!x->pool)
        return false;
    curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &size);
    curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
    return size > 0 || begun > 0;
}

static enum mh_code
code_of(struct mh_xfer *x, bool sent)
{
    bool reads = strcmp(x->call->method, "GET") == 0 || strcmp(x->call->method, "HEAD") == 0;
    switch (x->result) {
    case CURLE_OK:
        return MH_OK;
    case CURLE_OUT_OF_MEMORY:
        return sent && !reads ? MH_E_TIMEOUT : MH_E_NOMEM;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return MH_E_INVALID;
    case CURLE_WRITE_ERROR:
        return x->over ? MH_E_LIMIT : MH_E_NOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        return sent ? MH_E_TIMEOUT : MH_E_UNREACHABLE;
    default:
        return sent && !reads ? MH_E_TIMEOUT : MH_E_UNREACHABLE;
    }
}

static void
fill_result(struct mh_xfer *x)
{
    struct mh_http_call *c = x->call;
    long status = 0;
    long version = 0;
    curl_off_t retry = 0;
    bool sent = request_was_sent(x);
    enum mh_code code = code_of(x, sent);
    if (x->pool) {
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
        curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &retry);
    }
    c->status = (int)status;
    c->http_version = version == CURL_HTTP_VERSION_2_0 ? 2 : 1;
    c->retry_after_ms = (int)(retry > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : retry) * 1000;
    if (code != MH_OK) {
        const char *why = x->curl_error[0] ? x->curl_error : curl_easy_strerror(x->result);
        if (x->quiet)
            why = sent ? "no answer in time" : "no connection in time";
        (void)mh_fail(&c->err, code, "%s %s: %s", c->method, c->url, why);
        return;
    }
    c->err = (struct mh_err){ 0 };
    c->body_text = mh_arena_strndup(c->arena, mh_buf_text(&x->body), x->body.len);
    c->body_text_len = x->body.len;
    if (!c->body_text)
        (void)mh_fail(&c->err, strcmp(c->method, "GET") == 0 ? MH_E_NOMEM : MH_E_TIMEOUT,
                      "no memory for the answer to %s %s", c->method, c->url);
}

static void
deliver(struct mh_xfer *x)
{
    struct mh_http_call *c = x->call;
    fill_result(x);
    if (x->quiet && x->pool && !x->pool->retired)
        retire(x->pool);
    free_xfer(x);
    c->impl = NULL;
    c->done(c);
}

static void
begin(struct mh_xfer *x)
{
    struct mh_http *h = x->http;
    struct mh_pool **lane = &h->lanes[x->call->lane];
    x->state = ACTIVE;
    if (!*lane)
        *lane = new_pool(h);
    x->easy = h->nspare > 0 ? h->spare[--h->nspare] : curl_easy_init();
    x->result = CURLE_OUT_OF_MEMORY;
    if (*lane && x->easy && arm(x) && mh_xfer_set_up(x)) {
        CURLMcode m = curl_multi_add_handle((*lane)->multi, x->easy);
        if (m == CURLM_OK) {
            x->pool = *lane;
            x->pool->calls++;
            return;
        }
        x->easy = NULL; /* half of it may be in there already: never used or freed again */
    }
    x->state = FINISHED;
}

/* All that must not happen inside curl or inside start. */
static void
work(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct mh_http *h = arg;
    for (struct mh_pool *p = h->pools; p; p = p->next) {
        if (p->broken)
            give_up(p);
    }
    while (h->failed) {
        struct mh_http_call *c = h->failed;
        h->failed = c->impl;
        c->impl = NULL;
        c->done(c);
    }
    for (struct mh_xfer *x = h->xfers; x;) {
        struct mh_xfer *next = x->next;
        if (!x->call) {
            free_xfer(x);
        } else if (x->state == FINISHED) {
            deliver(x);
            next = h->xfers; /* done may have cancelled any other */
        } else if (x->state == QUEUED) {
            begin(x);
            next = x->state == FINISHED ? x : x->next;
        }
        x = next;
    }
    for (struct mh_pool *p = h->pools; p;) {
        struct mh_pool *next = p->next;
        if (p->retired && p->calls == 0)
            free_pool(p);
        p = next;
    }
}

/* --- interface ------------------------------------------------------------------------------- */

struct mh_http *
mh_http_new(struct event_base *base)
{
    static bool ready;
    if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    ready = true;
    struct mh_http *h = mh_calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->base = base;
    h->clock = mh_clock_real(base);
    h->work = event_new(base, -1, 0, work, h);
    if (!h->clock.self || !h->work) {
        mh_http_free(h);
        return NULL;
    }
    return h;
}

void
mh_http_free(struct mh_http *h)
{
    if (!h)
        return;
    while (h->xfers) {
        if (h->xfers->call)
            h->xfers->call->impl = NULL;
        free_xfer(h->xfers);
    }
    while (h->pools)
        free_pool(h->pools);
    while (h->nspare > 0)
        curl_easy_cleanup(h->spare[--h->nspare]);
    if (h->work)
        event_free(h->work);
    mh_clock_release(&h->clock);
    mh_free(h);
}

void
mh_http_start(struct mh_http *h, struct mh_http_call *c)
{
    int64_t now = h->clock.mono_ns(h->clock.self);
    int ms = c->timeout_ms > 0 ? c->timeout_ms : c->on_data ? 0 : TIMEOUT_MS;
    struct mh_xfer *x = mh_calloc(1, sizeof(*x));
    c->status = 0;
    c->retry_after_ms = 0;
    c->body_text = NULL;
    c->body_text_len = 0;
    wake(h);
    if (!x) {
        (void)mh_fail(&c->err, MH_E_NOMEM, "no memory for %s %s", c->method, c->url);
        c->impl = h->failed;
        h->failed = c;
        return;
    }
    *x = (struct mh_xfer){ .http = h, .call = c, .prev = h->last, .last_byte = now };
    x->deadline = ms > 0 ? now + ms * MH_NS_PER_MS : INT64_MAX;
    mh_buf_init(&x->body, c->on_data ? REFUSAL_MAX : c->body_max > 0 ? c->body_max : BODY_MAX);
    if (h->last)
        h->last->next = x;
    else
        h->xfers = x;
    h->last = x;
    c->impl = x;
}

void
mh_http_cancel(struct mh_http *h, struct mh_http_call *c)
{
    for (struct mh_http_call **at = &h->failed; *at; at = (struct mh_http_call **)&(*at)->impl) {
        if (*at == c) {
            *at = c->impl;
            c->impl = NULL;
            return;
        }
    }
    struct mh_xfer *x = c->impl;
    if (!x)
        return;
    c->impl = NULL;
    x->call = NULL;
    if (h->depth > 0)
        wake(h);
    else
        free_xfer(x);
}

void
mh_http_refresh(struct mh_http *h, enum mh_http_lane lane)
{
    if (h->lanes[lane])
        retire(h->lanes[lane]);
}

unsigned long
mh_http_connections(const struct mh_http *h)
{
    return h->connections;
}
