#include "net/http_client.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/time.h"
#include "io/loop.h"

#define CONNECT_MS 5000
#define TIMEOUT_MS 10000
#define BODY_MAX ((size_t)4 << 20)
#define REFUSAL_MAX ((size_t)64 << 10)
#define SPARE_MAX 8
#define RETRY_AFTER_MAX 3600

/* One connection pool: a curl multi handle. Each lane has one in use; one that is out of use lives
 * until its last call is gone. */
struct pool {
    struct pool *next;
    struct mh_http *http;
    CURLM *multi;
    struct mh_timer *timer;
    int calls;
    bool retired;
};

struct sock {
    struct event *event;
};

enum state { QUEUED, ACTIVE, FINISHED };

struct xfer {
    struct xfer *next;
    struct xfer *prev;
    struct mh_http *http;
    struct mh_http_call *call; /* NULL: cancelled, waits for its removal */
    struct pool *pool;
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    struct mh_buf body;
    size_t sent; /* of the request's body */
    enum state state;
    bool over;  /* the body is over its cap */
    bool quiet; /* our deadline passed */
    CURLcode result;
    int64_t deadline; /* INT64_MAX: none */
    int64_t last_byte;
    struct mh_timer *timer;
    char curl_error[CURL_ERROR_SIZE];
};

struct mh_http {
    struct event_base *base;
    struct mh_clock clock;
    struct event *work;
    struct pool *lanes[MH_HTTP_LANES];
    struct pool *pools;
    struct xfer *xfers; /* in the order of their starts */
    struct xfer *last;
    struct mh_http_call *failed; /* calls that found no memory, linked by impl */
    CURL *spare[SPARE_MAX];
    int nspare;
    int depth; /* inside curl */
    unsigned long connections;
};

/* --- curl on the loop ------------------------------------------------------------------------ */

static void
wake(struct mh_http *h)
{
    event_active(h->work, EV_TIMEOUT, 0);
}

/* Notes which transfers curl has ended; they are delivered by `work`. */
static void
collect(struct pool *p)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(p->multi, &left))) {
        struct xfer *x = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
        x->result = m->data.result;
        x->state = FINISHED;
        wake(p->http);
    }
}

static void
act(struct pool *p, curl_socket_t fd, int mask)
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
    struct pool *p = arg;
    struct event *e = sockp;
    if (e)
        event_free(e);
    e = NULL;
    if (what != CURL_POLL_REMOVE) {
        short mask = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                             (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
        e = event_new(p->http->base, (evutil_socket_t)fd, mask, on_socket, p);
        if (!e || event_add(e, NULL) != 0)
            return -1;
    }
    (void)curl_multi_assign(p->multi, fd, e);
    return 0;
}

static void
on_curl_timer(void *arg)
{
    struct pool *p = arg;
    p->timer = NULL;
    act(p, CURL_SOCKET_TIMEOUT, 0);
}

static int
set_curl_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct pool *p = arg;
    struct mh_clock *c = &p->http->clock;
    c->cancel(c->self, p->timer);
    p->timer = NULL;
    if (ms < 0)
        return 0;
    p->timer = c->after(c->self, ms * MH_NS_PER_MS, on_curl_timer, p);
    return p->timer ? 0 : -1;
}

