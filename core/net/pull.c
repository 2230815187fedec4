#include "net/pull.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "net/sock.h"
#include "net/ssl.h"

#define CONNECT_MS 5000
#define REQUEST_MAX 600

enum state { IDLE, FAILED, CONNECTING, SHAKING, ASKING, READING };

struct mh_puller {
    struct event_base *base;
    struct mh_clock clock;
    SSL_CTX *ctx;
    EVP_CIPHER_CTX *cipher;
    unsigned char piece[2 * MH_TLS_RECORD_MAX]; /* what is being read, of whichever pull */
};

static void on_io(evutil_socket_t fd, short what, void *arg);

/* --- the end ----------------------------------------------------------------------------------- */

static void
free_tls(struct mh_pull *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
    if (p->hello) {
        X509_STORE_free(p->hello->store);
        OPENSSL_cleanse(p->hello, sizeof(*p->hello));
    }
    mh_free(p->hello);
    p->hello = NULL;
    ERR_clear_error();
}

static void
let_go(struct mh_pull *p)
{
    struct mh_clock *c = &p->puller->clock;
    int fd = (int)event_get_fd(&p->io);
    (void)event_del(&p->io);
    c->cancel(c->self, p->timer);
    p->timer = NULL;
    free_tls(p);
    mh_tls_record_release(&p->record);
    if (fd >= 0)
        (void)close(fd);
    mh_answer_release(&p->answer);
    p->state = IDLE;
    if (p->gone)
        *p->gone = true;
    p->gone = NULL;
}

static void
end(struct mh_pull *p)
{
    let_go(p);
    p->done(p);
}

static void
fail(struct mh_pull *p, enum mh_code code, const char *why)
{
    (void)mh_fail(&p->err, code, "stream of %s: %s", p->address, why);
    end(p);
}

