#include <arpa/inet.h>
#include <event2/event.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "harness/test.h"
#include "net/http_server.h"
#include "net/x509.h"

/* --- a client in its own thread, so that the server's loop is the real one ---------------------- */

struct client {
    int port;
    bool tls;
    const char *cert; /* client certificate */
    const char *key;
    const char *send;
    size_t send_len;  /* 0: strlen */
    int stop_reading; /* ms to sleep before reading */
    size_t read_max;  /* then close; 0: to the end */
    char got[64 << 10];
    size_t len;
    char server_cn[64];
    const char *version;
    bool hang_up; /* close instead of reading */
    bool failed;
    pthread_t thread;
    bool ended;
};

static struct event_base *base;
static struct mh_server *server;
static struct mh_arena arena;
static const char *ca, *ca_key, *cert, *key, *client_cert, *client_key, *alien_cert, *alien_key;

static SSL *
handshake(struct client *c, SSL_CTX *ctx, int fd)
{
    if (c->cert) {
        BIO *b = BIO_new_mem_buf(c->cert, -1);
        X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
        BIO *k = BIO_new_mem_buf(c->key, -1);
        EVP_PKEY *pk = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
        SSL_CTX_use_certificate(ctx, x);
        SSL_CTX_use_PrivateKey(ctx, pk);
        X509_free(x);
        EVP_PKEY_free(pk);
        BIO_free(b);
        BIO_free(k);
    }
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    X509 *x = SSL_get1_peer_certificate(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, c->server_cn,
                              sizeof(c->server_cn));
    X509_free(x);
    c->version = SSL_get_version(ssl);
    return ssl;
}

static void
talk(struct client *c, SSL *ssl, int fd)
{
    size_t n = c->send_len ? c->send_len : strlen(c->send);
    for (size_t at = 0; at < n;) {
        size_t part = n - at > 16000 ? 16000 : n - at;
        ssize_t w = ssl ? SSL_write(ssl, c->send + at, (int)part)
                        : send(fd, c->send + at, part, MSG_NOSIGNAL);
        if (w <= 0)
            break;
        at += (size_t)w;
    }
    usleep((unsigned)c->stop_reading * 1000);
    while (!c->hang_up && c->len < sizeof(c->got) - 1 && (!c->read_max || c->len < c->read_max)) {
        size_t room = sizeof(c->got) - 1 - c->len;
        ssize_t r =
            ssl ? SSL_read(ssl, c->got + c->len, (int)room) : recv(fd, c->got + c->len, room, 0);
        if (r <= 0)
            break;
        c->len += (size_t)r;
    }
    c->got[c->len] = '\0';
}

static void *
client_main(void *arg)
{
    struct client *c = arg;
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)c->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval patience = { 5, 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL_CTX *ctx = c->tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    SSL *ssl = NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        (c->tls && !(ssl = handshake(c, ctx, fd))))
        c->failed = true;
    else
        talk(c, ssl, fd);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    c->ended = true;
    return NULL;
}

static void
go(struct client *c)
{
    c->port = mh_server_port(server);
    CHECK_INT(pthread_create(&c->thread, NULL, client_main, c), 0);
}

static void
wait_end(struct client *c)
{
    while (!__atomic_load_n(&c->ended, __ATOMIC_ACQUIRE)) {
        struct timeval t = { 0, 5000 };
        event_base_loopexit(base, &t);
        event_base_loop(base, 0);
    }
    pthread_join(c->thread, NULL);
}

/* --- routes -------------------------------------------------------------------------------------- */

static struct mh_request *held;
static struct mh_stream *stream;
static int closed;

static void
on_echo(struct mh_request *req, void *arg)
{
    (void)arg;
    const char *q = mh_request_query(req, "q");
    char *text = mh_arena_printf(req->arena, "%s|%s|%zu|%s|%s|%d%d|%s", req->path, q ? q : "-",
                                 req->body_len, req->body_len < 100 ? req->body : "", req->peer.cn,
                                 req->peer.present, req->peer.verified, req->remote);
    mh_reply_text(req, 200, text);
}

static void
on_hold(struct mh_request *req, void *arg)
{
    (void)arg;
    held = req;
}

static void
on_stream_closed(void *arg)
{
    (void)arg;
    closed++;
    stream = NULL;
}