static struct pool *
new_pool(struct mh_http *h)
{
    struct pool *p = mh_calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->http = h;
    p->multi = curl_multi_init();
    if (!p->multi) {
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
free_pool(struct pool *p)
{
    struct mh_http *h = p->http;
    for (struct pool **at = &h->pools; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    curl_multi_cleanup(p->multi);
    h->clock.cancel(h->clock.self, p->timer);
    mh_free(p);
}

static void
retire(struct pool *p)
{
    struct mh_http *h = p->http;
    for (int i = 0; i < MH_HTTP_LANES; i++) {
        if (h->lanes[i] == p)
            h->lanes[i] = NULL;
    }
    p->retired = true;
    wake(h);
}

/* --- one transfer ---------------------------------------------------------------------------- */

static void
unlink_xfer(struct xfer *x)
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
free_xfer(struct xfer *x)
{
    struct mh_http *h = x->http;
    unlink_xfer(x);
    h->clock.cancel(h->clock.self, x->timer);
    if (x->pool) {
        (void)curl_multi_remove_handle(x->pool->multi, x->easy);
        if (--x->pool->calls == 0 && x->pool->retired)
            wake(h);
    }
    if (x->easy && h->nspare < SPARE_MAX) {
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

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;
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

static size_t
give_body(char *out, size_t size, size_t n, void *arg)
{
    struct xfer *x = arg;
    if (!x->call)
        return CURL_READFUNC_ABORT;
    n *= size;
    size_t left = x->call->body_len - x->sent;
    n = left < n ? left : n;
    if (n)
        memcpy(out, x->call->body + x->sent, n);
    x->sent += n;
    return n;
}

static int
seek_body(void *arg, curl_off_t to, int origin)
{
    struct xfer *x = arg;
    if (!x->call || origin != SEEK_SET || to < 0 || (size_t)to > x->call->body_len)
        return CURL_SEEKFUNC_CANTSEEK;
    x->sent = (size_t)to;
    return CURL_SEEKFUNC_OK;
}

/* A peer that vanished is noticed by the kernel: unanswered data or probes for about 25 s. */
static int
on_connect(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },          { IPPROTO_TCP, TCP_KEEPIDLE, 10 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 5 },        { IPPROTO_TCP, TCP_KEEPCNT, 3 },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, 25000 },
    };
    (void)purpose;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
    ((struct mh_http *)arg)->connections++;
    return CURL_SOCKOPT_OK;
}

static bool
add_header(struct xfer *x, const char *text)
{
    struct curl_slist *l = curl_slist_append(x->headers, text);
    if (l)
        x->headers = l;
    return l != NULL;
}

static bool
set_headers(struct xfer *x)
{
    struct mh_http_call *c = x->call;
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    bool ok = add_header(x, "Expect:");
    if (c->content_type) {
        char *line = mh_arena_printf(&a, "Content-Type: %s", c->content_type);
        ok = ok && line && add_header(x, line);
    }
    for (const char *const *h = c->headers; ok && h && *h; h++)
        ok = add_header(x, *h);
    mh_arena_release(&a);
    return ok && curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK;
}

/* The url with the name that the certificate has, connected to where the url says. */
static bool
set_url_as(struct xfer *x, const char *name)
{
    char *host = NULL;
    char *port = NULL;
    char *url = NULL;
    CURLU *u = curl_url();
    struct mh_arena a;
    mh_arena_init(&a, 4096);
    bool ok = u && curl_url_set(u, CURLUPART_URL, x->call->url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK;
    char *to = ok ? mh_arena_printf(&a, "%s:%s:%s:%s", name, port, host, port) : NULL;
    x->connect_to = to ? curl_slist_append(NULL, to) : NULL;
    ok = x->connect_to && curl_easy_setopt(x->easy, CURLOPT_URL, url) == CURLE_OK &&
         curl_easy_setopt(x->easy, CURLOPT_CONNECT_TO, x->connect_to) == CURLE_OK;
    mh_arena_release(&a);
    curl_free(host);
    curl_free(port);
    curl_free(url);
    curl_url_cleanup(u);
    return ok;
}

static bool
set_blob(CURL *e, CURLoption option, const char *pem)
{
    struct curl_blob blob = { (void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_COPY };
    return curl_easy_setopt(e, option, &blob) == CURLE_OK;
}

static bool
set_tls(CURL *e, const struct mh_http_tls *t)
{
    bool ok = true;
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!t)
        return true;
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->insecure || t->any_name ? 0L : 2L);
    if (t->ca_pem)
        ok = ok && set_blob(e, CURLOPT_CAINFO_BLOB, t->ca_pem);
    else if (t->ca_file)
        ok = ok && curl_easy_setopt(e, CURLOPT_CAINFO, t->ca_file) == CURLE_OK;
    if (t->ca_pem || t->ca_file) /* these and nobody else */
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    if (t->cert_pem)
        ok = ok && set_blob(e, CURLOPT_SSLCERT_BLOB, t->cert_pem);
    else if (t->cert_file)
        ok = ok && curl_easy_setopt(e, CURLOPT_SSLCERT, t->cert_file) == CURLE_OK;
    if (t->key_pem)
        ok = ok && set_blob(e, CURLOPT_SSLKEY_BLOB, t->key_pem);
    else if (t->key_file)
        ok = ok && curl_easy_setopt(e, CURLOPT_SSLKEY, t->key_file) == CURLE_OK;
    return ok;
}

static bool
set_method(struct xfer *x)
{
    struct mh_http_call *c = x->call;
    CURL *e = x->easy;
    if (c->body || (strcmp(c->method, "GET") != 0 && strcmp(c->method, "HEAD") != 0 &&
                    strcmp(c->method, "DELETE") != 0)) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(e, CURLOPT_READDATA, x);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, x);
    }
    if (strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    return curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, c->method) == CURLE_OK;
}

