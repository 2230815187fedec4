/* The stream and the orders over real TLS on loopback: who trusts whom, reconnecting, refusals. */
#include "base/log.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "io/loop.h"
#include "net/http_server.h"
#include "net/x509.h"
#include "operator/instances.h"

#define LINE "{\"isPrimary\":true,\"moonherd\":{\"role\":\"primary\"}}\n"

static struct {
    struct tw *tw; /* for the API only */
    struct event_base *base;
    struct mh_clock clock;
    struct mh_http *http;
    struct mh_server *server;
    struct mh_kinds kinds;
    struct mh_cache *cache;
    struct mh_secrets secrets;
    struct mh_instances all;
    struct mh_arena arena;
    const struct mh_kind *cluster;
    struct mh_stream *stream;
    char spki[65];
    char body[256];
    int orders;
    int streams;
    int changes;
    int answer; /* status of orders; 0: none until the end */
    struct mh_request *held[8];
    int nheld;
} q;

static void
on_change(void *arg, const struct mh_kind *kind, const char *ns, const char *name, bool urgent)
{
    (void)arg, (void)kind, (void)ns, (void)name, (void)urgent;
    q.changes++;
}

static void
on_close(void *arg)
{
    (void)arg;
    q.stream = NULL;
}

static void
serve_stream(struct mh_request *req, void *arg)
{
    (void)arg;
    (void)snprintf(q.spki, sizeof(q.spki), "%s", req->peer.spki_sha256);
    q.streams++;
    q.stream = mh_stream_start(req, "application/json");
    mh_stream_on_close(q.stream, on_close, NULL);
    mh_stream_send(q.stream, LINE, strlen(LINE));
}

static void
serve_order(struct mh_request *req, void *arg)
{
    static const char refusal[] = "{\"error\":{\"code\":\"CONFLICT\",\"message\":\"too old\"}}";
    (void)arg;
    q.orders++;
    (void)snprintf(q.body, sizeof(q.body), "%s", req->body);
    if (q.answer)
        mh_reply(req, q.answer, "application/json", refusal, strlen(refusal));
    else if (q.nheld < 8)
        q.held[q.nheld++] = req;
}

static const char *
ca_of(const char *cn, const char **key)
{
    const char *cert = NULL;
    struct mh_err err;
    int64_t now = q.clock.wall_us(q.clock.self) / 1000000;
    struct mh_x509_ca_spec spec = { .cn = cn, .not_before = now - 300, .not_after = now + 86400 };
    CHECK_INT(mh_x509_make_ca(&q.arena, &spec, &cert, key, &err), MH_OK);
    return cert;
}

static void
listen_on(const char *ca, const char *key)
{
    struct mh_err err;
    struct mh_server_tls tls = { 0 };
    int64_t now = q.clock.wall_us(q.clock.self) / 1000000;
    struct mh_x509_spec spec = { .ca_cert_pem = ca,
                                 .ca_key_pem = key,
                                 .cn = "c-rw",
                                 .usage = MH_X509_SERVER,
                                 .not_before = now - 300,
                                 .not_after = now + 86400 };
    CHECK_INT(mh_x509_issue(&q.arena, &spec, &tls.cert_pem, &tls.key_pem, &err), MH_OK);
    q.server = mh_server_new(q.base, "127.0.0.1", 0, &tls, &err);
    CHECK(q.server != NULL);
    CHECK(mh_server_route(q.server, MH_GET, "/moonherd/v1/stream", serve_stream, NULL));
    CHECK(mh_server_route(q.server, MH_POST, "/moonherd/v1/command", serve_order, NULL));
}

static void
begin(bool right_ca)
{
    struct mh_err err;
    const char *key, *other, *pod;
    yyjson_val *v;
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.answer = 200;
    q.tw = tw_new(1);
    tw_store(q.tw);
    q.base = mh_loop_new();
    q.clock = mh_clock_real(q.base);
    q.http = mh_http_new(q.base);
    mh_arena_init(&q.arena, (size_t)8 << 20);
    mh_secrets_init(&q.secrets);
    CHECK(mh_kinds_init(&q.kinds));
    q.cluster = mh_kinds_add(&q.kinds, "postgresql.cnpg.io", "v1", "Cluster", "clusters", true);
    q.cache = mh_cache_new(q.tw->world.api, NULL, NULL);
    const char *ca = ca_of("c", &key);
    listen_on(ca, key);
    mh_secrets_put_ca(&q.secrets, "ns", "c-ca", right_ca ? ca : ca_of("c", &other));
    q.all = (struct mh_instances){ .clock = q.clock,
                                   .api = q.tw->world.api,
                                   .base = q.base,
                                   .http = q.http,
                                   .kinds = &q.kinds,
                                   .cache = q.cache,
                                   .secrets = &q.secrets,
                                   .secret_kind = mh_kind_find(&q.kinds, "Secret"),
                                   .on_change = on_change,
                                   .port = mh_server_port(q.server) };
    CHECK_INT(mh_instances_init(&q.all, &err), MH_OK);
    mh_instances_turn(&q.all, true);
    pod = "{\"metadata\":{\"name\":\"c-1\",\"namespace\":\"ns\",\"uid\":\"1\",\"labels\":{"
          "\"cnpg.io/podRole\":\"instance\"},\"ownerReferences\":[{\"apiVersion\":"
          "\"postgresql.cnpg.io/v1\",\"kind\":\"Cluster\",\"name\":\"c\",\"uid\":\"U\","
          "\"controller\":true}]},\"status\":{\"podIP\":\"127.0.0.1\"}}";
    CHECK_INT(mh_json_parse(&q.arena, pod, strlen(pod), &v, NULL), MH_OK);
    mh_instances_pod(&q.all, "ns", "c-1", v);
}

