/* Streams of peers that behave in many ways: a TLS server in a thread of its own. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "harness/test.h"
#include "io/loop.h"
#include "net/pull.h"
#include "net/x509.h"

#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

/* What the server does with its only client. */
struct way {
    const char *text; /* to send */
    bool no_tls;      /* the text as it is */
    bool no_shake;    /* accepts the connection and is silent */
    bool single;      /* byte by byte */
    bool old_tls;     /* 1.2 */
    bool cut;         /* closes without good-bye */
    int wait_ms;      /* before closing, unless the client goes */
    size_t repeat;    /* sends the text so many times */
};

static struct {
    struct event_base *base;
    struct mh_clock clock;
    struct mh_puller *puller;
    struct mh_pull pull;
    struct mh_arena arena;
    const char *ca, *ca_key, *cert, *key, *our_cert, *our_key;
    int fd;
    pthread_t thread;
    struct way way;
    char request[1024];
    char got[512];
    size_t len, total;
    int done;
    int cancel_at; /* pieces, then it is cancelled; 0: never */
    int pieces;
    bool again; /* started anew where it was cancelled */
} q;

static SSL_CTX *
server_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *b = BIO_new_mem_buf(q.cert, -1), *k = BIO_new_mem_buf(q.key, -1);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    EVP_PKEY *pk = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    SSL_CTX_use_certificate(ctx, x);
    SSL_CTX_use_PrivateKey(ctx, pk);
    if (q.way.old_tls)
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    X509_free(x);
    EVP_PKEY_free(pk);
    BIO_free(b);
    BIO_free(k);
    return ctx;
}

static void
say(SSL *ssl, int fd)
{
    size_t n = strlen(q.way.text), step = q.way.single ? 1 : n;
    for (size_t r = 0; r <= q.way.repeat; r++)
        for (size_t i = 0; i < n; i += step) {
            ssize_t w = ssl ? SSL_write(ssl, q.way.text + i, (int)step)
                            : send(fd, q.way.text + i, step, MSG_NOSIGNAL);
            if (w <= 0)
                return;
        }
}

