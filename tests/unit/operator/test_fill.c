/* Values of secrets: their keys, their texts, and that scripts never see them. */
#include "harness/test.h"
#include "harness/world.h"
#include "net/crypto.h"
#include "net/x509.h"
#include "operator/fill.h"
#include "operator/secrets.h"

#define NOW 1767225600

static struct mh_arena arena;

static yyjson_val *
parse(const char *text)
{
    yyjson_val *v = NULL;
    CHECK_INT(mh_json_parse(&arena, text, strlen(text), &v, NULL), MH_OK);
    return v;
}

/* {"data":{...}} made by a fill; NULL on failure. */
static yyjson_val *
make(struct tw *tw, const char *fill, const struct mh_fill_have *have, enum mh_code *code)
{
    struct mh_fill_env env = { .rand = &tw->world.rand, .now_s = NOW };
    struct mh_fill_have none = { 0 };
    struct mh_err err = { .code = MH_OK };
    yyjson_mut_doc *doc = mh_json_doc(&arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct mh_fill_out out = { doc, yyjson_mut_obj_add_obj(doc, root, "data") };
    *code = mh_fill_make(&arena, &env, parse(fill), have ? have : &none, &out, &err);
    return *code == MH_OK ? parse(mh_json_mut_text(&arena, root, NULL)) : NULL;
}

TEST(a_password_comes_with_all_keys_of_the_contract)
{
    enum mh_code code;
    char want[400];
    struct tw *tw = tw_new(1);
    mh_arena_init(&arena, 4 << 20);
    yyjson_val *s = make(tw,
                         "{\"type\":\"password\",\"username\":\"a:b\",\"dbname\":\"d b\",\"host\":"
                         "\"c-rw\",\"port\":5432,\"namespace\":\"ns\"}",
                         NULL, &code);
    CHECK_INT(code, MH_OK);
    const char *pw = mh_fill_decode(&arena, s, "password");
    CHECK(pw && strlen(pw) == MH_PASSWORD_LEN);
    CHECK_STR(mh_fill_decode(&arena, s, "username"), "a:b");
    CHECK_STR(mh_fill_decode(&arena, s, "user"), "a:b");
    CHECK_STR(mh_fill_decode(&arena, s, "dbname"), "d b");
    CHECK_STR(mh_fill_decode(&arena, s, "host"), "c-rw");
    CHECK_STR(mh_fill_decode(&arena, s, "port"), "5432");
    snprintf(want, sizeof(want), "c-rw:5432:d b:a\\:b:%s\n", pw);
    CHECK_STR(mh_fill_decode(&arena, s, "pgpass"), want);
    snprintf(want, sizeof(want), "postgresql://a%%3Ab:%s@c-rw.ns:5432/d%%20b", pw);
    CHECK_STR(mh_fill_decode(&arena, s, "uri"), want);
    snprintf(want, sizeof(want), "jdbc:postgresql://c-rw.ns:5432/d%%20b?password=%s&user=a%%3Ab",
             pw);
    CHECK_STR(mh_fill_decode(&arena, s, "jdbc-uri"), want);
    snprintf(want, sizeof(want), "postgresql://a%%3Ab:%s@c-rw.ns.svc.cluster.local:5432/d%%20b",
             pw);
    CHECK_STR(mh_fill_decode(&arena, s, "fqdn-uri"), want);
    CHECK(mh_fill_decode(&arena, s, "fqdn-jdbc-uri") != NULL);
    mh_arena_release(&arena);
    tw_free(tw);
}

TEST(without_randomness_there_is_no_password)
{
    enum mh_code code;
    struct tw *tw = tw_new(1);
    mh_arena_init(&arena, 4 << 20);
    tw_rand_fail(tw, true);
    make(tw, "{\"type\":\"password\",\"username\":\"a\",\"host\":\"h\",\"namespace\":\"n\"}", NULL,
         &code);
    CHECK_INT(code, MH_E_UNAVAILABLE);
    make(tw, "{\"type\":\"magic\"}", NULL, &code);
    CHECK_INT(code, MH_E_INVALID);
    make(tw, "{\"type\":\"password\"}", NULL, &code);
    CHECK_INT(code, MH_E_INVALID);
    mh_arena_release(&arena);
    tw_free(tw);
}

TEST(a_ca_signs_a_certificate_of_90_days)
{
    enum mh_code code;
    struct mh_x509_info info;
    struct tw *tw = tw_new(1);
    mh_arena_init(&arena, 4 << 20);
    yyjson_val *ca = make(tw, "{\"type\":\"ca\",\"cn\":\"c\",\"ou\":\"ns\"}", NULL, &code);
    CHECK_INT(code, MH_OK);
    struct mh_fill_have have = { .ca_cert = mh_fill_decode(&arena, ca, "ca.crt"),
                                 .ca_key = mh_fill_decode(&arena, ca, "ca.key") };
    yyjson_val *s = make(tw,
                         "{\"type\":\"certificate\",\"ca\":\"c-ca\",\"cn\":\"streaming_replica\","
                         "\"usage\":\"client\"}",
                         &have, &code);
    const char *cert = mh_fill_decode(&arena, s, "tls.crt");
    CHECK_INT(mh_x509_read(&arena, cert, &info, NULL), MH_OK);
    CHECK_STR(info.cn, "streaming_replica");
    CHECK_STR(info.issuer_cn, "c");
    CHECK_INT(info.not_before, NOW - 300);
    CHECK_INT(info.not_after, NOW - 300 + 90 * 86400);
    CHECK(mh_x509_signed_by(cert, have.ca_cert));
    CHECK(mh_x509_key_matches(cert, mh_fill_decode(&arena, s, "tls.key")));
    mh_arena_release(&arena);
    tw_free(tw);
}

TEST(the_cache_keeps_no_value_of_a_secret)
{
    enum mh_code code;
    struct mh_secrets secrets;
    struct tw *tw = tw_new(1);
    mh_arena_init(&arena, 4 << 20);
    mh_secrets_init(&secrets);
    yyjson_val *ca = make(tw, "{\"type\":\"ca\",\"cn\":\"c\"}", NULL, &code);
    const char *pem = mh_fill_decode(&arena, ca, "ca.crt");
    const char *text = mh_arena_printf(
        &arena,
        "{\"metadata\":{\"name\":\"c-ca\",\"namespace\":\"ns\",\"annotations\":{\"a\":\"b\","
        "\"kubectl.kubernetes.io/last-applied-configuration\":\"aHVudGVyMg==\"}},\"data\":{"
        "\"ca.crt\":\"%s\",\"password\":\"aHVudGVyMg==\",\"odd\":\"!!\",\"list\":[1]},"
        "\"stringData\":{\"x\":\"hunter2\"}}",
        mh_json_str(ca, "data", "ca.crt", NULL));
    yyjson_mut_doc *doc = mh_json_doc(&arena);
    yyjson_mut_val *object = yyjson_val_mut_copy(doc, parse(text));
    CHECK(mh_secrets_trim(&secrets, doc, object));
    const char *kept = mh_json_mut_text(&arena, object, NULL);
    yyjson_val *v = parse(kept);
    CHECK(!strstr(kept, "hunter2") && !strstr(kept, "aHVudGVyMg"));
    CHECK_STR(mh_json_str(v, "data", "password", NULL), "f52fbd32b2b3");
    CHECK_STR(mh_json_str(v, "certificates", "ca.crt", "cn", NULL), "c");
    CHECK_INT(mh_json_int(v, 0, "certificates", "ca.crt", "not_after", NULL),
              NOW - 300 + 90 * 86400);
    CHECK_STR(mh_json_str(v, "metadata", "annotations", "a", NULL), "b");
    CHECK_STR(mh_secrets_ca(&secrets, "ns", "c-ca"), pem);
    CHECK_STR(mh_secrets_ca(&secrets, "ns", "other"), NULL);
    mh_secrets_release(&secrets);
    mh_arena_release(&arena);
    tw_free(tw);
}