/* What OpenSSL says of its last call on this connection. */
static void
fail_tls(struct mh_pull *p, int result)
{
    char text[160] = "the connection broke off";
    long judged = SSL_get_verify_result(p->ssl);
    unsigned long e = ERR_peek_last_error();
    int system = errno;
    if (p->state == SHAKING && judged != X509_V_OK)
        (void)snprintf(text, sizeof(text), "certificate: %s",
                       X509_verify_cert_error_string(judged));
    else if (SSL_get_error(p->ssl, result) == SSL_ERROR_SYSCALL && !e && system)
        (void)snprintf(text, sizeof(text), "%s", strerror(system));
    else if (e && ERR_GET_REASON(e) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        ERR_error_string_n(e, text, sizeof(text));
    fail(p, MH_E_UNREACHABLE, text);
}

/* --- deadlines --------------------------------------------------------------------------------- */

static int64_t
now_ns(const struct mh_pull *p)
{
    return p->puller->clock.mono_ns(p->puller->clock.self);
}

static void on_deadline(void *arg);

static bool
arm(struct mh_pull *p)
{
    struct mh_clock *c = &p->puller->clock;
    int64_t in = p->deadline - now_ns(p);
    if (p->deadline == INT64_MAX)
        return true;
    p->timer = c->after(c->self, in > 0 ? in : 0, on_deadline, p);
    return p->timer != NULL;
}

static void
on_deadline(void *arg)
{
    struct mh_pull *p = arg;
    p->timer = NULL;
    if (now_ns(p) < p->deadline && arm(p))
        return;
    if (p->state == READING)
        fail(p, MH_E_TIMEOUT, "no answer in time");
    else
        fail(p, MH_E_UNREACHABLE, "no connection in time");
}

/* From now on: the next byte within idle_timeout_ms. */
static void
put_off(struct mh_pull *p)
{
    p->deadline =
        p->idle_timeout_ms > 0 ? now_ns(p) + p->idle_timeout_ms * MH_NS_PER_MS : INT64_MAX;
}

/* --- the connection ---------------------------------------------------------------------------- */

/* Waits for this; without memory it fails. */
static bool
wait_for(struct mh_pull *p, short what)
{
    int fd = (int)event_get_fd(&p->io);
    if (event_initialized(&p->io) && event_get_events(&p->io) == (what | EV_PERSIST) &&
        event_pending(&p->io, what, NULL))
        return true;
    (void)event_del(&p->io);
    if (event_assign(&p->io, p->puller->base, fd, (short)(what | EV_PERSIST), on_io, p) == 0 &&
        event_add(&p->io, NULL) == 0)
        return true;
    fail(p, MH_E_NOMEM, "no memory");
    return false;
}

/* OpenSSL wants more of the socket: true. Else it failed. */
static bool
goes_on(struct mh_pull *p, int result)
{
    int e = SSL_get_error(p->ssl, result);
    if (e == SSL_ERROR_WANT_READ)
        return wait_for(p, EV_READ);
    if (e == SSL_ERROR_WANT_WRITE)
        return wait_for(p, EV_READ | EV_WRITE);
    fail_tls(p, result);
    return false;
}

/* The rest of what was read is handed out piece by piece. False: the pull is over. */
static bool
hand_out(struct mh_pull *p, const char *data, size_t len)
{
    while (len > 0 && !mh_answer_complete(&p->answer)) {
        size_t used, body;
        bool gone = false;
        if (!mh_answer_take(&p->answer, data, len, &used, &body)) {
            fail(p, MH_E_INVALID, p->answer.why);
            return false;
        }
        data += used;
        len -= used;
        if (p->answer.status && !p->status) {
            p->status = p->answer.status;
            if (p->status < 200 || p->status > 299) {
                end(p);
                return false;
            }
        }
        if (!body)
            continue;
        put_off(p);
        // cppcheck-suppress autoVariables ; it is taken away again below, or by whoever ends the pull
        p->gone = &gone;
        p->on_data(p, data - body, body);
        if (gone)
            return false;
        p->gone = NULL;
    }
    if (!mh_answer_complete(&p->answer))
        return true;
    end(p);
    return false;
}

/* What was read, record by record. False: the pull is over; *rest is what is left of it. */
static bool
take_records(struct mh_pull *p, unsigned char *data, size_t len, size_t *rest)
{
    size_t size;
    char *text;
    for (*rest = len; (size = mh_tls_record_size(data, *rest)) != 0; data += size, *rest -= size) {
        if (size == SIZE_MAX) {
            fail(p, MH_E_UNREACHABLE, "what came is no record");
            return false;
        }
        if (size > *rest)
            return true;
        switch (mh_tls_record_open(&p->record, p->puller->cipher, data, size, &text, &len)) {
        case MH_TLS_RECORD_DATA:
            if (!hand_out(p, text, len))
                return false;
            break;
        case MH_TLS_RECORD_OTHER:
            break;
        case MH_TLS_RECORD_END:
            if (mh_answer_end(&p->answer))
                end(p);
            else
                fail(p, MH_E_UNREACHABLE, "the answer broke off");
            return false;
        case MH_TLS_RECORD_BAD:
            fail(p, MH_E_UNREACHABLE, "the connection broke off");
            return false;
        }
    }
    return true;
}

/* Keeps the beginning of a record for when its rest comes. */
static void
keep_part(struct mh_pull *p, const unsigned char *data, size_t len)
{
    mh_free(p->record.part);
    p->record.part = len ? mh_malloc(len) : NULL;
    p->record.part_len = len;
    if (p->record.part)
        memcpy(p->record.part, data, len);
    else if (len)
        fail(p, MH_E_NOMEM, "no memory");
}

static void
read_answer(struct mh_pull *p)
{
    unsigned char *piece = p->puller->piece;
    size_t had = p->record.part_len, rest;
    ssize_t n = recv((int)event_get_fd(&p->io), piece + had, MH_TLS_RECORD_MAX, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fail(p, MH_E_UNREACHABLE, n < 0 ? strerror(errno) : "the connection broke off");
        return;
    }
    if (had)
        memcpy(piece, p->record.part, had);
    if (take_records(p, piece, had + (size_t)n, &rest) && (had || rest))
        keep_part(p, piece + had + (size_t)n - rest, rest);
}

/* The request is sent: from here on the server's records are read without OpenSSL's connection, which
 * has read none of them. */
static void
listen_on(struct mh_pull *p)
{
    struct mh_clock *c = &p->puller->clock;
    bool ok = p->hello->has_secret && mh_tls_record_init(&p->record, p->hello->secret);
    free_tls(p);
    p->state = READING;
    put_off(p);
    c->cancel(c->self, p->timer);
    p->timer = NULL;
    if (!ok || !arm(p))
        fail(p, MH_E_NOMEM, "no memory");
    else
        (void)wait_for(p, EV_READ);
}

static void
ask(struct mh_pull *p)
{
    char text[REQUEST_MAX];
    bool v6 = strchr(p->address, ':') != NULL;
    int len =
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s%s%s:%d\r\nAccept: */*\r\n\r\n",
                 p->path, v6 ? "[" : "", p->address, v6 ? "]" : "", p->port);
    if (len < 0 || (size_t)len >= sizeof(text)) {
        fail(p, MH_E_INVALID, "its path is too long");
        return;
    }
    int n = SSL_write(p->ssl, text, len);
    if (n <= 0) {
        (void)goes_on(p, n);
        return;
    }
    listen_on(p);
}

static void
shake(struct mh_pull *p)
{
    if (!p->ssl) {
        p->ssl = SSL_new(p->puller->ctx);
        if (!p->ssl || SSL_set_fd(p->ssl, (int)event_get_fd(&p->io)) != 1 ||
            SSL_set_app_data(p->ssl, p->hello) != 1) {
            fail(p, MH_E_NOMEM, "no memory");
            return;
        }
    }
    int n = SSL_connect(p->ssl);
    if (n != 1) {
        (void)goes_on(p, n);
        return;
    }
    p->state = ASKING;
    ask(p);
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct mh_pull *p = arg;
    int e = 0;
    socklen_t n = sizeof(e);
    ERR_clear_error();
    errno = 0;
    switch ((enum state)p->state) {
    case IDLE:
        return;
    case FAILED:
        end(p);
        return;
    case CONNECTING:
        if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0) {
            fail(p, MH_E_UNREACHABLE, strerror(e ? e : errno));
            return;
        }
        p->state = SHAKING;
        shake(p);
        return;
    case SHAKING:
        shake(p);
        return;
    case ASKING:
        ask(p);
        return;
    case READING:
        read_answer(p);
        return;
    }
}

/* --- interface --------------------------------------------------------------------------------- */

static socklen_t
where(const struct mh_pull *p, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p->port) };
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, p->address, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof(v4));
        return sizeof(v4);
    }
    if (inet_pton(AF_INET6, p->address, &v6.sin6_addr) == 1) {
        memcpy(out, &v6, sizeof(v6));
        return sizeof(v6);
    }
    return 0;
}