static bool
set_all(struct xfer *x)
{
    struct mh_http_call *c = x->call;
    CURL *e = x->easy;
    const char *name = c->tls ? c->tls->server_name : NULL;
    bool ok = name ? set_url_as(x, name) : curl_easy_setopt(e, CURLOPT_URL, c->url) == CURLE_OK;
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->curl_error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, c->on_data ? 4096L : 16384L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_connect);
    curl_easy_setopt(e, CURLOPT_SOCKOPTDATA, x->http);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(c->connect_timeout_ms > 0 ? c->connect_timeout_ms : CONNECT_MS));
    ok = ok && curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    return ok && set_method(x) && set_tls(e, c->tls) && set_headers(x);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static int64_t
next_check(const struct xfer *x)
{
    int idle = x->call->idle_timeout_ms;
    int64_t at = idle > 0 ? x->last_byte + idle * MH_NS_PER_MS : INT64_MAX;
    return at < x->deadline ? at : x->deadline;
}

static void on_deadline(void *arg);

static bool
arm(struct xfer *x)
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
    struct xfer *x = arg;
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
request_was_sent(struct xfer *x)
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
code_of(struct xfer *x, bool sent)
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
fill_result(struct xfer *x)
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
deliver(struct xfer *x)
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
begin(struct xfer *x)
{
    struct mh_http *h = x->http;
    struct pool **lane = &h->lanes[x->call->lane];
    x->state = ACTIVE;
    if (!*lane)
        *lane = new_pool(h);
    x->easy = h->nspare > 0 ? h->spare[--h->nspare] : curl_easy_init();
    x->result = CURLE_OUT_OF_MEMORY;
    if (*lane && x->easy && arm(x) && set_all(x)) {
        CURLMcode m = curl_multi_add_handle((*lane)->multi, x->easy);
        if (m == CURLM_OK) {
            x->pool = *lane;
            x->pool->calls++;
            return;
        }
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
    while (h->failed) {
        struct mh_http_call *c = h->failed;
        h->failed = c->impl;
        c->impl = NULL;
        c->done(c);
    }
    for (struct xfer *x = h->xfers; x;) {
        struct xfer *next = x->next;
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
    for (struct pool *p = h->pools; p;) {
        struct pool *next = p->next;
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
    struct xfer *x = mh_calloc(1, sizeof(*x));
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
    *x = (struct xfer){ .http = h, .call = c, .prev = h->last, .last_byte = now };
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
    struct xfer *x = c->impl;
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
