/* Whatever allocation fails, it ends in an error, and the next try works. */
#include <event2/event.h>
#include <string.h>

#include "base/log.h"
#include "harness/test.h"
#include "io/loop.h"
#include "net/crypto.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/jwt.h"
#include "net/x509.h"

static enum mh_code
make_certificates(struct mh_arena *a, struct mh_err *err)
{
    static const char *const names[] = { "db-rw", "db-rw.shop.svc", NULL };
    struct mh_x509_ca_spec ca = { .cn = "db", .ou = "shop", .not_before = 0, .not_after = 86400 };
    const char *ca_cert, *ca_key, *cert, *key;
    struct mh_x509_info info;
    enum mh_code code = mh_x509_make_ca(a, &ca, &ca_cert, &ca_key, err);
    if (code != MH_OK)
        return code;
    struct mh_x509_spec spec = { .ca_cert_pem = ca_cert,
                                 .ca_key_pem = ca_key,
                                 .cn = "db-rw",
                                 .dns_names = names,
                                 .usage = MH_X509_SERVER,
                                 .not_after = 86400 };
    code = mh_x509_issue(a, &spec, &cert, &key, err);
    return code != MH_OK ? code : mh_x509_read(a, cert, &info, err);
}

TEST(certificates_survive_any_failed_allocation)
{
    bool made = false;
    for (int n = 0; n < 200 && !made; n++) {
        struct mh_arena a;
        struct mh_err err = { .code = MH_OK };
        mh_arena_init(&a, 1 << 20);
        mh_mem_fail_after(n);
        enum mh_code code = make_certificates(&a, &err);
        mh_mem_fail_after(-1);
        made = code == MH_OK;
        CHECK(made || code == MH_E_NOMEM);
        mh_arena_release(&a);
    }
    CHECK(made); /* in the end none failed */
}

TEST(texts_of_crypto_survive_any_failed_allocation)
{
    for (int n = 0; n < 12; n++) {
        struct mh_arena a;
        mh_arena_init(&a, 1 << 20);
        mh_mem_fail_after(n);
        const char *text = mh_base64_encode(&a, "something", 9);
        char *back = text ? mh_base64_decode(&a, text, strlen(text), NULL) : NULL;
        const char *md5 = mh_pg_md5(&a, "app", "secret");
        mh_mem_fail_after(-1);
        CHECK(!back || strcmp(back, "something") == 0);
        CHECK(!md5 || strncmp(md5, "md5", 3) == 0);
        mh_arena_release(&a);
    }
}

static struct event_base *base;
static struct mh_arena arena;
static struct mh_http *http;
static struct mh_server *server;

static void
answer(struct mh_request *req, void *arg)
{
    (void)arg;
    char *text = mh_arena_printf(req->arena, "you sent %zu bytes", req->body_len);
    mh_reply_text(req, text ? 200 : 500, text ? text : "no memory");
}

static void
on_done(struct mh_http_call *call)
{
    bool *done = call->arg;
    *done = true;
}

/* The status of one request, 0 for none. */
static int
ask(void)
{
    bool done = false;
    struct mh_http_call c = { .method = "POST",
                              .url = mh_arena_printf(&arena, "http://127.0.0.1:%d/echo?a=b",
                                                     mh_server_port(server)),
                              .content_type = "text/plain",
                              .body = "hello",
                              .body_len = 5,
                              .timeout_ms = 500,
                              .arena = &arena,
                              .done = on_done,
                              .arg = &done };
    if (!c.url)
        return 0;
    mh_http_start(http, &c);
    while (!done)
        (void)event_base_loop(base, EVLOOP_ONCE);
    CHECK(c.err.code != MH_OK || (c.body_text && c.status > 0));
    return c.err.code == MH_OK ? c.status : 0;
}

TEST(client_and_server_get_over_any_failed_allocation)
{
    struct mh_err err;
    int good = 0;
    base = mh_loop_new();
    mh_log_set_fd(-1);
    mh_arena_init(&arena, (size_t)64 << 20);
    server = mh_server_new(base, "127.0.0.1", 0, NULL, &err);
    CHECK(server && mh_server_route(server, MH_POST, "/echo", answer, NULL));
    http = mh_http_new(base);
    for (int n = 0; n < 60; n++) {
        mh_mem_fail_after(n);
        int status = ask();
        mh_mem_fail_after(-1);
        good += status == 200;
        CHECK(status == 0 || status == 200 || status >= 500);
        CHECK_INT(ask(), 200);
    }
    CHECK(good > 0);
    mh_http_free(http);
    mh_server_free(server);
    mh_arena_release(&arena);
    event_base_free(base);
}