static void
on_stream(struct mh_request *req, void *arg)
{
    (void)arg;
    stream = mh_stream_start(req, "application/json");
    CHECK(stream != NULL);
    mh_stream_on_close(stream, on_stream_closed, NULL);
    CHECK(mh_stream_send(stream, "{\"n\":1}\n", 8));
}

static struct mh_pipe *bare;
static struct mh_buf bare_got;

static void
on_bare_data(void *arg, const char *data, size_t len)
{
    (void)arg;
    mh_buf_add(&bare_got, data, len);
    if (memchr(data, '!', len)) {
        mh_pipe_send(bare, "bye\n", 4);
        mh_pipe_close(bare);
        bare = NULL;
    } else {
        mh_pipe_send(bare, data, len);
    }
}

static void
on_bare_closed(void *arg)
{
    (void)arg;
    closed++;
    bare = NULL;
}

static void
on_upgrade(struct mh_request *req, void *arg)
{
    (void)arg;
    struct mh_pipe_fns fns = { .on_data = on_bare_data, .on_close = on_bare_closed };
    mh_reply_header(req, "X-Extra", "yes");
    bare = mh_upgrade(req, "echo", &fns);
    CHECK(bare != NULL);
}

static void
setup(bool tls)
{
    int64_t now = (int64_t)time(NULL);
    mh_arena_init(&arena, 8 << 20);
    base = event_base_new();
    held = NULL;
    stream = NULL;
    bare = NULL;
    mh_buf_init(&bare_got, 1 << 20);
    closed = 0;
    struct mh_x509_ca_spec spec = { "demo", "space", now - 300, now + 3600, NULL };
    CHECK_INT(mh_x509_make_ca(&arena, &spec, &ca, &ca_key, NULL), MH_OK);
    struct mh_x509_spec leaf = { .ca_cert_pem = ca,
                                 .ca_key_pem = ca_key,
                                 .cn = "demo-rw",
                                 .not_before = now - 300,
                                 .not_after = now + 3600 };
    CHECK_INT(mh_x509_issue(&arena, &leaf, &cert, &key, NULL), MH_OK);
    leaf.cn = "streaming_replica";
    leaf.usage = MH_X509_CLIENT;
    CHECK_INT(mh_x509_issue(&arena, &leaf, &client_cert, &client_key, NULL), MH_OK);
    leaf.ca_cert_pem = leaf.ca_key_pem = NULL;
    leaf.cn = "alien";
    CHECK_INT(mh_x509_issue(&arena, &leaf, &alien_cert, &alien_key, NULL), MH_OK);
    struct mh_server_tls t = { cert, key, ca };
    struct mh_err err = { 0 };
    server = mh_server_new(base, "127.0.0.1", 0, tls ? &t : NULL, &err);
    CHECK_STR(err.msg, "");
    mh_server_route(server, MH_GET | MH_POST, "/echo", on_echo, NULL);
    mh_server_route(server, MH_GET, "/all/", on_echo, NULL);
    mh_server_route(server, MH_GET, "/hold", on_hold, NULL);
    mh_server_route(server, MH_GET, "/stream", on_stream, NULL);
    mh_server_route(server, MH_GET, "/bare", on_upgrade, NULL);
}

static void
teardown(void)
{
    mh_server_free(server);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
    mh_buf_release(&bare_got);
    mh_arena_release(&arena);
}

