/* The certificate of the webhooks: made, kept, announced, renewed. */
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/test.h"
#include "harness/world.h"
#include "net/crypto.h"
#include "net/x509.h"
#include "operator/certs.h"
#include "operator/webhook_needs.h"

#define NS "moonherd-system"
#define SECRETS "/api/v1/namespaces/" NS "/secrets/"
#define HOOKS "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
#define HOOK HOOKS "/hook"
#define DAY_S 86400

static struct {
    struct tw *tw;
    struct mh_kinds kinds;
    struct mh_certs certs;
    char cert[4096];
    char key[4096];
    int ready;
    char bundle[2][8192]; /* of the two webhooks */
    char path[120];       /* of the second, for needs */
    int patches;
    int refuse; /* so many requests are answered with 503 */
} q;

static void
on_ready(void *arg, const char *cert, const char *key)
{
    (void)arg;
    q.ready++;
    mh_str_copy(q.cert, sizeof(q.cert), cert);
    mh_str_copy(q.key, sizeof(q.key), key);
}

/* The webhook configuration; the store knows no JSON patch. */
static bool
hooks(struct tw *tw, void *arg, const struct tw_request *r, struct tw_answer *answer)
{
    (void)arg;
    if (q.refuse > 0) {
        q.refuse--;
        answer->status = 503;
        return true;
    }
    if (strcmp(r->path, HOOK) != 0)
        return false;
    if (strcmp(r->method, "PATCH") == 0) {
        size_t i, n;
        yyjson_val *op;
        CHECK_STR(r->content_type, MH_PATCH_JSON);
        yyjson_arr_foreach(r->body, i, n, op)
        {
            unsigned at = 9;
            const char *path = mh_json_str(op, "path", NULL);
            if (mh_str_eq(path, "/webhooks/1/clientConfig/service/path")) {
                mh_str_copy(q.path, sizeof(q.path), mh_json_str(op, "value", NULL));
                continue;
            }
            CHECK(sscanf(path, "/webhooks/%u/clientConfig/caBundle", &at) == 1 && at < 2);
            mh_str_copy(q.bundle[at & 1], sizeof(q.bundle[0]), mh_json_str(op, "value", NULL));
        }
        q.patches++;
    }
    answer->json =
        mh_arena_printf(&tw->arena,
                        "{\"webhooks\":[{\"name\":\"a\",\"clientConfig\":{\"caBundle\":\"%s\","
                        "\"service\":{}}},{\"name\":\"vneeds.moonherd.io\","
                        "\"clientConfig\":{\"caBundle\":\"%s\",\"service\":{\"path\":\"%s\"}}}]}",
                        q.bundle[0], q.bundle[1], q.path);
    return true;
}

static void
begin_for(int days)
{
    static const char *const paths[] = { HOOK, HOOK "-that-is-not-there", NULL };
    memset(&q, 0, sizeof(q));
    mh_log_set_fd(-1);
    q.tw = tw_new(1);
    tw_store(q.tw);
    tw_api_on(q.tw, hooks, NULL);
    CHECK(mh_kinds_init(&q.kinds));
    q.certs = (struct mh_certs){ .clock = q.tw->world.clock,
                                 .api = q.tw->world.api,
                                 .fs = q.tw->world.fs,
                                 .kinds = &q.kinds,
                                 .name_space = NS,
                                 .service = "cnpg-webhook-service",
                                 .ca_name = "cnpg-ca-secret",
                                 .cert_name = "cnpg-webhook-cert",
                                 .hooks = paths,
                                 .duration_s = days * DAY_S,
                                 .renew_s = 7 * DAY_S,
                                 .on_ready = on_ready };
    mh_certs_start(&q.certs);
    tw_advance(q.tw, MH_NS_PER_S);
}

static void
begin(void)
{
    begin_for(90);
}

static void
end(void)
{
    mh_certs_release(&q.certs);
    mh_kinds_release(&q.kinds);
    tw_free(q.tw);
}