static void *
serve(void *arg)
{
    (void)arg;
    struct timeval patience = { 3, 0 };
    int fd = accept(q.fd, NULL, NULL);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    SSL_CTX *ctx = server_ctx();
    SSL *ssl = q.way.no_tls || q.way.no_shake ? NULL : SSL_new(ctx);
    if (ssl)
        SSL_set_fd(ssl, fd);
    if (q.way.no_tls || (ssl && SSL_accept(ssl) == 1)) {
        if (ssl && SSL_read(ssl, q.request, sizeof(q.request) - 1) <= 0)
            q.request[0] = '\0';
        say(ssl, fd);
    }
    if (q.way.wait_ms) {
        char rest[64];
        struct timeval wait = { q.way.wait_ms / 1000, q.way.wait_ms % 1000 * 1000 };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        while (recv(fd, rest, sizeof(rest), 0) > 0)
            ;
    }
    if (ssl && !q.way.cut)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

static void
listen_here(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    q.fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(bind(q.fd, (struct sockaddr *)&at, n), 0);
    CHECK_INT(listen(q.fd, 8), 0);
    CHECK_INT(getsockname(q.fd, (struct sockaddr *)&at, &n), 0);
    q.pull.port = ntohs(at.sin_port);
}

static void
on_data(struct mh_pull *p, const char *data, size_t len)
{
    CHECK(p == &q.pull);
    CHECK_INT(p->status, 200);
    CHECK(len > 0);
    q.total += len;
    if (q.len + len < sizeof(q.got)) {
        memcpy(q.got + q.len, data, len);
        q.len += len;
    }
    if (++q.pieces != q.cancel_at)
        return;
    mh_pull_cancel(p);
    if (q.again)
        mh_pull_start(p);
    else
        q.done = -1;
}

static void
on_done(struct mh_pull *p)
{
    CHECK(p == &q.pull);
    q.done++;
}

static void
certificates(void)
{
    struct mh_err err;
    int64_t now = (int64_t)time(NULL);
    struct mh_x509_ca_spec spec = { .cn = "c", .not_before = now - 300, .not_after = now + 3600 };
    CHECK_INT(mh_x509_make_ca(&q.arena, &spec, &q.ca, &q.ca_key, &err), MH_OK);
    struct mh_x509_spec leaf = { .ca_cert_pem = q.ca,
                                 .ca_key_pem = q.ca_key,
                                 .cn = "c-rw",
                                 .usage = MH_X509_SERVER,
                                 .not_before = now - 300,
                                 .not_after = now + 3600 };
    CHECK_INT(mh_x509_issue(&q.arena, &leaf, &q.cert, &q.key, &err), MH_OK);
    leaf = (struct mh_x509_spec){
        .cn = "us", .usage = MH_X509_CLIENT, .not_before = now - 300, .not_after = now + 3600
    };
    CHECK_INT(mh_x509_issue(&q.arena, &leaf, &q.our_cert, &q.our_key, &err), MH_OK);
}

static void
begin(void)
{
    struct mh_err err;
    memset(&q, 0, sizeof(q));
    mh_arena_init(&q.arena, 1 << 20);
    certificates();
    q.base = mh_loop_new();
    q.clock = mh_clock_real(q.base);
    CHECK_INT(mh_puller_new(q.base, q.clock, q.our_cert, q.our_key, &q.puller, &err), MH_OK);
    q.pull = (struct mh_pull){ .puller = q.puller,
                               .address = "127.0.0.1",
                               .path = "/x",
                               .ca_pem = q.ca,
                               .connect_timeout_ms = 2000,
                               .idle_timeout_ms = 2000,
                               .on_data = on_data,
                               .done = on_done };
    listen_here();
}

static void
run(void)
{
    int64_t end = q.clock.mono_ns(q.clock.self) + 5 * MH_NS_PER_S;
    while (!q.done && q.clock.mono_ns(q.clock.self) < end) {
        struct timeval step = { 0, 5000 };
        event_base_loopexit(q.base, &step);
        event_base_dispatch(q.base);
    }
}

static void
finish(void)
{
    mh_pull_cancel(&q.pull);
    mh_puller_free(q.puller);
    close(q.fd);
    mh_clock_release(&q.clock);
    event_base_free(q.base);
    mh_arena_release(&q.arena);
}

static void
go(struct way way)
{
    q.way = way;
    CHECK_INT(pthread_create(&q.thread, NULL, serve, NULL), 0);
    mh_pull_start(&q.pull);
    CHECK_INT(q.done, 0);
    run();
    mh_pull_cancel(&q.pull);
    shutdown(q.fd, SHUT_RDWR); /* nobody may have come */
    pthread_join(q.thread, NULL);
}

/* One run of a server of this way; the outcome is in q. */
static void
with(struct way way)
{
    begin();
    go(way);
    CHECK(q.done == 1);
}

TEST(a_stream_is_asked_for_and_comes_in_pieces)
{
    with((struct way){ .text = HEAD "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" });
    CHECK_INT(q.pull.err.code, MH_OK);
    CHECK_INT(q.pull.status, 200);
    CHECK_STR(q.got, "hello!");
    CHECK(strncmp(q.request, "GET /x HTTP/1.1\r\nHost: 127.0.0.1:", 33) == 0);
    CHECK(strcmp(q.request + strlen(q.request) - 4, "\r\n\r\n") == 0);
    finish();
}

TEST(every_byte_may_be_a_record_of_its_own)
{
    with((struct way){ .text = HEAD "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", .single = true });
    CHECK_INT(q.pull.err.code, MH_OK);
    CHECK_STR(q.got, "hello!");
    finish();
}

TEST(much_at_once_arrives_whole)
{
    char text[4200];
    memset(text, 'x', sizeof(text));
    memcpy(text, "1000\r\n", 6);
    memcpy(text + 6 + 4096, "\r\n", 3);
    begin();
    go((struct way){ .text = HEAD "1\r\ny\r\n" });
    finish();
    begin();
    char *all = malloc(200 * strlen(text) + sizeof(HEAD) + 8), *at = all;
    at += sprintf(at, "%s", HEAD);
    for (int i = 0; i < 200; i++)
        at += sprintf(at, "%s", text);
    sprintf(at, "0\r\n\r\n");
    go((struct way){ .text = all });
    CHECK_INT(q.pull.err.code, MH_OK);
    CHECK_INT(q.total, 200 * 4096);
    free(all);
    finish();
}

TEST(an_answer_that_breaks_off_is_told_from_one_that_ends)
{
    with((struct way){ .text = HEAD "5\r\nhel" });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK_STR(q.got, "hel");
    finish();
    with((struct way){ .text = HEAD "5\r\nhello\r\n", .cut = true });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    finish();
    with((struct way){ .text = "HTTP/1.1 200 OK\r\n", .cut = true });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK_INT(q.pull.status, 0);
    finish();
    with((struct way){ .text = "HTTP/1.1 200 OK\r\n\r\nuntil the end" });
    CHECK_INT(q.pull.err.code, MH_OK);
    CHECK_STR(q.got, "until the end");
    finish();
}

TEST(silence_has_an_end)
{
    begin();
    q.pull.idle_timeout_ms = 150;
    go((struct way){ .text = HEAD "5\r\nhel", .wait_ms = 1000 });
    CHECK_INT(q.done, 1);
    CHECK_INT(q.pull.err.code, MH_E_TIMEOUT);
    CHECK_STR(q.got, "hel");
    finish();
    begin();
    q.pull.connect_timeout_ms = 150;
    go((struct way){ .text = "", .no_shake = true, .wait_ms = 1000 });
    CHECK_INT(q.done, 1);
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    finish();
}

TEST(a_head_that_trickles_has_an_end)
{
    begin();
    q.pull.idle_timeout_ms = 150;
    go((struct way){ .text = "HTTP/1.1 200 OK\r\nA: b", .wait_ms = 1000 });
    CHECK_INT(q.pull.err.code, MH_E_TIMEOUT);
    CHECK_INT(q.pull.status, 0);
    finish();
}

TEST(a_server_of_another_ca_is_not_asked)
{
    begin();
    q.pull.ca_pem = q.our_cert;
    go((struct way){ .text = HEAD });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK(strstr(q.pull.err.msg, "certificate") != NULL);
    CHECK_STR(q.request, "");
    finish();
    begin();
    q.pull.ca_pem = NULL;
    go((struct way){ .text = HEAD });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK_STR(q.request, "");
    finish();
    begin();
    q.cert = q.our_cert; /* a certificate of clients only, itself the CA */
    q.key = q.our_key;
    q.pull.ca_pem = q.our_cert;
    go((struct way){ .text = HEAD });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK_STR(q.request, "");
    finish();
}

TEST(only_tls_1_3_is_spoken)
{
    with((struct way){ .text = HEAD, .old_tls = true });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK_STR(q.request, "");
    finish();
    with((struct way){ .text = HEAD "1\r\nx\r\n", .no_tls = true });
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    finish();
}

TEST(what_is_no_answer_is_invalid)
{
    with(
        (struct way){ .text = "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", .repeat = 1000 });
    CHECK_INT(q.pull.err.code, MH_E_INVALID);
    finish();
    with((struct way){ .text = HEAD "zz\r\n" });
    CHECK_INT(q.pull.err.code, MH_E_INVALID);
    finish();
}

TEST(a_refusal_is_an_answer)
{
    with((struct way){ .text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno" });
    CHECK_INT(q.pull.err.code, MH_OK);
    CHECK_INT(q.pull.status, 403);
    CHECK_STR(q.got, "");
    finish();
}

TEST(nobody_there_and_no_address_are_errors_that_come_later)
{
    begin();
    close(q.fd);
    mh_pull_start(&q.pull);
    CHECK_INT(q.done, 0);
    run();
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    q.done = 0;
    q.pull.address = "localhost";
    mh_pull_start(&q.pull);
    CHECK_INT(q.done, 0);
    run();
    CHECK_INT(q.pull.err.code, MH_E_INVALID);
    q.done = 0;
    q.pull.address = "127.0.0.1";
    q.pull.ca_pem = "nonsense";
    mh_pull_start(&q.pull);
    mh_pull_cancel(&q.pull);
    mh_pull_cancel(&q.pull);
    mh_pull_start(&q.pull);
    run();
    CHECK_INT(q.pull.err.code, MH_E_INVALID);
    CHECK_INT(q.done, 1);
    listen_here(); /* finish closes it */
    finish();
}

TEST(a_pull_may_be_cancelled_inside_its_callback)
{
    begin();
    q.cancel_at = 1;
    go((struct way){ .text = HEAD "5\r\nhello\r\n1\r\n!\r\n", .wait_ms = 500 });
    CHECK_INT(q.done, -1);
    CHECK_STR(q.got, "hello");
    finish();
}

TEST(a_pull_may_be_started_again_inside_its_callback)
{
    begin();
    q.cancel_at = 1;
    q.again = true;
    q.pull.connect_timeout_ms = 150; /* the server serves one client only */
    go((struct way){ .text = HEAD "5\r\nhello\r\n1\r\n!\r\n", .wait_ms = 500 });
    CHECK_INT(q.done, 1);
    CHECK_INT(q.pull.err.code, MH_E_UNREACHABLE);
    CHECK_STR(q.got, "hello");
    finish();
}

TEST(without_memory_it_fails_and_leaves_nothing)
{
    for (int n = 0; n < 8; n++) {
        begin();
        mh_mem_fail_after(n);
        go((struct way){ .text = HEAD "1\r\nx\r\n0\r\n\r\n" });
        bool failed = mh_mem_failed();
        mh_mem_fail_after(-1);
        CHECK_INT(q.done, 1);
        CHECK(!failed || q.pull.err.code != MH_OK || q.total == 1);
        finish();
    }
}

TEST(records_are_opened_once_in_order_and_untouched)
{
    unsigned char secret[MH_TLS_RECORD_HASH], plain[] = { 'h', 'i', 23, 0, 0 };
    unsigned char record[64] = { 23, 3, 3, 0, sizeof(plain) + 16 }, copy[64];
    struct mh_tls_record r, writer;
    char *text;
    size_t len;
    int n = 0, size = MH_TLS_RECORD_HEAD + (int)sizeof(plain) + 16;
    memset(secret, 7, sizeof(secret));
    CHECK(mh_tls_record_init(&r, secret));
    CHECK(mh_tls_record_init(&writer, secret));
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, writer.key, writer.iv);
    EVP_EncryptUpdate(c, NULL, &n, record, MH_TLS_RECORD_HEAD);
    EVP_EncryptUpdate(c, record + MH_TLS_RECORD_HEAD, &n, plain, sizeof(plain));
    EVP_EncryptFinal_ex(c, record + MH_TLS_RECORD_HEAD + n, &n);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, record + size - 16);
    for (int bit = 0; bit < size * 8; bit++) {
        memcpy(copy, record, sizeof(copy));
        copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
        CHECK_INT(mh_tls_record_open(&r, c, copy, (size_t)size, &text, &len), MH_TLS_RECORD_BAD);
    }
    memcpy(copy, record, sizeof(copy));
    CHECK_INT(mh_tls_record_open(&r, c, copy, (size_t)size, &text, &len), MH_TLS_RECORD_DATA);
    CHECK(len == 2 && memcmp(text, "hi", 2) == 0);
    memcpy(copy, record, sizeof(copy));
    CHECK_INT(mh_tls_record_open(&r, c, copy, (size_t)size, &text, &len), MH_TLS_RECORD_BAD);
    CHECK_INT(mh_tls_record_size(record, 4), 0);
    CHECK_INT(mh_tls_record_size(record, 5), (size_t)size);
    CHECK(mh_tls_record_size((const unsigned char *)"\x17\x03\x03\x00\x10", 5) == SIZE_MAX);
    CHECK(mh_tls_record_size((const unsigned char *)"\x17\x03\x03\x41\x01", 5) == SIZE_MAX);
    CHECK(mh_tls_record_size((const unsigned char *)"\x15\x03\x03\x00\x20", 5) == SIZE_MAX);
    EVP_CIPHER_CTX_free(c);
    mh_tls_record_release(&r);
    mh_tls_record_release(&writer);
}