static struct client *
ask(bool tls, const char *text)
{
    struct client *c = calloc(1, sizeof(*c));
    c->tls = tls;
    c->send = text;
    go(c);
    wait_end(c);
    return c;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

TEST(plain_requests_are_routed)
{
    setup(false);
    struct client *c = ask(false, GET("/echo?q=a%20b"));
    CHECK(strncmp(c->got, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK(strstr(c->got, "/echo|a b|0|||00|127.0.0.1") != NULL);
    free(c);
    c = ask(false, GET("/all/x/y"));
    CHECK(strstr(c->got, "/all/x/y|-") != NULL);
    free(c);
    c = ask(false, GET("/nowhere"));
    CHECK(strncmp(c->got, "HTTP/1.1 404", 12) == 0);
    free(c);
    c = ask(false, "DELETE /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(strncmp(c->got, "HTTP/1.1 405", 12) == 0);
    free(c);
    c = ask(
        false,
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    CHECK(strstr(c->got, "/echo|-|5|hello|") != NULL);
    free(c);
    teardown();
}

TEST(a_client_certificate_is_asked_for_and_judged)
{
    setup(true);
    struct client *c = ask(true, GET("/echo"));
    CHECK_STR(c->version, "TLSv1.3");
    CHECK(strstr(c->got, "|0|||00|") != NULL);
    free(c);
    struct client *d = calloc(1, sizeof(*d));
    *d = (struct client){
        .tls = true, .cert = client_cert, .key = client_key, .send = GET("/echo")
    };
    go(d);
    wait_end(d);
    CHECK(strstr(d->got, "|streaming_replica|11|") != NULL);
    *d = (struct client){ .tls = true, .cert = alien_cert, .key = alien_key, .send = GET("/echo") };
    go(d);
    wait_end(d);
    CHECK(strstr(d->got, "|alien|10|") != NULL);
    free(d);
    teardown();
}

TEST(a_server_certificate_is_no_client)
{
    setup(true);
    struct client *d = calloc(1, sizeof(*d));
    *d = (struct client){ .tls = true, .cert = cert, .key = key, .send = GET("/echo") };
    go(d);
    wait_end(d);
    CHECK(strstr(d->got, "|demo-rw|10|") != NULL);
    free(d);
    teardown();
}

TEST(certificates_are_replaced_while_it_runs)
{
    setup(true);
    struct client *c = ask(true, GET("/echo"));
    CHECK_STR(c->server_cn, "demo-rw");
    free(c);
    struct mh_err err = { 0 };
    struct mh_server_tls bad = { "rubbish", key, ca };
    CHECK_INT(mh_server_set_tls(server, &bad, &err), MH_E_INVALID);
    bad = (struct mh_server_tls){ cert, client_key, ca };
    CHECK_INT(mh_server_set_tls(server, &bad, &err), MH_E_INVALID);
    struct mh_server_tls next = { alien_cert, alien_key, alien_cert };
    CHECK_INT(mh_server_set_tls(server, &next, &err), MH_OK);
    struct client *d = calloc(1, sizeof(*d));
    *d = (struct client){
        .tls = true, .cert = client_cert, .key = client_key, .send = GET("/echo")
    };
    go(d);
    wait_end(d);
    CHECK_STR(d->server_cn, "alien");
    CHECK(strstr(d->got, "|streaming_replica|10|") != NULL);
    free(d);
    teardown();
}

TEST(a_request_may_be_answered_later)
{
    setup(true);
    struct client *c = calloc(1, sizeof(*c));
    *c = (struct client){ .tls = true, .send = GET("/hold") };
    go(c);
    while (!held)
        event_base_loop(base, EVLOOP_ONCE);
    mh_reply(held, 503, "application/json", "{}", 2);
    wait_end(c);
    CHECK(strncmp(c->got, "HTTP/1.1 503", 12) == 0);
    CHECK(strstr(c->got, "\r\n\r\n{}") != NULL);
    free(c);
    teardown();
}

TEST(an_answer_after_the_server_is_gone_is_to_nobody)
{
    setup(true);
    struct client *c = calloc(1, sizeof(*c));
    *c = (struct client){ .tls = true, .send = GET("/hold") };
    go(c);
    while (!held)
        event_base_loop(base, EVLOOP_ONCE);
    mh_server_free(server);
    mh_reply_text(held, 200, "late");
    server = NULL;
    wait_end(c);
    CHECK(!strstr(c->got, "late"));
    free(c);
    teardown();
}

TEST(an_answer_after_the_client_is_gone_is_to_nobody)
{
    setup(true);
    struct client *c = calloc(1, sizeof(*c));
    *c = (struct client){ .tls = true, .send = GET("/hold"), .hang_up = true };
    struct timeval t = { 0, 50000 };
    go(c);
    while (!held)
        event_base_loop(base, EVLOOP_ONCE);
    wait_end(c);
    event_base_loopexit(base, &t);
    event_base_loop(base, 0);
    mh_reply_text(held, 200, "late");
    event_base_loopexit(base, &t);
    event_base_loop(base, 0);
    teardown();
    free(c);
}

TEST(a_stream_sends_at_once_and_ends_when_closed)
{
    for (int tls = 0; tls < 2; tls++) {
        setup(tls);
        struct client *c = calloc(1, sizeof(*c));
        *c = (struct client){ .tls = tls, .send = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" };
        go(c);
        while (!stream)
            event_base_loop(base, EVLOOP_ONCE);
        CHECK(mh_stream_send(stream, "{\"n\":2}\n", 8));
        mh_stream_close(stream);
        wait_end(c);
        CHECK(strstr(c->got, "{\"n\":1}\n") && strstr(c->got, "{\"n\":2}\n"));
        CHECK(strstr(c->got, "\r\n0\r\n\r\n") != NULL);
        CHECK_INT(closed, 0);
        free(c);
        teardown();
    }
}

TEST(a_stream_whose_client_goes_away_is_reported_once)
{
    for (int tls = 0; tls < 2; tls++) {
        setup(tls);
        struct client *c = calloc(1, sizeof(*c));
        *c = (struct client){ .tls = tls,
                              .send = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
                              .read_max = 1 };
        go(c);
        wait_end(c);
        for (int i = 0; i < 100 && !closed; i++) {
            struct timeval t = { 0, 5000 };
            event_base_loopexit(base, &t);
            event_base_loop(base, 0);
            if (stream)
                (void)mh_stream_send(stream, "x\n", 2);
        }
        CHECK_INT(closed, 1);
        free(c);
        teardown();
    }
}

TEST(a_stream_whose_client_does_not_read_is_dropped_at_the_cap)
{
    setup(true);
    mh_server_limit(server, &(struct mh_server_limits){ .stream_max = 100000 });
    struct client *c = calloc(1, sizeof(*c));
    char *line = calloc(1, 10000);
    memset(line, 'x', 9999);
    *c = (struct client){ .tls = true,
                          .send = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
                          .stop_reading = 900 };
    go(c);
    while (!stream)
        event_base_loop(base, EVLOOP_ONCE);
    int sent = 0;
    while (stream && sent < 100000 && mh_stream_send(stream, line, 9999)) {
        sent++;
        CHECK(mh_stream_queued(stream) <= 100000 + 30000);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    CHECK(sent > 5 && sent < 100000);
    event_base_loop(base, EVLOOP_NONBLOCK);
    CHECK_INT(closed, 1);
    wait_end(c);
    free(line);
    free(c);
    teardown();
}

TEST(streams_of_a_server_that_ends_are_reported)
{
    setup(true);
    struct client *c = calloc(1, sizeof(*c));
    *c = (struct client){ .tls = true, .send = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" };
    go(c);
    while (!stream)
        event_base_loop(base, EVLOOP_ONCE);
    mh_server_free(server);
    server = NULL;
    CHECK_INT(closed, 1);
    wait_end(c);
    free(c);
    teardown();
}

TEST(a_small_answer_is_one_record)
{
    setup(true);
    struct client c = { .tls = true,
                        .send = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n",
                        .read_max = 1 };
    go(&c);
    wait_end(&c);
    CHECK(strstr(c.got, "200 OK") != NULL);
    const char *body = strstr(c.got, "\r\n\r\n");
    CHECK(body != NULL && body[4] != '\0'); /* head and body came with the first read */
    teardown();
}

TEST(headers_and_bodies_have_a_limit)
{
    setup(false);
    mh_server_limit(server, &(struct mh_server_limits){ .body_max = 1000 });
    struct mh_buf b;
    mh_buf_init(&b, 1 << 20);
    mh_buf_str(&b, "GET /echo HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 20000; i++)
        mh_buf_char(&b, 'a');
    mh_buf_str(&b, "\r\n\r\n");
    struct client *c = ask(false, b.data);
    CHECK(!strstr(c->got, "200 OK"));
    free(c);
    mh_buf_reset(&b);
    mh_buf_str(
        &b, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n");
    for (int i = 0; i < 1001; i++)
        mh_buf_char(&b, 'a');
    c = ask(false, b.data);
    CHECK(strncmp(c->got, "HTTP/1.1 413", 12) == 0);
    free(c);
    mh_buf_release(&b);
    teardown();
}

TEST(rubbish_does_no_harm)
{
    static const char *const bad[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "FOO /echo HTTP/1.1\r\n\r\n",
        "GET http://[ HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nConnection: close\r\nContent-Length: -5\r\n\r\n",
        "POST /echo HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /echo HTTP/1.1\r\nNo colon\r\n\r\n",
        "\x16\x03\x01\x02",
        "GET /echo?q=%zz&q HTTP/1.0\r\n\r\n"
    };
    for (int tls = 0; tls < 2; tls++) {
        setup(tls);
        mh_server_limit(server, &(struct mh_server_limits){ .idle_s = 1 });
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            struct client *c = calloc(1, sizeof(*c));
            *c = (struct client){ .tls = tls && i % 2, .send = bad[i], .read_max = 1 };
            go(c);
            wait_end(c);
            free(c);
        }
        struct client *c = ask(tls, GET("/echo"));
        CHECK(strstr(c->got, "200 OK") != NULL);
        free(c);
        teardown();
    }
}

TEST(connections_over_the_limit_wait_their_turn)
{
    setup(true);
    mh_server_limit(server, &(struct mh_server_limits){ .max_connections = 2 });
    struct client *c = calloc(6, sizeof(*c));
    for (int i = 0; i < 6; i++) {
        c[i] = (struct client){ .tls = true, .send = GET("/echo") };
        go(&c[i]);
    }
    for (int i = 0; i < 6; i++) {
        wait_end(&c[i]);
        CHECK(strstr(c[i].got, "200 OK") != NULL);
    }
    free(c);
    teardown();
}

TEST(bad_addresses_and_taken_ports_are_told)
{
    struct mh_err err = { 0 };
    setup(false);
    CHECK(!mh_server_new(base, "localhost", 0, NULL, &err));
    CHECK_INT(err.code, MH_E_INVALID);
    CHECK(!mh_server_new(base, "127.0.0.1", mh_server_port(server), NULL, &err));
    CHECK_INT(err.code, MH_E_IO);
    teardown();
}

#define BARE "GET /bare HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

TEST(an_upgraded_connection_carries_bytes_both_ways)
{
    for (int tls = 0; tls < 2; tls++) {
        setup(tls);
        struct client *c = ask(tls, BARE "one two!"); /* the bytes come with the head */
        CHECK(strncmp(c->got, "HTTP/1.1 101 ", 13) == 0);
        CHECK(strstr(c->got, "Upgrade: echo\r\n") && strstr(c->got, "X-Extra: yes\r\n"));
        CHECK(strstr(c->got, "\r\n\r\nbye\n") != NULL);
        CHECK_STR(mh_buf_text(&bare_got), "one two!");
        CHECK_INT(closed, 0);
        free(c);
        teardown();
    }
}

TEST(an_upgraded_connection_whose_client_goes_away_is_reported_once)
{
    for (int tls = 0; tls < 2; tls++) {
        setup(tls);
        struct client *c = calloc(1, sizeof(*c));
        *c = (struct client){ .tls = tls, .send = BARE "last words", .read_max = 150 };
        go(c);
        wait_end(c);
        for (int i = 0; i < 100 && !closed; i++) {
            struct timeval t = { 0, 5000 };
            event_base_loopexit(base, &t);
            event_base_loop(base, 0);
        }
        CHECK_INT(closed, 1);
        CHECK_STR(mh_buf_text(&bare_got), "last words");
        free(c);
        teardown();
    }
}

TEST(a_paused_connection_keeps_what_came)
{
    setup(true);
    struct client *c = calloc(1, sizeof(*c));
    *c = (struct client){ .tls = true, .send = BARE };
    go(c);
    while (!bare)
        event_base_loop(base, EVLOOP_ONCE);
    mh_pipe_pause(bare, true);
    struct timeval t = { 0, 20000 };
    event_base_loopexit(base, &t);
    event_base_loop(base, 0);
    CHECK_INT(bare_got.len, 0);
    mh_pipe_pause(bare, false);
    CHECK(mh_pipe_send(bare, "x", 1));
    mh_server_free(server); /* cuts it, with on_close */
    server = NULL;
    CHECK_INT(closed, 1);
    wait_end(c);
    free(c);
    teardown();
}