/* A value of a Secret, decoded. */
static const char *
value(const char *secret, const char *key)
{
    yyjson_val *o = tw_object(q.tw, secret);
    const char *text = mh_json_str(o, "data", key, NULL);
    char *out = text ? mh_base64_decode(&q.tw->arena, text, strlen(text), NULL) : NULL;
    return out ? out : "";
}

TEST(a_certificate_is_made_stored_served_and_announced)
{
    struct mh_x509_info info;
    begin();
    CHECK_INT(q.ready, 1);
    CHECK_STR(q.cert, value(SECRETS "cnpg-webhook-cert", "tls.crt"));
    CHECK_STR(q.key, value(SECRETS "cnpg-webhook-cert", "tls.key"));
    CHECK_STR(mh_json_str(tw_object(q.tw, SECRETS "cnpg-webhook-cert"), "type", NULL),
              "kubernetes.io/tls");
    CHECK(mh_x509_signed_by(q.cert, value(SECRETS "cnpg-ca-secret", "ca.crt")));
    CHECK_INT(mh_x509_read(&q.tw->arena, q.cert, &info, NULL), MH_OK);
    CHECK_INT(info.not_after - info.not_before, 90 * DAY_S);
    CHECK_STR(info.dns_names[0], "cnpg-webhook-service." NS ".svc");
    /* Byte for byte what the secret holds, as the contract says. */
    yyjson_val *o = tw_object(q.tw, SECRETS "cnpg-webhook-cert");
    CHECK_STR(q.bundle[0], mh_json_str(o, "data", "tls.crt", NULL));
    CHECK_STR(q.bundle[1], q.bundle[0]);
    end();
}

TEST(reviews_of_needs_come_by_a_path_that_goes_with_the_key)
{
    char token[MH_SHA256_HEX], first[sizeof(q.path)];
    begin();
    mh_needs_token(token, q.key);
    CHECK(mh_str_starts(q.path, MH_NEEDS_PATH) && mh_str_eq(q.path + strlen(MH_NEEDS_PATH), token));
    mh_str_copy(first, sizeof(first), q.path);
    mh_str_copy(q.path, sizeof(q.path), "/validate-needs/unknown");
    tw_advance(q.tw, 3601 * MH_NS_PER_S);
    CHECK_STR(q.path, first);
    tw_advance(q.tw, 84 * DAY_S * MH_NS_PER_S);
    CHECK_INT(q.ready, 2);
    CHECK(!mh_str_eq(q.path, first));
    end();
}

TEST(nothing_is_written_while_all_is_right_and_a_lost_bundle_comes_back)
{
    begin();
    int posts = tw_api_count(q.tw, "POST", "");
    tw_advance(q.tw, 5 * 3600 * MH_NS_PER_S);
    CHECK_INT(q.ready, 1);
    CHECK_INT(q.patches, 1);
    CHECK_INT(tw_api_count(q.tw, "POST", ""), posts);
    q.bundle[1][0] = '\0'; /* as after applying the manifest again */
    tw_advance(q.tw, 3601 * MH_NS_PER_S);
    CHECK_INT(q.patches, 2);
    CHECK_STR(q.bundle[1], q.bundle[0]);
    end();
}

/* Somebody writes the configuration as the manifest has it; every watch of it is told. */
static void
apply_manifest(enum mh_watch_kind kind)
{
    q.bundle[0][0] = q.bundle[1][0] = q.path[0] = '\0';
    tw_watch_event(q.tw, HOOKS "?fieldSelector=metadata.name%3Dhook", kind,
                   "{\"metadata\":{\"name\":\"hook\"},\"webhooks\":[{\"name\":\"a\","
                   "\"clientConfig\":{\"service\":{}}},{\"name\":\"vneeds.moonherd.io\","
                   "\"clientConfig\":{\"service\":{}}}]}");
}