/* Begins to connect; the socket, or -1. */
static int
dial(struct mh_pull *p)
{
    struct sockaddr_storage to;
    socklen_t n = where(p, &to);
    if (!n || p->port < 1 || p->port > 65535) {
        (void)mh_fail(&p->err, MH_E_INVALID, "stream of %s: no address", p->address);
        return -1;
    }
    p->hello = mh_calloc(1, sizeof(*p->hello));
    if (!p->hello) {
        (void)mh_fail(&p->err, MH_E_NOMEM, "stream of %s: no memory", p->address);
        return -1;
    }
    if (mh_tls_store(p->ca_pem, &p->hello->store, &p->err) != MH_OK)
        return -1;
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        mh_sock_watch(fd);
        if (connect(fd, (struct sockaddr *)&to, n) == 0 || errno == EINPROGRESS)
            return fd;
    }
    (void)mh_fail(&p->err, MH_E_UNREACHABLE, "stream of %s: %s", p->address, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

void
mh_pull_start(struct mh_pull *p)
{
    int ms = p->connect_timeout_ms > 0 ? p->connect_timeout_ms : CONNECT_MS;
    p->err = (struct mh_err){ .code = MH_OK };
    p->status = 0;
    p->timer = NULL;
    p->ssl = NULL;
    p->hello = NULL;
    p->record = (struct mh_tls_record){ .seq = 0 };
    p->gone = NULL;
    mh_answer_init(&p->answer);
    p->deadline = now_ns(p) + ms * MH_NS_PER_MS;
    int fd = dial(p);
    p->state = fd >= 0 ? CONNECTING : FAILED;
    (void)event_assign(&p->io, p->puller->base, fd, EV_WRITE | EV_PERSIST, on_io, p);
    if (fd >= 0 && (!arm(p) || event_add(&p->io, NULL) != 0)) {
        (void)mh_fail(&p->err, MH_E_NOMEM, "stream of %s: no memory", p->address);
        p->state = FAILED;
    }
    if (p->state == FAILED)
        event_active(&p->io, EV_TIMEOUT, 0);
}

void
mh_pull_cancel(struct mh_pull *p)
{
    if (p->state != IDLE)
        let_go(p);
}

enum mh_code
mh_puller_new(struct event_base *base, struct mh_clock clock, const char *cert_pem,
              const char *key_pem, struct mh_puller **out, struct mh_err *err)
{
    struct mh_puller *m = mh_calloc(1, sizeof(*m));
    *out = NULL;
    if (!m)
        return mh_fail(err, MH_E_NOMEM, "no memory for streams of instances");
    m->base = base;
    m->clock = clock;
    m->cipher = EVP_CIPHER_CTX_new();
    enum mh_code code = m->cipher ? mh_tls_client_ctx(cert_pem, key_pem, &m->ctx, err)
                                  : mh_fail(err, MH_E_NOMEM, "no memory for streams of instances");
    if (code != MH_OK)
        mh_puller_free(m);
    else
        *out = m;
    return code;
}

void
mh_puller_free(struct mh_puller *m)
{
    if (!m)
        return;
    SSL_CTX_free(m->ctx);
    EVP_CIPHER_CTX_free(m->cipher);
    OPENSSL_cleanse(m, sizeof(*m));
    mh_free(m);
}