static void
finish(void)
{
    mh_instances_release(&q.all);
    while (q.nheld)
        mh_reply_text(q.held[--q.nheld], 200, "late");
    mh_server_free(q.server);
    mh_http_free(q.http);
    mh_secrets_release(&q.secrets);
    mh_cache_free(q.cache);
    mh_kinds_release(&q.kinds);
    mh_arena_release(&q.arena);
    mh_clock_release(&q.clock);
    event_base_free(q.base);
    tw_abandon(q.tw);
    tw_free(q.tw);
}

/* Turns the loop until *n reaches `want`, at most ms. */
static bool
reaches(const int *n, int want, int ms)
{
    int64_t end = q.clock.mono_ns(q.clock.self) + ms * MH_NS_PER_MS;
    while (*n < want && q.clock.mono_ns(q.clock.self) < end) {
        struct timeval step = { 0, 5000 };
        event_base_loopexit(q.base, &step);
        event_base_dispatch(q.base);
    }
    return *n >= want;
}

static void
order(const char *command, const char *body)
{
    struct mh_instance_sender to = mh_instances_sender(&q.all);
    static struct mh_crash crash;
    struct mh_instance_order o = {
        .ns = "ns", .pod = "c-1", .command = command, .body = body, .crash = &crash
    };
    to.post(to.self, &o);
}

TEST(a_stream_shows_our_key_and_brings_the_status)
{
    begin(true);
    CHECK(reaches(&q.changes, 1, 3000));
    CHECK_STR(q.spki, q.all.fingerprint);
    CHECK(strstr(mh_instances_json(&q.all, &q.arena, q.cluster, "ns", "c"), "\"primary\""));
    finish();
}

TEST(a_server_of_another_ca_is_not_believed)
{
    begin(false);
    CHECK(!reaches(&q.streams, 1, 700));
    CHECK_INT(q.changes, 0);
    finish();
}

TEST(a_closed_stream_is_a_loss_at_once_and_is_opened_again)
{
    begin(true);
    CHECK(reaches(&q.changes, 1, 3000));
    mh_stream_close(q.stream);
    q.stream = NULL;
    CHECK(reaches(&q.changes, 2, 500));
    CHECK(reaches(&q.changes, 3, 1000));
    CHECK_INT(q.streams, 2);
    finish();
}

TEST(an_order_reaches_the_instance_and_a_refusal_is_no_harm)
{
    begin(true);
    CHECK(reaches(&q.changes, 1, 3000));
    order("lease", "{\"term\":3}");
    CHECK(reaches(&q.orders, 1, 1000));
    CHECK_STR(q.body, "{\"term\":3}");
    q.answer = 409;
    order("lease", "{\"term\":4}");
    CHECK(reaches(&q.orders, 2, 1000));
    for (int i = 0; i < 100 && q.all.orders; i++) {
        int never = 0;
        reaches(&never, 1, 10);
    }
    CHECK(q.all.orders == NULL);
    finish();
}

TEST(an_instance_that_hangs_gets_each_order_once_and_the_newest)
{
    begin(true);
    CHECK(reaches(&q.changes, 1, 3000));
    q.answer = 0;
    order("lease", "{\"term\":3}");
    CHECK(reaches(&q.orders, 1, 1000));
    order("lease", "{\"term\":3}");
    CHECK(!reaches(&q.orders, 2, 200));
    order("lease", "{\"term\":4}");
    CHECK(reaches(&q.orders, 2, 1000));
    CHECK_STR(q.body, "{\"term\":4}");
    order("restart", "{}");
    CHECK(reaches(&q.orders, 3, 1000));
    finish();
}