TEST(a_configuration_that_is_written_or_made_anew_is_put_right_within_seconds)
{
    static const enum mh_watch_kind kinds[] = { MH_WATCH_ADDED, MH_WATCH_MODIFIED };
    char path[sizeof(q.path)];
    begin();
    mh_str_copy(path, sizeof(path), q.path);
    for (int i = 0; i < 2; i++) {
        apply_manifest(kinds[i]);
        tw_advance(q.tw, 3 * MH_NS_PER_S);
        CHECK_INT(q.patches, 2 + i);
        CHECK(q.bundle[0][0] && mh_str_eq(q.bundle[1], q.bundle[0]));
        CHECK_STR(q.path, path);
        tw_advance(q.tw, 1200 * MH_NS_PER_S);
    }
    CHECK_INT(q.patches, 3);
    CHECK_INT(q.ready, 1);
    end();
}

TEST(who_wants_something_else_in_a_configuration_is_not_answered_for_ever)
{
    begin();
    for (int i = 0; i < 3600; i++) {
        apply_manifest(MH_WATCH_MODIFIED);
        tw_advance(q.tw, MH_NS_PER_S);
    }
    CHECK(q.patches > 5);
    CHECK(q.patches < 30);
    end();
}

TEST(a_change_while_a_round_is_under_way_is_put_right_afterwards)
{
    for (int i = 0; i < 20; i++) { /* from before the hourly round until after it */
        begin();
        tw_advance(q.tw, 3599 * MH_NS_PER_S + i * MH_NS_PER_MS / 2);
        apply_manifest(MH_WATCH_MODIFIED);
        tw_advance(q.tw, 5 * MH_NS_PER_S);
        CHECK(q.bundle[0][0] && q.path[0]);
        end();
    }
}

TEST(a_second_replica_takes_what_the_first_has_made)
{
    char first[4096];
    begin();
    mh_str_copy(first, sizeof(first), q.cert);
    mh_certs_release(&q.certs);
    q.ready = 0;
    mh_certs_start(&q.certs);
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK_INT(q.ready, 1);
    CHECK_STR(q.cert, first);
    end();
}

TEST(in_its_last_week_it_is_renewed)
{
    char first[4096];
    begin_for(8);
    mh_str_copy(first, sizeof(first), q.cert);
    tw_advance(q.tw, 22 * (int64_t)3600 * MH_NS_PER_S);
    CHECK_STR(q.cert, first);
    tw_advance(q.tw, 3 * (int64_t)3600 * MH_NS_PER_S);
    CHECK_INT(q.ready, 2);
    CHECK(strcmp(q.cert, first) != 0);
    CHECK(mh_x509_signed_by(q.cert, value(SECRETS "cnpg-ca-secret", "ca.crt")));
    CHECK_STR(q.bundle[0],
              mh_json_str(tw_object(q.tw, SECRETS "cnpg-webhook-cert"), "data", "tls.crt", NULL));
    end();
}

TEST(a_spoilt_secret_is_replaced)
{
    begin();
    tw_put(q.tw, SECRETS "cnpg-webhook-cert",
           "{\"metadata\":{\"name\":\"cnpg-webhook-cert\"},\"type\":\"kubernetes.io/tls\","
           "\"data\":{\"tls.crt\":\"eA==\",\"tls.key\":\"eA==\"}}");
    tw_advance(q.tw, 3601 * MH_NS_PER_S);
    CHECK_INT(q.ready, 2);
    CHECK_STR(q.cert, value(SECRETS "cnpg-webhook-cert", "tls.crt"));
    end();
}

TEST(a_server_that_is_away_is_asked_again)
{
    begin();
    mh_certs_release(&q.certs);
    q.ready = 0;
    q.refuse = 3;
    mh_certs_start(&q.certs);
    tw_advance(q.tw, MH_NS_PER_S / 2);
    CHECK_INT(q.ready, 0);
    tw_advance(q.tw, 30 * MH_NS_PER_S);
    CHECK_INT(q.ready, 1);
    end();
}

TEST(files_of_the_administrator_are_served_instead)
{
    begin();
    mh_certs_release(&q.certs);
    tw_file(q.tw, "/certs/tls.crt", "CERT");
    tw_file(q.tw, "/certs/tls.key", "KEY");
    q.certs.dir = "/certs";
    mh_certs_start(&q.certs);
    tw_advance(q.tw, MH_NS_PER_S);
    CHECK_STR(q.cert, "CERT");
    CHECK_STR(q.key, "KEY");
    end();
}
